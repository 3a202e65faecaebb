"""RecBole's Pop, ItemKNN, BPR, GRU4Rec and SR-GNN on seqattn's split: fed and asked.

The models are RecBole's own classes with their own losses and scores. Its pipeline is left out:
it renumbers users and items, keeps timestamps in float32, breaks ties as `topk` happens to, and
saves checkpoints it can't load from PyTorch 2.6 on. Here each class gets batches cut from the
training histories that our own models see, and a function that scores users for our `Ranker`.

Two details follow RecBole's trainer: a batch is `BATCH` rows of a random order, and BPR's
negatives are uniform over the items that are not in the user's training history. One does not: on
test ItemKNN, too, reads the validation item, as every model does that reads a history.

GRU4Rec and SR-GNN get one row per target, the items before it, padded on the right, and the
cross-entropy over the whole catalogue. Over an epoch that is the sum over all steps of all
histories which Li et al. (2023) name cumulative cross-entropy: [MIQ]'s GRU4Rec_F is this GRU4Rec.
Its SRGNN_F is not this SR-GNN; that scores the steps of one graph, in which a step sees the items
that follow. Here each row has a graph of its own.

Shapes: B rows or users at a time, T positions, U users, V items, N training interactions.

References
----------
Zhao et al. (2021), RecBole; Rendle et al. (2009), BPR; Tan et al. (2016), GRU4Rec; Wu et al.
(2019), SR-GNN; Li et al. (2023), arXiv 2301.00979.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender, SequentialRecommender
from scipy.sparse import coo_matrix, spmatrix
from torch import Tensor

from seqattn.data import Dataset, Sequences
from seqattn.errors import SeqattnError
from seqattn.training.batches import Gatherer, prefix_windows, random_batches

# Importing RecBole's models turns anomaly detection on for the whole process.
with torch.autograd.set_detect_anomaly(False):
    from recbole.model.general_recommender import BPR, ItemKNN, Pop
    from recbole.model.sequential_recommender import SRGNN, GRU4Rec

BATCH = 2048  # RecBole's train_batch_size
MAX_LENGTH = 50
# A step's rows go through a sequential model in parts that stay in a core's cache; their gradients
# add up.
ROWS_AT_ONCE = 512

Scores = Callable[[np.ndarray], Tensor]


@dataclass(frozen=True)
class Subject:
    """A RecBole model with its data: how to train it an epoch, and how it scores users.

    ``epoch`` is None where nothing is trained by gradient; it takes an optimiser and a generator
    and returns the mean loss of a row. ``scores`` takes a stage.
    """

    model: AbstractRecommender
    scores: Callable[[str], Scores]
    epoch: Callable[[torch.optim.Optimizer, np.random.Generator], float] | None = None


class Log:
    """What a RecBole model reads off its dataset: sizes and interactions.

    Codes are RecBole's: both users and items start at 1, and 0 is padding. ``users`` and
    ``items`` are of shape (N,).
    """

    def __init__(self, histories: Sequences) -> None:
        self._sizes = {"user_id": histories.n_users + 1, "item_id": histories.n_items + 1}
        self.users = np.repeat(np.arange(1, histories.n_users + 1), histories.lengths)
        self.items = histories.items.astype(np.int64)
        self._seen = np.sort(self.users * self._sizes["item_id"] + self.items)

    def num(self, field: str) -> int:
        """Return the number of users or items, padding counted."""
        return self._sizes[field]

    def inter_matrix(self, form: str) -> spmatrix:
        """Return who interacted with what, (U + 1, V + 1) of 0 and 1."""
        shape = (self._sizes["user_id"], self._sizes["item_id"])
        ones = np.ones(len(self.users), dtype=np.float32)
        return coo_matrix((ones, (self.users, self.items)), shape).asformat(form)

    def negatives(self, users_B: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw for each user an item that is not in the user's history, (B,).

        Raises
        ------
        SeqattnError
            If a user's history holds the whole catalogue.
        """
        n_codes = self._sizes["item_id"]
        if np.bincount(self.users).max() >= n_codes - 1:
            raise SeqattnError("BPR needs an item that is not in the user's history to draw")
        drawn = np.zeros(len(users_B), dtype=np.int64)
        again = np.arange(len(users_B))
        while len(again):
            drawn[again] = rng.integers(1, n_codes, size=len(again))
            again = again[np.isin(users_B[again] * n_codes + drawn[again], self._seen)]
        return drawn


def build(name: str, dataset: Dataset, options: Mapping[str, object]) -> Subject:
    """Return one of RecBole's models on a dataset's training histories.

    `options` are the keys of RecBole's configuration that differ from its defaults. Weights are
    drawn from PyTorch's global generator.
    """
    return _BUILDERS[name](dataset, options)


def _step(
    model: AbstractRecommender, optimiser: torch.optim.Optimizer, parts: list[Interaction]
) -> float:
    """Take one step on the mean loss over the rows of all parts; return the sum over rows."""
    n_rows = sum(len(part) for part in parts)
    optimiser.zero_grad()
    total = 0.0
    for part in parts:
        loss = model.calculate_loss(part) * len(part)
        (loss / n_rows).backward()
        total += loss.item()
    optimiser.step()
    return total


