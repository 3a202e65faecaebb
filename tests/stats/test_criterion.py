"""The dual criterion: its parts against oracles, its rule on constructed cases."""

from __future__ import annotations

import warnings
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from seqattn.errors import SeqattnError
from seqattn.stats import dual_criterion, dual_criterion_table, is_robust
from seqattn.stats.inputs import copies

N_SEEDS, N_USERS = 5, 400


def cell(seed_effects, noise=0.1, n_users=N_USERS):
    """Base and variant whose difference in seed s has mean seed_effects[s], up to noise."""
    rng = np.random.default_rng(0)
    base = rng.random((len(seed_effects), n_users))
    shifts = np.asarray(seed_effects)[:, None] + noise * rng.standard_normal(base.shape)
    return base, base + shifts


def judge(seed_effects, **options):
    return dual_criterion(*cell(seed_effects, **options))


def test_parts_equal_their_oracles():
    base, variant = cell([0.01, 0.03, 0.02, 0.0, 0.02])
    result = dual_criterion(base, variant, n_resamples=10_000)
    t = scipy.stats.ttest_rel(variant.mean(axis=1), base.mean(axis=1))
    assert (result.t_statistic, result.t_p_value) == pytest.approx((t.statistic, t.pvalue))
    difference = variant - base
    for ci, d in (
        (result.pooled_ci, difference.ravel()),
        (result.clustered_ci, difference.mean(axis=0)),
    ):
        oracle = scipy.stats.bootstrap((d,), np.mean, n_resamples=10_000, method="percentile")
        # Standard error of a 2.5 % quantile of B normal values: about 2.7 sd / sqrt(B).
        tolerance = 4 * np.sqrt(2) * 2.7 * oracle.standard_error / 100
        np.testing.assert_allclose(ci, oracle.confidence_interval, atol=tolerance)


def test_clustered_bootstrap_equals_a_naive_loop_that_keeps_a_users_seeds_together():
    base, variant = cell([0.0, 0.02, 0.05], n_users=30)
    result = dual_criterion(base, variant, n_resamples=200, seed=4)
    rng = np.random.default_rng([4, 30])
    means = np.array([(variant - base)[:, rng.integers(30, size=30)].mean() for _ in range(200)])
    assert result.clustered_ci == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=1e-12)
    tail = min((means <= 0).mean(), (means >= 0).mean())
    assert result.clustered_p_value == pytest.approx(max(1 / 200, 2 * tail))


def test_seed_intervals_equal_a_naive_loop_within_each_seed():
    base, variant = cell([0.0, 0.01, 0.02, -0.02, 0.01], n_users=60)
    result = dual_criterion(base, variant, n_resamples=300, seed=4)
    rng = np.random.default_rng([4, 60])
    means = np.array(
        [(variant - base)[:, rng.integers(60, size=60)].mean(axis=1) for _ in range(300)]
    )
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    assert (result.seeds_positive, result.seeds_negative) == ((low > 0).sum(), (high < 0).sum())


@pytest.mark.parametrize("sign", [1, -1])
def test_an_effect_that_all_parts_see_is_robust_in_its_direction(sign):
    result = judge(sign * np.array([0.05, 0.06, 0.05, 0.04, 0.05]))
    assert result.robust and result.robust_clustered
    assert result.direction == sign
    assert (result.seeds_positive, result.seeds_negative) == ((5, 0) if sign > 0 else (0, 5))
    assert result.pooled_p_value == 1 / 2000


def test_one_lucky_seed_is_not_robust_though_the_pooled_bootstrap_rejects():
    result = judge([0.3, 0.0, 0.0, 0.0, 0.0])
    assert result.pooled_p_value < 0.05
    assert result.t_p_value > 0.05
    assert result.seeds_positive < 3
    assert not result.robust and not result.robust_clustered


