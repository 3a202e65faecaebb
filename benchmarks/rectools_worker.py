"""RecTools' SASRec, trained some steps at a time as standard input asks for them.

Run by the Python of RecTools' own environment, which knows nothing of this package:

    python -I rectools_worker.py LOG.npz CONFIG

The log holds ``user``, ``item`` and ``order``, one entry an interaction; CONFIG is a JSON object,
whose ``module`` is ``native`` (RecTools' SASRecModel) or ``fast`` (the network of its
``fast_transformers``, with its softmax over the whole catalogue, in a bare loop).
The worker says ``ready`` once RecTools has prepared its data. From then on each line ``go N`` is
answered, N training steps later, with the number of targets that were in them. The end of standard
input ends the worker.

With ``epochs`` in CONFIG, the model is fitted instead: the log also holds each user's ``valid`` and
``test`` item, and a line of JSON an epoch has the ranks of both among all items, with ``seconds``
and the processor's ``cpu_seconds`` of training and of ranking validation.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable

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


class Clock:
    """Times an epoch as our own fits do: its training and the ranking of validation."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.start()

    def start(self) -> None:
        self.started = time.perf_counter(), time.process_time()

    def tell(self, ranks: Callable[[str], list[int]]) -> None:
        """Write down both stages' ranks and the seconds, and start again."""
        record = {"valid": ranks("valid")}
        record["seconds"] = time.perf_counter() - self.started[0]
        record["cpu_seconds"] = time.process_time() - self.started[1]
        record["test"] = ranks("test")
        os.write(self.answers, f"{json.dumps(record)}\n".encode())
        self.start()


def make_trainer(callback: Callback, epochs: int) -> Trainer:
    """Return what RecTools makes by default, with our callback; -1 epochs are no end."""
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
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
        columns = dict(log)
    modules = {"native": native, "fast": fast}
    if "epochs" in config:
        modules = {"native": native_fit, "fast": fast_fit}
        torch.manual_seed(config["seed"])
        # PyTorch's fast path for evaluation makes NaN of every history with padding on its left.
        torch.backends.mha.set_fastpath_enabled(False)
    modules[config["module"]](columns, config, answers)


def native(log: dict, config: dict, answers: int) -> None:
    """Train RecTools' SASRecModel some steps at a time."""
    train_native(log, config, Turns(answers), epochs=-1)


def native_fit(log: dict, config: dict, answers: int) -> None:
    """Fit RecTools' SASRecModel, and rank validation and test after each epoch."""
    train_native(log, config, Ranks(log, config["max_length"], answers), config["epochs"])


def train_native(log: dict, config: dict, callback: Callback, epochs: int) -> None:
    """Train RecTools' SASRecModel with a callback of ours."""
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
        get_trainer_func=lambda: make_trainer(callback, epochs),
    )
    model.fit(Dataset.construct(interactions))


class Ranks(Callback):
    """Rank each user's validation and test item after each epoch of RecTools' own `fit`.

    Users are those of the log, in order. RecTools reads and recommends only items that are among
    the last of some history, those it trains on; others it drops from what it reads, and here they
    rank last.
    """

    def __init__(self, log: dict, max_length: int, answers: int) -> None:
        self.columns, self.max_length, self.clock = log, max_length, Clock(answers)

    def on_train_start(self, _trainer, module) -> None:
        known = module.data_preparator.item_id_map.external_ids  # the first is padding
        self.code_of = {item: code for code, item in enumerate(known)}
        starts = np.flatnonzero(np.diff(self.columns["user"])) + 1
        histories = np.split(self.columns["item"], starts)
        pairs = zip(histories, self.columns["valid"], strict=True)
        longer = [np.append(items, item) for items, item in pairs]
        self.read = {"valid": self.rows(histories), "test": self.rows(longer)}
        self.clock.start()

    def rows(self, histories: list[np.ndarray]) -> torch.Tensor:
        """Return the last known items of each history by RecTools' codes, padded on the left."""
        rows = []
        for items in histories:
            codes = [self.code_of[item] for item in items if item in self.code_of]
            codes = codes[-self.max_length :]
            rows.append([0] * (self.max_length - len(codes)) + codes)
        return torch.tensor(rows)

    def on_train_epoch_end(self, _trainer, module) -> None:
        module.eval()
        self.clock.tell(lambda stage: self.ranks(module.torch_model, stage))
        module.train()

    @torch.no_grad()
    def ranks(self, net: torch.nn.Module, stage: str) -> list[int]:
        """Return the rank of each target, from 1; what was never trained on comes last."""
        read, targets = self.read[stage], self.columns[stage]
        items = net.item_model.get_all_embeddings()
        last = [net.encode_sessions({"x": x}, items)[:, -1] for x in read.split(128)]
        scores = torch.cat(last) @ items[1:].T
        if not scores.isfinite().all():
            sys.exit("RecTools' SASRecModel gives scores that are not finite")
        codes = torch.tensor([self.code_of.get(item, 0) for item in targets])
        above = (scores > scores.gather(1, (codes - 1).clamp(min=0)[:, None])).sum(dim=1)
        return torch.where(codes > 0, above + 1, len(items) - 1).tolist()


