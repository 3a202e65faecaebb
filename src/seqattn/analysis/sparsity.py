r"""Sparsity of attention maps by the ratio of L1 and L2 norms.

What the measure depends on besides attention: the size n (hold it fixed, bin users by history
length), and the mask. Uniform *causal* attention, which prefers nothing, already scores
:math:`(1/n) / \sqrt{H_n}`, with :math:`H_n = 1 + 1/2 + \dots + 1/n`, against 1/n for uniform
bidirectional attention; part of "AR is sparser than AE" is the triangle of zeros alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqattn.analysis.maps import as_maps
from seqattn.errors import SeqattnError

Axis = Literal["row"] | None


def l1_l2(maps: ArrayLike, axis: Axis = None) -> NDArray[np.float64]:
    r"""Evenness of attention: smaller is sparser.

    .. math:: S(x) = \frac{L_1(x) / N}{L_2(x)}, \qquad N \text{ the number of entries of } x

    Parameters
    ----------
    maps
        Shape (..., n, n), rows are queries; cropped to real positions.
    axis
        None measures each whole map (N = n * n), "row" each row (N = n).

    Returns
    -------
    ndarray
        Shape (...) for whole maps, (..., n) for rows.

    Raises
    ------
    SeqattnError
        If the maps are not square, hold NaN, or a measured part is all zeros.

    Notes
    -----
    The values [AE] prints for ML-1M (0.030 to 0.038) exceed 1/200, the greatest value of a map
    padded to its length 200, by rows of attention or of zeros; see `bounds`. Its table fits whole
    maps cropped to some 20 to 50 items.

    References
    ----------
    [AE] SAR-Check, eq. (5), with p = 2.

    Examples
    --------
    >>> float(l1_l2([[0.5, 0.5], [0.5, 0.5]])), float(l1_l2([[1, 0], [0, 1]]).round(4))
    (0.5, 0.3536)
    """
    axes = _axes(axis)
    maps = as_maps(maps)
    l2 = np.sqrt(np.square(maps).sum(axis=axes))
    if not l2.all():
        raise SeqattnError(
            "a map (or row) is all zeros, so its L1/L2 is undefined; crop padded rows first"
        )
    return np.abs(maps).mean(axis=axes) / l2


def bounds(n: int, axis: Axis = None) -> tuple[float, float]:
    """Return the least and greatest `l1_l2` of an n x n map whose rows sum to one.

    Whole map: ``[n**-1.5, 1/n]``; row: ``[1/n, n**-0.5]``. The least value is reached where each
    row has one non-zero entry for a whole map, and the greatest where all entries are equal. For
    a row, one-hot gives 1/n and uniform n**-0.5.

    Raises
    ------
    SeqattnError
        If `n` is below 1.

    References
    ----------
    From eq. (5) of [AE]: L1 is fixed by the row sums, L2 lies between the two extremes.
    """
    _axes(axis)
    if n < 1:
        raise SeqattnError(f"n is {n}; a map has at least one position")
    return (n**-1.5, 1 / n) if axis is None else (1 / n, n**-0.5)


def _axes(axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return (-2, -1)
    if axis == "row":
        return (-1,)
    raise SeqattnError(f'axis is {axis!r}; give None for whole maps or "row"')
