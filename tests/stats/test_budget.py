"""The worth of more trials against the order statistic that it estimates."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from seqattn.errors import SeqattnError
from seqattn.stats.budget import worth_of_trials

VALUES = np.random.default_rng(3).normal(size=40)


def expected_best(values: np.ndarray, n: int) -> float:
    """The mean of the largest of n different values: the i-th smallest is it in C(i - 1, n - 1)."""
    largest = np.sort(values)[n - 1 :]
    ways = [comb(i - 1, n - 1) for i in range(n, len(values) + 1)]
    return float(np.average(largest, weights=ways))


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_the_order_statistic_is_the_mean_over_all_subsets(n):
    values = VALUES[:6]
    assert expected_best(values, n) == pytest.approx(np.mean([*map(max, combinations(values, n))]))


@pytest.mark.parametrize("n", [2, 5, 10])
def test_resampling_tends_to_the_order_statistic(n):
    few, more = worth_of_trials(VALUES, n=n, draws=20_000)
    assert few == pytest.approx(expected_best(VALUES, n), abs=0.02)
    assert more == pytest.approx(expected_best(VALUES, 4 * n), abs=0.02)


def test_more_trials_than_there_are_and_values_that_are_none_are_refused():
    with pytest.raises(SeqattnError, match="4 x 11 trials needs as many; there are 40"):
        worth_of_trials(VALUES, n=11)
    with pytest.raises(SeqattnError, match="not finite"):
        worth_of_trials([np.nan, *VALUES], n=2)
