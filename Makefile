# The README's commands. `make book PYTHON=/path/to/python3.11` picks the interpreter;
# `make book TORCH_INDEX=https://download.pytorch.org/whl/cpu` a smaller PyTorch build on Linux;
# `make book PRESET=smoke` trains models too small to learn, to see sooner that all pages build.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PRESET := quick
export PYTHON TORCH_INDEX

.PHONY: book test test-slow lint lab bench bench-rectools ci clean

book: $(READY)  ## run every notebook on ML-100K, then build the pages
	$(BIN)/seqattn report ml-100k --preset $(PRESET)
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m seqattn.pages
	$(BIN)/jupyter-book build -n -W --keep-going .
	@echo "The book: $(CURDIR)/_build/html/index.html"

test: $(READY)  ## the tests, a smoke run of every notebook among them
	$(BIN)/pytest

test-slow: $(READY)  ## the tests that take minutes
	$(BIN)/pytest -m slow

lint: $(READY)  ## what the pre-commit hooks check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify $(wildcard notebooks/*.ipynb)

lab: $(READY)  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

bench: $(READY)  ## timings of the hot paths
	$(BIN)/python -m benchmarks

bench-rectools:  ## RecTools' own environment, so that `make bench` can time it, too
	@bash tools/make_rectools_venv.sh .venv-rectools

ci:  ## what continuous integration runs
	bash .ci/run

clean:  ## remove the pages and the executed notebooks; the environment and trained cells stay
	rm -rf _build book/runs book/appendix/generated book/results/generated

$(READY): pyproject.toml constraints.txt tools/make_venv.sh
	@bash tools/make_venv.sh $(VENV)
	@touch $@
