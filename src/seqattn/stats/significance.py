"""Paired tests, equivalence and corrections for many tests, on plain arrays.

A paired test takes one difference a seed, or one difference a user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy import stats as scipy_stats

from seqattn.errors import SeqattnError
from seqattn.stats.inputs import ALPHA, Floats, as_floats, as_pair, unit_of

WILCOXON_DIGITS = 12  # of differences, in units near the largest value: below is rounding


@dataclass(frozen=True)
class PairedT:
    """Result of `paired_t`."""

    t: float
    p_value: float
    df: int
    difference: float
    relative_change_percent: float


@dataclass(frozen=True)
class Wilcoxon:
    """Result of `wilcoxon`, in which `n_nonzero` differences took part."""

    statistic: float
    p_value: float
    n_nonzero: int


def standardised(base: Floats, variant: Floats) -> tuple[float, float, float]:
    """Return mean, standard deviation (ddof 1) and mean / sd of ``variant - base``.

    A spread at the level of float rounding counts as zero; then the ratio is 0 for a zero mean
    and an infinity with the mean's sign otherwise.
    """
    largest = max(np.abs(base).max(), np.abs(variant).max())
    unit = unit_of(base, variant)
    differences = variant / unit - base / unit
    rounding = 16 * np.finfo(np.float64).eps * largest
    mean, spread = float(differences.mean()) * unit, float(differences.std(ddof=1)) * unit
    if abs(mean) <= rounding and spread <= rounding:
        return 0.0, 0.0, 0.0
    if spread <= rounding:
        return mean, 0.0, float(np.copysign(np.inf, mean))
    return mean, spread, mean / spread


def paired_t(base: ArrayLike, variant: ArrayLike) -> PairedT:
    r"""Two-sided paired t-test on seed means: whether the effect outlives the training seed.

    .. math:: t = \frac{\bar d}{s_d / \sqrt{S}}, \qquad d_s = v_s - b_s, \qquad df = S - 1

    Its unit of variation is the training seed. With S = 5 it has little power, and it says
    nothing about other users: the test set is the same in every seed.

    Parameters
    ----------
    base, variant
        Shape (S,): one metric value a seed, the same seed at the same place.

    Returns
    -------
    PairedT
        `relative_change_percent` is the change of the mean over seeds (a ratio of means, not a
        mean of ratios), NaN for a zero base.

    Raises
    ------
    SeqattnError
        If the shapes differ, there are fewer than 2 seeds, or a value is not finite.

    Notes
    -----
    When all differences are equal t is undefined. The limit is reported: p = 1 and t = 0 if they
    are all zero, else p = 0 and t = +-inf. Equal non-zero differences usually mean that one run
    was copied: check the seeds.

    References
    ----------
    [IA] Shyrallyiev & Pyshnograiev 2026, section 4.3 (i).

    Examples
    --------
    >>> result = paired_t([0.10, 0.11, 0.12], [0.12, 0.12, 0.15])
    >>> round(result.t, 3), round(result.p_value, 3), result.df
    (3.464, 0.074, 2)
    """
    base, variant = as_pair(base, variant, ndim=1)
    mean, _, ratio = standardised(base, variant)
    df, level = len(base) - 1, float(base.mean())
    change = 100.0 * (float(variant.mean()) - level) / level if level else float("nan")
    t = ratio * np.sqrt(len(base))
    return PairedT(
        t=float(t),
        p_value=float(2 * special.stdtr(df, -abs(t))),
        df=df,
        difference=mean,
        relative_change_percent=change,
    )


def wilcoxon(base: ArrayLike, variant: ArrayLike) -> Wilcoxon:
    """Two-sided Wilcoxon signed-rank test: the rank-based companion of `paired_t`.

    ``W = min(sum of ranks of positive d, sum of ranks of negative d)`` over non-zero
    ``d = variant - base``, ranks of ``|d|`` (mean ranks for ties); zeros are dropped. It is sound
    only for independent entries: seed means, or one value a user averaged over seeds. Five seeds
    cannot reach p < 0.05 whatever the effect: the smallest exact p is 2 / 2**5 = 0.0625. Where all
    differences are zero p is 1 and the statistic 0. Differences are rounded to `WILCOXON_DIGITS`
    digits after the point, in units near the largest value.

    It is no test of a mean. Its null hypothesis is that differences are symmetric about 0; where
    they are skewed, as a metric's are, it rejects on large samples of users although both means
    are equal (`seqattn.stats.large_samples.null_rejections` shows it). Use `paired_t` or a
    bootstrap there, and report the effect's size.

    Raises
    ------
    SeqattnError
        If the shapes differ, there are fewer than 2 entries, or a value is not finite.

    References
    ----------
    Wilcoxon 1945; computed by `scipy.stats.wilcoxon`. Ihemelandu & Ekstrand 2023, Inference at
    Scale: Significance Testing for Large Search and Recommendation Experiments, SIGIR.
    """
    base, variant = as_pair(base, variant, ndim=1)
    unit = unit_of(base, variant)
    # Equal differences that rounding tells apart would be no ties, and none at all would be some.
    differences = np.round(variant / unit - base / unit, WILCOXON_DIGITS)
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return Wilcoxon(statistic=0.0, p_value=1.0, n_nonzero=0)
    result = scipy_stats.wilcoxon(nonzero)
    return Wilcoxon(float(result.statistic), float(result.pvalue), len(nonzero))


@dataclass(frozen=True)
class Tost:
    """Result of `tost_paired`; `ci` covers 90 %, and lies inside +-margin if equivalent."""

    p_value: float
    difference: float
    ci: tuple[float, float]
    equivalent: bool


def tost_paired(base: ArrayLike, variant: ArrayLike, margin: float) -> Tost:
    r"""Two one-sided paired t-tests: evidence that the mean difference is within +-margin.

    .. math:: t_L = \frac{\bar d + m}{s_d / \sqrt n}, \quad t_U = \frac{\bar d - m}{s_d / \sqrt n},
        \quad p = \max\{\Pr[T_{n-1} \ge t_L], \Pr[T_{n-1} \le t_U]\}

    Parameters
    ----------
    base, variant
        Shape (n,): seed means, or one value a user averaged over seeds. Not seeds x users pooled:
        pseudo-replication shrinks the standard error and makes equivalence look proven.
    margin
        m > 0, in units of the metric. Choose it before looking, as the smallest difference that
        would matter (for instance 2 % of the baseline's mean), and state it.

    Raises
    ------
    SeqattnError
        If the shapes differ, there are fewer than 2 entries, a value is not finite, or `margin` is
        not positive.

    Notes
    -----
    When all differences are equal each p is the limit: 0 inside the margin, 0.5 at it, 1 beyond.

    References
    ----------
    Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15(6).

    Examples
    --------
    A t-test that rejects nothing is no evidence of equality; this is:

    >>> result = tost_paired([0.100, 0.102, 0.101], [0.101, 0.101, 0.102], margin=0.005)
    >>> result.equivalent, round(result.p_value, 4)
    (True, 0.0099)
    """
    base, variant = as_pair(base, variant, ndim=1)
    if not (np.isfinite(margin) and margin > 0):
        raise SeqattnError(f"margin is {margin}; give a positive difference in metric units")
    mean, spread, _ = standardised(base, variant)
    df, error = len(base) - 1, spread / np.sqrt(len(base))
    ends = (-(mean + margin), mean - margin)
    p_value = max(_lower_tail(end, error, df) for end in ends)
    reach = float(special.stdtrit(df, 1 - ALPHA) * error)
    return Tost(p_value, mean, (mean - reach, mean + reach), p_value < ALPHA)


def _lower_tail(numerator: float, error: float, df: int) -> float:
    """Return Pr[T <= numerator / error], with its limit for a zero standard error."""
    if error == 0:
        return float(np.heaviside(numerator, 0.5))
    return float(special.stdtr(df, numerator / error))


def holm(p_values: ArrayLike) -> Floats:
    r"""Holm's adjusted p-values: control of the chance of any false rejection.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\, p_{(j)}\}

    Valid under any dependence between the tests. Values, (m,), keep the order given.

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
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    r"""Benjamini-Hochberg adjusted p-values: control of the share of false rejections.

    .. math:: \tilde p_{(i)} = \min_{j \ge i} \min\{1, m\, p_{(j)} / j\}

    Proven for independent tests and for some positive dependence. Cells that share a dataset or
    a baseline are dependent; Holm is the safe choice where that matters. Takes, returns and
    refuses what `holm` does.

    References
    ----------
    Benjamini & Hochberg 1995, JRSS B 57(1).

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    return scipy_stats.false_discovery_control(_checked(p_values))


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
