"""The worth of more trials against all subsets, and against draws."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from seqattn.errors import SeqattnError
from seqattn.stats.budget import worth_of_trials

VALUES = np.random.default_rng(3).normal(size=40)


def drawn_best(values: np.ndarray, n: int) -> float:
    """The mean of the largest of n different values, over many draws."""
    order = np.random.default_rng(0).random((50_000, len(values))).argsort(axis=1)[:, :n]
    return float(values[order].max(axis=1).mean())


@pytest.mark.parametrize(("n", "factor"), [(1, 1), (1, 6), (2, 2), (2, 3), (3, 2)])
def test_it_is_the_mean_over_all_subsets(n, factor):
    values = VALUES[:6]
    told = worth_of_trials(values, n=n, factor=factor)
    means = [np.mean([*map(max, combinations(values, m))]) for m in (n, n * factor)]
    assert told == pytest.approx(means)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_it_is_what_resampling_tends_to(n):
    few, more = worth_of_trials(VALUES, n=n)
    assert few == pytest.approx(drawn_best(VALUES, n), abs=0.02)
    assert more == pytest.approx(drawn_best(VALUES, 4 * n), abs=0.02)


def test_more_trials_than_there_are_and_values_that_are_none_are_refused():
    with pytest.raises(SeqattnError, match="4 x 11 trials needs as many; there are 40"):
        worth_of_trials(VALUES, n=11)
    with pytest.raises(SeqattnError, match="not finite"):
        worth_of_trials([np.nan, *VALUES], n=2)
