"""Delimited text: CSV, MovieLens' two formats and the local mirror's files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from seqattn.data.columns import refuse
from seqattn.data.readers.raw_text import (
    UNREADABLE,
    RawText,
    content_of,
    one_line,
    quoting,
    require_names_first,
    with_one,
)
from seqattn.errors import SeqattnError
from seqattn.files import require_file


@dataclass(frozen=True, eq=False)
class Table:
    """Rows as a file has them, not yet validated.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns ``user``, ``item`` and any of ``intensity``, ``timestamp`` and ``order``; the
        index is named ``line`` and numbers the lines of the file, for messages.
    source : str
        The file, for messages.
    malformed : int
        Lines that could not be read and were left out.
    """

    frame: pd.DataFrame
    source: str
    malformed: int = 0


FIELDS = {name: name for name in ("user", "item", "intensity", "timestamp")}
IDS = ("user", "item")
_ORDERS = ("order", "seq_pos")  # names of a mirror file's explicit order, the first one wins
_WITH_COMMA = r"\s*[-+]?\d*,\d*(?:[eE][-+]?\d+)?\s*"
_WITH_POINT = r"\s*[-+]?[\d.,]*\.[\d.,]*(?:[eE][-+]?\d+)?\s*"


def read_delimited(
    path: Path,
    separator: str,
    columns: Mapping[str, str],
    names: Sequence[str] = (),
    *,
    missing: Sequence[str] = (),
    decimal: str = ".",
    texts: Sequence[str] = (),
    quoted: bool = True,
) -> Table:
    """Read a delimited text file, compressed or not.

    Parameters
    ----------
    separator : str
        One character, or ``::``.
    columns : mapping of str to str
        The file's column names to ``user``, ``item``, ``intensity``, ``timestamp`` and ``order``.
    names : sequence of str, optional
        Names of all columns in file order, for a file whose first line does not give them.
    missing : sequence of str, optional
        What stands for a missing value in any column, beside an empty field; of ids as a text,
        of numbers as a number.
    decimal : str, optional
        The decimal mark, a point or a comma.
    texts : sequence of str, optional
        Our columns, beside the ids, whose fields are kept as they stand: numbers of many digits.
    quoted : bool, optional
        Whether quotes go round a field; else they are text.

    Raises
    ------
    SeqattnError
        The file is empty, damaged or cut off, or begins with an empty line; it lacks a column or
        names one twice; a line has more fields than there are columns or repeats their names, or a
        quote that nothing closes has taken in other lines.
    """
    header, content = not names, content_of(path)
    if header:
        require_names_first(path, content)
    present = header_of(path, separator, content, quoted) if header else list(names)
    _require_names(path, present, list(columns), separator)
    content, mark = with_one(path, content, separator)
    raw = RawText(path, content, mark, len(present), header, quoted)
    raw.refuse_swallowed()
    raw.refuse_surplus()
    raw.refuse_cut()
    if decimal != ".":
        texts = (*texts, "intensity", "order")  # to see what stands there
    frame = _read(
        path,
        content,
        sep=mark,
        quoting=quoting(quoted),
        header=0 if header else None,
        names=names or None,
        usecols=list(columns),
        # Ids as they stand in the file: a number would lose the zeros of 007 and the digits of 1E5.
        # Categories are text, each different id of which is made once.
        dtype={name: "category" for name, ours in columns.items() if ours in IDS}
        | {name: "str" for name, ours in columns.items() if ours in texts},
        index_col=False,
        skip_blank_lines=False,  # they count as lines in messages
        # pandas takes marks as numbers, so that of ids 7 would be 7.0 as well.
        na_values={n: [""] if ours in IDS else ["", *missing] for n, ours in columns.items()},
        decimal=decimal,
    )
    frame = frame.rename(columns=dict(columns))
    frame.index = raw.lines(len(frame))
    if header:
        _refuse_second_header(frame, columns, path)
    empty = frame.isna().all(axis=1)
    frame = frame[~empty] if empty.any() else frame
    if missing:
        frame = frame.assign(**{n: without_marks(frame[n], missing) for n in IDS if n in frame})
    return Table(frame if decimal == "." else _with_points(frame, decimal, path), str(path))


def _refuse_second_header(frame: pd.DataFrame, columns: Mapping[str, str], path: Path) -> None:
    """Refuse a row of the columns' own names, as it stands where files were joined."""
    found = np.logical_and.reduce([frame[ours] == name for name, ours in columns.items()])
    if found.any():
        raise SeqattnError(
            f"{path}: line {frame.index[found][0]} repeats the names of the columns, as if another "
            "file were joined there; remove the line"
        )


