"""Popularity, and what is recommended: bands of items, coverage, Gini, novelty.

Shapes: V items, N targets.

References
----------
Vargas and Castells (2011) on novelty as self-information. Book page "Evaluation".
"""

from __future__ import annotations

import numpy as np

BANDS = ("head", "torso", "tail", "cold")


def popularity_bands(counts_V: np.ndarray) -> np.ndarray:
    """Return the band of each item, (V,): ``head``, ``torso``, ``tail``, or ``cold``.

    Items in order of popularity are cut where they have received a third and two thirds of all
    training interactions, so that each band is asked for about equally often. An item is in the
    head if strictly more popular ones hold less than a third, in the torso if less than two
    thirds; items with equal counts are in one band. A cold item was never in training.

    Parameters
    ----------
    counts_V
        Training interactions of each item.

    Examples
    --------
    >>> popularity_bands(np.array([4, 2, 2, 1, 0])).tolist()
    ['head', 'torso', 'torso', 'tail', 'cold']
    """
    counts_V = np.asarray(counts_V)
    ascending = np.sort(counts_V)
    # Interactions of all items that are strictly more popular.
    sums = np.append(np.cumsum(ascending[::-1])[::-1], 0)
    more = sums[np.searchsorted(ascending, counts_V, side="right")]
    band = np.minimum(3 * more // max(int(counts_V.sum()), 1), 2)
    return np.array(BANDS)[np.where(counts_V > 0, band, 3)]


def mean_where(
    values_N: np.ndarray, chosen_N: np.ndarray, users_N: np.ndarray | None = None
) -> float:
    """Return the mean of the chosen targets' values; NaN if none is chosen.

    Parameters
    ----------
    values_N, chosen_N
        A metric of each target, and whether it counts.
    users_N
        Whose target it is, if users have several: a user's values are averaged first.
    """
    values_N = np.asarray(values_N)[chosen_N]
    if not len(values_N):
        return float("nan")
    if users_N is None:
        return float(values_N.mean())
    _, place = np.unique(users_N[chosen_N], return_inverse=True)
    return float((np.bincount(place, values_N) / np.bincount(place)).mean())


def coverage(exposure_V: np.ndarray) -> float:
    """Return the share of all items that are recommended to somebody.

    `exposure_V` says how often each item is in a list; of lists of k it gives coverage@k.
    """
    return float((np.asarray(exposure_V) > 0).mean())


def gini(exposure_V: np.ndarray) -> float:
    r"""Return the Gini index of exposure: 0 if all items are shown alike, near 1 if one alone is.

    .. math:: G = \frac{1}{V \sum_i e_i} \sum_{i=1}^V (2i - V - 1)\, e_i,
        \qquad e_1 \le \dots \le e_V

    `exposure_V` says how often each item is in a list; any counts will do. NaN if all are 0.

    Examples
    --------
    >>> gini(np.array([5, 5, 5, 5])), gini(np.array([0, 0, 0, 20]))
    (0.0, 0.75)
    """
    ascending = np.sort(np.asarray(exposure_V, dtype=float))
    n_items, total = len(ascending), ascending.sum()
    if total == 0:
        return float("nan")
    place = np.arange(1, n_items + 1)
    return float(((2 * place - n_items - 1) * ascending).sum() / (n_items * total))


def novelty(exposure_V: np.ndarray, counts_V: np.ndarray) -> float:
    r"""Return the mean self-information of recommended items, in bits; NaN if there is none.

    .. math:: -\frac{1}{\sum_i e_i} \sum_i e_i \log_2 \frac{c_i}{\sum_j c_j}

    Parameters
    ----------
    exposure_V
        How often each item is in a list, :math:`e_i`.
    counts_V
        Training interactions of each item, :math:`c_i`; one that was never in training counts 1.
    """
    exposure_V, counts_V = (np.asarray(array, dtype=float) for array in (exposure_V, counts_V))
    if exposure_V.sum() == 0:
        return float("nan")
    bits_V = np.log2(counts_V.sum()) - np.log2(np.maximum(counts_V, 1))
    return float(exposure_V @ bits_V / exposure_V.sum())
