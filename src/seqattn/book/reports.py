"""Notebooks run by papermill: a dataset's chapters and the studies' pages."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from seqattn.book import (
    ABOUT_INTENSITY,
    ABOUT_LAMBDA,
    NOTEBOOKS,
    Chapter,
    check_parameters,
    open_chapter,
)
from seqattn.config import BASELINE, DESIGNS
from seqattn.data import find_entry
from seqattn.data.own import is_yaml
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, as_markdown, checksum, make_folder, write_text
from seqattn.models import has_lambda, needs_intensity
from seqattn.presets import PRESETS
from seqattn.runs.store import locked
from seqattn.studies import plan
from seqattn.studies.plan import Study
from seqattn.studies.tables import TABLES
from seqattn.training.device import cores

if TYPE_CHECKING:
    import nbformat
    from jupyter_client import AsyncKernelManager


T = TypeVar("T")

STUDIES = ROOT / "book" / "studies"


def report(
    dataset: str, parameters: Mapping[str, Any] | None = None, output: Path | None = None
) -> list[Path]:
    """Run every notebook on one dataset, into ``book/runs/<name>``; return what was written.

    The dataset is a name of the catalogue or the YAML file of one's own data, whose ``name`` then
    is that of the folder. Missing runs are fitted first, with a progress bar, so the notebooks only
    read them. Where the dataset has no intensity, the notebooks about it and the models that read
    it are left out; that about lambda also where no model has one.

    Raises
    ------
    SeqattnError
        If the dataset or a parameter is unknown, the folder holds the report of another file of
        the same name, there is no SASRec to compare with or a single seed, a notebook stops, or
        nothing can be written.
    """
    output = (output or ROOT / "book" / "runs" / find_entry(dataset).name).resolve()
    if is_yaml(dataset):
        dataset = str(Path(dataset).resolve())  # notebooks run in another folder
    _require_own_place(output, dataset)
    template = ROOT / "notebooks"
    values = check_parameters({**default_parameters(), **(parameters or {}), "dataset": dataset})
    chapter = open_chapter(values)
    notebooks: tuple[str, ...] = NOTEBOOKS
    if not chapter.dataset.has_intensity:
        values["models"] = [m for m in chapter.models if not needs_intensity(m)]
        chapter = replace(chapter, models=values["models"])
        notebooks = tuple(name for name in NOTEBOOKS if name not in ABOUT_INTENSITY)
    if not any(map(has_lambda, chapter.models)):
        notebooks = tuple(name for name in notebooks if name != ABOUT_LAMBDA)
    _require_comparison(chapter)
    make_folder(output)
    chapter.all_runs()
    partial = output.with_name(f".{output.name}.partial")

    def run(name: str, kernel: AsyncKernelManager) -> None:
        paths = template / f"{name}.ipynb", partial / f"{name}.ipynb"
        run_notebook(*paths, values, notebooks, kernel=kernel)

    # Old and new pages never stand together: the folder is changed when the last page is there.
    with locked(output):
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        _side_by_side(run, reversed(notebooks))  # they only read the runs, later ones longer
        return _take_place(partial, output, notebooks)


def default_parameters() -> dict[str, Any]:
    """Return the parameters of the book's notebooks as their first one has them."""
    import papermill

    inspected = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{NOTEBOOKS[0]}.ipynb"))
    return {name: ast.literal_eval(found["default"]) for name, found in inspected.items()}


