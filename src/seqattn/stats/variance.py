"""Where a difference's chance comes from, seeds or users, and what each test sees of it.

With seed s and user u, ``d_su = mu + a_s + b_u + e_su``: another training seed moves all users
together (a), another user moves all seeds together (b), and the rest (e) moves one entry.

Shapes: C replicates, S seeds, U users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

from seqattn.errors import SeqattnError
from seqattn.stats.bootstrap import bootstrap_means, bootstrap_p_value, percentile_interval
from seqattn.stats.inputs import ALPHA, Floats, as_floats, as_pair, unit_of

# Beyond these powers of two the variance of differences leaves float64, or its digits do.
_LARGEST_POWER = 480
_SIMULATED_SEEDS = 5


@dataclass(frozen=True)
class Components:
    """Parts of a difference's variance, in units of the metric.

    `seed_sd` is the standard deviation of a training seed's effect on all users, net of user noise,
    with `seed_sd_upper` the upper end of its 95 % interval; `residual_sd` that of the rest.
    `user_variance`, of what a user keeps over seeds, may be negative: the covariance of a user's
    differences between two seeds is.
    """

    seed_sd: float
    seed_sd_upper: float
    user_variance: float
    residual_sd: float

    @property
    def rho(self) -> float:
        """Correlation of a user's differences between two seeds, seed effects aside."""
        unit = unit_of(self.residual_sd, np.sqrt(abs(self.user_variance)))
        users = self.user_variance / unit / unit
        total = users + (self.residual_sd / unit) ** 2
        return users / total if total > 0 else 0.0


def mean_squares(differences_SU: Floats) -> tuple[float, float, float]:
    """Return the mean squares of seeds, of users and of the rest of a crossed layout (S, U)."""
    n_seeds, n_users = differences_SU.shape
    by_seed = differences_SU.mean(axis=1, keepdims=True)
    by_user = differences_SU.mean(axis=0, keepdims=True)
    rest = differences_SU - by_seed - by_user + differences_SU.mean()
    return (
        n_users * float(by_seed.var(ddof=1)),
        n_seeds * float(by_user.var(ddof=1)),
        float((rest**2).sum() / ((n_seeds - 1) * (n_users - 1))),
    )


def variance_components(differences: ArrayLike) -> Components:
    r"""Split the variance of differences, (S, U), by two-way analysis of variance.

    .. math:: \hat\sigma_a^2 = \max\{0, (M_a - M_e) / U\}, \quad
        \hat\sigma_b^2 = (M_b - M_e) / S, \quad \hat\sigma_e^2 = M_e

    with mean squares M of seeds, users and the rest. A negative :math:`\hat\sigma_b^2` is kept,
    for it is a covariance: setting it to zero would hide that a mean over seeds then varies *less*
    than independent entries do. The upper limit of the seed effect puts the 0.025 quantile of the
    F distribution with S - 1 and (S - 1)(U - 1) degrees of freedom under M_a:
    ``(M_a / F - M_e) / U``, right for normal data.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 seeds or users, a value is not finite, or the differences are so
        large or small, about 1e144 or its inverse, that a variance is no float64.

    References
    ----------
    Searle, Casella & McCulloch 1992, Variance Components, chapter 4.
    """
    d_SU, _ = as_pair(differences, differences, ndim=2)
    unit, largest = unit_of(d_SU), float(np.abs(d_SU).max())
    if largest and abs(np.log2(unit)) > _LARGEST_POWER:
        raise SeqattnError(
            f"differences of up to {largest:g} have variances beyond 64-bit floats; give them in "
            "another unit"
        )
    n_seeds, n_users = d_SU.shape
    of_seeds, of_users, rest = mean_squares(d_SU / unit)
    least_f = scipy_stats.f.ppf(0.025, n_seeds - 1, (n_seeds - 1) * (n_users - 1))
    return Components(
        seed_sd=float(np.sqrt(max(0.0, (of_seeds - rest) / n_users))) * unit,
        seed_sd_upper=float(np.sqrt(max(0.0, (of_seeds / least_f - rest) / n_users))) * unit,
        user_variance=(of_users - rest) / n_seeds * unit * unit,
        residual_sd=float(np.sqrt(rest)) * unit,
    )


