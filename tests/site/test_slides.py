"""Slides come from the executed notebooks, need no network, and stay on the screen."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

pytest.importorskip("myst_nb")
from pybtex.database import parse_string

from tools import slides

BIBLIOGRAPHY = parse_string(
    """
    @article{one, author = {Ba, Jimmy}, year = {2016}}
    @article{many, author = {Gusak, D. and B, B. and C, C.}, year = {2025}}
    """,
    "bibtex",
)
PAGE = "book/studies/levels.ipynb"
TABLE = "<table><thead><tr><th>a</th></tr></thead><tbody>{}</tbody></table>"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20" width="40pt" height="20pt"/>'


def markdown(text, **values):
    return slides.plain_markdown(text, values, BIBLIOGRAPHY, PAGE)


def glue(name, value):
    prefix = "application/papermill.record/"
    return new_output(
        "display_data",
        {f"{prefix}text/plain": value},
        metadata={"scrapbook": {"name": name, "mime_prefix": prefix}},
    )


def notebook(*cells):
    return new_notebook(cells=list(cells))


def arranged(*cells):
    return slides.arranged(notebook(*cells), BIBLIOGRAPHY, PAGE).cells


def kinds(cells):
    return [cell.metadata.slideshow.slide_type for cell in cells]


def test_glued_numbers_are_read_from_the_outputs_and_formatted_as_on_the_page():
    values = slides.glued(
        notebook(new_code_cell("", outputs=[glue("share", "0.256"), glue("name", "'Mul'")]))
    )
    assert markdown("{glue:text}`share:.0%` of {glue:text}`name`", **values) == "26% of Mul"


def test_a_number_that_was_not_glued_stops_with_its_name():
    with pytest.raises(SystemExit, match="'share' is not glued"):
        markdown("{glue:text}`share`")


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("../foundations/injection.md#sec", "../html/book/foundations/injection.html#sec"),
        ("replication.ipynb", "../html/book/studies/replication.html"),
        ("https://example.org/a.md", "https://example.org/a.md"),
    ],
)
def test_links_lead_to_the_built_book(target, leads):
    assert markdown(f"[x]({target})") == f"[x]({leads})"


def test_roles_of_the_book_become_words():
    assert markdown("{cite:t}`many`") == "Gusak et al. (2025)"
    assert markdown("as shown {cite}`one, many`") == "as shown (Ba, 2016; Gusak et al., 2025)"
    assert markdown("{doc}`../foundations/statistics`") == (
        "[statistics](../html/book/foundations/statistics.html)"
    )
    assert markdown("{term}`runs <run>`") == "runs"


def test_solutions_are_folded_and_playgrounds_linked():
    text = "```{admonition} Solution 1\n:class: dropdown\n\nBecause.\n```"
    assert markdown(text) == "<details><summary>Solution 1</summary>\n\nBecause.\n\n</details>"
    assert "](../html/book/studies/levels.html)" in markdown("```{raw} html\n<div></div>\n```")


def test_each_second_heading_begins_a_slide_and_a_figure_goes_below():
    figure = new_code_cell(
        "plot();",
        metadata={"mystnb": {"image": {"alt": "a line"}}},
        outputs=[new_output("display_data", {"image/svg+xml": SVG})],
    )
    cells = arranged(
        new_markdown_cell("# Title\n\nText.\n\n## One\n\nText."),
        figure,
        new_markdown_cell("## Two"),
    )
    assert kinds(cells) == ["slide", "-", "slide", "-", "subslide", "-", "slide"]
    assert "One" in cells[4].source and cells[5].source == "plot();"


def test_long_text_is_cut_between_paragraphs_and_not_inside_a_solution():
    folded = "<details><summary>S</summary>\n\n" + "words " * 200 + "\n\nmore\n\n</details>"
    text = "## One\n\n" + "\n\n".join(["words " * 80] * 4) + "\n\n" + folded
    cells = arranged(new_markdown_cell(text))
    assert kinds(cells).count("subslide") >= 2
    assert cells[-1].source == folded


def test_set_up_and_progress_are_left_out():
    progress = new_output("stream", name="stderr", text="fitting: 3")
    cells = arranged(
        new_markdown_cell("# Title"),
        new_code_cell("import numpy"),
        new_code_cell("runs()", outputs=[progress, glue("n", "3")]),
        new_code_cell("def attention(q, k):\n    return q @ k"),
    )
    assert [cell.source.split("(")[0] for cell in cells] == ["# Title", "def attention"]


def test_a_long_table_keeps_its_first_rows_and_says_so():
    row = "<tr><td>{}</td></tr>"
    short = slides.short_table(TABLE.format("".join(map(row.format, range(50)))))
    assert short.count("<td>") == slides.ROWS
    assert f"and {50 - slides.ROWS} more rows" in short
    assert slides.short_table(TABLE.format(row.format(1))) == TABLE.format(row.format(1))


@pytest.fixture
def deck(tmp_path):
    """The slides of one notebook with an equation, a figure and far too much text."""
    pytest.importorskip("sphinx_revealjs")
    nb = notebook(
        new_markdown_cell("# Title\n\n$$\nx^2\n$$ (eq-x)\n\n## One\n\n" + "words " * 900),
        new_code_cell("plot()", outputs=[new_output("display_data", {"image/svg+xml": SVG})]),
    )
    nbformat.write(nb, tmp_path / "one.ipynb")
    slides.main([str(tmp_path / "one.ipynb"), "-o", str(tmp_path / "slides")])
    return tmp_path / "slides" / "one.html"


@pytest.mark.site
def test_slides_need_no_network_and_stay_on_the_screen(deck, browser):
    asked = []
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: asked.append(f"error: {error}"))
    page.goto(deck.as_uri())
    page.wait_for_selector("body[data-ready]", state="attached")
    assert page.locator(".slides mjx-container").count() == 1
    bottoms = []
    while not page.evaluate("Reveal.isLastSlide()"):
        page.evaluate("Reveal.next()")
        bottoms.append(page.evaluate("Reveal.getCurrentSlide().getBoundingClientRect().bottom"))
    page.close()
    assert len(bottoms) == 2 and max(bottoms) <= 720
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
