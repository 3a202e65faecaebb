"""The book's table of contents: what ``_toc.yml`` lists, and what was run beside it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from seqattn.book import NOTEBOOKS
from seqattn.files import ROOT

RUNS, STUDIES = "book/runs", "book/studies"


def write_toc(root: Path = ROOT) -> Path:
    """Write ``_build/_toc.yml`` and return its path.

    Jupyter Book renews a page when its own text changes, not when the contents beside it do; so
    pages built with other contents are removed.
    """
    path = root / "_build" / "_toc.yml"
    text = yaml.safe_dump(contents(root), sort_keys=False)
    if not path.is_file() or path.read_text() != text:
        for built in ("html", ".doctrees"):  # slides and PDF are not Jupyter Book's
            shutil.rmtree(path.parent / built, ignore_errors=True)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return path


def contents(root: Path) -> dict[str, Any]:
    """Return the contents of ``_toc.yml``, with the finished reports and studies it does not list.

    A report is finished when its last notebook is there. Its part is called after the dataset, and
    comes after the parts of reports that ``_toc.yml`` does list. A study's page comes last among
    the studies.
    """
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    listed = {file for file, _ in pages(toc)}
    parts = toc["parts"]
    if last := _last(parts, STUDIES):
        parts[last - 1]["chapters"] += _unlisted_studies(root, listed)
    place = _last(parts, RUNS) or len(parts)
    return {**toc, "parts": parts[:place] + _unlisted_reports(root, listed) + parts[place:]}


def pages(toc: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the pages of a table of contents in their order, as (file, caption of its part)."""
    found = [(toc["root"], "")]
    for part in toc["parts"]:
        found += [(page["file"], part["caption"]) for page in part["chapters"]]
    return found


def _last(parts: Sequence[Mapping[str, Any]], folder: str) -> int:
    """Return the number of the last part that opens with a page of a folder, 0 without any."""
    opens = [folder in part["chapters"][0]["file"] for part in parts]
    return max((number for number, there in enumerate(opens, 1) if there), default=0)


def _unlisted_studies(root: Path, listed: set[str]) -> list[dict[str, str]]:
    pages = sorted(path.stem for path in (root / STUDIES).glob("*.ipynb"))
    files = [f"{STUDIES}/{page}" for page in pages if not page.endswith(".failed")]
    return [{"file": file} for file in files if file not in listed]


def _unlisted_reports(root: Path, listed: set[str]) -> list[dict[str, Any]]:
    parts = []
    finished = sorted(path.parent for path in (root / RUNS).glob(f"*/{NOTEBOOKS[-1]}.ipynb"))
    for folder in finished:
        if folder.name.startswith("."):  # what a report that was stopped left behind
            continue
        names = [name for name in NOTEBOOKS if (folder / f"{name}.ipynb").is_file()]
        files = [f"{RUNS}/{folder.name}/{name}" for name in names]
        if listed.isdisjoint(files):
            chapters = [{"file": file} for file in files]
            parts.append({"caption": _report_title(folder), "numbered": True, "chapters": chapters})
    return parts


def _report_title(folder: Path) -> str:
    """Return what a report's first notebook says after the colon of its heading."""
    cells = json.loads((folder / f"{NOTEBOOKS[0]}.ipynb").read_text())["cells"]
    heading = "".join(cells[0]["source"]).splitlines()[0]
    title = heading.partition(": ")[2] or folder.name
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", title)  # a caption is no Markdown
