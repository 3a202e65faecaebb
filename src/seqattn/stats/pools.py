"""Many effects as one: random-effects pools, and the mean of independent units.

Shapes: C effects, each with its standard error.
"""

from __future__ import annotations

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


def random_effects(
    effects: ArrayLike,
    errors: ArrayLike,
    correlation: ArrayLike | None = None,
    units: ArrayLike | None = None,
) -> Pool:
    r"""Pool effects, (C,), with known standard errors, (C,), whose true values may differ.

    .. math:: \hat\mu = \frac{\sum_c w_c y_c}{\sum_c w_c}, \quad w_c = \frac{1}{s_c^2 + \tau^2},
        \quad v = \frac{w^\top (V + \tau^2 D)\, w}{\sum_c w_c},
        \quad \sum_c w_c (y_c - \hat\mu)^2 = C - v

    V has the squared errors on its diagonal and covariances beside it. D is 1 where two effects are
    of one unit, such as a dataset, and else 0: what true effects differ by is taken as alike inside
    a unit, so three effects of one are not three looks at it. With neither, v is 1. The last
    equation, that of Paule and Mandel, gives :math:`\tau^2`, or 0 where none solves it. The
    interval is that of Hartung, Knapp, Sidik and Jonkman: t with one degree of freedom less than
    there are units, and the variance :math:`q v / \sum_c w_c`, q the left side over C - v. At a
    positive tau q is 1; at tau = 0 it is below 1, and is taken as 1, so that luck in the spread
    narrows nothing. With q as it is the interval is `unfloored`, which without correlation and
    units is the one of the four.

    Parameters
    ----------
    correlation : array, shape (C, C), optional
        How the errors of two effects correlate, as those of two models compared with one; by
        default not at all.
    units : array, shape (C,), optional
        The name of what each effect was measured on; by default each stands for itself.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 effects or units, an error is not positive, a value is not finite,
        the shapes differ, or `correlation` is none.

    References
    ----------
    Paule & Mandel 1982, J. Res. NBS 87(5); Hartung & Knapp 2001, Statistics in Medicine 20;
    Röver, Knapp & Friede 2015, BMC Medical Research Methodology 15:99, for the floor of q. Hedges,
    Tipton & Johnson 2010, Research Synthesis Methods 1(1), for the weights of dependent effects.

    Examples
    --------
    >>> pool = random_effects([1, 2, 6], [1, 1, 1])
    >>> round(pool.estimate, 2), round(pool.tau, 2), [round(end, 2) for end in pool.ci]
    (3.0, 2.45, [-3.57, 9.57])
    """
    y_C, s_C, r_CC = _effects(effects, errors, correlation)
    unit_CU = _units(units, len(y_C))
    unit = float(s_C.max())
    y_C, s_C, d_CC = y_C / unit, s_C / unit, unit_CU @ unit_CU.T
    tau2 = _paule_mandel(y_C, s_C, r_CC, d_CC)
    mean, squares, expected, variance = _moments(y_C, s_C, r_CC, d_CC, tau2)
    error, q = unit * np.sqrt(variance), squares / expected
    tau, narrowed = unit * np.sqrt(tau2), error * np.sqrt(min(q, 1.0))
    df = unit_CU.shape[1] - 1
    return _pool(mean * unit, float(error), tau, len(y_C), df, float(narrowed))


