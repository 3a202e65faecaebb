"""Validation of a log's columns: each function returns clean values or raises one clear error.

A row is named in messages by its index label and the index's name, so a reader that sets
``frame.index.name = "line"`` makes every message point at a line of its file.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
import pandas as pd
from pandas.api import types

from seqattn.errors import SeqattnError

__all__ = ["COLUMNS", "drop_missing", "identifiers", "intensities", "orders", "timestamps"]

COLUMNS = ("user", "item", "intensity", "timestamp", "order")

_FIX_IDS = "give ids as integers or as strings, one type in the whole column"
_FIX_INTENSITY = "give a finite number >= 0 for every interaction, or leave the column out"
_FIX_MISSING = "fill the cell in, or drop such rows with drop_incomplete=True"
_FIX_TIME = "give seconds since 1970 or ISO 8601 dates (2024-01-31T12:00:00), one kind throughout"
_FIX_UNIT = "it looks like milliseconds: divide by 1,000, or set time_unit: ms for this dataset"
_FIX_ORDER = "give a number for each interaction whose place is known, and an empty cell elsewhere"
_LARGEST_EXACT_INTEGER = 2.0**53  # beyond it float64 has already merged neighbouring ids
_LARGEST_SECOND = 1e11  # the year 5138; in milliseconds it is 1973, before any log of ours


def drop_missing(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a raw log that have no empty cell in the columns used.

    Row labels are kept, so later messages still name the original row. Other columns than
    ``user``, ``item``, ``intensity`` and ``timestamp`` do not count. Where a column ``order``
    gives the chronology, neither it nor the timestamp need be complete.
    """
    names = COLUMNS[:3] if "order" in frame.columns else COLUMNS[:4]
    used = frame[[name for name in names if name in frame.columns]]
    return frame[~(used.isna() | (used == "")).any(axis=1)]


def identifiers(column: pd.Series, source: str) -> np.ndarray:
    """Return user or item ids as int64, or as an object array of str.

    Parameters
    ----------
    column : pandas.Series
        Ids of one kind: integers (also whole floats, as pandas reads an integer column with an
        empty cell) or strings.
    source : str
        Where the column comes from, for messages.

    Raises
    ------
    SeqattnError
        An id is missing, of an unusable type, or the column holds two types.
    """
    column = _without_categories(column)
    _refuse(column, source, ~_known(column), "is not an id", _FIX_MISSING)
    kind = types.infer_dtype(column, skipna=False)
    if kind == "string":
        return column.to_numpy(dtype=object)
    if kind == "floating":
        values = column.to_numpy(dtype=np.float64)
        exact = np.isfinite(values) & (values == np.floor(values))
        exact &= np.abs(values) <= _LARGEST_EXACT_INTEGER
        _refuse(column, source, ~exact, "is not a whole number", _FIX_IDS)
        return values.astype(np.int64)
    if kind != "integer":
        _refuse_types(column, source)
    if int(column.max()) > np.iinfo(np.int64).max or int(column.min()) < np.iinfo(np.int64).min:
        raise SeqattnError(
            f"{source}: column {column.name!r} holds integers beyond 64 bits; give these ids as "
            "strings"
        )
    return column.to_numpy(dtype=np.int64)


def intensities(column: pd.Series, source: str) -> np.ndarray:
    """Return intensities as float64, each finite, not negative and within float32's range.

    Raises
    ------
    SeqattnError
        A value is missing, not a number, infinite or negative.
    """
    column = _without_categories(column)
    values = _numbers(column)
    missing = column.isna().to_numpy(dtype=bool)
    unreadable = np.isnan(values) & ~missing
    _refuse(column, source, unreadable, "is not a number", _FIX_INTENSITY)
    _refuse(column, source, missing, "is not a number", _FIX_MISSING)
    infinite = np.isinf(values)
    _refuse(column, source, infinite, "is infinite", _FIX_INTENSITY)
    _refuse(column, source, values < 0, "is negative", _FIX_INTENSITY)
    # Sequences store float32: a larger value would silently become infinite there.
    too_large = values > np.finfo(np.float32).max
    _refuse(column, source, too_large, "overflows 32-bit floats", "use a larger unit")
    return values


