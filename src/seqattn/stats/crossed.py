"""Intervals of a mean difference that varies with the users and the seeds.

Shapes: S seeds, U users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seqattn.stats.inputs import ALPHA, Floats, as_pair, unit_of
from seqattn.stats.variance import mean_squares


@dataclass(frozen=True)
class Crossed:
    """Result of `crossed_interval`: `error` is the standard error, `df` its degrees of freedom."""

    difference: float
    error: float
    df: float
    ci: tuple[float, float]
    p_value: float


def crossed_interval(differences: ArrayLike) -> Crossed:
    r"""Return the interval of a mean difference over other users *and* other seeds.

    .. math:: \widehat{\mathrm{Var}}(\bar d) = \frac{M_s + M_u - M_e}{S U}

    with the mean squares of seeds, users and the rest, never below :math:`M_s / (S U)` and
    :math:`M_u / (S U)`, what each side varies by itself. Satterthwaite's degrees of freedom, at
    least S - 1. Where a variance component is estimated below 0, so that the larger of both mean
    squares stands alone, they are its own: U - 1 or S - 1.

    With two or three seeds it covers less than it says, by up to a tenth: few seeds say little of
    how far seeds differ.

    Parameters
    ----------
    differences
        Shape (S, U): variant minus base, in units of the metric.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 seeds or users, or a value is not finite.

    References
    ----------
    Satterthwaite 1946, Biometrics Bulletin 2(6); Searle, Casella & McCulloch 1992, Variance
    Components, chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> seeds, users = np.array([[-0.01], [0.0], [0.04]]), np.linspace(0, 0.02, 500)
    >>> result = crossed_interval(seeds + users)
    >>> round(result.difference, 3), round(result.df, 1), [round(end, 3) for end in result.ci]
    (0.02, 2.0, [-0.046, 0.086])
    """
    d_SU, _ = as_pair(differences, differences, ndim=2)
    unit, (n_seeds, n_users) = unit_of(d_SU), d_SU.shape
    seeds, users, rest = mean_squares(d_SU / unit)
    df_rest = (n_seeds - 1) * (n_users - 1)
    total, df = bounded([(seeds, n_seeds - 1)], (users, n_users - 1), [(rest, df_rest)])
    return interval(float(d_SU.mean()), unit * np.sqrt(total / d_SU.size), df)


def interval(mean: float, error: float, df: float, alpha: float = ALPHA) -> Crossed:
    """Return the t interval of a mean whose standard error has `df` degrees of freedom."""
    reach = float(special.stdtrit(df, 1 - alpha / 2)) * error
    t = mean / error if error else (np.sign(mean) * np.inf if mean else 0.0)
    return Crossed(
        difference=float(mean),
        error=float(error),
        df=float(df),
        ci=(float(mean - reach), float(mean + reach)),
        p_value=float(2 * special.stdtr(df, -abs(t))),
    )


def pigeonhole_bootstrap(differences: ArrayLike, n_resamples: int = 2000, seed: int = 0) -> Floats:
    """Return means of a crossed layout (S, U) with seeds and users both resampled, (B,).

    A check on `crossed_interval`: it estimates no component, and counts what neither seeds nor
    users explain about three times.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 seeds or users, or a value is not finite.

    References
    ----------
    Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1(2).
    """
    d_SU, _ = as_pair(differences, differences, ndim=2)
    n_seeds, n_users = d_SU.shape
    rng = np.random.default_rng(seed)
    seeds_BS = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), n_resamples) / n_seeds
    means = np.empty(n_resamples)
    for b, weights_S in enumerate(seeds_BS):
        users = rng.integers(0, n_users, n_users)
        means[b] = (weights_S @ d_SU)[users].mean()
    return means


Part = tuple[float, float]  # of a variance, and its degrees of freedom
_ROUNDING = 1e-12  # parts of a variance this near to each other are equal


def bounded(of_seeds: Sequence[Part], of_users: Part, rest: Sequence[Part]) -> Part:
    """Return the variance ``seeds + users - rest``, and its degrees of freedom.

    It is never below that of the seeds alone or of the users alone. Where one of them stands
    alone, the degrees of freedom are its own; where both are equal, the fewer of theirs.

    Parameters
    ----------
    of_seeds, rest
        A part for each arm that has seeds.
    of_users
        The part of the users.

    References
    ----------
    Satterthwaite 1946, Biometrics Bulletin 2(6).
    """
    whole = [*of_seeds, of_users, *((-part, df) for part, df in rest)]
    alone = [satterthwaite(of_seeds), satterthwaite([of_users])]
    largest = max(part for part, _ in alone)
    least_df = min((df for _, df in of_seeds), default=of_users[1])
    total, df = satterthwaite(whole)
    if total < largest:
        equal = [df for part, df in alone if part >= largest * (1 - _ROUNDING)]
        total, df = largest, min(equal)
    return total, max(df, least_df)


def satterthwaite(parts: Sequence[Part]) -> Part:
    """Return the sum of independent parts of a variance, and its degrees of freedom."""
    total = sum(part for part, _ in parts)
    spread = sum(part**2 / df for part, df in parts)
    return total, total**2 / spread if spread else np.inf
