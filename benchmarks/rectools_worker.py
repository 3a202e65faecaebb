"""RecTools' SASRec, trained some steps at a time as standard input asks for them.

Run by the Python of RecTools' own environment, which knows nothing of this package:

    python -I rectools_worker.py LOG.npz CONFIG

The log holds ``user``, ``item`` and ``order``, one entry an interaction; CONFIG is a JSON object.
The worker says ``ready`` once RecTools has prepared its data. From then on each line ``go N`` is
answered, N training steps later, with the number of targets that were in them. The end of standard
input ends the worker.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


class Turns(Callback):
    """Hold RecTools' own `fit` until a line asks for steps, and again after as many steps."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.steps_left = self.n_targets = 0

    def on_train_start(self, *_: object) -> None:
        self._wait("ready")

    def on_train_batch_end(self, _trainer, _module, _outputs, batch: dict, *_: object) -> None:
        self.n_targets += int((batch["y"] != 0).sum())
        self.steps_left -= 1
        if self.steps_left == 0:
            self._wait(str(self.n_targets))

    def _wait(self, answer: str) -> None:
        os.write(self.answers, f"{answer}\n".encode())
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        self.steps_left, self.n_targets = int(line.removeprefix("go ")), 0


def make_trainer(answers: int) -> Trainer:
    """Return what RecTools makes by default, with our callback and without an end."""
    return Trainer(
        max_epochs=-1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Turns(answers)],
    )


def main() -> None:
    """Prepare, then train until nobody asks any more."""
    # Only answers go to standard output: whatever a library prints goes to standard error.
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    config = json.loads(sys.argv[2])
    torch.set_num_threads(config["threads"])
    with np.load(sys.argv[1]) as log:
        interactions = pd.DataFrame(
            {
                Columns.User: log["user"],
                Columns.Item: log["item"],
                Columns.Weight: 1,
                Columns.Datetime: pd.to_datetime(log["order"], unit="s"),
            }
        )
    model = SASRecModel(
        session_max_len=config["max_length"],
        n_factors=config["hidden_size"],
        n_blocks=config["n_layers"],
        n_heads=config["n_heads"],
        dropout_rate=config["dropout"],
        lr=config["learning_rate"],
        batch_size=config["batch_users"],
        loss="softmax",
        get_trainer_func=make_trainer,
        get_trainer_func_kwargs={"answers": answers},
    )
    model.fit(Dataset.construct(interactions))


if __name__ == "__main__":
    main()
