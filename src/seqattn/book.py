"""Notebooks: parameters checked, run by papermill, linked, listed as the book's contents."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml
from pandas.io.formats.style import Styler

from seqattn.config import BASELINE, DESIGNS, Preset, get_preset
from seqattn.data import Dataset, find_entry, load_dataset
from seqattn.data.entry import is_yaml
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, make_folder, results_folder, write_text
from seqattn.models import MODELS, needs_intensity
from seqattn.runs.fitting import fit_runs
from seqattn.runs.store import Run, Store
from seqattn.search.record import Search, searches, settings, wanted_specs
from seqattn.studies import plan
from seqattn.studies.plan import Study
from seqattn.studies.tables import TABLES

if TYPE_CHECKING:
    import nbformat

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


PARAMETERS: dict[str, type] = {
    "dataset": str,
    "preset": str,
    "seeds": list,
    "models": list,
    "results_dir": str,
    "device": str,
}


def check_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters if each is known and of its type.

    Raises
    ------
    SeqattnError
        Naming the first offending parameter.
    """
    for name, value in values.items():
        if name not in PARAMETERS:
            raise SeqattnError(
                f"unknown notebook parameter {name!r}; known: {', '.join(PARAMETERS)}"
            )
        if not isinstance(value, PARAMETERS[name]):
            raise SeqattnError(
                f"notebook parameter {name!r} must be {PARAMETERS[name].__name__}, "
                f"not {type(value).__name__} {value!r}"
            )
    missing = [name for name in PARAMETERS if name not in values]
    if missing:
        raise SeqattnError(f"notebook parameter {missing[0]!r} is missing")
    _check_list("seeds", values["seeds"], int)
    _check_list("models", values["models"], str)
    for model in values["models"]:
        if model not in MODELS:
            raise SeqattnError(
                f"notebook parameter 'models' names {model!r}; choose from {', '.join(MODELS)}"
            )
    if values["preset"] not in DESIGNS:
        get_preset(values["preset"])
    return dict(values)


def injected_names() -> list[str]:
    """Return the names that papermill has put into the running notebook; none outside of one.

    Papermill writes them as assignments into a cell of their own, which starts with the comment
    "# Parameters"; the kernel has run it before the cell that asks.
    """
    try:
        from IPython import get_ipython
    except ImportError:
        return []
    shell = get_ipython()
    sources = [] if shell is None else shell.user_ns.get("In", [])
    return [
        statement.targets[0].id
        for source in sources
        if source.lstrip().startswith("# Parameters")
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign)
    ]


def _check_list(name: str, values: list, kind: type) -> None:
    if not values:
        raise SeqattnError(f"notebook parameter {name!r} is empty; give at least one")
    for value in values:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise SeqattnError(
                f"notebook parameter {name!r} must hold {kind.__name__} values, not {value!r}"
            )
    if len(set(values)) < len(values):
        raise SeqattnError(f"notebook parameter {name!r} holds a value twice: {values}")


NOTEBOOKS = (
    "01_data",
    "02_models",
    "03_training",
    "04_significance",
    "05_lambda",
    "06_ae_vs_ar",
)


# What they show is intensity; a dataset without one is reported on without them.
ABOUT_INTENSITY = ("02_models", "04_significance", "05_lambda")


AE_VS_AR = ("sasrec", "local-ae", "bert4rec")


