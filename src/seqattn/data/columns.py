"""Columns of a raw log as arrays: ids, intensities, times, places; else one line that says why.

Each function takes a column whose index numbers rows or lines, and the name of the source, for
messages. Where rows are of several files, the index says of each also in which, see `of_files`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import compress
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from seqattn.errors import SeqattnError

_FIX_IDS = "give ids as integers or as strings, one type in the whole column"
_FIX_INTENSITY = "give a finite number >= 0 for every interaction, or leave the column out"
_FIX_MISSING = "fill the field in, or drop such rows with drop_incomplete=True"
_FIX_TIME = "give seconds since 1970 or ISO 8601 dates (2024-01-31T12:00:00), one kind throughout"
_FIX_DIGITS = "write dates as 2024-01-31, with a time as 2024-01-31T12:00:00"
_FIX_YEAR = "leave the field empty if the time is unknown"
_FIX_UNIT = "leave the field empty if the time is unknown, and give all rows in one unit"
_FIX_ORDER = "give a number for each interaction whose place is known, and an empty field elsewhere"
_NESTED = (list, dict, set, np.ndarray)  # what a log's fields cannot be counted by
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
PARTS = ("train", "valid", "test")
_NUMBER = {name: n for n, name in enumerate(PARTS)} | {"validation": 1}  # of a part
_LARGEST_EXACT_INTEGER = 2.0**53  # beyond it float64 has already merged neighbouring ids
_FIX_LARGE_IDS = "read these ids as text or as whole numbers (Int64)"
_FIX_LARGE_ORDER = "read the column as text or as whole numbers (Int64)"
_LONGEST_ID = 1_000  # characters; numpy gives every id the room of the longest
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
TIME_UNITS = tuple(_PER_SECOND)
# Between 1973 and 5138 a number has one reading: the ranges of the units touch and do not overlap.
_SMALLEST_SECOND, _LARGEST_SECOND = 1e8, 1e11
# Between the same moments in two units lies a factor of 1,000, less what the log's years make up.
_BETWEEN_UNITS = 100
_EDGES = [_SMALLEST_SECOND * per for per in (*_PER_SECOND.values(), 10**12)]
_FILE = "file"  # name of an index level
_WITH_ZONE = r"[T ]\d\d.*(?:Z|[+-]\d\d:?(?:\d\d)?)\s*$"
_FULL_DATE = r"\s*\d{4}-\d\d-\d\d(?:[T ]|\s*$)"


def refuse_nested(column: pd.Series, source: str) -> None:
    """Refuse ids that are lists or the like, which cannot be counted.

    Raises
    ------
    SeqattnError
        One is; the message names the first row.
    """
    if types.is_object_dtype(column.dtype):
        nested = column.map(lambda value: isinstance(value, _NESTED)).to_numpy(dtype=bool)
        _refuse(column, source, nested, "is not an id", _FIX_IDS)


def of_files(frames: Sequence[pd.DataFrame], files: Sequence[str]) -> pd.DataFrame:
    """Return the rows of several files under each other, so that messages can name the file."""
    line = frames[0].index.name or "row"
    # A file without rows has no types either, and pandas warns that they will count.
    full = [n for n, frame in enumerate(frames) if len(frame)] or [0]
    return pd.concat([frames[n] for n in full], keys=[files[n] for n in full], names=[_FILE, line])


def tidy_ids(column: pd.Series, source: str) -> pd.Series:
    """Return ids as they count: without spaces around them, and missing where nothing else is.

    Done before anything is counted or compared, so that ``" 7"`` is the same id whatever the
    column's other ids are.

    Raises
    ------
    SeqattnError
        One is a list or the like, or a text that numpy and pandas would cut and so merge with
        another; the message names the first row.
    """
    refuse_nested(column, source)
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    values = column.cat.categories if categorical else column
    if not (types.is_object_dtype(values.dtype) or types.is_string_dtype(values.dtype)):
        return column
    # A set compares whole texts; pandas compares them up to the first NUL.
    texts = {value for value in values.array if isinstance(value, str)}
    for bad, told, fix in _BAD_TEXTS:
        if found := {text for text in texts if bad(text)}:
            rows = column.map(found.__contains__).to_numpy(dtype=bool, na_value=False)
            _refuse(column, source, rows, told, fix)
    if all(text and text == text.strip() for text in texts):
        return column
    tidied = {text: text.strip() or None for text in texts}
    return column.astype(object).map(
        lambda value: tidied[value] if isinstance(value, str) else value
    )


def _has_nul(text: str) -> bool:
    return "\0" in text


def _is_broken(text: str) -> bool:
    """Whether a text holds half of a character, which no file can store."""
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _has_mark(text: str) -> bool:
    """Whether a text holds the mark that begins a file, and that nobody sees in the middle."""
    return not text.isascii() and "\ufeff" in text


_FIX_TEXT = "remove it, or get the file again"
_BAD_TEXTS = (
    (_has_nul, "holds a NUL character", _FIX_TEXT),
    (_is_broken, "is no valid text", _FIX_TEXT),
    (
        _has_mark,
        "holds the mark U+FEFF that begins a file, as if a second file were joined here",
        "remove the mark, and names of columns behind it",
    ),
)


def ids(column: pd.Series, source: str) -> np.ndarray:
    """User or item ids as int64 where all are integers, else as an object array of str.

    They are tidy, see `tidy_ids`. Text is an integer only as a computer would write it: 007, 1E5,
    1.0 and -0 are other ids than 7, 100000, 1 and 0, and one such id makes all of a column text.

    Raises
    ------
    SeqattnError
        An id is missing, too long, a list or of another type than the others.
    """
    _refuse(column, source, ~_known(column), "is not an id", _FIX_MISSING)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        if types.infer_dtype(column.cat.categories) == "string":
            texts = column.cat.categories.to_numpy(dtype=object)
            _refuse_long(column, source, column.cat.codes.to_numpy(), texts)
            return _integers_or_text(column.cat.codes.to_numpy(), texts)
        column = without_categories(column)
    kind = types.infer_dtype(column, skipna=False)
    if kind == "string":
        codes, texts = pd.factorize(column.to_numpy(dtype=object))
        _refuse_long(column, source, codes, texts)
        return _integers_or_text(codes, texts)
    if kind == "floating":  # as pandas reads an integer column with an empty field
        values = column.to_numpy(dtype=np.float64)
        exact = np.isfinite(values) & (values == np.floor(values))
        _refuse(column, source, ~exact, "is not a whole number", _FIX_IDS)
        large = np.abs(values) > _LARGEST_EXACT_INTEGER
        _refuse(column, source, large, "has more digits than such numbers keep", _FIX_LARGE_IDS)
        return values.astype(np.int64)
    if kind != "integer":
        _refuse_types(column, source)
    if int(column.max()) > np.iinfo(np.int64).max or int(column.min()) < np.iinfo(np.int64).min:
        raise SeqattnError(
            f"{source}: column {column.name!r} holds integers beyond 64 bits; give these ids as "
            "strings"
        )
    return column.to_numpy(dtype=np.int64)


def _refuse_long(column: pd.Series, source: str, codes: np.ndarray, texts: np.ndarray) -> None:
    """Refuse ids for which numpy's fixed-width text would need too much room."""
    long = np.isin(codes, [code for code, text in enumerate(texts) if len(text) > _LONGEST_ID])
    told = f"is an id of more than {_LONGEST_ID:,} characters"
    _refuse(column, source, long, told, "check the quotes, the separator and the columns")


