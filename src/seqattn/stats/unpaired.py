"""Two models tested on the same users, whose seeds have nothing to do with each other.

Shapes: S seeds of the base, T seeds of the other model, U users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from seqattn.errors import SeqattnError
from seqattn.stats.crossed import Crossed, Part, bounded, interval
from seqattn.stats.inputs import Floats, as_floats, unit_of
from seqattn.stats.variance import mean_squares


@dataclass(frozen=True)
class Ratio:
    """Result of `ratio_interval`: mean of the other model over that of the base, and its ends."""

    ratio: float
    ci: tuple[float, float]


def unpaired_interval(base: ArrayLike, other: ArrayLike) -> Crossed:
    r"""Return the interval of ``other - base`` over other users *and* other seeds of each.

    .. math:: \widehat{\mathrm{Var}}(\bar d) = \frac{s_u^2}{U} + \frac{s_b^2}{S} + \frac{s_o^2}{T}
        - \frac{M_b}{S U} - \frac{M_o}{T U}

    with :math:`s_u^2` the variance over users of the difference of both users' means over seeds,
    :math:`s_b^2` and :math:`s_o^2` those over seeds of each model's means over users. What moves
    one entry alone, with the mean squares :math:`M_b` and :math:`M_o`, is in the users' part and
    in the seeds'; it is taken off once. The variance is never below that of the users alone or of
    the seeds alone. Degrees of freedom are Welch's and Satterthwaite's. Where two or three seeds
    make most of the variance the interval of 95 % covers about 93 %.

    Parameters
    ----------
    base, other
        Shapes (S, U) and (T, U), the same user at the same place. One row is a model without
        chance, such as a count: it adds no part for seeds.

    Raises
    ------
    SeqattnError
        If the numbers of users differ or are below 2, or a value is not finite.

    References
    ----------
    Welch 1947, Biometrika 34(1-2); Satterthwaite 1946, Biometrics Bulletin 2(6); the layout as in
    `seqattn.stats.crossed.crossed_interval`.

    Examples
    --------
    >>> import numpy as np
    >>> users = np.linspace(0, 0.02, 500)
    >>> counts, trained = users[None], users + np.array([[0.01], [0.02], [0.06]])
    >>> result = unpaired_interval(counts, trained)
    >>> round(result.difference, 3), round(result.df, 1), [round(end, 3) for end in result.ci]
    (0.03, 2.0, [-0.036, 0.096])
    """
    base_SU, other_TU = _arms(base, other)
    unit = unit_of(base_SU, other_TU)
    variance, df = _variance(base_SU / unit, other_TU / unit)
    difference = float(other_TU.mean() - base_SU.mean())
    return interval(difference, unit * np.sqrt(variance), df)


def ratio_interval(base: ArrayLike, other: ArrayLike) -> Ratio:
    r"""Return the interval of ``other / base``, a ratio of means, over users and seeds.

    It holds each r at which `unpaired_interval` of :math:`r` times the base and the other model
    holds 0, of those that are not negative: Fieller's interval. So it leaves out 1 where the
    interval of the difference leaves out 0, and the base's level is not taken as known.

    Parameters
    ----------
    base, other
        As for `unpaired_interval`; neither mean is negative, the base's is above 0.

    Returns
    -------
    Ratio
        The upper end is infinite where the base's own interval holds 0.

    Raises
    ------
    SeqattnError
        As `unpaired_interval`, and if a mean is out of range.

    References
    ----------
    Fieller 1954, Some problems in interval estimation, Journal of the Royal Statistical Society B
    16(2).

    Examples
    --------
    >>> import numpy as np
    >>> users, seeds = np.linspace(1, 2, 50), np.array([[-0.2], [0.0], [0.2]])
    >>> result = ratio_interval(users[None], 2 * users + seeds)
    >>> round(result.ratio, 2), [round(end, 2) for end in result.ci]
    (2.0, [1.68, 2.32])
    """
    base_SU, other_TU = _arms(base, other)
    if base_SU.mean() <= 0 or other_TU.mean() < 0:
        means = f"{base_SU.mean():g} and {other_TU.mean():g}"
        raise SeqattnError(f"the means are {means}; a ratio needs a positive base, and no loss")
    ratio = float(other_TU.mean() / base_SU.mean())

    def ends(r: float) -> tuple[float, float]:
        return unpaired_interval(r * base_SU, other_TU).ci

    if ends(ratio)[0] > 0 or ends(ratio)[1] < 0:  # nothing varies, and rounding has no root
        return Ratio(ratio, (ratio, ratio))
    low = 0.0 if ends(0)[0] <= 0 else float(brentq(lambda r: ends(r)[0], 0, ratio))
    if unpaired_interval(0 * other_TU, base_SU).ci[0] <= 0:
        return Ratio(ratio, (low, np.inf))
    beyond = ratio or 1.0
    while ends(beyond)[1] > 0:
        beyond *= 2
    high = float(brentq(lambda r: ends(r)[1], ratio, beyond)) if ratio else 0.0
    return Ratio(ratio, (low, high))


def _arms(base: ArrayLike, other: ArrayLike) -> tuple[Floats, Floats]:
    base_SU, other_TU = as_floats(base, "base"), as_floats(other, "other")
    shapes = f"base has shape {base_SU.shape}, other {other_TU.shape}"
    if base_SU.ndim != 2 or other_TU.ndim != 2 or base_SU.shape[1] != other_TU.shape[1]:
        raise SeqattnError(f"{shapes}; give (seeds, users) of the same users")
    if base_SU.shape[1] < 2 or not base_SU.size or not other_TU.size:
        raise SeqattnError(f"{shapes}; an interval needs at least 2 users and a seed of each")
    return base_SU, other_TU


def _variance(base_SU: Floats, other_TU: Floats) -> Part:
    """Return the variance of the difference of both means, and its degrees of freedom."""
    d_U = other_TU.mean(axis=0) - base_SU.mean(axis=0)
    of_seeds: list[Part] = []
    rest: list[Part] = []
    for arm in (base_SU, other_TU):
        n_seeds, n_users = arm.shape
        if n_seeds > 1:
            seeds, _, each = mean_squares(arm)
            of_seeds.append((seeds / arm.size, n_seeds - 1))
            rest.append((each / arm.size, (n_seeds - 1) * (n_users - 1)))
    return bounded(of_seeds, (float(d_U.var(ddof=1)) / len(d_U), len(d_U) - 1), rest)
