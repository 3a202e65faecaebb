from __future__ import annotations

import json
import os
import re
import shutil
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from wanted import fit_wanted

from seqattn.config import ModelConfig
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, checksum
from seqattn.presets import get_preset
from seqattn.runs import fitting
from seqattn.runs import store as store_module
from seqattn.runs.fitting import run_spec
from seqattn.runs.results import histories, summary, value_matrix
from seqattn.runs.store import RecBoleSpec, Result, Run, RunSpec, Store, whole
from seqattn.stats.metrics import metric
from seqattn.training import device

SMOKE = get_preset("smoke")
SPEC = RunSpec("toy", "f" * 64, "sasrec", 1, SMOKE.model, SMOKE.train)
RESULT = Result({"lambdas": []}, {"test_unfiltered": np.array([1, 2, 3])}, {"w": torch.ones(2)})
RECBOLE = RecBoleSpec("toy", "f" * 64, "pop", 2020, {"grid": {"k": [20]}})
EPOCH = {"epoch": 1, "loss": 2.0, "valid_ndcg": 0.5, "seconds": 0.1}
RANKS = {
    "valid_unfiltered": np.array([3, 250], dtype=np.int32),
    "valid_filtered": np.array([1, 255], dtype=np.int32),
    "test_unfiltered": np.array([2, 70_000], dtype=np.int32),
    "test_filtered": np.array([2, 300], dtype=np.int32),
}
RECBOLE_RESULT = Result({"history": [EPOCH]}, RANKS)
BOTH = pytest.mark.parametrize(
    ("spec", "result"), [(SPEC, RESULT), (RECBOLE, RECBOLE_RESULT)], ids=["seqattn", "recbole"]
)


def _never() -> Result:
    raise AssertionError("a finished run was computed again")


def test_a_cell_round_trips_and_is_computed_once(tmp_path):
    store = Store(tmp_path)
    assert store.get(SPEC) is None
    store.compute(SPEC, lambda: RESULT)
    run = store.compute(SPEC, _never)
    assert run.ranks().tolist() == [1, 2, 3]
    assert torch.equal(run.weights()["w"], torch.ones(2))
    assert (run.model, run.seed) == ("sasrec", 1)
    assert [c.folder for c in store.runs()] == [run.folder]


@pytest.mark.parametrize("forbidden", ["", "toy", "toy/sasrec"])
def test_a_folder_that_may_not_be_read_is_not_taken_for_an_empty_one(
    tmp_path, monkeypatch, forbidden
):
    store = Store(tmp_path)
    store.compute(SPEC, lambda: RESULT)
    (tmp_path / "lost+found").mkdir()
    closed = [tmp_path / "lost+found", tmp_path / forbidden]
    monkeypatch.setattr(os, "access", lambda folder, mode: folder not in closed)
    told = f"results folder {tmp_path / forbidden} may not be read; ask its owner"
    with pytest.raises(SeqattnError, match=re.escape(told)):
        list(store.runs())
    with pytest.raises(SeqattnError, match=re.escape(told)):
        store.unusable([])
    closed.pop()
    assert len(list(store.runs("toy"))) == 1


def test_a_run_that_was_finished_since_the_runs_were_listed_is_not_called_damaged(tmp_path):
    store = Store(tmp_path)
    listed = list(store.runs())
    store.compute(SPEC, lambda: RESULT)
    assert store.unusable(listed) == []


@BOTH
def test_a_run_says_what_fitted_it_and_on_what(spec, result, tmp_path):
    run = Store(tmp_path).compute(spec, lambda: result)
    assert (run.engine, run.spec) == (spec.engine, spec)
    assert hash(run.spec) == hash(spec)
    assert (run.dataset, run.fingerprint) == (spec.dataset, spec.fingerprint)