def without_marks(column: pd.Series, marks: Sequence[str]) -> pd.Series:
    """Return a column in which marks of a missing value are missing.

    Texts are compared as texts, without spaces around them, and numbers as numbers. In columns
    other than ids a text may be a number, too.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        found = _are_marks(column.cat.categories.to_series(name=column.name), marks)
        return column.cat.remove_categories(column.cat.categories[found])
    found = _are_marks(column, marks)
    if found.any() and types.is_integer_dtype(column.dtype):
        column = column.astype(object)  # numbers with a point would drop digits
    return column.mask(found)


def _are_marks(column: pd.Series, marks: Sequence[str]) -> np.ndarray:
    numbers = [n for n in (pd.to_numeric(m, errors="coerce") for m in marks) if not np.isnan(n)]
    # A number of Python equals an equal one of any type, and no text; of blanks any number is one.
    known = {*(mark if mark.strip() else "" for mark in marks), *numbers}
    found = column.map(lambda field: (field.strip() if isinstance(field, str) else field) in known)
    if types.is_datetime64_any_dtype(column.dtype):
        found = column.astype(str).isin(marks)
    elif column.name not in IDS and not types.is_numeric_dtype(column.dtype):
        found |= pd.to_numeric(column.astype(object), errors="coerce").isin(numbers)
    return found.to_numpy(dtype=bool)


def _with_points(frame: pd.DataFrame, decimal: str, path: Path) -> pd.DataFrame:
    """Write decimals with a point where a column has kept its text; other fields stay.

    A point is a mark of thousands there, so that 1.234 would become another number: it is refused.
    """
    kept = [n for n in ("intensity", "timestamp", "order") if n in frame]
    for name in (name for name in kept if types.is_object_dtype(frame[name].dtype)):
        column = frame[name].astype("string")
        pointed = column.str.fullmatch(_WITH_POINT).fillna(False).to_numpy(dtype=bool)
        if name != "timestamp":
            told = f"has a point beside decimal: {decimal!r}"
            refuse(frame[name], str(path), pointed, told, "leave marks of thousands out")
        comma = column.str.fullmatch(_WITH_COMMA) | column.str.match(r"\s*\d{4}-\d\d-\d\d")
        replaced = column.str.replace(decimal, ".", regex=False)
        found = comma.fillna(False).to_numpy(dtype=bool)
        frame = frame.assign(**{name: frame[name].mask(found, replaced.astype(object))})
    return frame


def delimited(
    columns: Mapping[str, str], separator: str = ",", names: Sequence[str] = ()
) -> Callable[..., Table]:
    """Return a reader of delimited files whose first line names the columns, or that have `names`.

    What one line of `seqattn.data.readers.READERS` needs for a dataset that is one such file;
    parameters are those of `read_delimited`.
    """

    def read(paths: Sequence[Path]) -> Table:
        return read_delimited(paths[0], separator, columns, names)

    return read


def header_of(
    path: Path, separator: str, content: bytes | None = None, quoted: bool = True
) -> list[str]:
    """Names in a file's first line; `content` is the file's, where it has been read."""
    if len(separator) > 1:
        content, separator = with_one(path, content or content_of(path), separator)
    how = {"sep": separator, "quoting": quoting(quoted), "dtype": str}
    first = _read(path, content, header=None, nrows=1, **how)
    return [str(name) for name in first.iloc[0].fillna("")]


def read_mirror(path: Path) -> Table:
    """Read a local mirror's ``<name>.csv.gz``.

    Its columns are user, item, intensity, timestamp and, optionally, ``order`` or ``seq_pos``:
    the place of the interaction in the user's history. An intensity or timestamp column without
    a single value counts as absent; other columns are ignored.

    Raises
    ------
    SeqattnError
        The file is empty, damaged, or lacks a column or names one twice.
    """
    present = header_of(path, ",")
    order = [name for name in _ORDERS if name in present][:1]
    table = read_delimited(path, ",", {**FIELDS, **{name: "order" for name in order}})
    optional = [name for name in ("intensity", "timestamp") if table.frame[name].isna().all()]
    return Table(table.frame.drop(columns=optional), table.source)


def _read(path: Path, content: bytes | None, **options: Any) -> pd.DataFrame:
    if content is None:
        require_file(path)
    try:
        return pd.read_csv(
            path if content is None else io.BytesIO(content),
            low_memory=False,
            float_precision="round_trip",
            keep_default_na=False,  # an item may be called "NA"; an empty field is missing
            **({"na_values": [""]} | options),
        )
    except pd.errors.EmptyDataError:
        raise SeqattnError(f"{path}: the file is empty; get it again") from None
    except UnicodeError as error:
        raise SeqattnError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from error
    except UNREADABLE as error:
        told = "; get it again"
        if "EOF inside string" in str(error):
            told += ", or set quote: none if quotes are part of the text"
        raise SeqattnError(f"{path}: cannot be read ({one_line(error)}){told}") from error


def _require_names(
    path: Path, present: list[str], wanted: list[str], separator: str | None = None
) -> None:
    """Refuse a file that lacks a column wanted, or names one twice."""
    for name in wanted:
        if name not in present:
            hint = _hint(present, separator) if separator else ""
            if found := nearly(name, present):
                hint = f"; {found!r} is there: rename it, or write the name as the file has it"
            raise SeqattnError(
                f"{path}: column {name!r} is missing (columns present: {_listed(present)}); the "
                f"file should have {', '.join(wanted)}{hint}"
            )
        if present.count(name) > 1:
            raise SeqattnError(f"{path}: the header names column {name!r} twice; keep one of them")


def nearly(name: str, present: Sequence[str]) -> str:
    """Return the one column that differs from a name in capitals, spaces or RecBole's type alone.

    Empty if there is none, or several.
    """

    def bare(text: str) -> str:
        return text.partition(":")[0].strip().casefold()

    found = [other for other in present if bare(other) and bare(other) == bare(name)]
    return found[0] if len(found) == 1 else ""


def _listed(names: list[str]) -> str:
    # In quotes where there would be nothing to see.
    told = ", ".join(name if name and name == name.strip() else repr(name) for name in names)
    return told if len(told) <= 400 else f"{told[:400]}..."


def _hint(header: list[str], separator: str) -> str:
    """Return what a first line without the names wanted suggests."""
    fields = header if len(header) > 1 else re.split(r"::|[ ;|\t,]", header[0][:200])
    if any(re.fullmatch(r"\d+", field.strip()) for field in fields):
        return "; or has the file no header? Then say header: false and list the columns in order"
    if len(header) == 1:
        marks = ("::", ";", "\t", "|", ",", " ")
        found = [mark for mark in marks if mark != separator and mark in header[0]]
        told = f": separator: {found[0]!r}" if found else "?"
        return f"; or is the separator another one{told}"
    return ""


def parquet_names(path: Path) -> list[str]:
    """Return the names of a Parquet file's columns, indexes among them.

    Raises
    ------
    SeqattnError
        As `read_parquet` does.
    """
    return _schema(path).names


def read_parquet(path: Path, columns: Mapping[str, str]) -> Table:
    """Read some columns of a Parquet file, renamed as `columns` says.

    Raises
    ------
    SeqattnError
        pyarrow is not installed or too new for numpy 1, or the file is damaged or lacks a column.
    """
    schema = _schema(path)
    _require_names(path, schema.names, list(columns))
    _refuse_nested(path, schema, list(columns))
    import pyarrow
    from pyarrow import parquet

    try:
        # Without pandas' own notes in the file, by which a column may come back as the index, and
        # without making numbers with a point of integers beside empty fields.
        frame = parquet.read_table(path, columns=list(columns)).to_pandas(
            ignore_metadata=True, integer_object_nulls=True
        )
    except (pyarrow.ArrowException, OSError) as error:
        raise SeqattnError(f"{path}: cannot be read ({one_line(error)}); get it again") from error
    frame = frame.rename(columns=dict(columns))
    frame.index = pd.RangeIndex(1, 1 + len(frame), name="row")
    return Table(frame, str(path))


def _schema(path: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        # Newer ones refuse numpy 1, which RecBole needs.
        raise SeqattnError(
            f"{path}: reading Parquet needs pyarrow ({error}); run: pip install 'pyarrow<22'"
        ) from None
    require_file(path)
    try:
        return parquet.read_schema(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise SeqattnError(f"{path}: cannot be read ({one_line(error)}); get it again") from error


def _refuse_nested(path: Path, schema: Any, columns: Sequence[str]) -> None:
    """Refuse columns whose fields are lists or structs, of which the first row has one already."""
    for name in columns:
        if (kind := schema.field(name).type).num_fields:
            raise SeqattnError(
                f"{path}: column {name!r}, row 1: holds {str(kind)[:80]}; give one number or one "
                "text a row"
            )


def read_inter(path: Path) -> Table:
    """Read a RecBole ``.inter`` file; rating and timestamp may be absent.

    Raises
    ------
    SeqattnError
        The file is empty, damaged, or lacks ``user_id:token`` or ``item_id:token``.
    """
    atomic = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")
    present = (*atomic[:2], *header_of(path, "\t"))
    columns = {k: v for k, v in zip(atomic, FIELDS, strict=True) if k in present}
    return read_delimited(path, "\t", columns)


LISTENS = {"userID": "user", "artistID": "item", "weight": "intensity"}  # no time
_TAGS = {"userID": "user", "artistID": "item", "timestamp": "timestamp"}


def read_hetrec_tagged(paths: Sequence[Path]) -> Table:
    """Read play counts with the time at which the user first tagged the artist, milliseconds.

    Pairs that were played but never tagged, or tagged but never played, are left out.

    References
    ----------
    Cantador, Brusilovsky and Kuflik, "Second Workshop on Information Heterogeneity and Fusion in
    Recommender Systems (HetRec 2011)", RecSys 2011.
    """
    listens, tags = (
        read_delimited(path, "\t", columns).frame.astype({"user": str, "item": str})
        for path, columns in zip(paths, (LISTENS, _TAGS), strict=True)
    )
    first = tags.groupby(["user", "item"], sort=False)["timestamp"].min()
    frame = listens.join(first, on=["user", "item"], how="inner")
    return Table(frame, str(paths[0]))
