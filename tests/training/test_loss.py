from __future__ import annotations

from unittest.mock import patch

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given

import seqattn.training.loss as loss_module
from seqattn.training.loss import stacked_cross_entropy, tied_cross_entropy


def _inputs(seed: int, n: int, v: int, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    hidden = scale * torch.randn(n, 3, dtype=torch.float64, generator=generator)
    weight = torch.randn(v, 3, dtype=torch.float64, generator=generator)
    targets = torch.randint(v, (n,), generator=generator)
    return hidden.requires_grad_(), weight.requires_grad_(), targets


@given(
    seed=st.integers(0, 999),
    n=st.integers(1, 30),
    v=st.integers(1, 20),
    rows=st.integers(1, 31),
    scale=st.sampled_from([1.0, 300.0]),
)
def test_loss_and_gradients_equal_pytorchs_whatever_the_chunk(seed, n, v, rows, scale):
    hidden, weight, targets = _inputs(seed, n, v, scale)
    with patch.multiple(loss_module, CHUNK_ENTRIES=1, MIN_ROWS=rows):
        loss = tied_cross_entropy(hidden, weight, targets)
    expected = F.cross_entropy(hidden @ weight.T, targets)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    found = torch.autograd.grad(3 * loss, (hidden, weight))
    wanted = torch.autograd.grad(3 * expected, (hidden, weight))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_gradcheck():
    hidden, weight, targets = _inputs(0, 5, 4)
    assert torch.autograd.gradcheck(tied_cross_entropy, (hidden, weight, targets))


@pytest.mark.parametrize("target", [0, 2])
def test_hand_computed_value(target):
    hidden, weight = torch.eye(1, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    expected = torch.log(torch.tensor([0.0, 1.0, 2.0]).exp().sum()) - target
    torch.testing.assert_close(tied_cross_entropy(hidden, weight, torch.tensor([target])), expected)


@pytest.mark.parametrize("rows", [2, 100])
def test_the_stacked_loss_is_each_seeds_weighted_cross_entropy(rows, monkeypatch):
    """In chunks of two targets, and whole."""
    monkeypatch.setattr(loss_module, "MIN_ROWS", rows)
    monkeypatch.setattr(loss_module, "CHUNK_ENTRIES", 1)
    seeds = [_inputs(seed, 5, 4) for seed in (0, 1)]
    hidden, weight, targets = (torch.stack(x) for x in zip(*seeds, strict=True))
    share = torch.rand(2, 5, dtype=torch.float64)
    hidden.requires_grad_()
    weight.requires_grad_()
    loss = stacked_cross_entropy(hidden, weight, targets, share)
    alone = [F.cross_entropy(hidden[s] @ weight[s].T, targets[s], reduction="none") for s in (0, 1)]
    expected = (torch.stack(alone) * share).sum(dim=1)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss.sum(), (hidden, weight)),
        torch.autograd.grad(expected.sum(), (hidden, weight)),
    )
