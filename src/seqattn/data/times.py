"""The column of times of a raw log as seconds since 1970; else one line that says why.

Functions take a column as those of `seqattn.data.columns` do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from seqattn.data.columns import (
    LARGEST_EXACT_INTEGER,
    LOST_DIGITS,
    first_merged,
    is_given,
    numeric,
    place_of,
    refuse,
)

_FIX_TIME = "give seconds since 1970 or ISO 8601 dates (2024-01-31T12:00:00), one kind throughout"
_FIX_DIGITS = "write dates as 2024-01-31, with a time as 2024-01-31T12:00:00"
_FIX_YEAR = "leave the field empty if the time is unknown"
_FIX_UNIT = "leave the field empty if the time is unknown, and give all rows in one unit"
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
TIME_UNITS = tuple(_PER_SECOND)
# Between 1973 and 5138 a number has one reading: the ranges of the units touch and do not overlap.
_SMALLEST_SECOND, _LARGEST_SECOND = 1e8, 1e11
# Between the same moments in two units lies a factor of 1,000, less what the log's years make up.
_BETWEEN_UNITS = 100
_EDGES = [_SMALLEST_SECOND * per for per in (*_PER_SECOND.values(), 10**12)]
_FIX_LARGE = "get the column as whole numbers (Int64) or as numbers of 64 bits (float64)"
_FIX_ZONE = "give a zone in all rows or in none, which counts as UTC"
_WITH_ZONE = r"\d[T ]\d\d.*(?:Z|[+-]\d\d:?(?:\d\d)?)\s*$"
_FULL_DATE = r"\s*\d{4}-\d\d-\d\d(?:[T ]|\s*$)"


def times(column: pd.Series, source: str, gaps: bool, unit: str) -> np.ndarray:
    """Return times as seconds since 1970 UTC; with `gaps` an empty field is NaN, else an error.

    The first value decides whether a column holds numbers, of the `unit` given, or dates.

    Raises
    ------
    SeqattnError
        One is no time, or the unit is another; the message names it.
    """
    _refuse_narrow(column, source)
    rows = is_given(column) if gaps else np.ones(len(column), dtype=bool)
    times, seconds = column[rows], np.full(len(column), np.nan)
    if not types.is_datetime64_any_dtype(column.dtype):
        seconds[rows] = _in_seconds(numeric(times), unit)
    numbers = seconds[rows]
    are_dates = len(numbers) > 0 and bool(np.isnan(numbers[0]))
    if are_dates:
        seconds[rows] = _dates(times)
    bad = rows & ~np.isfinite(seconds)
    if bad.any():
        bad[rows] = _odd(seconds[rows], numbers if are_dates else _dates(times))
    refuse(column, source, bad, "cannot be read as a time", _FIX_TIME)
    if are_dates:
        far = seconds > _LARGEST_SECOND
        refuse(column, source, far, "is after the year 5000", _FIX_YEAR)
        _refuse_two_clocks(column, source, rows)
    else:
        _refuse_unit(column, source, seconds, unit)
    return seconds


def _refuse_narrow(column: pd.Series, source: str) -> None:
    """Refuse times in numbers of 32 bits or fewer that have merged minutes."""
    limit = first_merged(column)
    if limit < LARGEST_EXACT_INTEGER:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        merged = np.isfinite(values) & (np.abs(values) >= limit)
        refuse(column, source, merged, LOST_DIGITS, _FIX_LARGE)


def refuse_too_close(
    column: pd.Series, source: str, users: np.ndarray, seconds: np.ndarray
) -> None:
    """Refuse times that seconds as float64 merge, where the rows of a user are not in their order.

    They are ties then, which stay as the rows are.

    Raises
    ------
    SeqattnError
        One is earlier than a row above it, by too little.
    """
    is_date = types.is_datetime64_any_dtype(column.dtype)
    exact = (column.astype("int64") if is_date else numeric(column)).to_numpy()
    if exact.dtype.kind not in "iu" or np.abs(exact).max() <= LARGEST_EXACT_INTEGER:
        return
    codes = pd.factorize(users)[0]
    order = np.lexsort((seconds, codes))  # stable
    tied = (np.diff(codes[order]) == 0) & (np.diff(seconds[order]) == 0)
    back = np.zeros(len(order), dtype=bool)
    back[order[1:]] = tied & (exact[order][1:] < exact[order][:-1])
    told = (
        "is before a row of the same user above it, by less than a microsecond, too little to see"
    )
    refuse(column, source, back, told, "sort the rows by time, or give a column `order`")


def _refuse_two_clocks(column: pd.Series, source: str, rows: np.ndarray) -> None:
    """Refuse dates with a zone and without one beside each other.

    One of the two is the local time of somewhere, and hours may decide what came first.
    """
    if types.is_datetime64_any_dtype(column.dtype):
        return
    zoned = rows & _have_zone(column)
    if zoned.any():
        first = int(np.argmax(zoned))
        file, row = place_of(column, "", first)
        told = f"has no zone, and {str(column.iloc[first])!r} in {row}"
        told += f" of {file} has one" if file else " has one"
        refuse(column, source, rows & ~zoned, told, _FIX_ZONE)


def _odd(seconds: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return which rows cannot be read as most are, of times as one kind and as the other."""
    found, others = np.isfinite(seconds), np.isfinite(other)
    return ~others | found if others.sum() > found.sum() else ~found


