# The README's commands. `make book PYTHON=/path/to/python3.13` picks the interpreter;
# `make book TORCH_INDEX=https://download.pytorch.org/whl/cpu` a smaller PyTorch build on Linux;
# `make book PRESET=smoke` trains models too small to learn, to see sooner that all pages build;
# `make book SEEDS="2020 2021"` trains each with these seeds only.
# `make paper DATASETS="ml-100k amazon-office" CONFIG="trials=5 seeds=2020"` runs a campaign; its
# settings are in workflow/config.yaml.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
CLUSTER := $(VENV)/cluster
PRESET := quick
# Files as a whole, in their order: by default those of fewest tests come last, the notebooks too.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
BENCHMARKS := statistics preparation lengths injection_overhead scaling catalogue training ladder where_time_goes
TUTORIAL := book/appendix/generated/tutorial/6.md
TRAINED := book/appendix/generated/static/playgrounds/history.data.js
export PYTHON TORCH_INDEX
# Every kernel and worker imports PyTorch: without kept bytecode each compiles it anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help book pages written studies timings messages playgrounds stills slides cheatsheet pdf paper paper-check test test-slow lint lab bench bench-rectools ci clean

.DEFAULT_GOAL := book

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(READY)  ## run every notebook on ML-100K, then build the pages
	@$(BIN)/python -m benchmarks.forecast --preset $(PRESET) $(if $(SEEDS),--seeds $(SEEDS))
	$(BIN)/seqattn report ml-100k --preset $(PRESET) $(if $(SEEDS),-s $(SEEDS))
	$(MAKE) pages

pages: $(READY)  ## build the pages from notebooks that are there
	@$(MAKE) -j 2 written
	$(BIN)/jupyter-book build -n -W --keep-going --toc _build/_toc.yml .
	@echo "The book: $(CURDIR)/_build/html/index.html"

slides: $(READY)  ## slides of the foundations and the executed notebooks, in _build/slides
	$(BIN)/python tools/slides.py

cheatsheet: $(READY)  ## one page to print, _build/pdf/cheatsheet.pdf
	$(BIN)/python tools/pdf.py cheatsheet

pdf: $(READY)  ## the built book as one file, _build/pdf/book.pdf
	$(BIN)/python tools/pdf.py book

# What Sphinx reads and nobody wrote. Each is slow by itself and waits for none of the others.
written: studies $(TUTORIAL) timings messages stills

studies: | $(READY)
	$(BIN)/seqattn pages

timings: | $(READY)
	$(BIN)/python -m benchmarks.page

messages: | $(READY)
	$(BIN)/python tools/bad_input_page.py

playgrounds: | $(READY)
	$(BIN)/python tools/playground_data.py forest luck travel

stills: $(TRAINED) playgrounds | $(READY)
	$(BIN)/python tools/playground_stills.py data

$(TUTORIAL): book/appendix/tutorial.md tools/tutorial_page.py | $(READY)
	$(BIN)/python tools/tutorial_page.py

$(TRAINED): tools/playground_data.py $(wildcard src/seqattn/models/*.py src/seqattn/training/*.py) | $(READY)
	$(BIN)/python tools/playground_data.py history masks

paper: $(CLUSTER)  ## searches, fits, notebooks and book on DATASETS, on all cores; goes on where it stopped
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --cores all --rerun-incomplete \
		--config $(if $(DATASETS),datasets="$(DATASETS)") $(CONFIG)

paper-check: $(READY)  ## tables and figures anew from committed records; a sample of runs fitted again
	$(BIN)/python -m benchmarks.page
	$(BIN)/seqattn check results/campaign

test: $(READY)  ## the tests, a smoke run of every notebook and the docstrings' examples among them
	$(BIN)/pytest $(PARALLEL) --doctest-modules tests src/seqattn

test-slow: $(CLUSTER)  ## the tests that take minutes, those of workflow/ among them
	$(BIN)/pytest -m slow

lint: $(READY)  ## what the pre-commit hooks check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify $(wildcard notebooks/*.ipynb notebooks/studies/*.ipynb)

lab: $(READY)  ## JupyterLab on a notebook that trains a small model and plays with it
	$(BIN)/jupyter lab notebooks/start_here.ipynb

bench: $(READY)  ## timings of the hot paths
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

bench-rectools:  ## RecTools' own environment, so that `make bench` can time it, too
	@bash tools/make_rectools_venv.sh .venv-rectools

ci:  ## what continuous integration runs
	bash .ci/run

clean:  ## remove the pages and the executed notebooks; the environment and finished runs stay
	rm -rf _build book/runs book/studies book/appendix/generated

$(CLUSTER): $(READY)
	@echo "Adding Snakemake to $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[cluster]'
	@touch $@

$(READY): pyproject.toml constraints.txt tools/make_venv.sh
	@bash tools/make_venv.sh $(VENV)
	@touch $@