def test_the_store_serves_every_engine_at_once(tmp_path):
    store = Store(tmp_path / "a")
    ours, theirs = (
        store.compute(SPEC, lambda: RESULT),
        store.compute(RECBOLE, lambda: RECBOLE_RESULT),
    )
    assert {run.folder for run in store.runs()} == {ours.folder, theirs.folder}
    assert [run.engine for run in store.runs("toy", "pop")] == ["recbole"]
    assert sorted(path.name for path in theirs.folder.iterdir()) == ["baseline.json", "ranks.npz"]
    other = Store(tmp_path / "b")
    for run in store.runs():
        copy = other.adopt(run)
        # A copy lists the files that it has; all else is the same.
        changed = {name for name in run.facts if copy.facts[name] != run.facts[name]}
        assert changed == ({"files", "checksum"} if run.engine == ours.engine else set())
        assert other.get(run.spec).folder == copy.folder
    with pytest.raises(SeqattnError, match="what other libraries fit is kept without weights"):
        theirs.weights()


def test_others_may_read_weights_as_they_may_ranks(tmp_path):
    """safetensors writes files that are private; a shared store has other readers."""
    run = Store(tmp_path).compute(SPEC, lambda: RESULT)
    modes = {path.name: path.stat().st_mode for path in run.folder.iterdir() if path.is_file()}
    assert modes["model.safetensors"] == modes["ranks.npz"]


@BOTH
def test_ranks_are_kept_small_and_read_signed(spec, result, tmp_path):
    run = Store(tmp_path).compute(spec, lambda: Result({}, RANKS, result.weights))
    with np.load(run.folder / "ranks.npz", allow_pickle=False) as stored:
        kinds = {name: stored[name].dtype for name in stored}
    assert list(kinds.values()) == [np.uint8, np.uint8, np.uint32, np.uint16]
    for name, values in RANKS.items():
        ranks = run.ranks(*name.split("_"))
        assert ranks.dtype == np.int32
        assert np.array_equal(ranks, values)
        assert (ranks - ranks.max()).min() < 0


def test_ranks_that_are_not_there_are_named(tmp_path):
    with pytest.raises(SeqattnError, match=r"'train'.*test_unfiltered"):
        Store(tmp_path).compute(SPEC, lambda: RESULT).ranks("train")


def test_runs_of_recbole_are_summed_up_like_ours(tmp_path):
    store = Store(tmp_path)
    for spec in (replace(RECBOLE, seed=2021), RECBOLE, replace(RECBOLE, model="bpr")):
        store.compute(spec, lambda: RECBOLE_RESULT)
    found = list(store.runs())
    assert [(run.model, run.seed) for run in found] == [("bpr", 2020), ("pop", 2020), ("pop", 2021)]
    table = summary(found).set_index(["model", "kind", "metric"])
    assert table.loc[("pop", "filtered", "Recall@10"), "mean"] == 0.5
    assert len(histories(found)) == 3


@pytest.mark.parametrize("folder", ["results/campaign", "results/baselines"])
def test_every_committed_run_is_read_and_named_after_its_settings(folder):
    runs = {run.folder: run for run in Store(ROOT / folder).runs()}
    committed = set((ROOT / folder).glob("*/*/seed-*"))
    assert committed and set(runs) == committed
    for path, run in runs.items():
        assert path == Store(ROOT / folder).folder(run.spec)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "other"},
        {"fingerprint": "e" * 64},
        {"model": "ia-add"},
        {"seed": 2},
        {"model_config": get_preset("quick").model},
        {"train_config": get_preset("quick").train},
    ],
)
def test_any_difference_in_what_a_cell_rests_on_is_another_run(change, tmp_path):
    store = Store(tmp_path)
    store.compute(SPEC, lambda: RESULT)
    assert store.get(replace(SPEC, **change)) is None


def test_any_difference_in_what_a_run_of_recbole_rests_on_is_another_run():
    changes = (
        *({"dataset": "other"}, {"fingerprint": "e" * 64}, {"model": "bpr"}, {"seed": 2021}),
        {"settings": {"grid": {"k": [50]}}},
    )
    assert len({RECBOLE.key, *(replace(RECBOLE, **change).key for change in changes)}) == 6


