"""Singular values, thresholds and ranks of attention maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.utils.extmath import randomized_svd

from seqattn.analysis.rank import (
    approximation_bound,
    gavish_donoho_rank,
    hard_threshold,
    low_rank,
    missed_share,
    noise_floor,
    noise_rank,
    sigma_sweep,
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
    assert noise_rank(a, 0.0, np.random.default_rng(0)) == 1


def test_noise_rank_uses_sigma_as_a_standard_deviation():
    a, sigma = np.random.default_rng(0).random((20, 20)), 0.3
    noisy = a + np.random.default_rng(1).normal(0, sigma, a.shape)
    expected = np.sum(np.linalg.svd(noisy)[1] > hard_threshold(noisy, sigma))
    assert noise_rank(a, sigma, np.random.default_rng(1)) == expected


def test_gavish_donoho_recovers_the_planted_rank():
    rng, n, sigma = np.random.default_rng(0), 60, 0.1
    for rank in (0, 1, 5, 12):
        signal = planted(n, rank, 8 * sigma * np.sqrt(n), rng) if rank else np.zeros((n, n))
        assert gavish_donoho_rank(signal + sigma * rng.standard_normal((n, n)), sigma) == rank


def test_gavish_donoho_threshold_is_four_over_root_three():
    n, sigma = 9, 0.5
    threshold = 2.309401 * 3 * sigma
    assert gavish_donoho_rank(np.eye(n) * threshold * 1.0001, sigma) == n
    assert gavish_donoho_rank(np.eye(n) * threshold * 0.9999, sigma) == 0


def test_published_threshold_counts_pure_noise_as_signal():
    noise = np.zeros((50, 50))
    assert noise_rank(noise, 1.0, np.random.default_rng(0)) > 10
    assert gavish_donoho_rank(np.random.default_rng(0).standard_normal((50, 50)), 1.0) == 0


def test_noise_floor_is_the_rank_of_a_map_of_zeros_at_any_sigma():
    floor = noise_floor(20, np.random.default_rng(3), draws=4)
    for sigma in (0.01, 7.0):
        zeros = np.zeros((4, 20, 20))
        assert np.array_equal(floor, noise_rank(zeros, sigma, np.random.default_rng(3)))
    assert floor.shape == (4,) and floor.min() > 5


def test_sweep_equals_single_calls_on_the_same_noise():
    stack, sigmas = np.random.default_rng(0).random((2, 3, 10, 10)), [0.0, 0.1, 1.0]
    sweep = sigma_sweep(stack, sigmas, np.random.default_rng(5))
    assert sweep.published.shape == sweep.gavish_donoho.shape == (3, 2, 3)
    for k, sigma in enumerate(sigmas):
        noise = np.random.default_rng(5).standard_normal(stack.shape)
        single = noise_rank(stack, sigma, np.random.default_rng(5))
        assert np.array_equal(sweep.published[k], single)
        assert np.array_equal(
            sweep.gavish_donoho[k], gavish_donoho_rank(stack + sigma * noise, sigma)
        )
    assert sweep.sigmas.tolist() == sigmas


@pytest.mark.parametrize("sigma", [-1.0, np.nan, np.inf])
def test_unusable_sigma_is_refused(sigma):
    a, rng = np.eye(2), np.random.default_rng(0)
    for call in (
        lambda: hard_threshold(a, sigma),
        lambda: noise_rank(a, sigma, rng),
        lambda: gavish_donoho_rank(a, sigma),
        lambda: sigma_sweep(a, [0.1, sigma], rng),
    ):
        with pytest.raises(SeqattnError, match="sigma is"):
            call()


@pytest.mark.parametrize("k", [-1, 3])
def test_unusable_rank_is_refused(k):
    with pytest.raises(SeqattnError, match=f"k is {k}"):
        low_rank(np.eye(2), k)


def test_maps_that_are_not_square_are_refused():
    with pytest.raises(SeqattnError, match=r"shape \(2, 3\)"):
        singular_values(np.ones((2, 3)))


def test_approximation_bound_by_hand():
    """diag(3, 1), no noise: tau = sqrt(2 * 10/4 * log 4) = 2.63 keeps one value."""
    left, right = approximation_bound(np.diag([3.0, 1.0]), 0.0, np.random.default_rng(0))
    assert left == pytest.approx(1.0)
    assert right == pytest.approx(0.0)  # r = 2 costs nothing when sigma = 0


def test_approximation_bound_counts_the_price_of_rank():
    matrix, sigma = np.diag([3.0, 1.0]), 0.5
    _, right = approximation_bound(matrix, sigma, np.random.default_rng(0))
    assert right == pytest.approx(min(10.0, 1.0 + sigma**2, 2 * sigma**2))


def test_what_an_approximation_misses_is_its_distance_from_the_map():
    stack = np.random.default_rng(3).random((2, 3, 7, 7))
    rest = np.linalg.norm(stack - low_rank(stack, 2), axis=(-2, -1))
    expected = rest / np.linalg.norm(stack, axis=(-2, -1))
    np.testing.assert_allclose(missed_share(stack, 2), expected)
    assert missed_share(stack, 0) == pytest.approx(np.ones((2, 3)))
    assert missed_share(stack, 7) == pytest.approx(np.zeros((2, 3)))
