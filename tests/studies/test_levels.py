"""What was run, where it stopped, and SASRec among RecBole's baselines."""

from __future__ import annotations

import statistics
from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from fabricated import fabricate, four, groups_of, keep, made_up_search, runs_of, tables_of

from seqattn.config import DESIGNS, SEEDS, VARIANTS
from seqattn.errors import SeqattnError
from seqattn.runs.store import RecBoleSpec, Result, Store
from seqattn.stats.metrics import metric
from seqattn.stats.unpaired import ratio_interval
from seqattn.studies import tables
from seqattn.studies.ia.tables import coverage
from seqattn.studies.judge import widened
from seqattn.studies.levels import (
    HALF,
    PART,
    WHOLE,
    at_random,
    best_epochs,
    cut_by_limit,
    effort,
    largest_lead,
    leads,
)
from seqattn.studies.study import read_study


def row(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def effort_of(folder):
    found = tables_of(folder, "searches", "runs")
    return effort(read_study("replication"), found["searches"], found["runs"])


def test_what_falls_short_of_the_protocol_is_named(tmp_path):
    fabricate(tmp_path, "ml-100k")
    fabricate(tmp_path, "ml-1m", seeds=SEEDS[:3], trials=13)
    table = effort_of(tmp_path)
    whole = row(table, dataset="ml-100k", arm="own_search")
    assert (whole["trials"], whole["seeds"]) == ("25 of 25 each", "5 of 5 each")
    assert whole["search_hours"] == pytest.approx(4 * 25 * 36 / 3600)
    assert whole["fit_hours"] == pytest.approx(20)  # an hour each
    assert whole["run"] == WHOLE
    short = row(table, dataset="ml-1m", arm="own_search")
    assert short["run"] == PART
    assert "Add 13 of 25" in short["trials"] and "Val 3 of 5" in short["seeds"]


def test_a_half_of_a_log_with_all_its_runs_is_no_whole_and_no_part(tmp_path):
    fabricate(tmp_path, "ml-100k")
    found = tables_of(tmp_path, "searches", "runs")
    halves = effort(
        read_study("replication"),
        *(found[name].assign(part=True) for name in ("searches", "runs")),
    )
    assert row(halves, arm="own_search")["run"] == HALF


def test_a_design_with_sasrecs_own_search_alone_is_not_whole(tmp_path):
    fabricate(tmp_path, "ml-100k")
    matched = row(effort_of(tmp_path), arm="shared_backbone")
    assert matched["run"] == PART
    assert (matched["trials"], matched["seeds"]) == ("Add none; Mul none; Val none",) * 2


def test_the_coverage_tells_a_half_from_what_was_stopped():
    grid = list(product(VARIANTS, ("NDCG", "Recall", "MRR")))
    cells = pd.DataFrame(grid, columns=["model", "metric"])
    cells = cells.assign(dataset="amazon-music", part=True, k=10, whole=False, cut_short=np.nan)
    cells = pd.concat([cells.assign(arm=arm, n_seeds=5) for arm in DESIGNS])
    told = coverage(cells)
    name = "Amazon-Music (timestamped half)"
    assert told.loc[name].tolist() == [True, HALF, HALF]
    fewer = cells.assign(n_seeds=cells["n_seeds"].where(cells["arm"] == DESIGNS[0], 4))
    assert coverage(fewer).loc[name].tolist() == [True, HALF, PART]
    nothing = pd.DataFrame()
    assert HALF not in coverage(nothing).values


def test_the_largest_lead_is_that_of_either_ranking_and_says_which():
    rows = pd.DataFrame(
        {
            "model": ["itemknn", "bpr"],
            "title": ["A", "B"],
            "kind": ["unfiltered", "filtered"],
            "change": [46.7, 57.5],
            "change_low": [14.7, 29.0],
            "change_high": [87.3, 93.9],
        }
    )
    told = largest_lead(rows)
    assert (told["where"], told["lead"], told["ends"]) == ("B", 57.5, "[+29.0, +93.9]")
    assert told["ranking"] == "without the items already seen"
    assert largest_lead(rows.head(0))["best"] == "none"


def test_a_level_has_an_interval_over_users_and_a_deviation_over_seeds(tmp_path):
    fabricate(tmp_path, "ml-100k", n_users=400)
    runs = runs_of(tmp_path, "ml-100k", "own_search")["ia-mul"]
    told = tables_of(tmp_path, "levels")["levels"]
    for kind in ("unfiltered", "filtered"):
        mine = row(told, arm="own_search", model="ia-mul", kind=kind, metric="NDCG")
        values_SU = np.stack([metric(r.ranks("test", kind), "NDCG", 10) for r in runs])
        seeds, users = values_SU.mean(axis=1), values_SU.mean(axis=0)
        assert mine["mean"] == pytest.approx(seeds.mean())
        assert mine["std"] == pytest.approx(statistics.stdev(seeds))
        other = scipy.stats.bootstrap(
            (users,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval
        close = pytest.approx(list(other), abs=0.1 * (other.high - other.low))
        assert mine[["low", "high"]].tolist() == close


def test_fits_that_the_limit_of_epochs_ended_are_counted(tmp_path):
    search = made_up_search("ml-100k", "sasrec")
    search.write(tmp_path)
    for seed, best in zip(SEEDS, (3, 9, 5, 7, 46), strict=True):
        epochs = min(best + search.train_config.patience, search.train_config.epochs)
        keep(tmp_path, search.spec(seed), np.ones(60, dtype=np.int32), (), epochs, best)
    found = best_epochs(tables_of(tmp_path, "runs")["runs"])
    mine = row(found, arm="own_search", model="sasrec")
    assert mine[["median", "least", "most", "fits", "at_the_limit"]].tolist() == [7, 3, 46, 5, 1]


def keep_baseline(folder, model, seed, ranks, settings=None, fingerprint="f" * 16):
    spec = RecBoleSpec("ml-100k", fingerprint, model, seed, settings or {})
    facts = {"history": []}
    Store(folder).compute(spec, lambda: Result(facts, four(ranks)))


@pytest.fixture
def among(tmp_path, monkeypatch):
    """A function that makes the table of baselines; SASRec's NDCG@10 is 1, 0.5, 0.5, 0, ...."""
    monkeypatch.setattr(tables, "BASELINES", tmp_path / "baselines")
    search = made_up_search("ml-100k", "sasrec")
    search.write(tmp_path / "ours")

    def make(n_seeds=2):
        for seed in SEEDS[:n_seeds]:
            ranks = np.tile([1, 3, 3, 50], 4).astype(np.int32)
            keep(tmp_path / "ours", search.spec(seed), ranks)
        study, groups = groups_of(tmp_path / "ours")
        mine = [g for g in groups if (g.arm, g.model) == ("own_search", "sasrec")]
        return tables.baselines(study, mine)

    return tmp_path / "baselines", make


def ndcg_of(table, model):
    return row(table, model=model, metric="NDCG", kind="unfiltered")


def test_a_baseline_has_its_change_over_users_and_sasrec_none(among):
    folder, make = among
    keep_baseline(folder, "pop", 1, np.full(16, 50))
    keep_baseline(folder, "itemknn", 1, np.tile([1, 1, 1, 50], 4))
    table = make()
    # 0.75 to 0.5. Neither varies with the seed, so that Fieller's closed form for users holds.
    knn = ndcg_of(table, "itemknn")
    assert knn[["mean", "change"]].tolist() == [0.75, 50]
    (vbb, vbo), (_, voo) = np.cov(np.tile([1, 0.5, 0.5, 0], 4), np.tile([1, 1, 1, 0], 4)) / 16
    t2 = scipy.stats.t.ppf(0.975, 15) ** 2
    roots = np.roots([0.25 - t2 * vbb, -2 * (0.375 - t2 * vbo), 0.75**2 - t2 * voo])
    ends = sorted(100 * roots - 100)
    assert knn[["change_low", "change_high"]].tolist() == pytest.approx(ends)
    assert ndcg_of(table, "pop")[["change", "change_low", "change_high"]].tolist() == [-100] * 3
    assert np.isnan(ndcg_of(table, "sasrec")["change"])
    ahead = leads(table)
    assert set(ahead["model"]) == {"itemknn"}
    assert set(ahead.query("kind == 'unfiltered'")["base"]) == {0.5}


def test_a_lead_whose_seeds_differ_much_is_told_over_them(among):
    """Both seeds' values, not their mean alone, decide whether a lead may be chance."""
    folder, make = among
    for seed, ranks in enumerate(([1, 1, 1, 50], [1, 3, 3, 50])):
        keep_baseline(folder, "gru4rec", seed, np.tile(ranks, 4))
    keep_baseline(folder, "bpr", 1, np.tile([1, 1, 1, 50], 4))
    table = make()
    told = ndcg_of(table, "gru4rec")
    base_SU = np.tile([1, 0.5, 0.5, 0], (2, 4))
    other_SU = np.tile([[1, 1, 1, 0], [1, 0.5, 0.5, 0]], 4)
    expected = ratio_interval(base_SU, other_SU)
    assert told["change"] == 25
    low, high = expected.ci
    assert told["change_low"] == pytest.approx(100 * low - 100)
    assert told["change_high"] == pytest.approx(100 * high - 100)
    # Of one seed alone nobody knows how far seeds differ.
    assert ndcg_of(table, "bpr")["change"] == 50 and np.isnan(ndcg_of(table, "bpr")["change_low"])


def test_a_sasrec_of_one_seed_has_no_interval_beside_any_baseline(among):
    folder, make = among
    keep_baseline(folder, "itemknn", 1, np.tile([1, 1, 1, 50], 4))
    assert np.isnan(ndcg_of(make(n_seeds=1), "itemknn")["change_low"])


def test_baselines_of_other_data_or_another_grid_are_left_out(among):
    folder, make = among
    keep_baseline(folder, "bpr", 1, np.full(16, 1))
    keep_baseline(folder, "bpr", 2, np.full(16, 1))
    keep_baseline(folder, "bpr", 3, np.full(16, 50), settings={"grid": "another"})
    keep_baseline(folder, "pop", 1, np.full(16, 1), fingerprint="e" * 16)
    table = make()
    assert set(table["model"]) == {"bpr", "sasrec"}
    assert set(table.loc[table["model"] == "bpr", "n_seeds"]) == {2}


def test_a_table_is_widened_in_the_order_of_its_rows():
    frame = pd.DataFrame({"a": ["z", "z", "b"], "m": ["y", "x", "y"], "v": [1.0, 2.0, 3.0]})
    wide = widened(frame, ["a"], "m", "v")
    assert list(wide.columns) == ["y", "x"] and list(wide.index) == ["z", "b"]
    assert wide["y"].tolist() == [1, 3] and np.isnan(wide["x"].iloc[1])


def test_the_limit_cut_a_fit_that_had_reached_it_and_still_had_patience():
    ends = [(8, 8, 6), (8, 8, 3), (7, 8, 6), (8, 8, 8)]
    runs = pd.DataFrame(ends, columns=["epochs", "limit", "best_epoch"]).assign(patience=5)
    assert cut_by_limit(runs).tolist() == [True, False, False, True]


def test_a_random_order_reaches_the_mean_over_all_places():
    n_items = 2420  # of Amazon-Office's record
    ranks = np.arange(1, n_items + 1)
    expected = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean()
    assert at_random("amazon-office") == pytest.approx(expected)
    with pytest.raises(SeqattnError, match=r"there is no .*seqattn prepare nowhere"):
        at_random("nowhere")