def _integers_or_text(codes: np.ndarray, texts: np.ndarray) -> np.ndarray:
    if not all(map(_INTEGER.fullmatch, texts)):
        return texts[codes]
    numbers = [int(text) for text in texts]
    if not -(2**63) <= min(numbers) <= max(numbers) < 2**63:
        return texts[codes]
    return np.array(numbers, dtype=np.int64)[codes]


def intensities(column: pd.Series, source: str) -> np.ndarray:
    """Return intensities as float64, each finite, not negative and within float32's range.

    Raises
    ------
    SeqattnError
        One is missing, no such number or too large, or all are too small.
    """
    values, missing = _numbers(column), column.isna().to_numpy(dtype=bool)
    _refuse(column, source, np.isnan(values) & ~missing, "is not a number", _FIX_INTENSITY)
    _refuse(column, source, missing, "is not a number", _FIX_MISSING)
    _refuse(column, source, np.isinf(values), "is infinite", _FIX_INTENSITY)
    _refuse(column, source, values < 0, "is negative", _FIX_INTENSITY)
    # Sequences store float32: a larger value would silently become infinite there.
    too_large = values > np.finfo(np.float32).max
    _refuse(column, source, too_large, "overflows 32-bit floats", "use a larger unit")
    # Of numbers that float32 no longer holds in full the inverse is infinite, as is what a model
    # would divide by the largest of a history.
    if values.max(initial=0) < np.finfo(np.float32).tiny:
        told = "is too small for 32-bit floats, as all others are"
        _refuse(column, source, values > 0, told, "use a smaller unit")
    return values


