"""Singular values, thresholds and ranks of attention maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.utils.extmath import randomized_svd

from seqattn.analysis.rank import (
    KNOWN_NOISE,
    UNKNOWN_NOISE,
    bound_sides,
    common_noise,
    hard_threshold,
    low_rank,
    median_rank,
    missed_share,
    noise_floor,
    ranks_in_noise,
    singular_values,
)
from seqattn.errors import SeqattnError

maps = st.integers(1, 8).flatmap(
    lambda n: arrays(float, (n, n), elements=st.floats(-1, 1, allow_subnormal=False))
)


def planted(n, rank, strength, rng):
    """Return a map whose `rank` singular values all equal `strength`."""
    u, _ = np.linalg.qr(rng.standard_normal((n, rank)))
    v, _ = np.linalg.qr(rng.standard_normal((n, rank)))
    return strength * u @ v.T


def published_rank(noisy, sigma):
    noisy = np.asarray(noisy)
    return ranks_in_noise(noisy, sigma, np.zeros((1, *noisy.shape[-2:])))[0][0]


def optimal_rank(noisy, sigma):
    noisy = np.asarray(noisy)
    return ranks_in_noise(noisy, sigma, np.zeros((1, *noisy.shape[-2:])))[1][0]


@given(maps)
def test_singular_values_squared_are_the_eigenvalues_of_the_gram_matrix(a):
    s = singular_values(a)
    assert np.all(np.diff(s) <= 0)
    np.testing.assert_allclose(s**2, np.linalg.eigvalsh(a.T @ a)[::-1], atol=1e-10)


@given(maps, st.data())
def test_low_rank_leaves_the_smallest_possible_error(a, data):
    k = data.draw(st.integers(0, len(a)))
    approximation = low_rank(a, k)
    # Eckart & Young: no matrix of rank k comes closer than the tail of singular values.
    tail = np.sum(singular_values(a)[k:] ** 2)
    assert np.sum((a - approximation) ** 2) == pytest.approx(tail, abs=1e-10)
    assert np.linalg.matrix_rank(approximation, tol=1e-9) <= k


def test_low_rank_beats_other_matrices_of_that_rank():
    rng = np.random.default_rng(0)
    a = rng.random((12, 12))
    ours = np.linalg.norm(a - low_rank(a, 3))
    for _ in range(20):
        basis = np.linalg.qr(rng.standard_normal((12, 3)))[0]
        assert ours < np.linalg.norm(a - basis @ basis.T @ a)


def test_low_rank_equals_sklearns_truncated_svd():
    a = np.random.default_rng(1).random((30, 30))
    u, s, vt = randomized_svd(a, 5, n_iter=30, random_state=0)
    np.testing.assert_allclose(low_rank(a, 5), (u * s) @ vt, atol=1e-6)


def test_low_rank_works_on_stacks():
    stack = np.random.default_rng(2).random((2, 3, 6, 6))
    np.testing.assert_allclose(low_rank(stack, 2)[1, 2], low_rank(stack[1, 2], 2), atol=1e-12)


def test_hard_threshold_by_hand():
    # n = 2, sum of squares 1 + 4 + 9 + 16 = 30, sigma^2 = 0.5^2.
    expected = np.sqrt(2 * (0.25 + 30 / 4) * np.log(4))
    assert hard_threshold([[1, 2], [3, 4]], 0.5) == pytest.approx(expected)
    assert hard_threshold([[1, 2], [3, 4]], 0.5) == pytest.approx(4.635468, abs=1e-6)


def test_rank_without_noise_counts_singular_values_above_the_threshold():
    # diag(4, 1, 0): tau = sqrt(2 * 17 / 9 * log 6) = 2.60, passed by 4 alone.
    a = np.diag([4.0, 1.0, 0.0])
    assert published_rank(a, 0.0) == 1


def test_sigma_is_a_standard_deviation():
    a, noise, sigma = *np.random.default_rng(0).random((2, 20, 20)), 0.3
    noisy = a + sigma * noise
    found = ranks_in_noise(a, sigma, noise[None])
    values = np.linalg.svd(noisy)[1]
    assert found[0][0] == np.sum(values > hard_threshold(noisy, sigma))
    assert found[1][0] == np.sum(values > 4 / np.sqrt(3) * np.sqrt(20) * sigma)


def test_gavish_donoho_recovers_the_planted_rank():
    rng, n, sigma = np.random.default_rng(0), 60, 0.1
    for rank in (0, 1, 5, 12):
        signal = planted(n, rank, 8 * sigma * np.sqrt(n), rng) if rank else np.zeros((n, n))
        assert optimal_rank(signal + sigma * rng.standard_normal((n, n)), sigma) == rank


def test_gavish_donoho_threshold_is_four_over_root_three():
    n, sigma = 9, 0.5
    threshold = 2.309401 * 3 * sigma
    assert optimal_rank(np.eye(n) * threshold * 1.0001, sigma) == n
    assert optimal_rank(np.eye(n) * threshold * 0.9999, sigma) == 0


def test_published_threshold_counts_pure_noise_as_signal():
    noise = np.random.default_rng(0).standard_normal((50, 50))
    assert published_rank(noise, 1.0) > 10
    assert optimal_rank(noise, 1.0) == 0


@given(rank=st.integers(1, 4), n=st.integers(30, 50), seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_published_rank_recovers_planted_low_rank_in_little_noise(rank, n, seed):
    """The threshold must pass the noise's largest singular value, about 2 sigma sqrt(n)."""
    rng, sigma = np.random.default_rng(seed), 0.01
    signal = planted(n, rank, 30 * sigma * n, rng)
    assert published_rank(signal + sigma * rng.standard_normal((n, n)), sigma) == rank


