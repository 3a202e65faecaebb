from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from seqattn.config import ModelConfig, TrainConfig, replace
from seqattn.data import CATALOGUE, Dataset, Interactions, Preparation
from seqattn.errors import DivergedError, SeqattnError
from seqattn.models import MODELS, PLUGINS, build_model
from seqattn.presets import get_preset
from seqattn.stats.metrics import metric
from seqattn.training.batches import Gatherer, length_buckets, next_item_plan, packed_windows
from seqattn.training.course import Course, diverging
from seqattn.training.fit import (
    backward,
    batch_loss,
    fit,
    launch_epoch,
    seeded_model,
    training_batches,
)
from seqattn.training.ranking import rank_targets
from seqattn.training.stacked import fit_stacked

OURS = [name for name in MODELS if name not in PLUGINS]

SMOKE = get_preset("smoke")
PLAIN = replace(SMOKE.model, hidden_dropout=0.0, attention_dropout=0.0)


@pytest.mark.parametrize("name", OURS)
def test_a_fit_is_deterministic_given_its_seed(name, synthetic):
    short = replace(SMOKE.train, epochs=1)  # of which the first loss is looked at
    first, second, other = (
        fit(synthetic, name, seed, SMOKE.model, train)
        for seed, train in ((1, SMOKE.train), (1, SMOKE.train), (2, short))
    )
    assert [e.loss for e in first.history] == [e.loss for e in second.history]
    for kind, ranks in first.ranks.items():
        assert np.array_equal(ranks, second.ranks[kind])
    for key, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key])
    assert first.history[0].loss != other.history[0].loss


def test_a_fit_leaves_the_callers_random_numbers_alone(synthetic):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit(synthetic, "ia-add", 1, SMOKE.model, SMOKE.train)
    assert torch.equal(torch.rand(2), expected)


def test_variants_and_baseline_share_random_numbers(synthetic):
    """With lambda pinned to 0 before training, a variant's first loss is SASRec's."""
    losses = {}
    for name in ("sasrec", "ia-add", "ia-mul", "ia-val"):
        torch.manual_seed(5)
        model = build_model(name, synthetic.n_items, **dataclasses.asdict(SMOKE.model))
        for block in model.blocks:
            if model.needs_intensity:
                block.attention.injection.lam.data.zero_()
        torch.manual_seed(5)
        parts = next(
            training_batches(model, synthetic, SMOKE.train, "cpu")(np.random.default_rng(5))
        )
        losses[name] = backward(model.train(), parts)[0].item()
    assert losses == pytest.approx(dict.fromkeys(losses, losses["sasrec"]), rel=1e-5)


def test_training_lowers_the_loss_and_moves_lambda(synthetic):
    config = replace(SMOKE.train, epochs=15, patience=15, learning_rate=1e-2)
    fitted = fit(synthetic, "ia-val", 1, SMOKE.model, config)
    assert fitted.history[-1].loss < 0.9 * fitted.history[0].loss
    assert all(abs(lam - 1) > 1e-3 for lam in fitted.history[-1].lambdas)


def test_early_stopping_keeps_the_best_weights(synthetic):
    config = replace(SMOKE.train, epochs=40, patience=3, learning_rate=2e-2)
    fitted = fit(synthetic, "sasrec", 1, SMOKE.model, config)
    ndcg = [e.valid_ndcg for e in fitted.history]
    assert fitted.best_epoch == 1 + int(np.argmax(ndcg))
    assert len(ndcg) == min(40, fitted.best_epoch + 3)
    ranks = rank_targets(fitted.model, synthetic.split, "valid")["unfiltered"]
    assert metric(ranks, "NDCG", 10).mean() == max(ndcg)


def test_of_equal_epochs_the_first_is_kept_and_the_others_use_up_patience(synthetic):
    model = build_model("sasrec", synthetic.n_items, **dataclasses.asdict(SMOKE.model))
    course, ranks = Course(model, patience=2), np.array([1, 4, 30])
    stopped = []
    for epoch in range(3):
        model.item_embedding.weight.data.fill_(epoch)
        stopped.append(course.add(1.0, ranks, 0.0))
    assert stopped == [False, False, True]
    assert course.best_epoch == 1 and not course.best["item_embedding.weight"].any()


def stacked_alone(dataset, name, seed, *config):
    return fit_stacked(dataset, name, [seed], *config, device="cpu")[seed]


