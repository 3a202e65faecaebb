"""Verdicts as tables."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from seqattn.stats import DualCriterion, tost_paired
from seqattn.stats.criterion import equivalence, p_text, reasons

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


@pytest.mark.parametrize(("p", "expected"), [(0.0004, "< 0.001"), (0.001, "0.001"), (0.5, "0.500")])
def test_small_p_values_are_no_zeros(p, expected):
    assert p_text(p) == expected


def test_a_robust_verdict_lists_what_passed():
    assert reasons({"Add": ROBUST}).loc["Add"].to_dict() == {
        "change %": -8.7,
        "(i)": "passes: p < 0.001",
        "(ii)": "passes: p < 0.001",
        "(iii)": "passes: 3 of 5 seeds exclude zero alone",
        "robust": True,
    }


def test_a_verdict_says_which_part_fails_and_by_how_much():
    record = replace(ROBUST, seeds_negative=2, t_p_value=0.05, robust=False)
    row = reasons({"Add": ROBUST, "Mul": record}).loc["Mul"]
    assert row["(i)"] == "fails: p = 0.050"
    assert row["(iii)"] == "fails: 2 of 5 seeds exclude zero alone"
    assert row["(ii)"].startswith("passes") and not row["robust"]


def test_only_seeds_on_the_side_of_the_mean_difference_count():
    row = reasons({"Add": replace(ROBUST, direction=1, robust=False)}).loc["Add"]
    assert row["(iii)"].startswith("fails: 0 of 5 seeds")


def test_equivalence_is_tost_and_wilcoxon_of_each_variant():
    base, near, far = np.random.default_rng(0).normal(size=(3, 400)) / [[5], [50], [5]]
    table = equivalence(base, {"near": base + near, "far": far}, margin=0.01)
    assert table["equivalent"].to_dict() == {"near": True, "far": False}
    tost = tost_paired(base, far, 0.01)
    assert (table.loc["far", "low"], table.loc["far", "high"]) == tost.ci
    assert table.loc["far", "tost_p"] == tost.p_value
    assert table.loc["near", "wilcoxon_p"] == pytest.approx(scipy.stats.wilcoxon(near).pvalue)


def test_models_that_agree_on_every_user_are_equivalent():
    row = equivalence(np.ones(9), {"same": np.ones(9)}, margin=0.01).loc["same"]
    assert row["equivalent"] and row["wilcoxon_p"] == 1 and row["difference"] == 0


def test_without_a_direction_no_seed_can_agree_with_it():
    row = reasons({"Add": replace(ROBUST, direction=0, difference=0.0, robust=False)}).loc["Add"]
    assert row["(iii)"].startswith("fails")
