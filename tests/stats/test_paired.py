"""Paired tests against scipy, and their degenerate cases by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqattn.errors import SeqattnError
from seqattn.stats import dual_criterion, paired_t, tost_paired, wilcoxon

metric = st.floats(0, 1, allow_subnormal=False)


def pairs(longest):
    lengths = st.integers(2, longest)
    return lengths.flatmap(lambda n: st.tuples(*[arrays(float, n, elements=metric)] * 2))


@given(pairs(30))
def test_paired_t_equals_scipy(pair):
    base, variant = pair
    assume(np.std(variant - base) > 1e-6)
    ours, oracle = paired_t(base, variant), scipy.stats.ttest_rel(variant, base)
    assert ours.t == pytest.approx(oracle.statistic, rel=1e-7, abs=1e-9)
    assert ours.p_value == pytest.approx(oracle.pvalue, rel=1e-7)
    assert ours.df == oracle.df
    assert ours.difference == pytest.approx(variant.mean() - base.mean(), abs=1e-12)


@settings(max_examples=20, deadline=None)  # scipy enumerates sign patterns when ranks tie
@given(pairs(8))
def test_wilcoxon_equals_scipy_on_the_nonzero_differences(pair):
    base, variant = (np.round(1024 * each) / 1024 for each in pair)  # so that nothing is rounding
    differences = variant - base
    assume(np.any(differences != 0))
    ours = wilcoxon(base, variant)
    oracle = scipy.stats.wilcoxon(differences[differences != 0])
    assert (ours.statistic, ours.p_value) == (oracle.statistic, oracle.pvalue)
    assert ours.n_nonzero == np.count_nonzero(differences)


def test_wilcoxon_on_five_seeds_cannot_reject():
    assert wilcoxon(np.zeros(5), np.arange(1.0, 6)).p_value == pytest.approx(2 / 2**5)


def test_wilcoxon_without_differences_is_certain_of_nothing():
    result = wilcoxon([0.1, 0.2], [0.1, 0.2])
    assert (result.statistic, result.p_value, result.n_nonzero) == (0.0, 1.0, 0)


def test_relative_change_is_a_ratio_of_means():
    assert paired_t([1, 3], [2, 3]).relative_change_percent == pytest.approx(25.0)


def test_relative_change_from_zero_is_undefined():
    assert math.isnan(paired_t([0, 0], [1, 2]).relative_change_percent)


def test_no_difference_at_all_gives_p_one():
    result = paired_t([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (result.t, result.p_value, result.difference) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("shift", [0.05, -0.05])
def test_equal_nonzero_differences_give_infinite_t_despite_rounding(shift):
    base = np.array([0.1, 0.2, 0.3, 0.7])
    result = paired_t(base, base + shift)
    assert result.t == math.copysign(math.inf, shift)
    assert result.p_value == 0.0


@pytest.mark.parametrize("test", [paired_t, wilcoxon])
@pytest.mark.parametrize(
    ("base", "variant", "message"),
    [
        ([1, 2, 3], [1, 2], r"shape \(3,\) but variant has \(2,\)"),
        ([1], [2], "at least 2"),
        ([1, 2], [1, math.nan], r"variant holds nan at index \(1,\)"),
        ([1, math.inf], [1, 2], r"base holds inf at index \(1,\)"),
        ([[1, 2]], [[1, 2]], r"expected \(seeds,\)"),
        (["a", "b"], [1, 2], "base is not a rectangular array of numbers"),
    ],
)
def test_unusable_input_is_refused(test, base, variant, message):
    with pytest.raises(SeqattnError, match=message):
        test(base, variant)


UNITS = [2.0**-600, 2.0**-100, 2.0**100, 2.0**600]


@given(pairs(7), st.sampled_from(UNITS))
def test_no_test_depends_on_the_unit(pair, unit):
    """A public report: multiplying by 2**-600 changed p to 0 or 1."""
    base, variant = (np.round(side, 6) for side in pair)
    one, other = paired_t(base, variant), paired_t(unit * base, unit * variant)
    assert (other.t, other.p_value) == (one.t, one.p_value)
    assert other.difference == one.difference * unit
    assert wilcoxon(unit * base, unit * variant) == wilcoxon(base, variant)
    near, far = (
        tost_paired(base, variant, 0.1),
        tost_paired(unit * base, unit * variant, 0.1 * unit),
    )
    assert far.p_value == near.p_value


@given(st.integers(0, 1000), st.sampled_from(UNITS))
def test_the_dual_criterion_does_not_depend_on_the_unit(number, unit):
    rng = np.random.default_rng(number)
    base, variant = rng.random((3, 20)), rng.random((3, 20)) + 0.1
    one = dual_criterion(base, variant, n_resamples=200)
    other = dual_criterion(unit * base, unit * variant, n_resamples=200)
    for name in ("t_p_value", "pooled_p_value", "clustered_p_value", "robust", "seeds_positive"):
        assert getattr(other, name) == getattr(one, name), name


def test_a_run_that_is_there_twice_is_refused_by_the_places_of_its_seeds():
    rng = np.random.default_rng(0)
    base, variant = rng.random((3, 20)), rng.random((3, 20))
    base[2], variant[2] = base[0], variant[0]
    with pytest.raises(SeqattnError, match="the seeds at places 0 and 2 have the same values"):
        dual_criterion(base, variant)
    variant[2] += 0.1  # a deterministic baseline has the same values for every seed
    dual_criterion(base, variant)
    zeros = np.zeros((3, 20))  # and nobody hits
    dual_criterion(zeros, zeros)
    hits = (rng.random((3, 1000)) < [[0.2], [0.2], [0.2]]).astype(float)
    hits[2] = hits[0]  # of 200 who hit, another seed would miss some
    with pytest.raises(SeqattnError, match="the seeds at places 0 and 2 have the same values"):
        dual_criterion(hits, hits)
    dual_criterion(hits[:, :30], hits[:, :30])  # few may agree by chance


def test_wilcoxon_takes_what_rounding_alone_tells_apart_for_equal():
    same = wilcoxon([0.1 + 0.2] * 30, [0.3] * 30)
    assert (same.p_value, same.n_nonzero) == (1.0, 0)
    # Means over seeds of the same values in another order.
    base = np.tile([0.1, 0.2, 0.3], (60, 1)).mean(axis=1)
    variant = np.tile([0.3, 0.2, 0.1], (60, 1)).mean(axis=1)
    assert (base != variant).any() and wilcoxon(base, variant).p_value == 1.0


@pytest.mark.parametrize("unit", [1.0, 0.1, 1e-3, 2.0**-600])
def test_wilcoxon_of_tenths_has_the_ties_of_whole_numbers(unit):
    rng = np.random.default_rng(0)
    for _ in range(20):
        base, variant = rng.integers(0, 11, (2, 60))
        whole = scipy.stats.wilcoxon((variant - base)[variant != base])
        assert wilcoxon(base * unit, variant * unit).p_value == pytest.approx(whole.pvalue)