@dataclass(frozen=True)
class Chapter:
    """A notebook's checked parameters, and the runs they name."""

    dataset: Dataset
    preset: str
    seeds: list[int]
    models: list[str]
    results_dir: Path
    device: str

    def runs(
        self, models: Sequence[str] | None = None, seeds: Sequence[int] | None = None
    ) -> list[Run]:
        """Return the runs of `models` and `seeds` (by default all), fitting missing ones."""
        return self._fitted(product(models or self.models, seeds or self.seeds))

    def settings(self, model: str = BASELINE) -> Preset:
        """Return a model's configuration: the preset's, or what its design's search found."""
        return settings(self.results_dir, self.dataset, model, self.preset)

    def searches(self) -> list[Search]:
        """Return the published searches on this dataset: the store's, else the committed ones."""
        folders = (self.results_dir, ROOT / "results" / "campaign")
        found = [
            [s for s in searches(folder) if s.dataset == self.dataset.name] for folder in folders
        ]
        return [s for s in found[0] or found[1] if s.design == DESIGNS[0]]

    def ae_vs_ar_runs(self) -> list[Run]:
        """Return one SASRec, one Local-AE and one BERT4Rec run, of the first seed."""
        return self.runs(AE_VS_AR, self.seeds[:1])

    def all_runs(self) -> list[Run]:
        """Return every run the notebooks read, fitting missing ones side by side."""
        ae = product(AE_VS_AR, self.seeds[:1])
        return self._fitted(dict.fromkeys([*product(self.models, self.seeds), *ae]))

    def _fitted(self, wanted: Iterable[tuple[str, int]]) -> list[Run]:
        specs = wanted_specs(self.results_dir, self.dataset, wanted, self.preset)
        return fit_runs(Store(self.results_dir), self.dataset, specs, device=self.device)


def start(
    *,
    dataset: str,
    preset: str,
    seeds: list[int],
    models: list[str],
    results_dir: str,
    device: str,
) -> Chapter:
    """Check a notebook's parameters and open its dataset; every notebook calls this first.

    Parameters
    ----------
    dataset : str
        A name that ``seqattn datasets`` lists, or the YAML file of one's own data.
    preset : str
        A preset of `seqattn.config`, or a design whose searches are done.
    seeds, models : list
        What is fitted: every model with every seed.
    results_dir : str
        Where fits are kept; empty means ``.seqattn/results``.
    device : str
        ``cpu`` or ``cuda``.

    Raises
    ------
    SeqattnError
        If a parameter is of the wrong type or names something unknown, or papermill has injected
        one that no notebook has: papermill itself only warns.
    """
    from seqattn.plots import use_style

    values = {
        "dataset": dataset,
        "preset": preset,
        "seeds": seeds,
        "models": models,
        "results_dir": results_dir,
        "device": device,
    }
    checked = check_parameters({**dict.fromkeys(injected_names()), **values})
    use_style()
    return open_chapter(checked)


def open_chapter(values: Mapping[str, Any]) -> Chapter:
    """Return the chapter that checked parameters describe, with its dataset loaded."""
    return Chapter(
        load_dataset(values["dataset"]),
        values["preset"],
        values["seeds"],
        values["models"],
        results_folder(values["results_dir"]),
        values["device"],
    )


def run_notebook(
    template: Path,
    output: Path,
    parameters: Mapping[str, Any],
    present: Sequence[str] = NOTEBOOKS,
) -> None:
    """Execute one template with papermill, and title the result after its dataset and design.

    The output appears only when the notebook ran to its end; a failed run leaves what it had
    beside it, as ``<name>.failed.ipynb``, to look at. It links to the notebooks that are `present`
    only.

    Raises
    ------
    SeqattnError
        If a parameter is unknown or of the wrong type, a cell raises, or nothing can be written.
    """
    notebook = execute(template, output, parameters)
    title = find_entry(parameters["dataset"]).title
    if parameters.get("preset") in DESIGNS:
        title += f", {parameters['preset']} design"  # a dataset may have a chapter of each
    first = notebook.cells[0]
    heading, _, rest = first.source.partition("\n")
    first.source = f"{heading}: {title}\n{rest}"
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("hide-input")  # a page shows them folded
        if cell.cell_type == "markdown":
            cell.source = relink(cell.source, NOTEBOOKS, present, template.parent)
    write_notebook(notebook, output)


def execute(template: Path, output: Path, parameters: Mapping[str, Any]) -> nbformat.NotebookNode:
    """Run a notebook's template with papermill and return what came out; `output` is not written.

    A failed run leaves what it had beside the output, as ``<name>.failed.ipynb``, to look at.

    Raises
    ------
    SeqattnError
        If a parameter is unknown, a cell raises, or nothing can be written.
    """
    import nbformat
    import papermill

    defaults = papermill.inspect_notebook(str(template))
    for name in parameters:
        if name not in defaults:
            raise SeqattnError(f"unknown notebook parameter {name!r}; known: {', '.join(defaults)}")
    partial = output.with_suffix(".failed.ipynb")
    make_folder(output.parent)
    try:
        papermill.execute_notebook(
            str(template), str(partial), dict(parameters), cwd=str(template.parent)
        )
    except papermill.PapermillExecutionError as error:
        raise SeqattnError(
            f"notebook {template.stem} stopped with {error.ename}: {error.evalue}. "
            f"{partial} shows where"
        ) from error
    notebook = nbformat.read(partial, as_version=4)
    partial.unlink()
    return notebook


