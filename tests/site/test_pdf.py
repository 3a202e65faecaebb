"""Built pages become one PDF in their order; the cheat sheet is one page of A4."""

from __future__ import annotations

import shutil

import pytest

pypdf = pytest.importorskip("pypdf")
pytest.importorskip("playwright")

from tools import pdf  # noqa: E402

PRINTS = pytest.mark.site
TOC = {
    "root": "book/index",
    "parts": [{"caption": "Part one", "chapters": [{"file": "book/one"}]}],
}
PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1>{1}</body></html>"


@pytest.fixture
def html(tmp_path):
    """Two built pages that link each other, the second longer than a sheet and with a fold."""
    folder = tmp_path / "html" / "book"
    folder.mkdir(parents=True)
    long = "<details><summary>Solution</summary>Unfolded.</details>" + "<p>line</p>" * 90
    (folder / "index.html").write_text(PAGE.format("Start", '<a href="one.html#x">on</a>'))
    (folder / "one.html").write_text(PAGE.format("Chapter", long + '<a href="two.html">off</a>'))
    return folder.parent


@pytest.fixture
def printed(html, tmp_path):
    return pypdf.PdfReader(pdf.book(html, TOC, tmp_path / "book.pdf"))


@PRINTS
def test_pages_come_in_the_order_of_the_contents_with_an_outline_and_numbers(printed):
    texts = [page.extract_text() for page in printed.pages]
    assert len(texts) >= 3
    assert "Start" in texts[0] and "Chapter" in texts[1]
    assert [text.split()[-1] for text in texts] == [str(n + 1) for n in range(len(texts))]
    start, part, (chapter,) = printed.outline
    assert (start.title, part.title, chapter.title) == ("Start", "Part one", "Chapter")
    assert printed.get_destination_page_number(chapter) == 1


@PRINTS
def test_solutions_are_printed(printed):
    assert "Unfolded." in printed.pages[1].extract_text()


@PRINTS
def test_links_between_pages_lead_inside_the_file_and_no_link_to_a_file_is_left(printed):
    links = [
        annotation.get_object()
        for page in printed.pages
        for annotation in page.get("/Annots") or ()
    ]
    assert len(links) == 1
    target = links[0].get("/Dest") or links[0]["/A"]["/D"]
    aim = target[0]
    assert aim == 1 or aim.get_object() == printed.pages[1].get_object()


def test_pages_that_are_not_built_are_named(tmp_path):
    with pytest.raises(SystemExit, match=r"Not built: .*index\.html.*make book"):
        pdf.book(tmp_path, TOC, tmp_path / "book.pdf")


def test_without_chromium_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="apt-get install chromium"):
        pdf.cheatsheet(tmp_path / "sheet.pdf")


@PRINTS
def test_the_cheat_sheet_is_one_page_of_a4_with_its_equations_typeset(tmp_path):
    reader = pypdf.PdfReader(pdf.cheatsheet(tmp_path / "sheet.pdf"))
    assert len(reader.pages) == 1
    size = [float(side) / 72 * 25.4 for side in reader.pages[0].mediabox[2:]]
    assert size == pytest.approx([210, 297], abs=0.5)
    text = reader.pages[0].extract_text()
    assert "Before you believe a gain" in text
    assert "\\frac" not in text and "$" not in text
