"""Many effects as one: random-effects pools, and the mean of independent units.

Shapes: C effects, each with its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from seqattn.errors import SeqattnError
from seqattn.stats.inputs import Floats, Record, as_floats, check_alpha


@dataclass(frozen=True)
class Pool(Record):
    """A mean of `n` effects with its interval; `tau` is how far true effects differ (one SD).

    `unfloored` is the interval that effects nearer to each other than their errors say may narrow.
    """

    estimate: float
    error: float
    ci: tuple[float, float]
    unfloored: tuple[float, float]
    tau: float
    n: int


def random_effects(effects: ArrayLike, errors: ArrayLike, *, alpha: float = 0.05) -> Pool:
    r"""Pool effects, (C,), with known standard errors, (C,), whose true values may differ.

    .. math:: \hat\mu = \frac{\sum_c w_c y_c}{\sum_c w_c}, \quad w_c = \frac{1}{s_c^2 + \tau^2},
        \quad \sum_c w_c (y_c - \hat\mu)^2 = C - 1

    The last equation, that of Paule and Mandel, gives :math:`\tau^2`, or 0 where none solves it.
    The interval is that of Hartung, Knapp, Sidik and Jonkman: t with C - 1 degrees of freedom and
    the variance :math:`q / \sum_c w_c`, q the left side over C - 1. At a positive tau q is 1; at
    tau = 0 it is below 1, and is taken as 1, so that luck in the spread narrows nothing. With q as
    it is, which is how the four defined it, the interval is `unfloored`.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 effects, an error is not positive, a value is not finite, the
        shapes differ, or `alpha` is none.

    References
    ----------
    Paule & Mandel 1982, J. Res. NBS 87(5); Hartung & Knapp 2001, Statistics in Medicine 20;
    Röver, Knapp & Friede 2015, BMC Medical Research Methodology 15:99, for the floor of q.

    Examples
    --------
    >>> pool = random_effects([1, 2, 6], [1, 1, 1])
    >>> round(pool.estimate, 2), round(pool.tau, 2), [round(end, 2) for end in pool.ci]
    (3.0, 2.45, [-3.57, 9.57])
    """
    y_C, s_C = _effects(effects, errors)
    check_alpha(alpha)
    unit = float(s_C.max())
    tau2 = _paule_mandel(y_C / unit, s_C / unit)
    mean, total = _weighted(y_C / unit, s_C / unit, tau2)
    error = unit / np.sqrt(total)
    weights_C = 1 / ((s_C / unit) ** 2 + tau2)
    q = float((weights_C * (y_C / unit - mean) ** 2).sum()) / (len(y_C) - 1)
    tau, narrowed = unit * np.sqrt(tau2), error * np.sqrt(min(q, 1.0))
    return _pool(mean * unit, float(error), tau, len(y_C), alpha, float(narrowed))


def tau_interval(
    effects: ArrayLike, errors: ArrayLike, *, alpha: float = 0.05
) -> tuple[float, float]:
    """Return the Q-profile interval of tau, the standard deviation of true effects.

    Its ends are the values of tau under which the weighted sum of squares is a quantile of
    chi-squared with C - 1 degrees of freedom; 0 where already tau = 0 makes it smaller.

    Parameters
    ----------
    effects, errors : array, shape (C,)
        As for `random_effects`.

    Raises
    ------
    SeqattnError
        As `random_effects`.

    References
    ----------
    Viechtbauer (2007), Statistics in Medicine 26.
    """
    y_C, s_C = _effects(effects, errors)
    check_alpha(alpha)
    unit = float(s_C.max())
    y_C, s_C = y_C / unit, s_C / unit

    def end(quantile: float) -> float:
        def excess(tau2: float) -> float:
            mean, _ = _weighted(y_C, s_C, tau2)
            return float(((y_C - mean) ** 2 / (s_C**2 + tau2)).sum()) - quantile

        if excess(0.0) <= 0:
            return 0.0
        most = 1.0 + float(np.ptp(y_C)) ** 2 * len(y_C)
        while excess(most) > 0:
            most *= 4
        return unit * float(np.sqrt(optimize.brentq(excess, 0.0, most, xtol=1e-14)))

    low, high = (float(special.chdtri(len(y_C) - 1, p)) for p in (alpha / 2, 1 - alpha / 2))
    return end(low), end(high)


def _effects(effects: ArrayLike, errors: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    y_C, s_C = as_floats(effects, "effects"), as_floats(errors, "errors")
    if y_C.ndim != 1 or y_C.shape != s_C.shape or len(y_C) < 2 or (s_C <= 0).any():
        raise SeqattnError(
            f"effects have shape {y_C.shape} and errors {s_C.shape}; give at least two effects, "
            "and as many positive standard errors"
        )
    return y_C, s_C


def of_units(values: ArrayLike, *, alpha: float = 0.05) -> Pool:
    """Return the mean of independent units, (C,), with its t interval; `tau` is their SD.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 units, a value is not finite, or `alpha` is none.
    """
    values_C = as_floats(values, "values")
    check_alpha(alpha)
    if values_C.ndim != 1 or len(values_C) < 2:
        raise SeqattnError(f"values have shape {values_C.shape}; give at least two units")
    spread = float(values_C.std(ddof=1))
    error = spread / np.sqrt(len(values_C))
    return _pool(float(values_C.mean()), float(error), spread, len(values_C), alpha)


def _pool(
    mean: float, error: float, tau: float, n: int, alpha: float, narrowed: float | None = None
) -> Pool:
    t = float(special.stdtrit(n - 1, 1 - alpha / 2))
    reach, less = t * error, t * (error if narrowed is None else narrowed)
    ends, unfloored = (mean - reach, mean + reach), (mean - less, mean + less)
    return Pool(mean, error, ends, unfloored, float(tau), n)


def _weighted(y_C: Floats, s_C: Floats, tau2: float) -> tuple[float, float]:
    """Return the weighted mean and the sum of the weights."""
    weights_C = 1 / (s_C**2 + tau2)
    return float((weights_C * y_C).sum() / weights_C.sum()), float(weights_C.sum())


def _paule_mandel(y_C: Floats, s_C: Floats) -> float:
    def excess(tau2: float) -> float:
        mean, _ = _weighted(y_C, s_C, tau2)
        return float(((y_C - mean) ** 2 / (s_C**2 + tau2)).sum()) - (len(y_C) - 1)

    if excess(0.0) <= 0:
        return 0.0
    # Beyond the effects' own spread times C the left side is below 1.
    most = float(np.ptp(y_C)) ** 2 * len(y_C)
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-14))
