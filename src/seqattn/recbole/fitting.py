"""Fit one of RecBole's baselines with one set of options, and rank with its best weights.

What a model is chosen by follows RecBole's own evaluation, which hides a user's history from its
general models and not from its sequential ones: see `CHOSEN_BY`. A general model puts what a user
already has on top, so its unfiltered validation NDCG falls while it is still learning.

Shapes: U users.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from seqattn.data import Dataset
from seqattn.recbole.subjects import Subject, build
from seqattn.stats.metrics import metric
from seqattn.training.fit import forked_rng
from seqattn.training.ranking import Ranker

MAX_EPOCHS = 300  # RecBole's epochs
PATIENCE = 5
STAGES = ("valid", "test")
# The kind of validation rank whose NDCG@10 stops training and chooses hyperparameters.
CHOSEN_BY = {"pop": "filtered", "itemknn": "filtered", "bpr": "filtered", "gru4rec": "unfiltered"}

Report = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True)
class Fitted:
    """Ranks ``{stage}_{kind}`` of (U,), with the best weights, and how they came about."""

    ranks: dict[str, np.ndarray]
    history: list[dict[str, float]]
    best_epoch: int | None
    seconds: float

    def valid_ndcg(self, kind: str) -> float:
        """Return validation NDCG@10; `kind` unfiltered or filtered."""
        return _ndcg(self.ranks[f"valid_{kind}"])


def fit(
    name: str,
    dataset: Dataset,
    seed: int,
    options: Mapping[str, object],
    report: Report | None = None,
) -> Fitted:
    """Fit one model with one set of options; the best weights on validation are tested once.

    Parameters
    ----------
    name, dataset, options
        See `seqattn.recbole.subjects.build`.
    seed : int
        Seeds weights, dropout, batch order and negatives.
    report : callable, optional
        Called with each finished epoch: epoch, loss, valid_ndcg, seconds.

    Raises
    ------
    SeqattnError
        If training diverges, or BPR finds no negative.
    """
    started = time.perf_counter()
    with forked_rng("cpu"):
        torch.manual_seed(seed)
        subject = build(name, dataset, options)
        history, best_epoch = [], None
        if subject.epoch is not None:
            rate = float(options["learning_rate"])
            history, best_epoch = _train(subject, dataset, seed, rate, CHOSEN_BY[name], report)
    ranks = {
        f"{stage}_{kind}": values
        for stage in STAGES
        for kind, values in _rank(subject, Ranker(dataset.split, stage), stage).items()
    }
    return Fitted(ranks, history, best_epoch, time.perf_counter() - started)


def _train(
    subject: Subject,
    dataset: Dataset,
    seed: int,
    learning_rate: float,
    kind: str,
    report: Report | None,
) -> tuple[list[dict[str, float]], int]:
    """Train with early stopping and leave the model with its best weights."""
    model, rng = subject.model, np.random.default_rng(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    ranker = Ranker(dataset.split, "valid")
    history, best_epoch, best, weights = [], 0, -1.0, {}
    while len(history) < MAX_EPOCHS and len(history) - best_epoch < PATIENCE:
        started = time.perf_counter()
        model.train()
        loss = subject.epoch(optimiser, rng)
        ndcg = _ndcg(_rank(subject, ranker, "valid", filtered=kind == "filtered")[kind])
        history.append(
            {
                "epoch": len(history) + 1,
                "loss": loss,
                "valid_ndcg": ndcg,
                "seconds": time.perf_counter() - started,
            }
        )
        if ndcg > best:
            best, best_epoch = ndcg, len(history)
            weights = {key: value.clone() for key, value in model.state_dict().items()}
        if report:
            report(history[-1])
    model.load_state_dict(weights)
    return history, best_epoch


def _rank(
    subject: Subject, ranker: Ranker, stage: str, *, filtered: bool = True
) -> dict[str, np.ndarray]:
    subject.model.eval()
    return ranker.rank(subject.scores(stage), filtered=filtered)


def _ndcg(ranks: np.ndarray) -> float:
    return float(metric(ranks, "NDCG", 10).mean())
