"""Many effects as one: random-effects pools, and the mean of independent units.

Shapes: C effects, each with its standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from seqattn.errors import SeqattnError
from seqattn.stats.inputs import ALPHA, Floats, as_floats


@dataclass(frozen=True)
class Pool:
    """A mean of `n` effects with its interval; `tau` is how far true effects differ (one SD).

    `unfloored` is the interval that effects nearer to each other than their errors say may narrow.
    """

    estimate: float
    error: float
    ci: tuple[float, float]
    unfloored: tuple[float, float]
    tau: float
    n: int


def random_effects(effects: ArrayLike, errors: ArrayLike) -> Pool:
    r"""Pool effects, (C,), with known standard errors, (C,), whose true values may differ.

    .. math:: \hat\mu = \frac{\sum_c w_c y_c}{\sum_c w_c}, \quad w_c = \frac{1}{s_c^2 + \tau^2},
        \quad \sum_c w_c (y_c - \hat\mu)^2 = C - 1

    The last equation, that of Paule and Mandel, gives :math:`\tau^2`, or 0 where none solves it.
    The interval is that of Hartung, Knapp, Sidik and Jonkman: t with C - 1 degrees of freedom and
    the variance :math:`q / \sum_c w_c`, q the left side over C - 1. At a positive tau q is 1; at
    tau = 0 it is below 1, and is taken as 1, so that luck in the spread narrows nothing. With q as
    it is the interval is `unfloored`, which is the one of the four.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 effects, an error is not positive, a value is not finite, or the
        shapes differ.

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
    unit, df = float(s_C.max()), len(y_C) - 1
    y_C, s_C = y_C / unit, s_C / unit
    tau2 = _root(lambda tau2: _moments(y_C, s_C, tau2)[1] - df, y_C)
    mean, squares, total = _moments(y_C, s_C, tau2)
    error, q = unit / np.sqrt(total), squares / df
    narrowed = error * np.sqrt(min(q, 1.0))
    return _pool(mean * unit, float(error), unit * np.sqrt(tau2), len(y_C), df, float(narrowed))


def tau_interval(effects: ArrayLike, errors: ArrayLike) -> tuple[float, float]:
    r"""Return the Q-profile interval of tau, the standard deviation of true effects.

    Its ends are the values of tau under which the left side of the equation of Paule and Mandel
    (`random_effects`) is a quantile of chi-squared with C - 1 degrees of freedom; 0 where already
    tau = 0 makes it smaller.

    Raises
    ------
    SeqattnError
        As `random_effects`.

    References
    ----------
    Viechtbauer (2007), Statistics in Medicine 26.
    """
    y_C, s_C = _effects(effects, errors)
    unit, df = float(s_C.max()), len(y_C) - 1
    y_C, s_C = y_C / unit, s_C / unit

    def end(probability: float) -> float:
        quantile = float(special.chdtri(df, probability))
        tau2 = _root(lambda tau2: _moments(y_C, s_C, tau2)[1] - quantile, y_C)
        return unit * float(np.sqrt(tau2))

    return end(ALPHA / 2), end(1 - ALPHA / 2)


def _effects(effects: ArrayLike, errors: ArrayLike) -> tuple[Floats, Floats]:
    y_C, s_C = as_floats(effects, "effects"), as_floats(errors, "errors")
    if y_C.ndim != 1 or y_C.shape != s_C.shape or len(y_C) < 2 or (s_C <= 0).any():
        raise SeqattnError(
            f"effects have shape {y_C.shape} and errors {s_C.shape}; give at least two effects, "
            "and as many positive standard errors"
        )
    return y_C, s_C


def of_units(values: ArrayLike) -> Pool:
    """Return the mean of independent units, (C,), with its t interval; `tau` is their SD.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 units, or a value is not finite.
    """
    values_C = as_floats(values, "values")
    if values_C.ndim != 1 or len(values_C) < 2:
        raise SeqattnError(f"values have shape {values_C.shape}; give at least two units")
    spread = float(values_C.std(ddof=1))
    error = spread / np.sqrt(len(values_C))
    n = len(values_C)
    return _pool(float(values_C.mean()), float(error), spread, n, n - 1)


def _pool(
    mean: float, error: float, tau: float, n: int, df: int, narrowed: float | None = None
) -> Pool:
    t = float(special.stdtrit(df, 1 - ALPHA / 2))
    reach, less = t * error, t * (error if narrowed is None else narrowed)
    ends, unfloored = (mean - reach, mean + reach), (mean - less, mean + less)
    return Pool(mean, error, ends, unfloored, float(tau), n)


def _moments(y_C: Floats, s_C: Floats, tau2: float) -> tuple[float, float, float]:
    """Return the weighted mean, the weighted squares around it, and the sum of the weights."""
    weights_C = 1 / (s_C**2 + tau2)
    total = float(weights_C.sum())
    mean = float((weights_C * y_C).sum()) / total
    return mean, float((weights_C * (y_C - mean) ** 2).sum()), total


def _root(excess: Callable[[float], float], y_C: Floats) -> float:
    """Return where a falling function of tau squared is 0, or 0 where it never is."""
    if excess(0.0) <= 0:
        return 0.0
    most = 1.0 + float(np.ptp(y_C)) ** 2 * len(y_C)
    while excess(most) > 0:
        most *= 4
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-14))