def _in_seconds(numbers: pd.Series, unit: str) -> np.ndarray:
    """Numbers of a unit as seconds, each the float64 nearest to the moment; NaN stays NaN."""
    per = _PER_SECOND[unit]
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    seconds = values / per
    exact = np.isnan(values) | (np.abs(values) < LARGEST_EXACT_INTEGER)
    if per == 1 or exact.all() or not types.is_integer_dtype(numbers.dtype):
        return seconds
    # Nanoseconds of today have more digits than float64, so only the part below a second is one.
    whole, below = zip(*(divmod(int(number), per) for number in numbers[~exact]), strict=True)
    seconds[~exact] = np.array(whole, dtype=np.float64) + np.array(below) / per
    return seconds


def _refuse_unit(column: pd.Series, source: str, seconds: np.ndarray, unit: str) -> None:
    """Refuse numbers that are no times in the unit given, and name the unit in which they are.

    The unit of the middle one is that of the column; another row's is a slip or a placeholder.
    """
    known, given = ~np.isnan(seconds), TIME_UNITS.index(unit) + 1
    numbers = np.where(known, np.abs(seconds) * _PER_SECOND[unit], 0.0)
    raw = seconds[known] * _PER_SECOND[unit]
    years = known & _are_years(raw)
    refuse(column, source, years, "is a year, it seems", _FIX_DIGITS)
    digits = known & _are_dates(np.rint(raw))
    refuse(column, source, digits, "is a date written as a number, it seems", _FIX_DIGITS)
    # 0: too small to tell, as a clock that starts at 0 has them; then the place of a unit; 5: none.
    level = np.searchsorted(_EDGES, numbers, side="right")
    told = np.sort(level[(level > 0) & (level < len(_EDGES))])
    right = int(told[(len(told) - 1) // 2]) if len(told) else given
    at_right = level == right
    name = TIME_UNITS[min(right, len(TIME_UNITS)) - 1]
    fix = f"it looks like {_UNITS[name]}: set time_unit: {name}" if right != given else _FIX_UNIT
    if right < given:
        if not (level >= given).any():
            latest, when = numbers == numbers.max(), "before 1974, and no other time is later"
            refuse(column, source, latest, f"{_UNITS[unit]} since 1970 is {when}", fix)
        elif _far_below(numbers, at_right, level > right):
            when = "before 1974, as most rows are"
            refuse(column, source, at_right, f"{_UNITS[unit]} since 1970 is {when}", fix)
        fix = _FIX_UNIT
    late = at_right if right > given else level > given
    when = "after the year 5000 or as long before 1970"
    refuse(column, source, late, f"{_UNITS[unit]} since 1970 is {when}", fix)
    early = (level > 0) & (level < given)
    if _far_below(numbers, early, level == given):
        when = "before 1974, and most rows are much later"
        refuse(column, source, early, f"{_UNITS[unit]} since 1970 is {when}", fix)


def _far_below(numbers: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> bool:
    """Whether a gap as wide as between two units lies between two groups that are not empty."""
    if not (lower.any() and upper.any()):
        return False
    return bool(numbers[lower].max() * _BETWEEN_UNITS <= numbers[upper].min())


def _are_years(numbers: np.ndarray) -> bool:
    """Return whether all are years; a clock of any unit would run through so few numbers."""
    ends = numbers.min(initial=np.inf), numbers.max(initial=0)
    return bool(ends[0] >= 1900 and ends[1] <= 2100 and (numbers == np.rint(numbers)).all())


def _are_dates(numbers: np.ndarray) -> bool:
    """Return whether all are dates in digits, such as 20240131 or, with a time, 20240131120000."""
    for below_a_day in (1, 10**4, 10**6):
        ends = numbers.min(initial=np.inf), numbers.max(initial=0)
        if ends[0] >= 19000101 * below_a_day and ends[1] < 21010101 * below_a_day:
            day = numbers // below_a_day % 10_000
            return bool(((day >= 101) & (day <= 1231) & (day % 100 >= 1) & (day % 100 <= 31)).all())
    return False


def _dates(column: pd.Series) -> np.ndarray:
    """Seconds since 1970 of ISO dates and date objects; NaN where there is none."""
    if not types.is_datetime64_any_dtype(column.dtype):
        if not (types.is_object_dtype(column.dtype) or types.is_string_dtype(column.dtype)):
            return np.full(len(column), np.nan)
        # pandas would read "now" and "today" as the moment of reading.
        column = column.where(column.astype(str).str.match(r"\s*\d"))
    moments = _moments(column)
    naive = moments.dt.tz_localize(None)
    seconds = _in_seconds(naive.astype("int64"), naive.dt.unit)
    seconds[moments.isna()] = np.nan
    # pandas counts nanoseconds, of which 64 bits hold the years 1678 to 2261.
    full = column.notna() & moments.isna() & column.astype(str).str.match(_FULL_DATE)
    for place in np.flatnonzero(full):
        seconds[place] = _of_any_year(str(column.iloc[place]).strip())
    return seconds


def _moments(column: pd.Series) -> pd.Series:
    """Return dates as moments in UTC, NaT where there is none."""
    how: dict[str, Any] = {"utc": True, "errors": "coerce", "format": "ISO8601"}
    if types.is_datetime64_any_dtype(column.dtype):
        return pd.to_datetime(column, **how)
    # In pandas 2 a time without a zone takes the zone of the one before it.
    zoned = _have_zone(column)
    return pd.to_datetime(column.where(zoned), **how).fillna(
        pd.to_datetime(column.where(~zoned), **how)
    )


def _have_zone(column: pd.Series) -> np.ndarray:
    """Return which dates, as texts or objects, say how far their clock is from UTC."""
    return column.astype(str).str.contains(_WITH_ZONE).to_numpy(dtype=bool)


def _of_any_year(text: str) -> float:
    """Seconds since 1970 of an ISO date between the years 1 and 9999; NaN if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return np.nan
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