def configured(
    model: type[AbstractRecommender], dataset: Dataset, options: Mapping[str, object]
) -> tuple[AbstractRecommender, Log]:
    """Return a model of RecBole's class on a dataset, and what it reads off that."""
    # `Config` reads the process's command line and sets CUDA_VISIBLE_DEVICES.
    with patch.object(sys, "argv", sys.argv[:1]), patch.dict(os.environ):
        config = Config(model=model, dataset="none", config_dict={"gpu_id": "", **options})
    log = Log(dataset.split.train)
    return model(config, log), log


def _by_user(model: AbstractRecommender, dataset: Dataset) -> Callable[[str], Scores]:
    """Return scores that depend on who the user is, not on the stage's histories."""

    def of_stage(stage: str) -> Scores:
        users_N = dataset.split.users(stage)

        def scores(targets: np.ndarray) -> Tensor:
            rows = Interaction({model.USER_ID: torch.as_tensor(users_N[targets] + 1)})
            return model.full_sort_predict(rows).view(len(targets), -1)

        return scores

    return of_stage


def _pop(dataset: Dataset, options: Mapping[str, object]) -> Subject:
    model, log = configured(Pop, dataset, options)
    # The class counts an item once a batch, however often the batch holds it, so its counts are
    # right only for batches without repeats: one user's history each.
    histories = np.split(log.items, dataset.split.train.offsets[1:-1])
    for items in filter(len, histories):
        model.calculate_loss(Interaction({model.ITEM_ID: torch.as_tensor(items)}))
    return Subject(model, _by_user(model, dataset))


def _itemknn(dataset: Dataset, options: Mapping[str, object]) -> Subject:
    model, _ = configured(ItemKNN, dataset, options)

    def of_stage(stage: str) -> Scores:
        # RecBole asks the training history on test, too. The neighbours are learned there, but who
        # asks has one item more by then, which SASRec and GRU4Rec read.
        asking = Log(dataset.split.context(stage)).inter_matrix("csr") @ model.w
        return lambda users: torch.from_numpy(asking[users + 1].toarray())

    return Subject(model, of_stage)


def _bpr(dataset: Dataset, options: Mapping[str, object]) -> Subject:
    model, log = configured(BPR, dataset, options)

    def epoch(optimiser: torch.optim.Optimizer, rng: np.random.Generator) -> float:
        order = rng.permutation(len(log.users))
        negatives = log.negatives(log.users[order], rng)
        total = 0.0
        for first in range(0, len(order), BATCH):
            chosen = order[first : first + BATCH]
            rows = {
                model.USER_ID: torch.as_tensor(log.users[chosen]),
                model.ITEM_ID: torch.as_tensor(log.items[chosen]),
                model.NEG_ITEM_ID: torch.as_tensor(negatives[first : first + BATCH]),
            }
            total += _step(model, optimiser, [Interaction(rows)])
        return total / len(order)

    return Subject(model, _by_user(model, dataset), epoch)


def _sequential(
    kind: type[SequentialRecommender], dataset: Dataset, options: Mapping[str, object]
) -> Subject:
    fixed = {"train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": MAX_LENGTH}
    model, _ = configured(kind, dataset, {**fixed, **options})
    windows = prefix_windows(dataset.split.train.offsets, MAX_LENGTH)
    gatherer = Gatherer(dataset.split.train)

    def part(chosen: np.ndarray) -> Interaction:
        rows = _sequences(model, gatherer, windows.start[chosen], windows.length[chosen])
        targets = gatherer.items[torch.as_tensor(windows.start[chosen] + windows.length[chosen])]
        return Interaction({**rows, model.POS_ITEM_ID: targets})

    def epoch(optimiser: torch.optim.Optimizer, rng: np.random.Generator) -> float:
        total = 0.0
        for chosen in random_batches(windows, BATCH, rng):
            by_length = chosen[np.argsort(windows.length[chosen], kind="stable")]
            parts = np.split(by_length, range(ROWS_AT_ONCE, len(chosen), ROWS_AT_ONCE))
            total += _step(model, optimiser, [part(rows) for rows in parts])
        return total / len(windows.start)

    return Subject(model, partial(_by_history, model, dataset), epoch)


def _by_history(model: SequentialRecommender, dataset: Dataset, stage: str) -> Scores:
    """Return scores from the last `MAX_LENGTH` items a user has in a stage.

    On test that is the history with the validation item, as for `seqattn.training.ranking`.
    """
    context = dataset.split.context(stage)
    gatherer = Gatherer(context)
    length = np.minimum(context.lengths, MAX_LENGTH)

    def scores(users: np.ndarray) -> Tensor:
        parts = np.split(users, range(ROWS_AT_ONCE, len(users), ROWS_AT_ONCE))
        start = context.offsets[1:] - length
        rows = (_sequences(model, gatherer, start[part], length[part]) for part in parts)
        return torch.cat([model.full_sort_predict(Interaction(r)) for r in rows])

    return scores


def _sequences(
    model: SequentialRecommender, gatherer: Gatherer, start: np.ndarray, length: np.ndarray
) -> dict[str, Tensor]:
    items_BT, _ = gatherer.rows(start, length)
    return {model.ITEM_SEQ: items_BT, model.ITEM_SEQ_LEN: torch.as_tensor(length)}


_BUILDERS: dict[str, Callable[[Dataset, Mapping[str, object]], Subject]] = {
    "pop": _pop,
    "itemknn": _itemknn,
    "bpr": _bpr,
    "gru4rec": partial(_sequential, GRU4Rec),
    "srgnn": partial(_sequential, SRGNN),
}
