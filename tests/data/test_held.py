"""The log that intensity drives: its story, and what can be known of the next item."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from small_logs import PROPERTY

from seqattn.data import CATALOGUE, Dataset, held_log, load_dataset, prepare
from seqattn.data.held import FOLLOW, HELD_MINUTES, chances, held_last, knowing_items
from seqattn.errors import SeqattnError
from seqattn.studies import positive_control


@PROPERTY
@given(st.integers(1, 20), st.integers(0, 99))
def test_every_history_has_fifteen_items_without_repeats(n_users, seed):
    frame = held_log(n_users, seed).frame
    assert not frame.duplicated(["user", "item"]).any()
    assert (frame["user"].value_counts() == 15).all() and frame["user"].nunique() == n_users
    assert (frame["intensity"] > 0).all()
    pd.testing.assert_frame_equal(frame, held_log(n_users, seed).frame)


def test_half_of_all_items_hold_and_hardly_any_intensity_is_between():
    minutes = held_log(300).frame["intensity"].to_numpy()
    n_held = int((minutes > HELD_MINUTES).sum())
    assert stats.binomtest(n_held, len(minutes), 0.5).pvalue > 1e-3
    assert ((minutes > 12) & (minutes < 18)).mean() < 1e-3


def test_the_next_item_follows_what_held_last_in_80_of_100_and_what_was_left_by_chance():
    frame = held_log(600).frame
    by_last, by_left, n = 0, 0, 0
    for _, rows in frame.groupby("user"):
        items, minutes = rows["item"].to_numpy().astype(int), rows["intensity"].to_numpy()
        if minutes[-2] > HELD_MINUTES:
            continue  # then the last item is what held last
        n += 1
        follows = (items[:-1, None] + FOLLOW) % 200
        last = held_last(items[:-1], minutes[:-1])
        by_last += items[-1] in (last + FOLLOW) % 200
        by_left += items[-1] in follows[-1]
    # Of the other fifth, five of some 186 items follow it all the same.
    assert stats.binomtest(by_last, n, 0.8 + 0.2 * 5 / 186).pvalue > 1e-3
    assert by_left / n < 0.15


@given(st.lists(st.integers(0, 199), min_size=1, max_size=40, unique=True), st.data())
def test_chances_are_a_distribution_over_new_items(items, data):
    source = data.draw(st.sampled_from(items))
    for chance_V in (chances(source, items, 200), knowing_items(np.array(items), 200)):
        assert chance_V.sum() == pytest.approx(1) and (chance_V >= 0).all()
        assert chance_V[items].sum() == 0


def test_who_sees_items_alone_infers_what_held_by_summing_over_all_that_may_have():
    """Against the sum over all 2^T ways in which the items of a history may have held."""
    items = np.array([5, 36, 78, 67, 37, 140])
    total_V = np.zeros(200)
    for held in itertools.product([False, True], repeat=len(items)):
        minutes = np.where(held, 60.0, 3.0)
        weight = 1.0
        for step in range(1, len(items)):
            source = held_last(items[:step], minutes[:step])
            weight *= chances(source, items[:step], 200)[items[step]]
        total_V += weight * chances(held_last(items, minutes), items, 200)
    assert knowing_items(items, 200) == pytest.approx(total_V / total_V.sum())


def test_no_ranking_beats_that_of_the_story_and_minutes_are_worth_much():
    few = Dataset.from_interactions(held_log(300), CATALOGUE["synthetic-held"])
    told = {name: values_U.mean() for name, values_U in positive_control._by_target(few).items()}
    assert 1.15 * told["sees_items"] < told["sees_minutes"] < 1


def test_equal_items_are_ranked_in_any_order():
    dcg = 1 / np.log2(np.arange(2, 12))
    one = np.zeros(50)
    one[3] = 1
    assert positive_control._expected(one, 3) == 1 and positive_control._expected(
        one, 4
    ) == pytest.approx(dcg[1:].sum() / 49)
    assert positive_control._expected(np.ones(50) / 50, 7) == pytest.approx(dcg.sum() / 50)


def test_the_log_is_in_the_catalogue_and_survives_the_five_core():
    log = held_log()
    assert len(prepare(log)) == len(log) == 30_000
    data = load_dataset("synthetic-held")
    assert (data.n_users, data.sequences.n_items, data.has_intensity) == (2_000, 200, True)


def test_a_log_without_users_is_refused():
    with pytest.raises(SeqattnError, match="n_users = 0 is too small"):
        held_log(n_users=0)


def test_same_seed_gives_the_same_held_log_and_another_seed_another():
    one, again, other = (held_log(5, seed).frame for seed in (1, 1, 2))
    assert one.equals(again) and not one.equals(other)
