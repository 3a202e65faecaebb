"""Turn the foundations and executed notebooks into slides that need no network.

    python tools/slides.py                    # what `make slides` does
    python tools/slides.py PAGE... -o FOLDER  # notebooks, or Markdown

A heading begins a slide, and the browser that shows it moves what does not fit to slides below
it (`slides_template/index.html.j2`). Code and solutions are folded, glued numbers are put in,
playgrounds are pictures, and links lead to the built book. reveal.js comes out of the package
sphinx-revealjs and MathJax out of sphinx-mathjax-offline; both are copied beside the slides.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import mimetypes
import posixpath
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat
from myst_nb.core.variables import format_plain_text
from nbconvert.exporters import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from pybtex.database import BibliographyData, parse_file

from seqattn.book.contents import contents, pages

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = Path(__file__).with_name("slides_template")
LECTURED = ("book/foundations/", "book/runs/ml-100k/", "book/studies/")
STATIC = ("book/_static/js", "book/appendix/generated/static")  # a page's _static, see _config.yml
FENCE = re.compile(r"^(`{3,}|:{3,})\{([\w-]+)\}[ ]*([^\n]*)\n(.*?)^\1[ ]*$", re.M | re.S)
ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
STILL = re.compile(r'<noscript><img src="[^"]*_static/([^"]+)" alt="([^"]*)"')
EQUATION = re.compile(r"^\$\$ \(([\w-]+)\)$", re.M)
FIGURE = re.compile(r"^:name: ([\w-]+)$", re.M)
HEADING = re.compile(r"^#{1,3} ")
Labels = Mapping[str, tuple[str, str]]  # label -> number and address of an equation or figure


def glued(nb: NotebookNode) -> dict[str, str]:
    """Return what a notebook has glued, name -> the value's text."""
    kept = {}
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if known := output.get("metadata", {}).get("scrapbook"):
                kept[known["name"]] = output["data"][known["mime_prefix"] + "text/plain"]
    return kept


def numbers(root: Path, toc: Mapping[str, Any]) -> Labels:
    """Return number and address of the book's labelled equations and figures, as Sphinx counts."""
    numbered = [part["chapters"] for part in toc["parts"] if part.get("numbered")]
    chapters = [toc["root"], *(page["file"] for part in numbered for page in part)]
    known: dict[str, tuple[str, str]] = {}
    for chapter, file in enumerate(chapters):
        path = written(root, file)
        text = markdown_of(path) if path else ""
        before = f"{chapter}." if chapter else ""
        for number, label in enumerate(EQUATION.findall(text), 1):
            known[label] = f"({before}{number})", f"../html/{file}.html#equation-{label}"
        for number, label in enumerate(FIGURE.findall(text), 1):
            known[label] = f"Fig. {before}{number}", f"../html/{file}.html#{label}"
    return known


def written(root: Path, file: str) -> Path | None:
    """Return the Markdown or executed notebook of an entry of the contents, if it is there."""
    paths = (root / f"{file}{suffix}" for suffix in (".md", ".ipynb"))
    return next(filter(Path.is_file, paths), None)


