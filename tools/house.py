"""The rooms of the house, from the ground up, and which module imports which.

A room is a folder or file at the top of ``src/seqattn``. An arrow goes from a room to one that it
imports; imports inside functions and under ``if TYPE_CHECKING`` count like all others.
`tests/test_house.py` holds the order.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "seqattn"
# From the ground up: a room imports only rooms before it. The last one is the package's own
# `__init__`, its front door.
ROOMS = (
    *(
        "errors",
        "config",
        "files",
        "stats",
        "data",
        "presets",
        "models",
        "plots",
        "training",
        "audit",
    ),
    *("recbole", "runs", "search", "analysis", "studies", "book", "cli", "__main__", "__init__"),
)
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


def circle(graph: Graph) -> list[str]:
    """Return nodes of which each imports the one before it, the first also the last; or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []
