"""How much a log holds, how unequally, and what its timestamps are worth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqattn.data.interactions import Interactions
from seqattn.data.sequences import Sequences

_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0  # seconds
# The web is younger than 1990; milliseconds read as seconds land tens of thousands of years on.
EARLIEST, LATEST = (pd.Timestamp(day).timestamp() for day in ("1990-01-01", "2050-01-01"))


def core(lengths: np.ndarray, popularity: np.ndarray) -> dict[str, float]:
    """Return the core statistics of a log.

    They are counts, density (interactions / (users * items), as in Table 2 of [IA]), means and
    medians per user and item, and concentration (see `gini`, `top_share`). `lengths`, (U,), and
    `popularity`, (V,), are the interactions of each user and of each item.
    """
    interactions, users, items = int(lengths.sum()), len(lengths), len(popularity)
    return {
        "interactions": interactions,
        "users": users,
        "items": items,
        "density": interactions / (users * items),
        "mean length": float(lengths.mean()),
        "median length": float(np.median(lengths)),
        "users with fewer than 5": float((lengths < 5).mean()),
        "mean item popularity": float(popularity.mean()),
        "median item popularity": float(np.median(popularity)),
        "items with fewer than 5": float((popularity < 5).mean()),
        "Gini of lengths": gini(lengths),
        "Gini of popularity": gini(popularity),
        "share of the top 10 % of users": top_share(lengths),
        "share of the top 10 % of items": top_share(popularity),
    }


def distribution(values: np.ndarray) -> dict[str, float]:
    """Return mean and quantiles (linear interpolation) of the finite values; NaN of none."""
    values = values[np.isfinite(values)]
    names = ["min" if q == 0 else "max" if q == 1 else f"{q:.0%}" for q in _QUANTILES]
    if not len(values):
        return {"n": 0, "mean": np.nan, **dict.fromkeys(names, np.nan)}
    quantiles = map(float, np.quantile(values, _QUANTILES))
    return {
        "n": len(values),
        "mean": float(values.mean()),
        **dict(zip(names, quantiles, strict=True)),
    }


def gini(counts: np.ndarray) -> float:
    r"""Return the Gini coefficient: 0 where all are equal, towards 1 where one has all.

    .. math:: G = \frac{\sum_i (2 i - n - 1)\, x_{(i)}}{n \sum_i x_i}, \quad x_{(1)} \le x_{(2)} ...

    Examples
    --------
    >>> gini(np.array([5, 5, 5, 5])), gini(np.array([0, 0, 0, 20]))
    (0.0, 0.75)
    """
    ordered, n = np.sort(counts).astype(np.float64), len(counts)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * ordered.sum()))


def top_share(counts: np.ndarray) -> float:
    """Return the share that the largest tenth (rounded up) has of the total."""
    largest = np.sort(counts)[::-1][: int(np.ceil(0.1 * len(counts)))]
    return float(largest.sum() / counts.sum())


def repeats(users: np.ndarray, items: np.ndarray, when: np.ndarray | None) -> dict[str, float]:
    """Return shares of interactions that repeat an earlier one of the same user.

    Parameters
    ----------
    users, items : (n,) int64
        Codes of each row of the log as read, before duplicates are dropped.
    when : (n,) float64 or None
        Chronological position of each row, NaN where unknown; None where the log has none.

    Returns
    -------
    dict
        ``same user and item``: rows beyond the first of their pair. ``same user, item and
        moment``: of these, with an equal `when` too. ``same item as the one before``: in the
        user's time order, ties in file order, among the rows whose `when` is known.
    """
    pairs = pd.Series(users * (items.max() + 1) + items)
    shares = {"same user and item": float(pairs.duplicated().mean())}
    if when is None:
        unknown = ("same user, item and moment", "same item as the one before")
        return shares | dict.fromkeys(unknown, np.nan)
    known = np.flatnonzero(~np.isnan(when))
    moments = pd.DataFrame({"pair": pairs.to_numpy()[known], "when": when[known]})
    shares["same user, item and moment"] = float(moments.duplicated().sum() / len(pairs))
    ordered = known[np.lexsort((when[known], users[known]))]
    # Equal pairs are equal users and items, so a comparison of neighbours suffices.
    again = np.diff(pairs.to_numpy()[ordered]) == 0
    shares["same item as the one before"] = float(again.sum() / max(len(known), 1))
    return shares


def order_of(log: Interactions, sequences: Sequences) -> np.ndarray | None:
    """Return the log's explicit order for each row of prepared histories, or None without one.

    Of a user's interactions with one item the latest counts, as in preparation.
    """
    if "order" not in log.frame.columns:
        return None
    latest = log.frame.groupby(["user", "item"])["order"].max()
    rows = [sequences.user_ids[sequences.user_of_row], sequences.item_ids[sequences.items - 1]]
    return latest.reindex(pd.MultiIndex.from_arrays(rows)).to_numpy(dtype=np.float64)


def gaps(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return seconds between neighbouring rows of one user, both stamps known.

    `user` and `time`, (n,), are the user code and the timestamp of each row, a user's rows together
    and in time order.
    """
    between = np.diff(time)
    return between[(np.diff(user) == 0) & ~np.isnan(between)]


