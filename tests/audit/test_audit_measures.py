"""Single measures of the audit against loops, scipy and hand-made cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from audit_logs import START
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from small_logs import PROPERTY, log, rows

from seqattn.audit import gaps
from seqattn.audit.splits import cold, leakage, popularity_shift, shift, usual_splits
from seqattn.audit.statistics import (
    distribution,
    repeats,
    stamp_facts,
    tie_effects,
    top_share,
)
from seqattn.data import Sequences, leave_one_out, merge_repeats, sort_by_time
from seqattn.data.splits import TARGETS, Split, Splitting, global_time_split, leave_one_out_rows
from seqattn.stats.exposure import gini

NAN = float("nan")
# Few users and moments, so that most examples have targets, some of them tied with training.
BUSY = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(0, 12)), min_size=12, max_size=40
)


def sequences(table: list[tuple]) -> Sequences:
    return Sequences.from_interactions(sort_by_time(merge_repeats(log(table), "latest", "latest")))


def histories(*users: list[tuple], n_items: int = 9) -> Sequences:
    """Histories of (item, time) pairs as they stand, NaN times included."""
    flat = [pair for user in users for pair in user]
    return Sequences(
        items=np.array([item for item, _ in flat]),
        intensity=None,
        timestamp=np.array([time for _, time in flat], dtype=float),
        offsets=np.append(0, np.cumsum([len(user) for user in users])),
        user_ids=np.arange(len(users)),
        item_ids=np.arange(n_items),
    )


def naive(s: Sequences, parts, stage: str) -> dict[str, float]:
    """Every measure of `cold` and `leakage`, event by event."""
    user = [u for u, n in enumerate(s.lengths) for _ in range(n)]
    events = list(zip(user, s.items.tolist(), s.timestamp.tolist(), strict=True))
    training = [event for event, used in zip(events, parts.train, strict=True) if used]
    facts: dict[str, list] = {k: [] for k in ("cold", "user", "older", "future", "unborn")}
    for row in parts.targets(stage):
        who, item, time = events[row]
        others = [t for u, _, t in training if u != who]
        births = [t for _, i, t in training if i == item]
        facts["cold"].append(not births)
        facts["user"].append(all(u != who for u, _, _ in training))
        facts["older"].append(bool(others) and time < max(others))
        facts["future"].append(np.mean([t > time for t in others]) if others else NAN)
        facts["unborn"].append(bool(births) and min(births) > time)
    return {name: float(np.mean(v)) if v else NAN for name, v in facts.items()}


@PROPERTY
@given(BUSY, st.sampled_from(["valid", "test"]), st.sampled_from(["", *TARGETS]))
def test_cold_and_leakage_equal_a_loop_over_events(table, stage, target):
    s = sequences(table)
    in_time = Splitting(time="quantile 0.7", target=target or "last")
    parts = global_time_split(s, in_time) if target else leave_one_out_rows(s)
    found = cold(s, parts, stage) | leakage(s, parts, stage)
    expected = naive(s, parts, stage)
    names = ("cold items", "cold users", "older than training", "future training", "not yet born")
    assert [found[n] for n in names] == pytest.approx(list(expected.values()), nan_ok=True)


@PROPERTY
@given(rows(max_time=30))
def test_rows_of_leave_one_out_are_those_of_the_split(table):
    everyone = [(u, i, t) for u, i, t in table] + [
        (u, i, 0) for u in range(1, 9) for i in (91, 92, 93)
    ]
    s = sequences(everyone)
    parts, split = leave_one_out_rows(s), leave_one_out(s)
    assert s.items[parts.train].tolist() == split.train.items.tolist()
    assert s.items[parts.valid].tolist() == split.targets("valid").tolist()
    assert s.items[parts.test].tolist() == split.targets("test").tolist()


def test_target_whose_birth_is_hidden_by_a_missing_stamp_is_undecided():
    # Item 7 is trained on by users 1 and 2, at an unknown moment and at 50.
    s = histories(
        [(7, NAN), (1, 1), (2, 2), (3, 3)], [(7, 50), (4, 60), (5, 70)], [(6, 1), (8, 2), (7, 10)]
    )
    found = leakage(s, leave_one_out_rows(s), "test")
    assert (found["not yet born"], found["perhaps not yet born"]) == pytest.approx((0, 1 / 3))
    assert found["known time"] == 1


def test_training_at_the_targets_own_moment_is_neither_later_nor_unborn():
    s = histories([(1, 0), (2, 1), (3, 5), (4, 9)], [(4, 9), (5, 9), (6, 10), (7, 11)])
    found = leakage(s, leave_one_out_rows(s), "test")
    assert found["future training"] == found["older than training"] == found["not yet born"] == 0


def test_ties_are_reversed_run_by_run():
    # User 1: the last three share a moment, so 4 <-> 2. User 2: no tie. User 3: unknown times.
    # User 4: validation tied with training only.
    s = histories(
        [(1, 0), (2, 9), (3, 9), (4, 9)],
        [(1, 1), (2, 2), (3, 3)],
        [(1, NAN), (2, NAN), (3, NAN)],
        [(1, 5), (2, 5), (3, 6)],
    )
    found = tie_effects(Split(s, leave_one_out_rows(s), s), s.timestamp)
    # User 1's validation item, in the middle of the run, stays; its test item does not.
    assert found["test target changes"] == pytest.approx(1 / 3)
    assert found["validation target changes"] == pytest.approx(1 / 3)
    assert found["validation and test at one moment"] == pytest.approx(1 / 3)
    assert found["users judged"] == 3 / 4


@PROPERTY
@given(rows(max_time=4))
def test_tie_effects_equal_a_second_sort_with_ties_reversed(table):
    s = sequences(table)
    order = np.lexsort((-np.arange(len(s)), s.timestamp, s.user_of_row))
    last = (s.offsets[1:] - 1)[s.lengths >= 3]
    changed = s.items[order] != s.items
    found = tie_effects(Split(s, leave_one_out_rows(s), s), s.timestamp)
    if len(last):
        assert found["test target changes"] == changed[last].mean()
        assert found["validation target changes"] == changed[last - 1].mean()
        same = s.timestamp[last] == s.timestamp[last - 1]
        assert found["validation and test at one moment"] == same.mean()


def test_day_stamps_are_seen_in_any_time_zone():
    days = START + 86_400.0 * np.arange(50) + 18_000
    assert stamp_facts(np.zeros(50, int), days)["day resolution"] == 1
    seconds = START + 3_601.0 * np.arange(50)
    assert stamp_facts(np.zeros(50, int), seconds)["day resolution"] == pytest.approx(0.02)


def test_stamps_in_milliseconds_and_zeros_are_out_of_range():
    stamps = np.array([START, START * 1000.0, 0.0, NAN])
    found = stamp_facts(np.array([0, 0, 1, 1]), stamps)
    assert (found["missing"], found["out of range"]) == pytest.approx((1 / 4, 2 / 3))


def test_bursts_count_users_whose_stamps_are_all_known():
    user = np.array([0, 0, 1, 1, 2, 2, 2, 3])
    time = START + np.array([0, 59, 0, 3_599, 0, 1, NAN, 5])
    found = stamp_facts(user, time)
    spans = [found[f"within {span}"] for span in ("a minute", "an hour", "a day")]
    assert spans == [0.5, 1, 1]


def test_stamp_facts_of_no_known_stamp_are_nan_not_an_error():
    found = stamp_facts(np.array([0, 1]), np.array([NAN, NAN]))
    assert found.pop("missing") == 1
    assert np.isnan(list(found.values())).all()


def test_gaps_stay_inside_a_user_and_skip_unknown_stamps():
    time = np.array([1, 4, NAN, 9, 2, 7])
    assert gaps(np.array([0, 0, 0, 0, 1, 1]), time).tolist() == [3, 5]


def test_repeats_tell_pairs_moments_and_neighbours_apart():
    users, items = np.array([0, 0, 0, 0, 1, 1]), np.array([1, 1, 2, 1, 1, 1])
    found = repeats(users, items, np.array([5.0, 5, 6, 7, 1, NAN]))
    assert list(found.values()) == pytest.approx([3 / 6, 1 / 6, 1 / 5])
    assert np.isnan(list(repeats(users, items, None).values())[1:]).all()


@PROPERTY
@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_gini_equals_half_the_relative_mean_absolute_difference(counts):
    x = np.array(counts, dtype=float)
    expected = np.abs(x[:, None] - x).mean() / (2 * x.mean())
    assert gini(x) == pytest.approx(expected, abs=1e-12)


def test_top_share_takes_a_tenth_rounded_up():
    assert top_share(np.array([10, *[1] * 10])) == pytest.approx(11 / 20)


def test_distribution_of_nothing_is_nan():
    found = distribution(np.array([NAN]))
    assert found["n"] == 0 and np.isnan(found["50%"])


@PROPERTY
@given(rows(max_users=5, max_items=6, max_time=40))
def test_shift_equals_scipys_ks_statistic(table):
    s = sequences(table)
    parts = leave_one_out_rows(s)
    if not len(parts.test):
        return
    counts = np.bincount(s.items[parts.train], minlength=s.n_items + 1)
    found = shift(s, parts, "test")
    expected = ks_2samp(counts[s.items[parts.train]], counts[s.items[parts.test]]).statistic
    assert found["popularity, KS distance"] == pytest.approx(expected)
    expected = ks_2samp(s.intensity[parts.train], s.intensity[parts.test]).statistic
    assert found["intensity, KS distance"] == pytest.approx(expected)


def test_item_shift_is_one_for_disjoint_items_and_near_its_chance_value_for_equal_shares():
    disjoint = histories([(1, 0), (2, 1), (3, 2), (4, 3)])
    assert shift(disjoint, leave_one_out_rows(disjoint), "test")["items, JS distance"] == 1
    rng = np.random.default_rng(0)
    users = [[(int(i), t) for t, i in enumerate(rng.permutation(9)[:6] + 1)] for _ in range(400)]
    alike = histories(*users)
    found = shift(alike, leave_one_out_rows(alike), "test")
    assert found["items, JS distance"] == pytest.approx(found["items, JS by chance"], rel=0.5)


@pytest.mark.parametrize(
    ("seconds", "name"), [(60.0, "minute"), (3_600.0, "n hour"), (86_400.0, "day")]
)
def test_a_history_of_exactly_that_long_is_not_within_it(seconds, name):
    label = f"within a{name}" if name.startswith("n ") else f"within a {name}"
    start = 1_600_000_000.0
    found = stamp_facts(np.array([0, 0, 1, 1]), start + np.array([0, seconds, 0, seconds - 1]))
    assert found[label] == 0.5


def test_the_first_moment_of_2050_is_out_of_range_and_that_of_1990_is_not():
    ends = [pd.Timestamp(day).timestamp() for day in ("1990-01-01", "2050-01-01")]
    found = stamp_facts(np.arange(4), np.array([ends[0], ends[0] - 1, ends[1], ends[1] - 1]))
    assert found["out of range"] == 0.5


def test_a_percentile_of_popularity_is_the_middle_of_its_rank_by_hand():
    items = np.array([1, 1, 1, 2, 2, 3, 2, 3])
    log = Sequences(items, None, np.arange(8.0), [0, 4, 8], np.arange(2), np.arange(4))
    facts = popularity_shift(log, leave_one_out_rows(log), "test")
    # In training: items 1, 1 and 2, 3; counts 2, 1, 1, 0; middles of ranks 3.5, 2 and 0.5, of four.
    middle = {1: 3.5 / 4, 2: 2 / 4, 3: 2 / 4}
    assert facts["popularity in training"] == pytest.approx(
        np.mean([middle[item] for item in (1, 1, 2, 3)])
    )
    assert facts["popularity of targets"] == pytest.approx((middle[2] + middle[3]) / 2)


@pytest.mark.parametrize(("n_unknown", "n_splits"), [(0, 4), (5, 4), (6, 1), (50, 1)])
def test_a_split_in_time_stands_beside_leave_one_out_where_95_of_100_times_are_known(
    n_unknown, n_splits
):
    time = np.where(np.arange(100) < n_unknown, np.nan, np.arange(100.0))
    items = 1 + np.arange(100) % 9
    log = Sequences(items, None, time, np.arange(0, 101, 10), np.arange(10), np.arange(9))
    assert len(usual_splits(log)) == n_splits
