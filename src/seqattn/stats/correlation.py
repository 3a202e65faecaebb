"""How alike one user's differences are under two seeds, and what that does to an interval.

Shapes: S seeds, U users, B resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seqattn.stats.bootstrap import bootstrap_means, percentile_interval
from seqattn.stats.inputs import Floats, as_pair
from seqattn.stats.records import Record


@dataclass(frozen=True)
class UserCorrelation(Record):
    """Correlation `rho` with its interval from `low` to `high`, and the `width_ratio`.

    `width_ratio` is the clustered bootstrap's standard error in units of the pooled one's: what
    the ratio of their intervals' widths tends to as resamples grow.
    """

    rho: float
    low: float
    high: float
    width_ratio: float


def user_correlation(
    differences: ArrayLike, *, n_resamples: int = 2000, seed: int = 0, alpha: float = 0.05
) -> UserCorrelation:
    r"""Estimate the correlation of a user's differences, (S, U), between two seeds.

    .. math:: \hat\rho = \frac{M_b - M_e}{M_b + (S - 1) M_e}

    with the mean squares M of users and of the rest, as in `variance_components`: each seed's mean
    is taken out first, and a negative value stays negative. The interval is the percentile one of
    a bootstrap of users, each with all seeds; normal theory's, from the F distribution, is too
    narrow where few users carry most of the variance.

    Parameters
    ----------
    differences
        Shape (S, U): variant minus baseline.
    n_resamples, seed, alpha
        As in `dual_criterion`.

    Returns
    -------
    UserCorrelation
        rho is 0 where nothing varies; `width_ratio` is then NaN.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 seeds or users, or a value is not finite.

    References
    ----------
    McGraw & Wong 1996, Psychological Methods 1:30, ICC(C,1).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> users = rng.normal(size=500)
    >>> found = user_correlation(users + rng.normal(size=(5, 500)))
    >>> bool(found.low < 0.5 < found.high)
    True
    """
    d_SU, _ = as_pair(differences, differences, ndim=2)
    # All that rho needs of a set of users are means over them: resample those.
    moments = np.vstack([d_SU, d_SU.mean(axis=0) ** 2, (d_SU**2).mean(axis=0)])
    resampled = bootstrap_means(moments, n_resamples, seed)
    low, high = percentile_interval(_rho(resampled), alpha)
    entries = float(d_SU.var())
    squared = len(d_SU) * float(d_SU.mean(axis=0).var()) / entries if entries else float("nan")
    return UserCorrelation(
        rho=float(_rho(moments.mean(axis=1, keepdims=True))[0]),
        low=float(low),
        high=float(high),
        width_ratio=float(np.sqrt(squared)),
    )


def _rho(moments: Floats) -> Floats:
    """Return rho, (B,), from the means over users of d_su, of their squared mean and mean square.

    `moments` has shape (S + 2, B).
    """
    by_seed_SB, squared_means_B, mean_squares_B = moments[:-2], moments[-2], moments[-1]
    n_seeds = len(by_seed_SB)
    users = squared_means_B - by_seed_SB.mean(axis=0) ** 2
    entries = mean_squares_B - (by_seed_SB**2).mean(axis=0)  # about each seed's own mean
    # Mean squares, but for the factor U / (U - 1) that both share.
    of_users = n_seeds * users
    of_rest = n_seeds * (entries - users) / (n_seeds - 1)
    total = of_users + (n_seeds - 1) * of_rest
    nothing = total <= 1e-12 * mean_squares_B
    return np.where(nothing, 0.0, (of_users - of_rest) / np.where(nothing, 1.0, total))
