"""What becomes of interactions that occur more than once; an order that no file decides.

*Exact copies* are rows equal in every column used; *repeated pairs* are rows of one user with one
item. A policy leaves one row of each, except that ``keep`` leaves all and ``error`` refuses them:

========== =====================================================================================
``latest`` the last in time; of equal times the last in file order
``first``  the first in time; of equal times the first in file order
``sum``    the latest, with the sum of the intensities; ``max`` and ``mean`` likewise
``count``  the latest, with the number of occurrences as its intensity
========== =====================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from seqattn.data.interactions import COLUMNS, Interactions, encode, require_chronology
from seqattn.errors import SeqattnError

_NAMES = {
    "latest": "keep latest {0}",
    "first": "keep first {0}",
    "sum": "sum {1}",
    "max": "maximum of {1}",
    "mean": "mean of {1}",
    "count": "count {1}",
    "keep": "keep {1}",
    "error": "allow no {1}",
}
POLICIES = tuple(_NAMES)
OF_INTENSITY = ("sum", "max", "mean")  # policies that need one
_NOUNS = {
    "both": ("duplicate", "duplicates"),
    "exact": ("exact copy", "exact copies"),
    "pairs": ("repeated pair", "repeated pairs"),
}


def merge_repeats(log: Interactions, exact: str, pairs: str) -> Interactions:
    """Apply a policy to exact copies and then one to repeated pairs; each is a counted step.

    Where both are the same, the copies are rows of their pair like any other, in one step: the
    sum is over all rows, and the count is of all. Of equal times the last in file order counts as
    the latest; the rows that are left keep their file order.

    Raises
    ------
    SeqattnError
        A policy is unknown or needs an intensity that the log does not have, ``error`` met a
        repeat, a sum does not fit 32-bit floats, or the log has no chronology.
    """
    if exact == pairs:
        return _merge(log, pairs, "both", ("user", "item"))
    log = _merge(log, exact, "exact", [n for n in COLUMNS if n in log.frame.columns])
    return _merge(log, pairs, "pairs", ("user", "item"))


def _merge(log: Interactions, policy: str, what: str, columns: Sequence[str]) -> Interactions:
    _require_usable(log, policy)
    step, when = _NAMES[policy].format(*_NOUNS[what]), require_chronology(log)
    # A number for each row, the same for equal ones; missing values are equal.
    groups = log.frame.groupby([*columns], sort=False, dropna=False).ngroup().to_numpy()
    # Most rows occur once in most logs: only the others need sorting.
    repeated = np.flatnonzero(pd.Series(groups).duplicated(keep=False))
    keep = np.ones(len(log), dtype=bool)
    if policy == "error" and len(repeated):
        _refuse_repeat(log, groups == groups[repeated[0]], repeated[0], _NOUNS[what][1])
    if policy not in ("keep", "error"):
        # Of equal times the later part of a given split is the later, as in the histories.
        parts = [log.frame["part"].to_numpy()] if "part" in log.frame.columns else []
        keys = (*parts, when, groups)
        order = repeated[np.lexsort([key[repeated] for key in keys])]  # lexsort is stable
        new = np.diff(groups[order], prepend=-1) != 0
        keep[order] = new if policy == "first" else np.append(new[1:], True)[: len(new)]
        log = _with_intensity(log, policy, order, np.flatnonzero(new), keep)
    return log.take(keep, step)


def _with_intensity(
    log: Interactions, policy: str, order: np.ndarray, starts: np.ndarray, keep: np.ndarray
) -> Interactions:
    """Return the log with a group's value in its kept row; `order` holds the groups' rows."""
    if policy in ("latest", "first"):
        return log
    kept, sizes = order[keep[order]], np.diff(np.append(starts, len(order)))
    values = np.ones(len(log)) if policy == "count" else log.frame["intensity"].to_numpy().copy()
    if policy == "count":
        values[kept] = sizes
    elif len(order):
        combine = np.maximum if policy == "max" else np.add
        values[kept] = combine.reduceat(values[order], starts)
        if policy == "mean":
            values[kept] /= sizes
    _refuse_overflow(log, values)
    return replace(log, frame=log.frame.assign(intensity=values))


def _require_usable(log: Interactions, policy: str) -> None:
    if policy not in POLICIES:
        raise SeqattnError(
            f"duplicates: policy {policy!r} is unknown; choose one of {', '.join(POLICIES)}"
        )
    if policy in OF_INTENSITY and not log.has_intensity:
        raise SeqattnError(
            f"{log.source}: duplicates: {policy} needs an intensity, and the log has none; use "
            "count, which makes one, or latest"
        )


def _refuse_repeat(log: Interactions, same: np.ndarray, row: int, what: str) -> None:
    user, item = (log.frame[name].iloc[row] for name in ("user", "item"))
    raise SeqattnError(
        f"{log.source}: {what}, the first of user {user} with item {item}, {int(same.sum())} "
        f"times; remove them, or choose another policy than error under `duplicates`"
    )


def _refuse_overflow(log: Interactions, values: np.ndarray) -> None:
    """Refuse a sum that sequences, which store float32, would make infinite."""
    large = values > np.finfo(np.float32).max
    if large.any():
        row = int(np.argmax(large))
        user, item = (log.frame[name].iloc[row] for name in ("user", "item"))
        raise SeqattnError(
            f"{log.source}: the intensities of user {user} with item {item} sum to "
            f"{values[row]:g}, which overflows 32-bit floats; use a larger unit"
        )


def in_canonical_order(log: Interactions) -> Interactions:
    """Order rows by user, time, item id and values, so that the file's order decides nothing.

    Raises
    ------
    SeqattnError
        The log has no chronology.
    """
    user, item = (encode(log.frame[name])[0] for name in ("user", "item"))
    values = [log.frame[n].to_numpy() for n in ("timestamp", "intensity") if n in log.frame.columns]
    part = [log.frame["part"]] if "part" in log.frame.columns else []
    order = np.lexsort((*values, item, *part, require_chronology(log), user))
    return log.take(order, "order ties by item id")
