"""The house keeps its order: a room imports only rooms below it, and nothing runs in a circle."""

from __future__ import annotations

import ast
import re

import pytest

from seqattn.files import ROOT
from tools import house

GRAPH = house.imports(house.ROOT)


def test_every_room_has_its_place_in_the_order():
    assert set(house.rooms(GRAPH)) == set(house.ROOMS)


def test_a_room_imports_only_rooms_below_it():
    floor = {name: at for at, name in enumerate(house.ROOMS)}
    climbs = [
        f"{name} imports {target}"
        for name, targets in GRAPH.items()
        for target in targets
        if floor.get(house.room(target), len(floor)) > floor[house.room(name)]
    ]
    assert not climbs


def test_no_imports_run_in_a_circle_between_rooms_or_files():
    assert house.circle(house.rooms(GRAPH)) == house.circle(GRAPH) == []


@pytest.fixture
def small(tmp_path):
    """A package of four modules; the function in `files` closes a circle."""
    sources = {
        "__init__": "from seqattn.stats import mean",
        "files": "def later():\n    from .stats import mean",
        "stats/__init__": "from .means import mean",
        "stats/means": "import numpy\nfrom .. import files",
    }
    for name, source in sources.items():
        path = tmp_path / "src" / "seqattn" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path


def test_imports_inside_functions_and_relative_ones_are_seen(small):
    assert house.imports(small) == {
        "seqattn": {"seqattn.stats"},
        "seqattn.files": {"seqattn.stats"},
        "seqattn.stats": {"seqattn.stats.means"},
        "seqattn.stats.means": {"seqattn.files"},
    }


def test_a_circle_is_found(small):
    graph = house.imports(small)
    assert set(house.circle(house.rooms(graph))) == {"files", "stats"}
    assert set(house.circle(graph)) == {"seqattn.files", "seqattn.stats", "seqattn.stats.means"}


def test_no_docstring_has_bars_that_the_api_page_reads_as_a_substitution():
    """Sphinx stops at ``|x|`` outside of code; a full build tells as well, minutes later."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                prose = re.sub(r"``.*?``|`[^`]*`", "", ast.get_docstring(node) or "", flags=re.S)
                bars = re.findall(r"\|[^\s|](?:[^|\n]*[^\s|])?\|(?!\w)", prose)
                found += [f"{path.name}: {bar}" for bar in bars]
    assert found == []
