"""What a page of the built book weighs, and how soon it answers, in headless Chromium.

Each page is opened from its file, without a network and with an empty cache. Weight is that of
all files it reads; MathJax and the theme are the same files on every page. A page answers when its
playgrounds do, or else when it has loaded.

    python -m benchmarks.pages [_build/html]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlsplit

from benchmarks.common import finish
from seqattn.files import ROOT

ROUNDS = 3
READY = "() => [...document.querySelectorAll('.playground')].every(p => p.dataset.ready)"


def weigh(html: Path) -> list[dict[str, object]]:
    """Return a row a page that has a playground, and one for the heaviest page without."""
    sys.path.insert(0, str(ROOT / "tests" / "site"))
    from check_site import pages, started

    rows = []
    with started() as browser:
        for name in pages(html):
            text = (html / name).read_text(encoding="utf-8")
            read: set[Path] = set()
            seconds = []
            for _ in range(ROUNDS):
                page = browser.new_page(offline=True)
                page.on("request", lambda request, read=read: read.add(_file(request.url)))
                began = time.perf_counter()
                page.goto((html / name).as_uri(), wait_until="load")
                page.wait_for_function(READY)
                seconds.append(time.perf_counter() - began)
                page.close()
            size = {path: path.stat().st_size / 1000 for path in read if path.is_file()}
            played = [kb for path, kb in size.items() if "playgrounds" in path.parts]
            rows.append(
                {
                    "page": name.removesuffix(".html"),
                    "playgrounds": text.count('class="playground"'),
                    "playgrounds' files, kB": sum(played),
                    "all files, kB": sum(size.values()),
                    "answers after, s": median(seconds),
                }
            )
    playing = [row for row in rows if row["playgrounds"]]
    others = [row for row in rows if not row["playgrounds"]]
    return playing + sorted(others, key=lambda row: -row["all files, kB"])[:1]


def _file(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("html", nargs="?", type=Path, default=ROOT / "_build" / "html")
    options = parser.parse_args(arguments)
    if not (options.html / "index.html").is_file():
        print(f"not run: no book in {options.html}; `make book` builds it")
        return
    rows = weigh(options.html.resolve())
    playing = [row for row in rows if row["playgrounds"]]
    finish(
        "pages",
        rows,
        {
            "pages_with_playgrounds": len(playing),
            "heaviest_kb": max(row["all files, kB"] for row in rows),
            "slowest_seconds": max(row["answers after, s"] for row in playing),
            "playground_kb": max(row["playgrounds' files, kB"] for row in playing),
        },
    )


if __name__ == "__main__":
    main()
