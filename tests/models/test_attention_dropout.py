"""Where dropout stands in a model, how often it strikes and what it leaves."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from seqattn import build_model
from seqattn.models import MODELS, PLUGINS
from seqattn.models.attention import attend, dropout
from seqattn.models.reference import intensity_matrix

OURS = [name for name in MODELS if name not in PLUGINS]
HIDDEN, ATTENTION = 0.25, 0.4
SMALL = {
    **{"max_length": 8, "hidden_size": 8, "inner_size": 16, "n_layers": 1, "n_heads": 2},
    **{"hidden_dropout": HIDDEN, "attention_dropout": ATTENTION},
}
ITEMS = torch.randint(1, 21, (3, 8), generator=torch.manual_seed(0))
STARS = torch.rand(3, 8, generator=torch.manual_seed(1), dtype=torch.double) * 10


class Drop(NamedTuple):
    """One call of `dropout`."""

    shape: tuple[int, ...]
    probability: float
    factor: torch.Tensor


@pytest.fixture
def drops(monkeypatch):
    """Every call of `dropout`, in order."""
    calls = []

    def drop(x, probability):
        factor = (torch.rand(x.shape) >= probability).to(x.dtype) / (1 - probability)
        calls.append(Drop(tuple(x.shape), probability, factor))
        return x * factor

    monkeypatch.setattr("seqattn.models.attention.dropout", drop)
    return calls


def training(name, **config):
    """A model in training whose every parameter matters."""
    torch.manual_seed(0)
    model = build_model(name, 20, **{**SMALL, **config}).double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def places(calls):
    return [(call.shape, call.probability) for call in calls]


# What a model adds to the map of three histories, two heads and eight positions.
WIDER = {"ia-side-keys": (3, 2, 8, 16)}
FURTHER = [
    ("sasrec", {"positions": "relative"}, (3, 2, 8, 8)),
    ("sasrec", {"positions": "shaw"}, (3, 2, 8, 8)),
    ("sasrec", {"positions": "transformer-xl", "memory_slots": 2}, (3, 2, 8, 10)),
    ("sasrec", {"n_queries": 3}, (3, 2, 24, 8)),
    ("ia-val", {"n_queries": 3}, (3, 2, 24, 8)),
    ("sasrec", {"kernel": "both"}, (3, 2, 8, 8)),
    ("bert4rec", {"head": "transform"}, (3, 2, 8, 8)),
]


@pytest.mark.parametrize(
    ("name", "config", "weights"),
    [*((name, {}, WIDER.get(name, (3, 2, 8, 8))) for name in OURS), *FURTHER],
)
def test_training_drops_of_the_input_the_weights_and_both_outputs_and_of_nothing_else(
    drops, name, config, weights
):
    model, states = training(name, **config), ((3, 8, 8), HIDDEN)
    model(ITEMS, STARS)
    assert places(drops) == [states, (weights, ATTENTION), states, states]
    drops.clear()
    model.eval()(ITEMS, STARS)
    assert not any(drop.probability for drop in drops)


def test_every_layer_drops_alike_and_the_last_only_where_it_is_read(drops):
    training("ia-val", n_layers=2)(ITEMS, STARS, read_from=5)
    whole, read = ((3, 8, 8), HIDDEN), ((3, 3, 8), HIDDEN)
    first = [((3, 2, 8, 8), ATTENTION), whole, whole]
    assert places(drops) == [whole, *first, ((3, 2, 3, 8), ATTENTION), read, read]


@pytest.mark.parametrize("name", ["sasrec", "ia-add", "ia-mul", "ia-val"])
def test_a_block_in_training_equals_its_formula_with_what_was_dropped(drops, name):
    """Of an output before it is added to its input; of weights before Val rescales them."""
    model = training(name)
    found = model(ITEMS, STARS)
    of_input, of_weights, of_attention, of_network = (drop.factor for drop in drops)
    (block,) = model.blocks
    attention, network = block.attention, block.feed_forward
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    for b in range(3):
        x = model.item_embedding.weight[ITEMS[b]] + model.position_embedding.weight
        x = model.norm(x) * of_input[b]
        q, k, v = attention.qkv(x).split(8, dim=-1)
        if name != "sasrec":
            m = intensity_matrix(STARS[b], "log1p_minmax")
            lam = attention.injection.lam
        contexts = []
        for h in range(2):
            own = slice(4 * h, 4 * h + 4)
            logits = q[:, own] @ k[:, own].T / math.sqrt(4)
            if name == "ia-add":
                logits = logits + lam * m
            if name == "ia-mul":
                logits = logits * (1 + lam * (m - 1))
            weights = torch.softmax(logits.masked_fill(future, -torch.inf), dim=-1)
            weights = weights * of_weights[b, h]
            if name == "ia-val":
                weights = weights * (1 + lam * (m - 1))
            contexts.append(weights @ v[:, own])
        attended = attention.output(torch.cat(contexts, dim=-1)) * of_attention[b]
        x = block.attention_norm(x + attended)
        passed = network.output(F.gelu(network.inner(x))) * of_network[b]
        torch.testing.assert_close(found[b], block.feed_forward_norm(x + passed))


def test_off_the_cpu_pytorch_drops_at_the_same_rates(monkeypatch):
    """On the device that only computes shapes, as on a GPU."""
    seen = []

    def fused(q, k, v, mask, probability, **how):
        seen.append(("weights", probability))
        return v

    def plain(x, probability):
        seen.append(("states", probability))
        return x

    monkeypatch.setattr(F, "scaled_dot_product_attention", fused)
    monkeypatch.setattr(F, "dropout", plain)
    q, k, v = torch.empty(3, 3, 2, 8, 4, device="meta")
    for probability in (ATTENTION, 0.0):
        attend(q, k, v, None, probability)
    dropout(v, HIDDEN)
    assert seen == [("weights", ATTENTION), ("weights", 0.0), ("states", HIDDEN)]


@pytest.mark.parametrize("probability", [0.1, 0.25, 0.5, 0.9])
def test_dropout_zeroes_at_its_rate_and_rescales_to_keep_the_mean(probability):
    torch.manual_seed(0)
    x = (1 + torch.rand(301, 1001)).requires_grad_()
    y = dropout(x, probability)
    y.sum().backward()
    factor = (y / x).detach()
    torch.testing.assert_close(x.grad, factor)
    kept = factor > 0
    largest = 1 / (1 - probability)
    assert factor.max() == pytest.approx(largest, rel=1e-4)
    torch.testing.assert_close(factor, largest * kept, rtol=1e-4, atol=0)
    error = math.sqrt(probability / (1 - probability) / kept.numel())
    assert factor.mean() == pytest.approx(1, abs=4 * error)
    flat = kept.flatten()
    for lane in range(4):  # four draws share a random number
        mine = flat[lane::4]
        drawn = stats.binomtest(int(mine.sum()), len(mine), 1 - probability)
        assert drawn.pvalue > 1e-4
    for lag in (1, 2, 3, 4, 1001):
        together = torch.corrcoef(torch.stack([flat[lag:], flat[:-lag]]).double())[0, 1]
        assert abs(together) < 4 / math.sqrt(len(flat))
    assert not torch.equal(dropout(x, probability), y)


def test_dropout_at_the_ends_of_its_range_leaves_all_or_next_to_nothing():
    x = torch.rand(7, 9)
    assert dropout(x, 0.0) is x
    assert dropout(x, math.nextafter(1.0, 0.0)).isfinite().all()
