"""Training throughput: ours beside RecBole's and RecTools' SASRec, and beside its matrix products.

One dataset (all of ML-100K, leave-one-out), one configuration (L = 50, width 64, 2 layers, 2 heads,
inner 256, dropout 0.2, batches of 2,048 targets), rounds interleaved. RecBole runs its own model on
its own augmented rows, one row a target. The floor is the time that the training step's matrix
products alone take, in float32, with the shapes of that step. RecTools is timed at L = 200, with
our model at L = 200 beside it: `benchmarks.rectools`.

    python -m benchmarks.training
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from statistics import median
from unittest.mock import patch

import numpy as np
import torch

from benchmarks import rectools
from benchmarks.common import finish, interleave, ratios
from benchmarks.steps import endless, training_steps
from seqattn.config import ModelConfig, TrainConfig, replace
from seqattn.data import (
    CATALOGUE,
    Dataset,
    Interactions,
    Sequences,
    leave_one_out,
    load_log,
    merge_repeats,
    sort_by_time,
)
from seqattn.models import build_model
from seqattn.training.batches import Batch
from seqattn.training.fit import training_batches
from seqattn.training.whole import WholeBatch

MODEL = ModelConfig()
TRAIN = TrainConfig()
# Whole histories in one pass, at the same sizes.
SLIDING = replace(MODEL, positions="relative", sliding_window=MODEL.max_length, max_length=99)
WHOLE = replace(TRAIN, windows="whole")
MODES = {
    "stride 50": replace(TRAIN, stride=50),
    "stride 10": TRAIN,
    "stride 1": replace(TRAIN, stride=1),
}

# What is divided by what; a key that names no mode is the default's: windows, with stride 10 at
# L = 50 and stride 200 at L = 200.
SPREAD = ("median", "low", "high")
PAIRS = {
    "ratio_vs_recbole": ("ours, stride 10", "RecBole"),
    "ratio_packed_vs_recbole": ("ours, stride 50", "RecBole"),
    "ratio_exact_vs_recbole": ("ours, stride 1", "RecBole"),
    "ratio_vs_rectools": ("ours, stride 200, L = 200", "RecTools, L = 200"),
    "ratio_vs_rectools_fast": ("ours, stride 200, L = 200, wider", "RecTools fast, L = 200"),
    "step_over_fp32_floor": ("matrix products only", "ours, stride 10"),
    "bound_vs_recbole": ("matrix products only", "RecBole"),
    "ratio_sliding_vs_dense": ("ours, sliding window", "ours, stride 10"),
    "ratio_sliding_vs_recbole": ("ours, sliding window", "RecBole"),
    "ratio_sliding_vs_rectools_fast": ("ours, sliding window, L = 200", "RecTools fast, L = 200"),
    "sliding_over_fp32_floor": ("matrix products of it", "ours, sliding window"),
}


def all_of_ml_100k() -> Dataset:
    """ML-100K without the 5-core, as RecBole's loader has it."""
    log: Interactions = sort_by_time(merge_repeats(load_log("ml-100k"), "latest", "latest"))
    sequences = Sequences.from_interactions(log)
    return Dataset(
        "ml-100k", CATALOGUE["ml-100k"], sequences, leave_one_out(sequences), log.steps, ""
    )


def recbole(steps: int) -> Callable[[], float]:
    """Return RecBole's SASRec doing some steps on its own batches."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation

    import seqattn.recbole  # noqa: F401  # RecBole's Config under NumPy 2

    # Importing RecBole's models turns anomaly detection on for the whole process.
    with torch.autograd.set_detect_anomaly(False):
        from recbole.model.sequential_recommender import SASRec

    options = {
        "train_batch_size": TRAIN.batch_targets,
        "train_neg_sample_args": None,
        "MAX_ITEM_LIST_LENGTH": MODEL.max_length,
        "hidden_dropout_prob": MODEL.hidden_dropout,
        "attn_dropout_prob": MODEL.attention_dropout,
        "learning_rate": TRAIN.learning_rate,
        "gpu_id": "",
        "show_progress": False,
        "checkpoint_dir": tempfile.mkdtemp(),
    }
    with patch.object(sys, "argv", sys.argv[:1]), patch.dict(os.environ):
        config = Config(model=SASRec, dataset="ml-100k", config_dict=options)
        train, _, _ = data_preparation(config, create_dataset(config))
    model = SASRec(config, train.dataset).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=TRAIN.learning_rate)
    batches = endless(lambda _: iter(train))

    def work() -> float:
        targets = 0
        for _ in range(steps):
            interaction = next(batches)
            optimiser.zero_grad()
            loss = model.calculate_loss(interaction)
            loss.backward()
            optimiser.step()
            targets += len(interaction)
        return targets

    return work


def gemm_floor(
    dataset: Dataset, config: TrainConfig, model_config: ModelConfig = MODEL
) -> Callable[[], float]:
    """Return a function that does one step's matrix products."""
    model = build_model("sasrec", dataset.n_items, **vars(model_config))
    batches = training_batches(model, dataset, config, "cpu")(np.random.default_rng(0))
    steps = list(batches)[:-1]
    sizes = [np.sum([_positions(part) for part in parts], axis=0) for parts in steps]
    tokens, read, targets = np.median(sizes, axis=0).astype(int).tolist()
    d, inner = MODEL.hidden_size, MODEL.inner_size
    after = [(d, d), (d, inner), (inner, d)]
    shapes = [(tokens, d, 3 * d), *((tokens, *sides) for sides in after)] * (MODEL.n_layers - 1)
    shapes += [(tokens, d, 2 * d), (read, d, d), *((read, *sides) for sides in after)]
    shapes += [(targets, d, dataset.n_items + 1)]
    tensors = [(torch.randn(n, k), torch.randn(k, m), torch.randn(n, m)) for n, k, m in shapes]

    def work() -> float:
        for x, w, y in tensors:
            torch.mm(x, w)  # forward
            torch.mm(y, w.T)  # gradient of the input
            torch.mm(x.T, y)  # gradient of the weight
        return targets

    return work


