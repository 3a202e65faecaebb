"""Intensity in the loss: weights of targets, and targets that are scored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from seqattn.config import LATER, TrainConfig, record, replace
from seqattn.data import Sequences
from seqattn.errors import SeqattnError
from seqattn.presets import Preset, get_preset
from seqattn.runs import fitting
from seqattn.runs.fitting import run_spec
from seqattn.runs.store import Store
from seqattn.training.fit import (
    backward,
    batch_loss,
    cross_entropy,
    fit,
    loss_of,
    seeded_model,
    training_batches,
    training_plans,
)
from seqattn.training.stacked import fit_stacked
from seqattn.training.targets import (
    ContrastedCrossEntropy,
    scored_targets,
    target_weights,
)

SMOKE = get_preset("smoke")
PLAIN = replace(SMOKE.model, hidden_dropout=0.0, attention_dropout=0.0)


def histories(lengths, intensity=None, seed=0):
    n = sum(lengths)
    rng = np.random.default_rng(seed)
    stars = rng.integers(1, 6, n) if intensity is None else intensity
    offsets = np.append(0, np.cumsum(lengths))
    items = rng.integers(1, 9, n)
    return Sequences(items, stars, np.arange(n), offsets, np.arange(len(lengths)), np.arange(8))


def without_intensity(dataset):
    return dataset.with_histories(dataclasses.replace(dataset.sequences, intensity=None))


def epoch_of(dataset, config, name="sasrec", seed=1):
    model = seeded_model(dataset, name, seed, PLAIN, "cpu")
    return model, list(training_batches(model, dataset, config, "cpu")(np.random.default_rng(1)))


def test_a_weight_is_the_published_one_over_its_mean():
    train = histories([3, 1, 2], [5.0, 1.0, 4.0, 2.0, 3.0, 3.0])
    weights = target_weights(train, replace(SMOKE.train, confidence=2.0))
    raw = 1 + 2 * np.array([1.0, 4.0, 3.0])  # what follows another of its user's
    np.testing.assert_allclose(weights[[1, 2, 5]], raw / raw.mean())


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=8).filter(lambda n: max(n) > 1),
    confidence=st.floats(0.01, 100),
)
@settings(max_examples=30)
def test_weights_have_mean_one_over_targets_and_follow_intensity(lengths, confidence):
    train = histories(lengths)
    weights = target_weights(train, replace(SMOKE.train, confidence=confidence))
    targets = np.setdiff1d(np.arange(len(train)), train.offsets)
    assert weights[targets].mean() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(train.intensity)]) >= 0).all()


def test_weights_have_mean_one_over_the_targets_that_are_scored():
    train = histories([3, 2, 3], [5.0, 1.0, 4.0, 2.0, 3.0, 3.0, 5.0, 1.0])
    config = replace(SMOKE.train, confidence=2.0, least_target=3.0)
    assert target_weights(train, config)[[2, 4, 6]].mean() == pytest.approx(1)


def test_equal_intensities_weigh_nothing(synthetic):
    own = dataclasses.replace(synthetic.sequences, intensity=np.full(len(synthetic.sequences), 3.0))
    even = synthetic.with_histories(own)
    weighted = fit(even, "sasrec", 1, PLAIN, replace(SMOKE.train, confidence=5.0))
    plain = fit(even, "sasrec", 1, PLAIN, SMOKE.train)
    for one, other in zip(weighted.history, plain.history, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-6)
        assert one.valid_ndcg == pytest.approx(other.valid_ndcg, abs=1e-3)


@pytest.mark.parametrize("windows", ["packed", "prefix"])
def test_the_weighted_loss_and_its_gradient_are_those_of_the_formula(windows, synthetic):
    config = replace(SMOKE.train, confidence=3.0, windows=windows)
    model, batches = epoch_of(synthetic, config)
    parts, loss = batches[0], loss_of(synthetic, config, "cpu")
    model.zero_grad()
    total, n = backward(model, parts, loss)
    found = model.item_embedding.weight.grad.clone()

    weights = torch.tensor(target_weights(synthetic.split.train, config), dtype=torch.float32)
    model.zero_grad()
    each = [
        F.cross_entropy(model.logits(part.hidden(model)), part.targets, reduction="none")
        * weights[part.places]
        for part in parts
    ]
    expected = torch.cat(each).sum()
    (expected / n).backward()
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(found, model.item_embedding.weight.grad, rtol=1e-4, atol=1e-7)


def test_whole_histories_are_weighted_too(synthetic):
    config = replace(SMOKE.train, confidence=3.0, windows="whole")
    relative = replace(PLAIN, positions="relative", sliding_window=5, max_length=9)
    model = seeded_model(synthetic, "sasrec", 1, relative, "cpu")
    batches = training_batches(model, synthetic, config, "cpu")
    ((part,), *_) = batches(np.random.default_rng(1))
    weights = torch.tensor(target_weights(synthetic.split.train, config), dtype=torch.float32)
    each = F.cross_entropy(model.logits(part.hidden(model)), part.targets, reduction="none")
    expected = (each * weights[part.places]).mean()
    found = batch_loss(model, part, loss_of(synthetic, config, "cpu"))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("windows", ["packed", "prefix"])
@pytest.mark.parametrize("least", [{"least_target": 30.0}, {"least_quantile": 0.7}])
def test_each_strong_target_is_scored_once_an_epoch_and_no_other(least, windows, synthetic):
    config = replace(SMOKE.train, **least, windows=windows)
    _, batches = epoch_of(synthetic, config)
    places = np.sort(torch.cat([part.places for parts in batches for part in parts]).numpy())
    train = synthetic.split.train
    threshold = least.get("least_target") or np.sort(train.intensity)[int(0.7 * len(train))]
    follows = np.setdiff1d(np.arange(len(train)), train.offsets)
    expected = follows[train.intensity[follows] >= threshold]
    if "least_quantile" in least:
        assert abs(len(places) / len(follows) - 0.3) < 0.1
        assert train.intensity[places].min() >= np.quantile(train.intensity, 0.69)
        assert not (train.intensity[np.setdiff1d(follows, places)] > threshold).any()
    else:
        assert places.tolist() == expected.tolist() and 0 < len(places) < len(follows)


def test_histories_stay_whole_where_weak_targets_are_not_scored(synthetic):
    _, all_ = epoch_of(synthetic, SMOKE.train)
    _, some = epoch_of(synthetic, replace(SMOKE.train, least_quantile=0.5))
    rows = (
        {tuple(r) for b in side for p in b for r in p.items_BT.tolist()} for side in (all_, some)
    )
    read_all, read_some = rows
    assert read_some <= read_all and len(read_some) > 0.8 * len(read_all)
    strong = replace(SMOKE.train, least_quantile=0.99, batch_targets=8)
    _, few = epoch_of(synthetic, strong)
    assert all(len(part.targets) for parts in few for part in parts)
    assert len(few) < len(epoch_of(synthetic, replace(SMOKE.train, batch_targets=8))[1])


@pytest.mark.parametrize("field", [{"confidence": 2.0}, {"least_quantile": 0.5}])
@pytest.mark.parametrize("intensity", ["real", "within", "across"])
def test_it_trains_reads_placebos_and_asks_for_every_held_out_target(field, intensity, synthetic):
    config = replace(SMOKE.train, **field, intensity=intensity, epochs=3, learning_rate=1e-2)
    fitted = fit(synthetic, "sasrec", 1, SMOKE.model, config)
    assert fitted.history[-1].loss < fitted.history[0].loss
    assert all(len(ranks) == synthetic.n_users for ranks in fitted.ranks.values())
    plain = fit(synthetic, "sasrec", 1, SMOKE.model, replace(config, **dict.fromkeys(field, 0.0)))
    assert fitted.history[0].loss != plain.history[0].loss


def test_a_quantile_is_a_value_that_occurs():
    train = histories([5, 5], [1, 2, 3, 4, 5, 1, 2, 3, 4, 5])
    for quantile, least in ((0.1, 1), (0.5, 3), (0.75, 4)):
        kept = scored_targets(train, TrainConfig(least_quantile=quantile))
        assert np.array_equal(kept, train.intensity >= least)
    assert scored_targets(train, TrainConfig()) is None


def test_weighted_seeds_are_stacked_and_selected_ones_fitted_one_by_one(synthetic, tmp_path):
    config = replace(SMOKE.train, confidence=2.0, epochs=2)
    stacked = fit_stacked(synthetic, "sasrec", [1, 2], PLAIN, config, device="cpu")
    for seed, fitted in stacked.items():
        alone = fit(synthetic, "sasrec", seed, PLAIN, config)
        losses = [epoch.loss for epoch in fitted.history]
        assert losses == pytest.approx([epoch.loss for epoch in alone.history], rel=1e-4)
    config = replace(SMOKE.train, least_quantile=0.5)
    with pytest.raises(SeqattnError, match="a batch may hold no target of enough intensity"):
        fit_stacked(synthetic, "sasrec", [1, 2], PLAIN, config, device="cpu")
    specs = [run_spec(synthetic, "sasrec", s, Preset(PLAIN, config)) for s in (1, 2)]
    runs = fitting._fit_on_gpu(Store(tmp_path), synthetic, specs, "cpu", print)
    assert [run.seed for run in runs] == [1, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"confidence": -1.0}, "'confidence' must be at least 0"),
        ({"least_quantile": 1.0}, r"'least_quantile' must be in \[0, 1\)"),
        ({"confidence": 1.0, "loss": "bpr"}, "'confidence' must be left out with loss 'bpr'"),
        ({"least_target": 4.0, "least_quantile": 0.5}, "'least_quantile' must be left out with"),
        ({"least_target": 4.0, "windows": "whole"}, "'least_target' must be left out with windows"),
        ({"contrast": 0.2}, "'contrast' must be left out without least_target or least_quantile"),
        (
            {"contrast": 0.2, "least_target": 4.0, "confidence": 1.0},
            "'contrast' must be left out with confidence",
        ),
        (
            {"contrast": 0.2, "least_target": 4.0, "loss": "bce"},
            "'contrast' must be left out with loss 'bce'",
        ),
        ({"confidence": 1.0, "pretrain_epochs": 1}, "'confidence' must be left out with pretrain"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(SeqattnError, match=message):
        replace(TrainConfig(), **values)


@pytest.mark.parametrize("field", [{"confidence": 2.0}, {"least_target": 4.0}])
def test_a_log_without_intensity_and_masked_items_are_refused(field, synthetic):
    config = replace(SMOKE.train, **field)
    with pytest.raises(SeqattnError, match="reads intensities and the data has none"):
        fit(without_intensity(synthetic), "sasrec", 1, PLAIN, config)
    with pytest.raises(SeqattnError, match="is about next items, and BERT4Rec is trained on mask"):
        fit(synthetic, "bert4rec", 1, PLAIN, config)


def test_a_threshold_that_nothing_reaches_is_refused(synthetic):
    config = replace(SMOKE.train, least_target=1e9)
    with pytest.raises(SeqattnError, match=r"no training target has an intensity of 1e\+09"):
        fit(synthetic, "sasrec", 1, PLAIN, config)


def test_usual_values_leave_records_and_plans_as_they_were(synthetic):
    assert {"confidence", "least_target", "least_quantile"} <= set(LATER)
    assert not {"confidence", "least_target", "least_quantile"} & set(record(TrainConfig()))
    assert record(TrainConfig(confidence=1.0))["confidence"] == 1.0
    model = seeded_model(synthetic, "sasrec", 1, PLAIN, "cpu")
    plans = [
        next(iter(training_plans(model, synthetic, config, "cpu")(np.random.default_rng(1))))
        for config in (SMOKE.train, replace(SMOKE.train, confidence=1.0))
    ]
    for one, other in zip(*plans, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


def test_a_contrast_sets_a_target_against_the_weak_items_before_it():
    # Two users; items 3 and 5 are weak before the last target of the first, 5 before that of the
    # second, whose own later weak item 7 and whose neighbour's items do not count.
    stars = [1.0, 5.0, 2.0, 4.0, 2.0, 5.0, 1.0]
    train = dataclasses.replace(
        histories([4, 3], stars), items=np.array([3, 1, 5, 2, 5, 6, 7], dtype=np.int32)
    )
    loss = ContrastedCrossEntropy(train, TrainConfig(least_target=4.0, contrast=0.5))
    found = loss.rivals(torch.tensor([3, 5, 1]), 9)
    assert [row.nonzero().flatten().tolist() for row in found] == [[3, 5], [5], [3]]
    hidden, weight = torch.randn(3, 4), torch.randn(9, 4)
    targets, places = torch.tensor([2, 6, 1]), torch.tensor([3, 5, 1])
    plain = F.cross_entropy(hidden @ weight.T, targets)
    scores = (hidden @ weight.T).exp()
    rows = ((0, 2, [3, 5]), (1, 6, [5]), (2, 1, [3]))
    own = [torch.log(1 + scores[i, rivals].sum() / scores[i, target]) for i, target, rivals in rows]
    expected = plain + 0.5 * torch.stack(own).mean()
    torch.testing.assert_close(loss(hidden, weight, targets, places), expected)


@given(
    lengths=st.lists(st.integers(2, 7), min_size=1, max_size=5),
    seed=st.integers(0, 99),
    weight=st.floats(0.01, 10),
)
@settings(max_examples=30, deadline=None)
def test_a_contrast_is_no_less_than_nothing_and_nothing_without_weak_items(lengths, seed, weight):
    stars = np.random.default_rng(seed).integers(2, 6, sum(lengths))
    stars[1] = 5  # one target at least is strong
    train = histories(lengths, stars.astype(float), seed)
    torch.manual_seed(seed)
    places = torch.tensor(np.setdiff1d(np.arange(len(train)), train.offsets))
    hidden, table = torch.randn(len(places), 4, requires_grad=True), torch.randn(9, 4)
    targets = torch.tensor(train.items[places.numpy()]).long()
    plain = F.cross_entropy(hidden @ table.T, targets)
    some = TrainConfig(least_target=4.0, contrast=weight)
    none = TrainConfig(least_target=2.0, contrast=weight)
    loss = ContrastedCrossEntropy(train, some)(hidden, table, targets, places)
    assert loss.item() >= plain.item() - 1e-5
    (gradient,) = torch.autograd.grad(loss, hidden)
    assert gradient.isfinite().all()
    without = ContrastedCrossEntropy(train, none)(hidden, table, targets, places)
    torch.testing.assert_close(without, plain)


@pytest.mark.parametrize("windows", ["packed", "prefix"])
def test_a_contrast_trains_and_is_off_at_zero(windows, synthetic):
    config = replace(SMOKE.train, least_quantile=0.5, windows=windows, epochs=2)
    plain = fit(synthetic, "sasrec", 1, SMOKE.model, config)
    on = fit(synthetic, "sasrec", 1, SMOKE.model, replace(config, contrast=0.25))
    assert on.history[1].loss < on.history[0].loss
    assert on.history[0].loss > plain.history[0].loss
    assert loss_of(synthetic, config, "cpu") is cross_entropy
    assert "contrast" not in record(config)


def test_a_quantile_between_two_values_is_the_lower_one():
    train = histories([5, 5], [1, 2, 3, 4, 5, 1, 2, 3, 4, 5])
    kept = scored_targets(train, TrainConfig(least_quantile=0.8))  # linear: 4.2
    assert np.array_equal(kept, train.intensity >= 4)


def test_a_threshold_that_only_first_interactions_reach_is_refused():
    train = histories([2, 2], [5.0, 1.0, 5.0, 1.0])
    with pytest.raises(SeqattnError, match="no training target has an intensity of 3"):
        scored_targets(train, TrainConfig(least_target=3.0))
