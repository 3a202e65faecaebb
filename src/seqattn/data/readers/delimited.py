"""Delimited text: CSV, MovieLens' two formats and the local mirror's files."""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.common import get_handle

from seqattn.errors import SeqattnError


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
_UNREADABLE = (pd.errors.ParserError, UnicodeError, EOFError, OSError, zlib.error)
_ORDERS = ("order", "seq_pos")  # names of a mirror file's explicit order, the first one wins


def read_delimited(
    path: Path,
    separator: str,
    columns: Mapping[str, str],
    names: Sequence[str] = (),
    *,
    missing: Sequence[str] = (),
    decimal: str = ".",
    texts: Sequence[str] = (),
) -> Table:
    """Read a delimited text file, compressed or not.

    Parameters
    ----------
    columns : mapping of str to str
        The file's column names to ``user``, ``item``, ``intensity``, ``timestamp`` and ``order``.
    names : sequence of str, optional
        Names of all columns in file order, for a file whose first line does not give them.
    missing : sequence of str, optional
        What stands for a missing value in any column, beside an empty cell.
    decimal : str, optional
        The decimal mark, a point or a comma.
    texts : sequence of str, optional
        Our columns, beside the ids, whose cells are kept as they stand: numbers of many digits.

    Raises
    ------
    SeqattnError
        The file is empty, damaged or cut off, lacks a column or names one twice, or a line has
        more cells than there are columns.
    """
    header = not names
    content = content_of(path)
    present = header_of(path, separator, content) if header else list(names)
    _require_names(path, present, list(columns), separator)
    _refuse_surplus(path, content, separator, len(present), header)
    if not content.endswith((b"\n", b"\r")):
        _refuse_cut(path, content, separator, len(present), header)
    frame = _read(
        path,
        content,
        sep=separator,
        header=0 if header else None,
        names=names or None,
        usecols=list(columns),
        # Ids as they stand in the file: a number would lose the zeros of 007 and the digits of 1E5.
        # Categories are text, each different id of which is made once.
        dtype={name: "category" for name, ours in columns.items() if ours in ("user", "item")}
        | {name: "str" for name, ours in columns.items() if ours in texts},
        index_col=False,
        skip_blank_lines=False,  # they count as lines in messages
        na_values=["", *missing],
        decimal=decimal,
    )
    frame = frame.rename(columns=dict(columns))
    frame.index = _lines(content, separator, header, len(frame))
    if decimal != ".":
        frame = _with_points(frame, decimal)
    empty = frame.isna().all(axis=1)
    return Table(frame[~empty] if empty.any() else frame, str(path))


def _with_points(frame: pd.DataFrame, decimal: str) -> pd.DataFrame:
    """Write decimals with a point where a column has kept its text, for one cell is no number."""
    kept = [n for n in frame.columns if n not in ("user", "item") and frame[n].dtype == object]
    return frame.assign(**{name: frame[name].str.replace(decimal, ".") for name in kept})


def content_of(path: Path) -> bytes:
    """Return the bytes of a text file, unpacked if its name says that it is compressed.

    Raises
    ------
    SeqattnError
        The archive is damaged, encrypted or not of one file, or the text holds NUL bytes.
    """
    try:
        with get_handle(path, "rb", is_text=False, compression="infer") as opened:
            content: bytes = opened.handle.read()
    except ImportError as error:
        raise SeqattnError(f"{path}: {_one_line(error)} Or unpack the file first.") from None
    except Exception as error:  # each kind of archive has errors of its own
        raise SeqattnError(
            f"{path}: cannot be read ({_one_line(error)}); get it again, or unpack it and give the "
            "path of the one file that holds the log"
        ) from error
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):  # of UTF-16
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise SeqattnError(
            f"{path}: line {line} holds a NUL byte, so the file is damaged or no text; get it again"
        )
    return content


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def _lines(content: bytes, separator: str, header: bool, rows: int) -> pd.Index:
    """Return the line on which each row starts; a quoted cell may hold the end of a line."""
    physical = content.count(b"\n") + (not content.endswith(b"\n"))
    if physical != rows + header:
        try:
            text = io.StringIO(content.decode("utf-8-sig"), newline="")
            records = csv.reader(text, delimiter=separator)
            starts = [1, *(records.line_num + 1 for _ in records)][:-1]
        except (csv.Error, UnicodeError):  # a very long cell; or one that nobody asked for
            starts = []
        if len(starts) == rows + header:
            return pd.Index(starts[header:], name="line")
    return pd.RangeIndex(1 + header, 1 + header + rows, name="line")


