"""Intervals of two models with seeds of their own: by hand, by known cases, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from seqattn.errors import SeqattnError
from seqattn.stats.unpaired import ratio_interval, unpaired_interval


def arms(rng, n_seeds, n_users, seed_sds, rest_sd, levels=(1.0, 1.0)):
    """Two models of which users think alike in part, (S, U) each; one seed is no draw."""
    shared = rng.standard_normal(n_users)
    found = []
    for number, sd, level in zip(n_seeds, seed_sds, levels, strict=True):
        by_chance = number > 1
        found.append(
            level * (1 + shared + 0.5 * rng.standard_normal(n_users))
            + by_chance * sd * rng.standard_normal((number, 1))
            + by_chance * rest_sd * rng.standard_normal((number, n_users))
        )
    return found


def test_the_variance_is_the_formula_worked_by_hand():
    # The base's rows have means 1, 3, 5: M_s = 3 * 4, M_e = 0, S U = 9. The other's have 6 and 8:
    # M_s = 3 * 2, M_e = 2, T U = 6. Over seeds the users have 4, 2, 3 and 9, 7, 5; the differences
    # 5, 5, 2 have the variance 3, and their mean that by 3 users: 1.
    base = [[2, 0, 1], [4, 2, 3], [6, 4, 5]]
    other = [[9, 5, 4], [9, 9, 6]]
    variance = 1 + 12 / 9 + 6 / 6 - 2 / 6
    df = variance**2 / (1**2 / 2 + (12 / 9) ** 2 / 2 + 1**2 / 1 + (2 / 6) ** 2 / 2)
    result = unpaired_interval(base, other)
    assert result.difference == 4
    assert result.error == pytest.approx(np.sqrt(variance))
    assert result.df == pytest.approx(df)
    reach = scipy.stats.t.ppf(0.975, df) * np.sqrt(variance)
    assert result.ci == pytest.approx((4 - reach, 4 + reach))
    assert result.p_value == pytest.approx(2 * scipy.stats.t.sf(4 / np.sqrt(variance), df))


def test_two_models_without_chance_have_the_t_interval_of_their_users():
    base, other = arms(np.random.default_rng(0), (1, 1), 30, (0, 0), 0)
    result = unpaired_interval(base, other)
    expected = scipy.stats.ttest_rel(other[0], base[0])
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.ci == pytest.approx(tuple(expected.confidence_interval()))


def test_users_who_are_all_alike_leave_welchs_interval_of_the_seeds():
    rng = np.random.default_rng(1)
    base_S, other_T = rng.normal(0, 1, 5), rng.normal(1, 3, 3)
    result = unpaired_interval(np.tile(base_S[:, None], 40), np.tile(other_T[:, None], 40))
    expected = scipy.stats.ttest_ind(other_T, base_S, equal_var=False)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.ci == pytest.approx(tuple(expected.confidence_interval()))


@pytest.mark.parametrize(
    ("n_seeds", "seed_sds", "rest_sd", "r"),
    [
        ((5, 3), (0.1, 0.3), 0.05, 1),
        ((5, 3), (0.3, 0.1), 1, 1.5),
        ((5, 1), (0.2, 0), 1, 1.5),
        ((5, 3), (0, 0), 1, 1),
    ],
)
def test_it_covers_the_true_difference_as_often_as_it_says(n_seeds, seed_sds, rest_sd, r):
    """A ratio's interval covers r just where that of the difference to r times the base covers 0.

    The levels are 1 and 1.5, the error of a level by its users about 0.1.
    """
    rng, inside = np.random.default_rng(0), 0
    for _ in range(1500):
        base, other = arms(rng, n_seeds, 120, seed_sds, rest_sd, (1, 1.5))
        low, high = unpaired_interval(r * base, other).ci
        inside += low <= 1.5 - r <= high
    assert 0.93 <= inside / 1500 <= 0.97


def test_seeds_left_out_of_account_make_an_interval_that_covers_too_rarely():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(500):
        base, other = arms(rng, (5, 3), 120, (0.1, 0.3), 1)
        of_users = scipy.stats.ttest_1samp(other.mean(axis=0) - base.mean(axis=0), 0)
        inside += of_users.pvalue > 0.05
    assert inside / 500 < 0.7


@pytest.mark.parametrize("n_seeds", [(5, 3), (5, 1), (1, 3)])
@pytest.mark.parametrize("number", range(4))
def test_a_ratios_ends_are_those_at_which_the_difference_is_just_refused(n_seeds, number):
    rng = np.random.default_rng(number)
    pair = arms(rng, n_seeds, 80, (0.1, 0.2), 0.5, (1, 1.2))
    result = ratio_interval(*pair)
    for r, end in zip(result.ci, (0, 1), strict=True):
        assert unpaired_interval(r * pair[0], pair[1]).ci[end] == pytest.approx(0, abs=1e-9)
    leaves_out = not result.ci[0] <= 1 <= result.ci[1]
    assert leaves_out == (unpaired_interval(*pair).p_value < 0.05)


def test_without_seeds_a_ratio_has_the_closed_form_of_fieller():
    base, other = arms(np.random.default_rng(4), (1, 1), 60, (0, 0), 0, (1, 1.4))
    (b, o), (vbb, vbo), (_, voo) = (
        (base.mean(), other.mean()),
        *(np.cov(base[0], other[0]) / 60),
    )
    t2 = scipy.stats.t.ppf(0.975, 59) ** 2
    roots = np.roots([b**2 - t2 * vbb, -2 * (b * o - t2 * vbo), o**2 - t2 * voo])
    assert ratio_interval(base, other).ci == pytest.approx(tuple(np.sort(roots)))


def test_a_ratio_is_not_negative_and_has_no_end_over_a_base_that_may_be_none():
    users = np.array([[0.0, 0, 0, 1]])
    assert ratio_interval(np.ones((1, 4)), users).ci[0] == 0
    assert ratio_interval(np.ones((1, 4)), 0 * users).ci == (0, 0)
    assert ratio_interval(users, np.ones((1, 4))).ci[1] == np.inf


@pytest.mark.parametrize(("base", "other"), [(0.06, 0.05), (0.3, 0.1), (0.1, 0.3)])
def test_a_ratio_without_any_chance_is_its_own_interval(base, other):
    result = ratio_interval(np.full((2, 5), base), np.full((2, 5), other))
    assert result.ci == pytest.approx((other / base, other / base))


@pytest.mark.parametrize(
    ("base", "other", "message"),
    [
        ([[1, 2, 3]], [[1, 2]], "of the same users"),
        ([1, 2], [[1, 2]], "of the same users"),
        ([[1]], [[1]], "at least 2 users"),
        ([[1, 2]], [[1, np.nan]], "holds nan at index"),
    ],
)
def test_what_has_no_interval_is_one_line(base, other, message):
    for function in (unpaired_interval, ratio_interval):
        with pytest.raises(SeqattnError, match=message):
            function(base, other)


def test_a_ratio_needs_a_base_above_zero():
    with pytest.raises(SeqattnError, match="a ratio needs a positive base"):
        ratio_interval([[0, 0, 0]], [[1, 2, 3]])
