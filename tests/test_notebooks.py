"""Every notebook runs from its template, in seconds, on synthetic data."""

from __future__ import annotations

import ast
import builtins
import json
import re
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from wanted import fit_wanted

from seqattn import book
from seqattn.book import execution, reports
from seqattn.data import load_dataset
from seqattn.errors import SeqattnError

nbformat = pytest.importorskip("nbformat")
papermill = pytest.importorskip("papermill")
new_code_cell, new_markdown_cell = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
new_notebook = nbformat.v4.new_notebook


def _executed(path):
    """The cells of an executed notebook, whose prose shows only what its code has glued."""
    cells = json.loads(path.read_text())["cells"]
    prose = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    outputs = [out for cell in cells for out in cell.get("outputs", [])]
    glued = {
        out["metadata"]["scrapbook"]["name"]: "".join(*out["data"].values())
        for out in outputs
        if "scrapbook" in out.get("metadata", {})
    }
    assert set(re.findall(r"\{glue:text\}`(\w+)", prose)) == set(glued)
    assert "nan" not in glued.values()
    tables = "".join("".join(out.get("data", {}).get("text/html", "")) for out in outputs)
    assert "nan" not in re.split(r"\W+", tables)
    return cells


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    return {
        "dataset": "synthetic",
        "preset": "smoke",
        "seeds": [1, 2],
        "models": ["sasrec", "ia-add", "ia-mul", "ia-val"],
        "results_dir": str(tmp_path_factory.mktemp("store")),
        "device": "cpu",
    }


@pytest.fixture(scope="module")
def kernel():
    """One for all notebooks, as a report has it: each finds nothing of the one before."""
    with execution.kernel_for_several() as one:
        yield one


@pytest.mark.smoke
@pytest.mark.parametrize("name", book.NOTEBOOKS)
def test_a_notebook_runs_and_is_titled_after_its_dataset(name, parameters, kernel, tmp_path):
    if name == book.NOTEBOOKS[0]:  # the notebooks share these; fitting in one process is faster
        models = [*parameters["models"], *book.AE_VS_AR]
        fit_wanted(
            parameters["results_dir"],
            load_dataset("synthetic"),
            product(dict.fromkeys(models), parameters["seeds"]),
            "smoke",
            workers=1,
            progress=False,
        )
    output = tmp_path / f"{name}.ipynb"
    template = book.ROOT / "notebooks" / f"{name}.ipynb"
    reports.run_notebook(template, output, parameters, kernel=kernel)
    execution.forget(kernel)
    cells = _executed(output)
    assert "".join(cells[0]["source"]).splitlines()[0].endswith(": Synthetic log")
    assert "numbers of a trial run: models of 2 epochs; no result" in "".join(cells[0]["source"])
    assert any(
        "image/svg+xml" in out.get("data", {}) for cell in cells for out in cell.get("outputs", [])
    )
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


@pytest.mark.smoke
def test_start_here_trains_a_model_and_answers_with_film_titles(tmp_path):
    pytest.importorskip("recbole")  # ships the films' titles
    output = tmp_path / "start_here.ipynb"
    papermill.execute_notebook(
        str(book.ROOT / "notebooks" / "start_here.ipynb"),
        str(output),
        {"preset": "smoke", "epochs": 1},
        cwd=str(tmp_path),
        progress_bar=False,
    )
    told = json.dumps(_executed(output), ensure_ascii=False)
    assert "943 people rated 1,349 films" in told and "λ = 0" in told
    assert "image/svg+xml" in told


@pytest.fixture(scope="module")
def short_log(tmp_path_factory):
    """The YAML file of a log of few users with three to eight interactions each."""
    folder = tmp_path_factory.mktemp("short")
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 9, size=60)
    rows = [
        {"user": f"u{user}", "item": f"i{item}", "rating": generator.integers(1, 6), "time": time}
        for user, length in enumerate(lengths)
        for time, item in enumerate(generator.choice(20, size=length, replace=False))
    ]
    pd.DataFrame(rows).to_csv(folder / "log.csv", index=False)
    (folder / "log.yaml").write_text(
        "name: short\npath: log.csv\nintensity: {meaning: rating, unit: stars}\n"
        "columns: {user: user, item: item, intensity: rating, timestamp: time}\n"
        "filters: {k_core: 3, iterative: false}\n"
    )
    return folder / "log.yaml"


