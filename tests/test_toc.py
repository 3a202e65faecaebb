"""A finished report becomes a part of the book."""

from __future__ import annotations

import json
import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from seqattn.book import ABOUT_INTENSITY, NOTEBOOKS
from seqattn.book.contents import pages, write_toc
from seqattn.files import ROOT
from tools.house import ROOMS

OWN = yaml.safe_load((ROOT / "_toc.yml").read_text())


@pytest.fixture
def root(tmp_path):
    """A checkout of a table of contents and the report that it lists."""
    (tmp_path / "_toc.yml").write_text((ROOT / "_toc.yml").read_text())
    report(tmp_path, "ml-100k", "ML-100K")
    return tmp_path


def report(root, name, title, notebooks=NOTEBOOKS):
    folder = root / "book" / "runs" / name
    folder.mkdir(parents=True)
    for notebook in notebooks:
        cell = {"cell_type": "markdown", "source": [f"# Chapter: {title}\n", "More: text"]}
        (folder / f"{notebook}.ipynb").write_text(json.dumps({"cells": [cell]}))
    return folder


def written(root):
    return yaml.safe_load(write_toc(root).read_text())


def test_without_other_reports_the_contents_are_the_books_own(root):
    assert written(root) == OWN


def test_each_finished_report_is_a_part_after_that_of_ml_100k(root):
    report(root, "own", "Own", [n for n in NOTEBOOKS if n not in ABOUT_INTENSITY])
    report(root, "amazon-office-matched", "Amazon (Office), matched design")
    toc = written(root)
    captions = [part["caption"] for part in toc["parts"]]
    added = ["Amazon (Office), matched design", "Own"]
    place = captions.index("ML-100K") + 1
    assert captions[place : place + 2] == added
    assert [part for part in toc["parts"] if part["caption"] not in added] == OWN["parts"]
    files = [chapter["file"] for chapter in toc["parts"][place + 1]["chapters"]]
    assert files == [f"book/runs/own/{n}" for n in ("01_data", "03_training", "06_ae_vs_ar")]
    assert toc["parts"][place].keys() == OWN["parts"][1].keys()


def test_a_new_studys_page_comes_last_among_the_studies(root):
    studies = root / "book" / "studies"
    studies.mkdir()
    for name in ("levels", "depth", "broken.failed"):
        (studies / f"{name}.ipynb").write_text("{}")
    found, listed = [
        [file for file, _ in pages(toc) if file.startswith("book/studies/")]
        for toc in (written(root), OWN)
    ]
    assert found == [*listed, "book/studies/depth"]


def test_what_is_unfinished_or_listed_by_hand_is_not_added(root):
    report(root, "begun", "Begun", NOTEBOOKS[:3])
    report(root, ".ml-100k.partial", "Stopped")
    report(root, "listed", "Listed")
    own = {"caption": "Mine", "chapters": [{"file": "book/runs/listed/01_data"}]}
    toc = {**OWN, "parts": [*OWN["parts"], own]}
    (root / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))
    assert written(root) == toc


def test_the_api_has_a_page_a_room_with_every_module_of_models_and_statistics():
    folder = ROOT / "book" / "appendix" / "api"
    files = [file for file, _ in pages(OWN) if "/api/" in file]
    assert {f"{ROOT / file}.md" for file in files} == {str(p) for p in folder.glob("*.md")}
    table = (folder.parent / "api.md").read_text()
    assert re.findall(r"\(api/(\w+)\.md\)", table) == [Path(file).name for file in files]
    names = [Path(file).name for file in files if not file.endswith("/settings")]
    assert names == [room for room in ROOMS if room in names]  # the lower ones first, as it says
    for room in ("models", "stats"):
        names = {p.stem for p in (ROOT / "src" / "seqattn" / room).glob("[!_]*.py")}
        shown = re.findall(
            rf"automodule:: seqattn\.{room}\.(\w+)", (folder / f"{room}.md").read_text()
        )
        assert names - {"inputs"} == set(shown)  # `inputs` checks what the others are given