def stamp_facts(user: np.ndarray, time: np.ndarray) -> dict[str, float]:
    """Return shares that say how far timestamps can be trusted.

    Parameters
    ----------
    user, time : (n,) int, (n,) float64
        User code and seconds since 1970 (NaN: unknown) of each row, in any order.

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
    log = pd.DataFrame({"user": user, "time": time})
    known = log.dropna()
    tied, times = known.duplicated(keep=False), known.groupby("user")["time"]
    size = times.size()
    judged = (size > 1) & (size == log.groupby("user").size()[size.index])
    span = (times.max() - times.min())[judged]
    of_day = np.mod(known["time"], DAY).value_counts()
    return {
        "missing": share(np.isnan(time)),
        "out of range": share((known["time"] < EARLIEST) | (known["time"] >= LATEST)),
        "tied": share(tied),
        "day resolution": float(of_day.iloc[0] / len(known)) if len(known) else np.nan,
        "users with ties": share(tied.groupby(known["user"]).any()[judged]),
        "within a minute": share(span < MINUTE),
        "within an hour": share(span < HOUR),
        "within a day": share(span < DAY),
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
    n, user = len(when), sequences.user_of_row
    starts = np.ones(n, dtype=bool)
    starts[1:] = (np.diff(user) != 0) | ~(np.diff(when) == 0)
    reversed_row = np.lexsort((-np.arange(n), np.cumsum(starts)))
    last = (sequences.offsets[1:] - 1)[sequences.lengths >= 2]
    last = last[~np.isnan(when[last]) & ~np.isnan(when[last - 1])]
    changed = sequences.items[reversed_row] != sequences.items
    return {
        "test target changes": share(changed[last]),
        "validation target changes": share(changed[last - 1]),
        "validation and test at one moment": share(when[last] == when[last - 1]),
        "users judged": len(last) / sequences.n_users,
    }


def tied_tests(log: Interactions, sequences: Sequences) -> np.ndarray:
    """Return whether a tie decides a user's test target, (U,) bool: the last two share a moment.

    The moment is the log's explicit order where it has one. Users with fewer than two
    interactions, or whose last two moments are not both known, have no tie.
    """
    by_order = order_of(log, sequences)
    when = sequences.timestamp if by_order is None else by_order
    last = sequences.offsets[1:] - 1
    return (sequences.lengths >= 2) & (when[last] == when[last - 1])


def share(condition: np.ndarray | pd.Series) -> float:
    """Return the share of True, or the mean of numbers; NaN of nothing."""
    return float(condition.mean()) if len(condition) else float("nan")
