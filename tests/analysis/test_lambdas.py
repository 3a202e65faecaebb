"""Trajectories and gradients of lambda; intervals of it and of its correlation with change."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from seqattn import build_model
from seqattn.analysis.lambdas import loss_gradient, spearman, t_interval, trajectories
from seqattn.config import TrainConfig
from seqattn.runs.store import Run
from seqattn.training.batches import Gatherer


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


def test_trajectories_start_at_one_and_mark_the_epoch_kept():
    history = [{"epoch": e, "lambdas": [0.9 / e, 0.8 / e]} for e in (1, 2)]
    facts = {"spec": {"model": "ia-add", "seed": 7}, "lambdas": [0.9, 0.8], "best_epoch": 1}
    frame = trajectories([Run(None, {**facts, "history": history})])
    second = frame[frame["layer"] == 2]
    assert second["lam"].tolist() == [1.0, 0.8, 0.4]
    assert second["kept"].tolist() == [False, True, False]


def tiny(name, **sizes):
    torch.manual_seed(0)
    sizes = {"max_length": 100, "hidden_size": 8, "inner_size": 8, **sizes}
    model = build_model(name, 60, **sizes).double().eval()
    with torch.no_grad():
        for block, lam in zip(model.blocks, (0.6, 1.3), strict=True):
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


def test_gradient_of_lambda_has_no_dropout_and_leaves_the_model_alone(synthetic):
    model = tiny("ia-val", hidden_dropout=0.5, attention_dropout=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (loss_gradient(model, synthetic, TrainConfig(), 5) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
