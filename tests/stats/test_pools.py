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


ALIKE = np.full((3, 3), 0.5) + 0.5 * np.eye(3)  # three effects that share half


def test_correlated_effects_are_the_formula_worked_by_hand():
    # Var(1, 2, 6) = 7 = tau² + 1 - 1/2, and the error of the mean is sqrt((tau² + 1 + 2/2) / 3).
    pool = random_effects([1, 2, 6], [1, 1, 1], ALIKE)
    assert pool.estimate == pytest.approx(3)
    assert pool.tau == pytest.approx(np.sqrt(6.5))
    assert pool.error == pytest.approx(np.sqrt(8.5 / 3))
    low, high = (14 / scipy.stats.chi2(2).ppf(q) - 0.5 for q in (0.975, 0.025))
    assert tau_interval([1, 2, 6], [1, 1, 1], ALIKE) == pytest.approx(np.sqrt([low, high]))


def test_one_effect_looked_at_thrice_is_hardly_more_than_one():
    r = np.full((3, 3), 1 - 1e-9) + 1e-9 * np.eye(3)
    assert random_effects([2.0, 2.0, 2.0], [0.7] * 3, r).error == pytest.approx(0.7)


@given(st.integers(0, 10_000), st.sampled_from([0, 4]))
def test_effects_without_correlation_are_those_of_the_identity(number, tau):
    y, s = effects(number, tau)
    assert random_effects(y, s, np.eye(len(y))) == random_effects(y, s)


def test_degrees_of_freedom_are_those_of_the_units():
    three = random_effects([1, 2, 6, 3], [1, 1, 1, 1], units=["a", "a", "b", "c"])
    alone = random_effects([1, 2, 6, 3], [1, 1, 1, 1])
    # By hand: weights are equal, so the mean is 3, v is (6 tau^2 + 4) / 4 / (tau^2 + 1), and
    # 14 / (tau^2 + 1) = 4 - v: 14 = 4 tau^2 + 4 - 1.5 tau^2 - 1.
    assert (three.estimate, three.n) == (alone.estimate, 4) == (pytest.approx(3), 4)
    assert three.tau == pytest.approx(np.sqrt(11 / 2.5))
    assert three.error == pytest.approx(np.sqrt((6 * 4.4 + 4) / 16))
    assert np.ptp(three.ci) == pytest.approx(2 * scipy.stats.t.ppf(0.975, 2) * three.error)
    for units, told in ((["a"] * 4, "all 4 effects are of one unit"), (["a", "b"], "shape")):
        with pytest.raises(SeqattnError, match=told):
            random_effects([1, 2, 6, 3], [1, 1, 1, 1], units=units)


@pytest.mark.parametrize(("n", "tau", "most"), [(3, 2, 3), (3, 5, 1), (5, 2, 1.5), (8, 5, 1)])
def test_with_units_it_covers_the_mean_of_effects_that_are_alike_in_a_unit(n, tau, most):
    rng, units, covered, naive, taus = np.random.default_rng(0), np.repeat(np.arange(n), 3), 0, 0, 0
    r = np.kron(np.eye(n), ALIKE)
    for _ in range(400):
        s = rng.uniform(0.2, most, 3 * n)
        errors = np.linalg.cholesky(r) @ rng.standard_normal(3 * n) * s
        y = 0.5 + tau * rng.standard_normal(n)[units] + errors
        low, high = random_effects(y, s, r, units).ci
        covered += low <= 0.5 <= high
        low, high = random_effects(y, s, r).ci
        naive += low <= 0.5 <= high
        low, high = tau_interval(y, s, r, units)
        taus += low <= tau <= high
    assert 0.92 < covered / 400 < 0.99 and naive / 400 < 0.87
    assert 0.92 < taus / 400 < 0.98


def test_a_unit_of_each_effect_changes_nothing_and_of_equal_errors_it_is_its_mean():
    y, s = [1, 2, 6, 3], [1, 2, 1, 2]
    assert random_effects(y, s, units=[4, 3, 2, 1]) == random_effects(y, s)
    assert tau_interval(y, s, units=[4, 3, 2, 1]) == pytest.approx(tau_interval(y, s))
    # Two effects a unit with a common error: as their means, with its variance.
    r = np.kron(np.eye(3), np.full((2, 2), 1 - 1e-9)) + 1e-9 * np.eye(6)
    doubled = tau_interval([1, 1, 2, 2, 6, 6], [1] * 6, r, ["a", "a", "b", "b", "c", "c"])
    assert doubled == pytest.approx(tau_interval([1, 2, 6], [1, 1, 1]), rel=1e-4)


@pytest.mark.parametrize("tau", [0, 2])
def test_its_interval_covers_the_mean_of_correlated_effects(tau):
    rng, inside, taus, naive = np.random.default_rng(0), 0, 0, 0
    r = np.kron(np.eye(4), ALIKE)
    for _ in range(1000):
        s = rng.uniform(0.2, 3, 12)
        errors = np.linalg.cholesky(r) @ rng.standard_normal(12) * s
        y = 0.5 + tau * rng.standard_normal(12) + errors
        low, high = random_effects(y, s, r).ci
        inside += low <= 0.5 <= high
        low, high = random_effects(y, s).ci
        naive += low <= 0.5 <= high
        low, high = tau_interval(y, s, r)
        taus += low <= tau <= high
    assert scipy.stats.binomtest(inside, 1000).proportion_ci(0.999).high >= 0.95
    assert scipy.stats.binomtest(taus, 1000, 0.95 if tau else 0.975).pvalue > 1e-3
    assert naive < inside  # what the correlation is for


@pytest.mark.parametrize("pool", [random_effects, tau_interval])
@pytest.mark.parametrize(
    ("correlation", "message"),
    [
        (np.eye(3), "symmetric matrix of 2 x 2"),
        ([[1, 0.5], [0.4, 1]], "symmetric matrix of 2 x 2"),
        ([[2, 0.5], [0.5, 2]], "ones on its diagonal"),
        ([[1, 1], [1, 1]], "positive definite"),
    ],
)
def test_what_is_no_correlation_is_one_line(pool, correlation, message):
    with pytest.raises(SeqattnError, match=message):
        pool([1, 2], [1, 1], correlation)


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
