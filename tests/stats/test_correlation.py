"""The correlation of a user's differences between seeds, and the width of an interval by it."""

from __future__ import annotations

import numpy as np
import pytest

from seqattn.errors import SeqattnError
from seqattn.stats import dual_criterion
from seqattn.stats.variance import user_correlation, variance_components

S, U = 5, 400


def correlated(rho, number=0):
    """Normal differences (S, U) whose seeds correlate by rho, and differ in level."""
    rng = np.random.default_rng(number)
    covariance = np.full((S, S), rho) + (1 - rho) * np.eye(S)
    return rng.multivariate_normal(np.zeros(S), covariance, size=U).T + rng.normal(size=(S, 1))


@pytest.mark.parametrize("rho", [-0.15, 0.0, 0.4])
def test_rho_is_that_of_the_mean_squares_and_keeps_its_sign(rho):
    d_SU = correlated(rho)
    found = user_correlation(d_SU)
    assert found.rho == pytest.approx(variance_components(d_SU).rho)
    assert found.low < found.rho < found.high
    assert found.rho == pytest.approx(rho, abs=0.06)


def test_interval_covers_the_truth_in_95_of_100_data_sets():
    found = [user_correlation(correlated(-0.1, n), n_resamples=300) for n in range(300)]
    covered = np.mean([f.low <= -0.1 <= f.high for f in found])
    assert covered == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("rho", [-0.15, 0.4])
def test_width_ratio_is_that_of_the_criterions_two_intervals(rho):
    d_SU = correlated(rho) + 0.0
    verdict = dual_criterion(np.zeros_like(d_SU), d_SU, n_resamples=4000)
    widths = [np.diff(ci).item() for ci in (verdict.clustered_ci, verdict.pooled_ci)]
    assert user_correlation(d_SU).width_ratio == pytest.approx(widths[0] / widths[1], rel=0.06)


def test_width_ratio_is_the_design_effect_where_seeds_have_one_level():
    d_SU = correlated(0.4)
    d_SU -= d_SU.mean(axis=1, keepdims=True)
    found = user_correlation(d_SU)
    assert found.width_ratio == pytest.approx(np.sqrt(1 + (S - 1) * found.rho), rel=0.01)


def test_where_nothing_varies_rho_is_zero_and_the_ratio_unknown():
    found = user_correlation(np.full((S, 20), 0.25))
    assert (found.rho, found.low, found.high) == (0, 0, 0)
    assert np.isnan(found.width_ratio)


def test_one_seed_is_refused():
    with pytest.raises(SeqattnError):
        user_correlation(np.ones((1, 9)))
