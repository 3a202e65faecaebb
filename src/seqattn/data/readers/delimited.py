"""Delimited text: CSV, MovieLens' two formats and the local mirror's files."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from seqattn.data.interactions import Interactions
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


_UNREADABLE = (pd.errors.ParserError, UnicodeError, EOFError, OSError, zlib.error)


_FIELDS = {name: name for name in ("user", "item", "intensity", "timestamp")}


_ORDERS = ("order", "seq_pos")  # names of a mirror file's explicit order, the first one wins


def read_delimited(
    path: Path,
    separator: str,
    columns: Mapping[str, str],
    *,
    names: Sequence[str] | None = None,
) -> Table:
    """Read a delimited text file, compressed or not.

    Parameters
    ----------
    path : Path
        File to read.
    separator : str
        Characters between cells.
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
    header = names is None
    present = header_of(path, separator) if header else list(names)
    if header:
        require_names(path, present, list(columns))
    _refuse_surplus(path, separator, len(present), header)
    frame = _read(
        path,
        sep=separator,
        header=0 if header else None,
        names=names,
        usecols=list(columns),
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

    What one line of `seqattn.data.readers.READERS` needs for a dataset that is one such file.

    Parameters
    ----------
    columns : mapping of str to str
        As for `read_delimited`: the file's names to ours.
    separator : str
        Characters between cells.
    """

    def read(paths: Sequence[Path]) -> Table:
        return read_delimited(paths[0], separator, columns)

    return read


def header_of(path: Path, separator: str = ",") -> list[str]:
    """Return the names in a file's first line.

    Raises
    ------
    SeqattnError
        The file is empty or damaged.
    """
    first = _read(path, sep=separator, header=None, nrows=1, dtype=str)
    return [str(name) for name in first.iloc[0]]


def read_u_data(paths: Sequence[Path]) -> Table:
    """Read MovieLens 100K's ``u.data``: user, item, rating and seconds, between tabs."""
    return read_delimited(paths[0], "\t", _FIELDS, names=list(_FIELDS))


def read_ratings_dat(paths: Sequence[Path]) -> Table:
    """Read MovieLens 1M's ``ratings.dat``: user, item, rating and seconds, between ``::``."""
    # pandas' fast parser takes separators of one character: every second column is empty.
    names = ["user", "", "item", " ", "intensity", "  ", "timestamp"]
    return read_delimited(paths[0], ":", _FIELDS, names=names)


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
    order = [name for name in _ORDERS if name in header_of(path)][:1]
    table = read_delimited(path, ",", {**_FIELDS, **{name: "order" for name in order}})
    return Table(without_empty_columns(table.frame), table.source)


def without_empty_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame without intensity and timestamp columns in which every cell is empty."""
    optional = [name for name in ("intensity", "timestamp") if name in frame.columns]
    return frame.drop(columns=[name for name in optional if frame[name].isna().all()])


def _read(path: Path, **options: object) -> pd.DataFrame:
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


def require_names(path: Path, present: list[str], wanted: list[str]) -> None:
    """Refuse a file that lacks a column wanted, or names one twice.

    Raises
    ------
    SeqattnError
        The message names the column and those present.
    """
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
        require_names(path, parquet.read_schema(path).names, list(columns))
        frame = pd.read_parquet(path, columns=list(columns), engine="pyarrow")
    except (pyarrow.ArrowException, OSError) as error:
        raise SeqattnError(f"{path}: cannot be read ({error}); get it again") from error
    frame = frame.reset_index(drop=True).rename(columns=dict(columns))
    frame.index = pd.RangeIndex(1, 1 + len(frame), name="row")
    return Table(frame, str(path))


_COLUMNS = {
    "user_id:token": "user",
    "item_id:token": "item",
    "rating:float": "intensity",
    "timestamp:float": "timestamp",
}


def read_inter(path: Path) -> Table:
    """Read a RecBole ``.inter`` file; rating and timestamp may be absent.

    Raises
    ------
    SeqattnError
        The file is empty, damaged, or lacks ``user_id:token`` or ``item_id:token``.
    """
    present = header_of(path, "\t")
    wanted = {k: v for k, v in _COLUMNS.items() if k in present or v in ("user", "item")}
    return read_delimited(path, "\t", wanted)


def write_inter(log: Interactions, path: Path) -> None:
    """Write a log as a RecBole ``.inter`` file, whole or not at all.

    RecBole orders by ``timestamp``. A log with an explicit order has that order written there;
    the times themselves are left out.

    Raises
    ------
    SeqattnError
        The log has no chronology, or the file cannot be written.
    """
    if log.when is None:
        raise SeqattnError(f"{log.source}: without timestamps or an order RecBole cannot use it")
    frame = log.frame.assign(timestamp=log.when)
    present = {column: name for column, name in _COLUMNS.items() if name in frame.columns}
    partial = path.with_name(f".{path.name}.partial")
    try:
        frame[list(present.values())].to_csv(partial, sep="\t", index=False, header=list(present))
        os.replace(partial, path)
    except OSError as error:
        raise SeqattnError(f"cannot write {path}: {error.strerror}; make room for it") from error
    finally:
        partial.unlink(missing_ok=True)


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
        read_delimited(path, "\t", columns).frame
        for path, columns in zip(paths, (_LISTENS, _TAGS), strict=True)
    )
    first = tags.groupby(["user", "item"], sort=False)["timestamp"].min()
    frame = listens.join(first, on=["user", "item"], how="inner")
    return Table(frame, str(paths[0]))
