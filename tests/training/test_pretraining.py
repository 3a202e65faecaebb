"""Pre-training on masked items: whose weights a model of next items starts from."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict

import numpy as np
import pytest
import torch

from seqattn.config import ModelConfig, TrainConfig, record, replace
from seqattn.data.splits import leave_one_out
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.presets import Preset
from seqattn.runs.checkpoint import Checkpoint
from seqattn.runs.fitting import _fit_on_gpu, fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.training import fit as fitting
from seqattn.training.batches import Gatherer
from seqattn.training.fit import fit, seeded_model
from seqattn.training.pretraining import take_over, twin_of
from seqattn.training.stacked import fit_stacked

MODEL = ModelConfig(max_length=8, hidden_size=8, inner_size=8)
TRAIN = TrainConfig(batch_targets=256, epochs=2, stride=5, learning_rate=1e-2)
PRETRAINED = replace(TRAIN, pretrain_epochs=3)


class Stop(Exception):
    """Whatever ends a process."""


def start(synthetic, monkeypatch, name="sasrec", seed=1, model=MODEL, train=PRETRAINED):
    """Return the twin and the model as they are when training on next items begins."""
    seen = {}

    def spy(model, twin):
        take_over(model, twin)
        for key, value in (("model", model), ("twin", twin)):
            seen[key] = {name: w.clone() for name, w in value.state_dict().items()}

    monkeypatch.setattr(fitting, "take_over", spy)
    fit(synthetic, name, seed, model, train)
    return seen["twin"], seen["model"]


def assert_same_fit(one, other):
    assert [e.loss for e in one.history] == [e.loss for e in other.history]
    for kind, ranks in one.ranks.items():
        np.testing.assert_array_equal(ranks, other.ranks[kind])
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name


def test_no_epochs_of_it_are_sasrec(synthetic, monkeypatch):
    """Even if the twin is made and its start is taken over: the two start alike."""
    plain = fit(synthetic, "sasrec", 1, MODEL, TRAIN)
    assert "pretraining" not in plain.facts()
    assert "pretrain_epochs" not in record(TRAIN)
    assert record(PRETRAINED) == record(TRAIN) | {"pretrain_epochs": 3}

    model = seeded_model(synthetic, "sasrec", 1, MODEL, "cpu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    take_over(model, twin_of(model, 1))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    monkeypatch.setattr(fitting, "launch_epoch", untrained(fitting.launch_epoch))
    assert_same_fit(fit(synthetic, "sasrec", 1, MODEL, PRETRAINED), plain)


def test_the_twin_has_the_loss_of_the_fit(synthetic):
    drawn = replace(PRETRAINED, loss="bce", n_negatives=1, epochs=1, pretrain_epochs=1)
    (epoch,) = fit(synthetic, "sasrec", 1, MODEL, drawn).pretraining
    # Two sides of a coin at first, where the full loss starts at the log of the catalogue.
    assert epoch["loss"] == pytest.approx(np.log(2), rel=0.2)


def untrained(launch_epoch):
    """Return `launch_epoch` without the steps of masked-item models."""

    def launch(model, batches, optimiser, sampled):
        if model.objective == "masked_item":
            return torch.zeros(()), len(list(batches))
        return launch_epoch(model, batches, optimiser, sampled)

    return launch


def test_its_losses_fall_and_are_kept(synthetic):
    train = replace(PRETRAINED, pretrain_epochs=20, epochs=1, batch_targets=64)
    fitted = fit(synthetic, "sasrec", 1, MODEL, train)
    losses = [epoch["loss"] for epoch in fitted.facts()["pretraining"]]
    assert [epoch["epoch"] for epoch in fitted.pretraining] == list(range(1, 21))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.02
    assert fitted.seconds > sum(epoch["seconds"] for epoch in fitted.pretraining)


def test_its_epochs_are_told_before_the_first_of_the_fit(synthetic):
    told = []
    both = {"on_epoch": told.append, "on_pretraining": told.append}
    fitted = fit(synthetic, "sasrec", 1, MODEL, PRETRAINED, **both)
    assert told == [*fitted.pretraining, *fitted.history] and len(fitted.pretraining) == 3


def test_a_run_tells_of_it_on_its_line(synthetic, tmp_path):
    lines = []
    spec = run_spec(synthetic, "sasrec", 1, Preset(MODEL, PRETRAINED))
    fit_run(Store(tmp_path), synthetic, spec, report=lines.append)
    assert lines[2].startswith("sasrec seed 1 pre-training epoch 3: loss ")
    assert lines[3].startswith("sasrec seed 1 epoch 1: loss ")


@pytest.mark.parametrize("name", ["sasrec", "ia-add"])
@pytest.mark.parametrize("m", [1, 3])
def test_what_both_have_is_the_twins_and_the_rest_keeps_its_start(synthetic, monkeypatch, name, m):
    config = replace(MODEL, n_queries=m)
    twin, model = start(synthetic, monkeypatch, name, model=config)
    torch.manual_seed(1)
    fresh = build_model(name, synthetic.n_items, **asdict(config)).state_dict()
    assert set(twin) - set(model) == {"mask_embedding"}
    own = {key.split(".attention.")[-1] for key in set(model) - set(twin)}
    queries = {"before_first", "earlier.weight", "earlier.bias", "pool_query.weight"}
    lam = {"injection.lam"} if name == "ia-add" else set()
    assert own == lam | (queries | {"pool_key.weight"} if m > 1 else set())
    for key, value in model.items():
        assert torch.equal(value, twin.get(key, fresh[key])), key
    moved = [key for key in model if not torch.equal(model[key], fresh[key])]
    assert set(moved) == set(twin) & set(model)


def test_models_of_one_seed_share_their_pretrained_weights(synthetic, monkeypatch):
    one, _ = start(synthetic, monkeypatch)
    several, _ = start(synthetic, monkeypatch, model=replace(MODEL, n_queries=3))
    for key, value in one.items():
        assert torch.equal(value, several[key]), key


def test_it_never_sees_the_items_held_out(synthetic, monkeypatch):
    """Other items at the end of every history change no bit, and rows end where training does."""
    full, items = synthetic.sequences, synthetic.sequences.items.copy()
    for held_out in (1, 2):
        items[full.offsets[1:] - held_out] = 1 + items[full.offsets[1:] - held_out] % full.n_items
    split = leave_one_out(dataclasses.replace(full, items=items))
    other = dataclasses.replace(synthetic, split=split)
    for stage in ("valid", "test"):
        assert (split.targets(stage) != synthetic.split.targets(stage)).all()
    read = []
    original = Gatherer.batch

    def spy(self, plan, mask_code=None):
        if mask_code is not None:
            read.append(np.concatenate([plan.start + plan.length - 1, plan.targets]).max())
        return original(self, plan, mask_code)

    monkeypatch.setattr(Gatherer, "batch", spy)
    (ours, _), (theirs, _) = (start(data, monkeypatch) for data in (synthetic, other))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert max(read) == len(synthetic.split.train.items) - 1


@pytest.mark.parametrize("saves", [1, 2, 4])
def test_a_stopped_one_goes_on_to_the_same_bits(synthetic, tmp_path, saves):
    class Stopping(Checkpoint):
        left = saves

        def save(self, capture):
            super().save(capture)
            self.left -= 1
            if not self.left:
                raise Stop

    arguments = (synthetic, "ia-add", 1, replace(MODEL, n_queries=2), PRETRAINED)
    with pytest.raises(Stop):
        fit(*arguments, keeper=Stopping(tmp_path / "state", {}, every=0))
    went_on = fit(*arguments, keeper=Checkpoint(tmp_path / "state", {}, every=0))
    whole = fit(*arguments)
    assert_same_fit(went_on, whole)
    kept = [[(e["epoch"], e["loss"]) for e in f.pretraining] for f in (went_on, whole)]
    assert kept[0] == kept[1] and len(kept[0]) == 3
    assert went_on.seconds > sum(epoch["seconds"] for epoch in went_on.pretraining)


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("bert4rec", MODEL, "BERT4Rec is trained on masked items as it is"),
        ("sasrec", replace(MODEL, positions="rope"), "positions = 'rope' looks back"),
        ("sasrec", replace(MODEL, kernel="keys"), "kernel = 'keys' looks back"),
        ("hf-llama-ar", MODEL, "LlamaAR has a network of another library"),
    ],
)
def test_what_has_no_twin_is_refused(synthetic, name, model, message):
    if name.startswith("hf-"):
        pytest.importorskip("transformers")
    with pytest.raises(SeqattnError, match=message):
        fit(synthetic, name, 1, model, PRETRAINED)


def test_whole_histories_and_negative_numbers_are_refused():
    with pytest.raises(SeqattnError, match="'pretrain_epochs' must be 0 under windows 'whole'"):
        replace(PRETRAINED, windows="whole")
    with pytest.raises(SeqattnError, match="'pretrain_epochs' must be at least 0"):
        replace(TRAIN, pretrain_epochs=-1)


def test_seeds_are_pretrained_one_by_one(synthetic, tmp_path):
    with pytest.raises(SeqattnError, match="seed by seed"):
        fit_stacked(synthetic, "sasrec", [1, 2], MODEL, PRETRAINED, device="cpu")
    specs = [run_spec(synthetic, "sasrec", seed, Preset(MODEL, PRETRAINED)) for seed in (1, 2)]
    runs = _fit_on_gpu(Store(tmp_path), synthetic, specs, "cpu", print)
    assert [run.seed for run in runs] == [1, 2]
    assert [len(run.facts["pretraining"]) for run in runs] == [3, 3]
    plain = run_spec(synthetic, "sasrec", 1, Preset(MODEL, TRAIN))
    assert runs[0].spec == specs[0] and plain.key != specs[0].key


def test_the_twin_is_trained_on_packed_windows_whatever_the_fit_is_trained_on(synthetic):
    packed, prefix = (
        fit(synthetic, "sasrec", 1, MODEL, replace(PRETRAINED, windows=windows, epochs=1))
        for windows in ("packed", "prefix")
    )
    losses = [[epoch["loss"] for epoch in fitted.pretraining] for fitted in (packed, prefix)]
    assert losses[0] == losses[1]
