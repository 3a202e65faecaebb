"""What timestamps are worth: missing, impossible, tied, coarse, in bursts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqattn.data.interactions import Interactions
from seqattn.data.sequences import Sequences

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0  # seconds
# The web is younger than 1990; milliseconds read as seconds land tens of thousands of years on.
EARLIEST, LATEST = (pd.Timestamp(day).timestamp() for day in ("1990-01-01", "2050-01-01"))


def stamps_of(log: Interactions) -> np.ndarray:
    """Return the timestamp of each row, (n,) float64; all NaN where the log has none."""
    if "timestamp" not in log.frame.columns:
        return np.full(len(log), np.nan)
    return log.frame["timestamp"].to_numpy(dtype=np.float64)


def order_of(log: Interactions, sequences: Sequences) -> np.ndarray | None:
    """Return the log's explicit order for each row of prepared histories, or None without one.

    Of a user's interactions with one item the latest counts, as in preparation.
    """
    if "order" not in log.frame.columns:
        return None
    users = pd.Index(sequences.user_ids).get_indexer(log.frame["user"])
    items = pd.Index(sequences.item_ids).get_indexer(log.frame["item"])
    kept = (users >= 0) & (items >= 0) & log.frame["order"].notna().to_numpy()
    pairs = users[kept].astype(np.int64) * sequences.n_items + items[kept]
    latest = log.frame["order"].to_numpy(dtype=np.float64)[kept]
    latest = pd.Series(latest).groupby(pairs).max()
    wanted = user_of_row(sequences) * sequences.n_items + sequences.items - 1
    return latest.reindex(wanted).to_numpy()


def user_of_row(sequences: Sequences) -> np.ndarray:
    """Return the user code of each row, (n,) int64."""
    return np.repeat(np.arange(sequences.n_users), sequences.lengths)


def gaps(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return seconds between neighbouring rows of one user, both stamps known.

    Parameters
    ----------
    user, time : (n,)
        User code and timestamp of each row, a user's rows together and in time order.
    """
    between = np.diff(time)
    return between[(np.diff(user) == 0) & ~np.isnan(between)]


def stamp_facts(user: np.ndarray, time: np.ndarray) -> dict[str, float]:
    """Return shares that say how far timestamps can be trusted.

    Parameters
    ----------
    user : (n,) int
        User code of each row, in any order.
    time : (n,) float64
        Seconds since 1970, NaN where unknown.

    Returns
    -------
    dict
        Shares of rows: ``missing`` (of all rows); of the known stamps ``out of range`` (before
        1990 or from 2050 on), ``tied`` (another row of the user has the same stamp), ``day
        resolution`` (at the most frequent time of day: about 1 where stamps are dates, in any
        time zone; near 0 where they are seconds). Shares of users with two rows or more, all
        stamps known: ``users with ties`` and those whose whole history lies ``within a minute``,
        ``an hour``, ``a day``. NaN where there is nothing to count.
    """
    known = ~np.isnan(time)
    facts = {"missing": _share(~known)}
    complete = np.bincount(user, weights=~known) == 0
    user, time = user[known], time[known]
    order = np.lexsort((time, user))
    user, time = user[order], time[order]
    new_user = np.diff(user, prepend=-1) != 0
    same = ~new_user & (np.diff(time, prepend=np.nan) == 0)  # as the row before
    tied = same | np.append(same[1:], np.zeros(min(len(same), 1), dtype=bool))
    first = np.flatnonzero(new_user)
    size = np.diff(np.append(first, len(user)))
    judged = (size > 1) & complete[user[first]]
    span = (time[first + size - 1] - time[first])[judged]
    has_tie = np.bincount(user, weights=tied, minlength=len(complete))[user[first]] > 0
    time_of_day = pd.Series(np.mod(time, DAY)).value_counts()
    return facts | {
        "out of range": _share((time < EARLIEST) | (time >= LATEST)),
        "tied": _share(tied),
        "day resolution": float(time_of_day.iloc[0] / len(time)) if len(time) else np.nan,
        "users with ties": _share(has_tie[judged]),
        "within a minute": _share(span < MINUTE),
        "within an hour": _share(span < HOUR),
        "within a day": _share(span < DAY),
    }


def tie_effects(sequences: Sequences, when: np.ndarray) -> dict[str, float]:
    """Return how much leave-one-out depends on the order of interactions at one moment.

    Each run of equal `when` within a user is reversed, and the held-out items are compared: an
    exact count, not an estimate. Only users whose last two moments are known count.

    Parameters
    ----------
    when : (n,) float64
        Moment of each row of the histories, NaN where unknown (never tied).

    Returns
    -------
    dict
        Shares of users: ``test target changes``, ``validation target changes``, ``validation
        and test at one moment`` (which of the two is which is arbitrary); ``users judged`` is
        the share of all users that the others refer to.
    """
    n, user = len(when), user_of_row(sequences)
    starts = np.ones(n, dtype=bool)
    starts[1:] = (np.diff(user) != 0) | ~(np.diff(when) == 0)
    first = np.flatnonzero(starts)
    end = np.append(first[1:], n)
    run = np.cumsum(starts) - 1
    reversed_row = first[run] + end[run] - 1 - np.arange(n)
    last = sequences.offsets[1:] - 1
    last = last[sequences.lengths >= 2]
    judged = ~np.isnan(when[last]) & ~np.isnan(when[last - 1])
    last = last[judged]
    changed = sequences.items[reversed_row] != sequences.items
    return {
        "test target changes": _share(changed[last]),
        "validation target changes": _share(changed[last - 1]),
        "validation and test at one moment": _share(when[last] == when[last - 1]),
        "users judged": len(last) / sequences.n_users,
    }


def tied_tests(log: Interactions, sequences: Sequences) -> np.ndarray:
    """Return whether a tie decides a user's test target, (U,) bool: the last two share a moment.

    The moment is the log's explicit order where it has one. Users with fewer than two
    interactions, or whose last two moments are not both known, have no tie.
    """
    by_order = order_of(log, sequences)
    when = sequences.timestamp if by_order is None else by_order
    tied = np.zeros(sequences.n_users, dtype=bool)
    has_two = sequences.lengths >= 2
    last = (sequences.offsets[1:] - 1)[has_two]
    tied[has_two] = when[last] == when[last - 1]
    return tied


def _share(condition: np.ndarray) -> float:
    return float(condition.mean()) if len(condition) else float("nan")
