"""A fit under way and at its end: epochs, best weights, and the state from which it can go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from seqattn.data import Dataset
from seqattn.errors import DivergedError
from seqattn.models.backbone import Backbone
from seqattn.stats.metrics import averages_by_kind, metric
from seqattn.training.device import device_of
from seqattn.training.ranking import rank_targets


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
    """A fitted model with its best weights, its history, and ranks ``{stage}_{kind}`` of (N,).

    `owners` says whose the N targets of a stage are, where a user has several; `pretraining` holds
    the epochs before the first one, see `seqattn.training.pretraining`.
    """

    model: Backbone
    history: list[Epoch]
    best_epoch: int
    ranks: dict[str, np.ndarray]
    seconds: float
    owners: Mapping[str, np.ndarray] = field(default_factory=dict)
    pretraining: list[dict[str, float]] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        """Return what is worth keeping as JSON."""
        more: dict[str, object] = {"pretraining": self.pretraining} if self.pretraining else {}
        learned = [own.learned() for own in self.model.injections]
        if any(learned):
            more["learned"] = learned  # a layer each
        return more | {
            "history": [asdict(epoch) for epoch in self.history],
            "best_epoch": self.best_epoch,
            "lambdas": self.model.lambdas,
            "metrics": averages_by_kind(self.ranks, self.owners),
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class State:
    """Tensors by name, and facts that JSON can hold."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    @property
    def seconds(self) -> float:
        """What the epochs took that led here."""
        done = [*self.facts.get("pretraining", []), *self.facts.get("history", [])]
        return sum(epoch["seconds"] for epoch in done)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names start with `prefix`, without it."""
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


def captured(model: Backbone, optimiser: torch.optim.Optimizer, rng: np.random.Generator) -> State:
    """Return all that the rest of a training depends on: weights, moments, random numbers."""
    device = device_of(model)
    tensors = {
        **{f"model.{name}": value for name, value in model.state_dict().items()},
        **{
            f"adam.{number}.{name}": value
            for number, moments in optimiser.state_dict()["state"].items()
            for name, value in moments.items()
        },
        "random": torch.get_rng_state(),
    }
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    return State(tensors, {"rng": rng.bit_generator.state})


def restore(
    state: State, model: Backbone, optimiser: torch.optim.Optimizer, rng: np.random.Generator
) -> None:
    """Bring a training that has not begun into a state that `captured` returned."""
    device = device_of(model)
    model.load_state_dict(state.under("model."))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in state.under("adam.").items():
        number, _, moment = name.partition(".")
        moments.setdefault(int(number), {})[moment] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})
    rng.bit_generator.state = state.facts["rng"]
    torch.set_rng_state(state.tensors["random"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state.tensors["random.cuda"], device)


@contextmanager
def diverging(dataset: str, model: str, seed: int, epoch: int) -> Iterator[None]:
    """Say of a fit that diverges which one it is, and in which epoch.

    Raises
    ------
    DivergedError
        One was raised inside, by somebody who does not know.
    """
    try:
        yield
    except DivergedError as error:
        more = (
            "; so early, NaN may come from the model's own code, such as an injection of your own: "
            "check what it returns"
        )
        raise DivergedError(
            f"{dataset}, {model} seed {seed}, epoch {epoch}: {error}{more if epoch == 1 else ''}"
        ) from error


class Keeper(Protocol):
    """Keeps the state of a fit while it runs, such as `seqattn.runs.checkpoint.Checkpoint`."""

    def load(self) -> State | None:
        """Return what was kept, or None."""

    def save(self, capture: Callable[[], State]) -> None:
        """Keep what `capture` returns, or let it be, if the last state is recent enough."""


@dataclass
class Course:
    """A fit under way: its history so far, and its best weights.

    `owners` says whose the validation targets are, where a user has several; `pretraining` is that
    of `Fit`.
    """

    model: Backbone
    patience: int
    owners: np.ndarray | None = None
    pretraining: list[dict[str, float]] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_ndcg: float = -1.0
    seconds_before: float = 0.0  # of the epochs that an earlier process did

    def add(self, loss: float, ranks: np.ndarray, seconds: float) -> bool:
        """Record an epoch from its validation ranks, (N,); return whether to stop."""
        number, ndcg = len(self.history) + 1, float(metric(ranks, "NDCG", 10, self.owners).mean())
        self.history.append(Epoch(number, loss, ndcg, self.model.lambdas, seconds))
        if ndcg > self.best_ndcg:
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best_ndcg, self.best_epoch = ndcg, number
        return self.stopped

    @property
    def stopped(self) -> bool:
        """Whether patience is at its end."""
        return len(self.history) - self.best_epoch >= self.patience

    def capture(self, optimiser: torch.optim.Optimizer, rng: np.random.Generator) -> State:
        """Return all that the rest of the fit depends on, between two epochs."""
        state = captured(self.model, optimiser, rng)
        best = {f"best.{name}": value for name, value in self.best.items()}
        facts = {
            "history": [asdict(epoch) for epoch in self.history],
            "pretraining": self.pretraining,
            "best_epoch": self.best_epoch,
            "best_ndcg": self.best_ndcg,
        }
        return State(state.tensors | best, state.facts | facts)

    def restore(
        self, state: State, optimiser: torch.optim.Optimizer, rng: np.random.Generator
    ) -> None:
        """Bring a fit that has not begun into a captured state."""
        restore(state, self.model, optimiser, rng)
        device = device_of(self.model)
        self.best = {name: value.to(device) for name, value in state.under("best.").items()}
        self.history = [Epoch(**epoch) for epoch in state.facts["history"]]
        self.pretraining = state.facts.get("pretraining", [])
        self.best_epoch, self.best_ndcg = state.facts["best_epoch"], state.facts["best_ndcg"]

    def finish(self, dataset: Dataset, device: torch.device | str, started: float) -> Fit:
        """Return the fit: the best weights, ranked on validation and test."""
        self.model.load_state_dict(self.best)
        self.model.eval()
        ranks = {
            f"{stage}_{kind}": values
            for stage in ("valid", "test")
            for kind, values in rank_targets(self.model, dataset.split, stage, device).items()
        }
        seconds = time.perf_counter() - started + self.seconds_before
        owners = dataset.split.owners()
        return Fit(
            *(self.model, self.history, self.best_epoch, ranks, seconds, owners, self.pretraining)
        )
