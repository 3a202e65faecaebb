"""The whole audit on a toy log with hand-known flaws, and its file."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import yaml
from audit_logs import TOY, entry, prepared, table
from hypothesis import given, settings
from hypothesis import strategies as st

from seqattn.audit import CHECKS, Check, audit, tied_tests, value_text
from seqattn.audit.intensity import constant_share
from seqattn.audit.statistics import order_of, tie_effects
from seqattn.cli.arguments import parser
from seqattn.data import CATALOGUE, Dataset, Interactions, Preparation, synthetic_log
from seqattn.data.own import OwnYaml
from seqattn.data.splits import Splitting
from seqattn.errors import SeqattnError


@pytest.fixture(scope="module")
def toy():
    return audit(*prepared(table()))


def value(found, check: str) -> float:
    return found.findings.set_index("check").loc[check, "value"]


def light(found, check: str) -> str:
    return found.findings.set_index("check").loc[check, "light"]


def test_core_statistics_equal_plain_pandas(toy):
    frame = table()
    sizes = frame.groupby("user").size()
    raw = toy.core["as read"]
    assert raw["interactions"] == len(frame) == 13
    assert raw["density"] == pytest.approx(13 / (3 * 6))
    assert raw["median length"] == sizes.median()
    assert raw["users with fewer than 5"] == (sizes < 5).mean() == pytest.approx(2 / 3)
    assert raw["mean item popularity"] == frame["item"].value_counts().mean()
    assert toy.core.loc["interactions", "prepared"] == 12


def test_distributions_equal_pandas_quantiles(toy):
    frame = table().drop(8).sort_values(["user", "timestamp"], kind="stable")
    gaps = frame.groupby("user")["timestamp"].diff().dropna()
    found = toy.distributions.loc[("gap, seconds", "prepared")]
    assert found["n"] == len(gaps)
    assert (found["min"], found["75%"], found["max"]) == (
        gaps.min(),
        gaps.quantile(0.75),
        gaps.max(),
    )


def test_repeats_ties_and_stamps_are_those_of_the_toy_log(toy):
    assert toy.repeats["as read"].tolist() == pytest.approx([1 / 13, 0, 0])
    assert toy.stamps.loc["tied"].tolist() == pytest.approx([4 / 13, 2 / 12])
    assert toy.stamps.loc["users with ties"].tolist() == pytest.approx([2 / 3, 1 / 3])
    # Users 1 and 2 need half a minute, user 3 five minutes.
    assert toy.stamps.loc["within a minute", "prepared"] == pytest.approx(2 / 3)
    assert toy.stamps.loc["within an hour", "prepared"] == 1
    # User 2's c and e stand in the order of their ids already.
    assert toy.ties["by timestamp"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1, 0, 0])


def test_leave_one_out_table_holds_the_leaks_worked_out_by_hand(toy):
    test, valid = toy.split["test"], toy.split["valid"]
    assert test["cold items"] == pytest.approx(2 / 3)  # e and f
    assert test["distinct cold items"] == 2
    # Only d@30 of user 1 has training events of others after it: d@100, a@110 of four.
    assert test["older than training"] == pytest.approx(1 / 3)
    assert test["future training"] == pytest.approx((2 / 4) / 3)
    assert test["before 10 %"] == test["before 50 %"] == pytest.approx(1 / 3)
    assert test["not yet born"] == pytest.approx(1 / 3)  # d is first trained on at 100
    assert test["perhaps not yet born"] == 0
    assert test["training in test period"] == pytest.approx(2 / 6)
    assert valid["cold items"] == valid["not yet born"] == 0
    assert valid["older than training"] == pytest.approx(1 / 3)


def test_side_by_side_has_both_splits_with_and_without_core():
    # Stamps 0 5 10 15 20 30 100 110 120 120 200 300: the 0.7 quantile is 117, of the eight up to
    # it 29. Training: a@0 b@10 c@20 | | b@5 c@15; validation: d of user 1, a of user 2; test: e
    # of user 2, who is not trained on, and f of user 3.
    log = Interactions.from_frame(table())
    in_time = replace(entry(), splitting=Splitting(time="quantile 0.7"))
    found = audit(log, Dataset.from_interactions(log, in_time))
    row = found.splits.loc[("global time, 0.7", "prepared")]
    assert (row["training interactions"], row["validation targets"], row["targets"]) == (5, 2, 2)
    assert row["future training"] == row["older than training"] == 0
    assert (row["cold items"], row["cold users"]) == (1, 1 / 2)
    assert set(found.splits.index.get_level_values("log")) == {"prepared", "without k-core"}
    assert len(found.splits) == 5  # beside leave-one-out, 0.9 of both, and the dataset's own


def test_findings_carry_value_thresholds_light_and_advice(toy):
    always = [check.key for check in CHECKS]
    assert toy.findings["check"].tolist() == always
    assert value(toy, "not_yet_born") == pytest.approx(1 / 3)
    assert light(toy, "not_yet_born") == "red"
    assert light(toy, "stamps_missing") == "green"
    assert value(toy, "interactions_lost") == 0
    assert (toy.findings["advice"].str.len() > 10).all()
    assert toy.table()["light"].iloc[0] == "red"


# Lines of a dataset's YAML that the advice names.
YAML_KEYS = {field.name for field in fields(OwnYaml)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.key)
@pytest.mark.parametrize("intensity", [True, False])
def test_every_advice_names_a_command_or_a_line_of_yaml_that_exists(check, intensity):
    advice = check.told("ml-100k", intensity)
    named = re.findall("`([^`]+)`", advice)
    assert named and "NAME" not in advice
    if not intensity:
        assert not {"ia-add", "ia-mul", "sum"} & {*re.findall(r"[\w-]+", advice)}
    for text in named:
        if text.startswith("seqattn "):
            assert parser().parse_args(text.split()[1:]).verb
        else:
            assert set(yaml.safe_load(text)) <= YAML_KEYS


def test_a_log_of_its_own_order_needs_no_stamps():
    frame = table().drop(columns="timestamp").assign(order=range(len(table())))
    found = audit(Interactions.from_frame(frame))
    assert light(found, "stamps_missing") == "grey"
    assert found.stamps.loc["missing", "as read"] == 1


@pytest.mark.parametrize(
    ("value", "text"), [(7051.0, "7,051"), (80.0, "80"), (0.12345, "0.123"), (0.0, "0")]
)
def test_a_count_of_thousands_is_told_whole(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("amber", "red", "lights"),
    [(5, 10, "green green amber amber red"), (10, 5, "red amber amber green green")],
)
def test_light_changes_beyond_a_threshold_not_at_it(amber, red, lights):
    check = Check("k", "t", amber, red, "Act.")
    assert [check.light(v) for v in (4, 5, 6, 10, 11)] == lights.split()
    assert check.light(float("nan")) == "grey"


def test_little_is_bad_of_users_and_of_history_and_much_of_all_else():
    low_is_bad = {check.key for check in CHECKS if check.red < check.amber}
    assert low_is_bad == {"median_length", "test_users"}
    assert all(check.red != check.amber for check in CHECKS)


@settings(max_examples=8)
@given(st.randoms(use_true_random=False))
def test_renaming_users_changes_no_finding(random):
    frame = synthetic_log(n_users=30).frame
    names = list(range(1, 31))
    random.shuffle(names)
    renamed = frame.assign(user=frame["user"].map(dict(enumerate(names, start=1))))
    lights = []
    for each in (frame, renamed):
        log = Interactions.from_frame(each)
        lights.append(audit(log, Dataset.from_interactions(log, CATALOGUE["synthetic"])).findings)
    pd.testing.assert_frame_equal(*lights, rtol=1e-12)


def test_log_without_chronology_is_audited_without_a_dataset():
    frame = table().drop(columns="timestamp")
    found = audit(Interactions.from_frame(frame, source="plays.csv", chronological=False))
    assert (found.name, found.fingerprint) == ("plays.csv", None)
    assert light(found, "repeats") == "amber"
    grey = ("tied", "tie_targets", "not_yet_born", "test_users", "stamps_missing")
    assert {light(found, check) for check in grey} == {"grey"}
    assert found.split.empty and found.splits.empty
    # No command that cannot be followed: nothing is fitted on such a log.
    assert light(found, "median_length") == "red"
    assert "nothing can be fitted" in advice(found, "median_length")
    assert not found.findings["advice"].str.contains("seqattn fit|seqattn metrics|NAME").any()


def test_a_log_is_called_by_its_name_where_it_has_no_dataset():
    frame = table()
    frame.loc[0, "item"] = None
    log = Interactions.from_frame(frame, drop_incomplete=True)
    assert "`seqattn prepare mine` again" in advice(audit(log, reference="mine"), "rows_incomplete")


def test_ties_are_said_to_be_decided_by_what_decides_them():
    frame = pd.concat([table().assign(timestamp=lambda f: f["timestamp"] // 1000 * 1000)] * 1)
    by_file = audit(*prepared(frame))
    assert light(by_file, "tied") == "red" and "The file decides" in advice(by_file, "tied")
    by_order = audit(*prepared(frame.assign(order=range(len(frame)))))
    assert light(by_order, "tied") == "red"  # of the stamps, which is so
    assert "own order decides" in advice(by_order, "tied")
    assert "The file" not in " ".join(by_order.findings["advice"])
    log, dataset = prepared(frame)
    how = replace(dataset.entry.preparation, ties="item-id")
    by_id = Dataset.from_interactions(log, replace(dataset.entry, preparation=how))
    assert "so that no file does" in advice(audit(log, by_id), "tied")


def test_a_few_stamps_of_seconds_are_not_taken_for_dates():
    assert light(audit(*prepared(table())), "day_resolution") == "grey"


def test_log_with_an_order_and_no_stamps_is_audited_by_its_order():
    frame = table().assign(order=lambda f: f["timestamp"]).drop(columns="timestamp")
    found = audit(*prepared(frame))
    assert found.ties["by order"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1, 0, 0])
    assert value(found, "tie_targets") == pytest.approx(1 / 3)
    assert found.splits.index.get_level_values("split").unique().tolist() == ["leave-one-out"]
    assert light(found, "future_training") == "grey"
    assert value(found, "cold_items") == pytest.approx(2 / 3)


def test_an_order_without_ties_and_without_stamps_has_no_light_of_ties():
    frame = table().assign(order=range(len(table()))).drop(columns="timestamp")
    found = audit(*prepared(frame))
    assert found.ties.loc["users judged"].tolist() == [1, 0]
    assert np.isnan(value(found, "tie_targets")) and light(found, "tie_targets") == "grey"
    assert advice(found, "tie_targets").startswith("Not judged")
    stamped = audit(*prepared(table().assign(order=range(len(table())))))
    assert light(stamped, "tie_targets") == "red"  # the stamps judge, whatever the order says


def test_order_table_holds_the_shares_worked_out_by_hand(toy):
    assert toy.order()["share"].tolist() == pytest.approx([1, 2 / 12, 2 / 12, 1, 1 / 3])


def test_order_table_leaves_out_what_needs_stamps_where_there_are_none():
    frame = table().assign(order=lambda f: f["timestamp"]).drop(columns="timestamp")
    shares = audit(*prepared(frame)).order()["share"]
    assert shares.to_dict() == pytest.approx(
        {
            "interactions with a timestamp": 0,
            "test targets that change when ties are reversed": 1 / 3,
        }
    )


def test_leakage_is_not_judged_where_stamps_are_missing():
    frame = table().assign(order=lambda f: f["timestamp"])
    frame.loc[[0, 1], "timestamp"] = np.nan
    found = audit(*prepared(frame))
    assert found.stamps.loc["missing", "as read"] == pytest.approx(2 / 13)
    assert light(found, "not_yet_born") == "grey"
    assert found.split.loc["not yet born", "test"] == pytest.approx(1 / 3)  # still in the table


def test_stamps_that_contradict_the_order_are_counted():
    frame = table([(1, item, time) for item, time in zip("abcd", (0, 30, 20, 40), strict=True)])
    found = audit(*prepared(frame.assign(order=range(4))))
    assert found.stamps.loc["against the order", "prepared"] == pytest.approx(1 / 3)


def test_log_without_intensity_leaves_only_its_checks_grey():
    found = audit(*prepared(table().drop(columns="intensity")))
    grey = found.findings.query("light == 'grey'")["check"].tolist()
    # The first for so few stamps.
    assert grey == ["day_resolution", "intensity_shift", "intensity_constant"]


def test_core_losses_are_those_of_the_last_step():
    # The 2-core drops user 9 with three items nobody else has, and e and f.
    frame = table([*TOY, *((9, item, 1) for item in "xyz")])
    found = audit(*prepared(frame, core=2))
    assert value(found, "users_lost") == pytest.approx(1 / 4)
    assert value(found, "interactions_lost") == pytest.approx(5 / 15)
    users = found.splits["users"]
    assert users["leave-one-out", "prepared"] == 3
    assert users["leave-one-out", "without k-core"] == 4


def test_rows_dropped_at_reading_are_a_finding():
    frame = table([*TOY, (None, "a", 7)])
    log = Interactions.from_frame(frame, drop_incomplete=True)
    assert value(audit(log), "rows_incomplete") == pytest.approx(1 / 14)
    assert light(audit(log), "rows_incomplete") == "red"


def test_json_holds_every_table_as_plain_numbers(toy):
    content = json.loads(toy.json())
    assert content["name"] == "toy" and content["fingerprint"] == toy.fingerprint
    rows = {row["check"]: row for row in content["findings"]}
    assert rows["not_yet_born"]["value"] == value(toy, "not_yet_born")
    back = pd.DataFrame(content["core"]).set_index("measure")
    pd.testing.assert_frame_equal(back, toy.core, check_names=False)
    assert {"split", "log", "future training"} <= content["splits"][0].keys()


def test_json_writes_nan_as_null_and_the_same_text_again():
    log, dataset = prepared(table().drop(columns="intensity"))
    first, second = (audit(log, dataset).json() for _ in range(2))
    assert first == second
    assert "NaN" not in first and "Infinity" not in first
    rows = {row["check"]: row for row in json.loads(first)["findings"]}
    assert rows["intensity_shift"]["value"] is None


@pytest.mark.parametrize("chronological", [True, False])
@pytest.mark.parametrize("everywhere", [0, 3])
def test_an_intensity_of_one_value_is_red_and_sends_to_its_column(everywhere, chronological):
    frame = table().assign(intensity=everywhere)
    if chronological:
        found = audit(*prepared(frame))
    else:
        frame = frame.drop(columns="timestamp")
        found = audit(Interactions.from_frame(frame, chronological=False))
    assert (value(found, "intensity_constant"), light(found, "intensity_constant")) == (1, "red")
    told = advice(found, "intensity_constant")
    assert "`columns: {intensity: COLUMN}`" in told and "equals sasrec" in told


def test_histories_of_one_intensity_are_amber_from_more_than_half_on():
    rows = [(user, item, 10 * user + at) for user in range(1, 5) for at, item in enumerate("abcd")]
    frame = table(rows)
    for constant, lights in ((2, ["green"]), (3, ["amber"]), (4, ["red"])):
        stars = frame["intensity"].mask(frame["user"] <= constant, frame["user"])
        found = audit(*prepared(frame.assign(intensity=stars))).findings
        assert found.query("check == 'intensity_constant'")["light"].tolist() == lights
    # Interactions count: many short histories of one intensity are a small part of a log.
    short = [(user, item, at) for user in range(10, 16) for at, item in enumerate("ab")]
    long = [(1, item, at) for at, item in enumerate("abcdefghijklmnopqrst")]
    log = Interactions.from_frame(table([*short, *long]).assign(intensity=[5.0] * 12 + [1, 2] * 10))
    assert constant_share(log) == pytest.approx(12 / 32)
    # A history of one interaction cannot vary, and is none of them.
    single = table([*((1, item, at) for at, item in enumerate("ab")), (2, "a", 1), (3, "a", 2)])
    log = Interactions.from_frame(single)
    assert light(audit(log), "intensity_constant") == "green"
    assert constant_share(log) == 0


def advice(found, check: str) -> str:
    return found.findings.set_index("check").loc[check, "advice"]


def test_the_light_of_repeats_counts_copies_and_pairs_apart(toy):
    assert advice(toy, "repeats").endswith(
        "Exact copies: 0; repeated pairs: 1 (duplicates: latest)."
    )
    frame = table().assign(intensity=2)
    copied = audit(*prepared(pd.concat([frame, frame.iloc[:2]])))
    assert advice(copied, "repeats").endswith(
        "Exact copies: 2; repeated pairs: 1 (duplicates: latest)."
    )
    assert "duplicates" not in advice(audit(*prepared(frame.drop(8))), "repeats")


def test_what_each_policy_would_leave_equals_preparing_with_it():
    frame = table()
    frame = pd.concat([frame, frame.iloc[:2]])
    log = prepared(frame)[0]
    found = audit(log).duplicates
    pairs = frame.groupby(["user", "item"])["intensity"]
    assert found.loc["sum"].tolist() == [12, frame["intensity"].sum(), pairs.sum().max()]
    assert found.loc["keep"].tolist() == [15, frame["intensity"].sum(), 13]
    assert found.loc["count"].tolist() == [12, 15, 2]
    assert found.loc["sum, copies once", "total"] == table()["intensity"].sum()
    assert found.loc["latest", "total"] == table().drop(8)["intensity"].sum()
    assert found.loc["first", "total"] == table().drop(11)["intensity"].sum()


def test_without_repeats_there_is_no_table_of_policies():
    assert audit(*prepared(table().drop(8))).duplicates.empty


def test_without_an_intensity_policies_differ_in_what_they_count():
    found = audit(*prepared(table().drop(columns="intensity"))).duplicates
    assert found.index.tolist() == ["latest", "first", "count", "keep"]
    assert found["total"].isna().tolist() == [True, True, False, True]


def reordered(frame: pd.DataFrame, ties: str):
    log = Interactions.from_frame(frame)
    how = Preparation(core=1, ties=ties)
    return log, Dataset.from_interactions(log, replace(entry(), preparation=how))


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_light_of_ties_says_what_the_order_of_rows_decides(random):
    rows = [(user, item, item // 3) for user in range(6) for item in range(7)]
    random.shuffle(rows)
    frame = table(rows)
    log, by_file = reordered(frame, "file")
    by_id = reordered(frame, "item-id")[1]
    found = audit(log, by_file)
    shares = [
        (by_file.sequences.items[at] != by_id.sequences.items[at]).mean()
        for at in (by_file.sequences.offsets[1:] - 1, by_file.sequences.offsets[1:] - 2)
    ]
    measures = [f"{stage} target changes by item id" for stage in ("test", "validation")]
    assert found.ties.loc[measures, "by timestamp"].tolist() == pytest.approx(shares)
    if sum(shares):
        assert f"{100 * shares[1]:.1f} % of validation targets" in advice(found, "tie_targets")
    assert "no order of rows decides" in advice(audit(log, by_id), "tie_targets")


def test_with_repeats_kept_ties_follow_the_explicit_order():
    frame = table().assign(order=lambda f: f["timestamp"])
    log = Interactions.from_frame(frame)
    kept = replace(entry(), preparation=Preparation(core=1, pairs="keep"))
    found = audit(log, Dataset.from_interactions(log, kept))
    assert found.ties["by order"].tolist() == found.ties["by timestamp"].tolist()


def test_losses_count_what_a_filter_of_histories_drops_after_the_core():
    """Of 4 users one is thin; one more has two interactions left and is dropped after the pass."""
    rows = [(user, item, 10 * user + at) for user in (1, 2) for at, item in enumerate("abc")]
    rows += [(3, item, 30 + at) for at, item in enumerate("abxy")] + [(4, "z", 40)]
    log = Interactions.from_frame(table(rows), source="toy.csv")
    how = Preparation(core=2, iterative=False, history=3)
    dataset = Dataset.from_interactions(log, replace(entry(), preparation=how))
    assert [step.users for step in dataset.steps[-3:]] == [4, 3, 2]
    assert value(audit(log, dataset), "users_lost") == pytest.approx(2 / 4)


def split_as(frame: pd.DataFrame, how: Splitting):
    log = Interactions.from_frame(frame)
    how_prepared = Preparation(core=1, exact="keep", pairs="keep")
    kept = replace(entry(), preparation=how_prepared, splitting=how)
    return log, Dataset.from_interactions(log, kept)


@pytest.mark.parametrize("ordered", [False, True])
def test_under_a_given_split_no_advice_is_to_write_another_in_its_place(ordered):
    frame = table().drop(8).sort_values(["user", "timestamp"], kind="stable", ignore_index=True)
    frame["part"] = frame.groupby("user").cumcount(ascending=False).map({0: "test", 1: "valid"})
    frame = frame.fillna({"part": "train"})
    frame = frame.assign(order=range(len(frame))) if ordered else frame
    found = audit(*split_as(frame, Splitting(given=True)))
    checks = ("older_than_training", "future_training", "not_yet_born")
    assert {light(found, check) for check in checks} <= {"amber", "red"}
    for check in checks:
        assert "in a second YAML, of another name" in advice(found, check)
        assert "in the place of the given one" in advice(found, check)
    alike = audit(*prepared(table()))  # the same targets, by leave-one-out
    assert value(alike, "not_yet_born") == value(found, "not_yet_born")
    assert not alike.findings["advice"].str.contains("given").any()
    assert not ordered or "own order decides" in advice(found, "tied")


def asked(dataset: Dataset, stage: str) -> dict[int, list[int]]:
    """The items asked of each user, in no order."""
    found: dict[int, list[int]] = {}
    split = dataset.split
    for user, item in zip(split.users(stage).tolist(), split.targets(stage), strict=True):
        found.setdefault(user, []).append(int(item))
    return found


def differing(one: Dataset, other: Dataset, stage: str) -> float:
    """Share of the targets of one dataset that are none of the other."""
    first, second = (asked(each, stage) for each in (one, other))
    left = sum((Counter(first[u]) - Counter(second.get(u, []))).total() for u in first)
    return left / sum(map(len, first.values()))


MOMENTS = st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=9), min_size=2, max_size=4).map(
    lambda users: [sorted(times) for times in users]
)
KINDS = [
    Splitting(),
    *(
        Splitting(time="quantile 0.6", target=target, validation=validation)
        for target in ("last", "first", "random", "all")
        for validation in ("time", "last")
    ),
    Splitting(given=True),
    Splitting(given=True, validation="last"),
]


@settings(max_examples=25, deadline=None)
@given(MOMENTS, st.booleans(), st.randoms(use_true_random=False))
@pytest.mark.parametrize("how", KINDS, ids=lambda how: f"{how.words}, {how.validation}")
def test_the_lights_of_ties_equal_splitting_again_with_ties_reversed(how, moments, ordered, random):
    rows = [
        (user, 10 * user + n, t) for user, times in enumerate(moments) for n, t in enumerate(times)
    ]
    frame = table(rows)
    items = frame["item"].to_numpy().copy()
    random.shuffle(items)
    frame["item"] = items
    if ordered and not how.time:
        frame = frame.assign(order=frame["timestamp"])
    if how.given:
        names = ["train"] * 3 + (["train"] if how.validation == "last" else ["valid"])
        frame["part"] = [
            (names + ["test"] * len(times))[n] for times in moments for n in range(len(times))
        ]
    try:
        log, dataset = split_as(frame, how)
        again = split_as(frame.iloc[::-1], how)[1]
        by_id = split_as(frame.sort_values("item", kind="stable"), how)[1]
    except SeqattnError:
        return  # nobody has a target
    order, part = order_of(log, dataset)  # not the whole audit, which takes ten times as long
    when = dataset.sequences.timestamp if order is None else order
    ties = tie_effects(dataset.split, when, part)
    for stage, name in (("test", "test"), ("valid", "validation")):
        assert ties[f"{name} target changes"] == pytest.approx(differing(dataset, again, stage))
        by_item = ties[f"{name} target changes by item id"]
        assert by_item == pytest.approx(differing(dataset, by_id, stage))
    before, after = (asked(each, "test") for each in (dataset, again))
    changed = {u for u in before if Counter(before[u]) != Counter(after[u])}
    assert changed <= {*np.flatnonzero(tied_tests(log, dataset))}
    # Of a history that begins after the cut, the first item is asked of nobody, and ties say which.
    second = dataset.split.histories.offsets[:-1] + 1
    begins_late = np.isin(second, dataset.split.rows("test")).any()
    if how.given or (how.target == "all" and not begins_late):
        assert ties["test target changes"] == 0 and not tied_tests(log, dataset).any()


def test_the_lights_of_ties_are_those_of_the_datasets_own_split():
    rows = [(user, item, item // 2) for user in range(4) for item in range(8)]
    last, every = (
        split_as(table(rows), Splitting(time="quantile 0.6", target=target))
        for target in ("last", "all")
    )
    assert (
        value(audit(*last), "tie_targets") == 1 and light(audit(*every), "tie_targets") == "green"
    )


def test_users_with_a_test_target_are_users_and_not_targets():
    rows = [(user, item, 10 * item + user) for user in range(4) for item in range(8)]
    log, dataset = split_as(table(rows), Splitting(time="quantile 0.6", target="all"))
    assert len(dataset.split.rows("test")) > 4
    assert value(audit(log, dataset), "test_users") == 4


def test_advice_names_the_dataset_and_no_model_that_it_cannot_have(toy):
    assert "`seqattn compare sasrec ia-add -d toy`" in advice(toy, "test_users")
    found = audit(*prepared(table().drop(columns="intensity")))
    assert "`seqattn compare sasrec bert4rec -d toy`" in advice(found, "test_users")
    assert "`duplicates: sum`" not in advice(found, "repeats")
    assert not found.findings["advice"].str.contains("NAME").any()


def test_advice_names_the_yaml_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "my logs").mkdir()
    path = tmp_path / "my logs" / "own.yaml"
    log, dataset = prepared(table())
    found = audit(log, replace(dataset, reference=str(path)))
    assert f"-d '{path}'`" in advice(found, "test_users")
    monkeypatch.chdir(path.parent)
    found = audit(log, replace(dataset, reference=str(path)))
    assert "-d own.yaml`" in advice(found, "test_users")


def test_a_given_split_leaves_no_row_unplaced():
    rows = [(user, item, 10 * user + at) for user in (1, 2) for at, item in enumerate("abcd")]
    frame = table(rows).assign(order=range(8), timestamp=np.nan, part=["train"] * 8)
    for at, part in ((2, "valid"), (3, "test"), (6, "valid"), (7, "test")):
        frame.loc[at, "part"] = part
    found = audit(*split_as(frame, Splitting(given=True))).splits["unplaced interactions"]
    assert found.tolist() == [0] * len(found) and ("given", "prepared") in found.index


def test_without_its_core_a_log_is_ordered_by_time_where_the_split_is_in_time():
    """The order runs against time, so that the last in order is the first in time."""
    rows = [(user, item, 10 * at + user) for user in (1, 2, 3) for at, item in enumerate("abcdef")]
    frame = table(rows).assign(order=lambda f: -f["timestamp"])
    found = audit(*split_as(frame, Splitting(time="quantile 0.9"))).splits
    for name in ("leave-one-out", "global time, 0.9"):
        prepared_row, unfiltered = (found.loc[name, log] for log in ("prepared", "without k-core"))
        pd.testing.assert_series_equal(prepared_row, unfiltered, check_names=False)
