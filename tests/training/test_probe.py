"""A model of one's own that leaks, or mistakes T for S, is refused before it is trained."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch

from seqattn.config import ModelConfig, TrainConfig, replace
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, PLUGINS, Model, SASRec, build_model
from seqattn.models.injection import IntensityInjection, _column
from seqattn.runs.fitting import fit_run, fit_runs
from seqattn.runs.store import RunSpec, Store
from seqattn.training.fit import fit, require_trainable
from seqattn.training.probe import require_sound, require_sound_trained

SMALL = {"max_length": 8, "hidden_size": 8, "inner_size": 8, "n_layers": 2, "n_heads": 2}


TINY = ModelConfig(**SMALL), TrainConfig(epochs=2, stride=4, learning_rate=0.05)


class KeysForQueries(IntensityInjection):
    """Scales the context by the first S keys' intensities in place of the queries' own."""

    def after(self, context_BHTF, signal):
        return context_BHTF * (1 + _column(signal.w_BT[:, : context_BHTF.shape[2]]))


class Longer(IntensityInjection):
    """Scales the context by all T intensities, whatever is asked for."""

    def after(self, context_BHTF, signal):
        return context_BHTF * (1 + _column(signal.w_BT))


class Future(IntensityInjection):
    """Scales the context by the mean of a history's intensities, the later ones too."""

    def after(self, context_BHTF, signal):
        return context_BHTF * (1 + signal.w_BT.mean(dim=1)[:, None, None, None])


@pytest.mark.parametrize(
    ("injection", "message"),
    [
        (
            KeysForQueries,
            r"gives another state where fewer positions are asked for.*w_BS, not w_BT",
        ),
        (Longer, "fails on a history of 8 items of which the last 2 are asked for"),
        (Future, "reads the future: a state changes with a later item or intensity"),
    ],
)
def test_an_injection_that_would_train_without_a_word_is_refused(
    synthetic, monkeypatch, injection, message
):
    known = Model(partial(SASRec, injection=injection), "x", "#000000")
    monkeypatch.setitem(MODELS, "ia-x", known)
    with pytest.raises(SeqattnError, match=message):
        fit(synthetic, "ia-x", 1, *TINY)


class Pairs(SASRec):
    """Returns what a recurrent network does: its output, and its last state."""

    def read(self, x_BTD, sight, read_from=0):
        return x_BTD[:, read_from:], x_BTD


class NoSwitch(SASRec):
    """Drops out in evaluation, too."""

    def read(self, x_BTD, sight, read_from=0):
        return torch.nn.functional.dropout(x_BTD[:, read_from:], 0.5)


class Short(SASRec):
    """Knows nothing of `read_from`."""

    def read(self, x_BTD, sight):
        return x_BTD


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Pairs, r"'my-net' gives tuple for a history of 8 items.*return one tensor of states"),
        (NoSwitch, "'my-net' gives other states each time it is asked, in evaluation too"),
        (Short, "'my-net' fails on a history of 8 items .*TypeError"),
    ],
)
def test_a_network_of_ones_own_is_told_what_it_does_wrong(kind, message):
    with pytest.raises(SeqattnError, match=message):
        require_sound(kind(20, ModelConfig(**SMALL)), "my-net")


@pytest.mark.parametrize("n_items", [1, 2, 3, 5, 12, 100])
@pytest.mark.parametrize("scope", ["causal", "prefix"])
def test_a_leak_is_seen_whatever_the_catalogue(n_items, scope):
    class Leak(SASRec):
        def read(self, x_BTD, sight, read_from=0):
            return x_BTD[:, read_from:] + x_BTD[:, -1:]

    model = Leak(n_items, ModelConfig(**SMALL, scope=scope))
    if n_items == 1:
        # No other item could come, and this model reads no intensity.
        return require_sound(model, "leak")
    with pytest.raises(SeqattnError, match="model 'leak' reads the future"):
        require_sound(model, "leak")


