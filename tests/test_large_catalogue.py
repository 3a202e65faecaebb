"""The benchmark of losses among many items: its log, its oracle, and what it keeps and reports."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import figures, large_catalogue
from benchmarks.synthetic import successor_dataset, successors
from seqattn.config import replace

N_ITEMS, SEED = 12, 3


@pytest.fixture(scope="module")
def small():
    return successor_dataset(400, 9, N_ITEMS, SEED)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(large_catalogue, "FOLDER", tmp_path)
    return tmp_path


def followed(dataset):
    items, starts = dataset.sequences.items, dataset.sequences.offsets[:-1]
    after = successors(dataset.n_items, SEED)
    return np.delete(items[1:] == after[items[:-1]], starts[1:] - 1)


def test_half_of_the_interactions_follow_the_last_and_the_others_popularity(small):
    chance = np.log1p(1 / np.arange(1, N_ITEMS + 1)) / np.log(N_ITEMS + 1)
    assert chance.sum() == pytest.approx(1)
    by_chance = 0.5 * (chance**2).sum()
    assert followed(small).mean() == pytest.approx(0.5 + by_chance, abs=0.05)
    firsts = small.sequences.items[small.sequences.offsets[:-1]]
    share = np.bincount(firsts, minlength=N_ITEMS + 1)[1:] / len(firsts)
    np.testing.assert_allclose(share, chance, atol=0.06)


def test_the_oracle_ranks_by_the_probabilities_that_made_the_log(small):
    after = successors(N_ITEMS, SEED)
    histories, targets = small.split.context("test"), small.split.targets("test")
    chance = np.append(0, np.log1p(1 / np.arange(1, N_ITEMS + 1)) / np.log(N_ITEMS + 1))
    last = histories.items[histories.offsets[1:] - 1]
    likely_NV = 0.5 * chance + 0.5 * np.eye(N_ITEMS + 1)[after[last]]
    own_N1 = np.take_along_axis(likely_NV, targets[:, None], axis=1)
    expected = 1 + (likely_NV > own_N1).sum(axis=1)
    np.testing.assert_array_equal(large_catalogue.oracle_ranks(small, after), expected)


def test_popularity_counts_training_interactions(small):
    counts = np.bincount(small.split.train.items, minlength=N_ITEMS + 1)
    ranks, targets = large_catalogue.popularity_ranks(small), small.split.targets("test")
    by_rank = np.argsort(ranks, kind="stable")
    assert (np.diff(counts[targets][by_rank]) <= 0).all() and ranks.min() == 1


def test_a_loss_is_fitted_once_and_learns(small, kept, monkeypatch):
    config = replace(large_catalogue.TRAIN, epochs=3, learning_rate=1e-2)
    monkeypatch.setitem(large_catalogue.LOSSES, large_catalogue.FULL, config)
    large_catalogue.run(small, large_catalogue.FULL, 2020)
    (record,) = large_catalogue.records(large_catalogue.FULL).values()
    assert len(record["valid"]) == len(record["cpu_seconds"]) == 3
    assert len(record["test_ranks"]) == 400 and record["valid"][-1] > record["valid"][0]
    monkeypatch.setattr(large_catalogue, "fitted", None)
    large_catalogue.run(small, large_catalogue.FULL, 2020)


def test_what_was_not_run_says_so_and_the_rest_is_compared(small, kept, monkeypatch):
    told = {}
    monkeypatch.setattr(large_catalogue, "LOG_SEED", SEED)
    monkeypatch.setattr(
        large_catalogue, "finish", lambda _, rows, more: told.update(rows=rows, **more)
    )
    full, gbce = {"valid": [0.1, 0.4], "cpu_seconds": [60, 60]}, {"valid": [0.39, 0.3]}
    gbce |= {"cpu_seconds": [6, 6], "test_ranks": [1] * 399 + [2]}
    for name, record in (("cross-entropy", full | {"test_ranks": [1] * 400}), ("gBCE", gbce)):
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
    assert rows["oracle"]["test NDCG@10"] > rows["popularity"]["test NDCG@10"]
    (compared,) = told["comparisons"]
    assert compared["comparison"] == "gBCE minus cross-entropy"
    assert compared["reads"] == "equivalent"
    first = figures.by_time({"curves": told["curves"]}).axes[0].lines[0]
    assert [list(xy) for xy in first.get_data()] == [[1, 2], [0.1, 0.4]]
