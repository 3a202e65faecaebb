"""What the book's own notebooks took, from what papermill and the runs recorded; nothing is run.

python -m benchmarks.run_times
"""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any

from seqattn.book import AE_VS_AR, NOTEBOOKS, open_chapter
from seqattn.errors import SeqattnError
from seqattn.files import ROOT
from seqattn.runs.store import Fittable, Run, Store
from seqattn.search.record import wanted_specs

RUNS = ROOT / "book" / "runs" / "ml-100k"


def table(folder: Path = RUNS) -> str:
    """Return minutes of the fits and of each notebook in Markdown, or what to run for them."""
    minutes = notebook_minutes(folder)
    if not minutes:
        return "Not run: `make book`.\n"
    parameters = _papermill(folder / f"{NOTEBOOKS[0]}.ipynb")["parameters"]
    rows = [fits(parameters)]
    rows += [(f"`{name}`", f"{m:.1f}") for name, m in zip(NOTEBOOKS, minutes, strict=True)]
    rows.append(("all notebooks", f"{sum(minutes):.1f}"))
    preset = parameters["preset"]
    return "\n".join(
        [
            "| | minutes |",
            "|---|---:|",
            *(f"| {what} | {took} |" for what, took in rows),
            "",
            f"Preset `{preset}`, on a machine of {os.cpu_count()} cores. Fits come first, side by "
            "side, one a core; the table adds up their minutes, those of a fit kept from earlier "
            "too. Installing and building the pages come on top.",
            "",
        ]
    )


def notebook_minutes(folder: Path = RUNS) -> list[float]:
    """Return what each of the six notebooks took; nothing where one is missing."""
    paths = [folder / f"{name}.ipynb" for name in NOTEBOOKS]
    records = [_papermill(path) for path in paths if path.exists()]
    if len(records) < len(paths) or not all("duration" in record for record in records):
        return []
    return [record["duration"] / 60 for record in records]


def fits(parameters: dict[str, Any]) -> tuple[str, str]:
    """Return how many fits notebooks of these parameters read, and their minutes added up."""
    what = f"{len(_pairs(parameters))} fits"
    try:
        _, runs = wanted(parameters)
    except SeqattnError:  # the notebooks came from a machine that had data and searches
        return what, "not in the store"
    if None in runs:
        return what, "not in the store"
    return what, f"{sum(run.facts['seconds'] for run in runs if run) / 60:.1f}"


def wanted(parameters: dict[str, Any]) -> tuple[list[Fittable], list[Run | None]]:
    """Return the specs that notebooks of these parameters read, and the runs that are there.

    Raises
    ------
    SeqattnError
        If the dataset, or a search that the preset rests on, is not there.
    """
    chapter = open_chapter(parameters)
    pairs, store = _pairs(parameters), Store(chapter.results_dir)
    specs = wanted_specs(chapter.results_dir, chapter.dataset, pairs, chapter.preset)
    return specs, list(map(store.get, specs))


def _pairs(parameters: dict[str, Any]) -> list[tuple[str, int]]:
    seeds = parameters["seeds"]
    return sorted({*product(parameters["models"], seeds), *product(AE_VS_AR, seeds[:1])})


def _papermill(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["metadata"].get("papermill", {})


if __name__ == "__main__":
    print(table())