def _require_own_place(output: Path, dataset: str) -> None:
    """Refuse a folder that holds the report of another log which has the same name."""
    page = output / f"{NOTEBOOKS[0]}.ipynb"
    try:
        told = json.loads(page.read_text(encoding="utf-8"))["metadata"]["papermill"]
        other = told["parameters"]["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if other != dataset:
        raise SeqattnError(
            f"{output} holds the report of {other}, which has the same name: give one of them "
            "another `name`, or remove that folder"
        )


def _take_place(partial: Path, output: Path, notebooks: Sequence[str]) -> list[Path]:
    """Put finished notebooks where those of an older report may be; leave other files there."""
    for name in reversed(NOTEBOOKS):  # the last one says that a report is finished
        (output / f"{name}.ipynb").unlink(missing_ok=True)
    written = [output / f"{name}.ipynb" for name in notebooks]
    for path in written:
        os.replace(partial / path.name, path)
    shutil.rmtree(partial, ignore_errors=True)
    return written


def _require_comparison(chapter: Chapter) -> None:
    """Refuse before minutes of fits what the notebooks could not show after them."""
    if BASELINE not in chapter.models:
        raise SeqattnError(
            f"the notebooks compare with {BASELINE!r}: name it among the models, too"
        )
    if chapter.dataset.has_intensity and len(chapter.seeds) < 2:
        raise SeqattnError("the notebooks test over seeds: give at least two")


def make_study(
    study: Study, *, missing: bool = True, device: str = "cpu", workers: int | None = None
) -> list[Path]:
    """Fit what a study lacks, write its tables, run its notebook; return what was written.

    Parameters
    ----------
    study : Study
        See `seqattn.studies.plan.read_study`.
    missing : bool
        Whether to fit what is missing; tables hold what there is.
    device : str
        ``cpu`` or ``cuda``.
    workers : int, optional
        Fits side by side, see `seqattn.runs.fitting.fit_runs`.

    Raises
    ------
    SeqattnError
        As `require_makeable`; or if a model can't be fitted, a table would lose rows that are kept,
        or nothing can be written. Finished runs stay in the store.
    """
    require_makeable(study)
    groups = plan.read(plan.wanted(study), *study.stores)
    if missing and plan.fit_missing(study, groups, device=device, workers=workers):
        groups = plan.read(groups, *study.stores)
    tables = {name: TABLES[name](study, groups) for name in study.tables}
    for name, table in tables.items():
        _require_no_loss(study, name, len(table))
    written = [
        write_text(study.path(name), table.to_csv(index=False)) for name, table in tables.items()
    ]
    return [*written, study_page(study)]


def require_makeable(study: Study) -> None:
    """Refuse, before anything is fitted, a study that could not be finished.

    Raises
    ------
    SeqattnError
        If it asks for a table that nothing makes, or has no notebook.
    """
    if strange := sorted(set(study.tables) - set(TABLES)):
        raise SeqattnError(
            f"study {study.name}: no table {strange[0]!r}; there are: {', '.join(TABLES)}"
        )
    if not study.notebook.exists():
        raise SeqattnError(f"study {study.name}: {study.notebook} is missing; write its notebook")


def _require_no_loss(study: Study, name: str, n_rows: int) -> None:
    kept = len(study.kept(name))
    if n_rows < kept:
        raise SeqattnError(
            f"{study.path(name)} has {kept} rows, and the runs in {study.results} give {n_rows}: "
            f"`seqattn study {study.name} --plan` says which are missing. Bring them there "
            "(`seqattn collect`), or remove the file"
        )


def study_page(study: Study) -> Path:
    """Run a study's notebook from the tables that are kept, into ``book/studies``.

    Raises
    ------
    SeqattnError
        If a cell raises, or nothing can be written.
    """
    return _study_page(study, _made_from(study, _read_by_pages()))


def _study_page(study: Study, made_from: str, kernel: AsyncKernelManager | None = None) -> Path:
    output = STUDIES / study.notebook.name
    notebook = execute(study.notebook, output, {}, kernel)
    notebook.metadata["seqattn"] = {"made_from": made_from}
    write_notebook(notebook, output)
    return output


def study_pages() -> list[Path]:
    """Run the notebooks of all studies whose tables are kept, with one kernel a core.

    A page stays as it is where nothing that it may show has changed, see `_read_by_pages`.

    Raises
    ------
    SeqattnError
        If one of them stops, or nothing can be written.
    """
    studies = [plan.read_study(name) for name in plan.names()]
    ready = [s for s in studies if all(s.path(t).exists() for t in s.tables)]
    files = _read_by_pages()
    wanted = [(study, _made_from(study, files)) for study in ready]
    old = [pair for pair in wanted if _made_page_from(pair[0]) != pair[1]]
    _side_by_side(lambda pair, kernel: _study_page(*pair, kernel), old)
    return [STUDIES / study.notebook.name for study in ready]


def _side_by_side(run: Callable[[T, AsyncKernelManager], object], jobs: Iterable[T]) -> None:
    """Run notebooks with one kernel a core, each in turn by the kernel that is free."""
    # A notebook runs in its own folder, and papermill takes this process along: what is named from
    # here must be found from there.
    for name in ("SEQATTN_DATA", "SEQATTN_CACHE", "SEQATTN_RESULTS"):
        if value := os.environ.get(name):
            os.environ[name] = str(Path(value).expanduser().resolve())
    waiting = iter(list(jobs))  # threads take from it one by one

    def work(_: int) -> None:
        with kernel_for_several() as kernel:
            for job in waiting:
                run(job, kernel)
                forget(kernel)

    n = cores()
    with ThreadPoolExecutor(n) as pool:
        list(pool.map(work, range(n)))


@contextmanager
def kernel_for_several() -> Iterator[AsyncKernelManager]:
    """Keep a kernel for notebooks that run one after another: starting one takes most of a page.

    It computes on one thread, unless ``OMP_NUM_THREADS`` says otherwise: with a kernel on every
    core, more threads wait for each other.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_core.utils import run_sync

    kernel = AsyncKernelManager(kernel_name="python3")  # starts with the first notebook
    if spec := kernel.kernel_spec:
        spec.env["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
    try:
        yield kernel
    finally:
        if kernel.has_kernel:
            run_sync(kernel.shutdown_kernel)(now=True)


def forget(kernel: AsyncKernelManager) -> None:
    """Leave the next notebook no name, figure or setting of the last one."""
    if not kernel.has_kernel:
        return
    import nbclient
    import nbformat

    cell = nbformat.v4.new_code_cell(
        "import matplotlib.pyplot as plt, pandas as pd, torch\n"
        "plt.close('all'), plt.rcdefaults(), pd.reset_option('all', silent=True)\n"
        "torch.set_grad_enabled(True), torch.manual_seed(0)\n"
        "%reset -f\n"
        "get_ipython().execution_count = 1"
    )
    nbclient.NotebookClient(nbformat.v4.new_notebook(cells=[cell]), km=kernel).execute()


def _made_from(study: Study, files: str) -> str:
    return checksum({"template": study.notebook.read_text(encoding="utf-8"), "files": files})


def _made_page_from(study: Study) -> str:
    try:
        page = json.loads((STUDIES / study.notebook.name).read_text(encoding="utf-8"))
        return page["metadata"]["seqattn"]["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return "nothing that is known"


def _read_by_pages() -> str:
    """Return a checksum of all that any study's page may read beside its own notebook.

    That is the studies' YAML files, everything under ``results`` but the ranks of runs (whose
    records hold the checksums of theirs), benchmarks' results, this package, the pinned versions
    and Python's.
    """
    read = {
        plan.FOLDER: ["*.yaml"],
        ROOT / "results": ["**/*.csv", "**/*.json"],
        ROOT / "benchmarks" / "results": ["*.json"],
        Path(__file__).parents[1]: ["**/*.py", "**/*.yaml", "**/*.mplstyle"],
        ROOT: ["constraints.txt"],
    }
    paths = {p for folder, patterns in read.items() for each in patterns for p in folder.glob(each)}
    files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return checksum(files | {"python": sys.version})


def run_notebook(
    template: Path,
    output: Path,
    parameters: Mapping[str, Any],
    present: Sequence[str] = NOTEBOOKS,
    kernel: AsyncKernelManager | None = None,
) -> None:
    """Execute one template with papermill, and title the result after its dataset and design.

    Below the title a line says what made the numbers, see `made_with`. The output appears only when
    the notebook ran to its end; a failed run leaves what it had beside it, as
    ``<name>.failed.ipynb``, to look at. It links to the notebooks that are `present` only. `kernel`
    is that of `execute`.

    Raises
    ------
    SeqattnError
        If a parameter is unknown or of the wrong type, a cell raises, or nothing can be written.
    """
    notebook = execute(template, output, parameters, kernel)
    title = as_markdown(find_entry(parameters["dataset"]).title)
    if parameters.get("preset") in DESIGNS:  # a dataset may have a chapter of each
        title += f", {parameters['preset'].replace('_', ' ')}"
    values = {**default_parameters(), **parameters}
    first = notebook.cells[0]
    heading, _, rest = first.source.partition("\n")
    first.source = f"{heading}: {title}\n\n{made_with(values)}\n{rest}"
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("hide-input")  # a page shows them folded
        if cell.cell_type == "markdown":
            cell.source = relink(cell.source, NOTEBOOKS, present, template.parent)
    write_notebook(notebook, output)


def made_with(parameters: Mapping[str, Any]) -> str:
    """Return the line of Markdown that says which parameters made a page's numbers.

    A page shows the template's own parameters and folds those it was run with. A trial run is
    called one, since its figures look like any other's.
    """
    name, seeds = parameters["preset"], ", ".join(map(str, parameters["seeds"]))
    with_what, warning = f"design `{name}`", ""  # whose searches chose the epochs of each model
    if preset := PRESETS.get(name):
        epochs, masked = preset.train.epochs, preset.train_ae.epochs
        others = "" if masked == epochs else f", models of masked items {masked}"
        with_what = f"preset `{name}` (at most {epochs} epochs{others})"
        if name == "smoke":
            warning = (
                f" **These are numbers of a trial run: models of {epochs} epochs; no result.**"
            )
    dataset = as_markdown(find_entry(parameters["dataset"]).name)
    return (
        f"*Made with dataset {dataset}; {with_what}; seeds {seeds}. The first cell of code shows "
        f"defaults, the folded cell after it what was used.*{warning}"
    )


def execute(
    template: Path,
    output: Path,
    parameters: Mapping[str, Any],
    kernel: AsyncKernelManager | None = None,
) -> nbformat.NotebookNode:
    """Run a notebook's template with papermill and return what came out; `output` is not written.

    A failed run leaves what it had beside the output, as ``<name>.failed.ipynb``, to look at. The
    `kernel` goes on after the notebook; by default there is one for this notebook alone.

    Raises
    ------
    SeqattnError
        If a parameter is unknown, a cell raises, the text asks for a number that no cell glues, or
        nothing can be written.
    """
    import nbformat
    import papermill

    defaults = papermill.inspect_notebook(str(template))
    for name in parameters:
        if name not in defaults:
            raise SeqattnError(f"unknown notebook parameter {name!r}; known: {', '.join(defaults)}")
    make_folder(output.parent)
    failed = output.with_suffix(".failed.ipynb")
    partial = output.with_suffix(f".{os.getpid()}.failed.ipynb")  # another process may run it, too
    try:
        papermill.execute_notebook(
            *(str(template), str(partial), dict(parameters)),
            # This environment's kernel, whatever kernel the notebook was last saved with.
            kernel_name="python3",
            language="python",
            cwd=str(template.parent),
            km=kernel,
        )
    except papermill.PapermillExecutionError as error:
        partial.replace(failed)
        raise SeqattnError(
            f"notebook {template.stem} stopped with {error.ename}: {error.evalue}. "
            f"{failed} shows where"
        ) from error
    notebook = nbformat.read(partial, as_version=4)
    wrong = [
        f"asks for {name!r}, which no cell glues; add it to a call of book.glue"
        for name in unglued(notebook)
    ]
    wrong += [f"may ask for {name!r}, which is glued twice; rename one" for name in twice(notebook)]
    if wrong:
        partial.replace(failed)
        raise SeqattnError(
            f"notebook {template.stem}: its text {wrong[0]}. {failed} shows what was glued"
        )
    for old in (partial, failed):
        old.unlink(missing_ok=True)
    return notebook


_GLUED = re.compile(r"\{glue:\w+\}`([^`:]+)(?::[^:`][^`]*)?`")


def unglued(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the names that an executed notebook's text asks for and no cell has glued."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    asked = dict.fromkeys(name for text in texts for name in _GLUED.findall(text))
    return [name for name in asked if name not in _glued(notebook)]


def twice(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the names that an executed notebook glues more than once: a text would get one."""
    return [name for name, times in Counter(_glued(notebook)).items() if times > 1]