@pytest.mark.parametrize("one", [fit, stacked_alone])
def test_early_stopping_averages_over_users_and_not_over_their_targets(one, several):
    owners = several.split.owners()
    assert len(set(np.bincount(owners["valid"]))) > 1  # or both averages would agree
    fitted = one(several, "sasrec", 1, SMOKE.model, SMOKE.train)
    for stage in ("valid", "test"):
        of_target = pd.Series(metric(fitted.ranks[f"{stage}_unfiltered"], "NDCG", 10))
        mean = of_target.groupby(owners[stage]).mean().mean()
        assert np.array_equal(fitted.owners[stage], owners[stage])
        assert fitted.facts()["metrics"][f"{stage}_unfiltered"]["NDCG@10"] == pytest.approx(mean)
        if stage == "valid":
            assert fitted.history[fitted.best_epoch - 1].valid_ndcg == pytest.approx(mean)


@pytest.mark.parametrize("name", ["sasrec", "ia-add", "ia-mul", "ia-val"])
def test_packed_loss_equals_one_row_per_prefix_for_histories_that_fit(name, synthetic):
    """Same sum over targets; with one layer, causal and prefix normalisation agree too."""
    longest = int(synthetic.split.train.lengths.max())
    sums = {}
    for windows, scope in (("packed", "causal"), ("prefix", "prefix")):
        config = replace(PLAIN, max_length=longest, n_layers=1, scope=scope)
        torch.manual_seed(0)
        model = build_model(name, synthetic.n_items, **dataclasses.asdict(config)).double()
        train = replace(SMOKE.train, windows=windows)
        batches = training_batches(model, synthetic, train, "cpu")(np.random.default_rng(0))
        sums[windows] = sum(
            batch_loss(
                model,
                part._replace(intensity_BT=part.intensity_BT.double()),
            ).item()
            * len(part.targets)
            for parts in batches
            for part in parts
        )
    assert sums["packed"] == pytest.approx(sums["prefix"], rel=1e-9)


def test_packed_gradient_equals_the_prefix_gradient(synthetic):
    longest = int(synthetic.split.train.lengths.max())
    config = replace(PLAIN, max_length=longest)
    gradients = []
    for windows in ("packed", "prefix"):
        torch.manual_seed(0)
        model = build_model("sasrec", synthetic.n_items, **dataclasses.asdict(config)).double()
        train = replace(SMOKE.train, windows=windows, batch_targets=100)
        for parts in training_batches(model, synthetic, train, "cpu")(np.random.default_rng(0)):
            for part in parts:
                (batch_loss(model, part) * len(part.targets)).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["ia-mul", "sasrec"])
def test_a_step_does_not_depend_on_how_its_batch_is_split(name, synthetic):
    """Buckets by length against the same rows, one by one and all together."""
    torch.manual_seed(0)
    model = build_model(name, synthetic.n_items, **dataclasses.asdict(PLAIN)).double()
    offsets = synthetic.split.train.offsets
    windows = packed_windows(offsets, PLAIN.max_length, 5, np.random.default_rng(0))
    chosen = np.arange(0, len(windows.start), 3)
    gatherer = Gatherer(synthetic.split.train)
    gradients, losses = [], []
    for split in (
        [chosen],
        [chosen[b] for b in length_buckets(windows.length[chosen], 4)],
        chosen[:, None],
    ):
        parts = [gatherer.batch(next_item_plan(windows, part)) for part in split]
        parts = [p._replace(intensity_BT=p.intensity_BT.double()) for p in parts]
        model.zero_grad()
        losses.append(backward(model, parts)[0])
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    for loss, gradient in zip(losses[1:], gradients[1:], strict=True):
        torch.testing.assert_close(loss, losses[0], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-9, atol=1e-9)


def test_a_diverging_fit_says_so(synthetic):
    config = replace(SMOKE.train, learning_rate=1e30)
    for way, seed in ((fit, 1), (fit_stacked, [1])):
        with pytest.raises(DivergedError, match=r"diverged.* an injection of your own") as error:
            way(synthetic, "sasrec", seed, SMOKE.model, config, device="cpu")
        assert str(error.value).startswith("synthetic, sasrec seed 1, epoch 1: the model gives")


def test_a_fit_that_diverges_late_is_not_said_to_be_wrong_code():
    with pytest.raises(DivergedError) as error, diverging("synthetic", "ia-add", 3, 2):
        raise DivergedError("lower learning_rate")
    assert str(error.value) == "synthetic, ia-add seed 3, epoch 2: lower learning_rate"


def test_settings_that_do_not_fit_together_are_refused(synthetic):
    with pytest.raises(SeqattnError, match="stride = 20 exceeds max_length = 10"):
        fit(synthetic, "sasrec", 1, SMOKE.model, replace(SMOKE.train, stride=20))
    with pytest.raises(SeqattnError, match="leaks the future"):
        fit(synthetic, "ia-add", 1, replace(SMOKE.model, scope="prefix"), SMOKE.train)


