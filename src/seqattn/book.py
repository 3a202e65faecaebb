"""What the notebooks and the command line share: cells found, notebooks run, numbers shown."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from seqattn.campaign import BASELINE, DESIGNS, Search, searches, settings
from seqattn.config import Preset
from seqattn.data import Dataset, find_entry, load_dataset
from seqattn.data.own import is_yaml
from seqattn.errors import SeqattnError
from seqattn.links import relink
from seqattn.models import build_model
from seqattn.parameters import PARAMETERS, check_parameters
from seqattn.store import Cell
from seqattn.training.cells import fit_cells

ROOT = Path(__file__).resolve().parents[2]
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
class Run:
    """A notebook's checked parameters, and the cells they name."""

    dataset: Dataset
    preset: str
    seeds: list[int]
    models: list[str]
    results_dir: Path
    device: str

    def cells(
        self, models: Sequence[str] | None = None, seeds: Sequence[int] | None = None
    ) -> list[Cell]:
        """Return the cells of `models` and `seeds` (by default the run's), fitting missing ones."""
        return self._fitted(product(models or self.models, seeds or self.seeds))

    def settings(self, model: str = BASELINE) -> Preset:
        """Return a model's configuration: the preset's, or what its design's search found."""
        return settings(self.results_dir, self.dataset, model, self.preset)

    def searches(self) -> list[Search]:
        """Return the published searches on this dataset: the run's own, else the committed ones."""
        folders = (self.results_dir, ROOT / "results" / "campaign")
        found = [
            [s for s in searches(folder) if s.dataset == self.dataset.name] for folder in folders
        ]
        return [s for s in found[0] or found[1] if s.design == DESIGNS[0]]

    def ae_vs_ar_cells(self) -> list[Cell]:
        """Return one SASRec, one Local-AE and one BERT4Rec cell, of the first seed."""
        return self.cells(AE_VS_AR, self.seeds[:1])

    def all_cells(self) -> list[Cell]:
        """Return every cell the notebooks read, fitting missing ones side by side."""
        ae = product(AE_VS_AR, self.seeds[:1])
        return self._fitted(dict.fromkeys([*product(self.models, self.seeds), *ae]))

    def _fitted(self, wanted: Iterable[tuple[str, int]]) -> list[Cell]:
        return fit_cells(self.results_dir, self.dataset, wanted, self.preset, device=self.device)


def start(namespace: Mapping[str, Any]) -> Run:
    """Check a notebook's parameters and open its dataset; every notebook calls this first.

    Parameters
    ----------
    namespace : Mapping
        The notebook's ``globals()``.

    Raises
    ------
    SeqattnError
        If a parameter is missing, unknown, of the wrong type, or names something unknown.
    """
    from seqattn.plots import use_style

    injected = {
        name: namespace[name]
        for source in namespace.get("In", [])
        if source.lstrip().startswith("# Parameters")
        for name in _assigned_names(source)
    }
    values = check_parameters({**injected, **_declared(namespace)})
    use_style()
    return open_run(values)


def open_run(values: Mapping[str, Any]) -> Run:
    """Return the run that checked parameters describe, with its dataset loaded."""
    return Run(
        load_dataset(values["dataset"]),
        values["preset"],
        values["seeds"],
        values["models"],
        results_folder(values["results_dir"]),
        values["device"],
    )


def _declared(namespace: Mapping[str, Any]) -> dict[str, Any]:
    return {name: namespace[name] for name in PARAMETERS if name in namespace}


def _assigned_names(source: str) -> list[str]:
    statements = ast.parse(source).body
    return [s.targets[0].id for s in statements if isinstance(s, ast.Assign)]


def results_folder(name: str) -> Path:
    """Return the store's folder; an empty name means ``.seqattn/results`` in the checkout."""
    if name:
        return Path(name)
    return Path(os.environ.get("SEQATTN_RESULTS", ROOT / ".seqattn" / "results"))


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
    import nbformat
    import papermill

    defaults = papermill.inspect_notebook(str(template))
    for name in parameters:
        if name not in defaults:
            raise SeqattnError(
                f"unknown notebook parameter {name!r}; known: {', '.join(PARAMETERS)}"
            )
    partial = output.with_suffix(".failed.ipynb")
    _make_folder(output.parent)
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
    nbformat.write(notebook, partial)
    partial.replace(output)


def report(
    dataset: str, parameters: Mapping[str, Any] | None = None, output: Path | None = None
) -> list[Path]:
    """Run every notebook on one dataset, into ``book/runs/<name>``; return what was written.

    The dataset is a name of the catalogue or the YAML file of one's own data, whose ``name`` then
    is that of the folder.
    Missing cells are fitted first, with a progress bar, so the notebooks only read them. Where
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
    run, notebooks = open_run(values), NOTEBOOKS
    if not run.dataset.has_intensity:
        values["models"] = [m for m in run.models if not build_model(m, 1).needs_intensity]
        run = replace(run, models=values["models"])
        notebooks = tuple(name for name in NOTEBOOKS if name not in ABOUT_INTENSITY)
    _require_comparison(run)
    _make_folder(output)
    run.all_cells()
    written = []
    for name in notebooks:
        written.append(output / f"{name}.ipynb")
        run_notebook(template / f"{name}.ipynb", written[-1], values, notebooks)
    return written


def _require_comparison(run: Run) -> None:
    """Refuse before minutes of fits what the notebooks could not show after them."""
    if BASELINE not in run.models:
        raise SeqattnError(
            f"the notebooks compare with {BASELINE!r}: name it among the models, too"
        )
    if run.dataset.has_intensity and len(run.seeds) < 2:
        raise SeqattnError("the notebooks test over seeds: give at least two")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeqattnError(
            f"cannot make the folder {path}: {error.strerror}; choose another"
        ) from error


def say(text: str) -> None:
    """Show a sentence of Markdown whose numbers the notebook has just computed."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def table(frame: pd.DataFrame, formats: str | Mapping[str, str] | None = None) -> Styler:
    """Return a frame as a table in the book's look, columns formatted like ``{"p": "{:.3f}"}``."""
    return frame.style.format(formats).set_table_attributes('class="dataframe"')
