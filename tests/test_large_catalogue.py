"""The benchmark of losses among many items: its log, its oracle, and what it keeps and reports."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import figures, large_catalogue
from benchmarks.synthetic import grouped_dataset, groups, popularity
from seqattn.config import replace

N_ITEMS, N_GROUPS, SEED = 12, 3, 3


@pytest.fixture(scope="module")
def small():
    return grouped_dataset(400, 9, N_ITEMS, N_GROUPS, SEED)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(large_catalogue, "FOLDER", tmp_path)
    return tmp_path


def test_next_items_come_as_often_as_the_oracle_says(small):
    items, starts = small.sequences.items, small.sequences.offsets[:-1]
    pairs = np.delete(np.stack([items[:-1], items[1:]]), starts[1:] - 1, axis=1)
    last, counts = 1, np.bincount(pairs[1, pairs[0] == 1], minlength=N_ITEMS + 1)
    group = groups(N_ITEMS, N_GROUPS, SEED)
    (expected,) = large_catalogue.chances(np.array([last]), group)
    assert expected.sum() == pytest.approx(1) and expected[0] == 0
    np.testing.assert_allclose(counts / counts.sum(), expected, atol=0.05)
    share = np.bincount(items[starts], minlength=N_ITEMS + 1) / len(starts)
    np.testing.assert_allclose(share, popularity(N_ITEMS), atol=0.06)


def test_the_oracle_ranks_an_item_of_the_group_before_any_as_popular(small):
    group = groups(N_ITEMS, N_GROUPS, SEED)
    histories, targets = small.split.context("test"), small.split.targets("test")
    last = histories.items[histories.offsets[1:] - 1]
    chance, own = popularity(N_ITEMS), group[last]
    for rank, target, inside in zip(
        large_catalogue.oracle_ranks(small, group), targets, own, strict=True
    ):
        lift = 0.5 + 0.5 / chance[group == inside].sum() * (group == inside)
        assert rank == 1 + (chance * lift > chance[target] * lift[target]).sum()


def test_popularity_counts_training_interactions(small):
    counts = np.bincount(small.split.train.items, minlength=N_ITEMS + 1)
    ranks, targets = large_catalogue.popularity_ranks(small), small.split.targets("test")
    by_rank = np.argsort(ranks, kind="stable")
    assert (np.diff(counts[targets][by_rank]) <= 0).all() and ranks.min() == 1


def test_a_loss_is_fitted_once(small, kept, monkeypatch):
    config = replace(large_catalogue.TRAIN, epochs=3)
    monkeypatch.setitem(large_catalogue.LOSSES, large_catalogue.FULL, config)
    large_catalogue.run(small, large_catalogue.FULL, 2020)
    (record,) = large_catalogue.records(large_catalogue.FULL).values()
    assert len(record["valid"]) == len(record["cpu_seconds"]) == 3
    assert len(record["test_ranks"]) == 400 and min(record["cpu_seconds"]) > 0
    monkeypatch.setattr(large_catalogue, "fitted", None)
    large_catalogue.run(small, large_catalogue.FULL, 2020)


def test_what_was_not_run_says_so_and_the_rest_is_compared(small, kept, monkeypatch):
    told = {}
    monkeypatch.setattr(large_catalogue, "LOG_SEED", SEED)
    monkeypatch.setattr(large_catalogue, "N_GROUPS", N_GROUPS)
    monkeypatch.setattr(
        large_catalogue, "finish", lambda _, rows, more: told.update(rows=rows, **more)
    )
    full, gbce = {"valid": [0.1, 0.4], "cpu_seconds": [60, 60]}, {"valid": [0.39, 0.3]}
    gbce |= {"cpu_seconds": [6, 6], "test_ranks": [1] * 399 + [2]}
    slow = {"valid": [0.1, 0.2], "cpu_seconds": [6, 6], "test_ranks": [5] * 400}
    kept_of = {"cross-entropy": full | {"test_ranks": [1] * 400}, "gBCE": gbce}
    for name, record in (kept_of | {"sampled-softmax-uniform": slow}).items():
        (kept / f"{name}-2021.json").write_text(json.dumps(record))
    large_catalogue.report(small)
    rows = {row["loss"]: row for row in told["rows"]}
    assert rows["sampled softmax, popular"] == {
        "loss": "sampled softmax, popular",
        "seeds": "not run",
    }
    assert rows["gBCE"]["seeds"] == "1; not run: 2020, 2022"
    within = "to within 5 % of cross-entropy's best"
    assert rows["gBCE"][within] == "epoch 1, 6 s"
    assert rows["cross-entropy"][within] == "epoch 2, 120 s"
    assert rows["sampled softmax, uniform"][within] == "not in 2 epochs, still rising"
    assert rows["oracle"]["test NDCG@10"] > rows["popularity"]["test NDCG@10"]
    lower, compared = told["comparisons"]
    assert lower["reads"] == "lower" and compared["comparison"] == "gBCE minus cross-entropy"
    assert compared["reads"] == "equivalent"
    first = figures.by_time({"curves": told["curves"]}).axes[0].lines[0]
    assert [list(xy) for xy in first.get_data()] == [[1, 2], [0.1, 0.4]]
