"""Turn executed notebooks into slides that need no network.

    python tools/slides.py                        # what `make slides` does
    python tools/slides.py NOTEBOOK... -o FOLDER

A ``##`` begins a slide; what does not fit goes below it, each figure on a slide of its own. Code
and solutions are folded, glued numbers are put in, tables are cut to their first rows, and links
lead to the built book. reveal.js comes out of the package sphinx-revealjs and MathJax out of
sphinx-mathjax-offline; both are copied beside the slides.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from myst_nb.core.variables import format_plain_text
from nbconvert.exporters import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from pybtex.database import BibliographyData, parse_file

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = Path(__file__).with_name("slides_template")
TEXT = 900  # characters of prose on a slide
ROWS = 10  # rows of a table on a slide
FENCE = re.compile(r"^(`{3,}|:{3,})\{([\w-]+)\}[ ]*([^\n]*)\n(.*?)^\1[ ]*$", re.M | re.S)
ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")


def glued(nb: NotebookNode) -> dict[str, str]:
    """Return what a notebook has glued, name -> the value's text."""
    kept = {}
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if known := output.get("metadata", {}).get("scrapbook"):
                kept[known["name"]] = output["data"][known["mime_prefix"] + "text/plain"]
    return kept


def address(target: str, page: str) -> str:
    """Return where a link of a book's page leads from the slides.

    Parameters
    ----------
    target
        As the page has it: relative to the page, or an address of the web.
    page
        The page's path in the repository, ``book/studies/levels.ipynb``.
    """
    if re.match(r"\w+:|#", target):
        return target
    path, _, anchor = target.partition("#")
    stem = re.sub(r"\.(md|ipynb)$", "", posixpath.join(posixpath.dirname(page), path))
    return f"../html/{posixpath.normpath(stem)}.html" + (f"#{anchor}" if anchor else "")


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


def plain_markdown(
    text: str, values: Mapping[str, str], bibliography: BibliographyData, page: str
) -> str:
    """Write MyST as the Markdown that nbconvert knows; `values` are the glued ones."""

    def fence(match: re.Match) -> str:
        _, kind, title, body = match.groups()
        if kind == "raw":
            own = address(posixpath.basename(page), page)
            return f"[The figure on the book's page]({own}) moves when touched."
        body = re.sub(r"^:[\w-]+:.*\n", "", body, flags=re.M).strip()
        if kind == "admonition":
            return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
        return "> " + body.replace("\n", "\n> ")

    def role(match: re.Match) -> str:
        kind, body = match.groups()
        if kind == "glue:text":
            name, _, form = body.partition(":")
            if name not in values:
                raise SystemExit(f"{page}: {name!r} is not glued; run the notebook again")
            return format_plain_text(values[name], form or "s")
        if kind.startswith("cite"):
            return cited(body, bibliography, in_text=kind == "cite:t")
        name, _, target = body.partition("<")
        if kind == "doc":
            target = target.rstrip(">") or body
            words = name.strip() if name != body else posixpath.basename(target).replace("_", " ")
            return f"[{words}]({address(target, page)})"
        return "the equation" if kind in ("eq", "numref") else name.strip()

    def link(match: re.Match) -> str:
        return f"]({address(match[1], page)})"

    text = re.sub(r"\]\(([^)\s]+)\)", link, text)
    text = FENCE.sub(fence, text)
    text = re.sub(r"^\$\$ \([\w-]+\)$", "$$", text, flags=re.M)
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.M)
    return ROLE.sub(role, text)


def blocks(text: str) -> list[str]:
    """Cut Markdown at blank lines, but not inside code, an equation or something folded."""
    whole: list[str] = []
    for part in re.split(r"\n{2,}", text.strip()):
        before = whole[-1] if whole else ""
        is_open = (
            before.count("<details") > before.count("</details")
            or len(re.findall(r"^```", before, re.M)) % 2
            or before.count("$$") % 2
        )
        if is_open:
            whole[-1] = f"{before}\n\n{part}"
        elif part.strip():
            whole.append(part)
    return whole


