"""Readers of raw files, one for each official format: paths in, a :class:`Table` out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from seqattn.data.readers.amazon import read_amazon
from seqattn.data.readers.atomic import read_inter, write_inter
from seqattn.data.readers.delimited import (
    delimited,
    read_delimited,
    read_mirror,
    read_ratings_dat,
    read_u_data,
)
from seqattn.data.readers.hetrec import read_hetrec_listens, read_hetrec_tagged
from seqattn.data.readers.parquet import read_parquet
from seqattn.data.readers.steam import read_steam_au, read_steam_reviews
from seqattn.data.readers.table import Table

__all__ = [
    "READERS",
    "Table",
    "delimited",
    "read_delimited",
    "read_inter",
    "read_mirror",
    "read_parquet",
    "write_inter",
]

READERS: dict[str, Callable[[Sequence[Path]], Table]] = {
    "csv": delimited({name: name for name in ("user", "item", "intensity", "timestamp")}),
    "u.data": read_u_data,
    "ratings.dat": read_ratings_dat,
    "amazon-json": read_amazon,
    "steam-reviews": read_steam_reviews,
    "steam-au": read_steam_au,
    "hetrec-listens": read_hetrec_listens,
    "hetrec-tagged": read_hetrec_tagged,
}
