"""Pools against statsmodels' meta-analysis, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.meta_analysis import combine_effects

from seqattn.errors import SeqattnError
from seqattn.stats.pools import of_units, random_effects, tau_interval


def effects(number, tau, n=12):
    rng = np.random.default_rng(number)
    errors = rng.uniform(0.2, 3, n)
    return rng.normal(0.5, np.hypot(errors, tau)), errors


# Where statsmodels' iteration ends inside, whatever the effects' last digits: elsewhere it may
# leave the axis on one processor and not on another, and return 0.
@pytest.mark.parametrize("number", [0, 7, 13, 19, 25])
def test_tau_estimate_and_interval_are_those_of_statsmodels(number):
    y, s = effects(number, tau=4)
    pool = random_effects(y, s)
    theirs = combine_effects(y, s**2, method_re="pm", use_t=True, atol=1e-12)
    assert pool.tau == pytest.approx(np.sqrt(theirs.tau2), rel=1e-4)
    assert pool.estimate == pytest.approx(theirs.mean_effect_re, rel=1e-4)
    assert pool.error == pytest.approx(theirs.sd_eff_w_re_hksj, rel=1e-4)
    assert pool.ci == pytest.approx(theirs.conf_int(use_t=True)[3], rel=1e-4)
    assert pool.unfloored == pytest.approx(pool.ci, rel=1e-6)  # tau makes q 1


@given(st.integers(0, 10_000), st.sampled_from([0.5, 4]))
def test_tau_solves_the_equation_of_paule_and_mandel(number, true_tau):
    y, s = effects(number, true_tau)
    pool = random_effects(y, s)
    left = ((y - pool.estimate) ** 2 / (s**2 + pool.tau**2)).sum()
    if pool.tau:
        assert left == pytest.approx(len(y) - 1, rel=1e-6)
    else:
        assert left <= len(y) - 1


def test_without_heterogeneity_it_is_the_fixed_effect_pool_and_not_narrower():
    s = np.array([1.0, 2, 3, 4])
    y = 1 + 0.1 * s * np.array([1, -1, 1, -1])
    pool, theirs = random_effects(y, s), combine_effects(y, s**2)
    assert pool.tau == 0
    assert pool.estimate == pytest.approx(theirs.mean_effect_fe)
    assert pool.error == pytest.approx(theirs.sd_eff_w_fe)
    assert pool.error > theirs.sd_eff_w_re_hksj  # what the floor of q is for
    assert pool.unfloored == pytest.approx(theirs.conf_int(use_t=True)[3])


def test_equal_errors_are_the_formula_worked_by_hand():
    # Var(1, 2, 6) = 7 = tau² + 1, and the error of the mean is sqrt(7 / 3).
    pool = random_effects([1, 2, 6], [1, 1, 1])
    assert (pool.estimate, pool.n) == (pytest.approx(3), 3)
    assert pool.tau == pytest.approx(np.sqrt(6))
    assert pool.error == pytest.approx(np.sqrt(7 / 3))


@given(st.integers(0, 10_000), st.sampled_from([1e-9, 1e-3, 1e6]))
def test_the_unit_of_the_effects_does_not_matter(number, unit):
    y, s = effects(number, tau=1)
    one, other = random_effects(y, s), random_effects(unit * y, unit * s)
    assert np.array(other.ci) / unit == pytest.approx(np.array(one.ci), rel=1e-6, abs=1e-9)
    assert other.tau / unit == pytest.approx(one.tau, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("tau", [0, 2])
def test_its_interval_covers_the_mean_of_the_true_effects(tau):
    inside = 0
    for number in range(1000):
        low, high = random_effects(*effects(number, tau)).ci
        inside += low <= 0.5 <= high
    assert scipy.stats.binomtest(inside, 1000).proportion_ci(0.999).high >= 0.95


def test_with_equal_errors_the_interval_of_tau_is_that_of_a_variance():
    y, s = np.array([1.0, 2.0, 6.0, -3.0, 0.5]), 0.7
    squares = ((y - y.mean()) ** 2).sum()
    low, high = (squares / scipy.stats.chi2(4).ppf(q) - s**2 for q in (0.975, 0.025))
    assert tau_interval(y, np.full(5, s)) == pytest.approx((np.sqrt(low), np.sqrt(high)))
    assert tau_interval(y / 9, np.full(5, 40.0)) == (0.0, 0.0)  # less spread than any tau allows
    scaled = tau_interval(y * 1e-200, np.full(5, s * 1e-200))
    assert scaled == pytest.approx((np.sqrt(low) * 1e-200, np.sqrt(high) * 1e-200))


@pytest.mark.parametrize("tau", [0.0, 0.5, 2.0])
def test_the_interval_of_tau_covers_it(tau):
    rng, n = np.random.default_rng(3), 400
    inside = 0
    for _ in range(n):
        s = rng.uniform(0.5, 1.5, size=9)
        low, high = tau_interval(rng.normal(scale=np.hypot(s, tau)), s)
        inside += low <= tau <= high
    assert scipy.stats.binomtest(inside, n, 0.95 if tau else 0.975).pvalue > 1e-3


def test_units_have_the_t_interval_of_scipy():
    values = [0.3, -1.0, 2.5, 0.9]
    pool = of_units(values)
    theirs = scipy.stats.ttest_1samp(values, 0).confidence_interval()
    assert pool.ci == pytest.approx((theirs.low, theirs.high))
    assert pool.tau == pytest.approx(np.std(values, ddof=1))


@pytest.mark.parametrize(
    ("y", "s", "message"),
    [
        ([1], [1], "at least two effects"),
        ([1, 2], [1, 0], "positive standard errors"),
        ([1, 2], [1, 2, 3], "as many positive"),
        ([1, np.nan], [1, 1], "holds nan at index"),
    ],
)
def test_what_cannot_be_pooled_is_one_line(y, s, message):
    with pytest.raises(SeqattnError, match=message):
        random_effects(y, s)


def test_one_unit_has_no_interval():
    with pytest.raises(SeqattnError, match="at least two units"):
        of_units([1.0])


@pytest.mark.parametrize("pool", [random_effects, tau_interval])
@pytest.mark.parametrize(
    ("effects", "errors"), [([], []), ([1.0], [1.0]), ([1, 2], [1, 0]), ([1, 2, 3], [1, 1])]
)
def test_what_has_no_pool_is_one_line(pool, effects, errors):
    with pytest.raises(SeqattnError, match=r"give at least two effects|is empty|no values"):
        pool(effects, errors)
