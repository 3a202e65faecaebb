"""Baselines to place SASRec: RecBole's Pop, ItemKNN, BPR, GRU4Rec, SR-GNN on the identical split.

Hyperparameters are RecBole's defaults, but for a small grid (`GRIDS`) that is searched with
`SEARCH_SEED`; other seeds take what it chose, as the searches of our own models do. Pop and ItemKNN
draw no random number and are fitted once, with that seed.

What a model is chosen by follows RecBole's own evaluation, which hides a user's history from its
general models and not from its sequential ones: see `CHOSEN_BY`. A general model puts what a user
already has on top, so its unfiltered validation NDCG falls while it is still learning.

Nothing is kept here: `seqattn.runs.fitting` asks for what a store lacks.

Shapes: U users.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import torch

from seqattn.data import Dataset
from seqattn.errors import SeqattnError
from seqattn.recbole.subjects import BATCH, MAX_LENGTH, Subject, build
from seqattn.stats.metrics import KINDS, averages_by_kind, metric
from seqattn.training.device import environment
from seqattn.training.fit import forked_rng
from seqattn.training.ranking import Ranker

# RecBole's key: the values tried. Its defaults are k = 100, shrink = 0, learning_rate = 0.001.
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "pop": {},
    "itemknn": {"k": (20, 50, 100, 200), "shrink": (0.0, 10.0, 100.0)},
    "bpr": {"learning_rate": (0.0003, 0.001, 0.003, 0.01)},
    "gru4rec": {"learning_rate": (0.001, 0.005)},
    "srgnn": {"learning_rate": (0.001, 0.005)},
}
SEQUENTIAL = ("gru4rec", "srgnn")
# The kind of validation rank whose NDCG@10 stops training and chooses hyperparameters.
CHOSEN_BY = {model: "unfiltered" if model in SEQUENTIAL else "filtered" for model in GRIDS}
TRAINED = ("bpr", *SEQUENTIAL)
SEARCH_SEED = 2020
MAX_EPOCHS = 300  # RecBole's epochs
PATIENCE = 5
STAGES = ("valid", "test")

Report = Callable[[str], None]


def settings_of(model: str) -> dict[str, Any]:
    """Return what a run rests on beside data and seed: RecBole's version, grid and training.

    Raises
    ------
    SeqattnError
        If the model is unknown.
    """
    if model not in GRIDS:
        raise SeqattnError(f"baseline {model!r} is unknown; choose one of {', '.join(GRIDS)}")
    settings: dict[str, Any] = {
        "recbole": version("recbole"),
        "grid": {key: list(values) for key, values in GRIDS[model].items()},
        "chosen_by": f"valid_{CHOSEN_BY[model]} NDCG@10",
    }
    if model in TRAINED:
        settings |= {"search_seed": SEARCH_SEED, "batch": BATCH}
        settings |= {"max_epochs": MAX_EPOCHS, "patience": PATIENCE}
    if model == "itemknn":
        settings["asks_with"] = "the history up to the target"
    if model in SEQUENTIAL:
        settings["max_length"] = MAX_LENGTH
    return settings


def seed_of(model: str, seed: int) -> int:
    """Return the seed a model is fitted with: `SEARCH_SEED` if it draws no random number."""
    return seed if model in TRAINED else SEARCH_SEED


def fit_baseline(
    dataset: Dataset,
    model: str,
    seed: int,
    searched: Mapping[str, Any] | None = None,
    report: Report | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fit one baseline; return facts to keep as JSON, and ranks ``{stage}_{kind}`` of (U,).

    Parameters
    ----------
    model : str
        A key of `GRIDS`.
    searched : mapping, optional
        Facts of the model's run with `SEARCH_SEED`, whose choice is taken. Without them the grid
        is searched with `seed`.
    report : callable, optional
        Called with a line for each finished epoch.

    Raises
    ------
    SeqattnError
        If the model can't be fitted.
    """
    if searched is None:
        chosen, best, tried = _search(dataset, model, seed, report)
    else:
        chosen, tried = searched["hyperparameters"], searched["grid"]
        best = fit(model, dataset, seed, chosen, report)
    facts = {
        "hyperparameters": chosen,
        "grid": tried,
        "history": best.history,
        "best_epoch": best.best_epoch,
        "seconds": best.seconds,
        "environment": environment("cpu") | {name: version(name) for name in ("recbole", "scipy")},
        "metrics": averages_by_kind(best.ranks, best.owners),
    }
    return facts, best.ranks