def write_notebook(notebook: nbformat.NotebookNode, output: Path) -> None:
    """Write an executed notebook whole or not at all."""
    import nbformat

    write_text(output, nbformat.writes(notebook) + "\n")


def report(
    dataset: str, parameters: Mapping[str, Any] | None = None, output: Path | None = None
) -> list[Path]:
    """Run every notebook on one dataset, into ``book/runs/<name>``; return what was written.

    The dataset is a name of the catalogue or the YAML file of one's own data, whose ``name`` then
    is that of the folder.
    Missing runs are fitted first, with a progress bar, so the notebooks only read them. Where
    the dataset has no intensity, the notebooks about it and the models that read it are left out.

    Raises
    ------
    SeqattnError
        If the dataset or a parameter is unknown, there is no SASRec to compare with or a single
        seed, a notebook stops, or nothing can be written.
    """
    import papermill

    output = output or ROOT / "book" / "runs" / find_entry(dataset).name
    if is_yaml(dataset):
        dataset = str(Path(dataset).resolve())  # notebooks run in another folder
    template = ROOT / "notebooks"
    inspected = papermill.inspect_notebook(str(template / f"{NOTEBOOKS[0]}.ipynb"))
    defaults = {name: ast.literal_eval(found["default"]) for name, found in inspected.items()}
    values = check_parameters({**defaults, **(parameters or {}), "dataset": dataset})
    chapter, notebooks = open_chapter(values), NOTEBOOKS
    if not chapter.dataset.has_intensity:
        values["models"] = [m for m in chapter.models if not needs_intensity(m)]
        chapter = replace(chapter, models=values["models"])
        notebooks = tuple(name for name in NOTEBOOKS if name not in ABOUT_INTENSITY)
    _require_comparison(chapter)
    make_folder(output)
    chapter.all_runs()
    written = []
    for name in notebooks:
        written.append(output / f"{name}.ipynb")
        run_notebook(template / f"{name}.ipynb", written[-1], values, notebooks)
    return written


def _require_comparison(chapter: Chapter) -> None:
    """Refuse before minutes of fits what the notebooks could not show after them."""
    if BASELINE not in chapter.models:
        raise SeqattnError(
            f"the notebooks compare with {BASELINE!r}: name it among the models, too"
        )
    if chapter.dataset.has_intensity and len(chapter.seeds) < 2:
        raise SeqattnError("the notebooks test over seeds: give at least two")


def glue(**values: object) -> None:
    """Keep values for the page's prose, which shows one by the MyST role ``glue:text``.

    The role's text is a name and a format, such as ``share:.1%``. Scalars of numpy are kept as
    plain numbers, since the page formats what their ``repr`` says.
    """
    from myst_nb import glue as keep

    for name, value in values.items():
        keep(name, value.item() if isinstance(value, np.generic) else value, display=False)


def table(
    frame: pd.DataFrame,
    formats: str | Mapping[str, str] | None = None,
    *,
    missing: str = "–",
    index: bool = True,
) -> Styler:
    """Return a frame as a table in the book's look, columns formatted like ``{"p": "{:.3f}"}``.

    What is missing reads `missing`; text is shown as it is, whatever HTML it looks like.
    """
    styler = frame.style.format(formats, na_rep=missing, escape="html")
    styler = styler if index else styler.hide(axis="index")
    return styler.set_table_attributes('class="dataframe"')


def with_interval(
    frame: pd.DataFrame,
    value: str = "mean",
    ends: tuple[str, str] = ("low", "high"),
    form: str = ".4f",
) -> pd.Series:
    """Return "value [low, high]" of each row as text; NaN where there is no value."""
    told = [
        f"{row[value]:{form}} [{row[ends[0]]:{form}}, {row[ends[1]]:{form}}]"
        if pd.notna(row[value])
        else np.nan
        for row in frame.to_dict("records")
    ]
    return pd.Series(told, index=frame.index, dtype=object)


