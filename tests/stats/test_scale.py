"""Components of variance in another unit are the same ones: no square over- or underflows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqattn.errors import SeqattnError
from seqattn.stats.variance import (
    Components,
    between_searches,
    expected_levels,
    user_correlation,
    variance_components,
)

RNG = np.random.default_rng(0)
D_SU = RNG.normal(0, 1, (5, 60)) + RNG.normal(0, 0.4, (5, 1)) + RNG.normal(0, 0.7, 60)
Y_KSU = RNG.normal(0, 1, (4, 3, 60)) + RNG.normal(0, 9, (4, 1, 1)) + RNG.normal(0, 1, (4, 3, 1))


@given(st.integers(-475, 475))
def test_components_scale_with_the_differences(power):
    unit = 2.0**power
    one, found = variance_components(D_SU), variance_components(D_SU * unit)
    assert min(dataclasses.astuple(one)) > 0
    for name in ("seed_sd", "seed_sd_upper", "residual_sd"):
        assert getattr(found, name) == getattr(one, name) * unit
    assert found.user_variance == one.user_variance * unit * unit
    assert found.rho == one.rho
    assert expected_levels(found, 5, 60) == expected_levels(one, 5, 60)


@given(st.integers(-1000, 1000))
@example(600)
@example(-600)
def test_the_part_of_a_search_scales_with_the_values(power):
    one, found = between_searches(Y_KSU), between_searches(Y_KSU * 2.0**power)
    assert 0 < one.low < one.search_sd < one.high and one.seed_sd > 0
    assert dataclasses.astuple(found) == tuple(x * 2.0**power for x in dataclasses.astuple(one))


@given(st.integers(-1000, 1000))
def test_a_correlation_has_no_unit(power):
    one, found = (user_correlation(D_SU * s, n_resamples=50) for s in (1.0, 2.0**power))
    assert found == one and 0 < one.rho < 1


@pytest.mark.parametrize("power", [-600, 600, -1022, 1020])
def test_differences_without_a_variance_are_one_line(power):
    """A variance of theirs is 0 or infinite as a float64."""
    with pytest.raises(SeqattnError, match="variances beyond 64-bit floats; give them in another"):
        variance_components(D_SU * 2.0**power)


def test_nothing_varies_only_where_nothing_does():
    assert dataclasses.astuple(variance_components(np.zeros((3, 4)))) == (0, 0, 0, 0)
    levels = expected_levels(Components(1e-200, 1e-200, 0.0, 1e-200), 5, 60)
    assert levels == expected_levels(Components(1, 1, 0.0, 1), 5, 60)
    assert Components(0.0, 0.0, 1e-300, 1e-150).rho == pytest.approx(0.5)
    with pytest.raises(SeqattnError, match="nothing varies"):
        expected_levels(Components(0, 0, 0, 0), 5, 60)


@pytest.mark.parametrize("values", [[["a"]], np.full((3, 3, 4), np.inf), np.ones((0, 3, 4))])
def test_values_that_are_none_are_one_line(values):
    with pytest.raises(SeqattnError):
        between_searches(values)
