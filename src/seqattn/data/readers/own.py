"""A log of one's own, read as its YAML describes it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from seqattn.data.interactions import COLUMNS
from seqattn.data.own import OwnData
from seqattn.data.readers.delimited import (
    Table,
    content_of,
    header_of,
    read_delimited,
    read_parquet,
)
from seqattn.errors import SeqattnError

# What databases and pandas write for an unknown value. An id may be such a word, so it is neither
# taken for a missing one in silence nor kept as one.
_WORDS = ("NULL", "null", "\\N", "None", "nan", "NaN", "<NA>", "-")
_NUMBERS_WORDS = (*_WORDS, "NA", "N/A", "n/a", "#N/A", "none", "?")


def read_own(own: OwnData, path: Path) -> Table:
    """Read a file that a YAML describes, with the columns called as ours.

    Raises
    ------
    SeqattnError
        The file cannot be read as it is described; the message names the key that mends it.
    """
    if path.suffix == ".parquet":
        table = read_parquet(path, own.columns)
        if own.missing:
            frame = table.frame
            table = Table(frame.mask(frame.astype(str).isin(own.missing)), table.source)
    else:
        table = _read_text(own, path)
    if own.missing is None:
        _refuse_unnamed_missing(table)
    if own.decimal == ".":
        _refuse_decimal_comma(table)
    return table


def _read_text(own: OwnData, path: Path) -> Table:
    if own.names:
        first = header_of(path, own.separator, content_of(path))
        if len(first) < len(own.names):
            raise SeqattnError(
                f"{path}: line 1 has {len(first)} cells, and columns lists {len(own.names)}; "
                "check the separator, or list each column of the file once"
            )
    table = read_delimited(
        path,
        own.separator,
        own.columns,
        own.names,
        missing=own.missing or (),
        decimal=own.decimal,
        # Beside an empty cell pandas would read them as float64, which drops digits.
        texts=("timestamp",) if own.entry.time_unit == "ns" else (),
    )
    if own.names:
        _refuse_header(table)
    return table


def _refuse_header(table: Table) -> None:
    """Refuse a first line that names columns, where the file is said to have no header."""
    for name in ("user", "item"):
        ids = table.frame[name].astype(str)
        numbers = ids.iloc[1:].str.fullmatch(r"\d+")
        if len(numbers) and numbers.all() and not ids.iloc[0].isdecimal():
            raise SeqattnError(
                f"{table.source}: line 1: {ids.iloc[0]!r} is no number, as every other {name} is; "
                "if line 1 is a header, leave header: false out and name its columns"
            )


def _refuse_unnamed_missing(table: Table) -> None:
    for name, column in table.frame.filter(COLUMNS).items():
        is_id = name in ("user", "item")
        kind, other = ("an id", ", or missing: [] if it is one") if is_id else ("a number", "")
        found = column.isin(_WORDS if is_id else _NUMBERS_WORDS)
        fix = "say missing: [{}] if it stands for an unknown value" + other
        _refuse_first(table, found, f"is not {kind}, it seems", fix)


def _refuse_decimal_comma(table: Table) -> None:
    for name, column in table.frame.filter(COLUMNS).items():
        if name not in ("user", "item") and column.dtype == object:
            found = column.astype(str).str.fullmatch(r"[-+]?[0-9.]+,[0-9]+")
            fix = 'say decimal: "," if the comma is a decimal mark'
            _refuse_first(table, found, "is not a number", fix)


def _refuse_first(table: Table, found: pd.Series, problem: str, fix: str) -> None:
    if found.any():
        line = found.idxmax()
        value = table.frame.loc[line, found.name]
        raise SeqattnError(
            f"{table.source}: column {found.name!r}, {found.index.name} {line}: {value!r} "
            f"{problem}; {fix.format(json.dumps(value))}"
        )