def times(column: pd.Series, source: str, gaps: bool, unit: str) -> np.ndarray:
    """Return times as seconds since 1970 UTC; with `gaps` an empty field is NaN, else an error.

    The first value decides whether a column holds numbers, of the `unit` given, or dates.

    Raises
    ------
    SeqattnError
        One is no time, or the unit is another; the message names it.
    """
    rows = _known(column) if gaps else np.ones(len(column), dtype=bool)
    times, seconds = column[rows], np.full(len(column), np.nan)
    if not types.is_datetime64_any_dtype(column.dtype):
        seconds[rows] = _in_seconds(_numeric(times), unit)
    numbers = seconds[rows]
    are_dates = len(numbers) > 0 and bool(np.isnan(numbers[0]))
    if are_dates:
        seconds[rows] = _dates(times)
    bad = rows & ~np.isfinite(seconds)
    if bad.any():
        bad[rows] = _odd(seconds[rows], numbers if are_dates else _dates(times))
    _refuse(column, source, bad, "cannot be read as a time", _FIX_TIME)
    if are_dates:
        far = seconds > _LARGEST_SECOND
        _refuse(column, source, far, "is after the year 5000", _FIX_YEAR)
    else:
        _refuse_unit(column, source, seconds, unit)
    return seconds


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
    exact = (column.astype("int64") if is_date else _numeric(column)).to_numpy()
    if exact.dtype.kind not in "iu" or np.abs(exact).max() <= _LARGEST_EXACT_INTEGER:
        return
    codes = pd.factorize(users)[0]
    order = np.lexsort((seconds, codes))  # stable
    tied = (np.diff(codes[order]) == 0) & (np.diff(seconds[order]) == 0)
    back = np.zeros(len(order), dtype=bool)
    back[order[1:]] = tied & (exact[order][1:] < exact[order][:-1])
    told = (
        "is before a row of the same user above it, by less than a microsecond, too little to see"
    )
    _refuse(column, source, back, told, "sort the rows by time, or give a column `order`")


def _odd(seconds: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return which rows cannot be read as most are, of times as one kind and as the other."""
    found, others = np.isfinite(seconds), np.isfinite(other)
    return ~others | found if others.sum() > found.sum() else ~found


def _in_seconds(numbers: pd.Series, unit: str) -> np.ndarray:
    """Numbers of a unit as seconds, each the float64 nearest to the moment; NaN stays NaN."""
    per = _PER_SECOND[unit]
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    seconds = values / per
    exact = np.isnan(values) | (np.abs(values) <= _LARGEST_EXACT_INTEGER)
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
    _refuse(column, source, years, "is a year, it seems", _FIX_DIGITS)
    digits = known & _are_dates(np.rint(raw))
    _refuse(column, source, digits, "is a date written as a number, it seems", _FIX_DIGITS)
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
            _refuse(column, source, latest, f"{_UNITS[unit]} since 1970 is {when}", fix)
        elif _far_below(numbers, at_right, level > right):
            when = "before 1974, as most rows are"
            _refuse(column, source, at_right, f"{_UNITS[unit]} since 1970 is {when}", fix)
        fix = _FIX_UNIT
    late = at_right if right > given else level > given
    when = "after the year 5000 or as long before 1970"
    _refuse(column, source, late, f"{_UNITS[unit]} since 1970 is {when}", fix)
    early = (level > 0) & (level < given)
    if _far_below(numbers, early, level == given):
        when = "before 1974, and most rows are much later"
        _refuse(column, source, early, f"{_UNITS[unit]} since 1970 is {when}", fix)


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


def orders(column: pd.Series, source: str) -> np.ndarray:
    """Return explicit chronological positions as float64; an empty field is unknown, NaN.

    Numbers with more digits than float64 keeps, such as ids that grow with time, are replaced by
    their ranks: only the order counts.

    Raises
    ------
    SeqattnError
        One is no number, or has lost digits already.
    """
    values, known = _numbers(column), _known(column)
    _refuse(column, source, ~np.isfinite(values) & known, "is not a position", _FIX_ORDER)
    large = known & (np.abs(values) > _LARGEST_EXACT_INTEGER)
    if not large.any():
        return values
    whole = np.array([_is_whole(value) for value in column])
    told = "has more digits than such numbers keep"
    _refuse(column, source, large & ~whole, told, _FIX_LARGE_ORDER)
    # Python compares an integer with a number with a point exactly.
    exact = [int(v) if w else n for v, w, n in zip(column, whole, values, strict=True)]
    rank = {value: float(at) for at, value in enumerate(sorted({*compress(exact, known)}))}
    values[known] = [rank[value] for value in compress(exact, known)]
    return values


def _is_whole(value: object) -> bool:
    """Whether a field is an integer, or a text of one."""
    if isinstance(value, str):
        return re.fullmatch(r"\s*[-+]?[0-9]+\s*", value) is not None
    return isinstance(value, Integral)


def parts(column: pd.Series, source: str) -> np.ndarray:
    """Return the number of the part of a given split that each row is in, (n,) int8.

    Spaces around a word do not count, as of ids.

    Raises
    ------
    SeqattnError
        A word names no part.
    """
    known = {word: _NUMBER.get(str(word).strip()) for word in column.unique()}
    number = column.map(known)
    bad = number.isna().to_numpy(dtype=bool)
    wanted = f"write {', '.join(PARTS)}"
    if any(str(word).strip().lower() in _NUMBER for word in column[bad]):
        wanted += ", all in lower case"
    _refuse(column, source, bad, "is no part of a split", wanted)
    return number.to_numpy(dtype=np.int8)


def _known(column: pd.Series) -> np.ndarray:
    """Where a field is not empty."""
    return ~(column.isna() | (column == "")).to_numpy(dtype=bool)


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
    zoned = column.astype(str).str.contains(_WITH_ZONE)
    return pd.to_datetime(column.where(zoned), **how).fillna(
        pd.to_datetime(column.where(~zoned), **how)
    )


def _of_any_year(text: str) -> float:
    """Seconds since 1970 of an ISO date between the years 1 and 9999; NaN if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return np.nan
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)