RUNS = "book/runs"


def write_toc(root: Path = ROOT) -> Path:
    """Write ``_build/_toc.yml`` and return its path.

    Jupyter Book renews a page when its own text changes, not when the contents beside it do; so
    pages built with other contents are removed.
    """
    path = root / "_build" / "_toc.yml"
    text = yaml.safe_dump(contents(root), sort_keys=False)
    if not path.is_file() or path.read_text() != text:
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        path.write_text(text)
    return path


def contents(root: Path) -> dict[str, Any]:
    """Return the contents with a part for each finished report that ``_toc.yml`` does not list.

    A report is finished when its last notebook is there. Its part is called after the dataset, and
    comes after the parts of reports that ``_toc.yml`` does list.
    """
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    listed = {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]}
    of_runs = [n for n, part in enumerate(toc["parts"]) if RUNS in part["chapters"][0]["file"]]
    finished = sorted(path.parent for path in (root / RUNS).glob(f"*/{NOTEBOOKS[-1]}.ipynb"))
    added = []
    for folder in finished:
        names = [name for name in NOTEBOOKS if (folder / f"{name}.ipynb").is_file()]
        files = [f"{RUNS}/{folder.name}/{name}" for name in names]
        if listed.isdisjoint(files):
            chapters = [{"file": file} for file in files]
            added.append({"caption": _report_title(folder), "numbered": True, "chapters": chapters})
    place = of_runs[-1] + 1 if of_runs else len(toc["parts"])
    return {**toc, "parts": toc["parts"][:place] + added + toc["parts"][place:]}


def _report_title(folder: Path) -> str:
    """Return what a report's first notebook says after the colon of its heading."""
    cells = json.loads((folder / f"{NOTEBOOKS[0]}.ipynb").read_text())["cells"]
    heading = "".join(cells[0]["source"]).splitlines()[0]
    return heading.partition(": ")[2] or folder.name


STUDIES = ROOT / "book" / "studies"


def make_study(study: Study, *, device: str = "cpu", workers: int | None = None) -> list[Path]:
    """Fit what a study lacks, write its tables, run its notebook; return what was written.

    Parameters
    ----------
    study : Study
        See `seqattn.studies.plan.read_study`.
    device : str
        ``cpu`` or ``cuda``.
    workers : int, optional
        Processes on the CPU; by default one a core.

    Raises
    ------
    SeqattnError
        If a model can't be fitted, a table would lose rows that are kept, or nothing can be
        written. Finished runs stay in the store.
    """
    stores = study.stores
    groups = plan.read(plan.wanted(study), *stores)
    lacking = plan.missing(groups)
    for dataset in dict.fromkeys(spec.dataset for spec in lacking):
        specs = [spec for spec in lacking if spec.dataset == dataset]
        fit_runs(stores[-1], load_dataset(dataset), specs, device=device, workers=workers)
    if lacking:
        groups = plan.read(groups, *stores)
    tables = {name: TABLES[name](study, groups) for name in study.tables}
    for name, table in tables.items():
        _require_no_loss(study, name, len(table))
    written = [
        write_text(study.folder / f"{name}.csv", table.to_csv(index=False))
        for name, table in tables.items()
    ]
    return [*written, study_page(study)]


def _require_no_loss(study: Study, name: str, n_rows: int) -> None:
    path = study.folder / f"{name}.csv"
    kept = len(study.table(name)) if path.exists() else 0
    if n_rows < kept:
        raise SeqattnError(
            f"{path} has {kept} rows, and the runs in {study.results} give {n_rows}: "
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
    output = STUDIES / study.notebook.name
    write_notebook(execute(study.notebook, output, {}), output)
    return output


def study_pages() -> list[Path]:
    """Run the notebooks of all studies whose tables are kept, one process a core.

    Raises
    ------
    SeqattnError
        If one of them stops, or nothing can be written.
    """
    studies = [plan.read_study(name) for name in plan.names()]
    ready = [s for s in studies if all((s.folder / f"{t}.csv").exists() for t in s.tables)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(study_page, ready))