def _search(
    dataset: Dataset, model: str, seed: int, report: Report | None
) -> tuple[dict[str, float], Fitted, list[dict[str, Any]]]:
    """Fit every member of the grid; return the best one's options, its fit, and the record."""
    grid = GRIDS[model]
    members = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    fits = [(options, fit(model, dataset, seed, options, report)) for options in members]
    tried: list[dict[str, Any]] = [
        {
            "hyperparameters": options,
            "seed": seed,
            **{f"valid_{kind}": fitted.valid_ndcg(kind) for kind in KINDS},
            "best_epoch": fitted.best_epoch,
            "epochs": len(fitted.history),
            "seconds": fitted.seconds,
        }
        for options, fitted in fits
    ]
    chosen, best = max(fits, key=lambda found: found[1].valid_ndcg(CHOSEN_BY[model]))
    return chosen, best, tried


@dataclass(frozen=True)
class Fitted:
    """Ranks ``{stage}_{kind}`` of (N,), with the best weights, and how they came about.

    `owners` is that of `seqattn.data.splits.Split`.
    """

    ranks: dict[str, np.ndarray]
    history: list[dict[str, float]]
    best_epoch: int | None
    seconds: float
    owners: Mapping[str, np.ndarray] = field(default_factory=dict)

    def valid_ndcg(self, kind: str) -> float:
        """Return validation NDCG@10; `kind` unfiltered or filtered."""
        return _ndcg(self.ranks[f"valid_{kind}"], self.owners.get("valid"))


def fit(
    name: str, dataset: Dataset, seed: int, options: Mapping[str, Any], report: Report | None = None
) -> Fitted:
    """Fit one model with one set of options; the best weights on validation are tested once.

    See `seqattn.recbole.subjects.build` for the options. `seed` is that of weights, dropout, batch
    order and negatives; `report` is called with a line for each finished epoch, and one for the
    fit.

    Raises
    ------
    SeqattnError
        If training diverges, or BPR finds no negative.
    """
    label = " ".join([name, f"seed {seed}", *(f"{key}={v}" for key, v in options.items())])
    report = report or (lambda line: None)

    def on_epoch(epoch: Mapping[str, float]) -> None:
        loss, ndcg = f"loss {epoch['loss']:.3f}", f"NDCG@10 {epoch['valid_ndcg']:.4f}"
        report(f"{label} epoch {epoch['epoch']}: {loss}, {ndcg}")

    started, kind = time.perf_counter(), CHOSEN_BY[name]
    with forked_rng("cpu"):
        torch.manual_seed(seed)
        subject = build(name, dataset, options)
        history, best_epoch = _train(subject, dataset, seed, options, kind, on_epoch)
    ranks = {
        f"{stage}_{of}": values
        for stage in STAGES
        for of, values in _rank(subject, Ranker(dataset.split, stage), stage).items()
    }
    seconds = time.perf_counter() - started
    fitted = Fitted(ranks, history, best_epoch, seconds, dataset.split.owners())
    report(f"{label}: validation NDCG@10 {fitted.valid_ndcg(kind):.4f}")
    return fitted


def _train(
    subject: Subject,
    dataset: Dataset,
    seed: int,
    options: Mapping[str, Any],
    kind: str,
    on_epoch: Callable[[Mapping[str, float]], None],
) -> tuple[list[dict[str, float]], int | None]:
    """Train with early stopping, if at all, and leave the model with its best weights."""
    if subject.epoch is None:
        return [], None
    model, rng = subject.model, np.random.default_rng(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=float(options["learning_rate"]))
    ranker, owners = Ranker(dataset.split, "valid"), dataset.split.owners().get("valid")
    history: list[dict[str, float]] = []
    best_epoch, best, weights = 0, -1.0, {}
    while len(history) < MAX_EPOCHS and len(history) - best_epoch < PATIENCE:
        started = time.perf_counter()
        model.train()
        loss = subject.epoch(optimiser, rng)
        ranks = _rank(subject, ranker, "valid", filtered=kind == "filtered")[kind]
        ndcg = _ndcg(ranks, owners)
        seconds = time.perf_counter() - started
        record = {"epoch": len(history) + 1, "loss": loss, "valid_ndcg": ndcg, "seconds": seconds}
        history.append(record)
        if ndcg > best:
            best, best_epoch = ndcg, len(history)
            weights = {key: value.clone() for key, value in model.state_dict().items()}
        on_epoch(history[-1])
    model.load_state_dict(weights)
    return history, best_epoch


def _rank(
    subject: Subject, ranker: Ranker, stage: str, *, filtered: bool = True
) -> dict[str, np.ndarray]:
    subject.model.eval()
    return ranker.rank(subject.scores(stage), filtered=filtered)


def _ndcg(ranks: np.ndarray, owners: np.ndarray | None) -> float:
    return float(metric(ranks, "NDCG", 10, owners).mean())
