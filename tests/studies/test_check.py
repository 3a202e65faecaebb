"""A results folder that does not hold what it claims is found out."""

import dataclasses
import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from fabricated import keep
from wanted import fit_wanted

from seqattn.cli import main
from seqattn.data import load_dataset
from seqattn.errors import SeqattnError
from seqattn.files import checksum, write_text
from seqattn.presets import get_preset
from seqattn.runs.store import ExternalSpec, RecBoleSpec, Result, Run, Store
from seqattn.search.collect import collect
from seqattn.search.record import SearchConfig
from seqattn.search.tune import tune
from seqattn.stats.metrics import averages
from seqattn.studies import check
from seqattn.studies.check import (
    check_calibrations,
    check_records,
    check_sample,
    refit,
)
from seqattn.training.fit import fit

SMOKE = get_preset("smoke")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A campaign of two runs and a control, collected, with its dataset's record."""
    root, dataset = tmp_path_factory.mktemp("check"), load_dataset("synthetic")
    tune(root / "work", dataset, "sasrec", SearchConfig(trials=1, epochs=1), SMOKE)
    wanted = [("sasrec", 1), ("sasrec", 2)]
    fit_wanted(root / "work", dataset, wanted, "own_search", workers=1, progress=False)
    # A control: SASRec on the backbone of a variant that is not fitted itself.
    tune(root / "work", dataset, "ia-add", SearchConfig(trials=1, epochs=1, seed=7), SMOKE)
    control = {"backbone_of": "ia-add", "workers": 1, "progress": False}
    fit_wanted(root / "work", dataset, [("sasrec", 3)], "own_search", **control)
    collect(root / "work", root / "kept")
    (root / "calibration").mkdir()
    (root / "baselines").mkdir()
    record = json.dumps({"fingerprint": dataset.fingerprint})
    write_text(root / "datasets" / "synthetic" / "dataset.json", record)
    return root


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def arguments(folder, *more):
    beside = [f"--{name}={folder / name}" for name in ("datasets", "baselines", "calibration")]
    return ["check", str(folder / "kept"), *beside, *more]


def edit(run, change):
    """Change a run's facts, and its checksum with them, as a careful forger would."""
    facts = json.loads((run.folder / "cell.json").read_text())
    change(facts)
    facts["checksum"] = checksum(facts)
    (run.folder / "cell.json").write_text(json.dumps(facts))


def facts_of(run):
    return json.loads((run.folder / "cell.json").read_text())


def test_a_whole_folder_passes_and_its_cells_refit_to_the_last_bit(whole, capsys):
    assert main(arguments(whole, "--sample", "3", "--epochs", "1")) == 0
    told = capsys.readouterr().out
    assert told.count("equal to the last bit") == 3
    assert "2 searches, 3 runs" in told


def test_a_damaged_cell_is_named(folder):
    run = next(Store(folder / "kept").runs())
    (run.folder / "ranks.npz").write_bytes(b"")
    (problem,) = check_records(folder / "kept", folder / "datasets")
    assert str(run.folder) in problem
    assert "damaged" in problem


@pytest.mark.parametrize("content", ['{"fingerp', "[]", ""])
def test_a_truncated_record_of_a_dataset_is_one_line(folder, content, capsys):
    path = folder / "datasets" / "synthetic" / "dataset.json"
    path.write_text(content)
    assert main(arguments(folder, "--sample", "0")) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert f"{path} is damaged; remove it and run `seqattn prepare synthetic" in told[0]


@pytest.mark.parametrize("content", ['dataset,model\n"syn', "model,arm,runs\nia-add,own,\n"])
def test_a_truncated_calibration_is_a_problem(folder, content):
    path = write_text(folder / "calibration" / "cells.csv", content)
    (problem,) = check_calibrations(folder / "calibration", folder / "kept")
    assert problem.startswith(f"{path} is damaged")


def test_a_metric_that_its_ranks_do_not_give_is_found(folder):
    run = next(Store(folder / "kept").runs())
    edit(run, lambda facts: facts["metrics"]["test_unfiltered"].update({"NDCG@10": 0.9}))
    (problem,) = check_records(folder / "kept", folder / "datasets")
    assert "test_unfiltered NDCG@10 is 0." in problem


def test_a_metric_that_another_processor_rounded_passes(folder):
    run = next(Store(folder / "kept").runs())
    ndcg = run.facts["metrics"]["test_unfiltered"]["NDCG@10"]
    rounded = {"NDCG@10": ndcg * (1 + 1e-15)}
    edit(run, lambda facts: facts["metrics"]["test_unfiltered"].update(rounded))
    assert rounded["NDCG@10"] != ndcg
    assert check_records(folder / "kept", folder / "datasets") == []


