"""Preparation steps: pure functions from Interactions to Interactions, each counted.

Rows with empty fields are dropped one stage earlier, by
``Interactions.from_frame(..., drop_incomplete=True)``: a validated log has none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from seqattn.data.interactions import Interactions, encode, known_when, require_chronology
from seqattn.data.repeats import POLICIES, in_canonical_order, merge_repeats
from seqattn.errors import SeqattnError

TIES = ("file", "item-id")
_SAMPLE_SEED = 2020  # the first of the published training seeds; [IA] does not name another
_SAMPLE_LEAST = 5  # reviews a user must have to be drawn


@dataclass(frozen=True)
class Preparation:
    """How a log becomes histories; part of a dataset's fingerprint.

    Attributes
    ----------
    core : int
        Least number of interactions of a user and of an item.
    iterative : bool
        Whether the filter is repeated until stable; [AE] applies it once.
    history : int
        Least number of interactions of a history after the filter, dropped once; 0 keeps all. A
        single pass leaves thin histories, and leave-one-out needs three interactions.
    subsample : int or None
        Users drawn at random before the filter, as for [IA]'s Steam datasets; None keeps all.
    exact, pairs : str
        Policies for exact copies and for repeated pairs, see `seqattn.data.repeats`.
    ties : str
        What orders a user's interactions of one moment: ``"file"``, the order of its rows, or
        ``"item-id"``, so that the same rows in any order are the same dataset.
    """

    core: int = 5
    iterative: bool = True
    subsample: int | None = None
    exact: str = "latest"
    pairs: str = "latest"
    ties: str = "file"
    history: int = 0

    def __post_init__(self) -> None:
        """Check that the words are known and the numbers large enough."""
        if self.ties not in TIES:
            raise SeqattnError(f"ties {self.ties!r} is unknown; use {' or '.join(TIES)}")
        for policy in (self.exact, self.pairs):
            if policy not in POLICIES:
                raise SeqattnError(
                    f"duplicates: {policy!r} is unknown; choose one of {', '.join(POLICIES)}"
                )
        if self.core < 1 or (self.subsample or 0) < 0 or self.history < 0:
            raise SeqattnError(
                "filters: k_core must be at least 1, which keeps everything, and users and history "
                "at least 0"
            )

    @property
    def counts(self) -> bool:
        """Whether the intensity is made here: the number of occurrences."""
        return "count" in (self.exact, self.pairs)

    @property
    def policy(self) -> str:
        """What becomes of repeats, in a YAML's words."""
        if self.exact == self.pairs:
            return self.pairs
        return f"{{exact: {self.exact}, pairs: {self.pairs}}}"

    def options(self) -> dict[str, object]:
        """Return what enters the fingerprint; an option at its default, except core, does not.

        Leaving defaults out keeps the fingerprint of a dataset when an option is added; before
        there was a choice, "duplicates" was "latest".
        """
        values, defaults = asdict(self), asdict(Preparation())
        changed = {k: v for k, v in values.items() if k == "core" or v != defaults[k]}
        return changed if {"exact", "pairs"} & {*changed} else changed | {"duplicates": "latest"}


def sort_by_time(log: Interactions) -> Interactions:
    """Sort by user, then time or explicit order, with a stable sort: ties stay in file order.

    Ties are common (MovieLens records whole seconds, Steam whole days), so an unstable sort would
    change held-out items from run to run. Interactions of unknown place go to the end.

    Raises
    ------
    SeqattnError
        The log has no chronology.
    """
    users, _ = encode(log.frame["user"])
    keys = [require_chronology(log), users]
    if "part" in log.frame.columns:  # of a given split: what is held out comes after its equals
        keys.insert(0, log.frame["part"].to_numpy())
    return log.take(np.lexsort(keys), "sort by time")


def sample_users(log: Interactions, n: int) -> Interactions:
    """Keep `n` random users of those with at least 5 interactions, the same ones every time.

    The pool is sorted by id, so the draw does not depend on the order of rows.

    Raises
    ------
    SeqattnError
        There are fewer than `n` such users.
    """
    users, user_ids = encode(log.frame["user"])
    pool = np.flatnonzero(np.bincount(users, minlength=len(user_ids)) >= _SAMPLE_LEAST)
    if not 1 <= n <= len(pool):
        raise SeqattnError(
            f"{log.source}: cannot draw {n} users: {len(pool)} have at least {_SAMPLE_LEAST} "
            "interactions; draw between 1 and that many"
        )
    drawn = np.random.default_rng(_SAMPLE_SEED).choice(pool, n, replace=False)
    return log.take(np.isin(users, drawn), f"sample {n} users")


def k_core(log: Interactions, k: int = 5, iterative: bool = True) -> Interactions:
    """Drop users and items with fewer than `k` interactions, until none is left or once.

    The iterative result, the largest sub-log in which every user and item has at least `k`, does
    not depend on the order of dropping. A single pass counts users and items of the log as it
    is, and drops the thin of both at once; what remains may be thin again.

    Raises
    ------
    SeqattnError
        `k` is not a positive integer, or no user is left.

    Examples
    --------
    User 3 and item c leave together; every step is counted:

    >>> import pandas as pd
    >>> rows = {"user": [1, 1, 2, 2, 3], "item": list("ababc"), "timestamp": [1, 2, 3, 4, 5]}
    >>> log = k_core(Interactions.from_frame(pd.DataFrame(rows)), k=2)
    >>> [(step.name, step.interactions, step.users, step.items) for step in log.steps]
    [('read', 5, 3, 3), ('2-core', 4, 2, 2)]
    """
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise SeqattnError(f"k_core: k = {k!r} is not a positive integer")
    users, user_ids = encode(log.frame["user"])
    items, item_ids = encode(log.frame["item"])
    keep = np.ones(len(log), dtype=bool)
    while True:
        per_user = np.bincount(users[keep], minlength=len(user_ids))
        per_item = np.bincount(items[keep], minlength=len(item_ids))
        # Rows already dropped stay dropped: counts only fall from round to round.
        enough = keep & (per_user[users] >= k) & (per_item[items] >= k)
        if not iterative:
            return log.take(enough, f"{k}-core, one pass")
        if np.array_equal(enough, keep):
            return log.take(keep, f"{k}-core")
        keep = enough


def drop_short(log: Interactions, least: int) -> Interactions:
    """Drop users with fewer than `least` interactions, once; items are not looked at.

    Raises
    ------
    SeqattnError
        No user is left.
    """
    users, user_ids = encode(log.frame["user"])
    enough = np.bincount(users, minlength=len(user_ids)) >= least
    return log.take(enough[users], f"histories of at least {least}")


def prepare(log: Interactions, how: Preparation | None = None) -> Interactions:
    """Apply the book's preparation: repeats, time order, a draw, k-core, short histories.

    Raises
    ------
    SeqattnError
        The log has no chronology, no user is left, or an interaction is left whose place in its
        user's history is unknown.
    """
    how = how or Preparation()
    if how.ties == "item-id":
        log = in_canonical_order(log)
    log = sort_by_time(merge_repeats(log, how.exact, how.pairs))
    if how.subsample is not None:
        log = sample_users(log, how.subsample)
    log = k_core(log, how.core, how.iterative)
    if how.history:
        log = drop_short(log, how.history)
    known_when(log)
    return log