def _positions(part: Batch | WholeBatch) -> tuple[int, int, int]:
    """Return how many positions a part computes, those the last layer reads, and targets.

    Padding counts as overhead, so they are real positions only. The last layer needs queries of
    the positions read, but keys and values of all.
    """
    n_targets = len(part.targets)
    if isinstance(part, WholeBatch):
        return n_targets, n_targets, n_targets
    real_BT = part.items_BT > 0
    return int(real_BT.sum()), int(real_BT[:, part.read_from :].sum()), n_targets


def matmul(dtype: torch.dtype, n: int = 1024) -> Callable[[], float]:
    """Return a square matrix product as a unit of work, in GFLOP."""
    a, b = torch.randn(2, n, n).to(dtype).unbind()

    def work() -> float:
        for _ in range(4):
            a @ b
        return 4 * 2 * n**3 / 1e9

    return work


def main() -> None:
    """Measure and report."""
    dataset = all_of_ml_100k()
    n_targets = int((dataset.split.train.lengths - 1).sum())
    floor = gemm_floor(dataset, MODES["stride 10"])
    sliding_floor = gemm_floor(dataset, WHOLE, SLIDING)
    contestants = {
        "RecBole": recbole(steps=2),
        "ours, stride 1": training_steps(dataset, 4, model=MODEL, train=MODES["stride 1"]),
        "ours, stride 10": training_steps(dataset, 10, model=MODEL, train=MODES["stride 10"]),
        "ours, stride 50": training_steps(dataset, 20, model=MODEL, train=MODES["stride 50"]),
        "matrix products only": lambda: sum(floor() for _ in range(10)),
        "ours, sliding window": training_steps(dataset, 20, model=SLIDING, train=WHOLE),
        "matrix products of it": lambda: sum(sliding_floor() for _ in range(20)),
        "ours, stride 200, L = 200": training_steps(
            dataset,
            10,
            model=rectools.MODEL,
            train=rectools.train_config(dataset.split.train),
        ),
        # Beside RecTools' fast module: as wide inside, with windows as long.
        "ours, stride 200, L = 200, wider": training_steps(
            dataset,
            10,
            model=replace(rectools.MODEL, inner_size=rectools.FAST_INNER),
            train=rectools.train_config(dataset.split.train),
        ),
        "ours, sliding window, L = 200": training_steps(
            dataset,
            10,
            model=replace(
                SLIDING, sliding_window=200, max_length=399, inner_size=rectools.FAST_INNER
            ),
            train=replace(rectools.train_config(dataset.split.train), windows="whole"),
        ),
    }
    for name, module in (("RecTools, L = 200", "native"), ("RecTools fast, L = 200", "fast")):
        if peer := rectools.rectools(dataset.split.train, 5, module):
            contestants[name] = peer
    rates = interleave(contestants, rounds=4)
    rows = [
        {"contestant": name, "targets/s": median(values), "s/epoch": n_targets / median(values)}
        for name, values in rates.items()
    ]
    products = {"float32": matmul(torch.float32), "bfloat16": matmul(torch.bfloat16)}
    gflops = {name: median(values) for name, values in interleave(products, rounds=5).items()}

    summary: dict[str, object] = {}
    for key, (over, under) in PAIRS.items():
        # No number without RecTools' environment.
        found = ratios(rates, over, under) if under in rates else dict.fromkeys(SPREAD)
        summary |= {key: found["median"], f"{key}_spread": [found["low"], found["high"]]}
    finish(
        "training",
        rows,
        summary | {f"gflops_{name}": value for name, value in gflops.items()},
    )


if __name__ == "__main__":
    main()