@pytest.mark.smoke
def test_the_data_notebook_runs_on_an_order_without_times_or_intensity_and_is_titled_by_the_yaml(
    parameters, kernel, tmp_path
):
    rows = "".join(f"u{u},i{(u + k) % 9},{k}\n" for u in range(12) for k in range(6))
    (tmp_path / "log.csv").write_text("user,item,place\n" + rows)
    (tmp_path / "log.yaml").write_text(
        "name: order\ntitle: Fashion\npath: log.csv\n"
        "columns: {user: user, item: item, order: place}\n"
        "filters: {k_core: 3, iterative: false}\n"
    )
    template, output = book.ROOT / "notebooks" / "01_data.ipynb", tmp_path / "out" / "01_data.ipynb"
    values = {**parameters, "dataset": str(tmp_path / "log.yaml"), "models": ["sasrec"]}
    reports.run_notebook(template, output, values, kernel=kernel)
    execution.forget(kernel)
    cells = _executed(output)
    assert "".join(cells[0]["source"]).splitlines()[0] == "# Data: Fashion"
    assert "only models that read no intensity" in str(cells)


@pytest.mark.slow
def test_every_notebook_runs_on_short_histories(short_log, parameters, tmp_path, monkeypatch):
    values = {**parameters, "results_dir": str(tmp_path / "store")}
    monkeypatch.chdir(tmp_path)  # from where a relative folder must be found
    written = reports.report(str(short_log), values, Path("pages"))
    assert {path.parent for path in written} == {tmp_path / "pages"}
    assert [path.stem for path in written] == list(book.NOTEBOOKS)
    for path in written:
        _executed(path)


def test_a_kernel_forgets_names_figures_and_settings(tmp_path):
    imports = "import matplotlib.pyplot as plt, pandas as pd, torch\n"
    width = "pd.get_option('display.width')"
    left = "x = 1; plt.figure(); plt.rcParams['lines.linewidth'] = 9; pd.options.display.width = 7"
    left += "; torch.set_grad_enabled(False)"
    found = f"print('x' in dir(), plt.get_fignums(), plt.rcParams['lines.linewidth'], {width})"
    found += "\nprint(torch.is_grad_enabled())"
    with execution.kernel_for_several() as one:
        for name, source in (("first", left), ("second", found)):
            cell = new_code_cell(imports + source)
            metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
            nbformat.write(new_notebook(cells=[cell], metadata=metadata), tmp_path / name)
            executed = execution.execute(tmp_path / name, tmp_path / f"{name}.ipynb", {}, one)
            execution.forget(one)
    assert executed.cells[-1].execution_count == 1
    assert executed.cells[-1].outputs[0].text == "False [] 1.5 80\nTrue\n"


@pytest.mark.parametrize(("asked", "used"), [(None, 1), ("2", 2)])
def test_kernels_side_by_side_have_one_thread_each_unless_asked(tmp_path, monkeypatch, asked, used):
    monkeypatch.delenv("OMP_NUM_THREADS")
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    cell = new_code_cell("import os\nprint(os.environ['OMP_NUM_THREADS'])")
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=[cell], metadata=metadata), tmp_path / "asks")
    with execution.kernel_for_several() as kernel:
        done = execution.execute(tmp_path / "asks", tmp_path / "asks.ipynb", {}, kernel)
    assert done.cells[-1].outputs[0].text == f"{used}\n"