def markdown_of(path: Path) -> str:
    """Return what is written as Markdown in a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def cited(keys: str, bibliography: BibliographyData, in_text: bool) -> str:
    """Return the authors and years of citations: ``Ba et al. (2016)``, or all in brackets."""
    names = []
    for key in keys.split(","):
        entry = bibliography.entries[key.strip()]
        people = [" ".join(person.last_names) for person in entry.persons["author"]]
        who = f"{people[0]} et al." if len(people) > 2 else " and ".join(people)
        year = entry.fields["year"]
        names.append(f"{who} ({year})" if in_text else f"{who}, {year}")
    return "; ".join(names) if in_text else f"({'; '.join(names)})"


def picture(path: Path, alt: str) -> str:
    """Return an image as HTML that holds the file itself."""
    kind, _ = mimetypes.guess_type(path.name)
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img class="figure" alt="{html.escape(alt)}" src="data:{kind};base64,{data}">'


@dataclass(frozen=True)
class Page:
    """What the slides of a page need to know of the book, and its MyST as plain Markdown.

    Attributes
    ----------
    path
        The page in the repository, ``book/studies/levels.ipynb``.
    bibliography
        The works that can be cited.
    root
        The repository.
    values
        What the page has glued, name -> text.
    numbers
        The labels of the book, as `numbers` returns them.
    """

    path: str
    bibliography: BibliographyData
    root: Path = ROOT
    values: Mapping[str, str] = field(default_factory=dict)
    numbers: Labels = field(default_factory=dict)

    def plain(self, text: str) -> str:
        """Write MyST as the Markdown that nbconvert knows."""
        text = re.sub(r"!\[([^\]]*)\]\(([^)\s]+)\)", self._image, text)
        text = re.sub(r"\]\(([\w-]+)\)", r"](#\1)", text)  # a label of the page
        text = re.sub(r"\]\(([^)\s]+)\)", lambda found: f"]({self.address(found[1])})", text)
        text = FENCE.sub(self._fence, text)
        text = EQUATION.sub(self._tag, text)
        text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.M)
        return ROLE.sub(self._role, text)

    def address(self, target: str) -> str:
        """Return where a link of the page leads from the slides: to the built book, or the web."""
        if re.match(r"\w+:", target):
            return target
        path, _, anchor = target.partition("#")
        path = path or posixpath.basename(self.path)
        stem = re.sub(r"\.(md|ipynb)$", "", posixpath.join(posixpath.dirname(self.path), path))
        return f"../html/{posixpath.normpath(stem)}.html" + (f"#{anchor}" if anchor else "")

    def _beside(self, target: str) -> Path:
        path = (self.root / self.path).parent / target
        if not path.is_file():
            raise SystemExit(f"{self.path}: there is no image {target!r}")
        return path

    def _image(self, found: re.Match) -> str:
        is_local = not re.match(r"\w+:", found[2])
        return picture(self._beside(found[2]), found[1]) if is_local else found[0]

    def _tag(self, found: re.Match) -> str:
        number, _ = self.numbers.get(found[1], ("", ""))
        return f"\\tag{{{number.strip('()')}}}\n$$" if number else "$$"

    def _fence(self, found: re.Match) -> str:
        _, kind, title, body = found.groups()
        if kind == "raw":
            return self._playground(body)
        alt = re.search(r"^:alt: (.*)$", body, re.M)
        body = re.sub(r"^:[\w-]+:.*\n", "", body, flags=re.M).strip()
        if kind == "figure":
            image = picture(self._beside(title.strip()), alt[1] if alt else "")
            return f"<figure>\n\n{image}\n\n{body}\n\n</figure>"
        if kind == "admonition":
            return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
        return "> " + body.replace("\n", "\n> ")

    def _playground(self, body: str) -> str:
        """Return a playground as it starts, or a link alone where its picture was not drawn."""
        line = f"[The figure on the book's page]({self.address('')}) moves when touched."
        if still := STILL.search(body):
            for path in (self.root / folder / still[1] for folder in STATIC):
                if path.is_file():
                    image = picture(path, html.unescape(still[2]))
                    return f"<figure>\n\n{image}\n\n{line}\n\n</figure>"
        return line

    def _role(self, found: re.Match) -> str:
        kind, body = found.groups()
        if kind == "glue:text":
            name, _, form = body.partition(":")
            if name not in self.values:
                raise SystemExit(f"{self.path}: {name!r} is not glued; run the notebook again")
            return format_plain_text(self.values[name], form or "s")
        if kind.startswith("cite"):
            return cited(body, self.bibliography, in_text=kind == "cite:t")
        if kind in ("eq", "numref"):
            number, target = self.numbers.get(body, ("", ""))
            thing = "the equation" if kind == "eq" else "the figure"
            return f"[{number}]({target})" if number else thing
        name, _, target = body.partition("<")
        if kind == "doc":
            target = target.rstrip(">") or body
            words = name.strip() if name != body else posixpath.basename(target).replace("_", " ")
            return f"[{words}]({self.address(target)})"
        return name.strip()


def sections(text: str) -> list[str]:
    """Cut Markdown before each heading, but not in code."""
    cut, is_code = [""], False
    for line in text.splitlines(keepends=True):
        is_code ^= line.startswith("```")
        if HEADING.match(line) and not is_code:
            cut.append("")
        cut[-1] += line
    return [section.strip() for section in cut if section.strip()]


def _shown(cell: NotebookNode) -> bool:
    """Leave a code cell with the outputs that a reader of the book sees; False if nothing is."""
    cell.outputs = [
        output
        for output in cell.outputs
        if not output.get("metadata", {}).get("scrapbook") and output.get("name") != "stderr"
    ]
    is_helper = "hide-input" in cell.metadata.get("tags", [])
    return bool(cell.outputs or (re.search(r"^def ", cell.source, re.M) and not is_helper))


def arranged(nb: NotebookNode, page: Page) -> NotebookNode:
    """Return a notebook whose cells say which slide each is on."""
    cells: list[NotebookNode] = []
    for cell in nb.cells:
        if cell.cell_type == "code" and _shown(cell):
            cells.append(cell)
        if cell.cell_type == "markdown":
            cells += map(new_markdown_cell, sections(page.plain(cell.source)))
    for cell in cells:
        heading = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        deeper = "subslide" if heading and len(heading[0]) > len("## ") else "slide"
        cell.metadata["slideshow"] = {"slide_type": deeper if heading else "-"}
    nb.cells = cells
    return nb


def read(path: Path) -> NotebookNode:
    """Read a notebook, or a Markdown file as one of a single cell."""
    if path.suffix == ".md":
        return new_notebook(cells=[new_markdown_cell(path.read_text(encoding="utf-8"))])
    return nbformat.read(path, as_version=4)


def deck(path: Path, bibliography: BibliographyData, known: Labels) -> tuple[str, str]:
    """Return the title of a page and its slides as HTML; `known` is what `numbers` returns."""
    nb, path = read(path), path.resolve()
    root = ROOT if path.is_relative_to(ROOT) else path.parent
    page = Page(path.relative_to(root).as_posix(), bibliography, root, glued(nb), known)
    nb = arranged(nb, page)
    title = nb.cells[0].source.partition("\n")[0].lstrip("# ").replace("\\", "")
    nb.metadata["title"] = title
    exporter = SlidesExporter(
        template_name=TEMPLATE.name,
        extra_template_basedirs=[str(TEMPLATE.parent)],
        reveal_url_prefix="reveal",
        reveal_theme="white",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    resources = {
        "slides_css": (TEMPLATE / "slides.css").read_text(encoding="utf-8"),
        "page_address": page.address("") if root == ROOT else "",
    }
    text, _ = exporter.from_notebook_node(nb, resources=resources)
    return title, text.replace("reveal/dist/", "reveal/")


def copy_scripts(folder: Path) -> None:
    """Copy reveal.js, and of MathJax what the slides use, into a folder."""
    reveal = Path(files("sphinx_revealjs")) / "_static/revealjs/dist"
    mathjax = Path(files("sphinx-mathjax-offline")) / "static/mathjax"
    for path in ("reveal.js", "reveal.css", "theme/white.css", "theme/fonts"):
        _copy(reveal / path, folder / "reveal" / path)
    for path in ("tex-chtml.js", "input/tex/extensions", "output/chtml/fonts"):
        _copy(mathjax / path, folder / "mathjax" / path)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def index(decks: Iterable[tuple[str, str, str]]) -> str:
    """Return a page that links decks, given as (part of the book, file, title) in their order."""
    lists = []
    for part, group in groupby(decks, key=lambda known: known[0]):
        items = [f'<li><a href="{file}">{html.escape(title)}</a></li>' for _, file, title in group]
        lists += [f"<h2>{html.escape(part)}</h2>" if part else "", "<ol>", *items, "</ol>"]
    body = "\n".join(lists)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Slides</title></head>'
        f'<body style="font: 1.2em sans-serif; margin: 2em">\n<h1>Slides</h1>\n{body}\n'
        "</body></html>\n"
    )


def lectured(root: Path, toc: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Return the pages that have slides and are there, in the book's order, as (part, path)."""
    wanted = [(part, file) for file, part in pages(toc) if file.startswith(LECTURED)]
    found = [(part, written(root, file)) for part, file in wanted]
    return [(part, path) for part, path in found if path]


def main(arguments: list[str] | None = None) -> int:
    """Write the slides, and a page that links them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path, nargs="*", help="default: the book's, as far as run")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "_build/slides")
    options = parser.parse_args(arguments)
    toc = contents(ROOT)
    chosen = [("", path) for path in options.pages] or lectured(ROOT, toc)
    if all(path.suffix == ".md" for _, path in chosen) and not options.pages:
        print("No executed notebooks under book/runs or book/studies: `make book` runs them")
    copy_scripts(options.output)
    bibliography, known = parse_file(str(ROOT / "book/references.bib")), numbers(ROOT, toc)
    decks = []
    for part, path in chosen:
        title, text = deck(path, bibliography, known)
        (options.output / f"{path.stem}.html").write_text(text, encoding="utf-8")
        decks.append((part, f"{path.stem}.html", title))
    (options.output / "index.html").write_text(index(decks), encoding="utf-8")
    print(f"The slides: {options.output / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
