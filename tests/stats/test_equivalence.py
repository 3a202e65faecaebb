"""TOST against statsmodels, and its limits by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.weightstats import ttost_paired

from seqattn.errors import SeqattnError
from seqattn.stats import tost_paired

pairs = arrays(float, st.tuples(st.just(2), st.integers(2, 30)), elements=st.floats(0, 1))


@given(pairs, st.floats(0.01, 1))
def test_equals_statsmodels(pair, margin):
    base, variant = pair
    assume(np.std(variant - base) > 1e-6)
    ours = tost_paired(base, variant, margin)
    p_value, *_ = ttost_paired(variant, base, -margin, margin)
    assert ours.p_value == pytest.approx(p_value, rel=1e-6, abs=1e-15)
    expected = scipy.stats.ttest_rel(variant, base).confidence_interval(0.9)
    assert ours.ci == pytest.approx(tuple(expected), rel=1e-6, abs=1e-12)


@given(pairs, st.floats(0.01, 1))
def test_equivalent_exactly_when_the_interval_lies_within_the_margin(pair, margin):
    result = tost_paired(*pair, margin)
    assume(abs(result.p_value - 0.05) > 1e-9)
    assert result.equivalent == (-margin < result.ci[0] and result.ci[1] < margin)


def test_noise_is_no_evidence_of_equivalence():
    noisy = tost_paired([0.1, 0.5, 0.3], [0.4, 0.1, 0.4], margin=0.01)
    assert not noisy.equivalent


@pytest.mark.parametrize(("margin", "p_value"), [(0.5, 0.0), (0.25, 0.5), (0.125, 1.0)])
def test_equal_differences_give_the_limit(margin, p_value):
    result = tost_paired([0.25, 0.5, 1.0], [0.5, 0.75, 1.25], margin)
    assert result.p_value == p_value
    assert result.ci == (0.25, 0.25)


@pytest.mark.parametrize("margin", [0, -0.1, np.nan, np.inf])
def test_unusable_margin_is_refused(margin):
    with pytest.raises(SeqattnError, match="margin is"):
        tost_paired([1, 2], [1, 3], margin)