def test_a_failing_notebook_leaves_what_it_had_and_no_result(tmp_path):
    cells = [
        new_markdown_cell("# A notebook that imports nothing"),
        new_code_cell("dataset: str = 'none'", metadata={"tags": ["parameters"]}),
        new_code_cell("print('all that it had')\nraise ValueError(dataset)"),
    ]
    template, output = tmp_path / "failing.ipynb", tmp_path / "out" / "failing.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), template)
    with pytest.raises(SeqattnError, match="failing stopped with ValueError: synthetic"):
        reports.run_notebook(template, output, {"dataset": "synthetic"})
    assert [path.name for path in output.parent.iterdir()] == ["failing.failed.ipynb"]
    assert "all that it had" in output.with_suffix(".failed.ipynb").read_text()


@pytest.mark.smoke
def test_plain_papermill_stops_at_an_unknown_parameter(parameters, tmp_path):
    template = book.ROOT / "notebooks" / "01_data.ipynb"
    with pytest.raises(
        papermill.PapermillExecutionError, match="unknown notebook parameter 'sedes'"
    ):
        papermill.execute_notebook(
            str(template), str(tmp_path / "out.ipynb"), {**parameters, "sedes": [1]}
        )


FENCED = re.compile(r"(?m)^(`{3,}|~{3,}) *python[^\n]*\n(.*?)^\1", re.S)


def _source(path):
    """The code of a notebook's cells, and the blocks of Python in its text."""
    cells = [(c["cell_type"], "".join(c["source"])) for c in json.loads(path.read_text())["cells"]]
    code = "\n".join(re.sub(r"(?m)^[%!].*", "", told) for kind, told in cells if kind == "code")
    texts = [told for kind, told in cells if kind == "markdown"]
    return code, [block for text in texts for _, block in FENCED.findall(text)]


def _bound(tree, *, imports=True):
    """The names that code gives a value somewhere."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif imports and isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
    return names


def _imported(tree):
    """What the import statements of code bring; nothing else of it is run."""
    found = {}
    wanted = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(wanted, []), "imports", "exec"), found)
    return found


def _module(node, imported):
    """The module of this package that an expression names, such as `plots`; else None."""
    if isinstance(node, ast.Name):
        found = imported.get(node.id)
    elif isinstance(node, ast.Attribute):
        found = getattr(_module(node.value, imported), node.attr, None)
    else:
        return None
    ours = isinstance(found, ModuleType) and found.__name__.partition(".")[0] == "seqattn"
    return found if ours else None


def _faults(block, code=""):
    """What would stop a block of Python after a notebook's code, as far as names tell."""
    tree, before = ast.parse(block), ast.parse(code)
    imported = _imported(before) | _imported(tree)
    known = {*dir(builtins), *imported, *_bound(before), *_bound(tree)}
    for name in _bound(before, imports=False) | _bound(tree, imports=False):
        imported.pop(name, None)  # not surely a module any more
    faults = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known:
            faults.append(node.id)
        elif isinstance(node, ast.Attribute):
            module = _module(node.value, imported)
            if module and not hasattr(module, node.attr):
                faults.append(f"{module.__name__}.{node.attr}")
    return faults


NOTEBOOKS = sorted((book.ROOT / "notebooks").rglob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_python_in_a_notebooks_text_names_what_there_is(path):
    code, blocks = _source(path)
    for at, block in enumerate(blocks):
        assert _faults(block, "\n".join([code, *blocks[:at]])) == [], block


def test_python_that_names_what_is_gone_is_found():
    assert sum(len(_source(path)[1]) for path in NOTEBOOKS) > 4  # they are found at all
    gone = "seqattn.audit.global_time_split"
    assert _faults(f"import seqattn.audit\n{gone}(data)", "data = 1") == [gone]
    assert _faults(f"{gone}(1)", "from seqattn import audit") == ["seqattn"]
    assert _faults("audit.global_time_split(1)", "from seqattn import audit") == [gone]
    assert _faults("audit.gaps, [audit for audit in 'ab']", "from seqattn import audit") == []
    for line in ("from seqattn.audit import global_time_split", "import seqattn.gone"):
        with pytest.raises(ImportError):
            _faults(line)
    with pytest.raises(SyntaxError):
        _faults("data = chapter.")
