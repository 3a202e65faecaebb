"""A user's own log, as one YAML file describes it; its path stands for a dataset's name.

::

    name: fashion
    path: fashion.csv.gz          # relative to this file; .csv, .tsv, .parquet (.pq) or .inter
    columns: {user: user, item: item, intensity: rating, timestamp: time}   # or order: position
    intensity: {meaning: rating, unit: stars}                               # if it has one
    filters: {k_core: 5}
    duplicates: sum               # what becomes of repeated user-item pairs
    split: {time: quantile 0.9}   # leave-one-out if left out

A dataset of the catalogue takes other filters or another split by ``of`` in the place of ``path``
and what describes a file::

    name: fashion-in-time
    of: amazon-office
    split: {time: 2014-01-01, target: all}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from seqattn.data.entry import CATALOGUE, Entry, EntryYaml, OtherYaml, another_form, entry_of
from seqattn.data.interactions import COLUMNS
from seqattn.data.preparation import Preparation
from seqattn.data.repeats import OF_INTENSITY
from seqattn.data.yaml_files import load_yaml, section
from seqattn.errors import SeqattnError, about

_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " "}


@dataclass(frozen=True)
class OwnData:
    """A described log: its entry, its data files, and how to read them.

    There is one file, or one for each part of a given split, by its name. There is none for a
    dataset of the catalogue in another form. `columns` are the files' names of ours, `names` those
    of all columns where there is no header, and `missing` what stands for an unknown value, None
    where the YAML does not say. Where `quoted` is false, quotes are text.
    """

    entry: Entry
    paths: Mapping[str, Path]
    columns: Mapping[str, str]
    separator: str
    names: tuple[str, ...] = ()
    by_line: bool = False
    missing: tuple[str, ...] | None = None
    decimal: str = "."
    quoted: bool = True

    def in_its_words(self, message: str) -> str:
        """Return a message that names columns as the file does."""
        for theirs, ours in self.columns.items():
            if theirs != ours:
                message = message.replace(f"column {ours!r},", f"column {theirs!r} ({ours}),")
        return message


@dataclass(frozen=True)
class ColumnsYaml:
    """The file's names of our columns; an empty name is a column the log does not have."""

    user: str
    item: str
    intensity: str = ""
    timestamp: str = ""
    order: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnYaml(EntryYaml):
    """Further keys of a user's own file; without a header `columns` lists ours in file order."""

    path: str = ""
    columns: ColumnsYaml | list
    header: bool = True
    order: str = ""
    separator: str = ""
    decimal: str = "."
    missing: list | None = None
    quote: str = ""


def is_parquet(path: Path) -> bool:
    """Return whether a file is a Parquet file, by its name."""
    return path.suffix.lower() in (".parquet", ".pq")


def is_yaml(name: str) -> bool:
    """Return whether a dataset's name is that of a YAML file."""
    return str(name).lower().endswith((".yaml", ".yml"))


def read_yaml(path: Path) -> OwnData:
    """Read and check the description of a user's own log; the data itself is not opened.

    Raises
    ------
    SeqattnError
        The file is absent or no YAML, or a key is unknown, missing or of the wrong type.
    """
    loaded = load_yaml(path)
    with about(path):
        return _own_data(path, loaded)


def _own_data(path: Path, loaded: object) -> OwnData:
    if isinstance(loaded, Mapping) and "of" in loaded:
        other = another_form(section(OtherYaml, loaded, "the file"), CATALOGUE)
        return OwnData(other, {}, {}, "")
    given = section(OwnYaml, loaded, "the file")
    entry = entry_of(given, CATALOGUE, licence="your own data")
    columns, names = _columns(given)
    _require_chronology(given, columns)
    _require_intensity(given, entry.preparation, columns)
    files = given.split.files if given.split else {}
    if bool(given.path) == bool(files):
        raise SeqattnError("the file must name the log by `path`, or its parts under `split`")
    paths = {
        part: path.parent / os.path.expanduser(file)
        for part, file in (files or {"": given.path}).items()
    }
    suffixes = {suffix.lower() for file in paths.values() for suffix in file.suffixes}
    of_text = names or given.separator or given.decimal != "." or given.quote
    if of_text and any(map(is_parquet, paths.values())):
        raise SeqattnError("header, separator, decimal and quote are of text files, not of Parquet")
    if given.quote not in ("", "none"):
        raise SeqattnError(f"quote {given.quote!r} is unknown; use none, or leave it out")
    tab = not {".tsv", ".inter"}.isdisjoint(suffixes)
    return OwnData(
        entry,
        paths,
        columns,
        _separator(given) or ("\t" if tab else ","),
        names,
        given.order == "line",
        None if given.missing is None else _marks(given.missing),
        given.decimal,
        quoted=not given.quote,
    )


