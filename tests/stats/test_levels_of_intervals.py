"""Levels other than 5 %: each interval and verdict is that of the level it is asked for."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.stats

from seqattn.stats.bootstrap import bootstrap_means
from seqattn.stats.criterion import dual_criterion
from seqattn.stats.crossed import crossed_interval
from seqattn.stats.pools import of_units, random_effects, tau_interval
from seqattn.stats.significance import tost_paired
from seqattn.stats.unpaired import ratio_interval, unpaired_interval
from seqattn.stats.variance import user_correlation

RNG = np.random.default_rng(8)
BASE_SU, OTHER_SU = 1 + RNG.random((4, 90)), 1.1 + RNG.random((4, 90))
EFFECTS, ERRORS = [0.3, 0.9, 1.1, 2.0, 2.2], [0.3, 0.4, 0.2, 0.5, 0.3]
LEVELS = (0.02, 0.05, 0.2)


@pytest.mark.parametrize("alpha", LEVELS)
@pytest.mark.parametrize(
    ("interval", "df"),
    [
        (partial(crossed_interval, OTHER_SU - BASE_SU), None),
        (partial(unpaired_interval, BASE_SU, OTHER_SU), None),
        (partial(random_effects, EFFECTS, ERRORS), len(EFFECTS) - 1),
        (partial(of_units, EFFECTS), len(EFFECTS) - 1),
    ],
    ids=["crossed", "unpaired", "random effects", "units"],
)
def test_an_interval_reaches_a_quantile_of_t_from_its_middle(interval, df, alpha):
    found = interval(alpha=alpha)
    reach = (found.ci[1] - found.ci[0]) / 2
    quantile = scipy.stats.t.ppf(1 - alpha / 2, df or found.df)
    assert reach == pytest.approx(quantile * found.error)


@pytest.mark.parametrize("alpha", LEVELS)
def test_a_ratio_ends_where_the_difference_is_just_refused_at_its_level(alpha):
    low, high = ratio_interval(BASE_SU, OTHER_SU, alpha=alpha).ci
    assert unpaired_interval(low * BASE_SU, OTHER_SU).p_value == pytest.approx(alpha, rel=1e-5)
    assert unpaired_interval(high * BASE_SU, OTHER_SU).p_value == pytest.approx(alpha, rel=1e-5)


@pytest.mark.parametrize("alpha", LEVELS)
def test_the_interval_of_tau_with_equal_errors_is_that_of_a_variance(alpha):
    error, freedom = 0.1, len(EFFECTS) - 1
    whole = (
        np.var(EFFECTS, ddof=1)
        * freedom
        / scipy.stats.chi2.ppf([1 - alpha / 2, alpha / 2], freedom)
    )
    expected = np.sqrt(np.maximum(0, whole - error**2))
    assert tau_interval(EFFECTS, [error] * len(EFFECTS), alpha=alpha) == pytest.approx(expected)


@pytest.mark.parametrize("alpha", LEVELS)
def test_both_bootstraps_of_the_criterion_have_the_quantiles_of_its_level(alpha):
    found = dual_criterion(BASE_SU, OTHER_SU, alpha=alpha)
    means = bootstrap_means((OTHER_SU - BASE_SU).mean(axis=0)[None], 2000, 0)[0]
    expected = np.quantile(means, [alpha / 2, 1 - alpha / 2])
    assert found.clustered_ci == pytest.approx(expected, rel=1e-3)
    wider = dual_criterion(BASE_SU, OTHER_SU, alpha=alpha / 2)
    assert wider.pooled_ci[0] < found.pooled_ci[0] < found.pooled_ci[1] < wider.pooled_ci[1]


def test_a_difference_may_be_robust_at_20_percent_and_not_at_5():
    """By a t-test over three seeds alone: users, of whom each gains, leave no doubt."""
    difference_SU = np.array([[0.2], [1.0], [2.0]]) + 0.01 * RNG.random((3, 50))
    base_SU = RNG.random((3, 50))
    strict, loose = (
        dual_criterion(base_SU, base_SU + difference_SU, alpha=alpha) for alpha in (0.05, 0.2)
    )
    assert 0.05 < strict.t_p_value == loose.t_p_value < 0.2
    assert strict.pooled_p_value < 0.05
    assert (strict.robust, loose.robust) == (False, True)


@pytest.mark.parametrize("alpha", LEVELS)
def test_equivalence_has_an_interval_of_twice_its_level(alpha):
    base, other = BASE_SU[0], OTHER_SU[0]
    found = tost_paired(base, other, 1.0, alpha=alpha)
    expected = scipy.stats.ttest_rel(other, base).confidence_interval(1 - 2 * alpha)
    assert found.ci == pytest.approx(tuple(expected))


def test_a_correlation_has_a_narrower_interval_at_a_looser_level():
    wide, narrow = (user_correlation(OTHER_SU - BASE_SU, alpha=alpha) for alpha in (0.05, 0.3))
    assert wide.low < narrow.low < narrow.rho < narrow.high < wide.high
