"""Last.FM of HetRec 2011: tab-separated text with a header."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqattn.data.readers.delimited import read_delimited
from seqattn.data.readers.table import Table

__all__ = ["read_hetrec_listens", "read_hetrec_tagged"]

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