def test_seeds_that_agree_are_needed_even_when_both_tests_reject():
    # Each seed alone is too noisy for its interval to leave zero; together they are not.
    result = judge([0.014, 0.015, 0.016, 0.015, 0.014], noise=0.0)
    assert result.robust
    base, variant = cell([0.0] * 5, noise=0.0)
    ripple = 0.3 * np.tile([1, -1], N_USERS // 2)
    noisy = dual_criterion(base, variant + 0.015 + ripple + 1e-3 * np.arange(5)[:, None])
    assert noisy.t_p_value < 0.05 and noisy.pooled_p_value < 0.05
    assert noisy.seeds_positive == 0
    assert not noisy.robust


def test_majority_of_seeds_against_the_mean_difference_is_not_robust():
    result = judge([0.05, 0.05, 0.05, -0.4, -0.4])
    assert result.direction == -1
    assert (result.seeds_positive, result.seeds_negative) == (3, 2)
    assert not result.robust


def test_identical_models_are_never_different():
    base, _ = cell([0.0] * 5)
    result = dual_criterion(base, base)
    assert (result.direction, result.difference) == (0, 0.0)
    assert result.t_p_value == result.pooled_p_value == result.clustered_p_value == 1.0
    assert result.pooled_ci == result.clustered_ci == (0.0, 0.0)
    assert (result.seeds_positive, result.seeds_negative, result.robust) == (0, 0, False)


def test_pooling_narrows_the_interval_when_seeds_share_users():
    rng = np.random.default_rng(3)
    user_effect = rng.normal(0, 0.2, N_USERS)
    difference = user_effect + rng.normal(0, 0.02, (N_SEEDS, N_USERS))
    base = rng.random((N_SEEDS, N_USERS))
    result = dual_criterion(base, base + difference)
    pooled, clustered = np.ptp(result.pooled_ci), np.ptp(result.clustered_ci)
    # Five near-copies of each user: pooling claims a standard error smaller by sqrt(5).
    assert clustered / pooled == pytest.approx(np.sqrt(N_SEEDS), rel=0.1)


def test_pooling_changes_little_when_seeds_are_independent():
    rng = np.random.default_rng(3)
    base = np.zeros((N_SEEDS, N_USERS))
    result = dual_criterion(base, rng.normal(0, 0.2, base.shape))
    assert np.ptp(result.clustered_ci) / np.ptp(result.pooled_ci) == pytest.approx(1, rel=0.15)


def test_published_and_clustered_verdicts_rest_on_their_own_bootstrap():
    # Two seeds err on each user by opposite amounts: noise for single entries, none for users.
    ripple = np.tile([1.0, -1.0], N_USERS // 2)
    difference = 0.01 + 1e-4 * np.arange(5)[:, None] + np.outer([0, 0, 0, 1, -1], ripple)
    result = dual_criterion(np.ones_like(difference), 1 + difference)
    assert result.t_p_value < 0.05 and result.seeds_positive == 3
    assert result.pooled_p_value > 0.05 and not result.robust
    assert result.clustered_p_value < 0.05 and result.robust_clustered


ALL_AGREE = dict(
    t_p_value=0.01,
    t_direction=1,
    bootstrap_p_value=0.01,
    bootstrap_direction=1,
    seeds_positive=3,
    seeds_negative=0,
    n_seeds=5,
)


def test_rule_accepts_when_all_agree():
    assert is_robust(**ALL_AGREE)


@pytest.mark.parametrize(
    "change",
    [
        {"t_p_value": 0.05},
        {"bootstrap_p_value": 0.05},
        {"bootstrap_direction": -1},
        {"t_direction": -1},
        {"t_direction": -1, "bootstrap_direction": -1},
        {"t_direction": 0, "bootstrap_direction": 0},
        {"seeds_positive": 2},
        {"seeds_positive": 2, "seeds_negative": 3},
        {"n_seeds": 6},
    ],
    ids=str,
)
def test_rule_rejects_when_one_part_disagrees(change):
    assert not is_robust(**{**ALL_AGREE, **change})


@given(
    st.floats(0, 1),
    st.sampled_from([-1, 0, 1]),
    st.floats(0, 1),
    st.sampled_from([-1, 0, 1]),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_rule_is_blind_to_which_model_is_called_base(p, direction, q, other, up, down):
    forward = is_robust(
        t_p_value=p, t_direction=direction, bootstrap_p_value=q, bootstrap_direction=other,
        seeds_positive=up, seeds_negative=down, n_seeds=5,
    )  # fmt: skip
    backward = is_robust(
        t_p_value=p, t_direction=-direction, bootstrap_p_value=q, bootstrap_direction=-other,
        seeds_positive=down, seeds_negative=up, n_seeds=5,
    )  # fmt: skip
    assert forward == backward


def test_table_judges_each_cell_as_alone_and_keeps_the_order():
    cells = {
        ("a", "add"): cell([0.05] * 4 + [0.04]),
        ("b", "add"): cell([0.0, 0.1, -0.1], n_users=50),
        ("a", "mul"): cell([0.0, 0.01, 0.0, -0.01, 0.0]),
    }
    for record, pair in zip(dual_criterion_table(cells), cells.values(), strict=True):
        alone = dual_criterion(*pair)
        assert record.n_users == pair[0].shape[1]
        for name, value in asdict(alone).items():
            assert getattr(record, name) == pytest.approx(value, abs=1e-12), name


def test_empty_table_is_empty():
    assert dual_criterion_table({}) == []


def test_same_arguments_same_record_and_the_seed_matters():
    pair = cell([0.01, 0.0, 0.02, 0.0, 0.01])
    assert dual_criterion(*pair, seed=1) == dual_criterion(*pair, seed=1)
    assert dual_criterion(*pair, seed=1).pooled_ci != dual_criterion(*pair, seed=2).pooled_ci


def test_record_is_frozen():
    result = dual_criterion([[0, 0], [0, 0]], [[1, 0], [1, 0]])
    with pytest.raises(FrozenInstanceError):
        result.robust = True


@pytest.mark.parametrize(
    ("base", "variant", "options", "message"),
    [
        (np.ones((5, 9)), np.ones((5, 8)), {}, r"\(5, 9\) but variant has \(5, 8\)"),
        (np.ones((1, 9)), np.ones((1, 9)), {}, "at least 2 seeds"),
        (np.ones((2, 1)), np.ones((2, 1)), {}, "at least 2 users"),
        (np.ones(9), np.ones(9), {}, r"expected \(seeds, users\)"),
        (np.ones((2, 2)), [[1, 1], [1, np.nan]], {}, r"variant holds nan at index \(1, 1\)"),
        (np.ones((2, 2)), np.ones((2, 2)), {"n_resamples": 20}, "n_resamples is 20"),
    ],
)
def test_unusable_input_is_refused(base, variant, options, message):
    with pytest.raises(SeqattnError, match=message):
        dual_criterion(base, variant, **options)


def test_table_names_the_cell_that_is_wrong():
    cells = {"good": cell([0.0, 0.1]), ("steam", "mul"): (np.ones((2, 3)), np.ones((2, 4)))}
    with pytest.raises(SeqattnError, match=r"cell \('steam', 'mul'\): base has shape"):
        dual_criterion_table(cells)


def test_a_transposed_array_is_pointed_out():
    base, variant = cell([0.0, 0.1], n_users=20)
    with pytest.warns(UserWarning, match=r"\(20, 2\), more seeds than users: is it transposed"):
        dual_criterion(base.T, variant.T)


def test_as_many_seeds_as_users_are_not_taken_for_a_transposed_array():
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dual_criterion(rng.random((3, 3)), rng.random((3, 3)))


@pytest.mark.parametrize("n_hits, found", [(99, None), (100, (0, 1))])
def test_two_seeds_with_the_same_hits_are_copies_from_a_hundred_hits_on(n_hits, found):
    row = np.arange(1000) < n_hits
    assert copies(np.stack([row, row]).astype(float)) == found
