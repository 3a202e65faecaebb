"""L1/L2 sparsity of attention maps: by hand, and its bounds as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqattn.analysis.attention import bounds, l1_l2
from seqattn.errors import SeqattnError


@st.composite
def row_stochastic(draw):
    n = draw(st.integers(1, 12))
    weights = draw(arrays(float, (n, n), elements=st.floats(0, 1, allow_subnormal=False)))
    weights[np.arange(n), draw(arrays(np.int64, n, elements=st.integers(0, n - 1)))] += 1e-3
    return weights / weights.sum(axis=1, keepdims=True)


@given(row_stochastic())
def test_whole_map_lies_within_its_bounds(attention):
    n = len(attention)
    assert n**-1.5 * (1 - 1e-9) <= l1_l2(attention) <= 1 / n * (1 + 1e-9)
    assert bounds(n) == (n**-1.5, 1 / n)


@given(row_stochastic())
def test_each_row_lies_within_its_bounds(attention):
    n = len(attention)
    rows = l1_l2(attention, axis="row")
    assert rows.shape == (n,)
    assert np.all((rows >= 1 / n * (1 - 1e-9)) & (rows <= n**-0.5 * (1 + 1e-9)))
    assert bounds(n, axis="row") == (1 / n, n**-0.5)


def test_uniform_map_reaches_the_upper_bounds():
    uniform = np.full((4, 4), 1 / 4)
    assert l1_l2(uniform) == pytest.approx(1 / 4)
    assert l1_l2(uniform, axis="row") == pytest.approx([1 / 2] * 4)


def test_one_hot_rows_reach_the_lower_bounds():
    one_hot = np.eye(4)[[0, 0, 3, 1]]
    assert l1_l2(one_hot) == pytest.approx(1 / 8)
    assert l1_l2(one_hot, axis="row") == pytest.approx([1 / 4] * 4)


def test_a_single_row_by_hand():
    # L1 / N = 1 / 2, L2 = sqrt(0.36 + 0.16) for the first row, 1 for the second.
    rows = l1_l2([[0.6, 0.4], [1.0, 0.0]], axis="row")
    assert rows == pytest.approx([0.5 / np.sqrt(0.52), 0.5])


def test_uniform_causal_attention_is_sparser_than_uniform_attention_by_its_mask_alone():
    n = 20
    causal = np.tril(np.ones((n, n)))
    causal /= causal.sum(axis=1, keepdims=True)
    harmonic = np.sum(1 / np.arange(1, n + 1))
    assert l1_l2(causal) == pytest.approx(1 / n / np.sqrt(harmonic))


def test_a_stack_is_measured_map_by_map():
    stack = np.random.default_rng(0).random((2, 3, 5, 5))
    assert l1_l2(stack).shape == (2, 3)
    assert l1_l2(stack)[1, 2] == pytest.approx(l1_l2(stack[1, 2]))
    assert l1_l2(stack, axis="row").shape == (2, 3, 5)


@given(row_stochastic(), st.floats(0.01, 100))
def test_scale_does_not_matter(attention, scale):
    assert l1_l2(scale * attention) == pytest.approx(l1_l2(attention))


@pytest.mark.parametrize(
    ("maps", "axis", "message"),
    [
        (np.ones((2, 3)), None, r"shape \(2, 3\)"),
        (np.ones(3), None, r"shape \(3,\)"),
        (np.full((2, 2), np.nan), None, "NaN"),
        (np.zeros((2, 2)), None, "all zeros"),
        ([[1, 0], [0, 0]], "row", "all zeros"),
        (np.ones((2, 2)), "column", "axis is 'column'"),
    ],
)
def test_unusable_input_is_refused(maps, axis, message):
    with pytest.raises(SeqattnError, match=message):
        l1_l2(maps, axis=axis)


def test_bounds_of_no_positions_are_refused():
    with pytest.raises(SeqattnError, match="n is 0"):
        bounds(0)
