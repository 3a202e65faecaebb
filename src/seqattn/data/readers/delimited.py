"""Delimited text: CSV, MovieLens' two formats and the local mirror's files."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

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
    path: Path, separator: str, columns: Mapping[str, str], names: Sequence[str] = ()
) -> Table:
    """Read a delimited text file, compressed or not.

    Parameters
    ----------
    columns : mapping of str to str
        The file's column names to ``user``, ``item``, ``intensity``, ``timestamp`` and ``order``.
    names : sequence of str, optional
        Names of all columns in file order, for a file whose first line does not give them.

    Raises
    ------
    SeqattnError
        The file is empty, damaged, lacks a column or names one twice, or a line has more cells
        than there are columns.
    """
    header = not names
    present = header_of(path, separator) if header else list(names)
    _require_names(path, present, list(columns))
    _refuse_surplus(path, separator, len(present), header)
    frame = _read(
        path,
        sep=separator,
        header=0 if header else None,
        names=names or None,
        usecols=list(columns),
        # Ids as they stand in the file: a number would lose the zeros of 007 and the digits of 1E5.
        # Categories are text, each different id of which is made once.
        dtype={name: "category" for name, ours in columns.items() if ours in ("user", "item")},
        index_col=False,
        skip_blank_lines=False,  # they count as lines in messages
    )
    frame = frame.rename(columns=dict(columns))
    frame.index = pd.RangeIndex(1 + header, 1 + header + len(frame), name="line")
    empty = frame.isna().all(axis=1)
    return Table(frame[~empty] if empty.any() else frame, str(path))


def _refuse_surplus(path: Path, separator: str, columns: int, header: bool) -> None:
    """Refuse a line with more cells than there are columns, of which pandas would say nothing."""
    try:
        surplus = pd.read_csv(
            path,
            sep=separator,
            header=None,
            skiprows=int(header),
            names=range(columns + 1),
            usecols=[columns],
            index_col=False,
            dtype=str,
            skip_blank_lines=False,
        )[columns].notna()
    except (pd.errors.EmptyDataError, *_UNREADABLE):
        return  # no line is that long, or the file has other faults, which reading it will tell
    if surplus.any():
        raise SeqattnError(
            f"{path}: line {surplus.idxmax() + 1 + header} has more than {columns} cells; quote "
            "cells that hold the separator, and write decimals with a point"
        )


def delimited(columns: Mapping[str, str], separator: str = ",") -> Callable[..., Table]:
    """Return a reader of delimited files whose first line names the columns.

    What one line of `seqattn.data.readers.READERS` needs for a dataset that is one such file;
    parameters are those of `read_delimited`.
    """

    def read(paths: Sequence[Path]) -> Table:
        return read_delimited(paths[0], separator, columns)

    return read


def header_of(path: Path, separator: str) -> list[str]:
    """Names in a file's first line."""
    first = _read(path, sep=separator, header=None, nrows=1, dtype=str)
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
    order = [name for name in _ORDERS if name in header_of(path, ",")][:1]
    table = read_delimited(path, ",", {**FIELDS, **{name: "order" for name in order}})
    optional = [name for name in ("intensity", "timestamp") if table.frame[name].isna().all()]
    return Table(table.frame.drop(columns=optional), table.source)


def _read(path: Path, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(
            path,
            low_memory=False,
            float_precision="round_trip",
            keep_default_na=False,  # an item may be called "NA"; an empty cell is missing
            na_values=[""],
            **options,
        )
    except pd.errors.EmptyDataError:
        raise SeqattnError(f"{path}: the file is empty; get it again") from None
    except UnicodeError as error:
        raise SeqattnError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from error
    except _UNREADABLE as error:
        raise SeqattnError(f"{path}: cannot be read ({error}); get it again") from error


def _require_names(path: Path, present: list[str], wanted: list[str]) -> None:
    """Refuse a file that lacks a column wanted, or names one twice."""
    for name in wanted:
        if name not in present:
            hint = "; or is the separator another one?" if len(present) == 1 else ""
            raise SeqattnError(
                f"{path}: column {name!r} is missing (columns present: {', '.join(present)}); the "
                f"file should have {', '.join(wanted)}{hint}"
            )
        if present.count(name) > 1:
            raise SeqattnError(f"{path}: the header names column {name!r} twice; keep one of them")


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
        _require_names(path, parquet.read_schema(path).names, list(columns))
        # Without pandas' own notes in the file, by which a column may come back as the index.
        frame = parquet.read_table(path, columns=list(columns)).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise SeqattnError(f"{path}: cannot be read ({error}); get it again") from error
    frame = frame.rename(columns=dict(columns))
    frame.index = pd.RangeIndex(1, 1 + len(frame), name="row")
    return Table(frame, str(path))


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
