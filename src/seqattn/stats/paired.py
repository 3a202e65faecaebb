"""Paired tests on one difference a seed, or one difference a user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy import stats as scipy_stats

from seqattn.stats.inputs import Floats, as_pair
from seqattn.stats.records import Record


@dataclass(frozen=True)
class PairedT(Record):
    """Result of `paired_t`."""

    t: float
    p_value: float
    df: int
    difference: float
    relative_change_percent: float


@dataclass(frozen=True)
class Wilcoxon(Record):
    """Result of `wilcoxon`."""

    statistic: float
    p_value: float
    n_nonzero: int


def relative_change_percent(base_mean: float, variant_mean: float) -> float:
    """Return ``100 (variant - base) / base``, NaN when the base mean is 0."""
    return 100.0 * (variant_mean - base_mean) / base_mean if base_mean != 0 else float("nan")


def standardised(base: Floats, variant: Floats) -> tuple[float, float, float]:
    """Return mean, standard deviation (ddof 1) and mean / sd of ``variant - base``.

    A spread at the level of float rounding counts as zero; then the ratio is 0 for a zero mean
    and an infinity with the mean's sign otherwise.
    """
    differences = variant - base
    rounding = 16 * np.finfo(np.float64).eps * max(np.abs(base).max(), np.abs(variant).max())
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
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
        `difference` is the mean of `variant - base`; `relative_change_percent` is the change of
        the mean over seeds (a ratio of means, not a mean of ratios), NaN for a zero base.

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
    df = len(base) - 1
    t = ratio * np.sqrt(len(base))
    return PairedT(
        t=float(t),
        p_value=float(2 * special.stdtr(df, -abs(t))),
        df=df,
        difference=mean,
        relative_change_percent=relative_change_percent(float(base.mean()), float(variant.mean())),
    )


def wilcoxon(base: ArrayLike, variant: ArrayLike) -> Wilcoxon:
    """Two-sided Wilcoxon signed-rank test: the rank-based companion of `paired_t`.

    ``W = min(sum of ranks of positive d, sum of ranks of negative d)`` over non-zero
    ``d = variant - base``, ranks of ``|d|`` (mean ranks for ties); zeros are dropped. It is sound
    only for independent entries: seed means, or one value a user averaged over seeds. Five seeds
    cannot reach p < 0.05 whatever the effect: the smallest exact p is 2 / 2**5 = 0.0625.

    Parameters
    ----------
    base, variant
        Shape (n,): n seeds or n users.

    Returns
    -------
    Wilcoxon
        `n_nonzero` differences took part; p = 1 and statistic 0 when all are zero.

    Raises
    ------
    SeqattnError
        If the shapes differ, there are fewer than 2 entries, or a value is not finite.

    References
    ----------
    Wilcoxon 1945; computed by `scipy.stats.wilcoxon`.
    """
    base, variant = as_pair(base, variant, ndim=1)
    differences = variant - base
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return Wilcoxon(statistic=0.0, p_value=1.0, n_nonzero=0)
    result = scipy_stats.wilcoxon(nonzero)
    return Wilcoxon(float(result.statistic), float(result.pvalue), len(nonzero))


def cohens_dz(base: ArrayLike, variant: ArrayLike) -> float:
    r"""Effect size of paired data, in standard deviations of the difference.

    .. math:: d_z = \bar d / s_d

    Parameters
    ----------
    base, variant
        Shape (n,): n seeds or n users. State which: over users the value is far smaller, because
        users differ more than seeds do.

    Returns
    -------
    float
        0 if all differences are zero, an infinity if they are all equal and not zero.

    Raises
    ------
    SeqattnError
        If the shapes differ, there are fewer than 2 entries, or a value is not finite.

    References
    ----------
    Lakens 2013, Frontiers in Psychology 4:863, eq. 6.
    """
    return standardised(*as_pair(base, variant, ndim=1))[2]