def _glued(notebook: nbformat.NotebookNode) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kept = [output.get("metadata", {}).get("scrapbook") for output in outputs]
    return [one["name"] for one in kept if one]


def write_notebook(notebook: nbformat.NotebookNode, output: Path) -> None:
    """Write an executed notebook whole or not at all."""
    import nbformat

    write_text(output, nbformat.writes(notebook) + "\n")


_LINK = re.compile(r"(?m)(^Next: )?\[([^\]]+)\]\((\w+)\.ipynb\)")


def relink(text: str, notebooks: Sequence[str], present: Sequence[str], folder: Path) -> str:
    """Return Markdown whose links to notebooks lead to those `present`; a dead one stops a build.

    A line that starts with "Next:" leads to the next one there is; other links keep their words.

    Parameters
    ----------
    text : str
        Markdown of a notebook.
    notebooks, present : sequence of str
        Names of all notebooks, in order, and of those that were run.
    folder : Path
        Where the templates are, for their titles.
    """

    def replaced(link: re.Match[str]) -> str:
        following, words, name = link.groups()
        if name not in notebooks or name in present:
            return link[0]
        if not following:
            return words
        later = [n for n in notebooks[notebooks.index(name) :] if n in present]
        if not later:
            return "Next: the [start](../../index.md)"
        return f"Next: [{_template_title(folder / f'{later[0]}.ipynb')}]({later[0]}.ipynb)"

    return _LINK.sub(replaced, text)


def _template_title(notebook: Path) -> str:
    first = "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"])
    return first.splitlines()[0].lstrip("# ")
