"""How much a log holds, how unequally, and what its timestamps are worth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqattn.data.dataset import Dataset
from seqattn.data.interactions import COLUMNS, Interactions
from seqattn.data.preparation import prepare
from seqattn.data.repeats import OF_INTENSITY, POLICIES, merge_repeats
from seqattn.data.sequences import Sequences
from seqattn.data.splits import with_times
from seqattn.stats.exposure import gini

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


def repeated(log: Interactions) -> tuple[int, int]:
    """Return the number of exact copies of a row, and of further rows that repeat a pair."""
    frame = log.frame[[name for name in COLUMNS if name in log.frame.columns]]
    copies = int(frame.duplicated().sum())
    return copies, int(frame.duplicated(["user", "item"]).sum()) - copies


def policies(log: Interactions) -> pd.DataFrame:
    """Return what each policy for repeats would leave; empty where there are none, or no order.

    Returns
    -------
    DataFrame
        A row per policy for all repeats; where some are exact copies and others are not, also for
        repeated pairs after the copies are dropped ("..., copies once"). Columns ``interactions``
        and, of their intensities, ``total`` and ``maximum``; NaN without an intensity.
    """
    copies, pairs = repeated(log)
    if log.when is None or not copies + pairs:
        return pd.DataFrame()
    usable = [p for p in POLICIES if p != "error" and (log.has_intensity or p not in OF_INTENSITY)]
    ways = {policy: (policy, policy) for policy in usable}
    if copies and pairs:
        of_all = [policy for policy in usable if policy in ("sum", "mean", "count", "keep")]
        ways |= {f"{policy}, copies once": ("latest", policy) for policy in of_all}
    rows = {}
    for name, way in ways.items():
        left = merge_repeats(log, *way).frame
        values = left.get("intensity", pd.Series(np.nan, left.index))
        total = values.sum(min_count=1)
        rows[name] = {"interactions": len(left), "total": total, "maximum": values.max()}
    return pd.DataFrame(rows, dtype=np.float64).T.rename_axis("policy")


def order_of(log: Interactions, dataset: Dataset) -> np.ndarray | None:
    """Return the log's explicit order for each row of prepared histories, or None without one."""
    if "order" not in log.frame.columns:
        return None
    if dataset.entry.splitting.time:
        log = with_times(log)
    return prepare(log, dataset.entry.preparation).when


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
    exact count, not an estimate; then the items of each run are put in the order of their ids,
    which no file decides. Only users whose last two moments are known count.

    Parameters
    ----------
    when : (n,) float64
        Moment of each row of the histories, NaN where unknown (never tied).

    Returns
    -------
    dict
        Shares of users: ``test target changes``, ``validation target changes``, ``validation
        and test at one moment`` (which of the two is which is arbitrary); ``users judged`` is
        the share of all users that the others refer to; ``test target changes by item id`` and
        ``validation target changes by item id``.
    """
    n, user = len(when), sequences.user_of_row
    starts = np.ones(n, dtype=bool)
    starts[1:] = (np.diff(user) != 0) | ~(np.diff(when) == 0)
    run = np.cumsum(starts)
    reversed_row = np.lexsort((-np.arange(n), run))
    last = (sequences.offsets[1:] - 1)[sequences.lengths >= 2]
    last = last[~np.isnan(when[last]) & ~np.isnan(when[last - 1])]
    changed = sequences.items[reversed_row] != sequences.items
    by_id = sequences.items[np.lexsort((sequences.items, run))] != sequences.items
    return {
        "test target changes": share(changed[last]),
        "validation target changes": share(changed[last - 1]),
        "validation and test at one moment": share(when[last] == when[last - 1]),
        "users judged": len(last) / sequences.n_users,
        "test target changes by item id": share(by_id[last]),
        "validation target changes by item id": share(by_id[last - 1]),
    }


def tied_tests(log: Interactions, dataset: Dataset) -> np.ndarray:
    """Return whether a tie decides a user's test target, (U,) bool: the last two share a moment.

    The moment is the log's explicit order where it has one. Users with fewer than two
    interactions, or whose last two moments are not both known, have no tie.
    """
    sequences, by_order = dataset.sequences, order_of(log, dataset)
    when = sequences.timestamp if by_order is None else by_order
    last = sequences.offsets[1:] - 1
    return (sequences.lengths >= 2) & (when[last] == when[last - 1])


def share(condition: np.ndarray | pd.Series) -> float:
    """Return the share of True, or the mean of numbers; NaN of nothing."""
    return float(condition.mean()) if len(condition) else float("nan")