@dataclass(frozen=True)
class Between:
    """Result of `between_searches`: standard deviations, in units of the metric.

    `search_sd` of what another search would give, with `low` and `high` the ends of its 95 %
    interval; `seed_sd` of what another training seed would give with the same configuration.
    """

    mean: float
    search_sd: float
    low: float
    high: float
    seed_sd: float


def between_searches(values: ArrayLike) -> Between:
    r"""Tell how much the search that chose a configuration moves a metric's mean.

    With search k, training seed s and user u, ``y_ksu = mu + t_k + a_ks + b_u + c_ku + e_ksu``;
    the users are the same for all. Averaged over seeds the values are a crossed layout of searches
    and users, whose mean squares give :math:`\sigma_t^2 + \sigma_a^2 / S`; the seeds' part comes
    from within each search: :math:`\hat\sigma_a^2` is the mean of :math:`(M_s - M_e) / U` over
    the searches, or 0 where that is negative.

    .. math:: \hat\sigma_t^2 = \frac{M_k - M_e}{U} - \frac{\hat\sigma_a^2}{S}

    The ends are those of the F distribution with K - 1 and (K - 1)(U - 1) degrees of freedom under
    :math:`M_k`, the seeds' part taken as known: near enough for normal data (see the tests).

    Parameters
    ----------
    values
        Shape (K, S, U): K searches, each winner fitted with S seeds and ranked for U users.

    Raises
    ------
    SeqattnError
        If there are fewer than 2 searches, seeds or users, or a value is not finite.

    References
    ----------
    Searle, Casella & McCulloch 1992, Variance Components, chapter 4.
    """
    values_KSU = as_floats(values, "values")
    if values_KSU.ndim != 3 or min(values_KSU.shape) < 2:
        raise SeqattnError(
            f"values have shape {values_KSU.shape}; give (searches, seeds, users), 2 of each"
        )
    unit = unit_of(values_KSU)
    values_KSU = values_KSU / unit
    n_searches, _, n_users = values_KSU.shape
    # Clipped at 0 once, as a mean: clipped search by search it would be too large.
    within = [mean_squares(each_SU) for each_SU in values_KSU]
    of_seeds = max(0.0, float(np.mean([(seeds - rest) / n_users for seeds, _, rest in within])))
    of_searches, _, rest = mean_squares(values_KSU.mean(axis=1))
    df = n_searches - 1, (n_searches - 1) * (n_users - 1)
    f_high, f_low = scipy_stats.f.ppf([0.025, 0.975], *df)

    def sd(f: float) -> float:
        variance = (of_searches / f - rest) / n_users - of_seeds / values_KSU.shape[1]
        return float(np.sqrt(max(0.0, variance))) * unit

    return Between(
        mean=float(values_KSU.mean()) * unit,
        search_sd=sd(1.0),
        low=sd(f_low),
        high=sd(f_high),
        seed_sd=float(np.sqrt(of_seeds)) * unit,
    )