@pytest.mark.parametrize(
    ("spec", "result", "name"),
    [
        *((SPEC, RESULT, name) for name in ("cell.json", "ranks.npz", "model.safetensors")),
        *((RECBOLE, RECBOLE_RESULT, name) for name in ("baseline.json", "ranks.npz")),
    ],
)
@pytest.mark.parametrize("damage", ["truncate", "edit", "delete"])
def test_a_damaged_artifact_is_computed_again(spec, result, name, damage, tmp_path):
    store = Store(tmp_path)
    path = store.compute(spec, lambda: result).folder / name
    content = path.read_bytes()
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "edit":
        path.write_bytes(content.replace(b"1", b"2", 1) if b"1" in content else content + b"x")
    else:
        path.unlink()
    assert store.get(spec) is None
    assert list(store.runs()) == []
    again = store.compute(spec, lambda: result).ranks()
    assert np.array_equal(again, result.ranks["test_unfiltered"])


@BOTH
@pytest.mark.parametrize("change", [{"seed": 9}, {"model": "gru4rec"}, {"dataset": "other"}])
def test_a_run_at_the_place_of_another_is_none(spec, result, change, tmp_path):
    store = Store(tmp_path)
    own, other = store.compute(spec, lambda: result).folder, replace(spec, **change)
    shutil.copytree(own, store.folder(other))
    assert store.get(other) is None
    assert [run.folder for run in store.runs()] == [own]
    assert store.compute(other, lambda: result).facts["spec"][next(iter(change))] in change.values()


@BOTH
def test_a_renamed_run_is_none(spec, result, tmp_path):
    store = Store(tmp_path)
    folder = store.compute(spec, lambda: result).folder
    folder.rename(folder.with_name(folder.name.replace(f"seed-{spec.seed}", "seed-7")))
    assert list(store.runs()) == []


def test_ranks_of_another_run_are_none(tmp_path):
    store = Store(tmp_path)
    one, other = (
        store.compute(replace(SPEC, seed=s), lambda s=s: replace(RESULT, ranks={"r": np.ones(s)}))
        for s in (3, 4)
    )
    shutil.copyfile(other.folder / "ranks.npz", one.folder / "ranks.npz")
    assert [run.folder for run in store.runs()] == [other.folder]


def test_a_run_whose_settings_cannot_be_read_is_none(tmp_path):
    store = Store(tmp_path)
    path = store.compute(SPEC, lambda: RESULT).folder / "cell.json"
    facts = json.loads(path.read_text())
    facts["spec"]["model_config"]["heads"] = 3
    facts["checksum"] = checksum(facts)
    path.write_text(json.dumps(facts))
    assert list(store.runs()) == [] and store.get(SPEC) is None


def test_an_edited_metric_is_noticed(tmp_path):
    store = Store(tmp_path)
    path = store.compute(SPEC, lambda: RESULT).folder / "cell.json"
    facts = json.loads(path.read_text())
    facts["lambdas"] = [0.5]
    path.write_text(json.dumps(facts))
    assert store.get(SPEC) is None


def test_a_json_file_that_is_no_record_is_left_out(tmp_path):
    store = Store(tmp_path)
    path = store.compute(RECBOLE, lambda: RECBOLE_RESULT).folder / "baseline.json"
    path.write_text(json.dumps(["not", "a", "record"]))
    assert list(store.runs()) == []


def test_an_interrupted_computation_leaves_the_store_clean(tmp_path):
    store = Store(tmp_path)

    def interrupted() -> Result:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.compute(SPEC, interrupted)
    assert list(store.runs()) == []
    assert [p.name for p in tmp_path.rglob("*") if p.is_dir() and "seed" in p.name] == []
    assert store.compute(SPEC, lambda: RESULT).seed == 1


def test_weights_that_share_memory_are_kept_whole(tmp_path):
    table = torch.arange(6.0).view(2, 3)
    run = Store(tmp_path).compute(
        SPEC, lambda: replace(RESULT, weights={"a": table, "b": table.T, "c": table[1:]})
    )
    assert {name: value.tolist() for name, value in run.weights().items()} == {
        "a": table.tolist(),
        "b": table.T.tolist(),
        "c": table[1:].tolist(),
    }


