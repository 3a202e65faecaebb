"""What a fit leaves behind, and how it is recorded epoch by epoch.

Shapes: U users.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor

from seqattn.data import Dataset
from seqattn.evaluation import CUTOFFS, METRICS, metric, rank_targets
from seqattn.models.backbone import Backbone


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


@dataclass
class Course:
    """A fit under way: its history so far, and its best weights."""

    model: Backbone
    patience: int
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_ndcg: float = -1.0

    def add(self, loss: float, ranks: np.ndarray, seconds: float) -> bool:
        """Record an epoch from its validation ranks, (U,); return whether to stop."""
        number, ndcg = len(self.history) + 1, float(metric(ranks, "NDCG", 10).mean())
        self.history.append(Epoch(number, loss, ndcg, self.model.lambdas, seconds))
        if ndcg > self.best_ndcg:
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best_ndcg, self.best_epoch = ndcg, number
        return number - self.best_epoch >= self.patience

    def finish(self, dataset: Dataset, device: torch.device | str, started: float) -> Fit:
        """Return the fit: the best weights, ranked on validation and test."""
        self.model.load_state_dict(self.best)
        self.model.eval()
        ranks = {
            f"{stage}_{kind}": values
            for stage in ("valid", "test")
            for kind, values in rank_targets(self.model, dataset.split, stage, device).items()
        }
        seconds = time.perf_counter() - started
        return Fit(self.model, self.history, self.best_epoch, ranks, seconds)