def weight(block: str) -> int:
    """Return about how much room a block takes, in characters of prose."""
    if block.startswith("<details"):
        return 80  # folded
    if block.startswith("```"):
        return 80 * (block.count("\n") + 1)
    lines = sum(90 * -(-len(line) // 90) for line in block.splitlines())
    return lines + (150 if "$$" in block else 60)


def short_table(html: str) -> str:
    """Keep the first rows of each table, and say how many are left out."""
    soup = BeautifulSoup(html, "html.parser")
    for body in soup.find_all("tbody"):
        rows = body.find_all("tr", recursive=False)
        if len(rows) <= ROWS + 2:
            continue
        for cell in body.find_all(rowspan=True):
            at = rows.index(cell.find_parent("tr"))
            cell["rowspan"] = str(min(int(cell["rowspan"]), max(1, ROWS - at)))
        for row in rows[ROWS:]:
            row.decompose()
        note = soup.new_tag("p", attrs={"class": "more"})
        note.string = f"and {len(rows) - ROWS} more rows on the book's page"
        body.find_parent("table").insert_after(note)
    return str(soup)


def room_of(output: NotebookNode) -> int:
    """Return the room an output takes: a table's rows, or all, a figure having its own slide."""
    rows = output.get("data", {}).get("text/html", "").count("<tr")
    return 120 + 90 * rows if rows else TEXT


def _shown(cell: NotebookNode) -> list[NotebookNode]:
    """Return the outputs that a reader of the book sees."""
    outputs = []
    for output in cell.get("outputs", []):
        if output.get("metadata", {}).get("scrapbook") or output.get("name") == "stderr":
            continue
        if "text/html" in output.get("data", {}):
            output.data["text/html"] = short_table(output.data["text/html"])
        outputs.append(output)
    return outputs


def _typed(cell: NotebookNode, kind: str) -> NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def arranged(nb: NotebookNode, bibliography: BibliographyData, page: str) -> NotebookNode:
    """Return a notebook whose cells say which slide each is on."""
    values, cells = glued(nb), []
    heading, room = "", 0

    def begin(kind: str, title: str = "") -> None:
        nonlocal room
        room = TEXT
        words = title or f'<p class="kicker">{heading}</p>'
        cells.append(_typed(new_markdown_cell(words), kind))

    for cell in nb.cells:
        if cell.cell_type == "markdown":
            for block in blocks(plain_markdown(cell.source, values, bibliography, page)):
                if block.startswith("#"):
                    first, _, rest = block.partition("\n")
                    heading = first.lstrip("# ").strip()
                    begin("subslide" if first.startswith("###") else "slide", first)
                    if not rest.strip():
                        continue
                    block = rest.strip()
                need = weight(block)
                if room < need and room < TEXT:
                    begin("subslide")
                cells.append(_typed(new_markdown_cell(block), "-"))
                room -= need
            continue
        cell.outputs = _shown(cell)
        if cell.outputs:
            need = sum(map(room_of, cell.outputs))
            if room < need and room < TEXT:
                begin("subslide")
            room -= need
        elif not re.search(r"^def ", cell.source, re.M) or cell.cell_type == "raw":
            continue  # a set-up, or numbers for the text
        cells.append(_typed(cell, "-"))
    nb.cells = cells
    return nb


def deck(notebook: Path, page: str, bibliography: BibliographyData) -> str:
    """Return the slides of an executed notebook as HTML."""
    nb = arranged(nbformat.read(notebook, as_version=4), bibliography, page)
    nb.metadata["title"] = nb.cells[0].source.lstrip("# ").replace("\\", "")
    exporter = SlidesExporter(
        template_name=TEMPLATE.name,
        extra_template_basedirs=[str(TEMPLATE.parent)],
        reveal_url_prefix="reveal",
        reveal_theme="white",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    css = (TEMPLATE / "slides.css").read_text(encoding="utf-8")
    html, _ = exporter.from_notebook_node(nb, resources={"slides_css": css})
    return html.replace("reveal/dist/", "reveal/")


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


def contents(decks: Iterable[tuple[str, str]]) -> str:
    """Return a page that links the decks, given as (file, title)."""
    items = "\n".join(f'<li><a href="{file}">{title}</a></li>' for file, title in decks)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Slides</title></head>'
        f'<body style="font: 1.2em sans-serif; margin: 2em">\n<h1>Slides</h1>\n<ul>\n{items}\n'
        "</ul>\n</body></html>\n"
    )


def executed(root: Path) -> Iterator[Path]:
    """Yield the executed notebooks of ML-100K, then those of the studies."""
    for folder in ("book/runs/ml-100k", "book/studies"):
        yield from sorted((root / folder).glob("[!.]*.ipynb"))


def main(arguments: list[str] | None = None) -> int:
    """Write the slides, and a page that links them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", type=Path, nargs="*", help="default: all that were run")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "_build/slides")
    options = parser.parse_args(arguments)
    notebooks = options.notebooks or list(executed(ROOT))
    if not notebooks:
        raise SystemExit("No executed notebooks under book/runs or book/studies: run `make book`")
    copy_scripts(options.output)
    bibliography = parse_file(str(ROOT / "book/references.bib"))
    decks = []
    for path in notebooks:
        inside = path.resolve().is_relative_to(ROOT)
        page = str(path.resolve().relative_to(ROOT)) if inside else path.name
        html = deck(path, page, bibliography)
        target = options.output / f"{path.stem}.html"
        target.write_text(html, encoding="utf-8")
        title = re.search(r"<title>(.*?) slides</title>", html, re.S)
        decks.append((target.name, title[1] if title else path.stem))
    (options.output / "index.html").write_text(contents(decks), encoding="utf-8")
    print(f"The slides: {options.output / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
