"""The book's table of contents: what ``_toc.yml`` lists, and the reports that are there beside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from seqattn.book import NOTEBOOKS
from seqattn.files import ROOT

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
