"""Preparation steps: pure functions from Interactions to Interactions, each counted.

Rows with empty cells are dropped one stage earlier, by
``Interactions.from_frame(..., drop_incomplete=True)``: a validated log has none.
"""

from __future__ import annotations

import numpy as np

from seqattn.data.interactions import Interactions, encode
from seqattn.errors import SeqattnError

__all__ = ["k_core", "keep_latest_duplicate", "prepare", "sort_by_time"]


def keep_latest_duplicate(log: Interactions) -> Interactions:
    """Keep the latest of several interactions of one user with one item.

    Of equal times the last in file order is kept; the remaining rows keep their file order.
    """
    users, _ = encode(log.frame["user"])
    items, item_ids = encode(log.frame["item"])
    pairs = users * len(item_ids) + items
    order = np.lexsort((log.frame["timestamp"], pairs))  # lexsort is stable
    is_last = np.append(pairs[order][1:] != pairs[order][:-1], True)
    return log.take(np.sort(order[is_last]), "keep latest duplicate")


def sort_by_time(log: Interactions) -> Interactions:
    """Sort by user, then time, with a stable sort: ties stay in file order.

    Ties are common (MovieLens records whole seconds, Steam whole days), so an unstable sort would
    change held-out items from run to run.
    """
    users, _ = encode(log.frame["user"])
    return log.take(np.lexsort((log.frame["timestamp"], users)), "sort by time")


def k_core(log: Interactions, k: int = 5) -> Interactions:
    """Drop users and items with fewer than `k` interactions until none is left.

    The result, the largest sub-log in which every user and item has at least `k`, does not depend
    on the order of dropping.

    Raises
    ------
    SeqattnError
        `k` is not a positive integer, or no user is left.
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
        if np.array_equal(enough, keep):
            return log.take(keep, f"{k}-core")
        keep = enough


def prepare(log: Interactions, *, core: int = 5) -> Interactions:
    """Apply the book's preparation: latest duplicate, time order, iterative `core`-core.

    Raises
    ------
    SeqattnError
        No user is left.
    """
    return k_core(sort_by_time(keep_latest_duplicate(log)), core)
