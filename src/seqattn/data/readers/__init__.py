"""Readers of raw files, one for each official format: paths in, a :class:`Table` out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from seqattn.data.readers.delimited import (
    read_delimited,
    read_mirror,
    read_ratings_dat,
    read_u_data,
)
from seqattn.data.readers.table import Table

__all__ = ["READERS", "Table", "read_delimited", "read_mirror"]

READERS: dict[str, Callable[[Sequence[Path]], Table]] = {
    "u.data": read_u_data,
    "ratings.dat": read_ratings_dat,
}
