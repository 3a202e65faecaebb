"""A user's own log, described by one YAML file that is usable wherever a dataset's name is.

name: fashion
path: fashion.csv.gz          # relative to this file; .csv, .tsv, .parquet or .inter
columns: {user: user, item: item, intensity: rating, timestamp: time}   # or order: position
intensity: {meaning: rating, unit: stars}                               # if it has one
filters: {k_core: 5}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from seqattn.config import strict
from seqattn.data.catalogue import CATALOGUE
from seqattn.data.entry import Entry
from seqattn.data.preparation import Preparation
from seqattn.data.readers import Table, read_delimited, read_parquet
from seqattn.errors import SeqattnError

__all__ = ["OwnData", "is_yaml", "read_own", "read_yaml"]

T = TypeVar("T")
_TAKEN = ("searches", "datasets", "done")  # folders of a campaign, beside the datasets' own


@dataclass(frozen=True)
class DatasetYaml:
    """Keys of the file; those without a default here must be given."""

    name: str
    path: str
    columns: dict
    title: str = ""
    intensity: dict = field(default_factory=dict)
    filters: dict = field(default_factory=dict)
    time_unit: str = "s"
    separator: str = ""


@dataclass(frozen=True)
class ColumnsYaml:
    """The file's names of our columns; an empty name is a column the log does not have."""

    user: str
    item: str
    intensity: str = ""
    timestamp: str = ""
    order: str = ""


@dataclass(frozen=True)
class IntensityYaml:
    """What the intensity is, for captions and tables."""

    meaning: str
    unit: str


@dataclass(frozen=True)
class FiltersYaml:
    """Preparation, see :class:`seqattn.data.Preparation`; ``users`` draws that many at random."""

    k_core: int = 5
    iterative: bool = True
    users: int = 0


@dataclass(frozen=True)
class OwnData:
    """A described log: its entry, the data file, and how to read it."""

    entry: Entry
    path: Path
    columns: Mapping[str, str]
    separator: str

    def in_its_words(self, message: str) -> str:
        """Return a message that names columns as the file does."""
        for theirs, ours in self.columns.items():
            if theirs != ours:
                message = message.replace(f"column {ours!r},", f"column {theirs!r} ({ours}),")
        return message


class _EachKeyOnce(yaml.SafeLoader):
    """Plain YAML, but a key given twice is an error; PyYAML takes the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping, or name the first key that comes a second time."""
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                told = f"key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(problem=told, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def is_yaml(name: str) -> bool:
    """Return whether a dataset's name is that of a YAML file."""
    return str(name).lower().endswith((".yaml", ".yml"))


def read_yaml(path: Path) -> OwnData:
    """Read and check the description of a log; the data itself is not opened.

    Raises
    ------
    SeqattnError
        The file is absent or no YAML, or a key is unknown, missing or of the wrong type.
    """
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except FileNotFoundError:
        raise SeqattnError(f"{path}: no such file; give the path of a dataset's YAML") from None
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise SeqattnError(f"{path}: cannot be read as YAML ({error})") from error
    try:
        return _checked(path, loaded)
    except SeqattnError as error:
        raise SeqattnError(f"{path}: {error}") from None


def read_own(own: OwnData) -> Table:
    """Read the log a YAML file describes.

    Raises
    ------
    SeqattnError
        The data file is absent, empty, damaged, or lacks a column.
    """
    if not own.path.is_file():
        raise SeqattnError(
            f"{own.path}: no such file; `path` in the YAML is relative to the YAML's own folder"
        )
    if own.path.suffix == ".parquet":
        return read_parquet(own.path, own.columns)
    return read_delimited(own.path, own.separator, own.columns)


def _checked(path: Path, loaded: object) -> OwnData:
    given = _section(DatasetYaml, loaded, "the file")
    columns = _section(ColumnsYaml, given.columns, "columns")
    filters = _section(FiltersYaml, given.filters, "filters")
    _check_name(given.name)
    if filters.k_core < 1 or filters.users < 0:
        raise SeqattnError(
            "filters: k_core must be at least 1, which keeps everything, and users at least 0"
        )
    if len(given.separator) > 1:
        raise SeqattnError(f"separator {given.separator!r} must be one character")
    if given.time_unit not in ("s", "ms"):
        raise SeqattnError(f"time_unit {given.time_unit!r} is unknown; use s or ms")
    if not columns.timestamp and not columns.order:
        raise SeqattnError("columns name neither a timestamp nor an order; give one of them")
    if bool(columns.intensity) != bool(given.intensity):
        raise SeqattnError(
            "an intensity needs its column, columns: {intensity: ...}, and its description, "
            "intensity: {meaning: ..., unit: ...}; give both, or neither for a log without one"
        )
    about = _section(IntensityYaml, given.intensity, "intensity") if given.intensity else None
    mapping = {theirs: ours for ours, theirs in asdict(columns).items() if theirs}
    if len(mapping) < sum(map(bool, asdict(columns).values())):
        raise SeqattnError("one column of the file serves twice under `columns`")
    entry = Entry(
        name=given.name,
        title=given.title or given.name,
        intensity=about.meaning if about else None,
        unit=about.unit if about else None,
        licence="your own data",
        time_unit=given.time_unit,
        preparation=Preparation(filters.k_core, filters.iterative, filters.users or None),
    )
    file = path.parent / given.path
    tab = not {".tsv", ".inter"}.isdisjoint(file.suffixes)
    return OwnData(entry, file, mapping, given.separator or ("\t" if tab else ","))


def _section(cls: type[T], values: Any, name: str) -> T:
    """Build one section, refusing unknown, missing and mistyped keys."""
    if not isinstance(values, Mapping):
        raise SeqattnError(f"{name} must be a mapping of keys to values, not {values!r}")
    try:
        return strict(cls, values)
    except TypeError:
        missing = [n for n, f in cls.__dataclass_fields__.items() if n not in values and _needed(f)]
        raise SeqattnError(f"{name}: key {missing[0]!r} is missing; add it") from None
    except SeqattnError as error:
        raise SeqattnError(f"{name}: {str(error).replace(cls.__name__ + ' ', '')}") from None


def _needed(field_: Any) -> bool:
    return field_.default is MISSING and field_.default_factory is MISSING


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise SeqattnError(
            f"name {name!r} serves as a folder: use letters, digits, '-', '_' and '.' only"
        )
    if name in _TAKEN:
        raise SeqattnError(f"name {name!r} is a folder of every campaign's; choose another")
    if name in CATALOGUE:
        raise SeqattnError(f"name {name!r} is one of the book's own datasets; choose another")
