"""Calibration of the dual criterion: against normal theory, statsmodels and the rule itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
import statsmodels.api as sm
from statsmodels.formula.api import ols

from seqattn.errors import SeqattnError
from seqattn.stats import calibration, dual_criterion
from seqattn.stats.calibration import CRITERIA, calibrate, detectable_percent, directions
from seqattn.stats.variance import Components, expected_levels, pooling_levels, variance_components

N_SEEDS, N_USERS = 5, 120


def differences(seed_sd=0.0, user_sd=0.0, rest_sd=1.0, *, n_users=N_USERS, number=0):
    """Normal differences (S, U) without an effect."""
    rng = np.random.default_rng(number)
    return (
        seed_sd * rng.standard_normal((N_SEEDS, 1))
        + user_sd * rng.standard_normal(n_users)
        + rest_sd * rng.standard_normal((N_SEEDS, n_users))
    )


def run(d_SU, **options):
    base = np.full(d_SU.shape, 1.0)
    settings = dict(effects=[0], replicates=60, n_resamples=300) | options
    return calibrate(base, base + d_SU, **settings)


def rate(record, world, criterion, effect=0.0):
    frame = record.rates.set_index(["world", "criterion", "effect_percent"])
    return frame.loc[(world, criterion, effect), "rate"]


def slack(level, n):
    """Four binomial standard errors, and one percent for finite samples and resamples."""
    return 4 * np.sqrt(level * (1 - level) / n) + 0.01


def test_simulated_studies_are_judged_as_dual_criterion_judges_them():
    studies = np.stack([differences(0.05, 0.3, 1, number=n) for n in range(8)])
    shifts = np.array([0.0, 0.1, -0.15, 0.3])
    found = directions(studies, shifts, 300, 3)
    for e, shift in enumerate(shifts):
        for c, d_SU in enumerate(studies):
            alone = dual_criterion(np.zeros_like(d_SU), d_SU + shift, n_resamples=300, seed=3)
            claims = dict(zip(CRITERIA, found[e, c], strict=True))
            assert claims["robust"] == alone.direction * alone.robust
            assert claims["robust_clustered"] == alone.direction * alone.robust_clustered
            assert claims["t"] == alone.direction * (alone.t_p_value < 0.05)
            assert abs(claims["pooled"]) == (alone.pooled_p_value < 0.05)
            assert abs(claims["clustered"]) == (alone.clustered_p_value < 0.05)
            assert claims["stability"] == alone.direction * (2 * alone.agreeing > N_SEEDS)
    assert {0, 1} <= set(found[..., -1].ravel())  # verdicts of both kinds took part


def test_components_follow_from_the_mean_squares_of_statsmodels():
    d_SU = differences(0.2, 0.7, 1.0, n_users=30)
    long = pd.DataFrame(d_SU).stack().rename_axis(["seed", "user"]).rename("d").reset_index()
    table = sm.stats.anova_lm(ols("d ~ C(seed) + C(user)", long).fit())
    seeds, users, rest = table["sum_sq"] / table["df"]
    found = variance_components(d_SU)
    assert found.seed_sd == pytest.approx(np.sqrt((seeds - rest) / 30))
    assert found.user_variance == pytest.approx((users - rest) / N_SEEDS)
    assert found.residual_sd == pytest.approx(np.sqrt(rest))


def test_seed_effect_of_users_noise_alone_is_floored_at_zero():
    d_SU = differences()
    assert variance_components(d_SU - d_SU.mean(axis=1, keepdims=True)).seed_sd == 0


def test_upper_limit_of_the_seed_effect_covers_it_in_975_of_1000_data_sets():
    uppers = [
        variance_components(differences(0.1, 0.5, 1, n_users=50, number=n)).seed_sd_upper
        for n in range(1000)
    ]
    assert np.mean(np.array(uppers) >= 0.1) == pytest.approx(0.975, abs=slack(0.975, 1000) - 0.01)


@pytest.mark.parametrize("rho", [-0.2, 0.0, 0.3, 1.0])
def test_pooled_level_is_the_normal_tail_of_the_design_effect(rho):
    found = expected_levels(Components(0, 0, rho, np.sqrt(1 - rho)), 5, 900)
    oracle = 2 * (1 - scipy.stats.norm.cdf(scipy.stats.norm.ppf(0.975) / np.sqrt(1 + 4 * rho)))
    assert found["pooled"] == pytest.approx(oracle)
    assert found["clustered"] == pytest.approx(0.05)


def test_t_test_over_seeds_is_blind_to_users_and_the_clustered_bootstrap_to_seeds():
    only_seeds = expected_levels(Components(1, 1, 0, 0), 5, 900)
    assert only_seeds["t"] == pytest.approx(0.05) and only_seeds["clustered"] == pytest.approx(1)
    only_users = expected_levels(Components(0, 0, 1, 0), 5, 900)
    assert only_users["t"] == pytest.approx(1) and only_users["clustered"] == pytest.approx(0.05)


def test_simulated_pooling_level_meets_theory():
    for row in pooling_levels([-0.2, 0, 0.2, 0.6, 1], n_users=200, replicates=500, n_resamples=300):
        assert row["rate"] == pytest.approx(row["expected"], abs=slack(row["expected"], 500))
        assert row["low"] <= row["rate"] < row["high"]


def test_each_test_keeps_its_level_where_entries_are_independent():
    record = run(differences(), replicates=500)
    for criterion in ("t", "pooled", "clustered"):
        assert rate(record, "independent", criterion) == pytest.approx(0.05, abs=slack(0.05, 500))


@pytest.mark.parametrize("seed_sd, user_sd", [(0.0, 0.8), (0.1, 0.0), (0.08, 0.6)])
def test_simulated_levels_meet_theory_with_seed_and_user_effects(seed_sd, user_sd):
    frame = run(differences(seed_sd, user_sd, number=5), replicates=500).rates
    judged = frame[frame["expected"].notna()]
    assert len(judged) == 9  # three tests in three worlds
    for row in judged.itertuples():
        assert row.rate == pytest.approx(row.expected, abs=slack(row.expected, 500)), row


def test_theory_keeps_a_negative_correlation_as_the_simulation_does():
    d_SU = differences(0.1, number=3)
    d_SU -= 0.8 * d_SU.mean(axis=0)  # what one seed gives a user, another takes
    record = run(d_SU, replicates=500)
    assert record.components.rho < -0.1
    frame = record.rates
    found = frame[(frame["criterion"] == "clustered") & (frame["world"] == "estimated")]
    (row,) = found.itertuples()
    assert row.rate == pytest.approx(row.expected, abs=slack(row.expected, 500))
    clipped = dataclasses.replace(record.components, user_variance=0.0)
    assert expected_levels(clipped, N_SEEDS, N_USERS)["clustered"] < row.low


def test_power_grows_with_the_effect_and_a_rule_finds_no_more_than_its_parts():
    frame = run(differences(0.02, 0.3), effects=[0, 5, 10, 20, 40]).rates
    for _, curve in frame[frame["effect_percent"] > 0].groupby(["world", "criterion"]):
        assert curve["rate"].is_monotonic_increasing
        assert curve["wrong_rate"].is_monotonic_decreasing
    wide = frame.pivot(index=["world", "effect_percent"], columns="criterion", values="rate")
    assert (wide["robust"] <= wide[["t", "pooled", "stability"]].min(axis=1)).all()
    assert (wide["robust_clustered"] <= wide[["t", "clustered", "stability"]].min(axis=1)).all()
    assert rate(run(differences(), effects=[0, 40]), "estimated", "robust", 40) > 0.5


def test_negative_effects_are_found_in_their_own_direction():
    frame = run(differences(), effects=[0, -40]).rates.set_index(["criterion", "effect_percent"])
    found = frame[frame["world"] == "estimated"].loc[("robust", -40)]
    assert found["rate"] == 1 and found["wrong_rate"] == 0


def test_the_cells_own_difference_plays_no_part():
    d_SU = differences(0.05, 0.3)
    assert run(d_SU).rates["rate"].equals(run(d_SU + 0.7).rates["rate"])


def test_same_arguments_same_record_and_the_seed_matters():
    d_SU = differences(0.05, 0.3)
    one, again, other = (run(d_SU, replicates=20, seed=seed).rates for seed in (1, 1, 2))
    assert one.equals(again) and not one.equals(other)


def test_small_batches_make_all_replicates(monkeypatch):
    monkeypatch.setattr(calibration, "_BATCH_ENTRIES", 70 * N_SEEDS * 300)
    record = run(differences(0.0, 0.8), replicates=301)
    expected = expected_levels(record.components, N_SEEDS, N_USERS)["pooled"]
    found = rate(record, "estimated", "pooled")
    assert found == pytest.approx(expected, abs=slack(expected, 301))
    assert (found * 301) == pytest.approx(round(found * 301))


def test_half_width_of_a_seeds_interval_is_the_normal_one():
    d_SU = differences()
    errors = d_SU.std(axis=1, ddof=1) / np.sqrt(N_USERS)
    expected = 100 * scipy.stats.norm.ppf(0.975) * np.median(errors) / 1.0
    assert run(d_SU, replicates=2).seed_half_width_percent == pytest.approx(expected)


def test_detectable_effect_is_read_off_the_curve():
    rates = pd.DataFrame(
        {
            "world": "estimated",
            "criterion": "robust",
            "effect_percent": [-40.0, 0.0, 10.0, 20.0],
            # A one-sided test at 0.05 of an effect with a standard error of 5.
            "rate": [0.9, *scipy.special.ndtr(np.array([0.0, 10.0, 20.0]) / 5 - 1.644854)],
        }
    )
    needed = 5 * (1.644854 + scipy.special.ndtri(0.8))
    assert detectable_percent(rates, "robust") == pytest.approx(needed)
    certain = rates.assign(rate=[0.9, 0.0, 0.0, 1.0])  # a quantile of neither end
    assert detectable_percent(certain, "robust") == pytest.approx(16.36, abs=0.01)
    assert np.isnan(detectable_percent(rates[rates["rate"] < 0.9], "robust"))
    assert np.isnan(detectable_percent(rates, "t"))
    assert detectable_percent(rates.assign(rate=[0.9, 0.85, 0.9, 1.0]), "robust") == 10


@pytest.mark.parametrize(
    "change, message",
    [
        ({"effects": [1, 2]}, "0 among them"),
        ({"effects": [0, 0]}, "each once"),
        ({"effects": [0, np.inf]}, "finite percents"),
        ({"replicates": 0}, "at least 1 replicate"),
        ({"n_resamples": 20}, "give more than 20"),
        ({"seed": -1}, "non-negative seed"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(SeqattnError, match=message):
        run(differences(), **change)


def test_data_that_cannot_be_resampled_are_refused():
    base = np.full((5, 9), 0.1)
    with pytest.raises(SeqattnError, match="nothing to resample"):
        calibrate(base, base + 0.01 * np.arange(5)[:, None])
    with pytest.raises(SeqattnError, match=r"mean is 0\.0"):
        calibrate(0 * base, base)
    with pytest.raises(SeqattnError, match=r"\(5, 9\) but variant has \(5, 8\)"):
        calibrate(base, base[:, 1:])
    with pytest.raises(SeqattnError, match="rhos are"):
        pooling_levels([0.5, 1.5])
    with pytest.raises(SeqattnError, match="rhos are"):
        pooling_levels([-0.3])
    with pytest.raises(SeqattnError, match=r"cannot all correlate by less than -0\.25"):
        expected_levels(Components(0, 0, -0.3, np.sqrt(1.3)), 5, 9)
    with pytest.raises(SeqattnError, match="nothing varies"):
        expected_levels(Components(0, 0, 0, 0), 5, 9)


def test_the_upper_world_has_the_upper_limit_of_the_seed_effect():
    record = run(differences(0.1), replicates=300)
    parts = record.components
    assert parts.seed_sd_upper > 2 * parts.seed_sd
    upper = dataclasses.replace(parts, seed_sd=parts.seed_sd_upper)
    frame = record.rates.set_index(["world", "criterion"])["expected"]
    levels = expected_levels(upper, N_SEEDS, N_USERS)
    assert frame["upper", "clustered"] == pytest.approx(levels["clustered"])
    assert rate(record, "upper", "clustered") > rate(record, "estimated", "clustered") + 0.1


def test_no_verdict_is_not_a_wrong_one():
    frame = run(differences(), effects=[0, 5, -5], replicates=100).rates
    frame = frame[(frame["effect_percent"] != 0) & (frame["criterion"] == "t")]
    assert (frame["rate"] < 0.7).all() and (frame["wrong_rate"] <= 0.025).all()
