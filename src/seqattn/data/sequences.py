"""Histories of all users in one jagged (CSR) array per field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqattn.data.interactions import Interactions, encode, known_when
from seqattn.errors import SeqattnError


@dataclass(frozen=True, eq=False)
class Sequences:
    """Jagged histories: user ``u`` owns rows ``offsets[u]:offsets[u + 1]`` of each flat array.

    All arrays are read-only. Legend: n interactions, U users, V items.

    Attributes
    ----------
    items : (n,) int32
        Item codes 1..V; 0 is kept for padding.
    intensity : (n,) float32 or None
        Raw intensities, in the unit of the dataset's catalogue entry.
    timestamp : (n,) float64
        Seconds since 1970 UTC; NaN where only the order of an interaction is known.
    offsets : (U + 1,) int64
        Start of each user's history, and the end of the last.
    user_ids : (U,) int64 or str
        Original ids, sorted: integers numerically, strings by code point.
    item_ids : (V,) int64 or str
        Original ids, sorted likewise; code ``c`` stands for ``item_ids[c - 1]``.
    """

    items: np.ndarray
    intensity: np.ndarray | None
    timestamp: np.ndarray
    offsets: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray

    def __post_init__(self) -> None:
        """Fix dtypes and make every array read-only."""
        kinds = {
            "items": np.int32,
            "intensity": np.float32,
            "timestamp": np.float64,
            "offsets": np.int64,
            "user_ids": None,
            "item_ids": None,
        }
        for name, dtype in kinds.items():
            array = getattr(self, name)
            if array is not None:
                # A view, so that the caller's own array stays writable.
                array = np.ascontiguousarray(array, dtype=dtype).view()
                array.flags.writeable = False
                object.__setattr__(self, name, array)

    @classmethod
    def from_interactions(cls, log: Interactions) -> Sequences:
        """Group a log that is in chronological order by user.

        Raises
        ------
        SeqattnError
            The log has no chronology, the place of an interaction is unknown, or a user's
            interactions are not in order.
        """
        when = known_when(log)
        users, user_ids = encode(log.frame["user"])
        items, item_ids = encode(log.frame["item"])
        by_user = np.argsort(users, kind="stable")
        users = users[by_user]
        backwards = (np.diff(when[by_user]) < 0) & (np.diff(users) == 0)
        if backwards.any():
            user = user_ids[users[np.argmax(backwards)]]
            raise SeqattnError(
                f"{log.source}: the interactions of user {user} are not in time order; apply "
                "sort_by_time first"
            )
        lengths = np.bincount(users, minlength=len(user_ids))
        return cls(
            items=items[by_user] + 1,
            intensity=log.frame["intensity"].to_numpy()[by_user] if log.has_intensity else None,
            timestamp=log.seconds[by_user],
            offsets=np.append(0, np.cumsum(lengths)),
            user_ids=user_ids,
            item_ids=item_ids,
        )

    def __len__(self) -> int:
        """Return the number of interactions."""
        return len(self.items)

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items, padding not counted."""
        return len(self.item_ids)

    @property
    def lengths(self) -> np.ndarray:
        """Interactions of each user, (U,) int64."""
        return np.diff(self.offsets)

    @property
    def user_of_row(self) -> np.ndarray:
        """Number of the user that owns each row, (n,) int64."""
        return np.repeat(np.arange(self.n_users), self.lengths)

    def keep(self, rows: np.ndarray) -> Sequences:
        """Return the histories with those rows that a mask, (n,), chooses; users and items stay."""
        kept = np.append(0, np.cumsum(rows))[self.offsets]
        return self._with(rows, kept, self.user_ids)

    def before(self, rows: np.ndarray) -> Sequences:
        """Return what came before each of some rows, (N,): a history of its user's for each."""
        user = np.searchsorted(self.offsets, rows, side="right") - 1
        offsets = np.append(0, np.cumsum(rows - self.offsets[user]))
        # A history's rows are neighbours, here and there.
        moved = np.repeat(rows - offsets[1:], np.diff(offsets))
        return self._with(moved + np.arange(offsets[-1]), offsets, self.user_ids[user])

    def _with(self, rows: np.ndarray, offsets: np.ndarray, user_ids: np.ndarray) -> Sequences:
        return Sequences(
            items=self.items[rows],
            intensity=None if self.intensity is None else self.intensity[rows],
            timestamp=self.timestamp[rows],
            offsets=offsets,
            user_ids=user_ids,
            item_ids=self.item_ids,
        )

    def of_users(self, ids: Iterable[object]) -> Sequences:
        """Return the histories of some users, in the order given, with all items kept.

        Raises
        ------
        SeqattnError
            A user is unknown; the message names the first one.
        """
        users = places_of(ids, self.user_ids, "user")
        rows = np.concatenate([np.arange(*self.offsets[[u, u + 1]]) for u in users])
        offsets = np.append(0, np.cumsum(self.lengths[users]))
        return self._with(rows, offsets, self.user_ids[users])


def places_of(ids: Iterable[object], known: np.ndarray, what: str) -> np.ndarray:
    """Return where each id stands among the known ones, (n,) int64; 7 and "7" are the same id.

    Raises
    ------
    SeqattnError
        An id is unknown; the message names the first one.
    """
    wanted = [str(one) for one in ids]
    places = pd.Index(known.astype(str)).get_indexer(pd.Index(wanted, dtype=object))
    if (places < 0).any():
        first = wanted[int(np.argmin(places))]
        some = ", ".join(map(str, known[:3]))
        raise SeqattnError(
            f"{what} {first!r} is not among the {len(known):,} {what}s of the data ({some}, ...); "
            "check the spelling, or leave it out"
        )
    return places
