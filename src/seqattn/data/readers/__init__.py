"""Readers of raw files, one for each official format: paths in, a :class:`Table` out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from seqattn.data.readers.delimited import (
    FIELDS,
    LISTENS,
    Table,
    delimited,
    read_delimited,
    read_hetrec_tagged,
    read_inter,
    read_mirror,
    read_parquet,
)
from seqattn.data.readers.json_lines import read_amazon, read_steam_au, read_steam_reviews

__all__ = [
    "READERS",
    "Table",
    "delimited",
    "read_delimited",
    "read_inter",
    "read_mirror",
    "read_parquet",
]

READERS: dict[str, Callable[[Sequence[Path]], Table]] = {
    "csv": delimited(FIELDS),
    "u.data": delimited(FIELDS, "\t", [*FIELDS]),
    "ratings.dat": delimited(FIELDS, "::", [*FIELDS]),
    "amazon-json": read_amazon,
    "steam-reviews": read_steam_reviews,
    "steam-au": read_steam_au,
    "hetrec-listens": delimited(LISTENS, "\t"),
    "hetrec-tagged": read_hetrec_tagged,
}
