"""The page of figures that a clone opens before anything is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "book" / "try.html"

pytestmark = pytest.mark.site


def test_every_figure_answers_without_an_installation_or_a_network(browser):
    names = re.findall(r'data-playground="(\w+)"', PAGE.read_text(encoding="utf-8"))
    assert len(set(names)) == len(names) == 6
    page, faults = browser.new_context(offline=True).new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(request.url))
    page.goto(PAGE.as_uri())
    for name in names:
        figure = page.locator(f'[data-playground="{name}"]')
        figure.locator("svg").wait_for()
        before = figure.inner_text()
        slider = figure.locator("input[type=range]").first
        slider.focus()
        slider.press("ArrowRight")
        assert figure.inner_text() != before, name
    assert faults == []
    page.context.close()
