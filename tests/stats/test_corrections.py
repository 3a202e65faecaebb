"""Holm and Benjamini-Hochberg against statsmodels."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.multitest import multipletests

from seqattn.errors import SeqattnError
from seqattn.stats import benjamini_hochberg, holm

p_values = arrays(float, st.integers(1, 70), elements=st.floats(0, 1, allow_subnormal=False))


@given(p_values)
def test_holm_equals_statsmodels(p):
    with patch("gc.collect"):  # statsmodels calls it each time, for a tenth of a second
        oracle = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(p), oracle, rtol=1e-12)


@given(p_values)
def test_benjamini_hochberg_equals_statsmodels(p):
    oracle = multipletests(p, method="fdr_bh")[1]
    np.testing.assert_allclose(benjamini_hochberg(p), oracle, rtol=1e-12)


def test_floor_of_the_bootstrap_bounds_what_holm_can_reject():
    assert holm(np.full(63, 1 / 2000)).max() < 0.05
    assert holm(np.full(252, 1 / 2000)).min() > 0.05


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([0.1, 1.2], r"p_values\[1\] is 1\.2"),
        ([-0.1], r"p_values\[0\]"),
        ([0.1, np.nan], "holds nan"),
        ([[0.1]], r"expected \(tests,\)"),
    ],
)
def test_unusable_input_is_refused(correct, p, message):
    with pytest.raises(SeqattnError, match=message):
        correct(p)
