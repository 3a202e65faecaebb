"""Verdicts in words."""

from dataclasses import replace

import pytest

from seqattn.stats import DualCriterion
from seqattn.stats.criterion import p_text, reasons

ROBUST = DualCriterion(
    relative_change_percent=-8.7,
    difference=-0.005,
    direction=-1,
    t_statistic=-9.0,
    t_p_value=0.0008,
    pooled_p_value=0.0005,
    pooled_ci=(-0.008, -0.002),
    clustered_p_value=0.01,
    clustered_ci=(-0.009, -0.001),
    seeds_positive=0,
    seeds_negative=3,
    robust=True,
    robust_clustered=True,
    n_seeds=5,
    n_users=943,
    n_resamples=2000,
    alpha=0.05,
)


@pytest.mark.parametrize(
    ("p", "expected"), [(0.0004, "p < 0.001"), (0.001, "p = 0.001"), (0.5, "p = 0.500")]
)
def test_small_p_values_are_no_zeros(p, expected):
    assert p_text(p) == expected


def test_a_robust_verdict_lists_what_passed():
    assert reasons(ROBUST) == (
        "robust: (i) passes (p < 0.001); (ii) passes (p < 0.001); "
        "(iii) passes (3 of 5 seeds exclude zero alone)"
    )


def test_a_verdict_says_which_part_fails_and_by_how_much():
    record = replace(ROBUST, seeds_negative=2, t_p_value=0.05, robust=False)
    assert reasons(record) == (
        "not robust: (i) fails (p = 0.050); (ii) passes (p < 0.001); "
        "(iii) fails (2 of 5 seeds exclude zero alone)"
    )


def test_only_seeds_on_the_side_of_the_mean_difference_count():
    record = replace(ROBUST, direction=1, robust=False)
    assert "(iii) fails (0 of 5 seeds" in reasons(record)


def test_parts_that_pass_in_two_directions_are_not_robust():
    assert reasons(replace(ROBUST, robust=False)).endswith("; but not all in one direction")