def test_a_failing_write_leaves_no_half_written_run(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqattn.runs.store.packed", full)
    with pytest.raises(SeqattnError, match="No space left on device; make room"):
        store.compute(SPEC, lambda: RESULT)
    assert store.get(SPEC) is None
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("broken", [0, 1])
def test_a_folder_that_cannot_be_replaced_stays_whole(tmp_path, monkeypatch, broken):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    moves, move = [], os.replace

    def replace(source, target):
        moves.append((source, target))
        if len(moves) == broken + 1:
            raise OSError(16, "Device or resource busy")
        move(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(SeqattnError, match="resource busy"), whole(folder) as partial:
        (partial / "new.txt").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old.txt"]


def test_a_folder_whose_replacement_was_killed_half_way_comes_back(tmp_path):
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "old.txt").write_text("old")
    with pytest.raises(RuntimeError), whole(tmp_path / "out"):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old.txt"]


def test_a_results_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SeqattnError, match="cannot make the folder"):
        Store(tmp_path / "file" / "results")


# One process imports everything, before any of its threads; those the tests are about are forks.
HOST = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
from seqattn.data import load_dataset
from runs.test_store import RESULT, SPEC, Store, fit_wanted

def forked(work):
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    return pid

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.fixture
def hosted(warm):
    def run(program, *arguments):
        done = warm.run(HOST + program, *arguments, path=[ROOT / "src", ROOT / "tests"])
        done.check_returncode()

    return run


TWO = """
store, log = sys.argv[1:]

def run():
    with open(log, "a") as file:
        file.write("computed\\n")
    time.sleep(0.5)
    return RESULT

both = [forked(lambda: Store(store).compute(SPEC, run)) for _ in range(2)]
assert [ended(pid) for pid in both] == [0, 0]
"""


def test_two_processes_compute_a_cell_once(tmp_path, hosted):
    hosted(TWO, tmp_path / "store", tmp_path / "log")
    assert (tmp_path / "log").read_text() == "computed\n"


KILLED = """
def fit():
    data = load_dataset("synthetic")
    fit_wanted(sys.argv[1], data, [("ia-add", 1)], "smoke", progress=False)

for attempt in range(4):
    pid = forked(fit)
    time.sleep(random.Random(attempt).uniform(0, 0.6))
    os.kill(pid, signal.SIGKILL)
    assert ended(pid) in (-signal.SIGKILL, 0)
"""


def test_a_fit_killed_at_a_random_moment_ends_in_the_same_artifact(tmp_path, synthetic, hosted):
    undisturbed = fit_wanted(tmp_path / "calm", synthetic, [("ia-add", 1)], "smoke", progress=False)
    hosted(KILLED, tmp_path / "killed")
    again = fit_wanted(tmp_path / "killed", synthetic, [("ia-add", 1)], "smoke", progress=False)
    for kind in ("test", "valid"):
        assert np.array_equal(again[0].ranks(kind), undisturbed[0].ranks(kind))
    weights = undisturbed[0].weights()
    assert all(torch.equal(value, weights[key]) for key, value in again[0].weights().items())
    assert not list((tmp_path / "killed").rglob("*.partial"))


def test_every_folder_is_read_once(tmp_path, synthetic, monkeypatch):
    fit_wanted(tmp_path, synthetic, [("sasrec", 1)], "smoke", progress=False)
    read, original = [], store_module.read_record

    def spied(folder, name):
        facts = original(folder, name)
        read.extend([folder] if facts else [])
        return facts

    monkeypatch.setattr(store_module, "read_record", spied)
    wanted = [("sasrec", 1), ("sasrec", 2)]
    runs = fit_wanted(tmp_path, synthetic, wanted, "smoke", workers=1, progress=False)
    assert sorted(read) == sorted(run.folder for run in runs)