def test_noise_floor_is_the_rank_of_a_map_of_zeros_at_any_sigma():
    floor = noise_floor(20, np.random.default_rng(3), draws=4)
    noise = np.random.default_rng(3).standard_normal((4, 20, 20))
    for sigma in (0.01, 7.0):
        assert np.array_equal(floor, published_rank(sigma * noise, sigma))
    assert floor.shape == (4,) and floor.min() > 5


def test_each_map_may_meet_noise_of_its_own():
    stack, noise = np.random.default_rng(0).random((2, 2, 3, 10, 10))
    published, optimal = ranks_in_noise(stack, 0.3, noise[None])
    assert published.shape == optimal.shape == (1, 2, 3)
    assert np.array_equal(published[0], published_rank(stack + 0.3 * noise, 0.3))
    assert np.array_equal(optimal[0], optimal_rank(stack + 0.3 * noise, 0.3))


@pytest.mark.parametrize("sigma", [-1.0, np.nan, np.inf])
def test_unusable_sigma_is_refused(sigma):
    for call in (hard_threshold, published_rank):
        with pytest.raises(SeqattnError, match="sigma is"):
            call(np.eye(2), sigma)


@pytest.mark.parametrize("k", [-1, 3])
def test_unusable_rank_is_refused(k):
    with pytest.raises(SeqattnError, match=f"k is {k}"):
        low_rank(np.eye(2), k)


def test_maps_that_are_not_square_are_refused():
    with pytest.raises(SeqattnError, match=r"shape \(2, 3\)"):
        singular_values(np.ones((2, 3)))


def test_the_bound_by_hand():
    """diag(3, 1), no noise: tau = sqrt(2 * 10/4 * log 4) = 2.63 keeps one value."""
    a = np.diag([3.0, 1.0])
    left, right = bound_sides(a, published_rank(a, 0.0), 0.0)
    assert left == pytest.approx(1.0)
    assert right == pytest.approx(0.0)  # r = 2 costs nothing when sigma = 0


