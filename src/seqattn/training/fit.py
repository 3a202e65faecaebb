"""Fit one model on one dataset with one seed.

References
----------
[IA] section 4.2: Adam, cross-entropy over the whole catalogue, early stopping on validation
NDCG@10, the best-on-validation weights tested once.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from seqattn.config import ModelConfig, TrainConfig
from seqattn.data import Dataset
from seqattn.errors import SeqattnError
from seqattn.evaluation import metric, rank_targets
from seqattn.models import build_model
from seqattn.models.backbone import Backbone
from seqattn.training.batches import (
    Batch,
    Gatherer,
    packed_windows,
    prefix_windows,
    random_batches,
)
from seqattn.training.loss import tied_cross_entropy


@dataclass(frozen=True)
class Epoch:
    """One epoch's record: mean loss per target (nats), validation NDCG@10, lambdas, seconds."""

    epoch: int
    loss: float
    valid_ndcg: float
    lambdas: list[float]
    seconds: float


@dataclass(frozen=True)
class Fit:
    """A fitted model with its best weights, its history, and ranks ``{stage}_{kind}`` of (U,)."""

    model: Backbone
    history: list[Epoch]
    best_epoch: int
    ranks: dict[str, np.ndarray]
    seconds: float

    def facts(self) -> dict[str, object]:
        """Return what is worth keeping as JSON."""
        return {
            "history": [asdict(epoch) for epoch in self.history],
            "best_epoch": self.best_epoch,
            "lambdas": self.model.lambdas,
            "metrics": {
                name: float(metric(ranks, "NDCG", 10).mean()) for name, ranks in self.ranks.items()
            },
            "seconds": self.seconds,
        }


def batch_loss(model: Backbone, batch: Batch) -> Tensor:
    """Return the mean cross-entropy, in nats, over the batch's scored targets."""
    hidden_BTD = model(batch.items_BT, batch.intensity_BT)
    hidden_ND = hidden_BTD[batch.rows, batch.columns]
    return tied_cross_entropy(hidden_ND, model.item_embedding.weight, batch.targets)


def training_batches(
    model: Backbone, dataset: Dataset, config: TrainConfig, device: torch.device | str
) -> Callable[[np.random.Generator], Iterator[Batch]]:
    """Return a function that yields one epoch's batches, with fresh windows in a random order.

    Raises
    ------
    SeqattnError
        If the stride exceeds the window, or the model's normalisation scope would leak the
        future into packed windows.
    """
    length, offsets = model.config.max_length, dataset.split.train.offsets
    _check_windows(model, config)
    gatherer = Gatherer(dataset.split.train, device)

    def masked_items(rng: np.random.Generator) -> Iterator[Batch]:
        windows = packed_windows(offsets, length, config.stride, rng, inputs_end=0)
        for chosen in random_batches(windows, config.batch_targets, rng):
            yield gatherer.masked_item_batch(
                windows, chosen, model.mask_code, config.mask_probability, rng
            )

    def next_items(rng: np.random.Generator) -> Iterator[Batch]:
        if config.windows == "prefix":
            windows = prefix_windows(offsets, length)
        else:
            windows = packed_windows(offsets, length, config.stride, rng)
        for chosen in random_batches(windows, config.batch_targets, rng):
            yield gatherer.next_item_batch(windows, chosen)

    return masked_items if model.objective == "masked_item" else next_items


def _check_windows(model: Backbone, config: TrainConfig) -> None:
    if config.stride > model.config.max_length:
        raise SeqattnError(
            f"stride = {config.stride} exceeds max_length = {model.config.max_length}: "
            "targets between windows would never be scored; lower stride"
        )
    prefix_scope = model.needs_intensity and model.config.scope == "prefix"
    if prefix_scope and config.windows != "prefix":
        raise SeqattnError(
            "scope 'prefix' normalises a whole row at once, which leaks the future into packed "
            "windows; use windows 'prefix', or scope 'causal'"
        )


def fit(
    dataset: Dataset,
    model_name: str,
    seed: int,
    model_config: ModelConfig,
    train_config: TrainConfig,
    *,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Fit:
    """Train with early stopping, then rank validation and test with the best weights.

    Initial weights, batch order and dropout all follow from `seed`, and lambda draws no random
    number, so models fitted with one seed are paired (common random numbers). On one machine with
    one number of threads, the same call gives the same bits.

    Parameters
    ----------
    dataset : Dataset
        Prepared data.
    model_name : str
        A name `seqattn.build_model` knows.
    seed : int
        Seeds everything.
    model_config, train_config : ModelConfig, TrainConfig
        Settings.
    device : torch.device or str
        ``cpu`` or ``cuda``.
    on_epoch : callable, optional
        Called with each finished `Epoch`, for progress bars.

    Raises
    ------
    SeqattnError
        If the model needs an intensity the dataset lacks, or training diverges.
    """
    started = time.perf_counter()
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        model = build_model(model_name, dataset.n_items, **asdict(model_config)).to(device)
        if model.needs_intensity and not dataset.has_intensity:
            raise SeqattnError(
                f"model {model_name!r} reads intensities and dataset {dataset.name!r} has none"
            )
        torch.manual_seed(seed)  # dropout starts alike for models that drew extra weights
        history, best = _train(model, dataset, train_config, seed, device, on_epoch)
    model.load_state_dict(best)
    model.eval()
    ranks = {
        f"{stage}_{kind}": values
        for stage in ("valid", "test")
        for kind, values in rank_targets(model, dataset.split, stage, device).items()
    }
    best_epoch = max(history, key=lambda epoch: epoch.valid_ndcg).epoch
    return Fit(model, history, best_epoch, ranks, time.perf_counter() - started)


def _train(
    model: Backbone,
    dataset: Dataset,
    config: TrainConfig,
    seed: int,
    device: torch.device | str,
    on_epoch: Callable[[Epoch], None] | None,
) -> tuple[list[Epoch], dict[str, Tensor]]:
    rng = np.random.default_rng(seed)
    batches = training_batches(model, dataset, config, device)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    history: list[Epoch] = []
    best, best_ndcg, best_epoch = {}, -1.0, 0
    for number in range(1, config.epochs + 1):
        started = time.perf_counter()
        loss = _epoch(model, batches(rng), optimiser)
        ranks = rank_targets(model, dataset.split, "valid", device)["unfiltered"]
        ndcg = float(metric(ranks, "NDCG", 10).mean())
        history.append(Epoch(number, loss, ndcg, model.lambdas, time.perf_counter() - started))
        if on_epoch:
            on_epoch(history[-1])
        if ndcg > best_ndcg:
            best, best_ndcg, best_epoch = copy.deepcopy(model.state_dict()), ndcg, number
        elif number - best_epoch >= config.patience:
            break
    return history, best


def _epoch(model: Backbone, batches: Iterator[Batch], optimiser: torch.optim.Optimizer) -> float:
    """One pass over the data; returns the mean loss per target."""
    model.train()
    total, n_targets = 0.0, 0
    for batch in batches:
        loss = batch_loss(model, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total = total + loss.detach() * len(batch.targets)  # stays on the device
        n_targets += len(batch.targets)
    return float(total) / n_targets
