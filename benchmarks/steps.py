"""Training steps as units of work, the same for every benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from seqattn.config import ModelConfig, TrainConfig
from seqattn.data import Dataset
from seqattn.models import build_model
from seqattn.training.fit import backward, loss_of, training_batches


def training_steps(
    dataset: Dataset,
    n_steps: int,
    *,
    name: str = "sasrec",
    model: ModelConfig | None = None,
    train: TrainConfig | None = None,
) -> Callable[[], float]:
    """Return a function that does `n_steps` optimiser steps and returns their targets."""
    model, train = model or ModelConfig(), train or TrainConfig()
    torch.manual_seed(0)
    network = build_model(name, dataset.n_items, **vars(model)).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=train.learning_rate, fused=True)
    batches = endless(training_batches(network, dataset, train, "cpu"))
    sampled = loss_of(dataset, train, "cpu")

    def work() -> float:
        targets = 0
        for _ in range(n_steps):
            optimiser.zero_grad(set_to_none=True)
            targets += backward(network, next(batches), sampled)[1]
            optimiser.step()
        return targets

    return work


def endless(epoch: Callable) -> Iterator:
    """Yield the batches of epoch after epoch."""
    rng = np.random.default_rng(0)
    while True:
        yield from epoch(rng)