def test_each_chapter_of_the_foundations_has_a_playground():
    chapters = [file for file, part in pages(OWN) if part == "Foundations"]
    texts = {file: (ROOT / f"{file}.md").read_text() for file in chapters}
    assert chapters and all("data-playground=" in text for text in texts.values())


def test_pages_built_with_other_contents_are_removed_and_others_kept(root):
    write_toc(root)
    page = root / "_build" / "html" / "page.html"
    slides = root / "_build" / "slides" / "page.html"
    for made in (page, slides):
        made.parent.mkdir()
        made.write_text("built")
    write_toc(root)
    assert page.exists()
    report(root, "own", "Own")
    write_toc(root)
    assert not page.exists() and slides.exists()


def _pages():
    """Every page of the book as its source: {path below the root, as links name it: Markdown}."""
    found = {p.relative_to(ROOT): p.read_text() for p in (ROOT / "book").rglob("*.md")}
    own = {p: t for p, t in found.items() if not {"generated", "runs"} & set(p.parts)}
    places = {ROOT / "notebooks": Path("book/runs/ml-100k")}
    places[ROOT / "notebooks" / "studies"] = Path("book/studies")
    for folder, place in places.items():
        for path in folder.glob("*.ipynb"):
            cells = json.loads(path.read_text())["cells"]
            prose = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
            own[place / path.name] = "\n\n".join(prose)
    return own


def test_each_study_leads_to_the_page_after_it():
    files = [file for file, _ in pages(OWN)]
    written = {str(path.with_suffix("")): text for path, text in _pages().items()}
    wrong = {}
    for file, after in pairwise(files):
        if file.startswith("book/studies/") and after.startswith("book/studies/"):
            last = re.split(r"\bNext:|## Read next", written[file])[-1]
            first = re.search(r"\]\((\w+)\.ipynb\)|\{doc\}`(\w+)`", last)
            to = first and (first[1] or first[2])
            if to != Path(after).name:
                wrong[file] = (to, after)
    assert wrong == {}


@pytest.mark.parametrize(
    "page", sorted((ROOT / "notebooks" / "studies").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_a_page_of_results_opens_with_its_answer_and_a_picture(page):
    cells = json.loads(page.read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    answer = re.match(r"# .+\n\n\*\*(.+?)\*\*", sources[0])
    assert answer and len(answer[1].split()) <= 65
    picture = next(i for i, cell in enumerate(cells) if cell["metadata"].get("mystnb"))
    before = list(zip(cells[:picture], sources[:picture], strict=True))
    words = [len(text.split()) for cell, text in before if cell["cell_type"] == "markdown"]
    assert sum(words) <= 160
    assert not any("book.table(" in text for _, text in before)


def test_links_to_a_heading_find_it():
    """A built page would tell as well, minutes later."""
    anchors = pytest.importorskip("mdit_py_plugins.anchors.index")
    pages = _pages()
    known = {
        path: {anchors.slugify(title) for title in re.findall(r"^#{1,3} (.+)$", text, re.M)}
        | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))
        for path, text in pages.items()
    }
    lost = []
    for path, text in pages.items():
        for target, anchor in re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", text):
            aim = Path(os.path.normpath(path.parent / target)) if target else path
            if aim in known and anchor not in known[aim]:
                lost.append(f"{path}: {target}#{anchor}")
    assert lost == []


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("book/runs/.ml-100k.partial/05_lambda.failed.ipynb", True),
        ("book/runs/.ml-100k.partial/01_data.ipynb", True),
        ("book/studies/levels.failed.ipynb", True),
        ("book/studies/levels.ipynb", False),
        ("book/runs/ml-100k/01_data.ipynb", False),
    ],
)
def test_what_a_stopped_report_left_is_no_page_of_the_book(path, left_out):
    matching = pytest.importorskip("sphinx.util.matching")
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    excluded = matching.Matcher(config["exclude_patterns"])
    assert any(map(excluded, (path, str(Path(path).parent)))) == left_out  # a folder: all in it
