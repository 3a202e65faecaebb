"""What the page "What we know" says is what the tables of the studies say."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from fabricated import fabricate, tables_of

from seqattn.audit.records import RECORDS
from seqattn.config import DESIGNS
from seqattn.stats import pools
from seqattn.studies import targets, texts, travel, what_we_know
from seqattn.studies.texts import ARMS


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """ML-100K whole in the first design, with one harmful variant; nothing else of the paper."""
    folder = tmp_path_factory.mktemp("campaign")
    fabricate(folder, "ml-100k", slower={"ia-mul": 3})
    fabricate(folder, "steam-au", slower={"ia-val": 3})
    return tables_of(folder, "comparisons")["comparisons"]


def test_counts_are_those_of_the_papers_datasets(cells):
    own, shared = (what_we_know.judged(cells)[ARMS[arm]] for arm in DESIGNS)
    mine = cells[
        (cells["dataset"] == "ml-100k") & (cells["k"] == 10) & (cells["arm"] == "own_search")
    ]
    assert own["comparisons at 10"] == len(mine) == 9 and own["on"] == "ML-100K"
    losses = (mine["robust"] & (mine["direction"] < 0)).sum()
    assert own["robust losses"] == losses >= 3 and own["robust gains"] == 0
    assert own["which is"] == "Mul on ML-100K"
    assert own["largest NDCG@10 change, %"].startswith("-")
    assert shared["comparisons at 10"] == 0 and pd.isna(shared["robust losses"])


def test_a_lead_of_unfiltered_ranks_stands_first():
    row = {"dataset": "ml-100k", "part": False, "model": "gru4rec", "base": 0.05, "mean": 0.06}
    row |= {"change": 20.0, "change_low": -1.0, "change_high": 41.0}
    told = what_we_know.leads_table(
        pd.DataFrame([row | {"kind": "filtered"}, row | {"kind": "unfiltered"}])
    )
    assert [kind for _, kind, _ in told.index] == ["unfiltered", "filtered"]
    assert told["change, %"].tolist() == ["+20.0 [-1.0, +41.0]"] * 2


def test_more_patience_is_shown_by_whose_search_it_was():
    rows = [
        ("ml-100k", False, "sasrec", "usual", 0.05, 0.06),
        ("ml-100k", False, "ia-add", "usual", 0.04, 0.05),
        ("ml-100k", False, "ia-add", "patient_control", 0.07, 0.05),
    ]
    columns = ["dataset", "part", "model", "against", "base", "level"]
    told = what_we_know.patience_table(pd.DataFrame(rows, columns=columns)).loc["ML-100K"]
    assert told.tolist() == [0.05, 0.06, 0.07]
    assert told.index[-1] == "more patience, Add's search"


def test_an_effect_beyond_the_largest_one_simulated_is_said_to_be_so():
    rows = [
        ("ml-100k", "own_search", False, "ia-add", 3.21),
        ("ml-1m", "own_search", False, "ia-mul", np.nan),
    ]
    columns = ["dataset", "arm", "part", "model", "robust_clustered"]
    told = what_we_know.detectable(pd.DataFrame(rows, columns=columns), 80.0)
    assert told.iloc[:, 0].tolist() == ["3.2", "> 80"]
    assert told.index[1] == ("ML-1M", "Mul", "own search")


def test_conclusions_that_can_not_be_told_are_left_out():
    verdicts = {
        "own search": ["stands", "can't be told"],
        "SASRec's backbone": ["can't be told"] * 2,
    }
    told = what_we_know.told_conclusions(pd.DataFrame(verdicts, index=["first", "second"]))
    assert told.index.tolist() == ["first"]


def test_changes_are_told_with_interval_model_and_seeds_and_none_is_not_run():
    row = {
        "arm": "real", "dataset": "d", "metric": "NDCG", "k": 10, "model": "ia-add", "n_seeds": 5,
        "change": 2.43, "low": 1.08, "high": 3.77,
    }  # fmt: skip
    others = [{"k": 5}, {"arm": "within"}, {"dataset": "e"}, {"model": "ia-mul", "n_seeds": 4}]
    cells = pd.DataFrame([row, *(row | other for other in others)])
    assert what_we_know.told_changes(cells, "real", "d") == "+2.4 % [+1.1, +3.8] (Add)"
    assert what_we_know.told_changes(cells, "real", "f") == "not run"
    assert what_we_know.told_changes(pd.DataFrame(), "real", "d") == "not run"


def test_counts_are_told_in_words():
    assert texts.counted({"nothing": 2, "channel": 1, "information": 0}) == "2 nothing, 1 channel"
    assert texts.counted({}) == ""


def test_changes_on_both_targets_are_told_by_arm_and_ranking_and_counted():
    def rows(model, arm, kind, test, valid):
        key = {"dataset": "ml-1m", "arm": arm, "part": False, "model": model, "kind": kind}
        return [
            key | {"target": target, "change": sum(ends) / 2, "low": ends[0], "high": ends[1]}
            for target, ends in (("test", test), ("valid", valid))
        ]

    up, down, around = (1.0, 3.0), (-3.0, -1.0), (-1.0, 2.0)
    table = [
        *rows("ia-mul", "real", "unfiltered", up, up),
        *rows("ia-mul", "shared_backbone", "unfiltered", down, down),
        *rows("ia-mul", "real", "filtered", up, around),
        *rows("ia-add", "real", "unfiltered", up, down),  # on opposite sides
    ]
    told = targets.told_on_both(pd.DataFrame(table))
    assert told == (
        "2 of 4: Mul on ML-1M (real, unfiltered), Mul on ML-1M (SASRec's backbone, unfiltered)"
    )
    assert targets.told_on_both(pd.DataFrame(table[-2:])) == "0 of 1"
    arms = pd.DataFrame(table[:2]).assign(model="sasrec", arm="sliding")
    assert targets.told_on_both(arms) == "1 of 1: sliding on ML-1M (unfiltered)"
    assert targets.told_on_both(pd.DataFrame()) == "not run"
    filtered = arms.assign(kind="filtered")
    assert targets.share_under_both(arms) == "0 of 1"
    assert targets.share_under_both(pd.concat([arms, filtered])) == "1 of 1"
    other_way = filtered.assign(low=-9.0)  # filtered, the interval holds 0
    assert targets.share_under_both(pd.concat([arms, other_way])) == "0 of 1"


def test_the_part_of_the_rule_that_fails_is_named():
    row = {"dataset": "ml-1m", "arm": "real", "metric": "NDCG", "k": 10, "n_seeds": 5}
    row |= {"direction": 1, "seeds_positive": 1, "seeds_negative": 0, "pooled_p_value": 0.0005}
    add, val = (
        row | {"model": "ia-add", "t_p_value": 0.006, "robust": False},
        row | {"model": "ia-val", "t_p_value": 0.17, "robust": False, "direction": -1},
    )
    mul = row | {"model": "ia-mul", "robust": True, "t_p_value": 0.01}
    cells = pd.DataFrame([add, mul, val]).assign(low=0.0, high=1.0)
    told = what_we_know.told_failed(cells, "real", "ml-1m")
    assert told == (
        "Add: 1 of 5 seeds show it alone; Val: t-test p = 0.17, 0 of 5 seeds show it alone"
    )
    assert what_we_know.told_failed(cells[cells["robust"]], "real", "ml-1m") == "none is not"
    assert what_we_know.told_failed(pd.DataFrame(), "real", "ml-1m") == "not run"


def test_ways_of_fitting_are_told_by_model():
    rows = [("sasrec", "CPU, AVX2, 1 thread", 1), ("sasrec", "A100", 3), ("sasrec", "A100", 3)]
    runs = pd.DataFrame([*rows, ("ia-add", "A100", 1)], columns=["model", "device", "together"])
    told = "SASRec 1 on CPU, 2 on A100 (3 at once); Add 1 on A100"
    assert what_we_know.told_ways(runs) == told
    assert what_we_know.told_ways(runs[:0]) == "not run"


def test_an_interval_that_users_alone_stand_behind_is_named():
    rows = pd.DataFrame(
        {
            "dataset": "ml-1m",
            "arm": "real",
            "part": False,
            "model": ["ia-add", "ia-mul", "ia-val"],
            "target": "test",
            "kind": "unfiltered",
            "error": [2.0, 1.0, 1.0],
            "users_error": [1.0, 1.0, 1.0],
            "low": [0.1, 0.2, -1.0],
            "high": 3.0,
            "owen_low": [0.05, -0.1, -2.0],
            "owen_high": 4.0,
        }
    )
    assert what_we_know.beyond_zero(rows) == {
        "crossed": "2 of 3 (Add, Mul)",
        "alone": "1 of 3 (Mul)",
        "owen": "1 of 3 (Add)",
    }


def test_ml_1m_is_the_log_with_the_most_interactions():
    records = (json.loads(path.read_text("utf-8")) for path in RECORDS.glob("*/dataset.json"))
    sizes = {record["dataset"]: record["steps"][-1]["interactions"] for record in records}
    assert max(sizes, key=sizes.__getitem__) == "ml-1m"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ([0.1, 0.1, 0.1, 0.1], [1, 1, 1, 1], "yes"),
        ([0.1, -0.1, -0.1, -0.1], [1, 1, 5.1, 1], "not shown: {n} leave out 0 and {m} lie within"),
        ([-2, -2, -2, -2], [-1, -1, -1, -1], "it harms"),
        ([0.1, 0.1, 0.1], [1, 1, 1], "can't be told"),
    ],
)
def test_the_answer_needs_both_targets_under_both_rankings(low, high, expected):
    both = [(target, kind) for target in ("test", "valid") for kind in ("unfiltered", "filtered")]
    pools = pd.DataFrame(both[: len(low)], columns=["target", "kind"])
    pools = pools.assign(arm="shared_backbone", low=low, high=high)
    other = pools.assign(arm="own_search", low=-1, high=1)
    both = [pools.assign(arm=arm) for arm in what_we_know.NEUTRAL]
    for found, arms in ((pd.concat([*both, other]), None), (pd.concat([pools, other]), 1)):
        told = what_we_know.answer(found, *([["shared_backbone"]] if arms else []))
        n = 1 if arms else 2  # of four, or of eight
        of = f"not shown: of the 95 % intervals of {4 * n} average changes, "
        expected_here = expected.format(n=n, m=3 * n).replace("not shown: ", of)
        assert told == (expected_here + " ±5 %" if "lie within" in expected else expected)
    assert what_we_know.answer(pd.concat([pools, other])) == "can't be told"  # nothing in `fixed`


def test_a_family_has_each_of_its_combinations_once_and_pools_what_counts():
    told = ["information", "nothing", "can't be told", "not run"]
    verdicts = pd.DataFrame({"family": "a", "verdict": told, "counted": [True, True, False, True]})
    other = pd.DataFrame({"family": ["b"], "verdict": ["channel"], "counted": [True]})
    rows = [
        {
            "family": "a",
            "dataset": f"d{n}",
            "target": target,
            "kind": kind,
            "base": 0.05,
            "change": change,
            "error": 1.0,
        }
        | {"counted": counted}
        for target, kind in (("test", "unfiltered"), ("test", "filtered"), ("valid", "unfiltered"))
        for n, (change, counted) in enumerate(
            ((2.0, True), (2.0, True), (2.0, kind == "unfiltered"), (90, False))
        )
    ]
    rows = [row for row in rows if row["target"] == "test" or row["change"] == 2.0][:-1]
    table = what_we_know.families(pd.concat([verdicts, other]), pd.DataFrame(rows))
    assert table.index.tolist() == ["a", "b"]
    counts = table[["information", "channel", "nothing", "can't be told", "not run"]]
    assert counts.to_numpy().tolist() == [[1, 0, 1, 1, 1], [0, 1, 0, 0, 0]]
    assert (counts.sum(axis=1) == table["combinations"]).all()
    assert table["of long fits"].tolist() == [2, 1]
    low, high = pools.random_effects(np.full(3, 2.0), np.ones(3)).ci
    assert table.loc["a", "test, %"] == f"+2.0 [{low:+.1f}, {high:+.1f}], 3 on 3"
    assert table.loc["a", "validation, %"] == "2 on 2, no average"
    assert table.loc["b", "test, %"] == "none"


def test_lengths_of_no_runs_count_nothing():
    found = travel.by_cell(pd.DataFrame())
    cells = pd.DataFrame({"dataset": ["d"], "arm": ["real"], "model": ["ia-add"]})
    assert travel.counted(cells, found).tolist() == [False]
    assert travel.counted(cells[:0], found).empty


def test_the_best_of_an_arm_is_of_whole_sets_of_seeds_and_without_the_baseline():
    row = {"dataset": "a", "arm": "x", "part": False, "kind": "unfiltered", "metric": "NDCG"}
    rows = [("sasrec", 0.9, 5), ("ia-add", 0.3, 5), ("ia-mul", 0.5, 5), ("ia-val", 0.8, 4)]
    levels = pd.DataFrame([row | {"model": m, "mean": v, "n_seeds": n} for m, v, n in rows])
    assert what_we_know.of_best(levels, "x").loc["a"].tolist() == [0.9, 0.5]
    assert (
        what_we_know.of_best(levels, "y").empty and what_we_know.of_best(pd.DataFrame(), "x").empty
    )
    half = what_we_know.of_best(levels.assign(part=True), "x")
    assert half.empty
