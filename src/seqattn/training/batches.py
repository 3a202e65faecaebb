"""From jagged histories to batches: windows say what a row sees and which targets it scores.

Batches are drawn at random, never composed by history length: that would let short histories
weigh more in the loss. Sizes count targets, so every optimiser step averages about as many.

Shapes: W windows, B rows of a batch, T positions, N scored targets of a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqattn.data import Sequences
from seqattn.models.backbone import Backbone

# What one more bucket is taken to cost, in padded cells. A GPU computes tens of thousands of them
# in the time it takes to launch a bucket's kernels.
BUCKET_OVERHEAD, GPU_BUCKET_OVERHEAD = 512, 2**15


@dataclass(frozen=True)
class Windows:
    """Rows to train on: slices of the flat history arrays, each of shape (W,).

    A row reads ``items[start : start + length]``; its column c predicts ``items[start + c + 1]``
    and is scored from column ``first_scored`` on, so that each target is scored exactly once.
    """

    start: np.ndarray
    length: np.ndarray
    first_scored: np.ndarray

    def __add__(self, other: Windows) -> Windows:
        """Return these windows, then the others."""
        parts = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Windows(*map(np.concatenate, parts))

    @property
    def n_scored(self) -> np.ndarray:
        """Number of targets each window scores, (W,)."""
        return self.length - self.first_scored

    def buckets(self, chosen: np.ndarray, overhead: int = BUCKET_OVERHEAD) -> list[np.ndarray]:
        """Split a batch's windows, given and returned by number, into those to compute together.

        Windows that score all their columns are bucketed by length; those that score only their
        end, so that the last layer can skip the rest, by themselves if what it can skip pays.
        `overhead` is what one more bucket costs, in cells.
        """
        first_scored = self.first_scored[chosen]
        ends_only = first_scored > 0
        if first_scored.sum() < overhead:
            ends_only[:] = False
        parts = (chosen[~ends_only], chosen[ends_only])
        return [
            part[rows]
            for part in parts
            if len(part)
            for rows in length_buckets(self.length[part], overhead)
        ]


def packed_windows(
    offsets: np.ndarray,
    max_length: int,
    stride: int,
    rng: np.random.Generator | None = None,
    *,
    inputs_end: int = 1,
) -> Windows:
    """Cut each history into windows of at most `max_length` inputs that advance by `stride`.

    A history of up to ``max_length + 1`` items is one window, which scores all its targets: the
    same sum as one row per prefix. A longer one is cut at a random phase, drawn anew each epoch,
    and each window scores only the targets no earlier window has. So every target is scored once
    an epoch, and over epochs a late target meets every position a window can give it. With
    ``stride=1`` each late target has its own window, full but for itself.

    Parameters
    ----------
    offsets : ndarray, shape (U + 1,)
        CSR offsets of the histories.
    max_length, stride : int
        In interactions; ``stride <= max_length``.
    rng : numpy Generator, optional
        Draws the phases; without it the first window of a long history is full.
    inputs_end : int
        How many items at a history's end are never inputs: 1 when the last item is only ever a
        target, 0 for the masked-item objective, whose targets are the inputs themselves.
    """
    n_inputs = np.maximum(np.diff(offsets) - inputs_end, 0)
    first_stop = np.full(len(n_inputs), max_length)
    if rng is not None:
        first_stop -= np.where(n_inputs > max_length, rng.integers(stride, size=len(n_inputs)), 0)
    n_later = np.ceil(np.maximum(n_inputs - first_stop, 0) / stride).astype(np.int64)
    n_windows = np.where(n_inputs > 0, 1 + n_later, 0)
    user = np.repeat(np.arange(len(n_inputs)), n_windows)
    rank = np.arange(len(user)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    stop = np.minimum(first_stop[user] + rank * stride, n_inputs[user])
    scored_before = np.where(rank == 0, 0, first_stop[user] + (rank - 1) * stride)
    begin = np.maximum(stop - max_length, 0)
    return Windows(offsets[user] + begin, stop - begin, scored_before - begin)


def prefix_windows(offsets: np.ndarray, max_length: int) -> Windows:
    """Give every target a row of its own: the last `max_length` items before it (RecBole's way)."""
    n_inputs = np.maximum(np.diff(offsets) - 1, 0)
    user = np.repeat(np.arange(len(n_inputs)), n_inputs)
    stop = 1 + np.arange(len(user)) - np.repeat(np.cumsum(n_inputs) - n_inputs, n_inputs)
    begin = np.maximum(stop - max_length, 0)
    return Windows(offsets[user] + begin, stop - begin, stop - begin - 1)


def last_item_windows(
    offsets: np.ndarray, max_length: int, chance: float, rng: np.random.Generator
) -> Windows:
    """Give some histories a row that scores its last item alone, each with a `chance`.

    `masked_item_plan` hides that item, since a row hides at least one of those it may hide:
    BERT4Rec's samples with only the last item masked. Histories of one item are left out; nothing
    would be there to read.
    """
    length = np.diff(offsets)
    (users,) = np.nonzero((length > 1) & (rng.random(len(length)) < chance))
    stop, length = offsets[1:][users], np.minimum(length[users], max_length)
    return Windows(stop - length, length, length - 1)


def random_batches(
    windows: Windows, batch_targets: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield the window numbers of each batch: a random order cut every `batch_targets` targets."""
    order = rng.permutation(len(windows.start))
    batch = (np.cumsum(windows.n_scored[order]) - 1) // batch_targets
    yield from np.split(order, np.flatnonzero(np.diff(batch)) + 1)


def bucket_overhead(device: torch.device | str) -> int:
    """Return what one more bucket costs on a device, in padded cells."""
    return BUCKET_OVERHEAD if torch.device(device).type == "cpu" else GPU_BUCKET_OVERHEAD


def length_buckets(length_B: np.ndarray, overhead: int = BUCKET_OVERHEAD) -> list[np.ndarray]:
    """Split the rows of one batch by length, so that little of what is computed is padding.

    The gradients of the buckets are added up, so the optimiser's step is that of the whole batch:
    this changes what padding costs, not what is learned. Returned are the row numbers of each
    bucket, the split of least ``sum(rows x longest row + overhead)``.
    """
    if len(length_B) * length_B.max() <= overhead:  # no split can save as much as it costs
        return [np.argsort(length_B, kind="stable")]
    distinct, count = np.unique(length_B, return_counts=True)
    below = np.append(0, np.cumsum(count))
    # best[j]: least cost of the rows of the j shortest distinct lengths; the last bucket of that
    # split starts at cut[j].
    best, cut = np.zeros(len(distinct) + 1), np.zeros(len(distinct) + 1, dtype=int)
    for j in range(1, len(distinct) + 1):
        cost = best[:j] + (below[j] - below[:j]) * distinct[j - 1] + overhead
        cut[j] = cost.argmin()
        best[j] = cost[cut[j]]
    order = np.argsort(length_B, kind="stable")
    buckets, end = [], len(distinct)
    while end:
        buckets.append(order[below[cut[end]] : below[end]])
        end = cut[end]
    return buckets


class Plan(NamedTuple):
    """What a batch reads and scores, known before any data is touched: arrays on the host.

    Rows read ``items[start : start + length]``, each of shape (B,). ``rows`` and ``columns`` are
    the scored positions, row by row, and ``targets`` the flat index of the items they predict,
    each of shape (N,). No scored column is below ``read_from``.
    """

    start: np.ndarray
    length: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    targets: np.ndarray
    read_from: int = 0

    def scoring(self, kept_n: np.ndarray) -> Plan:
        """Return the plan with those targets alone that a mask of all interactions keeps."""
        mine = kept_n[self.targets]
        scored = (self.rows[mine], self.columns[mine], self.targets[mine])
        return Plan(self.start, self.length, *scored, self.read_from)


def next_item_plan(windows: Windows, chosen: np.ndarray) -> Plan:
    """Plan a batch whose every scored position predicts the item that follows it."""
    start, length = windows.start[chosen], windows.length[chosen]
    first = windows.first_scored[chosen]
    n_scored = length - first
    rows = np.repeat(np.arange(len(chosen)), n_scored)
    columns = np.arange(len(rows)) + np.repeat(first + n_scored - np.cumsum(n_scored), n_scored)
    return Plan(start, length, rows, columns, start[rows] + columns + 1, int(first.min()))


def masked_item_plan(
    windows: Windows, chosen: np.ndarray, probability: float, rng: np.random.Generator
) -> Plan:
    """Plan a batch of BERT4Rec's cloze task: its scored positions are those to hide.

    Each scorable item is hidden with `probability`; a row that would hide nothing hides one of
    them, each alike, so that every row teaches and no place is asked more often than others.
    """
    start, length = windows.start[chosen], windows.length[chosen]
    column_T = np.arange(length.max())
    scorable_BT = (column_T < length[:, None]) & (column_T >= windows.first_scored[chosen, None])
    hidden_BT = (rng.random(scorable_BT.shape) < probability) & scorable_BT
    first, drawn = windows.first_scored[chosen], rng.random(len(length))
    one = first + (drawn * (length - first)).astype(np.int64)
    hidden_BT[np.arange(len(length)), one] |= ~hidden_BT.any(axis=1)
    rows, columns = np.nonzero(hidden_BT)
    return Plan(start, length, rows, columns, start[rows] + columns)


class Batch(NamedTuple):
    """Rows that are computed together, right-padded; one or more make an optimiser step.

    ``rows`` and ``columns``, (N,), are the scored positions; ``targets``, (N,), their item codes,
    and ``places``, (N,), where these stand in the flat array of all histories. No scored column is
    below ``read_from``. ``users_B`` says whose the rows are, if the gatherer knows.
    """

    items_BT: Tensor
    intensity_BT: Tensor | None
    rows: Tensor
    columns: Tensor
    targets: Tensor
    places: Tensor
    read_from: int = 0
    users_B: Tensor | None = None

    def hidden(self, model: Backbone) -> Tensor:
        """Return the hidden state of each scored position, (N, D)."""
        users = (self.users_B,) if model.needs_user else ()
        hidden_BSD = model(self.items_BT, self.intensity_BT, self.read_from, *users)
        return hidden_BSD[self.rows, self.columns - self.read_from]


class Spans(NamedTuple):
    """Where histories lie in a `Gatherer`'s flat tensors: from `start`, (N,), to before `stop`."""

    start: np.ndarray
    stop: np.ndarray

    @classmethod
    def of(cls, sequences: Sequences) -> Spans:
        """Return those of whole histories."""
        return cls(sequences.offsets[:-1], sequences.offsets[1:])

    @property
    def lengths(self) -> np.ndarray:
        """Interactions of each, (N,)."""
        return self.stop - self.start

    def take(self, numbers: np.ndarray) -> Spans:
        """Return some of them."""
        return Spans(self.start[numbers], self.stop[numbers])


class Gatherer:
    """Histories as flat tensors on a device, from which batches are cut by index arithmetic.

    Nothing here waits for the device: shapes follow from plans, which the host knows. `users`,
    (U,), are numbers from 0 of the users that the histories belong to, for models that read them,
    and -1 for nobody known.
    """

    def __init__(
        self,
        sequences: Sequences,
        device: torch.device | str = "cpu",
        users: np.ndarray | None = None,
    ) -> None:
        self.offsets, self.users = sequences.offsets, users
        self.items = torch.tensor(sequences.items, dtype=torch.long, device=device)
        self.device, intensity = torch.device(device), sequences.intensity
        self.intensity = None if intensity is None else torch.tensor(intensity, device=device)

    def send(self, *indices: np.ndarray) -> list[Tensor]:
        """Move index arrays to the device: one copy, from pinned memory, nothing waits for it."""
        if self.device.type == "cpu":
            return [torch.as_tensor(index) for index in indices]
        packed = torch.as_tensor(np.concatenate([index.ravel() for index in indices]))
        sent = packed.pin_memory().to(self.device, non_blocking=True)
        parts = sent.split([index.size for index in indices])
        return [part.view(index.shape) for part, index in zip(parts, indices, strict=True)]

    def cells(
        self, start_B: Tensor, length_B: Tensor, longest: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return items and intensities, (B, T), right-padded with 0."""
        column_T = torch.arange(longest, device=self.device)
        real_BT = column_T < length_B[:, None]
        index_BT = torch.where(real_BT, start_B[:, None] + column_T, 0)
        items_BT = self.items[index_BT].masked_fill(~real_BT, 0)
        if self.intensity is None:
            return items_BT, None
        return items_BT, self.intensity[index_BT].masked_fill(~real_BT, 0.0)

    def rows(self, start: np.ndarray, length: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return the same as `cells`, from host arrays."""
        start_B, length_B = self.send(start, length)
        return self.cells(start_B, length_B, int(length.max()))

    def users_of(self, start: np.ndarray) -> Tensor | None:
        """Return the codes, from 1, of the users whose histories rows start in; None if unknown."""
        if self.users is None:
            return None
        (codes,) = self.send(1 + self.users[np.searchsorted(self.offsets, start, "right") - 1])
        return codes

    def batch(self, plan: Plan, mask_code: int | None = None) -> Batch:
        """Carry out a plan; given a `mask_code`, the scored positions are hidden behind it."""
        start, length, rows, columns, places = self.send(*plan[:5])
        items_BT, intensity_BT = self.cells(start, length, int(plan.length.max()))
        if mask_code is not None:
            # A number would travel to a GPU by itself, and the host would wait for it.
            items_BT[rows, columns] = items_BT.new_full((), mask_code)
            intensity_BT = None
        targets = self.items[places]
        told = (plan.read_from, self.users_of(plan.start))
        return Batch(items_BT, intensity_BT, rows, columns, targets, places, *told)
