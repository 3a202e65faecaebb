"""How much a log holds, how unequally, and what its timestamps are worth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqattn.data.dataset import Dataset, prepare_as
from seqattn.data.interactions import COLUMNS, Interactions
from seqattn.data.repeats import OF_INTENSITY, POLICIES, merge_repeats
from seqattn.data.sequences import Sequences
from seqattn.data.splits import Split
from seqattn.stats.exposure import gini

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
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
    told = pd.Series(values[np.isfinite(values)], dtype=np.float64).describe(_QUANTILES)
    return told.drop("std").rename({"count": "n"}).to_dict()


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


def order_of(log: Interactions, dataset: Dataset) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the log's explicit order, and a given split's part, of each row of the histories.

    None stands for what the log does not have.
    """
    if not {"order", "part"} & {*log.frame.columns}:
        return None, None
    prepared = prepare_as(log, dataset.entry)
    order = prepared.when if "order" in prepared.frame.columns else None
    given = dataset.entry.splitting.given
    return order, prepared.frame["part"].to_numpy() if given else None


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


def tie_effects(split: Split, when: np.ndarray, part: np.ndarray | None = None) -> dict[str, float]:
    """Return how much a split's targets depend on the order of interactions at one moment.

    Each run of equal `when` within a user is reversed, and the user's held-out items are compared:
    an exact count, not an estimate; then the items of each run are put in the order of their ids,
    which no file decides. Where a split asks for all that happens after a moment, or was given,
    ties have a say in what is asked last, and none in what is asked, but for the first item of a
    history that begins after the moment, which nothing precedes. Only users count whose targets
    are all at known moments.

    Parameters
    ----------
    when : (n,) float64
        Moment of each row of the histories, NaN where unknown (never tied).
    part : (n,) int8 or None
        Part of each row in a given split, which orders rows of one moment; None for other splits.

    Returns
    -------
    dict
        Shares of targets: ``test target changes``, ``validation target changes``, ``validation
        and test at one moment`` (which of the two is which is arbitrary); ``users judged`` is
        the share of all users whose test targets are meant; ``test target changes by item id`` and
        ``validation target changes by item id``.
    """
    histories, run = split.histories, _runs(split.histories, when, part)
    test, valid = _judged(split, when)
    facts = {
        "validation and test at one moment": share(np.isin(run[test], run[valid])),
        "users judged": len(np.unique(histories.user_of_row[test])) / histories.n_users,
    }
    reversed_row = np.lexsort((-np.arange(len(run)), run))
    by_id = np.lexsort((histories.items, run))
    first, last = (
        {
            f"test target changes{how}": _changed(histories, histories.items[order], test),
            f"validation target changes{how}": _changed(histories, histories.items[order], valid),
        }
        for how, order in (("", reversed_row), (" by item id", by_id))
    )
    return first | facts | last


def _judged(split: Split, when: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the test and validation rows of users whose targets are all at known moments."""
    user = split.histories.user_of_row
    test, valid = split.rows("test"), split.rows("valid")
    both = np.append(test, valid)
    unknown = user[both[np.isnan(when[both])]]
    return test[~np.isin(user[test], unknown)], valid[~np.isin(user[valid], unknown)]


def _runs(sequences: Sequences, when: np.ndarray, part: np.ndarray | None) -> np.ndarray:
    """Return a number for each row, (n,), the same for a user's neighbours of one moment."""
    starts = np.ones(len(when), dtype=bool)
    starts[1:] = (np.diff(sequences.user_of_row) != 0) | ~(np.diff(when) == 0)
    if part is not None:
        starts[1:] |= np.diff(part) != 0
    return np.cumsum(starts) - 1


def _changed(histories: Sequences, items: np.ndarray, rows: np.ndarray) -> float:
    """Return the share of target rows whose item is none of the user's targets any more.

    Several targets of a user are compared as a whole, for it is no matter which is asked first.
    """
    user = histories.user_of_row[rows] * (histories.n_items + 1)
    pairs = np.append(user + histories.items[rows], user + items[rows])
    distinct, pair = np.unique(pairs, return_inverse=True)
    before, after = (np.bincount(each, minlength=len(distinct)) for each in np.split(pair, 2))
    return float(np.maximum(before - after, 0).sum() / len(rows)) if len(rows) else float("nan")


def tied_tests(log: Interactions, dataset: Dataset) -> np.ndarray:
    """Return whether a tie decides which test target a user has, (U,) bool.

    It does where a target shares its moment with an interaction that is none: with another order
    of the two, that one would be asked. The moment is the log's explicit order where it has one;
    unknown moments are not tied.
    """
    sequences, (order, part) = dataset.sequences, order_of(log, dataset)
    run = _runs(sequences, sequences.timestamp if order is None else order, part)
    rows = dataset.split.rows("test")
    asked = np.bincount(run[rows], minlength=len(sequences))
    decided = asked[run] < np.bincount(run, minlength=len(sequences))[run]
    return np.isin(np.arange(sequences.n_users), sequences.user_of_row[rows[decided[rows]]])


def share(condition: np.ndarray | pd.Series) -> float:
    """Return the share of True, or the mean of numbers; NaN of nothing."""
    return float(condition.mean()) if len(condition) else float("nan")
