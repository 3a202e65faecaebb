"""Trajectories and gradients of lambda; intervals of it and of its correlation with change."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from seqattn import build_model
from seqattn.analysis.lambdas import (
    loss_gradient,
    pace,
    ranks_by_scope,
    spearman,
    spearman_by,
    t_interval,
    trajectories,
)
from seqattn.config import ModelConfig, TrainConfig, replace
from seqattn.runs.store import Run, RunSpec
from seqattn.training.batches import Gatherer
from seqattn.training.fit import batch_loss, training_batches
from seqattn.training.ranking import rank_targets


def test_t_interval_is_scipys():
    values = [0.1, 0.4, 0.2, 0.35]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert t_interval(np.array(values)) == pytest.approx(expected)
    assert np.isnan(t_interval(np.array([1.0]))).all()


def test_spearman_is_scipys_inside_its_interval():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 21))
    found = spearman(x, y)
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.low < found.rho < found.high and found.n == 21


def test_few_or_constant_points_have_no_interval():
    assert np.isnan(spearman([1, 2, 3, 4], [2, 1, 4, 3]).low)
    assert np.isnan(spearman([1] * 9, list(range(9))).rho)


def test_the_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = [
        found.low <= 0 <= found.high
        for found in (spearman(*generator.normal(size=(2, 21))) for _ in range(400))
    ]
    assert 0.91 < np.mean(covered) < 0.98


def a_run(**train):
    history = [{"epoch": e, "lambdas": [0.9 / e, 0.8 / e]} for e in (1, 2)]
    spec = {"dataset": "d", "fingerprint": "f", "model": "ia-add", "seed": 7}
    spec |= {"model_config": {}, "train_config": train}
    facts = {"spec": spec, "lambdas": [0.9, 0.8], "best_epoch": 1, "history": history}
    return Run(None, facts)


@pytest.mark.parametrize("start", [1.0, 0.5])
def test_trajectories_begin_where_lambda_does_and_mark_the_epoch_kept(start):
    frame = trajectories([a_run(lambda_start=start)])
    second = frame[frame["layer"] == 2]
    assert second["lam"].tolist() == [start, 0.8, 0.4]
    assert second["kept"].tolist() == [False, True, False]


def test_the_reach_of_an_epoch_is_lambdas_own_learning_rate_times_its_steps():
    usual, faster = (
        pace([a_run(learning_rate=0.01, batch_targets=10, lambda_rate=rate)], 25)
        for rate in (1.0, 10.0)
    )
    assert usual["steps"].tolist() == [3] and usual["reach"][0] == pytest.approx(0.03)
    assert faster["reach"][0] == pytest.approx(0.3)


def tiny(name, **sizes):
    torch.manual_seed(0)
    sizes = {"max_length": 100, "hidden_size": 8, "inner_size": 8, **sizes}
    model = build_model(name, 60, **sizes).double().eval()
    with torch.no_grad():
        for block, lam in zip(model.blocks, (0.6, 1.3), strict=False):
            block.attention.injection.lam.fill_(lam)
            block.attention.qkv.weight.mul_(20)  # untrained similarities hardly feel lambda
    return model


def mean_loss(model, dataset, users):
    """Every target of these users' whole histories, one history at a time."""
    train, total, n = dataset.split.train, 0.0, 0
    for user in users:
        start, stop = train.offsets[user : user + 2]
        row = Gatherer(train).rows(np.array([start]), np.array([stop - start]))
        items, intensity = row[0], row[1].double()
        with torch.no_grad():
            scores = model(items, intensity)[0, :-1] @ model.item_embedding.weight.T
        total += float(F.cross_entropy(scores, items[0, 1:], reduction="sum"))
        n += stop - start - 1
    return total / n