def _column_as_text(
    content: bytes, separator: str, header: bool, names: int, place: int
) -> pd.Series:
    """Cells of one column as they stand, of lines read as if they had `names` cells."""
    return pd.read_csv(
        io.BytesIO(content),
        sep=separator,
        header=None,
        skiprows=int(header),
        names=range(names),
        usecols=[place],
        index_col=False,
        dtype=str,
        skip_blank_lines=False,
    )[place]


def _refuse_surplus(path: Path, content: bytes, separator: str, columns: int, header: bool) -> None:
    """Refuse a line with more cells than there are columns, of which pandas would say nothing."""
    try:
        cells = _column_as_text(content, separator, header, columns + 1, columns)
    except (pd.errors.EmptyDataError, *_UNREADABLE):
        return  # no line is that long, or the file has other faults, which reading it will tell
    surplus = np.flatnonzero(cells.notna())
    if len(surplus):
        line = _lines(content, separator, header, len(cells))[surplus[0]]
        raise SeqattnError(
            f"{path}: line {line} has more than {columns} cells; quote cells that hold the "
            "separator, and write decimals with a point or say decimal: ','"
        )


def _refuse_cut(path: Path, content: bytes, separator: str, columns: int, header: bool) -> None:
    """Refuse a last line that ends early, where no end of line says that it is whole.

    It has fewer cells, or its last one, a number or a date, is shorter than all others.
    """
    try:
        cells = _column_as_text(content, separator, header, columns, columns - 1)
    except (pd.errors.EmptyDataError, *_UNREADABLE):
        return
    others, last = cells.iloc[:-1], cells.iloc[-1]
    if others.empty:
        return
    if pd.isna(last):
        ends_early = others.notna().all()
    else:
        numbers = others.str.match(r"[-+.\d]").fillna(False).all()
        ends_early = numbers and len(last) < others.str.len().min()
    if ends_early:
        line = _lines(content, separator, header, len(cells))[-1]
        raise SeqattnError(
            f"{path}: the file ends inside line {line}, as if it were cut off: its last cell is "
            "absent or shorter than all others and no end of line follows; get the file again, or "
            "end the line if it is whole"
        )


def delimited(columns: Mapping[str, str], separator: str = ",") -> Callable[..., Table]:
    """Return a reader of delimited files whose first line names the columns.

    What one line of `seqattn.data.readers.READERS` needs for a dataset that is one such file;
    parameters are those of `read_delimited`.
    """

    def read(paths: Sequence[Path]) -> Table:
        return read_delimited(paths[0], separator, columns)

    return read


def header_of(path: Path, separator: str, content: bytes | None = None) -> list[str]:
    """Names in a file's first line; `content` is the file's, where it has been read."""
    first = _read(path, content, sep=separator, header=None, nrows=1, dtype=str)
    return [str(name) for name in first.iloc[0]]


def read_u_data(paths: Sequence[Path]) -> Table:
    """Read MovieLens 100K's ``u.data``: user, item, rating and seconds, between tabs."""
    return read_delimited(paths[0], "\t", FIELDS, names=list(FIELDS))


