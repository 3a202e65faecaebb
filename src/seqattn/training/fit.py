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
from seqattn.evaluation import CUTOFFS, METRICS, metric, rank_targets
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
                kind: {
                    f"{name}@{k}": float(metric(ranks, name, k).mean())
                    for name in METRICS
                    for k in CUTOFFS
                }
                for kind, ranks in self.ranks.items()
            },
            "seconds": self.seconds,
        }


def batch_loss(model: Backbone, batch: Batch) -> Tensor:
    """Return the mean cross-entropy, in nats, over the batch's scored targets."""
    hidden_BSD = model(batch.items_BT, batch.intensity_BT, batch.read_from)
    hidden_ND = hidden_BSD[batch.rows, batch.columns - batch.read_from]
    return tied_cross_entropy(hidden_ND, model.item_embedding.weight, batch.targets)


def backward(model: Backbone, parts: list[Batch]) -> tuple[Tensor, int]:
    """Add the gradient of the mean loss over all parts of a step; return their sum and number.

    Each part is weighed by its share of the targets, so the gradient does not depend on how a
    batch was split.
    """
    n_targets = sum(len(part.targets) for part in parts)
    losses = []
    for part in parts:
        loss = batch_loss(model, part) * len(part.targets)
        (loss / n_targets).backward()
        losses.append(loss.detach())  # stays on the device
    return torch.stack(losses).sum(), n_targets


def training_batches(
    model: Backbone, dataset: Dataset, config: TrainConfig, device: torch.device | str
) -> Callable[[np.random.Generator], Iterator[list[Batch]]]:
    """Return a function that yields one epoch's batches, each in parts of similar length.

    Raises
    ------
    SeqattnError
        If the stride exceeds the window, or the model's normalisation scope would leak the
        future into packed windows.
    """
    length, offsets = model.config.max_length, dataset.split.train.offsets
    _check_windows(model, config)
    gatherer = Gatherer(dataset.split.train, device)

    masked = model.objective == "masked_item"

    def epoch(rng: np.random.Generator) -> Iterator[list[Batch]]:
        if config.windows == "prefix" and not masked:
            windows = prefix_windows(offsets, length)
        else:
            inputs_end = 0 if masked else 1
            windows = packed_windows(offsets, length, config.stride, rng, inputs_end=inputs_end)
        for chosen in random_batches(windows, config.batch_targets, rng):
            buckets = windows.buckets(chosen)
            if masked:
                yield [
                    gatherer.masked_item_batch(
                        windows, bucket, model.mask_code, config.mask_probability, rng
                    )
                    for bucket in buckets
                ]
            else:
                yield [gatherer.next_item_batch(windows, bucket) for bucket in buckets]

    return epoch


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
                f"model {model_name!r} reads intensities and dataset {dataset.name!r} has none; "
                "fit sasrec, bert4rec or local-ae"
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


def _epoch(
    model: Backbone, batches: Iterator[list[Batch]], optimiser: torch.optim.Optimizer
) -> float:
    """One pass over the data; returns the mean loss per target."""
    model.train()
    total, n_targets = 0.0, 0
    for parts in batches:
        optimiser.zero_grad(set_to_none=True)
        loss, n = backward(model, parts)
        optimiser.step()
        total, n_targets = total + loss, n_targets + n
    return float(total) / n_targets
