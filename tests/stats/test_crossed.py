"""Crossed intervals by hand, against a random-effects model of statsmodels, and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.anova import anova_lm

from seqattn.errors import SeqattnError
from seqattn.stats.crossed import bounded, crossed_interval, interval, pigeonhole_bootstrap
from seqattn.stats.variance import mean_squares


def layout(rng, n_seeds, n_users, seed_sd, user_sd, rest_sd, mean=0.0):
    return (
        mean
        + seed_sd * rng.standard_normal((n_seeds, 1))
        + user_sd * rng.standard_normal((1, n_users))
        + rest_sd * rng.standard_normal((n_seeds, n_users))
    )


def test_mean_squares_are_those_of_an_analysis_of_variance():
    d_SU = layout(np.random.default_rng(0), 4, 7, 1, 2, 3)
    seeds, users = np.indices(d_SU.shape)
    frame = pd.DataFrame({"d": d_SU.ravel(), "s": seeds.ravel(), "u": users.ravel()})
    table = anova_lm(smf.ols("d ~ C(s) + C(u)", frame).fit())
    assert mean_squares(d_SU) == pytest.approx(table["mean_sq"].tolist())


def test_the_variance_is_the_formula_worked_by_hand():
    # Rows 1, 5 and 3, 11: M_s = 16, M_u = 36, M_e = 4, so Var = 48 / 4 and df = 2304 / (256 +
    # 1296 + 16) = 1.469.
    result = crossed_interval([[1, 5], [3, 11]])
    assert result.difference == 5
    assert result.error == pytest.approx(np.sqrt(12))
    assert result.df == pytest.approx(2304 / 1568)
    reach = scipy.stats.t.ppf(0.975, 2304 / 1568) * np.sqrt(12)
    assert result.ci == pytest.approx((5 - reach, 5 + reach))
    assert result.p_value == pytest.approx(2 * scipy.stats.t.sf(5 / np.sqrt(12), 2304 / 1568))


@pytest.mark.parametrize(
    ("of_seeds", "of_users", "larger", "df"),
    [([0, 0, 0], [0, 2, 4, 6], 20, 3), ([0, 3, 6], [0, 0, 0, 0], 36, 2)],
)
def test_where_a_component_is_below_zero_the_larger_mean_square_has_its_own_df(
    of_seeds, of_users, larger, df
):
    # Rows and columns of the residuals sum to 0, and M_e = 4 / 6. One of M_s and
    # M_u is 0, so that M_s + M_u - M_e is below the other, which has U - 1 = 3 or
    # S - 1 = 2 degrees of freedom.
    rest = [[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 0, 0]]
    d_SU = np.add.outer(of_seeds, of_users) + rest
    assert mean_squares(d_SU.astype(float))[2] == pytest.approx(4 / 6)
    result = crossed_interval(d_SU)
    assert result.error == pytest.approx(np.sqrt(larger / 12))
    assert result.df == pytest.approx(df)


@pytest.mark.parametrize("shape", [(3, 6), (5, 40), (2, 9)])
def test_where_both_mean_squares_are_equal_the_fewer_degrees_of_freedom_count(shape):
    # One entry of 1: both mean squares are 1 / (S U), and so is the rest's. Each stands alone.
    d_SU = np.zeros(shape)
    d_SU[0, 0] = 1
    assert mean_squares(d_SU) == pytest.approx([1 / d_SU.size] * 3)
    assert crossed_interval(d_SU).df == pytest.approx(shape[0] - 1)


@given(st.integers(0, 10_000), st.sampled_from([0, 1]), st.sampled_from([0, 1]))
def test_it_is_never_narrower_than_seeds_or_users_alone(number, seed_sd, user_sd):
    d_SU = layout(np.random.default_rng(number), 3, 8, seed_sd, user_sd, 1)
    error = crossed_interval(d_SU).error
    of_seeds = scipy.stats.sem(d_SU.mean(axis=1))
    of_users = scipy.stats.sem(d_SU.mean(axis=0))
    assert error >= max(of_seeds, of_users) * (1 - 1e-12)
    assert error <= np.hypot(of_seeds, of_users) * (1 + 1e-12)


@given(st.integers(0, 10_000), st.sampled_from([2.0**-600, 1e-6, 3.0, 2.0**600]))
def test_the_p_value_does_not_depend_on_the_unit(number, unit):
    d_SU = layout(np.random.default_rng(number), 3, 8, 1, 1, 1, mean=1)
    one, other = crossed_interval(d_SU), crossed_interval(unit * d_SU)
    assert other.p_value == pytest.approx(one.p_value, rel=1e-6)
    assert np.array(other.ci) / unit == pytest.approx(np.array(one.ci), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("seed_sd", "user_sd"), [(0, 0), (0, 1), (1, 0), (0.3, 1)])
def test_it_covers_the_true_difference_as_often_as_it_says(seed_sd, user_sd):
    rng, n = np.random.default_rng(1), 2000
    inside = 0
    for _ in range(n):
        ci = crossed_interval(layout(rng, 5, 40, seed_sd, user_sd, 1)).ci
        inside += ci[0] <= 0 <= ci[1]
    low, high = scipy.stats.binomtest(inside, n).proportion_ci(0.999)
    assert high >= 0.95  # conservative is allowed, which the floors make it
    assert low <= 0.999


@pytest.mark.parametrize("rest_sd", [0.05, 1])
def test_with_seeds_and_users_alike_it_covers_93_to_97_percent(rest_sd):
    """Too wide an interval fails as well; the slow test has the size of a study, and more cases."""
    rng, n, n_seeds, n_users = np.random.default_rng(0), 1500, 5, 200
    of_users = np.sqrt(1 / n_users + rest_sd**2 / (n_seeds * n_users))
    d_CSU = rest_sd * rng.standard_normal((n, n_seeds, n_users))
    d_CSU += of_users * np.sqrt(n_seeds) * rng.standard_normal((n, n_seeds, 1))
    d_CSU += rng.standard_normal((n, 1, n_users))
    ends_C2 = np.array([crossed_interval(d_SU).ci for d_SU in d_CSU])
    assert 0.93 <= np.mean((ends_C2[:, 0] <= 0) & (ends_C2[:, 1] >= 0)) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("rest_sd", [0.05, 1, 3])  # without interaction, and with more and more
@pytest.mark.parametrize("ratio", [0, 0.5, 1, 2])  # of the mean's errors by seeds and by users
def test_at_the_size_of_a_study_it_covers_93_to_97_percent(ratio, rest_sd):
    rng, n, n_seeds, n_users = np.random.default_rng(0), 2000, 5, 1000
    of_users = np.sqrt(1 / n_users + rest_sd**2 / (n_seeds * n_users))
    seed_sd = ratio * of_users * np.sqrt(n_seeds)
    inside = 0
    for _ in range(n):
        ci = crossed_interval(layout(rng, n_seeds, n_users, seed_sd, 1, rest_sd)).ci
        inside += ci[0] <= 0 <= ci[1]
    assert 0.93 <= inside / n <= 0.97


def test_a_mixed_model_of_statsmodels_has_the_same_estimate_and_error():
    # Both effects are plain, so that no estimated variance is at its limit of zero.
    d_SU = layout(np.random.default_rng(5), 6, 30, 1, 2, 1, mean=0.5)
    seeds, users = np.indices(d_SU.shape)
    frame = pd.DataFrame({"d": d_SU.ravel(), "s": seeds.ravel(), "u": users.ravel(), "all": 1})
    parts = {"s": "0 + C(s)", "u": "0 + C(u)"}
    model = smf.mixedlm("d ~ 1", frame, groups="all", vc_formula=parts, re_formula="0")
    fitted = model.fit(reml=True)
    result = crossed_interval(d_SU)
    assert fitted.fe_params.iloc[0] == pytest.approx(result.difference)
    assert fitted.bse.iloc[0] == pytest.approx(result.error, rel=1e-3)


def test_without_any_difference_the_p_value_is_one_and_a_constant_one_zero():
    assert crossed_interval(np.zeros((3, 4))).p_value == 1
    assert crossed_interval(np.ones((3, 4))).p_value == 0


@pytest.mark.parametrize("alpha", [0.02, 0.1])
def test_an_interval_of_another_level_reaches_another_quantile_of_t(alpha):
    low, high = interval(1.0, 0.5, 7.0, alpha).ci
    reach = 0.5 * scipy.stats.t.ppf(1 - alpha / 2, 7)
    assert (low, high) == pytest.approx((1 - reach, 1 + reach))


def test_the_pigeonhole_bootstrap_has_the_variance_that_owen_gives():
    # Naive expectation over multinomial weights of both factors.
    d_SU = layout(np.random.default_rng(3), 6, 30, 0.5, 1, 1)
    d_SU -= d_SU.mean()
    s, u = d_SU.shape
    # E[w_i w_j] of multinomial weights w = count / n: (1 - 1/n) / n^2, and 1 / n^2 more at i = j.
    w_SS = np.full((s, s), (1 - 1 / s) / s**2) + np.eye(s) / s**2
    w_UU = np.full((u, u), (1 - 1 / u) / u**2) + np.eye(u) / u**2
    expected = np.einsum("su,tv,st,uv->", d_SU, d_SU, w_SS, w_UU)
    means = pigeonhole_bootstrap(d_SU, 20_000)
    assert means.var() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2]], "needs at least 2"),
        ([1, 2], "expected .seeds, users."),
        ([[1, 2], [3, np.nan]], "holds nan at index"),
    ],
)
def test_what_has_no_interval_is_one_line(values, message):
    for function in (crossed_interval, pigeonhole_bootstrap):
        with pytest.raises(SeqattnError, match=message):
            function(values)


@pytest.mark.parametrize(("n_seeds", "least", "most"), [(2, 0.84, 0.91), (3, 0.91, 0.95)])
def test_with_two_or_three_seeds_it_covers_less_than_it_says(n_seeds, least, most):
    # Mean squares of normal effects: seeds' share 3 times the rest's, users' none.
    rng, n, users = np.random.default_rng(0), 20_000, 4_999
    of_seeds = 4 * rng.chisquare(n_seeds - 1, n) / (n_seeds - 1)
    of_users = rng.chisquare(users, n) / users
    rest = rng.chisquare((n_seeds - 1) * users, n) / ((n_seeds - 1) * users)
    mean = np.sqrt(4.0) * rng.standard_normal(n)
    parts = zip(of_seeds, of_users, rest, strict=True)
    found = [
        bounded([(s, n_seeds - 1)], (u, users), [(e, (n_seeds - 1) * users)]) for s, u, e in parts
    ]
    total, df = np.array(found).T
    inside = np.abs(mean) <= scipy.stats.t.ppf(0.975, df) * np.sqrt(total)
    assert least <= inside.mean() <= most
