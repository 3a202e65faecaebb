"""RecBole's atomic files: tab-separated text whose header gives each column a type."""

from __future__ import annotations

import os
from pathlib import Path

from seqattn.data.interactions import Interactions
from seqattn.data.readers.delimited import header_of, read_delimited
from seqattn.data.readers.table import Table
from seqattn.errors import SeqattnError

__all__ = ["read_inter", "write_inter"]

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
