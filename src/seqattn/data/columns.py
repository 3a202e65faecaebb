"""Columns of a raw log as arrays: ids, intensities, places, parts; else one line that says why.

Each function takes a column whose index numbers rows or lines, and the name of the source, for
messages. Where rows are of several files, the index says of each also in which, see `of_files`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import compress
from numbers import Integral

import numpy as np
import pandas as pd
from pandas.api import types

from seqattn.errors import SeqattnError

_FIX_IDS = "give ids as integers or as strings, one type in the whole column"
_FIX_INTENSITY = "give a finite number >= 0 for every interaction, or leave the column out"
_FIX_MISSING = "fill the field in, or drop such rows with drop_incomplete=True"
_FIX_ORDER = "give a number for each interaction whose place is known, and an empty field elsewhere"
_NESTED = (list, dict, set, np.ndarray)  # what a log's fields cannot be counted by
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
# The last are halves of characters, which no file can store.
_UNREADABLE = re.compile("[\0\ufeff\ud800-\udfff]")
_FIX_TEXT = "remove it, or get the file again"
_LETTERS = {
    "\0": ("holds a NUL character", _FIX_TEXT),
    "\ufeff": (
        "holds the mark U+FEFF that begins a file, as if a second file were joined here",
        "remove the mark, and names of columns behind it",
    ),
}
PARTS = ("train", "valid", "test")
_NUMBER = {name: n for n, name in enumerate(PARTS)} | {"validation": 1}  # of a part
LARGEST_EXACT_INTEGER = 2.0**53  # beyond it float64 has already merged neighbouring ids
LOST_DIGITS = "has more digits than such numbers keep"
_FIX_LARGE_IDS = "read these ids as text or as whole numbers (Int64)"
_FIX_LARGE_ORDER = "read the column as text or as whole numbers (Int64)"
_LONGEST_ID = 1_000  # characters; numpy gives every id the room of the longest
_FILE = "file"  # name of an index level


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
    if types.is_object_dtype(column.dtype):
        nested = column.map(lambda value: isinstance(value, _NESTED)).to_numpy(dtype=bool)
        refuse(column, source, nested, "is not an id", _FIX_IDS)
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    values = column.cat.categories if categorical else column
    if not (types.is_object_dtype(values.dtype) or types.is_string_dtype(values.dtype)):
        return column
    # A set compares whole texts; pandas compares them up to the first NUL.
    texts = {value for value in values.array if isinstance(value, str)}
    _refuse_unreadable(column, source, texts)
    if all(text and text == text.strip() for text in texts):
        return column
    tidied = {text: text.strip() or None for text in texts}
    return column.astype(object).map(
        lambda value: tidied[value] if isinstance(value, str) else value
    )


def _refuse_unreadable(column: pd.Series, source: str, texts: set[str]) -> None:
    """Refuse ids that hold what no file can store, or nobody sees; `texts` are all of them."""
    letters = {text: found[0] for text in texts if (found := _UNREADABLE.search(text))}
    if letters:
        bad = column.map(letters.__contains__).to_numpy(dtype=bool, na_value=False)
        letter = letters[column.iloc[int(np.argmax(bad))]]
        refuse(column, source, bad, *_LETTERS.get(letter, ("is no valid text", _FIX_TEXT)))


def ids(column: pd.Series, source: str) -> np.ndarray:
    """User or item ids as int64 where all are integers, else as an object array of str.

    They are tidy, see `tidy_ids`. Text is an integer only as a computer would write it: 007, 1E5,
    1.0 and -0 are other ids than 7, 100000, 1 and 0, and one such id makes all of a column text.

    Raises
    ------
    SeqattnError
        An id is missing, too long, a list or of another type than the others.
    """
    refuse(column, source, ~is_given(column), "is not an id", _FIX_MISSING)
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
        refuse(column, source, ~exact, "is not a whole number", _FIX_IDS)
        large = np.abs(values) >= first_merged(column)
        refuse(column, source, large, LOST_DIGITS, _FIX_LARGE_IDS)
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
    refuse(column, source, long, told, "check the quotes, the separator and the columns")


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
    refuse(column, source, np.isnan(values) & ~missing, "is not a number", _FIX_INTENSITY)
    refuse(column, source, missing, "is not a number", _FIX_MISSING)
    refuse(column, source, np.isinf(values), "is infinite", _FIX_INTENSITY)
    refuse(column, source, values < 0, "is negative", _FIX_INTENSITY)
    # Sequences store float32: a larger value would silently become infinite there.
    too_large = values > np.finfo(np.float32).max
    refuse(column, source, too_large, "overflows 32-bit floats", "use a larger unit")
    # Of numbers that float32 no longer holds in full the inverse is infinite, as is what a model
    # would divide by the largest of a history.
    if values.max(initial=0) < np.finfo(np.float32).tiny:
        told = "is too small for 32-bit floats, as all others are"
        refuse(column, source, values > 0, told, "use a smaller unit")
    return values


def orders(column: pd.Series, source: str) -> np.ndarray:
    """Return explicit chronological positions as float64; an empty field is unknown, NaN.

    Numbers with more digits than float64 keeps, such as ids that grow with time, are replaced by
    their ranks: only the order counts.

    Raises
    ------
    SeqattnError
        One is no number, or has lost digits already.
    """
    values, known = _numbers(column), is_given(column)
    refuse(column, source, ~np.isfinite(values) & known, "is not a position", _FIX_ORDER)
    large = known & (np.abs(values) >= first_merged(column))
    if not large.any():
        return values
    whole = np.array([_is_whole(value) for value in column])
    refuse(column, source, large & ~whole, LOST_DIGITS, _FIX_LARGE_ORDER)
    # Python compares an integer with a number with a point exactly.
    exact = [int(v) if w else n for v, w, n in zip(column, whole, values, strict=True)]
    rank = {value: float(at) for at, value in enumerate(sorted({*compress(exact, known)}))}
    values[known] = [rank[value] for value in compress(exact, known)]
    return values


def first_merged(column: pd.Series) -> float:
    """Return the number from which on the type of a column has merged whole numbers.

    Of 32 bits, as files often have them, it is 16,777,216, and a time of today is a hundred times
    that.
    """
    kind = getattr(column.dtype, "numpy_dtype", column.dtype)
    narrow = isinstance(kind, np.dtype) and kind.kind == "f" and kind.itemsize < 8
    return float(2.0 ** (np.finfo(kind).nmant + 1)) if narrow else LARGEST_EXACT_INTEGER


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
    refuse(column, source, bad, "is no part of a split", wanted)
    return number.to_numpy(dtype=np.int8)


def is_given(column: pd.Series) -> np.ndarray:
    """Where a field is not empty."""
    return ~(column.isna() | (column == "")).to_numpy(dtype=bool)


def _numbers(column: pd.Series) -> np.ndarray:
    """Values as float64; NaN where there is no number."""
    return numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)


def numeric(column: pd.Series) -> pd.Series:
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


def place_of(column: pd.Series, source: str, position: int) -> tuple[str, str]:
    """Return the file and the row of a place, the file being the source where there is one."""
    index, label = column.index, column.index[position]
    if index.names[0] == _FILE and index.nlevels == 2:
        return label[0], f"{index.names[1]} {label[1]}"
    return source, f"{index.name or 'row'} {label}"


def refuse(column: pd.Series, source: str, bad: np.ndarray, problem: str, fix: str) -> None:
    """Raise for the first row where `bad` is True, if there is one."""
    if not bad.any():
        return
    position = int(np.argmax(bad))
    value = column.iloc[position]
    value = value.item() if isinstance(value, np.generic) else value
    more = int(bad.sum()) - 1
    others = f" (and {more} more)" if more else ""
    file, row = place_of(column, source, position)
    blank = types.is_scalar(value) and (pd.isna(value) or value == "")
    told = "the field" if blank and problem == "is blank" else _clipped(value)
    raise SeqattnError(f"{file}: column {column.name!r}, {row}{others}: {told} {problem}; {fix}")


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
        refuse(column, source, np.ones(len(column), dtype=bool), "is not a usable id", _FIX_IDS)
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
    (file, row), (other_file, other_row) = (place_of(column, source, at) for at in (first, second))
    other_row += f" of {other_file}" if other_file != file else ""
    raise SeqattnError(
        f"{file}: column {column.name!r}: {what} of type {kinds.iloc[first]} in {row} and "
        f"{kinds.iloc[second]} in {other_row}; {_FIX_IDS}, e.g. "
        f"frame[{column.name!r}].astype(str)"
    )
