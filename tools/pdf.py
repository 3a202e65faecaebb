"""Print built pages as PDF: the whole book in its order, or the cheat sheet.

    python tools/pdf.py book         # _build/pdf/book.pdf, from _build/html
    python tools/pdf.py cheatsheet   # _build/pdf/cheatsheet.pdf, one page

Chromium prints, driven by playwright; pypdf puts the pages together, with an outline and page
numbers, and makes links between pages lead inside the file.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urlsplit

import yaml
from playwright.sync_api import Browser
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import ArrayObject, Fit, NameObject

from seqattn.book.contents import pages

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "site"))

from check_site import started  # noqa: E402

SHEET = ROOT / "book/appendix/cheatsheet.html"
MARGIN = {"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"}
# What a whole book on paper needs beside the page's own rules for print (css/print.css).
PAPER = """
* { animation: none !important; transition: none !important; }
html { font-size: 13px !important; }
#jb-print-toc, .bd-sidebar, .bd-header, .bd-header-article, .prev-next-area,
.bd-footer { display: none !important; }
.bd-main .bd-content .bd-article-container { max-width: none !important; padding: 0 !important; }
"""
# Solutions unfold; long tables print whole by their own rules. Once equations, fonts and pictures
# are there, what is wider than the paper shrinks, and a short table is kept on one sheet.
SETTLE = """async () => {
  document.querySelectorAll("details:not(.hide)").forEach(e => e.open = true);
  document.querySelectorAll(".toggle-hidden").forEach(e => e.classList.remove("toggle-hidden"));
  for (const image of document.images) image.loading = "eager";
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  await document.fonts.ready;
  await Promise.all([...document.images].map(i => i.decode().catch(() => null)));
  for (const e of document.querySelectorAll("table, mjx-container[display='true'], .playground")) {
    const inner = e.querySelector("mjx-math")?.getBoundingClientRect().width ?? 0;
    const ratio = e.parentElement.clientWidth / Math.max(inner, e.scrollWidth);
    if (ratio && ratio < 1) e.style.zoom = Math.max(0.35, ratio);
    if (e.rows && e.rows.length < 20) e.style.breakInside = "avoid";
  }
}"""


class Printed(NamedTuple):
    """One page of the book: where it was, what it is called, in which part, and its PDF."""

    path: Path
    title: str
    part: str
    pdf: bytes


def print_page(chrome: Browser, path: Path, css: str = PAPER) -> tuple[str, bytes]:
    """Print one HTML file on A4; returns its title and the PDF."""
    page = chrome.new_page(viewport={"width": 720, "height": 1000})
    page.set_default_timeout(180_000)  # a busy machine is not a fault of the page
    try:
        page.emulate_media(media="print")
        page.goto(path.resolve().as_uri(), wait_until="load")
        if css:
            page.add_style_tag(content=css)
        page.evaluate(SETTLE)
        heading = page.locator("h1").first
        title = heading.inner_text().rstrip("#").strip() if heading.count() else page.title()
        pdf = page.pdf(format="A4", print_background=True, prefer_css_page_size=True, margin=MARGIN)
        return title, pdf
    finally:
        page.close()


def merged(pages: Sequence[Printed]) -> PdfWriter:
    """Put printed pages together, with an outline of parts and titles and links inside the file."""
    writer, starts, parts = PdfWriter(), {}, {}
    for page in pages:
        starts[page.path.resolve()] = len(writer.pages)
        reader = PdfReader(io.BytesIO(page.pdf))
        for sheet in reader.pages:
            writer.add_page(sheet)
        at = starts[page.path.resolve()]
        if page.part and page.part not in parts:
            parts[page.part] = writer.add_outline_item(title=page.part, page_number=at)
        writer.add_outline_item(title=page.title, page_number=at, parent=parts.get(page.part))
    for number, sheet in enumerate(writer.pages):
        _lead_inside(writer, number, sheet, starts)
    return writer


def _lead_inside(writer: PdfWriter, number: int, sheet, starts: dict[Path, int]) -> None:
    """Replace links to files: those to pages of the book lead to them, others go."""
    kept = ArrayObject()
    inside = []
    for reference in sheet.get("/Annots") or ():
        link = reference.get_object()
        target = str((link.get("/A") or {}).get("/URI", ""))
        if not target.startswith("file:"):
            kept.append(reference)
            continue
        path = Path(unquote(urlsplit(urldefrag(target)[0]).path))
        if path in starts:
            inside.append((link["/Rect"], starts[path]))
    if "/Annots" in sheet:
        sheet[NameObject("/Annots")] = kept
    for rect, start in inside:
        writer.add_annotation(number, Link(rect=rect, target_page_index=start, fit=Fit("/Fit")))


def number_pages(writer: PdfWriter, chrome: Browser) -> None:
    """Print page numbers on the sheets."""
    html = "".join(f"<div>{n}</div>" for n in range(1, len(writer.pages) + 1))
    css = (
        "@page{size:A4;margin:0} body{margin:0} div{height:297mm;break-after:page;box-sizing:"
        "border-box;padding-top:284mm;text-align:center;font:9pt sans-serif;color:#555}"
    )
    page = chrome.new_page()
    page.set_content(f"<style>{css}</style>{html}")
    numbers = PdfReader(io.BytesIO(page.pdf(format="A4", prefer_css_page_size=True)))
    page.close()
    for sheet, number in zip(writer.pages, numbers.pages, strict=False):
        sheet.merge_page(number)


def write(writer: PdfWriter, path: Path) -> Path:
    """Write a PDF and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.compress_identical_objects()
    with path.open("wb") as file:
        writer.write(file)
    return path


def book(html: Path, toc: dict, output: Path) -> Path:
    """Print a built book, `html` being the folder of its pages, in the order of `toc`."""
    wanted = [(html / f"{file}.html", part) for file, part in pages(toc)]
    missing = [str(path) for path, _ in wanted if not path.is_file()]
    if missing:
        raise SystemExit(f"Not built: {', '.join(missing)}; run `make book` first")
    printed = []
    with started() as chrome:
        for number, (path, part) in enumerate(wanted, 1):
            print(f"\rprinting {number} of {len(wanted)} pages", end="", flush=True)
            title, pdf = print_page(chrome, path)
            printed.append(Printed(path, title, part, pdf))
        print()
        writer = merged(printed)
        number_pages(writer, chrome)
    return write(writer, output)


def cheatsheet(output: Path, sheet: Path = SHEET) -> Path:
    """Print the cheat sheet."""
    mathjax = Path(files("sphinx-mathjax-offline")) / "static/mathjax/tex-chtml.js"
    text = sheet.read_text(encoding="utf-8").replace("MATHJAX", mathjax.as_uri())
    output.parent.mkdir(parents=True, exist_ok=True)
    page = output.with_suffix(".html")
    page.write_text(text, encoding="utf-8")
    with started() as chrome:
        _, pdf = print_page(chrome, page, css="")
    page.unlink()
    output.write_bytes(pdf)
    return output


def main(arguments: list[str] | None = None) -> int:
    """Print what is asked for and say where it lies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["book", "cheatsheet"])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args(arguments)
    output = options.output or ROOT / f"_build/pdf/{options.what}.pdf"
    if options.what == "cheatsheet":
        print(f"The sheet: {cheatsheet(output)}")
        return 0
    contents = ROOT / "_build/_toc.yml"
    if not contents.is_file():
        raise SystemExit("The book is not built: run `make book` first")
    toc = yaml.safe_load(contents.read_text(encoding="utf-8"))
    print(f"The book: {book(ROOT / '_build/html', toc, output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
