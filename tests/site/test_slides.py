"""Slides come from the foundations and executed notebooks, need no network, and fit the screen."""

from __future__ import annotations

import re

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

pytest.importorskip("myst_nb")
from pybtex.database import parse_file, parse_string

from seqattn.book.contents import contents
from tools import slides

BIBLIOGRAPHY = parse_string(
    """
    @article{one, author = {Ba, Jimmy}, year = {2016}}
    @article{many, author = {Gusak, D. and B, B. and C, C.}, year = {2025}}
    """,
    "bibtex",
)
PAGE = "book/studies/levels.ipynb"
FOUNDATIONS = sorted((slides.ROOT / "book/foundations").glob("*.md"))
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20" width="40pt" height="20pt"/>'


def markdown(text, root=slides.ROOT, numbers=None, **values):
    return slides.Page(PAGE, BIBLIOGRAPHY, root, values, numbers or {}).plain(text)


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
    return slides.arranged(notebook(*cells), slides.Page(PAGE, BIBLIOGRAPHY)).cells


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
        ("#sec", "../html/book/studies/levels.html#sec"),
        ("a-label", "../html/book/studies/levels.html#a-label"),
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


def test_solutions_are_folded_and_notes_quoted():
    text = "```{admonition} Solution 1\n:class: dropdown\n\nBecause.\n```"
    assert markdown(text) == "<details><summary>Solution 1</summary>\n\nBecause.\n\n</details>"
    assert markdown(":::{note}\nOne.\n\nTwo.\n:::") == "> One.\n> \n> Two."


def test_figures_and_images_are_held_by_the_slide(tmp_path):
    drawing = tmp_path / "book/_static/a.svg"
    drawing.parent.mkdir(parents=True)
    (tmp_path / PAGE).parent.mkdir()
    drawing.write_text(SVG)
    figure = "```{figure} ../_static/a.svg\n:name: fig-a\n:alt: a < b\n\nA *caption*.\n```"
    image = slides.picture(drawing, "a < b")
    assert image.startswith('<img class="figure" alt="a &lt; b" src="data:image/svg+xml;base64,')
    made = markdown(figure, tmp_path)
    assert made == f"<figure>\n\n{image}\n\nA *caption*.\n\n</figure>"
    assert markdown("![a < b](../_static/a.svg)", tmp_path) == image
    assert markdown("![x](https://example.org/a.png)") == "![x](https://example.org/a.png)"
    with pytest.raises(SystemExit, match=r"levels\.ipynb: there is no image 'gone\.svg'"):
        markdown("![x](gone.svg)", tmp_path)


def test_a_playground_is_its_picture_and_a_link_or_the_link_alone(tmp_path):
    raw = (
        '```{raw} html\n<div class="playground">\n<noscript>'
        '<img src="../../_static/playgrounds/one.svg" alt="a &quot;b&quot;"></noscript>\n'
        "</div>\n```"
    )
    link = "[The figure on the book's page](../html/book/studies/levels.html)"
    assert markdown(raw, tmp_path).startswith(link)
    drawn = tmp_path / "book/appendix/generated/static/playgrounds/one.svg"
    drawn.parent.mkdir(parents=True)
    drawn.write_text(SVG)
    assert slides.picture(drawn, 'a "b"') in markdown(raw, tmp_path)
    assert link in markdown(raw, tmp_path)


def write_book(root, *pages):
    for file, text in pages:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            nbformat.write(notebook(new_markdown_cell(text)), path)
        else:
            path.write_text(text)


EQUATION = "$$\nx\n$$ (eq-{})\n\n"
TOC = """
root: book/index
parts:
  - caption: Foundations
    numbered: true
    chapters: [{file: book/foundations/problem}, {file: book/foundations/attention}]
  - caption: Results
    numbered: true
    chapters: [{file: book/studies/z}, {file: book/studies/gone}, {file: book/studies/a}]
  - caption: Appendix
    chapters: [{file: book/appendix/teaching}]
"""


def test_equations_and_figures_have_the_numbers_of_the_book(tmp_path):
    write_book(
        tmp_path,
        ("book/index.md", "```{figure} a.svg\n:name: fig-first\n```"),
        ("book/foundations/problem.md", EQUATION.format("a") + EQUATION.format("b")),
        ("book/studies/a.ipynb", EQUATION.format("c")),
    )
    numbers = slides.numbers(tmp_path, yaml.safe_load(TOC))
    assert {label: number for label, (number, _) in numbers.items()} == {
        "fig-first": "Fig. 1",
        "eq-a": "(1.1)",
        "eq-b": "(1.2)",
        "eq-c": "(5.1)",
    }
    assert markdown(EQUATION.format("b"), numbers=numbers) == "$$\nx\n\\tag{1.2}\n$$\n\n"
    link = "[(1.2)](../html/book/foundations/problem.html#equation-eq-b)"
    assert markdown("{eq}`eq-b`", numbers=numbers) == link
    assert markdown("by {eq}`eq-of-another-book`") == "by the equation"