def test_settings_that_no_search_found_are_found(folder):
    run = next(Store(folder / "kept").runs())
    edit(run, lambda facts: facts["spec"]["train_config"].update({"learning_rate": 0.5}))
    (problem,) = check_records(folder / "kept", folder / "datasets")
    assert "another run than its name says" in problem
    renamed = run.folder.with_name(f"seed-{run.seed}-{Run(run.folder, facts_of(run)).spec.key}")
    run.folder.rename(renamed)
    (problem,) = check_records(folder / "kept", folder / "datasets")
    assert "no search found these settings" in problem


def test_settings_that_a_study_asks_for_need_no_search(folder, monkeypatch):
    shutil.rmtree(folder / "kept" / "searches")
    assert len(check_records(folder / "kept", folder / "datasets")) == 3
    asked_for = {run.spec for run in Store(folder / "kept").runs()}
    monkeypatch.setattr("seqattn.studies.check.wanted_in", lambda results: asked_for)
    assert check_records(folder / "kept", folder / "datasets") == []


def test_ranks_of_another_program_are_checked_as_far_as_they_go(folder):
    dataset = load_dataset("synthetic")
    ranks = {"test_filtered": np.ones(dataset.n_users)}
    spec = ExternalSpec("synthetic", dataset.fingerprint, "theirs", 1, "sha", "filtered")
    facts = {"metrics": {kind: averages(values) for kind, values in ranks.items()}}
    Store(folder / "kept").compute(spec, partial(Result, facts, ranks))
    assert check_records(folder / "kept", folder / "datasets") == []


def test_a_run_of_ones_own_log_is_not_fitted_again(folder):
    run = next(run for run in Store(folder / "kept").runs() if run.model == "sasrec")
    spec = dataclasses.replace(run.spec, dataset="mine")
    keep(folder / "kept", spec, np.ones(60, dtype=np.int32))
    told = []
    assert check_sample(folder / "kept", sample=9, epochs=1, seed=0, tell=told.append) == []
    assert told and not any(line.startswith("mine") for line in told)
    counted = "3 of 4 runs are fitted again (--sample-seed 0); the data of mine is not at hand"
    assert told[0] == counted and len(told) == 4


def test_other_data_is_found(folder):
    write_text(folder / "datasets" / "synthetic" / "dataset.json", '{"fingerprint": "00"}')
    problems = check_records(folder / "kept", folder / "datasets")
    assert len(problems) == 5  # two searches and three runs


def test_a_generated_log_needs_no_record(folder):
    (folder / "datasets" / "synthetic" / "dataset.json").unlink()
    assert check_records(folder / "kept", folder / "datasets") == []


def test_a_chosen_run_is_fitted_again_and_no_other(folder, capsys):
    chosen, *_ = Store(folder / "kept").runs()
    assert main(arguments(folder, "--run", str(chosen.folder), "--epochs", "1")) == 0
    told = capsys.readouterr().out
    assert told.count("equal to the last bit") == 1
    assert f"synthetic {chosen.model} seed {chosen.seed}: 1 epochs" in told
    edit(chosen, lambda facts: facts["history"][0].update({"loss": 1.0}))
    assert main(arguments(folder, "--run", str(chosen.folder), "--epochs", "1")) == 1


def test_data_without_a_record_is_told_from_other_data(folder, monkeypatch):
    monkeypatch.setattr(check, "GENERATED", {})
    (folder / "datasets" / "synthetic" / "dataset.json").unlink()
    problems = check_records(folder / "kept", folder / "datasets")
    assert len(problems) == 5 and all("no record of 'synthetic'" in told for told in problems)
    with pytest.raises(SeqattnError, match="typo is no folder; name that of the datasets"):
        check_records(folder / "kept", folder / "typo")


def test_no_other_folder_is_held_against_the_campaigns_calibration(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)  # where records lie does not hang on where one stands
    only = ["check", "kept", f"--datasets={folder / 'datasets'}", "--sample", "0"]
    assert main(only) == 0
    told = capsys.readouterr().out
    assert "calibration" not in told and "baselines" not in told


def test_a_recorded_loss_that_a_refit_does_not_give_is_found(folder):
    for run in Store(folder / "kept").runs():
        edit(run, lambda facts: facts["history"][0].update({"loss": 1.0}))
    problems = check_sample(folder / "kept", sample=2, epochs=1, seed=0, tell=lambda line: None)
    assert len(problems) == 2
    assert main(arguments(folder, "--sample", "1", "--epochs", "1")) == 1