def test_on_a_gpu_seeds_of_two_configurations_are_not_fitted_as_one(
    tmp_path, synthetic, monkeypatch
):
    together = []

    def stacked(store, dataset, specs, **_):
        together.append(list(specs))
        return [store.compute(spec, lambda: RESULT) for spec in specs]

    monkeypatch.setattr(fitting, "require_device", lambda device: None)
    monkeypatch.setattr(fitting, "fit_runs_stacked", stacked)
    one = [run_spec(synthetic, "sasrec", seed, SMOKE) for seed in (1, 2)]
    two = [run_spec(synthetic, "sasrec", seed, get_preset("quick")) for seed in (1, 2)]
    specs = [one[0], two[0], one[1], two[1]]
    runs = fitting.fit_runs(Store(tmp_path), synthetic, specs, device="cuda", progress=False)
    assert sorted(map(len, together)) == [2, 2] and one in together and two in together
    assert [run.spec for run in runs] == specs


def test_on_a_gpu_workers_fit_runs_side_by_side_on_that_gpu(tmp_path, synthetic, monkeypatch):
    asked = []

    def beside(store, dataset, specs, device, workers, bar):
        asked.append((list(specs), device, workers))
        return {spec: store.compute(spec, lambda: RESULT) for spec in specs}

    def alone(store, dataset, spec, *, device, report):
        asked.append(([spec], device, 1))
        return store.compute(spec, lambda: RESULT)

    monkeypatch.setattr(fitting, "require_device", lambda device: None)
    monkeypatch.setattr(fitting, "_fit_in_processes", beside)
    monkeypatch.setattr(fitting, "fit_run", alone)
    specs = [run_spec(synthetic, model, 1, SMOKE) for model in ("sasrec", "ia-add")]
    for workers, path in ((8, "eight"), (1, "one")):
        store = Store(tmp_path / path)
        fitting.fit_runs(store, synthetic, specs, device="cuda", workers=workers, progress=False)
    assert asked == [(specs, "cuda", 2), (specs[:1], "cuda", 1), (specs[1:], "cuda", 1)]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("workers", [0, -3])
def test_fits_need_a_worker(tmp_path, synthetic, monkeypatch, device, workers):
    monkeypatch.setattr(fitting, "require_device", lambda device: None)
    spec = run_spec(synthetic, "sasrec", 1, SMOKE)
    with pytest.raises(SeqattnError, match=f"workers must be at least 1, not {workers}"):
        fitting.fit_runs(Store(tmp_path), synthetic, [spec], device=device, workers=workers)


def test_settings_that_there_are_not_leave_finished_runs(tmp_path, synthetic):
    fit_wanted(tmp_path, synthetic, [("sasrec", 1)], "smoke", progress=False)
    with pytest.raises(SeqattnError, match="unknown preset"):
        fit_wanted(tmp_path, synthetic, [("sasrec", 1)], "nonsense", progress=False)
    assert len(list(Store(tmp_path).runs())) == 1


def test_a_cell_records_what_it_was_made_with(tmp_path, synthetic):
    run = fit_wanted(tmp_path, synthetic, [("ia-add", 1)], "smoke", progress=False)[0]
    assert run.facts["spec"]["fingerprint"] == synthetic.fingerprint
    assert len(run.facts["history"]) == SMOKE.train.epochs
    assert len(run.facts["lambdas"]) == SMOKE.model.n_layers
    assert {"torch", "numpy", "python", "commit", "device"} <= set(run.facts["environment"])
    assert run.facts["seconds"] > 0
    stored = run.facts["metrics"]["test_filtered"]["MRR@20"]
    assert stored == metric(run.ranks("test", "filtered"), "MRR", 20).mean()


def test_a_package_outside_of_its_checkout_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr("seqattn.training.device.ROOT", tmp_path)
    assert device._commit.__wrapped__() == "unknown"


