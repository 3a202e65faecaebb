"""Corrections for testing many cells: adjusted p-values, to be compared with alpha.

The dual criterion rejects only if both its tests do, so the p-value to correct for a cell is the
larger of the two (an intersection-union test). The bootstrap's floor 1/B bounds it from below:
over m cells Holm can reject only if ``m / B < alpha``, which asks B > 5,040 for 252 cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

from seqattn.errors import SeqattnError
from seqattn.stats.inputs import Floats, as_floats


def holm(p_values: ArrayLike) -> Floats:
    r"""Holm's adjusted p-values: control of the chance of any false rejection.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\, p_{(j)}\}

    Valid under any dependence between the tests.

    Parameters
    ----------
    p_values
        Shape (m,).

    Returns
    -------
    ndarray
        Shape (m,), in the order given.

    Raises
    ------
    SeqattnError
        If a value is not in [0, 1] or the array is not one-dimensional.

    References
    ----------
    Holm 1979, Scandinavian Journal of Statistics 6(2).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    return _restored(np.maximum.accumulate(steps), order)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    r"""Benjamini-Hochberg adjusted p-values: control of the share of false rejections.

    .. math:: \tilde p_{(i)} = \min_{j \ge i} \min\{1, m\, p_{(j)} / j\}

    Proven for independent tests and for some positive dependence. Cells that share a dataset or
    a baseline are dependent; Holm is the safe choice where that matters.

    Parameters
    ----------
    p_values
        Shape (m,).

    Returns
    -------
    ndarray
        Shape (m,), in the order given.

    Raises
    ------
    SeqattnError
        If a value is not in [0, 1] or the array is not one-dimensional.

    References
    ----------
    Benjamini & Hochberg 1995, JRSS B 57(1).

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    return false_discovery_control(_checked(p_values))


def _checked(p_values: ArrayLike) -> Floats:
    p = as_floats(p_values, "p_values")
    if p.ndim != 1:
        raise SeqattnError(f"p_values has shape {p.shape}; expected (tests,)")
    outside = np.flatnonzero((p < 0) | (p > 1))
    if len(outside):
        raise SeqattnError(
            f"p_values[{outside[0]}] is {p[outside[0]]}; p-values lie between 0 and 1"
        )
    return p


def _restored(sorted_p: Floats, order: np.ndarray) -> Floats:
    adjusted = np.empty_like(sorted_p)
    adjusted[order] = np.minimum(sorted_p, 1.0)
    return adjusted
