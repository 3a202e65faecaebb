"""Intervals of lambda and of its correlation with change."""

import numpy as np
import pytest
from scipy import stats

from seqattn.analysis.lambdas import spearman, t_interval


def test_t_interval_is_scipys():
    values = [0.1, 0.4, 0.2, 0.35]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert t_interval(np.array(values)) == pytest.approx(expected)
    assert np.isnan(t_interval(np.array([1.0]))).all()


def test_spearman_is_scipys_inside_its_interval():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 21))
    found = spearman(x, y)
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.low < found.rho < found.high and found.n == 21


def test_few_or_constant_points_have_no_interval():
    assert np.isnan(spearman([1, 2, 3, 4], [2, 1, 4, 3]).low)
    assert np.isnan(spearman([1] * 9, list(range(9))).rho)


def test_the_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = [
        found.low <= 0 <= found.high
        for found in (spearman(*generator.normal(size=(2, 21))) for _ in range(400))
    ]
    assert 0.91 < np.mean(covered) < 0.98
