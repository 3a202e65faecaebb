"""Leave-one-out, splits in time, and given ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from small_logs import PROPERTY, log, rows

from seqattn.data import CATALOGUE, Dataset, Interactions, Preparation, Sequences, leave_one_out
from seqattn.data.preparation import sort_by_time
from seqattn.data.splits import (
    STAGES,
    TARGETS,
    VALIDATIONS,
    Split,
    Splitting,
    global_time_split,
    with_times,
)
from seqattn.data.splits import split as split_as
from seqattn.errors import SeqattnError

HISTORIES = st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=12), min_size=1, max_size=8)
SPLITTINGS = st.builds(
    Splitting,
    time=st.floats(0.05, 0.95).map(lambda q: f"quantile {q:.6f}"),
    target=st.sampled_from(TARGETS),
    validation=st.sampled_from(VALIDATIONS),
)
ENTRY = replace(CATALOGUE["synthetic"], raw=None, core=None, preparation=Preparation(core=1))


def sequences(histories: list[list[int]]) -> Sequences:
    table = [(u, i, t) for u, history in enumerate(histories) for t, i in enumerate(history)]
    return Sequences.from_interactions(sort_by_time(log(table)))


def timed(table: list[tuple]) -> Sequences:
    return Sequences.from_interactions(sort_by_time(log(table)))


def one_history(*times: float) -> Sequences:
    n = len(times)
    return Sequences(
        np.arange(1, n + 1), None, np.array(times), [0, n], np.array([7]), np.arange(n)
    )


@PROPERTY
@given(HISTORIES)
def test_parts_are_disjoint_cover_everything_and_keep_order(histories):
    full = sequences(histories)
    split = leave_one_out(full)
    train = np.split(split.train.items, split.train.offsets[1:-1])
    targets = zip(split.targets("valid"), split.targets("test"), strict=True)
    joined = [np.append(part, pair) for part, pair in zip(train, targets, strict=True)]
    assert np.concatenate(joined).tolist() == full.items.tolist()


@PROPERTY
@given(HISTORIES)
def test_test_context_is_training_plus_validation_item(histories):
    split = leave_one_out(sequences(histories))
    context = split.context("test")
    last = context.offsets[1:] - 1
    assert context.items[last].tolist() == split.targets("valid").tolist()
    assert np.delete(context.items, last).tolist() == split.train.items.tolist()
    assert split.context("valid").items.tolist() == split.train.items.tolist()


def test_stage_selects_context_and_targets():
    split = leave_one_out(sequences([[1, 2, 3, 4]]))
    assert (split.targets("valid").tolist(), split.targets("test").tolist()) == ([3], [4])
    assert split.context("test").items.tolist() == [1, 2, 3]


@pytest.mark.parametrize("method", ["context", "targets", "users"])
def test_unknown_stage_is_refused(method):
    with pytest.raises(SeqattnError, match="'train' is unknown"):
        getattr(leave_one_out(sequences([[1, 2, 3]])), method)("train")


def test_history_too_short_to_split_is_refused_by_name():
    with pytest.raises(SeqattnError, match="user 1 has 2 interactions, at least 3"):
        leave_one_out(sequences([[1, 2, 3], [1, 2]]))


@PROPERTY
@given(rows(max_time=50), SPLITTINGS)
def test_split_in_time_trains_on_nothing_later_than_a_test_target(table, how):
    s = timed(table)
    parts = global_time_split(s, how)
    time, user = s.timestamp, s.user_of_row
    for stage in STAGES:
        targets = parts.targets(stage)
        assert (np.diff(targets) > 0).all()
        assert not parts.train[targets].any()
        one_each = how.target != "all" or (stage == "valid" and how.validation != "time")
        if one_each:
            assert len(set(user[targets])) == len(targets)
    assert not set(parts.valid) & set(parts.test)
    cut = np.quantile(time, float(how.time.split()[1]))
    assert (time[parts.test] > cut).all()
    assert (time[parts.train] <= cut).all()
    if how.validation == "time" and len(parts.valid):
        assert time[parts.train].max(initial=-np.inf) < time[parts.valid].min()
    if how.validation == "user":
        assert not parts.train[np.isin(user, user[parts.valid])].any()


@PROPERTY
@given(rows(max_time=50), SPLITTINGS)
def test_targets_of_a_split_in_time_are_chosen_among_all_later_rows(table, how):
    s = timed(table)
    time, user = s.timestamp, s.user_of_row
    test = global_time_split(s, how).test
    later = pd.Series(np.flatnonzero(time > np.quantile(time, float(how.time.split()[1]))))
    of_user = later.groupby(user[later])
    if how.target == "random":
        assert set(test) <= set(later)
        assert len(test) == of_user.ngroups
    else:
        wanted = {"last": of_user.last, "first": of_user.first, "all": lambda: later}[how.target]()
        assert test.tolist() == wanted.tolist()


def test_a_random_target_is_each_later_row_as_often_and_the_same_in_every_call():
    s = timed([(user, 1 + t, t) for user in range(500) for t in range(10)])
    how = Splitting(time="quantile 0.5", target="random")
    test = global_time_split(s, how).test
    n_later = int((s.timestamp > np.quantile(s.timestamp, 0.5)).sum()) // 500
    places = s.timestamp[test].astype(int) - (10 - n_later)
    assert scipy.stats.chisquare(np.bincount(places, minlength=n_later)).pvalue > 1e-3
    assert np.array_equal(global_time_split(s, how).test, test)


@PROPERTY
@given(rows(max_time=50), SPLITTINGS)
def test_a_target_is_predicted_from_all_that_its_user_did_before(table, how):
    s = timed(table)
    split = Split(s, parts := global_time_split(s, how), s.keep(parts.train))
    for stage in STAGES:
        context, users = split.context(stage), split.users(stage)
        asked = [r for r in parts.targets(stage) if r > s.offsets[s.user_of_row[r]]]
        assert split.rows(stage).tolist() == asked
        for n, row in enumerate(asked):
            begin, end = context.offsets[n : n + 2]
            assert users[n] == s.user_of_row[row]
            before = s.items[s.offsets[users[n]] : row]
            assert context.items[begin:end].tolist() == before.tolist()


def test_date_begins_the_test():
    day = 86_400.0
    s = one_history(0.0, day - 1, day, 2 * day)
    how = Splitting(time="1970-01-02", target="all", validation="last")
    parts = global_time_split(s, how)
    assert (parts.valid.tolist(), parts.test.tolist()) == ([1], [2, 3])


def test_rows_of_unknown_time_are_in_no_part():
    parts = global_time_split(one_history(0, np.nan, 5, 10), Splitting(time="quantile 0.5"))
    assert parts.train.tolist() == [True, False, False, False]  # cuts at 5, then at 2.5
    assert (parts.valid.tolist(), parts.test.tolist()) == ([2], [3])


@pytest.mark.parametrize("cut", ["quantile 0", "quantile 1", "quantile 1.5", "0.9", "yesterday"])
def test_cut_that_is_none_is_refused(cut):
    with pytest.raises(SeqattnError, match=r"neither like 'quantile 0\.9', inside"):
        Splitting(time=cut)


def test_split_in_time_without_stamps_is_refused():
    with pytest.raises(SeqattnError, match="no timestamp is known"):
        global_time_split(one_history(np.nan, np.nan), Splitting(time="quantile 0.9"))


@pytest.mark.parametrize("cut", ["2020-01-01", "1970-01-04T00:00:01", "1970-01-02", "1900-01-01"])
def test_a_date_outside_the_log_is_refused_with_its_first_and_last_day(cut):
    days = 86_400 * np.arange(1, 4)
    with pytest.raises(
        SeqattnError, match=r"first is of 1970-01-02 and the last of 1970-01-04: cut"
    ):
        split_as(one_history(*days), Splitting(time=cut))


@pytest.mark.parametrize(("target", "asked"), [("last", [8]), ("first", [7]), ("all", [7, 8])])
def test_validation_in_time_holds_the_share_out_that_a_date_does(target, asked):
    """Eight of ten days lie before it, so of those eight the last fifth begins after day 5.6."""
    days = one_history(*(86_400 * np.arange(10)))
    split = split_as(days, Splitting(time="1970-01-09", validation="time", target=target))
    assert split.targets("valid").tolist() == asked  # items are numbered from 1
    assert split.train.items.tolist() == [1, 2, 3, 4, 5, 6]


def test_an_explicit_order_decides_between_equal_times_only_and_unknown_ones_are_counted():
    frame = pd.DataFrame({"user": 1, "item": range(5), "order": range(5)})
    frame["timestamp"] = [3, 1, np.nan, 2, 2]
    ordered = with_times(Interactions.from_frame(frame))
    assert sort_by_time(ordered).frame["item"].astype(int).tolist() == [1, 3, 4, 0]
    (step,) = [step for step in ordered.steps if step.name == "drop unknown times"]
    assert len(frame) - step.interactions == 1


def test_the_last_moment_of_a_log_is_a_cut():
    split = split_as(one_history(0, 86_400, 2 * 86_400), Splitting(time="1970-01-03"))
    assert split.targets("test").tolist() == [3]


@pytest.mark.parametrize("n_users", [5, 15, 30])
def test_validation_by_users_that_draws_none_says_so(n_users):
    s = timed([(u, i, i) for u in range(n_users) for i in range(1, 11)])
    how = Splitting(time="quantile 0.8", validation="user")
    drawn = np.random.default_rng(2020).random(n_users) < 0.1
    if drawn.any():
        assert split_as(s, how).users("valid").tolist() == np.flatnonzero(drawn).tolist()
        return
    with pytest.raises(SeqattnError, match=f"of these {n_users} no user .*set validation: time or"):
        split_as(s, how)


def test_where_no_user_can_be_validated_the_cut_is_at_fault():
    s = timed([(u, i, i) for u in range(5) for i in range(1, 4)])
    with pytest.raises(SeqattnError, match="cut at another place"):
        split_as(s, Splitting(time="quantile 0.1", validation="user"))


def test_owners_are_told_where_a_user_has_several_targets():
    s = timed([(1, i, i) for i in range(1, 7)] + [(2, i, i) for i in range(1, 7)])
    how = Splitting(time="quantile 0.6", target="all")
    owners = split_as(s, how).owners()
    assert owners["test"].tolist() == [0, 0, 1, 1]
    assert not split_as(s, replace(how, target="last")).owners()


GIVEN = pd.DataFrame(
    {
        "user": [1, 1, 1, 1, 2, 2, 2],
        "item": [10, 20, 30, 40, 10, 20, 30],
        "timestamp": [1, 2, 3, 4, 1, 2, 3],
        "part": ["train", "train", "valid", "test", "train", "validation", "test"],
    }
)


def dataset(frame: pd.DataFrame, **how: str) -> Dataset:
    log = Interactions.from_frame(frame)
    return Dataset.from_interactions(log, replace(ENTRY, splitting=Splitting(given=True, **how)))


def test_given_split_is_taken_as_it_is():
    split = dataset(GIVEN.sample(frac=1, random_state=0)).split
    assert split.train.items.tolist() == [1, 2, 1]
    assert split.targets("valid").tolist() == [3, 2]
    assert split.targets("test").tolist() == [4, 3]


def test_given_split_enters_the_fingerprint():
    moved = GIVEN.assign(part=["train", "train", "valid", "test", "train", "valid", "valid"])
    assert dataset(GIVEN).fingerprint != dataset(moved).fingerprint


def test_among_equal_times_what_is_held_out_comes_last():
    tied = GIVEN.assign(timestamp=1)[::-1]
    assert dataset(tied).split.targets("test").tolist() == [4, 3]


def test_given_split_against_time_is_refused_by_user():
    mixed = GIVEN.assign(part=["test", "train", "valid", "test", "train", "valid", "test"])
    with pytest.raises(SeqattnError, match="user 1 has an interaction in 'train' after one in 'te"):
        dataset(mixed)


def test_given_split_without_validation_needs_a_word():
    two = GIVEN.assign(part=GIVEN["part"].replace({"valid": "train", "validation": "train"}))
    with pytest.raises(SeqattnError, match="set `validation: last`"):
        dataset(two)
    split = dataset(two, validation="last").split
    assert split.targets("valid").tolist() == [3, 2]
    assert split.train.items.tolist() == [1, 2, 1]


def test_part_that_is_none_is_refused_by_row():
    with pytest.raises(SeqattnError, match="column 'part', row 2: 'dev' is no part of a split"):
        dataset(GIVEN.assign(part=["train", "train", "dev", "test", "train", "valid", "test"]))


def test_spaces_around_a_part_do_not_count_and_capitals_get_a_hint():
    words = ["train", "train", "valid", "test", "train", "valid", "test"]
    plain = dataset(GIVEN.assign(part=words))
    padded = dataset(GIVEN.assign(part=[f" {word}\t" for word in words]))
    assert padded.fingerprint == plain.fingerprint
    with pytest.raises(SeqattnError, match=r"'Train' is no part .*test, all in lower case"):
        dataset(GIVEN.assign(part=["Train", *words[1:]]))


@PROPERTY
@given(rows(max_time=40), st.integers(1, 39), st.sampled_from(VALIDATIONS))
def test_a_date_with_a_space_cuts_where_the_same_with_a_t_does(table, moment, validation):
    s = timed(table)
    date = pd.Timestamp(moment, unit="s")
    found = [
        global_time_split(s, Splitting(time=text, validation=validation))
        for text in (f"{date:%F %T}", f"{date:%FT%T}")
    ]
    for name in ("train", "valid", "test"):
        one, other = (getattr(parts, name).tolist() for parts in found)
        assert one == other


@pytest.mark.parametrize("time", ["now", "today", "NaT", " 2017-07-23", "quantile  0.9", "x"])
def test_what_is_no_fixed_moment_is_no_cut(time):
    with pytest.raises(SeqattnError, match="is neither like 'quantile"):
        Splitting(time=time)


def test_rows_equal_in_time_and_order_are_tied_under_a_split_in_time():
    table = {"user": 1, "item": list("abcd"), "timestamp": [5, 5, 5, 1], "order": [2, 2, 1, 9]}
    ordered = with_times(Interactions.from_frame(pd.DataFrame(table)))
    assert ordered.frame["order"].rank(method="dense").tolist() == [3, 3, 2, 1]


def test_a_given_validation_is_not_replaced_by_the_last():
    frame = pd.DataFrame({"user": 1, "item": list("abcd"), "timestamp": range(4)})
    log = Interactions.from_frame(frame.assign(part=["train", "train", "valid", "test"]))
    how = Splitting(given=True, validation="last")
    with pytest.raises(SeqattnError, match=r"validation: last takes .* leave one of the two out"):
        Dataset.from_interactions(log, replace(ENTRY, splitting=how))


def test_validation_by_users_asks_a_tenth_of_them_and_leaves_these_out_of_training():
    """Of the few users of the property tests above none is ever drawn."""
    s = timed([(user, 1 + t, t) for user in range(200) for t in range(10)])
    parts = global_time_split(s, Splitting(time="quantile 0.7", validation="user"))
    held = np.random.default_rng(2020).random(200) < 0.1
    assert s.user_of_row[parts.valid].tolist() == np.flatnonzero(held).tolist()
    cut = np.quantile(s.timestamp, 0.7)
    assert np.array_equal(parts.train, (s.timestamp <= cut) & ~held[s.user_of_row])
    last = s.timestamp[s.timestamp <= cut].max()
    assert (s.timestamp[parts.valid] == last).all()
