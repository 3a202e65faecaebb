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
from seqattn.runs.fitting import run_spec
from seqattn.runs.store import Store

RUNS = ROOT / "book" / "runs" / "ml-100k"


def table(folder: Path = RUNS) -> str:
    """Return minutes of the fits and of each notebook in Markdown, or what to run for them."""
    paths = [folder / f"{name}.ipynb" for name in NOTEBOOKS]
    records = [_papermill(path) for path in paths if path.exists()]
    if len(records) < len(paths) or not all("duration" in record for record in records):
        return "Not run: `make book`.\n"
    minutes = [record["duration"] / 60 for record in records]
    rows = [fits(records[0]["parameters"])]
    rows += [(f"`{path.stem}`", f"{m:.1f}") for path, m in zip(paths, minutes, strict=True)]
    rows.append(("all notebooks", f"{sum(minutes):.1f}"))
    preset = records[0]["parameters"]["preset"]
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


def fits(parameters: dict[str, Any]) -> tuple[str, str]:
    """Return how many fits notebooks of these parameters read, and their minutes added up."""
    seeds = parameters["seeds"]
    wanted = {*product(parameters["models"], seeds), *product(AE_VS_AR, seeds[:1])}
    what = f"{len(wanted)} fits"
    try:
        run = open_chapter(parameters)
        specs = [run_spec(run.dataset, m, seed, run.settings(m)) for m, seed in sorted(wanted)]
        runs = [Store(run.results_dir).get(spec) for spec in specs]
    except SeqattnError:  # the notebooks came from a machine that had data and searches
        runs = [None]
    if None in runs:
        return what, "not in the store"
    return what, f"{sum(run.facts['seconds'] for run in runs) / 60:.1f}"


def _papermill(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["metadata"].get("papermill", {})


if __name__ == "__main__":
    print(table())