def _columns(given: OwnYaml) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the file's names of our columns, and the names of all in a file without a header."""
    part = given.split.column if given.split else ""
    if isinstance(given.columns, ColumnsYaml):
        if not given.header:
            raise SeqattnError(
                "without a header, columns must list ours in file order, e.g. columns: [user, "
                'item, timestamp], with "-" for one to skip'
            )
        named = [(theirs, ours) for ours, theirs in asdict(given.columns).items() if theirs]
        if part:
            named.append((part, "part"))
        if len(dict(named)) < len(named):
            raise SeqattnError("one column of the file serves twice under `columns`")
        return dict(named), ()
    if given.header:
        raise SeqattnError(
            "columns must be a mapping of our names to those in the file's header, such as {user: "
            "user_id, item: item_id}; a list is for a file without one: header: false"
        )
    listed = given.columns
    used = [name for name in listed if name != "-"]
    parts = [part] if part else []
    if unknown := [name for name in used if name not in (*COLUMNS, *parts)]:
        raise SeqattnError(
            f'columns: {unknown[0]!r} is unknown; list {", ".join(COLUMNS)} or "-" for one to skip'
        )
    for name in ("user", "item", *parts, *used):
        if used.count(name) != 1:
            raise SeqattnError(f"columns: {name!r} must stand once in the list")
    names = (name if name != "-" else f"column {at}" for at, name in enumerate(listed, 1))
    return {name: "part" if name == part else name for name in used}, tuple(names)


def _require_chronology(given: OwnYaml, columns: Mapping[str, str]) -> None:
    if given.order not in ("", "line"):
        raise SeqattnError(
            f"order {given.order!r} is unknown; use line, or name a column of the file: columns: "
            "{order: ...}"
        )
    if given.order and "order" in columns.values():
        raise SeqattnError("order: line and a column order are two orders; give one of them")
    if not given.order and not {"timestamp", "order"} & {*columns.values()}:
        raise SeqattnError(
            "columns name neither a timestamp nor an order; give one of them, or order: line if "
            "the lines are in the order in which things happened"
        )


def _require_intensity(given: OwnYaml, how: Preparation, columns: Mapping[str, str]) -> None:
    """Refuse a column without its description, and a description of nothing."""
    column = "intensity" in columns.values()
    needing = [each for each in (how.exact, how.pairs) if each in OF_INTENSITY]
    if needing and not (column or how.exact == "count"):
        raise SeqattnError(
            f"duplicates: {needing[0]} is of the intensity, and columns name none; use count, "
            "which makes one, or latest"
        )
    if how.counts and not given.intensity:
        raise SeqattnError(
            "duplicates: count makes an intensity, which needs its description: intensity: "
            "{meaning: plays, unit: plays}"
        )
    if (column or how.counts) != bool(given.intensity):
        raise SeqattnError(
            "an intensity needs its column, columns: {intensity: ...}, and its description, "
            "intensity: {meaning: ..., unit: ...}; give both, or neither for a log without one"
        )


def _separator(given: OwnYaml) -> str:
    mark = _SEPARATORS.get(given.separator, given.separator)
    usable = len(mark) == 1 and mark.isascii() and not mark.isalnum() and mark not in '\n\r\0".'
    if mark and not usable and mark != "::":
        raise SeqattnError(
            f"separator {mark!r} must be one character of ASCII and no letter, digit, point, quote "
            'or end of a line; use "," ";" "|" "::" tab or space'
        )
    if given.decimal not in (".", ","):
        raise SeqattnError(f'decimal {given.decimal!r} is unknown; use "." or ","')
    return mark


def _marks(missing: list) -> tuple[str, ...]:
    """Return what stands for a missing value, as text."""
    for mark in missing:
        if isinstance(mark, bool) or not isinstance(mark, (str, int, float)):
            raise SeqattnError(
                f"missing: {mark!r} must be text or a number; put it into quotes, e.g. missing: "
                '["NULL"], for YAML has a meaning of its own for some words'
            )
    return tuple(map(str, missing))
