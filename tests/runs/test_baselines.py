"""Records of baselines: whole or not at all, and never trusted when damaged."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from seqattn.errors import SeqattnError
from seqattn.runs.baselines import BaselineSpec, compute_baseline, read_baselines
from seqattn.runs.results import histories, summary
from seqattn.stats.metrics import metric

SPEC = BaselineSpec("toy", "f" * 64, "pop", 2020, {"grid": {}})
RANKS = {
    "valid_unfiltered": np.array([3, 250], dtype=np.int32),
    "valid_filtered": np.array([1, 255], dtype=np.int32),
    "test_unfiltered": np.array([2, 70_000], dtype=np.int32),
    "test_filtered": np.array([2, 300], dtype=np.int32),
}
EPOCH = {"epoch": 1, "loss": 2.0, "valid_ndcg": 0.5, "seconds": 0.1}


def _run():
    return {"hyperparameters": {}, "history": [EPOCH]}, RANKS


def _never():
    raise AssertionError("a finished baseline was computed again")


def test_a_record_round_trips_and_is_computed_once(tmp_path):
    first = compute_baseline(tmp_path, SPEC, _run)
    again = compute_baseline(tmp_path, SPEC, _never)
    assert (again.model, again.seed, again.facts) == ("pop", 2020, first.facts)
    for name, values in RANKS.items():
        stage, kind = name.split("_")
        assert np.array_equal(again.ranks(stage, kind), values)
        assert again.ranks(stage, kind).dtype == np.int32
        expected = float(metric(values, "MRR", 50).mean())
        assert again.facts["metrics"][name]["MRR@50"] == expected
    assert sorted(path.name for path in first.folder.iterdir()) == ["baseline.json", "ranks.npz"]


def test_ranks_are_kept_in_the_smallest_unsigned_integers(tmp_path):
    folder = compute_baseline(tmp_path, SPEC, _run).folder
    with np.load(folder / "ranks.npz", allow_pickle=False) as stored:
        kinds = {name: stored[name].dtype for name in stored}
    assert kinds == {
        "valid_unfiltered": np.uint8,
        "valid_filtered": np.uint8,
        "test_unfiltered": np.uint32,
        "test_filtered": np.uint16,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "other"},
        {"fingerprint": "e" * 64},
        {"model": "bpr"},
        {"seed": 2021},
        {"settings": {"grid": {"k": [20]}}},
    ],
)
def test_any_difference_in_what_a_record_rests_on_is_another_record(change, tmp_path):
    first = compute_baseline(tmp_path, SPEC, _run)
    assert compute_baseline(tmp_path, replace(SPEC, **change), _run).folder != first.folder


@pytest.mark.parametrize("name", ["baseline.json", "ranks.npz"])
@pytest.mark.parametrize("damage", ["truncate", "edit", "delete"])
def test_a_damaged_record_is_not_read_and_is_computed_again(name, damage, tmp_path):
    path = compute_baseline(tmp_path, SPEC, _run).folder / name
    content = path.read_bytes()
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "edit":
        path.write_bytes(content.replace(b"1", b"2", 1) if b"1" in content else content + b"x")
    else:
        path.unlink()
    assert read_baselines(tmp_path, "toy") == []
    again = compute_baseline(tmp_path, SPEC, _run)
    assert [b.facts for b in read_baselines(tmp_path, "toy")] == [again.facts]


def test_a_json_file_that_is_no_record_is_left_out(tmp_path):
    path = compute_baseline(tmp_path, SPEC, _run).folder / "baseline.json"
    path.write_text(json.dumps(["not", "a", "record"]))
    assert read_baselines(tmp_path, "toy") == []


@pytest.mark.parametrize("where", ["run", "write"])
def test_a_failure_leaves_nothing_behind(where, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    if where == "write":
        monkeypatch.setattr("seqattn.runs.baselines.np.savez_compressed", broken)
        with pytest.raises(SeqattnError, match="No space left on device; make room"):
            compute_baseline(tmp_path, SPEC, _run)
    else:
        with pytest.raises(OSError, match="No space left"):
            compute_baseline(tmp_path, SPEC, broken)
    left = [path for path in tmp_path.rglob("*") if path.is_file() or "seed" in path.name]
    assert all(path.suffix == ".lock" for path in left)


def test_of_two_that_ask_for_one_record_the_second_waits_and_computes_nothing(tmp_path):
    computing, go_on, calls = threading.Event(), threading.Event(), []

    def slow():
        calls.append("first")
        computing.set()
        assert go_on.wait(60)
        return _run()

    def never():
        calls.append("second")
        return _run()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(compute_baseline, tmp_path, SPEC, slow)
        assert computing.wait(60)
        second = pool.submit(compute_baseline, tmp_path, SPEC, never)
        time.sleep(0.2)  # enough to reach the lock; too little could only pass
        go_on.set()
        assert first.result().facts == second.result().facts
    assert calls == ["first"]


def test_ranks_that_are_not_there_are_named(tmp_path):
    with pytest.raises(SeqattnError, match=r"'train'.*valid_unfiltered"):
        compute_baseline(tmp_path, SPEC, _run).ranks("train")


def test_records_are_read_in_order_and_summed_up_like_runs(tmp_path):
    for seed in (2021, 2020):
        compute_baseline(tmp_path, replace(SPEC, seed=seed), _run)
    compute_baseline(tmp_path, replace(SPEC, model="bpr"), _run)
    found = read_baselines(tmp_path, "toy")
    assert [(b.model, b.seed) for b in found] == [("bpr", 2020), ("pop", 2020), ("pop", 2021)]
    table = summary(found).set_index(["model", "kind", "metric"])
    assert table.loc[("pop", "filtered", "Recall@10"), "mean"] == 0.5
    assert len(histories(found)) == 3
