"""Long tables fold, filter and sort in Chromium; short ones are left alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page

from seqattn.book import table

pytestmark = pytest.mark.site
STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
PAGE = """<!doctype html><html lang="en"><head><title>Tables</title>
<link rel="stylesheet" href="{static}/css/tables.css">
<script src="{static}/js/long_tables.js"></script></head>
<body><main class="bd-article">{body}</main></body></html>"""
ROWS = pd.DataFrame(
    {
        "dataset": ["A"] * 10 + ["B"] * 10,
        "model": [f"m{i}" for i in range(20)],
        "change": [float((7 * i) % 20 - 10) for i in range(19)] + [None],
    }
).set_index(["dataset", "model"])


@pytest.fixture
def page(browser, tmp_path):
    def opened(frame: pd.DataFrame) -> Page:
        body = table(frame, {"change": "{:+.1f}"}).to_html()
        path = tmp_path / "page.html"
        path.write_text(PAGE.format(static=STATIC.as_uri(), body=body))
        found = browser.new_page(offline=True)
        found.goto(path.as_uri())
        return found

    return opened


def seen(page: Page) -> list[list[str]]:
    """The cells of the rows that a reader sees."""
    return page.eval_on_selector_all(
        "tbody tr",
        "rows => rows.filter(r => r.offsetHeight).map(r => [...r.cells].map(c => c.textContent))",
    )


def test_a_long_table_shows_twelve_rows_and_all_when_asked(page):
    opened = page(ROWS)
    assert len(seen(opened)) == 12
    button = opened.get_by_role("button", name="Show all 20 rows")
    button.focus()
    opened.keyboard.press("Enter")
    assert len(seen(opened)) == 20 and button.count() == 0
    opened.get_by_role("button", name="Show 12 rows").click()
    assert len(seen(opened)) == 12


def test_a_filter_finds_rows_by_a_label_that_spanned_them(page):
    opened = page(ROWS)
    opened.get_by_label("Filter").fill("b m1")
    found = seen(opened)
    assert [row[:2] for row in found] == [["B", f"m{i}"] for i in range(10, 20)]
    assert opened.get_by_role("status").text_content() == "10 of 20 rows"


def test_heads_sort_numbers_as_numbers_with_what_is_missing_last(page):
    opened = page(ROWS)
    opened.get_by_role("button", name="Show all").click()
    numbers = [row for row in ROWS["change"].tolist() if row == row]
    for direction in (False, True):
        opened.get_by_role("button", name="change").click()
        found = [row[2] for row in seen(opened)]
        assert found[-1] == "–"
        assert [float(text) for text in found[:-1]] == sorted(numbers, reverse=direction)
    heads = opened.locator("th[aria-sort=descending]")
    assert heads.count() == 1 and heads.text_content() == "change"
    assert {(row[0], row[1]) for row in seen(opened)} == set(ROWS.index)


def test_words_sort_too(page):
    opened = page(ROWS)
    opened.get_by_role("button", name="dataset").click()
    opened.get_by_role("button", name="dataset").click()
    assert {row[0] for row in seen(opened)[:10]} == {"B"}


def test_a_short_table_is_left_alone(page):
    opened = page(ROWS.head(12))
    assert len(seen(opened)) == 12 and opened.locator(".long-table-bar").count() == 0


def test_paper_shows_every_row(page):
    opened = page(ROWS)
    opened.emulate_media(media="print")
    assert len(seen(opened)) == 20