@pytest.mark.parametrize(
    ("edits", "agree"),
    [
        ({"loss": 1e-7}, False),  # on the kind of machine that fitted it, nothing may differ
        ({"loss": 1e-7, "torch": "0"}, True),  # on another, rounding may
        ({"loss": 1e-3, "torch": "0"}, False),
        ({"lambdas": [1.0], "torch": "0"}, False),  # another model's course, however near its loss
    ],
)
def test_how_far_a_refit_may_be_off_depends_on_the_machine(folder, edits, agree):
    run = next(Store(folder / "kept").runs())

    def change(facts):
        facts["history"][0]["loss"] *= 1 + edits.get("loss", 0)
        facts["history"][0]["lambdas"] = edits.get("lambdas", [])
        facts["environment"]["torch"] = edits.get("torch", facts["environment"]["torch"])

    edit(run, change)
    (kept,) = (c for c in Store(folder / "kept").runs() if c.folder == run.folder)
    seen, agrees = refit(kept, load_dataset("synthetic"), 1)
    assert agrees == agree, seen
    if edits.get("torch"):
        device = kept.facts["environment"]["device"]
        here = torch.__version__.split("+")[0]
        told = f"fitted with {device}, PyTorch 0, and here with {device}, PyTorch {here}"
        assert told in seen


@pytest.mark.parametrize(("drift", "agree"), [(0.0, False), (1e-4, True)])
def test_a_fit_that_rounding_carries_far_may_be_as_far_elsewhere(folder, monkeypatch, drift, agree):
    run = next(Store(folder / "kept").runs())

    def change(facts):
        facts["history"][0]["loss"] *= 1 + 3e-4
        facts["environment"]["torch"] = "0"

    edit(run, change)
    (kept,) = (c for c in Store(folder / "kept").runs() if c.folder == run.folder)
    rate = kept.spec.train_config.learning_rate

    def carried(dataset, model, seed, model_config, train):
        """What `fit` gives, as far off as a learning rate that is not the run's carries it."""
        fitted = fit(dataset, model, seed, model_config, train)
        off = 1 + drift * (train.learning_rate != rate)
        epochs = [dataclasses.replace(e, loss=e.loss * off) for e in fitted.history]
        return dataclasses.replace(fitted, history=epochs)

    monkeypatch.setattr("seqattn.studies.check.fit", carried)
    seen, agrees = refit(kept, load_dataset("synthetic"), 1)
    assert agrees == agree, seen


def test_a_damaged_baseline_and_one_of_other_data_are_named(folder):
    dataset = load_dataset("synthetic")
    ranks = {f"{s}_{k}": np.ones(3) for s in ("valid", "test") for k in ("unfiltered", "filtered")}
    for model, fingerprint in (("pop", dataset.fingerprint), ("bpr", "other"), ("gru4rec", "x")):
        spec = RecBoleSpec("synthetic", fingerprint, model, 1, {})
        facts = {"metrics": {kind: averages(values) for kind, values in ranks.items()}}
        Store(folder / "baselines").compute(spec, partial(Result, facts, ranks))
    (record,) = (folder / "baselines").glob("synthetic/gru4rec/seed-*/ranks.npz")
    record.write_bytes(b"")
    damaged, other = check_records(folder / "baselines", folder / "datasets")
    assert "bpr" in other and "fingerprint other is not that of the dataset's record" in other
    (record,) = (folder / "baselines").glob("synthetic/pop/seed-*/baseline.json")
    facts = json.loads(record.read_text())
    facts["metrics"]["test_unfiltered"]["NDCG@10"] = 0.5
    facts["checksum"] = checksum(facts)
    record.write_text(json.dumps(facts))
    problems = check_records(folder / "baselines", folder / "datasets")
    assert any("test_unfiltered NDCG@10 is 1.0" in problem for problem in problems)
    assert "gru4rec" in damaged and "damaged" in damaged
    assert main(arguments(folder, "--sample", "0")) == 1


def test_a_calibration_of_runs_that_are_gone_is_named(folder):
    assert check_calibrations(folder / "calibration", folder / "kept") == []
    key, *others = [run.spec.key for run in Store(folder / "kept").runs()]
    head = "dataset,arm,model,base_runs,runs\n"
    there = f"synthetic,own_search,ia-add,{key},{' '.join(others)}\n"
    path = folder / "calibration" / "cells.csv"
    write_text(path, head + there)
    assert check_calibrations(folder / "calibration", folder / "kept") == []
    write_text(path, head + there + f"synthetic,own_search,ia-mul,{key},gone\n")
    (problem,) = check_calibrations(folder / "calibration", folder / "kept")
    assert "ia-mul on synthetic, own_search" in problem and "seqattn study calib" in problem
