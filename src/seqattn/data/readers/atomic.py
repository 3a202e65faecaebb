"""RecBole's atomic files: tab-separated text whose header gives each column a type."""

from __future__ import annotations

from pathlib import Path

from seqattn.data.readers.delimited import header_of, read_delimited
from seqattn.data.readers.table import Table

__all__ = ["read_inter"]

_COLUMNS = {
    "user_id:token": "user",
    "item_id:token": "item",
    "rating:float": "intensity",
    "timestamp:float": "timestamp",
}


def read_inter(path: Path) -> Table:
    """Read a RecBole ``.inter`` file; rating and timestamp may be absent."""
    present = header_of(path, "\t")
    wanted = {k: v for k, v in _COLUMNS.items() if k in present or v in ("user", "item")}
    return read_delimited(path, "\t", wanted)