@pytest.mark.site
def test_the_numbers_are_those_of_the_built_pages():
    pages = sorted((slides.ROOT / "_build/html/book/foundations").glob("*.html"))
    if not pages:
        pytest.skip("no pages: run `make book` first")
    known = slides.numbers(slides.ROOT, contents(slides.ROOT))
    for page in pages:
        built = re.findall(r'class="eqno">(\([\d.]+\))', page.read_text())
        own = [number for number, place in known.values() if f"{page.name}#equation" in place]
        assert own == built


def test_decks_have_the_order_of_the_contents_and_the_foundations_come_first(tmp_path):
    files = ("foundations/attention.md", "foundations/problem.md", "studies/a.ipynb")
    files += ("studies/z.ipynb", "appendix/teaching.md")
    write_book(tmp_path, *((f"book/{file}", "# Title") for file in files))
    found = slides.lectured(tmp_path, yaml.safe_load(TOC))
    assert [(part, path.name) for part, path in found] == [
        ("Foundations", "problem.md"),
        ("Foundations", "attention.md"),
        ("Results", "z.ipynb"),
        ("Results", "a.ipynb"),
    ]
    listed = slides.index((part, f"{path.stem}.html", path.stem) for part, path in found)
    assert re.findall(r"<h2>(\w+)|html\">(\w)", listed) == [
        ("Foundations", ""), ("", "p"), ("", "a"), ("Results", ""), ("", "z"), ("", "a")
    ]  # fmt: skip


@pytest.mark.parametrize("path", FOUNDATIONS, ids=lambda path: path.stem)
def test_no_myst_is_left_on_the_slides_of_the_foundations(path):
    known = slides.numbers(slides.ROOT, contents(slides.ROOT))
    bibliography = parse_file(str(slides.ROOT / "book/references.bib"))
    page = slides.Page(f"book/foundations/{path.name}", bibliography, numbers=known)
    plain = page.plain(path.read_text())
    assert re.findall(r"\{[\w:]+\}`|^(?:```|:::)\{|^\([\w-]+\)=|\$\$ \(", plain, re.M) == []
    assert "the equation" not in plain.replace("the equations", "")
    assert plain.count("<figure>") >= path.read_text().count("{figure}")


def test_each_second_heading_begins_a_slide_and_a_third_one_below():
    figure = new_code_cell(
        "plot();",
        metadata={"mystnb": {"image": {"alt": "a line"}}},
        outputs=[new_output("display_data", {"image/svg+xml": SVG})],
    )
    cells = arranged(
        new_markdown_cell("# Title\n\nText.\n\n## One\n\nText."),
        figure,
        new_markdown_cell("### Two\n\n```python\n# no heading\n```"),
    )
    assert kinds(cells) == ["slide", "slide", "-", "subslide"]
    assert cells[2].source == "plot();" and "no heading" in cells[3].source


def test_set_up_helpers_and_progress_are_left_out():
    progress = new_output("stream", name="stderr", text="fitting: 3")
    cells = arranged(
        new_markdown_cell("# Title"),
        new_code_cell("import numpy"),
        new_code_cell("runs()", outputs=[progress, glue("n", "3")]),
        new_code_cell("def attention(q, k):\n    return q @ k"),
        new_code_cell("def words(n):\n    return str(n)", metadata={"tags": ["hide-input"]}),
    )
    assert [cell.source.split("(")[0] for cell in cells] == ["# Title", "def attention"]


WIDE = [f"column {n} of many" for n in range(14)]
SPANS = (
    "<table><thead><tr><th rowspan=2>set</th><th>model</th><th colspan=14>metrics</th></tr><tr>"
    + "".join(f"<th>{name}</th>" for name in ["", *WIDE])
    + "</tr></thead><tbody>"
    + "".join(
        ("<tr><th rowspan=20>all of one set</th>" if row % 20 == 0 else "<tr>")
        + f"<th>{row}</th>"
        + "<td>0.1234 [0.1, 0.2]</td>" * 14
        + "</tr>"
        for row in range(40)
    )
    + "</tbody></table>"
)
CELLS = """table => [...table.rows].map(row =>
  [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0))"""


def shown(*cells, path, browser):
    """The page of a deck, made of a notebook's cells, as a browser shows it."""
    pytest.importorskip("sphinx_revealjs")
    nbformat.write(notebook(*cells), path / "one.ipynb")
    slides.main([str(path / "one.ipynb"), "-o", str(path / "slides")])
    return opened(path / "slides/one.html", browser)


