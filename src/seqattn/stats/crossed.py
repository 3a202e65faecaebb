"""Intervals of a mean difference that varies with the users and the seeds.

Shapes: S seeds, U users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seqattn.stats.inputs import Floats, Record, as_pair, check_alpha, unit_of
from seqattn.stats.variance import mean_squares


@dataclass(frozen=True)
class Crossed(Record):
    """Result of `crossed_interval`: `error` is the standard error, `df` its degrees of freedom."""

    difference: float
    error: float
    df: float
    ci: tuple[float, float]
    p_value: float
    alpha: float


def crossed_interval(differences: ArrayLike, *, alpha: float = 0.05) -> Crossed:
    r"""Return the interval of a mean difference over other users *and* other seeds.

    .. math:: \widehat{\mathrm{Var}}(\bar d) = \frac{M_s + M_u - M_e}{S U}

    with the mean squares of seeds, users and the rest, never below :math:`M_s / (S U)` and
    :math:`M_u / (S U)`, what each side varies by itself. Satterthwaite's degrees of freedom, at
    least S - 1. Where a variance component is estimated below 0, so that the larger of both mean
    squares stands alone, they are its own: U - 1 or S - 1.

    Parameters
    ----------
    differences
        Shape (S, U): variant minus base, in units of the metric.
    alpha
        One minus the coverage.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 seeds or users, a value is not finite, or `alpha` is none.

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
    check_alpha(alpha)
    unit = unit_of(d_SU)
    d_SU = d_SU / unit
    total, df = _variance(d_SU)
    mean, error = float(d_SU.mean()), float(np.sqrt(total / d_SU.size))
    reach = float(special.stdtrit(df, 1 - alpha / 2)) * error
    t = mean / error if error else (np.sign(mean) * np.inf if mean else 0.0)
    return Crossed(
        difference=float(mean * unit),
        error=float(error * unit),
        df=float(df),
        ci=(float((mean - reach) * unit), float((mean + reach) * unit)),
        p_value=float(2 * special.stdtr(df, -abs(t))),
        alpha=alpha,
    )


def _variance(d_SU: Floats) -> tuple[float, float]:
    """Return S U times the variance of the mean, and its degrees of freedom."""
    n_seeds, n_users = d_SU.shape
    of_seeds, of_users, rest = mean_squares(d_SU)
    parts: list[tuple[float, float]] = [
        (of_seeds, n_seeds - 1),
        (of_users, n_users - 1),
        (-rest, (n_seeds - 1) * (n_users - 1)),
    ]
    total = sum(part for part, _ in parts)
    if total < max(of_seeds, of_users):
        parts = [max(parts[:2])]
        total = parts[0][0]
    spread = sum(part**2 / df for part, df in parts)
    return total, max(total**2 / spread if spread else np.inf, n_seeds - 1.0)


def pigeonhole_bootstrap(differences: ArrayLike, n_resamples: int = 2000, seed: int = 0) -> Floats:
    """Return means of a crossed layout (S, U) with seeds and users both resampled, (B,).

    A check on `crossed_interval`; with few seeds its intervals are too narrow, as those of every
    bootstrap of few units are.

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
