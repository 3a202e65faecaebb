"""Readers of raw files: each finds one dataset's file and returns a validated log."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from seqattn.data.catalogue import CATALOGUE
from seqattn.data.interactions import Interactions
from seqattn.data.synthetic import synthetic_log
from seqattn.errors import SeqattnError

__all__ = ["READERS", "read_delimited", "read_ml_100k"]

_MIRROR_COLUMNS = {name: name for name in ("user", "item", "intensity", "timestamp")}
_ATOMIC_COLUMNS = {
    "user_id:token": "user",
    "item_id:token": "item",
    "rating:float": "intensity",
    "timestamp:float": "timestamp",
}


def read_delimited(
    path: Path, separator: str, columns: Mapping[str, str], *, header: bool = True
) -> Interactions:
    """Read a delimited text file, compressed or not; rows with an empty cell are dropped, counted.

    Parameters
    ----------
    path : Path
        File to read.
    separator : str
        Character between cells.
    columns : mapping of str to str
        The file's column names, in file order if it has no header, to ``user``, ``item``,
        ``intensity`` and ``timestamp``.
    header : bool
        Whether the first line names the columns.

    Raises
    ------
    SeqattnError
        The file is empty, damaged, lacks a column or holds an unusable value.
    """
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            header=0 if header else None,
            names=None if header else list(columns),
            low_memory=False,
            float_precision="round_trip",
        )
    except pd.errors.EmptyDataError:
        raise SeqattnError(f"{path}: the file is empty; get it again") from None
    except (pd.errors.ParserError, UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise SeqattnError(f"{path}: cannot be read ({error}); get it again") from error
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise SeqattnError(
            f"{path}: column {absent[0]!r} is missing (columns present: "
            f"{', '.join(map(str, frame.columns))}); the file should have "
            f"{', '.join(columns)}"
        )
    frame = frame[list(columns)].rename(columns=dict(columns))
    frame.index = pd.RangeIndex(1 + header, 1 + header + len(frame), name="line")
    return Interactions.from_frame(frame, source=str(path), drop_incomplete=True)


def read_ml_100k() -> Interactions:
    """Read MovieLens 100K from ``$SEQATTN_DATA``, else from RecBole's installed wheel.

    The folder may hold ``u.data`` or ``ml-100k/u.data``, as in the official archive, or
    ``ml-100k.csv.gz`` with the columns user, item, intensity and timestamp. RecBole is located,
    never imported.

    Raises
    ------
    SeqattnError
        No file is found, or the one found is damaged.
    """
    folder = _data_folder()
    if folder is not None:
        for name in ("u.data", "ml-100k/u.data"):
            if (folder / name).is_file():
                return read_delimited(folder / name, "\t", _MIRROR_COLUMNS, header=False)
        if (folder / "ml-100k.csv.gz").is_file():
            return read_delimited(folder / "ml-100k.csv.gz", ",", _MIRROR_COLUMNS)
    bundled = _recbole_file("dataset_example/ml-100k/ml-100k.inter")
    if bundled is not None:
        return read_delimited(bundled, "\t", _ATOMIC_COLUMNS)
    raise SeqattnError(
        "ml-100k: found neither u.data, ml-100k/u.data or ml-100k.csv.gz in $SEQATTN_DATA "
        f"({folder or 'not set'}) nor RecBole's bundled copy; unpack "
        f"{CATALOGUE['ml-100k'].url} and set SEQATTN_DATA to the folder that holds ml-100k/, or "
        "run: pip install recbole"
    )


def _data_folder() -> Path | None:
    """Return the local mirror named by ``$SEQATTN_DATA``, if any."""
    value = os.environ.get("SEQATTN_DATA")
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise SeqattnError(
            f"SEQATTN_DATA={value} is not a folder; set it to the folder with your data files, or "
            "unset it"
        )
    return folder


def _recbole_file(relative: str) -> Path | None:
    """Return a file of RecBole's wheel; finding a top-level package does not import it."""
    spec = find_spec("recbole")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(location) / relative).is_file():
            return path
    return None


READERS: dict[str, Callable[[], Interactions]] = {
    "ml-100k": read_ml_100k,
    "synthetic": synthetic_log,
}
