"""The worth of more trials against the order statistic that it estimates."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from seqattn.errors import SeqattnError
from seqattn.stats.budget import expected_best, worth_of_trials

VALUES = np.random.default_rng(3).normal(size=40)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_the_expected_best_is_the_mean_over_all_subsets(n):
    values = VALUES[:6]
    assert expected_best(values, n) == pytest.approx(np.mean([*map(max, combinations(values, n))]))


def test_of_uniform_values_it_is_the_textbooks():
    """The largest of n different numbers of 1 to T is ``n (T + 1) / (n + 1)`` on average."""
    assert expected_best(np.arange(1, 101), 9) == pytest.approx(9 * 101 / 10)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_resampling_tends_to_the_order_statistic(n):
    found = worth_of_trials(VALUES, n=n, draws=20_000)
    assert found.valid_n == pytest.approx(expected_best(VALUES, n), abs=0.02)
    assert found.valid_more == pytest.approx(expected_best(VALUES, 4 * n), abs=0.02)
    assert np.isnan(found.gain_test)


def test_what_is_gained_on_validation_by_luck_is_not_gained_on_test():
    rng = np.random.default_rng(1)
    luck, quality = rng.normal(size=(2, 400))
    same = worth_of_trials(quality, quality, n=20)
    assert same.gain_test == same.gain_valid > 0.3
    half = worth_of_trials(quality + luck, quality, n=20)
    none = worth_of_trials(luck, quality, n=20)
    assert 0 < half.gain_test < 0.75 * half.gain_valid
    assert abs(none.gain_test) < 0.4 * none.gain_valid


def test_more_trials_than_there_are_and_values_that_are_none_are_refused():
    with pytest.raises(SeqattnError, match="4 x 11 trials needs as many; there are 40"):
        worth_of_trials(VALUES, n=11)
    with pytest.raises(SeqattnError, match="not finite"):
        worth_of_trials([np.nan, *VALUES], n=2)
    with pytest.raises(SeqattnError, match="not finite"):
        worth_of_trials([0.5, *VALUES], [np.nan, *VALUES], n=2)
    with pytest.raises(SeqattnError, match="the best of 0 out of 40"):
        expected_best(VALUES, 0)