def test_a_run_keeps_whose_its_targets_are_and_gives_a_value_a_user(tmp_path, several):
    owners = several.split.owners()["test"]
    runs = [
        fitting.fit_run(Store(tmp_path), several, run_spec(several, "sasrec", seed, SMOKE))
        for seed in (1, 2)
    ]
    for run in runs:
        of_target = pd.Series(metric(run.ranks("test"), "NDCG", 10))
        expected = of_target.groupby(owners).mean().to_numpy()
        assert np.array_equal(run.owners("test"), owners)
        assert len(expected) == several.n_users < len(of_target)
        assert run.values("NDCG", 10) == pytest.approx(expected)
    values_SU = value_matrix(runs, "NDCG", 10)
    assert np.array_equal(values_SU, [run.values("NDCG", 10) for run in runs])


@pytest.mark.parametrize("fit_one", [fitting.fit_run, fitting.fit_runs_stacked])
def test_a_fit_uses_one_thread_however_many_there_are(tmp_path, synthetic, monkeypatch, fit_one):
    seen = []

    def fit(*_, **__):
        seen.append(torch.get_num_threads())
        raise SeqattnError("seen enough")

    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(fitting, "fit_stacked", fit)
    spec = run_spec(synthetic, "sasrec", 1, SMOKE)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        wanted = spec if fit_one is fitting.fit_run else [spec]
        with pytest.raises(SeqattnError, match="seen enough"):
            fit_one(Store(tmp_path), synthetic, wanted, device="cpu")
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_whole_number_for_a_float_is_one_run(tmp_path, synthetic):
    """Another text of the same number was another key, under which no run was ever found."""
    ints, floats = (
        replace(run_spec(synthetic, "sasrec", 1, SMOKE), model_config=config)
        for config in (ModelConfig(hidden_dropout=0), ModelConfig(hidden_dropout=0.0))
    )
    assert ints.key == floats.key
    assert Store(tmp_path).compute(ints, lambda: RESULT).spec == floats


def test_a_fit_that_fails_in_a_process_of_its_own_leaves_the_others(tmp_path, synthetic):
    diverging = replace(SMOKE, train=replace(SMOKE.train, learning_rate=1e12))
    specs = [run_spec(synthetic, "sasrec", 1, preset) for preset in (SMOKE, diverging)]
    fitting.fit_run(store := Store(tmp_path), synthetic, specs[0])
    specs += [run_spec(synthetic, "sasrec", 2, diverging)]
    with pytest.raises(SeqattnError, match=r"diverge|no longer finite|learning rate"):
        fitting.fit_runs(store, synthetic, specs, workers=2, progress=False)
    assert [run.spec for run in store.runs()] == specs[:1]


def test_a_worker_that_is_ended_from_outside_is_one_error(tmp_path, synthetic, monkeypatch):
    def ended(*_):
        raise BrokenProcessPool

    monkeypatch.setattr(fitting.ProcessPoolExecutor, "submit", ended)
    specs = [run_spec(synthetic, "sasrec", seed, SMOKE) for seed in (1, 2)]
    with pytest.raises(SeqattnError, match=r"ended from outside, .*Finished runs are kept"):
        fitting.fit_runs(Store(tmp_path), synthetic, specs, workers=2, progress=False)


def test_keys_of_kept_runs_do_not_hang_on_fields_that_came_later():
    kept = ROOT / "results/fixed/ml-1m/sasrec/seed-2020-38228c628d0f"  # of the first presets
    facts = json.loads((kept / "cell.json").read_text(encoding="utf-8"))
    run = Store(ROOT / "results/fixed").get(Run(kept, facts).spec)
    assert run is not None and run.folder == kept
    assert "positions" not in run.facts["spec"]["model_config"]
    later = replace(run.spec.model_config, positions="none")
    assert replace(run.spec, model_config=later).key != run.spec.key


def test_a_run_that_is_not_named_after_what_it_holds_is_not_adopted(tmp_path):
    run = Store(tmp_path / "a").compute(SPEC, lambda: RESULT)
    facts = {**run.facts, "spec": {**run.facts["spec"], "seed": 2}}
    with pytest.raises(SeqattnError, match="is not named after what it holds"):
        Store(tmp_path / "b").adopt(Run(run.folder, facts))
    assert not list(Store(tmp_path / "b").runs())
