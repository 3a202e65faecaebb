"""Draw the pictures that readers without scripts see: each playground as it starts.

Those that need no data are kept beside the scripts, and a test says when one is out of date. Those
that show results are drawn when pages are built, from the data that `playground_data` wrote;
without Chromium their places say so.

    python tools/playground_stills.py
    python tools/playground_stills.py data
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "site"))

from check_site import started  # noqa: E402

SCRIPTS = ROOT / "book" / "_static" / "js" / "playgrounds"
DATA = ROOT / "book" / "appendix" / "generated" / "static" / "playgrounds"
STILLS = ("entropy", "injection", "masks", "power", "ranks", "samples")
WITH_DATA = ("forest", "history", "luck", "travel")
PRESSED = {"luck": "many"}  # a button, where nothing is drawn before
PAGE = """<!doctype html><meta charset="utf-8"><style>{style}</style>{data}
<script src="{folder}/playground.js"></script>
<div class="playground" data-playground="{name}"></div>"""
MISSING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 40"><text x="8" y="26"
font-family="sans-serif" font-size="13">Built without Chromium: no picture without scripts.</text>
</svg>
"""
STYLE = (
    "text { font: 13px sans-serif; fill: #222 } .small { font-size: 12px } "
    ".strong { font-weight: bold } .axis { stroke: #666 } svg { background: #fff }"
)


def still(page: Page, name: str, folder: Path, data: Path | None = None) -> str:
    """Return a playground's picture as it starts, as an SVG that stands alone.

    `data` is the folder of its data, if it has any.
    """
    path = folder / f"{name}.html"
    script = f'<script src="{(data / name).as_uri()}.data.js"></script>' if data else ""
    path.write_text(PAGE.format(style=STYLE, folder=SCRIPTS.as_uri(), name=name, data=script))
    page.goto(path.as_uri())
    page.wait_for_selector(".playground[data-ready]")
    if name in PRESSED:
        page.locator(f"[data-control={PRESSED[name]}]").click()
    drawn = page.eval_on_selector(
        ".playground svg", "picture => new XMLSerializer().serializeToString(picture)"
    )
    head, _, rest = drawn.partition(">")
    return f"{head}><style>{STYLE}</style>{rest}\n"


def stills(browser: Browser, folder: Path, data: Path | None = None) -> dict[str, str]:
    """Return every still without data, or with those in the folder `data`; a still by its name.

    `folder` is for files that are not kept.
    """
    page = browser.new_page()
    found = {name: still(page, name, folder, data) for name in (WITH_DATA if data else STILLS)}
    page.close()
    return found


def drawn(data: Path | None) -> dict[str, str]:
    """Return what `stills` does, by a browser of its own."""
    with TemporaryDirectory() as folder, started() as browser:
        return stills(browser, Path(folder), data)


def main(what: Sequence[str] = ()) -> None:
    """Write the kept ones, or with ``data`` those that show results."""
    if "data" not in what:
        for name, text in drawn(None).items():
            (SCRIPTS / f"{name}.svg").write_text(text)
        return
    try:
        found = drawn(DATA)
    except SystemExit:  # a book is built without Chromium, too
        found = dict.fromkeys(WITH_DATA, MISSING)
    for name, text in found.items():
        (DATA / f"{name}.svg").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
