"""Bands, coverage, Gini and novelty, by hand and against RecBole and RecTools' definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqattn.stats.exposure import (
    coverage,
    gini,
    mean_where,
    novelty,
    popularity_bands,
)

LISTS = np.array([[1, 2], [1, 3], [1, 2]])  # three users' lists of two; five items in all
EXPOSURE = np.bincount(LISTS.ravel() - 1, minlength=5)
counts = st.lists(st.integers(0, 50), min_size=1, max_size=30)


def test_bands_hold_a_third_of_the_interactions_each():
    bands = popularity_bands(np.array([40, 10, 10, 10, 20, 0]))
    assert bands.tolist() == ["head", "tail", "tail", "tail", "torso", "cold"]


@given(counts)
def test_more_popular_items_are_never_in_a_lower_band_and_equal_ones_are_together(values):
    level = {"head": 3, "torso": 2, "tail": 1, "cold": 0}
    levels = [level[band] for band in popularity_bands(np.array(values))]
    for count, mine in zip(values, levels, strict=True):
        for other, theirs in zip(values, levels, strict=True):
            assert (mine >= theirs) if count >= other else (mine <= theirs)
        assert (mine == 0) == (count == 0)


@given(counts)
def test_the_most_popular_item_is_in_the_head(values):
    if max(values):
        assert popularity_bands(np.array(values))[np.argmax(values)] == "head"


def test_a_users_targets_are_averaged_before_users_are():
    values, chosen = np.array([1.0, 0.0, 1.0, 9.0]), np.array([True, True, True, False])
    assert mean_where(values, chosen) == pytest.approx(2 / 3)
    assert mean_where(values, chosen, np.array([0, 0, 1, 1])) == pytest.approx(0.75)
    assert np.isnan(mean_where(values, chosen & False))


def test_exposure_by_hand():
    assert EXPOSURE.tolist() == [3, 2, 1, 0, 0]
    assert coverage(EXPOSURE) == 0.6
    # Ascending 0 0 1 2 3: (0 * 1 + 2 * 2 + 4 * 3) / (5 * 6).
    assert gini(EXPOSURE) == pytest.approx(16 / 30)
    assert gini([2, 2, 2]) == 0
    assert gini([0, 0, 0, 8]) == 0.75
    # Half, a quarter and a quarter of training: 1, 2 and 2 bits.
    assert novelty(EXPOSURE, [4, 2, 2, 0, 0]) == pytest.approx((3 * 1 + 2 * 2 + 1 * 2) / 6)


def test_an_item_never_seen_in_training_counts_as_seen_once():
    assert novelty([0, 1], [8, 0]) == 3


def test_nothing_recommended_has_no_gini_and_no_novelty():
    assert np.isnan(gini([0, 0])) and np.isnan(novelty([0, 0], [1, 2]))


@given(st.integers(0, 2**32 - 1))
def test_coverage_and_gini_equal_recboles(seed):
    recbole = pytest.importorskip("recbole.evaluator.metrics")
    rng = np.random.default_rng(seed)
    n_items, n_users, k = rng.integers(3, 20), rng.integers(1, 30), 3
    lists = rng.integers(0, n_items, (n_users, k))
    exposure = np.bincount(lists.ravel(), minlength=n_items)
    theirs = recbole.GiniIndex({"topk": [k], "metric_decimal_place": 9})
    assert gini(exposure) == pytest.approx(theirs.get_gini(lists, n_items))
    theirs = recbole.ItemCoverage({"topk": [k], "metric_decimal_place": 9})
    assert coverage(exposure) == pytest.approx(theirs.get_coverage(lists, n_items))