def test_what_an_approximation_misses_is_its_distance_from_the_map():
    stack = np.random.default_rng(3).random((2, 3, 7, 7))
    rest = np.linalg.norm(stack - low_rank(stack, 2), axis=(-2, -1))
    expected = rest / np.linalg.norm(stack, axis=(-2, -1))
    np.testing.assert_allclose(missed_share(stack, 2), expected)
    assert missed_share(stack, 0) == pytest.approx(np.ones((2, 3)))
    assert missed_share(stack, 7) == pytest.approx(np.zeros((2, 3)))


def test_the_thresholds_are_the_published_ones_of_square_matrices():
    root = np.sqrt(1 + 14 + 1)  # Gavish and Donoho's closed form at a ratio of 1
    assert pytest.approx(np.sqrt(2 * 2 + 8 / (2 + root))) == KNOWN_NOISE
    assert pytest.approx(2.858, abs=5e-4) == UNKNOWN_NOISE


def test_the_median_of_noise_is_that_of_a_large_draw():
    values = np.linalg.svd(np.random.default_rng(0).standard_normal((800, 800)), compute_uv=False)
    expected = np.median(values) / np.sqrt(800)
    assert pytest.approx(expected, abs=0.01) == KNOWN_NOISE / UNKNOWN_NOISE


@pytest.mark.parametrize("rank", [0, 1, 5, 12])
def test_the_rank_for_unknown_noise_recovers_planted_low_rank_at_any_scale(rank):
    rng, n, sigma = np.random.default_rng(0), 60, 0.1
    signal = planted(n, rank, 8 * sigma * np.sqrt(n), rng) if rank else np.zeros((n, n))
    noisy = signal + sigma * rng.standard_normal((n, n))
    assert median_rank(noisy) == median_rank(1000 * noisy) == rank


def test_a_map_of_exact_low_rank_has_its_own_rank():
    uniform = np.full((20, 20), 1 / 20)
    assert median_rank(uniform) == 1 == np.linalg.matrix_rank(uniform)


def test_ranks_in_common_noise_are_those_of_single_maps():
    stack, noise = np.random.default_rng(0).random((3, 2, 8, 8)), common_noise(8, 4, seed=2)
    published, optimal = ranks_in_noise(stack, 0.2, noise)
    assert published.shape == optimal.shape == (4, 3, 2)
    noisy = stack[1, 0] + 0.2 * noise[3]
    assert optimal[3, 1, 0] == optimal_rank(noisy, 0.2)
    assert published[3, 1, 0] == (singular_values(noisy) > hard_threshold(noisy, 0.2)).sum()


@given(maps, st.integers(0, 8), st.floats(0, 2))
def test_both_sides_of_the_bound_are_those_of_its_definition(a, k, sigma):
    k = min(k, len(a))
    left, right = bound_sides(a, k, sigma)
    assert left == pytest.approx(np.linalg.norm(a - low_rank(a, k)) ** 2, abs=1e-9)
    costs = [np.linalg.norm(a - low_rank(a, r)) ** 2 + r * sigma**2 for r in range(len(a) + 1)]
    assert right == pytest.approx(min(costs), abs=1e-9)


@pytest.mark.parametrize(("strength", "holds"), [(20.0, True), (0.8, False)])
def test_the_bound_holds_for_planted_rank_above_the_threshold_and_fails_below(strength, holds):
    """Four equal singular values: all counted or none, while the price of each is sigma squared."""
    rng, n, sigma = np.random.default_rng(1), 40, 0.05
    signal = planted(n, 4, strength * sigma * np.sqrt(n), rng)
    noisy = signal + sigma * rng.standard_normal((n, n))
    k = (singular_values(noisy) > 2.858 * np.median(singular_values(noisy))).sum()
    left, right = bound_sides(signal, k, sigma)
    assert k == (4 if holds else 0) and (left <= right) == holds
    assert right == pytest.approx(4 * sigma**2)