def test_a_variant_without_intensities_is_refused(synthetic):
    bare = dataclasses.replace(synthetic.sequences, intensity=None)
    dataset = dataclasses.replace(synthetic, sequences=bare)
    with pytest.raises(SeqattnError, match="'ia-mul' reads intensities"):
        fit(dataset, "ia-mul", 1, SMOKE.model, SMOKE.train)


def test_on_epoch_sees_every_epoch(synthetic):
    seen = []
    fitted = fit(synthetic, "ia-add", 1, SMOKE.model, SMOKE.train, on_epoch=seen.append)
    assert seen == fitted.history


def test_configs_default_to_published_sizes():
    assert ModelConfig().max_length == 50
    assert TrainConfig().batch_targets == 2048


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("windows", ["packed", "whole"])
def test_a_fit_runs_on_cuda(synthetic: Dataset, windows):
    whole = {"positions": "relative", "sliding_window": 5}
    model = replace(SMOKE.model, **whole) if windows == "whole" else SMOKE.model
    train = replace(SMOKE.train, windows=windows)
    fitted = fit(synthetic, "ia-mul", 1, model, train, device="cuda")
    assert np.isfinite(fitted.history[-1].loss)


def test_memory_is_given_back_within_an_epoch_too(synthetic, monkeypatch):
    """A long epoch must not grow the heap until its end."""
    calls = []
    monkeypatch.setattr("seqattn.training.fit.TRIM_EVERY", 2)
    monkeypatch.setattr("seqattn.training.fit._give_memory_back", lambda: calls.append(1))
    model = seeded_model(synthetic, "sasrec", 0, SMOKE.model, "cpu")
    config = replace(SMOKE.train, batch_targets=64)
    batches = list(training_batches(model, synthetic, config, "cpu")(np.random.default_rng(0)))
    launch_epoch(model, iter(batches), torch.optim.Adam(model.parameters()))
    assert len(batches) > 4
    assert len(calls) == (len(batches) + 1) // 2


def test_histories_without_a_next_item_to_learn_are_refused():
    rows = [(u, i, i) for u in range(6) for i in range(3)]
    log = Interactions.from_frame(pd.DataFrame(rows, columns=["user", "item", "timestamp"]))
    how = dataclasses.replace(
        CATALOGUE["synthetic"], raw=None, core=None, preparation=Preparation(core=3)
    )
    short = Dataset.from_interactions(log, how)
    with pytest.raises(SeqattnError, match="no user has two training interactions"):
        fit(short, "sasrec", 1, SMOKE.model, SMOKE.train)


def test_a_stride_of_one_more_than_a_window_is_refused_and_one_as_long_is_not(synthetic):
    model, length = SMOKE.model, SMOKE.model.max_length
    with pytest.raises(SeqattnError, match="targets between windows would never be scored"):
        fit(synthetic, "sasrec", 1, model, replace(SMOKE.train, stride=length + 1))
    assert fit(synthetic, "sasrec", 1, model, replace(SMOKE.train, stride=length, epochs=1)).history


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True])
def test_what_is_no_seed_is_refused(synthetic, seed):
    with pytest.raises(SeqattnError, match="a seed must be"):
        fit(synthetic, "sasrec", seed, SMOKE.model, replace(SMOKE.train, epochs=1))


@pytest.mark.parametrize("name", ["hidden_dropout", "attention_dropout"])
def test_dropout_acts_in_every_epoch_of_training(synthetic, name):
    quiet = replace(SMOKE.model, hidden_dropout=0.0, attention_dropout=0.0)
    train = replace(SMOKE.train, epochs=2, learning_rate=1e-9)  # weights stay where they are
    without, once, twice = (
        [epoch.loss for epoch in fit(synthetic, "sasrec", 1, model, train).history]
        for model in (quiet, replace(quiet, **{name: 0.5}), replace(quiet, **{name: 0.5}))
    )
    assert once == twice  # drawn from the seed
    assert all(one != other for one, other in zip(once, without, strict=True))


def test_each_seed_starts_from_its_own_weights(synthetic):
    starts = [
        seeded_model(synthetic, "sasrec", seed, SMOKE.model, "cpu").item_embedding.weight
        for seed in (1, 1, 2)
    ]
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])
    torch.manual_seed(2)
    plain = build_model("sasrec", synthetic.n_items, **vars(SMOKE.model))
    assert torch.equal(plain.item_embedding.weight, starts[2])
