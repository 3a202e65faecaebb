"""What becomes of repeated interactions, against pandas, and ties that no file decides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import PROPERTY, log, rows

from seqattn.data import Dataset, Entry, Interactions, Preparation, merge_repeats
from seqattn.data.repeats import POLICIES
from seqattn.errors import SeqattnError

LEAVING_ONE = [policy for policy in POLICIES if policy not in ("keep", "error")]
OF_GROUP = {"sum": "sum", "max": "max", "mean": "mean", "count": "size"}


def entry(**how: object) -> Entry:
    return Entry("mine", "Mine", "plays", "plays", licence="none", preparation=Preparation(**how))


def with_values(table: list[tuple], values: list[int]) -> Interactions:
    """A log in which equal rows may have equal intensities."""
    frame = log(table, intensity=False).frame
    return Interactions.from_frame(frame.assign(intensity=np.resize(values, len(frame))))


def by_pandas(frame: pd.DataFrame, policy: str, keys: list[str]) -> pd.DataFrame:
    """What a policy leaves, in file order, by a stable sort and a groupby."""
    ordered = frame.assign(row=range(len(frame))).sort_values("timestamp", kind="stable")
    groups = ordered.groupby(keys, sort=False)
    left = groups.head(1) if policy == "first" else groups.tail(1)
    if policy in OF_GROUP:
        values = groups["intensity"].transform(OF_GROUP[policy])
        left = left.assign(intensity=values[left.index].astype(float))
    return left.sort_values("row").drop(columns="row").reset_index(drop=True)


VALUES = st.lists(st.integers(0, 3), min_size=1, max_size=7)


@PROPERTY
@given(rows(), VALUES, st.sampled_from(LEAVING_ONE))
def test_a_policy_for_all_repeats_equals_pandas_groupby(table, values, policy):
    before = with_values(table, values)
    found = merge_repeats(before, policy, policy)
    expected = by_pandas(before.frame, policy, ["user", "item"])
    pd.testing.assert_frame_equal(found.frame, expected, rtol=1e-12)
    assert len(found.steps) == len(before.steps) + 1


@PROPERTY
@given(rows(max_time=2), VALUES, st.sampled_from(LEAVING_ONE), st.sampled_from(LEAVING_ONE))
def test_exact_copies_and_repeated_pairs_have_policies_of_their_own(table, values, exact, pairs):
    before = with_values(table, values)
    found = merge_repeats(before, exact, pairs).frame
    expected = before.frame
    if exact != pairs:
        expected = by_pandas(expected, exact, ["user", "item", "timestamp", "intensity"])
    expected = by_pandas(expected, pairs, ["user", "item"])
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


@PROPERTY
@given(rows(), VALUES)
def test_keep_keeps_all_and_error_refuses_exactly_what_has_repeats(table, values):
    before = with_values(table, values)
    pd.testing.assert_frame_equal(merge_repeats(before, "keep", "keep").frame, before.frame)
    copies, pairs = before.frame.duplicated(), before.frame.duplicated(["user", "item"])
    for policies, repeated in ((("error", "keep"), copies), (("error", "error"), pairs)):
        if repeated.any():
            with pytest.raises(SeqattnError, match="remove them, or choose another policy"):
                merge_repeats(before, *policies)
        else:
            assert len(merge_repeats(before, *policies)) == len(before)


def test_the_first_repeat_is_named_with_its_number():
    with pytest.raises(SeqattnError, match="duplicates, the first of user 2 with item 5, 3 times;"):
        merge_repeats(log([(1, 5, 0), (2, 5, 1), (2, 5, 1), (2, 5, 9)]), "error", "error")


def test_93_hours_of_one_pair_stay_93_hours():
    hours = pd.DataFrame({"user": 1, "item": 1, "timestamp": [3, 1, 2], "intensity": [3, 60, 30]})
    found = merge_repeats(Interactions.from_frame(hours), "sum", "sum").frame
    assert found.to_dict("records") == [{"user": 1, "item": 1, "intensity": 93, "timestamp": 3}]


def test_counting_makes_an_intensity_where_there_is_none():
    found = merge_repeats(log([(1, 1, 0), (1, 2, 1), (1, 1, 2)], intensity=False), "count", "count")
    assert found.has_intensity
    assert found.frame["intensity"].tolist() == [1, 2]


def test_a_sum_beyond_32_bit_floats_is_refused():
    frame = pd.DataFrame({"user": 1, "item": 1, "timestamp": 1, "intensity": [3e38, 3e38]})
    with pytest.raises(SeqattnError, match="overflows 32-bit floats"):
        merge_repeats(Interactions.from_frame(frame), "sum", "sum")


@pytest.mark.parametrize("policy", ["sum", "max", "mean"])
def test_a_policy_of_the_intensity_needs_one(policy):
    with pytest.raises(SeqattnError, match=f"duplicates: {policy} needs an intensity"):
        merge_repeats(log([(1, 1, 0)], intensity=False), policy, policy)


def test_steps_are_named_after_policies():
    table = log([(1, 1, 0), (1, 1, 0), (1, 2, 3)])
    names = [merge_repeats(table, "latest", p).steps[-1].name for p in POLICIES[:-1]]
    assert names == [
        "keep latest duplicate",
        "keep first repeated pair",
        "sum repeated pairs",
        "maximum of repeated pairs",
        "mean of repeated pairs",
        "count repeated pairs",
        "keep repeated pairs",
    ]
    assert merge_repeats(table, "first", "sum").steps[-2].name == "keep first exact copy"


def test_missing_times_of_two_copies_are_equal():
    frame = pd.DataFrame({"user": 1, "item": 1, "timestamp": [np.nan] * 2, "order": [1, 1]})
    assert len(merge_repeats(Interactions.from_frame(frame), "latest", "keep")) == 1


def test_every_policy_is_another_fingerprint_and_the_default_is_that_of_before():
    table = log([(user, item, item) for user in range(6) for item in range(6)])
    prints = {
        Dataset.from_interactions(table, entry(exact=exact, pairs=pairs)).fingerprint
        for exact in POLICIES
        for pairs in POLICIES
    }
    assert len(prints) == len(POLICIES) ** 2
    assert entry().preparation.options() == {"core": 5, "duplicates": "latest"}


@PROPERTY
@given(rows(max_users=3, max_time=2), VALUES, st.sampled_from([*LEAVING_ONE, "keep"]), st.data())
def test_with_ties_by_item_the_order_of_rows_decides_nothing(table, values, policy, data):
    table += [(user, item, 1) for user in (1, 2, 3) for item in (1, 2, 3)]
    before = with_values(table, values)
    order = np.array(data.draw(st.permutations(range(len(before)))))
    how = entry(core=3, exact=policy, pairs=policy, ties="item-id")
    prints = {
        Dataset.from_interactions(each, how).fingerprint
        for each in (before, before.take(order, "shuffle"))
    }
    assert len(prints) == 1


def test_ties_by_item_are_in_the_order_of_ids():
    table = [(1, item, time) for time in (1, 0) for item in (3, 10, 2)]
    prepared = Dataset.from_interactions(log(table), entry(core=1, pairs="keep", ties="item-id"))
    assert prepared.sequences.item_ids[prepared.sequences.items - 1].tolist() == [2, 3, 10] * 2
    assert prepared.fingerprint != (
        Dataset.from_interactions(log(table), entry(core=1, pairs="keep")).fingerprint
    )


@PROPERTY
@given(st.permutations(range(6)), st.sampled_from(["latest", "first"]), st.integers(0, 2))
def test_of_equal_times_the_later_part_of_a_given_split_is_the_later(order, policy, spread):
    part = ["train", "train", "valid", "test", "valid", "train"]
    frame = pd.DataFrame(
        {
            "user": [1, 1, 1, 1, 2, 2],
            "item": 7,
            "timestamp": [5, 5 - spread, 5, 5, 9, 9],
            "part": part,
        }
    )
    before = Interactions.from_frame(frame.iloc[order])
    left = merge_repeats(before, policy, policy).frame.set_index("user")["part"]
    assert left.to_dict() == ({1: 2, 2: 1} if policy == "latest" else {1: 0, 2: 0})


def test_a_column_of_parts_may_not_stand_twice():
    frame = pd.DataFrame([[1, 2, 3, "test", "test"]])
    frame.columns = ["user", "item", "timestamp", "part", "part"]
    with pytest.raises(SeqattnError, match="column 'part' appears twice"):
        Interactions.from_frame(frame)


def test_a_mean_is_over_the_rows_of_its_own_pair():
    table = [(1, 1, 1), (1, 1, 2), (1, 2, 3), (1, 2, 4), (1, 2, 5), (1, 3, 6)]
    frame = log(table, intensity=False).frame.assign(intensity=[1.0, 2, 3, 4, 8, 6])
    found = merge_repeats(Interactions.from_frame(frame), "mean", "mean").frame
    assert found["intensity"].tolist() == [1.5, 5, 6]
