"""RecTools' SASRecs as contestants, in processes of their own: their pins clash with ours.

`make bench-rectools` makes its environment. Both models get the same training log, width, layers,
heads, dropout, Adam and threads, a softmax over the whole catalogue, L = 200, and batches of as
many targets on average. RecTools' feed-forward is as wide as the model (64), so ours is, too; that
of its module ``fast_transformers`` is four times as wide, so beside it ours is 256.
RecTools trains on the last 201 interactions of a history and drops earlier targets; ours trains on
all of them, in windows.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from seqattn.config import ModelConfig, TrainConfig
from seqattn.data import Dataset, Sequences
from seqattn.stats.metrics import metric

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (
    str(ROOT / ".venv-rectools" / "bin" / "python"),
    "-I",  # neither our packages nor this folder, whose names would shadow RecTools
    str(Path(__file__).with_name("rectools_worker.py")),
)
MODEL = ModelConfig(max_length=200, inner_size=64)
FAST_INNER = 256
BATCH_USERS = 32


def train_config(train: Sequences) -> TrainConfig:
    """Return our settings for batches of as many targets as RecTools' hold on average."""
    trained = np.minimum(train.lengths - 1, MODEL.max_length)
    return TrainConfig(stride=MODEL.max_length, batch_targets=round(BATCH_USERS * trained.mean()))


def rectools(
    train: Sequences, steps: int, module: str = "native", command: Sequence[str] = COMMAND
) -> Callable[[], float] | None:
    """Return RecTools' SASRec doing some steps and returning their targets.

    `module` is ``native`` or ``fast``, as `benchmarks.rectools_worker` has them. Without RecTools'
    environment, say how to make it and return None.
    """
    if not available(command):
        return None
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.npz"
        user = np.repeat(np.arange(len(train.lengths)), train.lengths)
        np.savez(log, user=user, item=train.items, order=np.arange(len(user)))
        worker = subprocess.Popen(
            [*command, str(log), json.dumps({"module": module, **_config()})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        _answer(worker)  # ready: the log has been read, the folder may go

    def work() -> float:
        worker.stdin.write(f"go {steps}\n")
        return int(_answer(worker))

    return work


def available(command: Sequence[str] = COMMAND) -> bool:
    """Return whether RecTools' environment is there; if not, say how to make it."""
    there = Path(command[0]).exists()
    if not there:
        print(f"RecTools: not run, there is no {command[0]}; `make bench-rectools` makes it.")
    return there


def fit(
    dataset: Dataset,
    module: str,
    seed: int,
    epochs: int,
    learning_rate: float,
    command: Sequence[str] = COMMAND,
) -> dict[str, list[float]]:
    """Fit RecTools' SASRec; return validation NDCG@10 and seconds by epoch, and test ranks.

    `module` is ``native`` or ``fast``. Test ranks are those of the best epoch on validation. The
    split is leave-one-out, of histories of which two items or more are trained on.

    Raises
    ------
    RuntimeError
        If RecTools' process ends before its last epoch.
    """
    train = dataset.split.train
    users = np.repeat(np.arange(len(train.lengths)), train.lengths)
    held = {stage: dataset.split.targets(stage) for stage in ("valid", "test")}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.npz"
        np.savez(log, user=users, item=train.items, order=np.arange(len(users)), **held)
        options = {"module": module, "epochs": epochs, "seed": seed}
        options |= _config() | {"learning_rate": learning_rate}
        worker = subprocess.Popen(
            [*command, str(log), json.dumps(options)], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        records = [json.loads(_answer(worker)) for _ in range(epochs)]
    valid = [float(metric(np.array(record["valid"]), "NDCG", 10).mean()) for record in records]
    return {
        "valid": valid,
        "seconds": [record["seconds"] for record in records],
        "cpu_seconds": [record["cpu_seconds"] for record in records],
        "test_ranks": records[int(np.argmax(valid))]["test"],
    }


def _config() -> dict[str, float]:
    return {
        "max_length": MODEL.max_length,
        "hidden_size": MODEL.hidden_size,
        "n_layers": MODEL.n_layers,
        "n_heads": MODEL.n_heads,
        "dropout": MODEL.hidden_dropout,
        "learning_rate": TrainConfig().learning_rate,
        "batch_users": BATCH_USERS,
        "threads": torch.get_num_threads(),
    }


def _answer(worker: subprocess.Popen) -> str:
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(
            f"RecTools' process ended with exit code {worker.wait()}; its message stands above. "
            "Make its environment anew: rm -rf .venv-rectools && make bench-rectools"
        )
    return line.strip()