@pytest.mark.parametrize("name", ["ia-add", "ia-mul", "ia-val"])
def test_gradient_of_lambda_is_that_of_finite_differences(name, synthetic):
    model = tiny(name)
    assert synthetic.n_items <= 60 and synthetic.split.train.lengths.max() <= 100
    found = loss_gradient(model, synthetic, TrainConfig(batch_targets=40), max_users=3)
    users, step = (0, (synthetic.n_users - 1) // 2, synthetic.n_users - 1), 1e-3
    for block, gradient in zip(model.blocks, found, strict=True):
        lam, losses = block.attention.injection.lam, []
        trained = lam.item()
        for value in (trained + step, trained - step):
            lam.data.fill_(value)
            losses.append(mean_loss(model, synthetic, users))
        lam.data.fill_(trained)
        expected = (losses[0] - losses[1]) / (2 * step)
        assert gradient == pytest.approx(expected, rel=1e-3) and abs(expected) > 1e-7


def test_gradient_under_a_sliding_window_is_that_of_whole_histories_whatever_the_stride(synthetic):
    model = tiny("ia-add", max_length=8, positions="none", sliding_window=3)
    config = TrainConfig(windows="whole", batch_targets=10**6)
    (batch,) = next(training_batches(model, synthetic, config, "cpu")(np.random.default_rng(0)))
    loss = batch_loss(model, batch)
    expected = [float(g) for g in torch.autograd.grad(loss, model.lambda_parameters)]
    for stride in (4, 10):
        found = loss_gradient(model, synthetic, replace(config, stride=stride), 10**4)
        assert found == pytest.approx(expected, rel=1e-4)


def test_gradient_of_lambda_has_no_dropout_and_leaves_the_model_alone(synthetic):
    model = tiny("ia-val", hidden_dropout=0.5, attention_dropout=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (loss_gradient(model, synthetic, TrainConfig(), 5) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def fit_of(model, seed, lambdas, **changes):
    """Return a fit that kept its first of two epochs; lambda is half as large in the second."""
    config = TrainConfig(**changes)
    spec = RunSpec("synthetic", "0", model, seed, ModelConfig(), config)
    history = [{"epoch": e, "lambdas": [lam / e for lam in lambdas]} for e in (1, 2)]
    facts = {"spec": asdict(spec), "lambdas": lambdas, "best_epoch": 1, "history": history}
    return Run(None, facts)


def test_pace_is_learning_rate_times_steps_of_an_epoch():
    runs = [
        fit_of("sasrec", 7, []),
        fit_of("ia-add", 7, [0.8, 1.0], learning_rate=0.01, batch_targets=100),
    ]
    (row,) = pace(runs, n_targets=250).to_dict("records")
    assert row == pytest.approx(
        {
            "model": "ia-add",
            "seed": 7,
            "lam_kept": 0.9,
            "lam_last": 0.45,
            "epoch_kept": 1,
            "epochs_run": 2,
            "learning_rate": 0.01,
            "steps": 3,
            "reach": 0.03,
        }
    )


def test_points_of_a_group_stay_together_in_a_resample():
    """Copies of a point are no evidence: the interval is that of the groups, each once."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 12))
    once, often = spearman_by(x, y, range(12)), spearman_by(*np.tile([x, y], 5), [*range(12)] * 5)
    assert (often.rho, often.low, often.high) == pytest.approx((once.rho, once.low, once.high))
    drawn = np.random.default_rng(0).integers(12, size=(1000, 12))
    rhos = [stats.spearmanr(x[d], y[d]).statistic for d in drawn]
    assert (once.low, once.high) == pytest.approx(tuple(np.quantile(rhos, [0.025, 0.975])))


def test_fewer_than_five_groups_have_no_interval():
    x, y = np.random.default_rng(0).normal(size=(2, 40))
    few, enough = (spearman_by(x, y, np.arange(40) % n) for n in (4, 5))
    assert np.isnan([few.low, few.high]).all() and few.rho == enough.rho
    assert enough.low < enough.rho < enough.high


def test_prefix_and_causal_normalisation_agree_for_one_layer_and_not_for_two(synthetic):
    one, two = (tiny("ia-val", n_layers=n, normalisation="minmax") for n in (1, 2))
    for block in (*one.blocks, *two.blocks):
        block.attention.injection.lam.data.fill_(20)  # or the untrained ranks would not feel it
    same = ranks_by_scope(one, synthetic)
    assert same["causal"].tolist() == same["prefix"].tolist()
    other = ranks_by_scope(two, synthetic)
    assert other["causal"].tolist() != other["prefix"].tolist()
    assert two.config.scope == "causal"
    causal = rank_targets(two, synthetic.split, "test")["unfiltered"]
    assert other["causal"].tolist() == causal.tolist()


def test_few_or_constant_points_have_no_correlation_by_groups():
    for x, y in (([1, 2], [2, 1]), ([1] * 9, range(9)), (range(9), [1] * 9)):
        found = spearman_by(x, y, range(len(x)))
        assert np.isnan([found.rho, found.low, found.high]).all() and found.n == len(x)


def test_resamples_without_spread_are_left_out():
    found = spearman_by([0, 0, 0, 0, 1], [0, 0, 0, 0, 1], range(5))
    assert (found.rho, found.low, found.high) == pytest.approx((1, 1, 1))
