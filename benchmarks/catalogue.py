"""What the size of the catalogue costs a training step, by loss.

Random logs of 10,000 users with 20 interactions each, over as many items as ML-100K has after its
5-core, 10,000 and 100,000; the default model and batches. Each size is timed in a process of its
own, the losses in turns; what is left when the loss no longer grows is the optimiser, whose step
over all embeddings is timed too. Peak memory is that of a process that does two steps. All on one
thread, as a fit has.

    python -m benchmarks.catalogue
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.common import alone, finish, interleave
from benchmarks.steps import training_steps
from benchmarks.synthetic import random_dataset
from seqattn.config import TrainConfig
from seqattn.data import Dataset
from seqattn.models import build_model

SIZES = (1_349, 10_000, 100_000)
FULL, OPTIMISER = "cross-entropy", "optimiser alone"
LOSSES = {
    FULL: TrainConfig(),
    "sampled softmax": TrainConfig(loss="sampled-softmax"),
    "gBCE": TrainConfig(loss="gbce"),
}
STEPS, ROUNDS = 1, 3


def log_of(n_items: int) -> Dataset:
    """Return the log of one size."""
    return random_dataset(10_000, 20, n_items)


def optimiser_steps(n_items: int) -> Callable[[], float]:
    """Return a function that does the optimiser's part of some steps and returns their number."""
    model = build_model("sasrec", n_items)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser = torch.optim.Adam(model.parameters(), lr=TrainConfig().learning_rate, fused=True)

    def work() -> float:
        optimiser.step()
        return 1

    return work


def times(n_items: int) -> dict[str, list[float]]:
    """Return steps a second of each loss, and of the optimiser alone, a number a round."""
    torch.set_num_threads(1)
    dataset = log_of(n_items)

    def counted(config: TrainConfig) -> Callable[[], float]:
        work = training_steps(dataset, STEPS, train=config)
        work()  # the first call also cuts the epoch's windows
        return lambda: STEPS * (work() > 0)

    contestants = {name: counted(config) for name, config in LOSSES.items()}
    return interleave(contestants | {OPTIMISER: optimiser_steps(n_items)}, ROUNDS)


def peak_gib(n_items: int, loss: str) -> float:
    """Return the peak memory of this process after two steps."""
    torch.set_num_threads(1)
    training_steps(log_of(n_items), 2, train=LOSSES[loss])()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure every size and report."""
    rows, seconds, over = [], {}, {}
    for n_items in SIZES:
        rates = alone(times, n_items)
        seconds[n_items] = {name: 1 / median(values) for name, values in rates.items()}
        for loss in LOSSES:
            pairs = zip(rates[loss], rates[FULL], strict=True)
            over[loss, n_items] = median(own / full for own, full in pairs)
            row = {"items": n_items, "loss": loss, "s/step": seconds[n_items][loss]}
            row["times as fast"] = over[loss, n_items]
            row["of it the optimiser"] = seconds[n_items][OPTIMISER] / seconds[n_items][loss]
            rows.append(row | {"peak GiB": alone(peak_gib, n_items, loss)})
    sampled, (least, *_, most) = "sampled softmax", SIZES
    finish(
        "catalogue",
        rows,
        {
            "ratio_vs_full_largest": over[sampled, most],
            "ratio_vs_full_smallest": over[sampled, least],
            "growth_full": seconds[most][FULL] / seconds[least][FULL],
            "growth_sampled": seconds[most][sampled] / seconds[least][sampled],
            "optimiser_share_largest": seconds[most][OPTIMISER] / seconds[most][sampled],
        },
    )


if __name__ == "__main__":
    torch.set_num_threads(1)  # of the machine's record, too
    main()
