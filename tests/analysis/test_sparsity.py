"""L1/L2 sparsity of attention maps: by hand, and its bounds as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqattn.analysis.attention import bounds, l1_l2, near_share, turning_point
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


vectors = st.integers(2, 9).flatmap(
    lambda n: arrays(float, n, elements=st.floats(0, 1, allow_subnormal=False))
)


def of_vector(x):
    """S of a vector, as of a map's single row."""
    return np.abs(x).mean() / np.linalg.norm(x)


@given(vectors, st.floats(0.01, 0.99), st.data())
def test_taking_from_a_large_entry_for_a_small_one_makes_a_row_less_sparse(x, part, data):
    """Property 1 of [AE], Robin Hood's."""
    i, j = data.draw(st.permutations(range(len(x))))[:2]
    rich, poor = (i, j) if x[i] > x[j] else (j, i)
    if x[rich] - x[poor] < 1e-3:
        return
    moved, a = x.copy(), part * (x[rich] - x[poor]) / 2
    moved[rich], moved[poor] = x[rich] - a, x[poor] + a
    assert of_vector(moved) > of_vector(x)


@given(vectors, st.floats(1e-3, 10), st.floats(1e-3, 10))
def test_an_entry_past_its_turning_point_makes_a_row_sparser_as_it_grows(x, past, alpha):
    """Property 2 of [AE], Bill Gates's: beta exists, the way to the turning point."""
    if x[1:].max() < 1e-3:
        return
    turn = turning_point(x[1:])
    rich, richer = x.copy(), x.copy()
    rich[0], richer[0] = turn + past, turn + past + alpha
    assert of_vector(richer) < of_vector(rich)
    below, least = x.copy(), x.copy()
    below[0], least[0] = turn, turn / 2
    assert of_vector(below) > of_vector(least)


def test_the_least_beta_of_property_2_is_what_an_entry_lacks_to_its_turning_point():
    others, entry = [0.2, 0.2, 0.2], 0.15
    beta = max(0, turning_point(others) - entry)
    assert beta == pytest.approx(0.05)  # a search over beta finds the same

    def s(own):
        return of_vector(np.array([own, *others]))

    steps = np.linspace(1e-4, 1, 50)
    assert all(s(entry + beta + a) < s(entry + beta) for a in steps)
    less = 0.9 * beta
    assert any(s(entry + less + a) >= s(entry + less) for a in steps)


@pytest.mark.parametrize("others", [[0.0, 0.0], [-1.0, 2.0], [np.nan], []])
def test_a_turning_point_needs_something_to_turn_on(others):
    with pytest.raises(SeqattnError, match="one above 0"):
        turning_point(others)


def test_the_share_nearby_by_hand():
    uniform = np.full((5, 5), 1 / 5)
    assert near_share(uniform) == pytest.approx((3 + 4 + 5 + 4 + 3) / 25)
    assert near_share(uniform, reach=0) == pytest.approx(1 / 5)
    assert near_share(np.stack([np.eye(4), np.eye(4)[::-1]]), reach=1) == pytest.approx([1, 0.5])
