"""Paired tests against scipy, and their degenerate cases by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqattn.errors import SeqattnError
from seqattn.stats import paired_t, wilcoxon

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
    base, variant = pair
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


def test_relative_change_from_zero_is_undefined_and_null_in_json():
    result = paired_t([0, 0], [1, 2])
    assert math.isnan(result.relative_change_percent)
    assert json.loads(json.dumps(result.to_dict()))["relative_change_percent"] is None


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
