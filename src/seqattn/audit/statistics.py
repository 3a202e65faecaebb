"""Sizes, distributions and repeats of a log: how much there is, and how unequally."""

from __future__ import annotations

import numpy as np
import pandas as pd

_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_TOP = 0.1  # "the most popular tenth"


def core(lengths: np.ndarray, popularity: np.ndarray) -> dict[str, float]:
    """Return the core statistics of a log.

    Parameters
    ----------
    lengths : (U,) int
        Interactions of each user.
    popularity : (V,) int
        Interactions of each item.

    Returns
    -------
    dict
        Counts, density (interactions / (users * items), as in Table 2 of [IA]), means and medians
        per user and item, and concentration (see `gini`, `top_share`).
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
    quantiles = np.quantile(values, _QUANTILES)
    return {
        "n": len(values),
        "mean": float(values.mean()),
        **dict(zip(names, map(float, quantiles), strict=True)),
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
    largest = np.sort(counts)[::-1][: int(np.ceil(_TOP * len(counts)))]
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
