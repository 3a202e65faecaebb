"""Open every page of the built book in headless Chromium and report what a reader would notice.

A page passes when it loads with its own title, logs no error, has every equation typeset, every
image drawn and every internal link and anchor leading somewhere, asks no other host for anything,
and axe-core finds nothing critical or serious for readers with disabilities.

    python tests/site/check_site.py [_build/html] [--screenshots FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from playwright.sync_api import Browser, BrowserContext, Error, Page, Request, sync_playwright

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Other hosts are not there, whatever network the machine has; a router of Playwright's could
    # say the same, but with one every page loads and compiles the theme's scripts anew.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
]
BROWSERS = 2  # a page waits for its scripts and pictures half of its time
# Pages that Sphinx writes by itself: they load like the others but need no title of their own.
GENERATED = {"genindex.html", "search.html", "index.html"}

# What axe-core may say of what Sphinx itself writes: a citation's link back to the text is no
# child that a list should have.
NOT_OURS = {("aria-required-children", ".citation-list")}
# Contrast takes axe-core most of its time, nearly all of it in code and in long tables; of what
# has the same font and colour on the same grounds it is shown the first three only.
AXE = """async () => {
  const grounds = new Map(), seen = {};
  for (const e of document.querySelectorAll("*")) {  // parents come before their children
    const s = getComputedStyle(e), own = [s.backgroundColor, s.backgroundImage, s.opacity];
    grounds.set(e, (grounds.get(e.parentElement) ?? "") + own);
    const look = [grounds.get(e), s.color, s.fontSize, s.fontWeight, s.textShadow];
    const text = e.value || e.placeholder ||
      [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (text && e.checkVisibility()) seen[look] = (seen[look] ?? 0) + 1;
    if (!text || seen[look] > 3) e.dataset.alike = "";
  }
  axe.configure({rules: [{id: "color-contrast", selector: ":not([data-alike])"}]});
  // Its own loading of style sheets looks for imported ones in the page's folder.
  const found = await axe.run(document, {resultTypes: ["violations"], preload: false});
  return found.violations
    .filter(v => ["critical", "serious"].includes(v.impact))
    .flatMap(v => v.nodes.map(n => [v.id, String(n.target), n.html.slice(0, 90)]));
}"""

# What the page looks like once MathJax has finished.
INSPECT = """async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  for (const image of document.images) image.loading = "eager";
  await document.fonts.ready;
  await Promise.all([...document.images].map(i => i.decode().catch(() => null)));
  const math = [...document.querySelectorAll(".math")];
  const text = e => (e.textContent || "").trim().slice(0, 60);
  await new Promise(done => setTimeout(done, 200));  // late requests of scripts
  return {
    title: document.title,
    raw: math.filter(e => !e.querySelector("mjx-container")).map(text),
    broken: [...document.querySelectorAll("mjx-merror, [data-mjx-error]")].map(text),
    images: [...document.images].filter(i => !i.naturalWidth).map(i => i.src),
    // Without words of its own an image is read out as the path of its file.
    unnamed: [...document.images].map(i => i.alt).filter(alt => alt.includes("_images/")),
    links: [...document.querySelectorAll("a[href]")].map(a => a.href),
    anchors: [...document.querySelectorAll("[id]")].map(e => e.id),
  };
}"""


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free local port; yields its address, which ends in a slash."""
    server = ThreadingHTTPServer(("localhost", 0), partial(_QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def pages(folder: Path) -> list[str]:
    """List the HTML pages below `folder`, as paths relative to it."""
    found = (path.relative_to(folder) for path in folder.rglob("*.html"))
    return sorted(str(path) for path in found if not path.parts[0].startswith("_"))


def chromium() -> str:
    """Find the browser, without windows where there is one, or say how to get it."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        sys.exit(
            "Chromium is not on PATH; on Debian or Ubuntu: apt-get install chromium; on macOS: "
            "brew install --cask chromium"
        )
    return found


@contextmanager
def started() -> Iterator[Browser]:
    """Start Chromium and end it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


def _watch(page: Page, base: str, problems: list[str]) -> None:
    """Record errors and foreign requests of `page`."""

    def requested(request: Request) -> None:
        if not request.url.startswith((base, "data:", "blob:")):
            problems.append(f"asks another host: {request.url}")

    page.on("request", requested)
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on(
        "console",
        lambda message: message.type == "error" and problems.append(f"console: {message.text}"),
    )


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def _open(
    browser: BrowserContext, base: str, name: str, picture: Path | None
) -> tuple[dict, list[str]]:
    """Open one page; returns what INSPECT saw of it, and its problems."""
    problems: list[str] = []
    page = browser.new_page()
    page.set_default_timeout(120_000)  # a busy machine is not a fault of the page
    _watch(page, base, problems)
    try:
        page.goto(base + name, wait_until="load")
        # The root page only forwards to the book's first page.
        page.wait_for_function("!document.querySelector('meta[http-equiv=Refresh]')")
        seen = page.evaluate(INSPECT)
        page.evaluate(_axe())
        barriers = page.evaluate(AXE)
        if picture is not None:
            picture.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(picture), full_page=True)
    except Error as error:
        return {}, [*problems, f"does not load: {error.message.splitlines()[0]}"]
    finally:
        page.close()
    problems += [f"equation not typeset: {text}" for text in seen["raw"]]
    problems += [f"equation with an error: {text}" for text in seen["broken"]]
    problems += [f"image not drawn: {source}" for source in seen["images"]]
    problems += [f"image without words: {path}" for path in seen["unnamed"]]
    problems += [
        f"barrier, {rule}: {html}"
        for rule, target, html in barriers
        if (rule, target) not in NOT_OURS
    ]
    return seen, problems


def _open_some(
    base: str, screenshots: Path | None, names: list[str]
) -> dict[str, tuple[dict, list[str]]]:
    """Open pages one after another in a browser of their own; page -> what `_open` returns."""
    if not names:
        return {}
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        browser = chrome.new_context(viewport={"width": 1280, "height": 900})
        return {
            name: _open(
                browser, base, name, screenshots and screenshots / Path(name).with_suffix(".png")
            )
            for name in names
        }


def _dead_links(base: str, seen: dict[str, dict]) -> Iterator[tuple[str, str]]:
    """Yield (page, problem) for each local link to a page or an anchor that is not there."""
    for name, page in seen.items():
        for link in dict.fromkeys(page.get("links", [])):
            address, anchor = urldefrag(urljoin(base + name, link))
            target = unquote(urlsplit(address).path).lstrip("/")
            if not address.startswith(base) or target not in seen:
                continue  # elsewhere, or a file to download: `check` looks at those
            if anchor and unquote(anchor) not in seen[target].get("anchors", []):
                yield name, f"link to a missing anchor: {link}"


def _same_titles(seen: dict[str, dict]) -> Iterator[tuple[str, str]]:
    by_title = defaultdict(list)
    for name, page in seen.items():
        if name not in GENERATED:
            by_title[page.get("title", "")].append(name)
    for title, names in by_title.items():
        if len(names) > 1 or not title.strip():
            yield from ((name, f"title not its own: {title!r}") for name in names)


def check(folder: Path, screenshots: Path | None = None) -> dict[str, list[str]]:
    """Open every page below `folder`; returns page -> problems, empty lists for good pages."""
    names = pages(folder)
    with serve(folder) as base, ThreadPoolExecutor() as pool:
        open_some = partial(_open_some, base, screenshots)
        parts = pool.map(open_some, [names[i::BROWSERS] for i in range(BROWSERS)])
        opened = {name: result for part in parts for name, result in part.items()}
        seen = {name: opened[name][0] for name in names}
        problems = {name: opened[name][1] for name in names}
        for name, problem in [*_dead_links(base, seen), *_same_titles(seen)]:
            problems[name].append(problem)
        for name in names:
            for link in dict.fromkeys(seen[name].get("links", [])):
                target = unquote(urlsplit(link).path).lstrip("/")
                if link.startswith(base) and not (folder / target).exists():
                    problems[name].append(f"link to a missing file: {target}")
    return problems


def main() -> int:
    """Print the problems; exit status 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("_build/html"))
    parser.add_argument("--screenshots", type=Path, help="write a picture of every page here")
    options = parser.parse_args()
    if not pages(options.folder):
        sys.exit(f"No pages in {options.folder}: build the book first (`make book`)")
    problems = check(options.folder, options.screenshots)
    for name, found in problems.items():
        print(f"{name}: {'ok' if not found else ''}")
        for problem in found:
            print(f"    {problem}")
    return int(any(problems.values()))


if __name__ == "__main__":
    sys.exit(main())
