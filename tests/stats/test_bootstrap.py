"""The matrix-product bootstrap against a naive loop and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqattn.errors import SeqattnError
from seqattn.stats import bootstrap_means, bootstrap_p_value, percentile_interval


@pytest.fixture
def differences():
    """Skewed differences, many of them exactly zero, as per-user metrics are."""
    rng = np.random.default_rng(7)
    return rng.exponential(size=(3, 200)) * rng.choice([-1, 0, 1], size=(3, 200), p=[0.2, 0.5, 0.3])


def test_resampled_means_equal_a_naive_loop_over_resamples(differences):
    n = differences.shape[1]
    rng = np.random.default_rng([5, n])  # the documented stream: seed and n
    naive = [differences[:, rng.integers(n, size=n)].mean(axis=1) for _ in range(50)]
    np.testing.assert_allclose(
        bootstrap_means(differences, 50, seed=5), np.transpose(naive), rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("chunk_entries", [1, 200, 1_000, 7_777])
def test_chunk_size_changes_nothing(differences, chunk_entries, monkeypatch):
    whole = bootstrap_means(differences, 101, seed=1)
    monkeypatch.setattr("seqattn.stats.bootstrap._CHUNK_ENTRIES", chunk_entries)
    chunked = bootstrap_means(differences, 101, seed=1)
    np.testing.assert_allclose(chunked, whole, rtol=1e-12, atol=1e-14)


def test_chunk_size_changes_no_bit_of_integer_valued_metrics(monkeypatch):
    hits = np.random.default_rng(0).integers(-1, 2, size=(4, 97))
    whole = bootstrap_means(hits, 64)
    monkeypatch.setattr("seqattn.stats.bootstrap._CHUNK_ENTRIES", 97)
    assert np.array_equal(bootstrap_means(hits, 64), whole)


def test_a_row_does_not_depend_on_its_neighbours(differences):
    together = bootstrap_means(differences, 100, seed=3)
    for row, means in zip(differences, together, strict=True):
        np.testing.assert_allclose(bootstrap_means(row, 100, seed=3), means, rtol=1e-12, atol=1e-14)


def test_same_seed_same_resamples_and_another_seed_others(differences):
    first, again, other = (bootstrap_means(differences, 100, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_resamples_have_multinomial_mean_and_variance():
    n, n_resamples = 20, 20_000
    counts = bootstrap_means(np.eye(n), n_resamples) * n
    np.testing.assert_allclose(counts.sum(axis=0), n, rtol=1e-12)
    np.testing.assert_allclose(counts.mean(axis=1), 1, atol=5 / np.sqrt(n_resamples))
    np.testing.assert_allclose(counts.var(axis=1), 1 - 1 / n, rtol=0.1)


def test_percentile_interval_equals_scipys_within_monte_carlo_error(differences):
    d, n_resamples = differences[0], 20_000
    ours = percentile_interval(bootstrap_means(d, n_resamples))
    oracle = scipy.stats.bootstrap((d,), np.mean, n_resamples=n_resamples, method="percentile")
    # Standard error of a 2.5 % quantile, from the normal density there: about 2.7 sd / sqrt(B).
    tolerance = 4 * np.sqrt(2) * 2.7 * oracle.standard_error / np.sqrt(n_resamples)
    np.testing.assert_allclose(ours, oracle.confidence_interval, atol=tolerance)


def test_p_value_of_a_clear_effect_is_the_floor():
    assert bootstrap_p_value(bootstrap_means(np.ones(10), 400)) == 1 / 400


def test_p_value_counts_ties_on_both_sides_and_stays_at_most_one():
    assert bootstrap_p_value([0.0, 0.0, 0.0, 1.0]) == 1.0
    assert bootstrap_p_value([-1.0, 1.0, 1.0, 1.0]) == 0.5
    assert bootstrap_p_value([-1.0, 0.0, 1.0, 1.0, 1.0]) == pytest.approx(0.8)


def test_rounding_does_not_break_ties_with_zero():
    # 0.1 + 0.2 - 0.3 is 5.6e-17 in floating point, and zero in truth.
    means = bootstrap_means([0.1, 0.2, -0.3], 500)
    assert np.all((means == 0) | (np.abs(means) > 0.03))
    assert np.any(means == 0)


@settings(max_examples=50)
@given(arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.floats(-1, 1)))
def test_swapping_the_models_mirrors_the_interval_and_keeps_p(d):
    means, mirrored = bootstrap_means(d, 60), bootstrap_means(-d, 60)
    np.testing.assert_array_equal(bootstrap_p_value(means), bootstrap_p_value(mirrored))
    np.testing.assert_allclose(
        percentile_interval(means), -percentile_interval(mirrored)[..., ::-1], atol=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, np.nan]],), r"differences holds nan at index \(0, 1\)"),
        ((np.empty((2, 0)),), r"shape \(2, 0\)"),
        ((np.ones((1, 2, 3)),), r"shape \(1, 2, 3\)"),
        (([1.0, 2.0], 0), "n_resamples is 0"),
        (([1.0, 2.0], 10, -1), "seed is -1"),
    ],
)
def test_unusable_input_is_refused(arguments, message):
    with pytest.raises(SeqattnError, match=message):
        bootstrap_means(*arguments)
