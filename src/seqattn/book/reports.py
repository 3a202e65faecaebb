"""A dataset's report: the book's notebooks, run on one log and one set of parameters."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqattn.book import (
    ABOUT_INTENSITY,
    ABOUT_LAMBDA,
    NOTEBOOKS,
    Chapter,
    check_parameters,
    open_chapter,
)
from seqattn.book.execution import execute, side_by_side, write_notebook
from seqattn.config import BASELINE, DESIGNS
from seqattn.data import find_entry
from seqattn.data.own import is_yaml
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, as_markdown, make_folder
from seqattn.models import has_lambda, needs_intensity
from seqattn.presets import PRESETS
from seqattn.runs.store import locked

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager


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
        side_by_side(run, reversed(notebooks))  # they only read the runs, later ones longer
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
            cell.source = relink(cell.source, present)
    write_notebook(notebook, output)


def made_with(parameters: Mapping[str, Any]) -> str:
    """Return the line of Markdown that says which parameters made a page's numbers.

    A page shows the template's own parameters and folds those it was run with. A trial run is
    called one, since its figures look like any other's.
    """
    name, seeds = parameters["preset"], ", ".join(map(str, parameters["seeds"]))
    # A design's searches, or a file of one's own, chose the epochs of each model.
    with_what = f"settings `{Path(name).name}`" if is_yaml(name) else f"design `{name}`"
    warning = ""
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


_LINK = re.compile(r"(?m)(^Next: )?\[([^\]]+)\]\((\w+)\.ipynb\)")


def relink(text: str, present: Sequence[str]) -> str:
    """Return Markdown whose links to notebooks lead to those `present`; a dead one stops a build.

    A line that starts with "Next:" leads to the next one there is; other links keep their words.
    """

    def replaced(link: re.Match[str]) -> str:
        following, words, name = link.groups()
        if name not in NOTEBOOKS or name in present:
            return link[0]
        if not following:
            return words
        later = [n for n in NOTEBOOKS[NOTEBOOKS.index(name) :] if n in present]
        if not later:
            return "Next: the [start](../../index.md)"
        return f"Next: [{_template_title(later[0])}]({later[0]}.ipynb)"

    return _LINK.sub(replaced, text)


def _template_title(name: str) -> str:
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    first = "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"])
    return first.splitlines()[0].lstrip("# ")