def sd_of_sum(
    sds: ArrayLike, lows: ArrayLike, highs: ArrayLike
) -> tuple[float, tuple[float, float]]:
    r"""Return the standard deviation of a sum of independent parts, and its interval.

    .. math:: \hat\sigma^2 = \sum_i s_i^2, \quad
        L = \hat\sigma^2 - \sqrt{\sum_i (s_i^2 - l_i^2)^2}, \quad
        H = \hat\sigma^2 + \sqrt{\sum_i (h_i^2 - s_i^2)^2}

    with the ends l and h of each part's own interval; the level is theirs. Satterthwaite's
    chi-square would take each :math:`s_i^2` for a mean square, which what is left of one after a
    subtraction is not: where searches differ little its interval for two parts of
    `between_searches` covers about 80 % where this one covers 95 % (see the tests). Where all
    parts may be 0, so may the sum.

    Parameters
    ----------
    sds, lows, highs
        Shape (n,) each: the parts' standard deviations and the ends of their intervals.

    Raises
    ------
    SeqattnError
        If a value is not finite, or the shapes differ.

    References
    ----------
    Graybill & Wang 1980, Confidence intervals on nonnegative linear combinations of variances,
    Journal of the American Statistical Association 75(372).

    Examples
    --------
    >>> sd, ends = sd_of_sum([3, 4], [2, 3], [7, 9])
    >>> sd, [round(end, 2) for end in ends]
    (5.0, [4.05, 10.07])
    """
    named = {"sds": sds, "lows": lows, "highs": highs}
    of_sd, of_low, of_high = (as_floats(values, name) for name, values in named.items())
    if not of_sd.shape == of_low.shape == of_high.shape:
        shapes = f"{of_sd.shape}, {of_low.shape} and {of_high.shape}"
        raise SeqattnError(f"sds, lows and highs have shapes {shapes}; give them one by one")
    total = float((of_sd**2).sum())
    below = float(np.linalg.norm(of_sd**2 - of_low**2)) if of_low.any() else total
    above = float(np.linalg.norm(of_high**2 - of_sd**2))
    low, high = np.sqrt(max(0.0, total - below)), np.sqrt(total + above)
    return float(np.sqrt(total)), (float(low), float(high))


def expected_levels(components: Components, n_seeds: int, n_users: int) -> dict[str, float]:
    r"""Return normal theory's false-positive rates of the t-test and of both bootstraps.

    The mean difference has variance :math:`V = \sigma_a^2/S + \sigma_b^2/U + \sigma_e^2/(SU)`.
    Each test sees a part of it,

    .. math:: V_t = \frac{\sigma_a^2}{S} + \frac{\sigma_e^2}{SU}, \quad
        V_{pooled} = \frac{\sigma_a^2 + \sigma_b^2 + \sigma_e^2}{SU}, \quad
        V_{clustered} = \frac{\sigma_b^2}{U} + \frac{\sigma_e^2}{SU},

    and rejects too often by what it does not see:

    .. math:: \Pr[\text{reject}] = 2 F(-q \sqrt{V_{test} / V})

    with F and its critical value q from t with S - 1 degrees of freedom for the t-test, from the
    normal for the bootstraps. Without a seed effect :math:`V / V_{pooled} = 1 + (S - 1) \rho`,
    which is below 1 for a negative :math:`\sigma_b^2`: pooling is then the cautious choice.

    The keys are ``t``, ``pooled`` and ``clustered``.

    Raises
    ------
    SeqattnError
        If nothing varies, or no S seeds can have such a correlation.

    References
    ----------
    Kish 1965, Survey Sampling, on the design effect. Derived on the book page "Calibration".
    """
    sds, b = (components.seed_sd, components.residual_sd), components.user_variance
    unit = unit_of(*sds, np.sqrt(abs(b)))
    a, e = ((sd / unit) ** 2 for sd in sds)
    b = b / unit / unit
    of_users = n_seeds * b + e
    if of_users < -1e-12 * e:
        raise SeqattnError(
            f"rho is {components.rho:.3f}; {n_seeds} seeds cannot all correlate by less than "
            f"{-1 / (n_seeds - 1):g}"
        )
    of_users = max(0.0, of_users)
    total = n_users * a + of_users  # each variance times S U
    if total == 0:
        raise SeqattnError("nothing varies: there is no false-positive rate to expect")
    seeds, normal = scipy_stats.t(n_seeds - 1), scipy_stats.norm()
    seen = {
        "t": (seeds, n_users * a + e),
        "pooled": (normal, a + b + e),
        "clustered": (normal, of_users),
    }
    return {
        name: float(2 * law.cdf(-law.ppf(1 - ALPHA / 2) * np.sqrt(part / total)))
        for name, (law, part) in seen.items()
    }


