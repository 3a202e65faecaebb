"""Preparation steps against naive references."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import PROPERTY, log, rows

from seqattn.data import (
    Interactions,
    Sequences,
    k_core,
    merge_repeats,
    prepare,
    sample_users,
    sort_by_time,
)
from seqattn.data.preparation import Preparation, drop_short
from seqattn.errors import SeqattnError


def keep_latest(table: Interactions) -> Interactions:
    return merge_repeats(table, "latest", "latest")


def naive_core(table: pd.DataFrame, k: int) -> pd.DataFrame:
    """Drop one thin user or item at a time."""
    while True:
        for column in ("user", "item"):
            counts = table[column].value_counts()
            thin = counts[counts < k].index
            if len(thin):
                table = table[table[column] != thin[0]]
                break
        else:
            return table


@PROPERTY
@given(rows(), st.integers(1, 6))
def test_k_core_equals_dropping_one_at_a_time(table, k):
    interactions = log(table)
    expected = naive_core(interactions.frame, k)
    if expected.empty:
        with pytest.raises(SeqattnError, match=f"no user left after step '{k}-core'"):
            k_core(interactions, k)
    else:
        found = k_core(interactions, k).frame
        pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))


@PROPERTY
@given(rows(max_users=12, max_items=12), st.integers(1, 4))
def test_k_core_equals_networkx_on_the_bipartite_graph(table, k):
    networkx = pytest.importorskip("networkx")
    pairs = sorted({(user, item) for user, item, _ in table})
    graph = networkx.Graph([(("user", user), ("item", item)) for user, item in pairs])
    expected = {
        (user, item)
        for user, item in pairs
        if networkx.k_core(graph, k).has_edge(("user", user), ("item", item))
    }
    try:
        core = k_core(log([(user, item, 0) for user, item in pairs]), k).frame
    except SeqattnError:
        core = pd.DataFrame({"user": [], "item": []})
    assert set(zip(core["user"], core["item"], strict=True)) == expected


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "5"])
def test_k_core_refuses_a_size_that_is_not_a_positive_integer(k):
    with pytest.raises(SeqattnError, match="not a positive integer"):
        k_core(log([(1, 1, 0)]), k)


def test_filter_that_leaves_nobody_names_source_step_and_sizes():
    interactions = Interactions.from_frame(log([(1, 1, 0), (2, 1, 0)]).frame, source="mine.csv")
    with pytest.raises(SeqattnError, match=r"mine\.csv: no user left .*'5-core'.* 2 interactions"):
        k_core(interactions)


@PROPERTY
@given(rows())
def test_latest_duplicate_equals_a_loop_over_rows(table):
    latest: dict[tuple, int] = {}
    for row, (user, item, time) in enumerate(table):
        if (user, item) not in latest or time >= table[latest[user, item]][2]:
            latest[user, item] = row
    kept = keep_latest(log(table)).frame
    assert (kept["intensity"] - 1).tolist() == sorted(latest.values())


def test_of_duplicates_at_one_time_the_last_in_file_order_is_kept():
    kept = keep_latest(log([(1, 1, 5), (1, 1, 5), (1, 1, 4)])).frame
    assert kept["intensity"].tolist() == [2.0]


@PROPERTY
@given(rows(max_time=2))
def test_sort_by_time_equals_pythons_stable_sort(table):
    expected = sorted(range(len(table)), key=lambda row: (table[row][0], table[row][2]))
    assert (sort_by_time(log(table)).frame["intensity"] - 1).tolist() == expected


def test_ties_stay_in_file_order_in_a_long_history():
    # Long enough for an unstable sort to leave insertion sort and scramble ties.
    items = np.random.default_rng(0).permutation(5_000)
    table = [(1, int(item), 0) for item in items]
    assert sort_by_time(log(table)).frame["item"].tolist() == items.tolist()


def test_prepare_counts_every_step():
    everyone = [(user, item, 0) for user in range(5) for item in range(5)]
    prepared = prepare(log([*everyone, (0, 0, 1), (9, 9, 0)]))
    assert [(step.name, step.interactions) for step in prepared.steps] == [
        ("read", 27),
        ("keep latest duplicate", 26),
        ("sort by time", 26),
        ("5-core", 25),
    ]


def ordered(rows: list[tuple]) -> Interactions:
    """A log of (user, item, order) rows; None is an unknown place."""
    return Interactions.from_frame(pd.DataFrame(rows, columns=["user", "item", "order"]))


@PROPERTY
@given(rows(), st.integers(1, 5))
def test_one_pass_counts_the_log_as_it_is(table, k):
    interactions = log(table)
    frame = interactions.frame
    sizes = [frame.groupby(name)[name].transform("size") for name in ("user", "item")]
    expected = frame[(sizes[0] >= k) & (sizes[1] >= k)]
    if expected.empty:
        with pytest.raises(SeqattnError, match=f"no user left after step '{k}-core, one pass'"):
            k_core(interactions, k, iterative=False)
    else:
        found = k_core(interactions, k, iterative=False).frame
        pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))


def test_one_pass_leaves_what_became_thin():
    table = [(1, 1, 0), (1, 2, 0), (2, 1, 0), (2, 3, 0), (3, 3, 0), (3, 4, 0), (4, 4, 0)]
    assert len(k_core(log(table), 2, iterative=False)) == 5
    with pytest.raises(SeqattnError, match="no user left"):
        k_core(log(table), 2)


def test_an_order_takes_the_place_of_time():
    frame = pd.DataFrame(
        {"user": [1, 1, 1], "item": [1, 2, 3], "timestamp": [1.0, 2, 3], "order": [2, 1, 0]}
    )
    interactions = Interactions.from_frame(frame)
    assert sort_by_time(interactions).frame["item"].tolist() == [3, 2, 1]


def test_the_latest_duplicate_is_that_of_the_order():
    kept = keep_latest(ordered([(1, 1, 5), (1, 1, 3), (1, 2, 4)])).frame
    assert kept["order"].tolist() == [5, 4]


def test_an_unknown_place_sorts_last():
    table = sort_by_time(ordered([(1, 1, None), (1, 2, 7), (2, 1, None), (2, 3, 0)])).frame
    assert table["item"].tolist() == [2, 1, 3, 1]


def test_unknown_places_that_the_filter_drops_do_no_harm():
    everyone = [(user, item, item) for user in range(5) for item in range(5)]
    assert len(prepare(ordered([*everyone, (0, 99, None)]))) == 25


def test_unknown_places_that_remain_are_one_error_with_their_number():
    everyone = [(user, item, item) for user in range(5) for item in range(5)]
    everyone[3:5] = [(0, 3, None), (0, 4, None)]
    with pytest.raises(SeqattnError, match=r"place of 2 interactions .* user 0 with item 3;"):
        prepare(ordered(everyone))
    with pytest.raises(SeqattnError, match="place of 2 interactions"):
        Sequences.from_interactions(ordered(everyone))


def test_a_log_without_chronology_cannot_be_ordered():
    frame = pd.DataFrame({"user": [1], "item": [1]})
    diagnostics = Interactions.from_frame(frame, chronological=False)
    for step in (sort_by_time, keep_latest, Sequences.from_interactions):
        with pytest.raises(SeqattnError, match="neither timestamps nor an order"):
            step(diagnostics)


@PROPERTY
@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_sample_keeps_whole_histories_and_does_not_depend_on_row_order(n, random):
    rows = [(user, item, item) for user in range(12) for item in range(3 + user % 8)]
    shuffled = random.sample(rows, len(rows))
    found = sample_users(log(shuffled, intensity=False), n).frame
    again = sample_users(log(rows, intensity=False), n).frame
    assert set(found["user"]) == set(again["user"])
    assert found["user"].nunique() == n
    assert found["user"].value_counts().min() >= 5
    lengths = pd.Series([user for user, _, _ in rows]).value_counts()
    assert all(lengths[user] == count for user, count in found["user"].value_counts().items())


def test_a_sample_is_the_documented_draw():
    rows = [(user, item, item) for user in range(40) for item in range(5)]
    rows += [(99, 1, 1)]
    drawn = np.random.default_rng(2020).choice(40, 7, replace=False)
    assert set(sample_users(log(rows), 7).frame["user"]) == set(drawn)


@pytest.mark.parametrize("n", [0, 2])
def test_a_sample_larger_than_the_pool_is_refused(n):
    with pytest.raises(SeqattnError, match=f"cannot draw {n} users: 1 have at least 5"):
        sample_users(log([(1, item, 0) for item in range(5)]), n)


def test_one_pass_by_hand():
    """Item 3 has one interaction and user 3 one; without item 3 user 2 is thin and stays."""
    table = [(1, 1, 0), (1, 2, 1), (1, 4, 2), (2, 1, 0), (2, 3, 1), (3, 2, 0), (4, 4, 0), (4, 1, 1)]
    once = k_core(log(table), 2, iterative=False)
    kept = list(once.frame[["user", "item"]].itertuples(index=False, name=None))
    assert kept == [(1, 1), (1, 2), (1, 4), (2, 1), (4, 4), (4, 1)]
    assert once.steps[-1].name == "2-core, one pass"
    again = k_core(log(table), 2).frame
    assert list(again[["user", "item"]].itertuples(index=False, name=None)) == [
        (1, 1),
        (1, 4),
        (4, 4),
        (4, 1),
    ]


@PROPERTY
@given(rows(), st.integers(1, 5))
def test_one_pass_is_the_k_core_where_what_it_leaves_is_thick_enough(table, k):
    interactions = log(table)
    try:
        once = k_core(interactions, k, iterative=False).frame
    except SeqattnError:
        return
    least = min(once[name].value_counts().min() for name in ("user", "item"))
    if least < k:
        try:
            assert len(k_core(interactions, k)) < len(once)
        except SeqattnError:
            return
    else:
        pd.testing.assert_frame_equal(k_core(interactions, k).frame, once)


def test_a_single_pass_and_what_it_leaves_are_counted_steps():
    table = [(1, item, item) for item in range(4)] + [(2, item, item) for item in (0, 1, 4)]
    table += [(3, item, item) for item in (2, 3, 4)]
    how = Preparation(core=2, iterative=False, history=3)
    prepared = prepare(log([*table, (2, 9, 9), (4, 0, 0), (5, 8, 0), (5, 9, 1)]), how)
    steps = [(step.name, step.users, step.items) for step in prepared.steps[-2:]]
    assert steps == [("2-core, one pass", 4, 6), ("histories of at least 3", 3, 6)]


def test_a_filter_of_histories_that_leaves_nobody_is_refused():
    with pytest.raises(SeqattnError, match="no user left after step 'histories of at least 9'"):
        drop_short(log([(1, 1, 0), (1, 2, 0)]), 9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ties": "item_id"}, "ties 'item_id' is unknown; use file or item-id"),
        ({"exact": "lates"}, "duplicates: 'lates' is unknown; choose one of latest"),
        ({"pairs": "add"}, "duplicates: 'add' is unknown"),
        ({"core": 0}, "filters: k_core must be at least 1"),
        ({"history": -2}, "and users and history at least 0"),
        ({"subsample": -1}, "and users and history at least 0"),
    ],
)
def test_a_preparation_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(SeqattnError, match=message):
        Preparation(**wrong)


def test_users_are_drawn_before_the_filter_and_their_items_are_filtered_after():
    table = log([(user, item, item) for user in range(20) for item in range(5)])
    table = prepare(table, Preparation(subsample=7, core=5, exact="keep", pairs="keep"))
    names = [step.name for step in table.steps]
    assert names[-2:] == ["sample 7 users", "5-core"]
    assert table.frame["user"].nunique() == 7