def read_ratings_dat(paths: Sequence[Path]) -> Table:
    """Read MovieLens 1M's ``ratings.dat``: user, item, rating and seconds, between ``::``."""
    # pandas' fast parser takes separators of one character: every second column is empty.
    names = ["user", "", "item", " ", "intensity", "  ", "timestamp"]
    return read_delimited(paths[0], ":", FIELDS, names=names)


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
    try:
        return pd.read_csv(
            path if content is None else io.BytesIO(content),
            low_memory=False,
            float_precision="round_trip",
            keep_default_na=False,  # an item may be called "NA"; an empty cell is missing
            **({"na_values": [""]} | options),
        )
    except pd.errors.EmptyDataError:
        raise SeqattnError(f"{path}: the file is empty; get it again") from None
    except UnicodeError as error:
        raise SeqattnError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from error
    except _UNREADABLE as error:
        raise SeqattnError(f"{path}: cannot be read ({_one_line(error)}); get it again") from error


def _require_names(
    path: Path, present: list[str], wanted: list[str], separator: str | None = None
) -> None:
    """Refuse a file that lacks a column wanted, or names one twice."""
    for name in wanted:
        if name not in present:
            hint = _hint(present, separator) if separator else ""
            raise SeqattnError(
                f"{path}: column {name!r} is missing (columns present: {_listed(present)}); the "
                f"file should have {', '.join(wanted)}{hint}"
            )
        if present.count(name) > 1:
            raise SeqattnError(f"{path}: the header names column {name!r} twice; keep one of them")


def _listed(names: list[str]) -> str:
    told = ", ".join(names)
    return told if len(told) <= 400 else f"{told[:400]}..."


def _hint(header: list[str], separator: str) -> str:
    """Return what a first line without the names wanted suggests."""
    cells = header if len(header) > 1 else re.split(r"[ ;|\t,]", header[0][:200])
    if any(re.fullmatch(r"\d+", cell.strip()) for cell in cells):
        return "; or has the file no header? Then say header: false and list the columns in order"
    if len(header) == 1:
        found = [mark for mark in ";\t|, " if mark != separator and mark in header[0]]
        told = f": separator: {found[0]!r}" if found else "?"
        return f"; or is the separator another one{told}"
    return ""


def read_parquet(path: Path, columns: Mapping[str, str]) -> Table:
    """Read some columns of a Parquet file, renamed as `columns` says.

    Raises
    ------
    SeqattnError
        pyarrow is not installed or too new for numpy 1, or the file is damaged or lacks a column.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        # Newer ones refuse numpy 1, which RecBole needs.
        raise SeqattnError(
            f"{path}: reading Parquet needs pyarrow ({error}); run: pip install 'pyarrow<22'"
        ) from None
    try:
        schema = parquet.read_schema(path)
        _require_names(path, schema.names, list(columns))
        _refuse_nested(path, schema, list(columns))
        # Without pandas' own notes in the file, by which a column may come back as the index, and
        # without making numbers with a point of integers beside empty cells.
        frame = parquet.read_table(path, columns=list(columns)).to_pandas(
            ignore_metadata=True, integer_object_nulls=True
        )
    except (pyarrow.ArrowException, OSError) as error:
        raise SeqattnError(f"{path}: cannot be read ({_one_line(error)}); get it again") from error
    frame = frame.rename(columns=dict(columns))
    frame.index = pd.RangeIndex(1, 1 + len(frame), name="row")
    return Table(frame, str(path))


def _refuse_nested(path: Path, schema: Any, columns: Sequence[str]) -> None:
    """Refuse columns whose cells are lists or structs, of which the first row has one already."""
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


_LISTENS = {"userID": "user", "artistID": "item", "weight": "intensity"}
_TAGS = {"userID": "user", "artistID": "item", "timestamp": "timestamp"}


def read_hetrec_listens(paths: Sequence[Path]) -> Table:
    """Read ``user_artists.dat``: how often each user played each artist; no time."""
    return read_delimited(paths[0], "\t", _LISTENS)


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
        for path, columns in zip(paths, (_LISTENS, _TAGS), strict=True)
    )
    first = tags.groupby(["user", "item"], sort=False)["timestamp"].min()
    frame = listens.join(first, on=["user", "item"], how="inner")
    return Table(frame, str(paths[0]))
