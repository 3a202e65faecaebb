"""A fit that was stopped goes on where it stood, and nobody can tell."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import torch

from seqattn.config import ModelConfig, TrainConfig, replace
from seqattn.errors import SeqattnError
from seqattn.presets import Preset, get_preset
from seqattn.runs import fitting
from seqattn.runs.checkpoint import Checkpoint
from seqattn.runs.fitting import fit_run, fit_runs_stacked, run_spec
from seqattn.runs.store import Store
from seqattn.training.fit import fit

MODEL = ModelConfig(max_length=8, hidden_size=8, inner_size=8)
TRAIN = TrainConfig(batch_targets=256, epochs=5, stride=5)  # three batches an epoch
# Whole histories; two layers of 5 reach 9 interactions.
SLIDING = replace(MODEL, positions="rope", sliding_window=5, max_length=9)
KINDS = [
    ("sasrec", MODEL, TRAIN),
    ("ia-val", MODEL, TRAIN),
    ("bert4rec", MODEL, TRAIN),
    ("ia-mul", SLIDING, replace(TRAIN, windows="whole")),
]


class Stop(Exception):
    """Whatever ends a process."""


def stopping_after(epoch):
    """Return an `on_epoch` that stops the fit in the epoch after this one, once it was kept."""

    def on_epoch(done):
        if done.epoch == epoch + 1:
            raise Stop

    return on_epoch


def without_seconds(history):
    return [(e.epoch, e.loss, e.valid_ndcg, e.lambdas) for e in history]


@pytest.fixture(scope="module")
def undisturbed(synthetic):
    """Fits that nothing stops, by model."""
    return {kind[0]: fit(synthetic, kind[0], 2020, *kind[1:]) for kind in KINDS}


@pytest.mark.parametrize(("model", "config", "train"), KINDS)
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_stopped_fit_goes_on_to_the_same_bits(
    synthetic, tmp_path, undisturbed, model, config, train, epoch
):
    arguments = (synthetic, model, 2020, config, train)
    keeper = Checkpoint(tmp_path / "state", {}, every=0)
    with pytest.raises(Stop):
        fit(*arguments, keeper=keeper, on_epoch=stopping_after(epoch))
    began = []
    went_on = fit(*arguments, keeper=keeper, on_epoch=lambda done: began.append(done.epoch))
    whole = undisturbed[model]
    assert began[0] == epoch + 1
    assert without_seconds(went_on.history) == without_seconds(whole.history)
    assert went_on.best_epoch == whole.best_epoch
    for kind, ranks in whole.ranks.items():
        np.testing.assert_array_equal(went_on.ranks[kind], ranks)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(went_on.model.state_dict()[name], value), name


def test_a_fit_whose_patience_was_at_its_end_trains_no_more(synthetic, tmp_path):
    arguments = (synthetic, "sasrec", 1, MODEL, TrainConfig(batch_targets=64, patience=1, stride=5))
    keeper = Checkpoint(tmp_path / "state", {}, every=0)
    whole = fit(*arguments, keeper=keeper)
    assert len(whole.history) < 50
    began = []
    again = fit(*arguments, keeper=keeper, on_epoch=began.append)
    assert began == []
    np.testing.assert_array_equal(again.ranks["test_filtered"], whole.ranks["test_filtered"])


def test_time_before_the_stop_is_counted(synthetic, tmp_path):
    keeper = Checkpoint(tmp_path / "state", {}, every=0)
    with pytest.raises(Stop):
        fit(synthetic, "sasrec", 1, MODEL, TRAIN, keeper=keeper, on_epoch=stopping_after(2))
    fitted = fit(synthetic, "sasrec", 1, MODEL, TRAIN, keeper=keeper)
    assert fitted.seconds > sum(epoch.seconds for epoch in fitted.history)


def state_of(path, synthetic, **about):
    once = replace(TRAIN, epochs=1)
    fit(synthetic, "sasrec", 1, MODEL, once, keeper=Checkpoint(path, about, every=0))
    return path


def test_a_state_of_other_code_or_another_machine_is_not_read(synthetic, tmp_path):
    path = state_of(tmp_path / "state", synthetic, torch="2.13.0", code="a")
    assert Checkpoint(path, {"torch": "2.13.0", "code": "a"}).load() is not None
    assert Checkpoint(path, {"torch": "2.13.0", "code": "b"}).load() is None
    assert Checkpoint(path, {"torch": "2.14.0", "code": "a"}).load() is None


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.99])
def test_a_damaged_state_is_not_read(synthetic, tmp_path, kept):
    path = state_of(tmp_path / "state", synthetic)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    assert Checkpoint(path, {}).load() is None


def test_it_writes_once_in_a_while_and_not_before(synthetic, tmp_path):
    keeper = Checkpoint(tmp_path / "state", {}, every=3600)
    fit(synthetic, "sasrec", 1, MODEL, TRAIN, keeper=keeper)
    assert not keeper.path.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_that_cannot_be_written_is_one_line(synthetic, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SeqattnError, match=r"cannot write .*make room"):
        state_of(tmp_path / "state", synthetic)


def test_a_run_leaves_its_state_when_it_is_stopped_and_removes_it_when_it_is_kept(
    synthetic, tmp_path, monkeypatch
):
    monkeypatch.setattr(fitting, "Checkpoint", lambda *args: Checkpoint(*args, every=0))
    store, spec = Store(tmp_path / "a"), run_spec(synthetic, "ia-add", 1, Preset(MODEL, TRAIN))

    def stop(line):
        if "epoch 3" in line:
            raise Stop

    with pytest.raises(Stop):
        fit_run(store, synthetic, spec, report=stop)
    assert store.checkpoint(spec).exists() and store.get(spec) is None
    lines = []
    run = fit_run(store, synthetic, spec, report=lines.append)
    assert "epoch 3" in lines[0]
    assert not store.checkpoint(spec).exists()
    whole = fit_run(Store(tmp_path / "b"), synthetic, spec)
    np.testing.assert_array_equal(run.ranks(), whole.ranks())
    assert all(torch.equal(run.weights()[k], v) for k, v in whole.weights().items())
    assert list(store.runs()) == [run]


def test_a_run_of_other_data_is_not_fitted_under_its_name(synthetic, tmp_path):
    spec = dataclasses.replace(
        run_spec(synthetic, "sasrec", 1, get_preset("smoke")), fingerprint="another log"
    )
    for fit_one in (fit_run, lambda *given: fit_runs_stacked(*given[:2], [given[2]], device="cpu")):
        with pytest.raises(SeqattnError, match="with fingerprint another log, and synthetic here"):
            fit_one(Store(tmp_path), synthetic, spec)
    assert list(Store(tmp_path).runs()) == []
