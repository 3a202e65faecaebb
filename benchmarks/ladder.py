"""The ladder: what each change is worth, by undoing one at a time.

All of ML-100K with the configuration of `benchmarks.training`, contestants interleaved. A change
that is on by default is patched away; one that is not, because it was tried and did not pay, is
patched in. The effect is the speed with the change over the speed without it, round by round.

    python -m benchmarks.ladder
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import steps
from benchmarks.common import finish, interleave, ratios
from benchmarks.training import MODEL, MODES, TRAIN, all_of_ml_100k
from seqattn.config import TrainConfig, replace
from seqattn.data import Dataset
from seqattn.models import attention, backbone
from seqattn.training import batches, fit

ROUNDS = 7
WINDOWS = f"windows that advance by {TRAIN.stride} (not by 1)"
DEFAULT, EXACT = "default", "exact"


class Change(NamedTuple):
    """One rung: what is measured beside `base`, by which patches, for how many steps a round.

    `undone` tells a change that is on by default, and undone here, from one tried here.
    """

    kind: str
    steps: int
    patches: tuple[tuple[object, str, Any], ...] = ()
    train: TrainConfig = TRAIN
    base: str = DEFAULT
    undone: bool = True


def read_everything(self: batches.Gatherer, *arguments: Any) -> batches.Batch:
    """Cut a batch whose last layer computes every position."""
    return _batch(self, *arguments)._replace(read_from=0)


def plain_cross_entropy(hidden_ND: torch.Tensor, weight_VD: torch.Tensor, targets_N: torch.Tensor):
    """Return PyTorch's cross-entropy of the whole logit matrix."""
    return F.cross_entropy(hidden_ND @ weight_VD.T, targets_N)


def torch_attention(q, k, v, mask, dropout_p):
    """Attend as PyTorch does, dropout included; `mask` as in `seqattn.models.attention.attend`."""
    s, t = q.shape[-2], k.shape[-2]
    if mask is None and s < t:
        mask = torch.ones(s, t, dtype=torch.bool).tril(t - s)
    return F.scaled_dot_product_attention(
        q, k, v, mask, dropout_p, is_causal=mask is None, scale=1.0
    )


def unfused_adam(parameters: Any, **options: Any) -> torch.optim.Adam:
    """Return Adam that updates one parameter after the other, an operation at a time."""
    return _adam(parameters, **options | {"fused": False, "foreach": False})


def forward_in_bfloat16(self: backbone.Backbone, *arguments: Any) -> torch.Tensor:
    """Run the model with bfloat16 matrix products; the loss and the weights stay float32."""
    with torch.autocast("cpu", torch.bfloat16):
        return _forward(self, *arguments).float()


def full_rectangles(model, dataset: Dataset, config: TrainConfig, device: str) -> Callable:
    """Stand in for `training_batches`: as many tokens and targets a step, and no padding.

    Windows here cross histories, which changes nothing about the time, and each scores its end,
    so that the last layer computes scored positions only.
    """
    tokens, targets = _median_step(model, dataset, config)
    length = model.config.max_length
    items = torch.tensor(dataset.split.train.items, dtype=torch.long)

    def epoch(rng: np.random.Generator) -> Iterator[list[batches.Batch]]:
        while True:
            start_B = torch.as_tensor(rng.integers(len(items) - length - 1, size=tokens // length))
            index_BT = start_B[:, None] + torch.arange(length)
            first = length - round(targets / len(start_B))
            rows, columns = torch.ones_like(index_BT[:, first:]).nonzero(as_tuple=True)
            columns += first
            places = index_BT[rows, columns] + 1
            scored = items[places]
            yield [batches.Batch(items[index_BT], None, rows, columns, scored, places, first)]

    return epoch


def _median_step(model, dataset: Dataset, config: TrainConfig) -> tuple[int, int]:
    """Return the real tokens and the targets of a step."""
    epoch = fit.training_batches(model, dataset, config, "cpu")(np.random.default_rng(0))
    cut = list(epoch)[:-1]
    tokens = median(sum(int((part.items_BT > 0).sum()) for part in parts) for parts in cut)
    return int(tokens), int(median(sum(len(part.targets) for part in parts) for parts in cut))


_batch = batches.Gatherer.batch
_forward = backbone.Backbone.forward
_adam = torch.optim.Adam
ON, TRIED, BOUND = "on by default", "tried, left out", "not built: upper bound"
CHANGES = {
    "all positions at once (not one row a prefix)": Change(
        ON, 1, train=replace(TRAIN, windows="prefix")
    ),
    WINDOWS: Change(ON, 2, train=MODES["stride 1"]),
    "last layer computes only the queries it needs": Change(
        ON, 4, ((batches.Gatherer, "batch", read_everything),)
    ),
    "the same with stride 1": Change(
        ON, 2, ((batches.Gatherer, "batch", read_everything),), MODES["stride 1"], EXACT
    ),
    "rows of similar length together": Change(
        ON, 4, ((batches.Windows, "buckets", lambda self, chosen, overhead=0: [chosen]),)
    ),
    "loss in chunks": Change(ON, 4, ((fit, "tied_cross_entropy", plain_cross_entropy),)),
    "cheap dropout": Change(
        ON,
        4,
        ((attention, "dropout", F.dropout), (attention, "attend", torch_attention)),
    ),
    "fused Adam": Change(ON, 4, ((torch.optim, "Adam", unfused_adam),)),
    "windows that advance by 50": Change(TRIED, 8, train=MODES["stride 50"], undone=False),
    "bfloat16 matrix products": Change(
        TRIED, 2, ((backbone.Backbone, "forward", forward_in_bfloat16),), undone=False
    ),
    "no padding at all": Change(
        BOUND, 4, ((steps, "training_batches", full_rectangles),), undone=False
    ),
}


def contestant(dataset: Dataset, change: Change) -> Callable[[], float]:
    """Return training steps with the change's patches in force."""

    def patched() -> ExitStack:
        stack = ExitStack()
        for target, name, replacement in change.patches:
            stack.enter_context(patch.object(target, name, replacement))
        return stack

    with patched():
        work = steps.training_steps(dataset, change.steps, model=MODEL, train=change.train)

    def run() -> float:
        with patched():
            return work()

    return run


def rung(name: str, change: Change, rates: dict[str, list[float]]) -> dict[str, object]:
    """Return a change's row: rates without and with it, and the ratio over the rounds."""
    # The exact mode is both a contestant and what its own change is measured beside.
    without, with_ = (name, change.base) if change.undone else (change.base, name)
    effect = ratios(rates, with_, without)
    return {
        "change": name,
        "kind": change.kind,
        "targets/s without": median(rates[without]),
        "targets/s with": median(rates[with_]),
        "effect": effect["median"],
        "low": effect["low"],
        "high": effect["high"],
    }


def main() -> None:
    """Measure and report."""
    dataset = all_of_ml_100k()
    contestants = {DEFAULT: contestant(dataset, Change("", 4))}
    contestants |= {name: contestant(dataset, change) for name, change in CHANGES.items()}
    rates = interleave(contestants, ROUNDS)
    rates[EXACT] = rates[WINDOWS]
    rows = [rung(name, change, rates) for name, change in CHANGES.items()]
    finish("ladder", rows, {"targets_per_second": median(rates[DEFAULT])})


if __name__ == "__main__":
    main()