def pooling_levels(
    rhos: Sequence[float],
    *,
    n_users: int = 500,
    replicates: int = 2000,
    n_resamples: int = 1000,
) -> list[dict[str, float]]:
    """Simulate how the pooled bootstrap's false positives grow with what a user's seeds share.

    Differences are normal without any effect; those of one user correlate by rho between 5
    seeds. The level is 0.05.

    Returns
    -------
    list of dict
        For each rho: `rho`, `rate` with its exact 95 % limits `low` and `high`, and the rate
        `expected` by `expected_levels`, ``2 Phi(-1.96 / sqrt(1 + (S - 1) rho))``.

    Raises
    ------
    SeqattnError
        If a rho lies outside [-1 / (S - 1), 1] or a count is out of range.
    """
    n_seeds = _SIMULATED_SEEDS
    if n_users < 2 or replicates < 1 or not all(-1 / (n_seeds - 1) <= r <= 1 for r in rhos):
        raise SeqattnError(
            f"rhos are {list(rhos)}, {n_users} users, {replicates} replicates; give rhos in "
            f"[{-1 / (n_seeds - 1):g}, 1], at least 2 users, and 1 replicate"
        )
    rows = []
    for place, rho in enumerate(rhos):
        generator = np.random.default_rng([0, place])
        d_CSU = generator.standard_normal((replicates, n_seeds, n_users))
        users_C1U = d_CSU.mean(axis=1, keepdims=True)
        # The covariance's two eigenvalues, so that rho may be negative, too.
        d_CSU = (
            np.sqrt(1 - rho) * (d_CSU - users_C1U) + np.sqrt(1 + (n_seeds - 1) * rho) * users_C1U
        )
        means_CB = bootstrap_means(d_CSU.reshape(replicates, -1), n_resamples)
        rate, low, high = proportion(int((bootstrap_p_value(means_CB) < 0.05).sum()), replicates)
        parts = Components(0.0, 0.0, rho, np.sqrt(1 - rho))
        row = {"rho": float(rho), "rate": rate, "low": low, "high": high}
        rows.append(row | {"expected": expected_levels(parts, n_seeds, n_users)["pooled"]})
    return rows


def proportion(hits: int, n: int) -> tuple[float, float, float]:
    """Return a rate with its exact 95 % limits (Clopper & Pearson 1934)."""
    limits = scipy_stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    return hits / n, float(limits.low), float(limits.high)


@dataclass(frozen=True)
class UserCorrelation:
    """Correlation `rho` with its interval from `low` to `high`, and the `width_ratio`.

    `width_ratio` is the clustered bootstrap's standard error in units of the pooled one's: what
    the ratio of their intervals' widths tends to as resamples grow.
    """

    rho: float
    low: float
    high: float
    width_ratio: float


def user_correlation(differences: ArrayLike, *, n_resamples: int = 2000) -> UserCorrelation:
    r"""Estimate the correlation of a user's differences, (S, U), between two seeds.

    .. math:: \hat\rho = \frac{M_b - M_e}{M_b + (S - 1) M_e}

    with the mean squares M of users and of the rest, as in `variance_components`: each seed's mean
    is taken out first, and a negative value stays negative. The interval is the percentile one of
    a bootstrap of users, each with all seeds; normal theory's, from the F distribution, is too
    narrow where few users carry most of the variance. Where nothing varies rho is 0 and
    `width_ratio` NaN.

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
    d_SU = d_SU / unit_of(d_SU)
    # All that rho needs of a set of users are means over them: resample those.
    moments = np.vstack([d_SU, d_SU.mean(axis=0) ** 2, (d_SU**2).mean(axis=0)])
    low, high = percentile_interval(_rho(bootstrap_means(moments, n_resamples)))
    entries = float(d_SU.var())
    squared = len(d_SU) * float(d_SU.mean(axis=0).var()) / entries if entries else float("nan")
    return UserCorrelation(
        rho=float(_rho(moments.mean(axis=1, keepdims=True))[0]),
        low=float(low),
        high=float(high),
        width_ratio=float(np.sqrt(squared)),
    )


def _rho(moments: Floats) -> Floats:
    """Return rho, (B,), from means over users, (S + 2, B): d_su, squared mean, mean square."""
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
