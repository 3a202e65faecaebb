"""Measure the house: its rooms, what imports what, and what a newcomer must read.

    python tools/house.py                 # the working tree
    python tools/house.py --json HEAD~1   # a git revision

A room is a folder or file at the top of ``src/seqattn``. An arrow goes from a room to one that it
imports; imports inside functions and under ``if TYPE_CHECKING`` count like all others.
`tests/test_house.py` holds the order of rooms with the same functions.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "seqattn"
# From the ground up: a room imports only rooms before it. The last one is the package's own
# `__init__`, its front door.
ROOMS = (
    *(
        "errors",
        "config",
        "presets",
        "files",
        "stats",
        "data",
        "models",
        "plots",
        "training",
        "audit",
    ),
    *("recbole", "runs", "search", "analysis", "studies", "book", "cli", "__init__"),
)
HIDDEN = {"hide-input", "remove-input", "remove-cell"}
RECIPES = ("injection", "dataset", "study", "statistic")
Graph = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Return every module of the package by its dotted name; a package's is its folder's."""
    found = {}
    for path in sorted((root / "src" / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root / "src").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    """Return the room that a module is in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(root: Path) -> Graph:
    """Return which modules of the package each module imports, itself left out."""
    known = modules(root)
    return {name: set(_imported(name, path, known)) - {name} for name, path in known.items()}


def _imported(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                if module in known or inner in known:
                    yield inner if inner in known else module


def rooms(graph: Graph) -> Graph:
    """Return the graph of rooms of a graph of modules."""
    arrows: Graph = {room(name): set() for name in graph}
    for name, targets in graph.items():
        arrows[room(name)] |= {room(target) for target in targets} - {room(name)}
    return arrows


def circles(graph: Graph) -> list[set[str]]:
    """Return every set of two or more nodes that can all reach each other."""
    reach = {node: _reached(graph, node) for node in graph}
    found = {frozenset(m for m in reach[n] if n in reach[m]) for n in graph if n in reach[n]}
    return sorted((set(circle) for circle in found), key=sorted)


def _reached(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += graph[node]
    return seen


def longest_chain(graph: Graph) -> int:
    """Return how many nodes the longest chain of imports has; a circle is one step of it."""
    step = {node: node for node in graph}
    step |= {node: min(circle) for circle in circles(graph) for node in circle}
    merged: Graph = {node: set() for node in step.values()}
    for node, targets in graph.items():
        merged[step[node]] |= {step[target] for target in targets} - {step[node]}
    depth: dict[str, int] = {}
    for node in TopologicalSorter(merged).static_order():
        depth[node] = 1 + max((depth[target] for target in merged[node]), default=0)
    return max(depth.values())


def upward(graph: Graph) -> list[str]:
    """Return the arrows between rooms that climb, as ``room -> room``.

    In a house that has all of `ROOMS` they climb against that order, any other room standing above
    them; else, as in revisions before the order was made, against the order that leaves the fewest.
    """
    arrows = rooms(graph)
    order = _best_order(arrows)
    if set(ROOMS) <= set(arrows):
        order = [*ROOMS, *(name for name in order if name not in ROOMS)]
    floor = {name: at for at, name in enumerate(order)}
    pairs = ((a, b) for a, targets in arrows.items() for b in targets if floor[b] > floor[a])
    return sorted(f"{a} -> {b}" for a, b in pairs)


def _best_order(arrows: Graph) -> list[str]:
    """Return an order of all nodes, imported first, with the fewest arrows against it."""
    tangled = {node: circle for circle in circles(arrows) for node in circle}
    order: list[str] = []
    waiting = set(arrows)
    while waiting:
        for node in sorted(waiting):
            group = tangled.get(node, {node})
            if not set(chain(*(arrows[n] for n in group))) & (waiting - group):
                order += _untangled(arrows, group)
                waiting -= group
                break
    return order


def _untangled(arrows: Graph, circle: set[str]) -> list[str]:
    """Return the best order of a circle, by dynamic programming over its subsets."""
    best: dict[frozenset[str], tuple[int, list[str]]] = {frozenset(): (0, [])}
    for _ in circle:
        longer: dict[frozenset[str], tuple[int, list[str]]] = {}
        for placed, (cost, order) in best.items():
            for node in circle - placed:
                key = placed | {node}
                climbs = cost + len(arrows[node] & (circle - key))
                if key not in longer or climbs < longer[key][0]:
                    longer[key] = climbs, [*order, node]
        best = longer
    return best[frozenset(circle)][1]


def hidden_share(root: Path) -> float:
    """Return the share, in percent, of the notebooks' lines of code that stand in hidden cells."""
    lines = {True: 0, False: 0}
    for path in sorted((root / "notebooks").rglob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                hidden = bool(HIDDEN & set(cell["metadata"].get("tags", ())))
                source = "".join(cell["source"])
                lines[hidden] += sum(1 for line in source.splitlines() if line.strip())
    return round(100 * lines[True] / max(1, sum(lines.values())), 1)


def recipe(root: Path, subject: str) -> str:
    """Return the section "Add a ..." of CONTRIBUTING.md; empty if there is none."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"^## Add an? {subject}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def files_to_read(root: Path, subject: str) -> list[str] | None:
    """Return the files in src and notebooks that a recipe names; None if there is no recipe."""
    text = recipe(root, subject)
    named = re.findall(r"\b((?:src|notebooks)/[\w/.-]+\.(?:py|ya?ml|ipynb))", text)
    return sorted(set(named)) if text else None


def measure(root: Path) -> dict[str, object]:
    """Return all measures of the tree under a folder, by what they are called in the table."""
    graph = imports(root)
    arrows = rooms(graph)
    lines = {
        name: len(path.read_text(encoding="utf-8").splitlines())
        for name, path in modules(root).items()
    }
    library = sum(n for name, n in lines.items() if room(name) != "studies")
    reading = {subject: files_to_read(root, subject) for subject in RECIPES}
    return {
        "files in src": len(lines),
        "lines of src": sum(lines.values()),
        "lines without studies/": library,
        "rooms": len(arrows),
        "arrows between rooms": sum(map(len, arrows.values())),
        "deepest chain, rooms": longest_chain(arrows),
        "deepest chain, files": longest_chain(graph),
        "upward arrows": upward(graph),
        "circles of rooms": [sorted(circle) for circle in circles(arrows)],
        "circles of files": [sorted(circle) for circle in circles(graph)],
        "hidden notebook code, %": hidden_share(root),
        **{f"files to read, {subject}": reading[subject] for subject in RECIPES},
    }


def measure_revision(revision: str) -> dict[str, object]:
    """Return all measures of a git revision."""
    command = ["git", "archive", revision, "src", "notebooks", "CONTRIBUTING.md"]
    packed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(folder, filter="data")
        return measure(Path(folder))


def table(measures: Mapping[str, object]) -> str:
    """Return the measures as lines of text; of a list, its length and what is in it."""
    return "\n".join(f"{name:<26}{_text(value)}" for name, value in measures.items())


def _text(value: object) -> str:
    if value is None:
        return "no recipe"
    if not isinstance(value, list):
        return f"{value:,}"
    told = "; ".join(", ".join(v) if isinstance(v, list) else v for v in value)
    return f"{len(value)}  ({told})" if value else "0"


def main() -> None:
    """Print the measures of the working tree, or of a revision."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revision", nargs="?", help="a git revision; else the working tree")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    measures = measure_revision(options.revision) if options.revision else measure(ROOT)
    print(json.dumps(measures, indent=2) if options.json else table(measures))


if __name__ == "__main__":
    main()
