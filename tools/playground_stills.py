"""Draw the pictures that readers without scripts see: each playground as it starts.

A test says when one is out of date.

    python tools/playground_stills.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "site"))

from check_site import CHROMIUM_FLAGS, chromium  # noqa: E402

SCRIPTS = ROOT / "book" / "_static" / "js" / "playgrounds"
# The others show results, and stand beside a figure.
STILLS = ("entropy", "injection", "masks", "power", "ranks", "samples")
PAGE = """<!doctype html><meta charset="utf-8"><script src="{folder}/playground.js"></script>
<div class="playground" data-playground="{name}"></div>"""
STYLE = (
    "text { font: 13px sans-serif; fill: #222 } .strong { font-weight: bold } "
    ".axis { stroke: #666 } svg { background: #fff }"
)


def still(page: Page, name: str, folder: Path) -> str:
    """Return a playground's picture as it starts, as an SVG that stands alone."""
    path = folder / f"{name}.html"
    path.write_text(PAGE.format(folder=SCRIPTS.as_uri(), name=name))
    page.goto(path.as_uri())
    page.wait_for_selector(".playground[data-ready]")
    drawn = page.eval_on_selector(
        ".playground svg", "picture => new XMLSerializer().serializeToString(picture)"
    )
    head, _, rest = drawn.partition(">")
    return f"{head}><style>{STYLE}</style>{rest}\n"


def stills(browser: Browser, folder: Path) -> dict[str, str]:
    """Return every still; `folder` is for files that are not kept."""
    page = browser.new_page()
    found = {name: still(page, name, folder) for name in STILLS}
    page.close()
    return found


def main() -> None:
    """Write them."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        for name, text in stills(browser, Path(folder)).items():
            (SCRIPTS / f"{name}.svg").write_text(text)
        browser.close()


if __name__ == "__main__":
    main()