def tau_interval(
    effects: ArrayLike,
    errors: ArrayLike,
    correlation: ArrayLike | None = None,
    units: ArrayLike | None = None,
) -> tuple[float, float]:
    r"""Return the Q-profile interval of tau, the standard deviation of true effects.

    Its ends are the values of tau under which :math:`(y - \mu)^\top (V + \tau^2 I)^{-1} (y - \mu)`,
    at its least over mu, is a quantile of chi-squared with a degree of freedom less than there are
    values; 0 where already tau = 0 makes it smaller. With `units` their means take the place of
    effects, by generalised least squares, and the covariance of these means that of V.

    Parameters
    ----------
    effects, errors, correlation, units : array, shape (C,), (C,), (C, C) and (C,)
        As for `random_effects`.

    Raises
    ------
    SeqattnError
        As `random_effects`.

    References
    ----------
    Viechtbauer (2007), Statistics in Medicine 26.
    """
    y_C, s_C, r_CC = _effects(effects, errors, correlation)
    unit_CU = _units(units, len(y_C))
    unit = float(s_C.max())
    y_C, s_C = y_C / unit, s_C / unit
    weights_CU = np.linalg.solve(r_CC * np.outer(s_C, s_C), unit_CU)
    v_UU = np.linalg.inv(unit_CU.T @ weights_CU)
    y_U = v_UU @ weights_CU.T @ y_C
    n, sides_U2 = len(y_U), np.stack([y_U, np.ones_like(y_U)], axis=1)

    def end(quantile: float) -> float:
        def excess(tau2: float) -> float:
            inverse_U2 = np.linalg.solve(v_UU + tau2 * np.eye(n), sides_U2)
            (yy, y1), (_, ones) = sides_U2.T @ inverse_U2
            return float(yy - y1**2 / ones) - quantile

        if excess(0.0) <= 0:
            return 0.0
        most = 1.0 + float(np.ptp(y_U)) ** 2 * n
        while excess(most) > 0:
            most *= 4
        return unit * float(np.sqrt(optimize.brentq(excess, 0.0, most, xtol=1e-14)))

    low, high = (float(special.chdtri(n - 1, p)) for p in (ALPHA / 2, 1 - ALPHA / 2))
    return end(low), end(high)


def _effects(
    effects: ArrayLike, errors: ArrayLike, correlation: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    y_C, s_C = as_floats(effects, "effects"), as_floats(errors, "errors")
    if y_C.ndim != 1 or y_C.shape != s_C.shape or len(y_C) < 2 or (s_C <= 0).any():
        raise SeqattnError(
            f"effects have shape {y_C.shape} and errors {s_C.shape}; give at least two effects, "
            "and as many positive standard errors"
        )
    n = len(y_C)
    r_CC = np.eye(n) if correlation is None else as_floats(correlation, "correlation")
    if r_CC.shape != (n, n) or (r_CC != r_CC.T).any() or (np.diag(r_CC) != 1).any():
        raise SeqattnError(
            f"correlation has shape {r_CC.shape}; give a symmetric matrix of {n} x {n} with ones "
            "on its diagonal"
        )
    if np.linalg.eigvalsh(r_CC)[0] <= 0:
        raise SeqattnError(
            "correlation is of no effects that differ: it has to be positive definite"
        )
    return y_C, s_C, r_CC


def _units(units: ArrayLike | None, n: int) -> Floats:
    """Return which unit each effect is of, (C, U) of zeros and ones."""
    units_C = np.arange(n) if units is None else np.asarray(units)
    if units_C.shape != (n,):
        raise SeqattnError(f"units have shape {units_C.shape} for {n} effects; name each effect's")
    if len(names := np.unique(units_C)) < 2:
        raise SeqattnError(f"all {n} effects are of one unit; a pool needs two")
    return (units_C[:, None] == names).astype(float)


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


def _moments(
    y_C: Floats, s_C: Floats, r_CC: Floats, d_CC: Floats, tau2: float
) -> tuple[float, float, float, float]:
    """Return the mean, the weighted squares, what these should be, and the mean's variance."""
    weights_C = 1 / (s_C**2 + tau2)
    total, mean = float(weights_C.sum()), float((weights_C * y_C).sum() / weights_C.sum())
    v_CC = r_CC * np.outer(s_C, s_C) + tau2 * d_CC
    v = float(weights_C @ v_CC @ weights_C) / total
    return mean, float((weights_C * (y_C - mean) ** 2).sum()), len(y_C) - v, v / total


def _paule_mandel(y_C: Floats, s_C: Floats, r_CC: Floats, d_CC: Floats) -> float:
    def excess(tau2: float) -> float:
        _, squares, expected, _ = _moments(y_C, s_C, r_CC, d_CC, tau2)
        return squares - expected

    if excess(0.0) <= 0:
        return 0.0
    most = float(np.ptp(y_C)) ** 2 * len(y_C)
    while excess(most) > 0:
        most *= 4
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-14))