@pytest.mark.parametrize("name", [name for name in MODELS if name not in PLUGINS])
def test_the_models_of_the_book_are_sound_and_left_as_they_were(name):
    model = build_model(name, 20, **SMALL).train()
    model.add_users(3)
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    require_sound(model, name)
    assert torch.equal(before, torch.get_rng_state()) and model.training
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


class LateFuture(IntensityInjection):
    """Scales the context by the mean of all intensities times a number that starts at 0."""

    def complete(self, config):
        super().complete(config)
        self.late = torch.nn.Parameter(torch.zeros(()))

    def after(self, context_BHTF, signal):
        mean_B = self.lam * signal.w_BT.mean(dim=1)
        return context_BHTF * (1 + self.late * mean_B[:, None, None, None])


class Cut(IntensityInjection):
    """Reads lambda without its gradient."""

    def after(self, context_BHTF, signal):
        w_BS = signal.w_BT[:, -context_BHTF.shape[2] :]
        return context_BHTF * (1 + self.lam.detach() * _column(w_BS))


@pytest.mark.parametrize(
    ("injection", "message"),
    [
        (LateFuture, "model 'ia-x' reads the future"),
        (Cut, r"no gradient reaches blocks\.0\.attention\.injection\.lam, blocks\.1"),
    ],
)
def test_what_a_start_hides_is_refused_before_the_run_is_kept(
    synthetic, tmp_path, monkeypatch, injection, message
):
    monkeypatch.setitem(MODELS, "ia-x", Model(partial(SASRec, injection=injection), "x", "#000000"))
    store = Store(tmp_path)
    spec = RunSpec(synthetic.name, synthetic.fingerprint, "ia-x", 1, *TINY)
    with pytest.raises(SeqattnError, match=message):
        fit_run(store, synthetic, spec)
    assert store.get(spec) is None


def test_a_bad_model_is_refused_before_the_others_are_fitted(synthetic, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "ia-x", Model(partial(SASRec, injection=Future), "x", "#000000"))
    store = Store(tmp_path)
    specs = [
        RunSpec(synthetic.name, synthetic.fingerprint, model, seed, *TINY)
        for model in ("sasrec", "ia-x")
        for seed in (1, 2)
    ]
    with pytest.raises(SeqattnError, match="model 'ia-x' reads the future"):
        fit_runs(store, synthetic, specs, progress=False)
    assert not any(map(store.get, specs))


class Sometimes(SASRec):
    """Uses a part of itself in half of the steps, as one of several experts is."""

    def __init__(self, n_items, config):
        super().__init__(n_items, config)
        self.expert = torch.nn.Linear(config.hidden_size, config.hidden_size)

    def read(self, x_BTD, sight, read_from=0):
        read = super().read(x_BTD, sight, read_from)
        used = self.training and bool(torch.rand(()) < 0.5)
        return read + self.expert(read) if used else read


@pytest.mark.parametrize("seed", range(6))
def test_a_part_that_some_steps_leave_out_is_reached(synthetic, monkeypatch, seed):
    monkeypatch.setitem(MODELS, "my-x", Model(Sometimes, "x", "#000000"))
    many = replace(TINY[1], batch_targets=64)
    assert len(fit(synthetic, "my-x", seed, TINY[0], many).history) == 2


def test_planted_intensities_need_no_real_ones(synthetic):
    """They are put in their place before a model is looked at."""
    bare = dataclasses.replace(
        synthetic, sequences=dataclasses.replace(synthetic.sequences, intensity=None)
    )
    assert not bare.has_intensity
    require_trainable(bare, "ia-add", TINY[0], replace(TINY[1], intensity="planted"))
    with pytest.raises(SeqattnError, match="has none"):
        require_trainable(bare, "ia-add", *TINY)


def test_rounding_of_a_saturated_softmax_is_no_leak():
    model = build_model("ia-mul", 20, **SMALL)
    for name, parameter in model.named_parameters():
        if "attention" in name and parameter.dim() > 1:
            parameter.data *= 300
        elif name.endswith("lam"):
            parameter.data += 9
    require_sound_trained(model, "ia-mul")