def timestamps(
    column: pd.Series, source: str, *, gaps: bool = False, unit: str = "s"
) -> np.ndarray:
    """Return times as float64 seconds since 1970-01-01 UTC.

    Numbers and strings that look like numbers are of the `unit` given, "s" or "ms"; dates and
    ISO 8601 strings are converted, without a time zone as UTC. The first value decides which of
    the two a column holds. With `gaps` an empty cell is an unknown time, NaN, instead of an
    error.

    Raises
    ------
    SeqattnError
        A value is missing, infinite, beyond the year 5138, or cannot be read as the column's
        kind of time.
    """
    column = _without_categories(column)
    if gaps:
        known = _known(column)
        seconds = np.full(len(column), np.nan)
        seconds[known] = timestamps(column[known], source, unit=unit)
        return seconds
    seconds = np.full(len(column), np.nan)
    if not types.is_datetime64_any_dtype(column.dtype):
        seconds = _numbers(column) / (1_000.0 if unit == "ms" else 1.0)
    if len(column) and np.isnan(seconds[0]):
        seconds = _dates(column)
    bad = ~np.isfinite(seconds)
    _refuse(column, source, bad, "cannot be read as a time", _FIX_TIME)
    far = seconds > _LARGEST_SECOND
    _refuse(column, source, far, "seconds since 1970 is after the year 5000", _FIX_UNIT)
    return seconds


def orders(column: pd.Series, source: str) -> np.ndarray:
    """Return explicit chronological positions as float64; an empty cell is unknown, NaN.

    Raises
    ------
    SeqattnError
        A value is infinite or not a number.
    """
    column = _without_categories(column)
    values = _numbers(column)
    bad = ~np.isfinite(values) & _known(column)
    _refuse(column, source, bad, "is not a position", _FIX_ORDER)
    return values


def _known(column: pd.Series) -> np.ndarray:
    """Return True where a cell is not empty."""
    return ~(column.isna() | (column == "")).to_numpy(dtype=bool)


def _dates(column: pd.Series) -> np.ndarray:
    """Seconds since 1970 of ISO dates and date objects; NaN where there is none."""
    if not types.is_datetime64_any_dtype(column.dtype):
        if not (types.is_object_dtype(column.dtype) or types.is_string_dtype(column.dtype)):
            return np.full(len(column), np.nan)
        # pandas would read "now" and "today" as the moment of reading.
        column = column.where(column.astype(str).str.match(r"\s*\d"))
    moments = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    since_epoch = moments - pd.Timestamp(0, tz="UTC")
    return since_epoch.dt.total_seconds().to_numpy(dtype=np.float64)


def _numbers(column: pd.Series) -> np.ndarray:
    """Values as float64; NaN where there is no number."""
    readable = types.is_numeric_dtype(column.dtype) or types.infer_dtype(column) in {
        *("string", "mixed", "mixed-integer", "mixed-integer-float"),
        *("integer", "floating", "decimal", "boolean"),
    }
    if not readable or types.is_complex_dtype(column.dtype):
        return np.full(len(column), np.nan)
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _without_categories(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(column.cat.categories.dtype)
    return column


def _row(column: pd.Series, position: int) -> str:
    return f"{column.index.name or 'row'} {column.index[position]}"


def _refuse(column: pd.Series, source: str, bad: np.ndarray, problem: str, fix: str) -> None:
    """Raise for the first row where `bad` is True, if there is one."""
    if not bad.any():
        return
    position = int(np.argmax(bad))
    value = column.iloc[position]
    value = value.item() if isinstance(value, np.generic) else value
    more = int(bad.sum()) - 1
    others = f" (and {more} more)" if more else ""
    raise SeqattnError(
        f"{source}: column {column.name!r}, {_row(column, position)}{others}: {value!r} {problem}; "
        f"{fix}"
    )


def _kind(value: object) -> str:
    """Name a value's type, numpy's integers under the same name as Python's."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return "int"
    return type(value).__name__


def _refuse_types(column: pd.Series, source: str) -> None:
    """Raise for ids that are neither all integers nor all strings."""
    kinds = column.map(_kind)
    other = (kinds != kinds.iloc[0]).to_numpy()
    if not other.any():
        _refuse(column, source, np.ones(len(column), dtype=bool), "is not a usable id", _FIX_IDS)
    # The case that would corrupt counts silently: one id written in both types.
    texts = column.astype(str)
    in_two_types = kinds.groupby(texts.to_numpy()).transform("nunique").to_numpy() > 1
    if in_two_types.any():
        first = int(np.argmax(in_two_types))
        same = (texts == texts.iloc[first]).to_numpy() & (kinds != kinds.iloc[first]).to_numpy()
        what = f"id {texts.iloc[first]} is"
    else:
        first, same = 0, other
        what = "ids are"
    second = int(np.argmax(same))
    raise SeqattnError(
        f"{source}: column {column.name!r}: {what} of type {kinds.iloc[first]} in "
        f"{_row(column, first)} and {kinds.iloc[second]} in {_row(column, second)}; "
        f"{_FIX_IDS}, e.g. frame[{column.name!r}].astype(str)"
    )
