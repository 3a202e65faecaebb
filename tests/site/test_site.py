"""Headless Chromium over the built book, and over pages with planted faults."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("playwright")
from check_site import check, pages

from seqattn.book.contents import pages as listed

pytestmark = pytest.mark.site

BOOK = Path(__file__).parents[2] / "_build" / "html"


@pytest.fixture(scope="module")
def problems() -> dict[str, list[str]]:
    if not pages(BOOK):
        pytest.fail(f"no pages in {BOOK}: run `make book` first")
    return check(BOOK)


def test_every_chapter_of_the_toc_is_built() -> None:
    yaml = pytest.importorskip("yaml")
    toc = yaml.safe_load((BOOK.parent / "_toc.yml").read_text())
    missing = [name for name, _ in listed(toc) if f"{name}.html" not in pages(BOOK)]
    assert missing == []


def test_every_page_reads_offline_without_errors(problems: dict[str, list[str]]) -> None:
    assert {name: found for name, found in problems.items() if found} == {}


def test_a_search_lists_the_foundations_first_and_the_api_last(browser) -> None:
    page = browser.new_page(offline=True)
    page.goto(f"{(BOOK / 'search.html').as_uri()}?q=bootstrap")
    page.wait_for_selector("#search-results li >> nth=20")
    found = page.eval_on_selector_all("#search-results li > a", "all => all.map(a => a.href)")
    of_api = ["appendix/api" in link for link in found]
    assert of_api == sorted(of_api) and 3 < sum(of_api) < len(of_api) - 3
    assert "foundations/statistics" in found[0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<script src='https://example.org/a.js'></script>", "asks another host"),
        ("<style>p { background: url(https://example.org/a.png) }</style><p>x", "asks another"),
        ("<script>throw new Error('boom')</script>", "script error: boom"),
        ("<script>console.error('boom')</script>", "console: boom"),
        ("<span class='math'>\\(x\\)</span>", "equation not typeset"),
        ("<img src='missing.svg'>", "image not drawn"),
        ("<img alt='../_images/a.svg' src='a.svg'>", "image without words"),
        ("<a href='missing.html'>x</a>", "link to a missing file"),
        ("<a href='page.html#nowhere'>x</a>", "link to a missing anchor"),
        ("<p style='color: #aaa; background: #fff'>pale</p>", "barrier, color-contrast"),
        (
            "<p>one<p>two<p>three<p>four<p style='background: #555'>five",
            "barrier, color-contrast",
        ),
        ("<input value=pale aria-label=x style='color: #aaa; background: #fff'>", "color-contrast"),
        ("<input type='range'>", "barrier, label"),
    ],
)
def test_a_planted_fault_is_reported(tmp_path: Path, body: str, expected: str) -> None:
    (tmp_path / "page.html").write_text(f"<!doctype html><title>A page</title><body>{body}")
    assert any(expected in problem for problem in check(tmp_path)["page.html"])


def test_two_pages_with_one_title_are_reported(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        (tmp_path / name).write_text("<!doctype html><title>Same</title><body>x")
    assert all("title not its own" in found[-1] for found in check(tmp_path).values())


def test_a_page_without_faults_passes(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        "<!doctype html><html lang=en><link rel=icon href='data:,'><title>A page</title>"
        "<main><h1 id=p>A page</h1><a href='#p'>x</a></main>"
    )
    assert check(tmp_path) == {"page.html": []}
