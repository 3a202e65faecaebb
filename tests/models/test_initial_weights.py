"""Weights start from N(0, 0.02), biases at 0 and LayerNorms as the identity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from seqattn import build_model
from seqattn.models import MODELS, PLUGINS

OURS = [name for name in MODELS if name not in PLUGINS]
STD = 0.02
SIZES = {"max_length": 50, "hidden_size": 32, "inner_size": 64, "n_layers": 2, "n_heads": 2}
# Drawn as well, of whatever has them: they are parameters of no layer of PyTorch's.
DRAWN = {"mask_embedding", "user_UF", "key_NF", "value_NF", "before_first"}
FURTHER = [
    ("sasrec", {"positions": "shaw"}),
    ("sasrec", {"positions": "transformer-xl"}),
    ("sasrec", {"n_queries": 3}),
    ("bert4rec", {"head": "transform"}),
]


def drawn(name, **config):
    """A model's weights by name that a seed decides, and the model."""
    torch.manual_seed(0)
    model = build_model(name, 200, **SIZES, **config)
    model.add_users(100)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Embedding))}
    weights = {f"{n}.weight": module.weight for n, module in layers.items()}
    weights |= {n: p for n, p in model.named_parameters() if n.split(".")[-1] in DRAWN}
    return {n: weight.detach().numpy().ravel() for n, weight in weights.items()}, model


@pytest.mark.parametrize(("name", "config"), [*((name, {}) for name in OURS), *FURTHER])
def test_what_is_drawn_is_normal_with_the_usual_spread(name, config):
    weights, _ = drawn(name, **config)
    assert {"item_embedding.weight", "blocks.1.feed_forward.output.weight"} < set(weights)
    every = np.concatenate(list(weights.values())) / STD
    assert stats.kstest(every, "norm").pvalue > 1e-4
    for key, weight in weights.items():
        assert stats.kstest(weight / STD, "norm").pvalue > 1e-4 / len(weights), key


@pytest.mark.parametrize(("name", "config"), [*((name, {}) for name in OURS), *FURTHER])
def test_biases_start_at_zero_and_norms_as_the_identity(name, config):
    weights, model = drawn(name, **config)
    constant = {n: p for n, p in model.named_parameters() if n not in weights}
    for key, parameter in constant.items():
        last = key.split(".")[-1]
        if "bias" in last:
            assert not parameter.any(), key
        assert parameter.unique().numel() == 1 or last in ("keys_HN", "values_HN"), key
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) >= 5
    x = torch.randn(4, SIZES["hidden_size"])
    for norm in norms:
        plain = (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True)
        torch.testing.assert_close(norm(x), plain)


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_the_padding_vector_is_drawn_like_any_other(name):
    """As in RecBole, whose initialisation fills that row too: its score is part of the softmax."""
    _, model = drawn(name)
    padding = model.item_embedding.weight[0].detach().numpy()
    assert (padding != 0).all() and stats.kstest(padding / STD, "norm").pvalue > 1e-4