def _numbers(column: pd.Series) -> np.ndarray:
    """Values as float64; NaN where there is no number."""
    return _numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)


def _numeric(column: pd.Series) -> pd.Series:
    """Values as numbers, integers where all are; NaN where there is no number."""
    readable = types.is_numeric_dtype(column.dtype) or types.infer_dtype(column) in {
        *("string", "mixed", "mixed-integer", "mixed-integer-float"),
        *("integer", "floating", "decimal", "boolean"),
    }
    if not readable or types.is_complex_dtype(column.dtype):
        return pd.Series(np.nan, index=column.index)
    return pd.to_numeric(column, errors="coerce")


def without_categories(column: pd.Series) -> pd.Series:
    """Return a categorical column as one of the type of its categories."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(column.cat.categories.dtype)
    return column


def _place(column: pd.Series, source: str, position: int) -> tuple[str, str]:
    """Return the file and the row of a place, the file being the source where there is one."""
    index, label = column.index, column.index[position]
    if index.names[0] == _FILE and index.nlevels == 2:
        return label[0], f"{index.names[1]} {label[1]}"
    return source, f"{index.name or 'row'} {label}"


def _refuse(column: pd.Series, source: str, bad: np.ndarray, problem: str, fix: str) -> None:
    """Raise for the first row where `bad` is True, if there is one."""
    if not bad.any():
        return
    position = int(np.argmax(bad))
    value = column.iloc[position]
    value = value.item() if isinstance(value, np.generic) else value
    more = int(bad.sum()) - 1
    others = f" (and {more} more)" if more else ""
    file, row = _place(column, source, position)
    raise SeqattnError(
        f"{file}: column {column.name!r}, {row}{others}: {_clipped(value)} {problem}; {fix}"
    )


def _clipped(value: object) -> str:
    text = repr(value)
    length = len(value if isinstance(value, str) else text)
    return text if len(text) <= 80 else f"{text[:60]}... ({length:,} characters)"


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
    (file, row), (other_file, other_row) = (_place(column, source, at) for at in (first, second))
    other_row += f" of {other_file}" if other_file != file else ""
    raise SeqattnError(
        f"{file}: column {column.name!r}: {what} of type {kinds.iloc[first]} in {row} and "
        f"{kinds.iloc[second]} in {other_row}; {_FIX_IDS}, e.g. "
        f"frame[{column.name!r}].astype(str)"
    )