def opened(deck, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(120_000)  # a busy machine is not a fault of the page
    page.goto(deck.as_uri())
    page.wait_for_selector("body[data-ready]", state="attached")
    return page


def each_slide(page, script="slide => slide.scrollHeight"):
    """What a script says of each slide in turn, by default its height."""
    found = []
    page.evaluate("Reveal.slide(0, 0)")
    while True:
        found.append(page.evaluate(f"({script})(Reveal.getCurrentSlide())"))
        if page.evaluate("Reveal.isLastSlide()"):
            return found
        page.evaluate("Reveal.next()")


@pytest.mark.site
def test_slides_need_no_network_and_what_is_too_large_by_itself_shrinks(tmp_path, browser):
    """An equation, a figure, and far too much text for one paragraph."""
    page = shown(
        new_markdown_cell("# Title\n\n$$\nx^2\n$$ (eq-x)\n\n## One\n\n" + "words " * 900),
        new_code_cell("plot()", outputs=[new_output("display_data", {"image/svg+xml": SVG})]),
        path=tmp_path,
        browser=browser,
    )
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: asked.append(f"error: {error}"))
    page.reload()
    page.wait_for_selector("body[data-ready]", state="attached")
    assert page.locator(".slides mjx-container").count() == 1
    bottoms = each_slide(page, "slide => slide.getBoundingClientRect().bottom")
    page.close()
    assert len(bottoms) == 3 and max(bottoms) <= 720
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.site
def test_long_text_is_cut_between_paragraphs_and_items_and_nothing_is_lost(tmp_path, browser):
    words = [f"{n} " + "words " * 60 for n in range(9)]
    listed = "".join(f"1. {word}\n" for word in words)
    page = shown(
        new_markdown_cell("# Title\n\n## The *one*\n\n" + "\n\n".join(words) + f"\n\n{listed}"),
        path=tmp_path,
        browser=browser,
    )
    numbers = page.locator(".slides p:not(.kicker), .slides li").all_text_contents()
    starts = page.eval_on_selector_all("ol", "lists => lists.map(list => list.start)")
    sizes = page.eval_on_selector_all("ol", "lists => lists.map(list => list.children.length)")
    kickers = set(page.locator(".kicker").all_text_contents())
    heights = each_slide(page)
    page.close()
    assert [int(text.split()[0]) for text in numbers] == [*range(9), *range(9)]
    assert starts == [1 + sum(sizes[:n]) for n in range(len(sizes))] and len(starts) > 1
    assert len(heights) > 3 and max(heights) <= 680
    assert kickers == {"The one"}


@pytest.mark.site
def test_a_question_keeps_its_solution_and_a_sentence_its_equation(tmp_path, browser):
    text = "## One\n\n"
    for n in range(12):
        text += f"Question {n}?\n\n```{{admonition}} Solution {n}\nYes.\n```\n\n"
    text += "## Two\n\n" + "".join(f"Let $x$ be {n} in\n\n$$\nx^2 .\n$$\n\n" for n in range(12))
    page = shown(new_markdown_cell(text), path=tmp_path, browser=browser)
    counts = each_slide(
        page,
        """slide => [
          slide.innerText.match(/Question|Let/g).length,
          slide.querySelectorAll("details, mjx-container[display=true]").length
        ]""",
    )
    page.close()
    assert len(counts) > 4 and [asked for asked, _ in counts] == [found for _, found in counts]


@pytest.mark.site
def test_a_figure_takes_its_code_with_it_and_leaves_the_text(tmp_path, browser):
    page = shown(
        new_markdown_cell("## One\n\nText.\n\nMore text.\n\nStill more."),
        new_code_cell("plot()", outputs=[new_output("display_data", {"image/svg+xml": SVG})]),
        path=tmp_path,
        browser=browser,
    )
    found = each_slide(
        page, "s => ['h2, p:not(.kicker)', '.code, img'].map(i => s.querySelectorAll(i).length)"
    )
    page.close()
    assert found == [[4, 0], [0, 2]]


@pytest.mark.site
def test_a_large_table_keeps_what_fits_and_says_where_all_is(tmp_path, browser):
    page = shown(
        new_markdown_cell("## One"),
        new_code_cell("t", outputs=[new_output("display_data", {"text/html": SPANS})]),
        path=tmp_path,
        browser=browser,
    )
    table = page.locator("table")
    note, width = table.locator("caption").inner_text(), table.bounding_box()["width"]
    sums, spans = (
        table.evaluate(CELLS),
        table.evaluate("t => [...t.tBodies[0].rows][0].cells[0].rowSpan"),
    )
    heights = each_slide(page)
    page.close()
    assert note == "The whole table, 40 rows and 16 columns, is on the page."
    assert width <= 1280 and max(heights) <= 680
    rows = len(sums) - 2
    assert 8 <= rows < 20 and spans == rows
    # The first row of the head and of the body have the cell that spans rows, the others do not.
    assert 4 <= sums[0] < 16
    assert sums == [sums[0], sums[0] - 1, sums[0], *[sums[0] - 1] * (rows - 1)]


@pytest.mark.site
@pytest.mark.parametrize("path", FOUNDATIONS, ids=lambda path: path.stem)
def test_every_slide_of_the_foundations_fits_at_full_size(path, tmp_path, browser):
    pytest.importorskip("sphinx_revealjs")
    slides.main([str(path), "-o", str(tmp_path)])
    page = opened(tmp_path / f"{path.stem}.html", browser)
    broken = page.locator("mjx-merror, [data-mjx-error]").count()
    heights = each_slide(page)
    zooms = set(
        page.eval_on_selector_all(".slides section section", "all => all.map(s => s.style.zoom)")
    )
    page.close()
    assert broken == 0
    assert len(heights) > 10 and max(heights) <= 680 and zooms == {"1"}