class Fast:
    """The network of RecTools' fast_transformers, with the softmax of its training module."""

    def __init__(self, log: dict, config: dict) -> None:
        columns = (torch.as_tensor(log[name]).long() for name in ("user", "item", "order"))
        self.x, self.y, self.items, self.users = build_sequences(*columns, config["max_length"])
        sizes = [config[name] for name in ("hidden_size", "n_layers", "n_heads", "max_length")]
        self.net = FlatSASRecNet(len(self.items), *sizes, config["dropout"]).train()
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=config["learning_rate"])
        sequences = SequenceBatchDataset(self.x, self.y)
        self.loader = DataLoader(sequences, batch_size=config["batch_users"], shuffle=True)

    def step(self, batch: dict) -> None:
        """Do one step of Adam."""
        logits = self.net.encode(batch["x"]) @ self.net.item_emb.weight.T
        logits[:, :, 0] = -torch.inf
        loss = F.cross_entropy(logits.flatten(0, 1), batch["y"].flatten(), ignore_index=0)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def codes(self, items: np.ndarray) -> torch.Tensor:
        """Return the places of items among those trained on; of others, any place."""
        found = torch.searchsorted(self.items, torch.as_tensor(items))
        return found.clamp(max=len(self.items) - 1)

    @torch.no_grad()
    def ranks(self, read: torch.Tensor, targets: np.ndarray) -> list[int]:
        """Return the rank of each target, from 1; what was never trained on comes last."""
        codes = self.codes(targets)
        known = self.items[codes] == torch.as_tensor(targets)
        scores = self.net.eval().encode_last(read) @ self.net.all_item_embeddings().T
        if not scores.isfinite().all():
            sys.exit("RecTools' fast network gives scores that are not finite")
        above = (scores > scores.gather(1, codes[:, None])).sum(dim=1)
        self.net.train()
        return torch.where(known, above + 1, len(self.items)).tolist()


def fast(log: dict, config: dict, answers: int) -> None:
    """Train the fast network some steps at a time."""
    model, turns = Fast(log, config), Turns(answers)
    turns.on_train_start()
    while True:
        for batch in model.loader:
            model.step(batch)
            turns.count(batch)


def fast_fit(log: dict, config: dict, answers: int) -> None:
    """Fit the fast network, and rank validation and test after each epoch.

    Every user of the log has a validation and a test item; the latter is asked for with a history
    that ends with the former.
    """
    model = Fast(log, config)
    targets = {stage: log[stage][model.users] for stage in ("valid", "test")}
    # The inputs end one item early: the last target is the history's last item.
    read = {"valid": torch.cat([model.x[:, 1:], model.y[:, -1:]], dim=1)}
    last = model.codes(targets["valid"])[:, None] + 1
    read["test"] = torch.cat([read["valid"][:, 1:], last], dim=1)
    clock = Clock(answers)
    for _ in range(config["epochs"]):
        for batch in model.loader:
            model.step(batch)
        clock.tell(lambda stage: model.ranks(read[stage], targets[stage]))


if __name__ == "__main__":
    main()
