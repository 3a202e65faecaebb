"""A log of one's own, read as its YAML describes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
from pandas.api import types

from seqattn.data.columns import refuse
from seqattn.data.interactions import COLUMNS
from seqattn.data.own import OwnData, is_parquet
from seqattn.data.readers.delimited import (
    IDS,
    Table,
    header_of,
    read_delimited,
    read_parquet,
    without_marks,
)
from seqattn.data.readers.raw_text import content_of
from seqattn.errors import SeqattnError

# What databases and pandas write for an unknown value. An id may be such a word, so it is neither
# taken for a missing one in silence nor kept as one. Case does not count.
_WORDS = ("null", "(null)", "\\n", "none", "nan", "nat", "na", "n/a", "#n/a", "<na>", "-")
_NUMBERS_WORDS = (*_WORDS, "?", ".", "n.a.", "")  # the last: blanks alone
# What a first line calls the columns of ids, whatever the ids are.
_NAMES = {
    "user": r"(user|customer|visitor|member|reviewer|session)s?[ _-]?(id|name)?(:token)?|u_?id",
    "item": r"(item|movie|product|article|artist|track|song|book|video|game|business|parent)s?"
    r"[ _-]?(id|name|asin)?(:token)?|i_?id|asin|sku",
}


def read_own(own: OwnData, path: Path) -> Table:
    """Read a file that a YAML describes, with the columns called as ours.

    Raises
    ------
    SeqattnError
        The file cannot be read as it is described; the message names the key that mends it.
    """
    if is_parquet(path):
        table = read_parquet(path, own.columns)
        if own.missing:
            columns = table.frame.items()
            frame = pd.DataFrame({name: without_marks(each, own.missing) for name, each in columns})
            table = Table(frame, table.source)
    else:
        table = _read_text(own, path)
    part = next(name for name, file in own.paths.items() if file == path)
    if part in ("train", "test") and table.frame.empty:
        raise SeqattnError(f"{path}: no rows; the part {part!r} of a split needs some")
    if own.missing is None:
        _refuse_unnamed_missing(table)
    if own.decimal == ".":
        _refuse_decimal_comma(table)
    return table


def _read_text(own: OwnData, path: Path) -> Table:
    if own.names:
        first = header_of(path, own.separator, content_of(path), own.quoted)
        if len(first) < len(own.names):
            raise SeqattnError(
                f"{path}: line 1 has {len(first)} fields, and columns lists {len(own.names)}; "
                "check the separator, or list each column of the file once"
            )
    table = read_delimited(
        path,
        own.separator,
        own.columns,
        own.names,
        missing=own.missing or (),
        decimal=own.decimal,
        # Beside an empty field pandas would read them as float64, which drops digits.
        texts=("timestamp", "order") if own.entry.time_unit == "ns" else ("order",),
        quoted=own.quoted,
    )
    if own.names:
        _refuse_header(table)
    return table


def _refuse_header(table: Table) -> None:
    """Refuse a first line that names columns, where the file is said to have no header."""
    frame = table.frame
    if len(frame) < 2:
        return
    line = frame.filter(COLUMNS).iloc[0].dropna().items()
    first = {str(name): str(field).strip() for name, field in line}
    if all(re.fullmatch(_NAMES[name], first.get(name, "").lower()) for name in IDS):
        raise SeqattnError(
            f"{table.source}: line 1: {first['user']!r} and {first['item']!r} look like names; "
            "leave header: false out and name the columns as line 1 does"
        )
    for name, field in first.items():
        # Of ids all must be numbers, for a text may begin with a digit; a date does so, too.
        like = r"\s*\d+\s*" if name in IDS else r"\s*[-+]?[.,\d].*"
        others = frame[name].iloc[1:].dropna().astype(str)
        if others.size and others.str.fullmatch(like).all() and not re.fullmatch(like, field):
            kind = "number" if name in IDS else "number or date"
            raise SeqattnError(
                f"{table.source}: line 1: {field!r} is no {kind}, as every other {name} is; if "
                "line 1 is a header, leave header: false out and name its columns"
            )


def _refuse_unnamed_missing(table: Table) -> None:
    for name, column in table.frame.filter(COLUMNS).items():
        if types.is_numeric_dtype(column.dtype):
            continue
        is_id = name in IDS
        kind, other = ("an id", ", or missing: [] if it is one") if is_id else ("a number", "")
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.remove_unused_categories()
        texts = pd.Series([each for each in column.unique() if isinstance(each, str)], dtype=str)
        words = texts.str.strip().str.lower().isin(_WORDS if is_id else _NUMBERS_WORDS)
        found = column.isin(texts[words & (texts != "")])
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
        column = table.frame[found.name]
        fix = fix.format(json.dumps(column[found].iloc[0]))
        refuse(column, table.source, found.to_numpy(dtype=bool), problem, fix)
