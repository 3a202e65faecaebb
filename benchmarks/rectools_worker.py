"""RecTools' SASRec, trained some steps at a time as standard input asks for them.

Run by the Python of RecTools' own environment, which knows nothing of this package:

    python -I rectools_worker.py LOG.npz CONFIG

The log holds ``user``, ``item`` and ``order``, one entry an interaction; CONFIG is a JSON object,
whose ``module`` is ``native`` (RecTools' SASRecModel) or ``fast`` (the network of its
``fast_transformers``, with its softmax over the whole catalogue, in a bare loop).
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
import torch.nn.functional as F
from pytorch_lightning import Callback, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.fast_transformers import FlatSASRecNet, SequenceBatchDataset, build_sequences
from rectools.models import SASRecModel
from torch.utils.data import DataLoader


class Turns(Callback):
    """Hold RecTools' own `fit` until a line asks for steps, and again after as many steps."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.steps_left = self.n_targets = 0

    def on_train_start(self, *_: object) -> None:
        self._wait("ready")

    def on_train_batch_end(self, _trainer, _module, _outputs, batch: dict, *_: object) -> None:
        self.count(batch)

    def count(self, batch: dict) -> None:
        """Take note of a step; after the last that was asked for, answer and wait."""
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
        columns = {name: log[name] for name in ("user", "item", "order")}
    train = {"native": native, "fast": fast}[config["module"]]
    train(columns, config, answers)


def native(log: dict, config: dict, answers: int) -> None:
    """Train RecTools' SASRecModel."""
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


def fast(log: dict, config: dict, answers: int) -> None:
    """Train the network of RecTools' fast_transformers, with the softmax of its training module."""
    user, item, order = (torch.as_tensor(log[name]).long() for name in ("user", "item", "order"))
    x, y, items, _ = build_sequences(user, item, order, config["max_length"])
    sizes = (config["hidden_size"], config["n_layers"], config["n_heads"], config["max_length"])
    net = FlatSASRecNet(len(items), *sizes, config["dropout"]).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=config["learning_rate"])
    loader = DataLoader(SequenceBatchDataset(x, y), batch_size=config["batch_users"], shuffle=True)
    turns = Turns(answers)
    turns.on_train_start()
    while True:
        for batch in loader:
            logits = net.encode(batch["x"]) @ net.item_emb.weight.T
            logits[:, :, 0] = -torch.inf
            loss = F.cross_entropy(logits.flatten(0, 1), batch["y"].flatten(), ignore_index=0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            turns.count(batch)


if __name__ == "__main__":
    main()
