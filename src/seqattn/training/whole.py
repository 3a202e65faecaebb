"""Batches of whole histories for a model with a sliding window: each position computed once.

Where `seqattn.training.batches` cuts a long history into windows that overlap, and computes a
position once for each of them, here the histories of a batch are laid end to end and cut into
blocks (`seqattn.models.sliding`). Nothing is cut off, and what is trained is what is evaluated.

Shapes: B blocks of W positions, N targets, one a position that is not padding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from seqattn.models.backbone import Backbone
from seqattn.models.sliding import Blocks
from seqattn.training.batches import Gatherer, Windows


def whole_windows(offsets: np.ndarray) -> Windows:
    """Return each history, but for its last item, as one window that scores all its targets.

    `offsets`, (U + 1,), are the CSR offsets of the histories.
    """
    n_inputs = np.diff(offsets) - 1
    (users,) = np.nonzero(n_inputs > 0)
    return Windows(offsets[users], n_inputs[users], np.zeros(len(users), dtype=np.int64))


class WholeBatch(NamedTuple):
    """Histories in blocks, and the items that follow each position, by code and by place, (N,)."""

    blocks: Blocks
    targets: Tensor
    places: Tensor  # in the flat array of all histories

    def hidden(self, model: Backbone) -> Tensor:
        """Return the hidden state of each scored position, (N, D)."""
        return model.read_blocks(self.blocks).flatten(0, 1)[: len(self.targets)]


def whole_batch(
    gatherer: Gatherer, windows: Windows, chosen: np.ndarray, window: int
) -> WholeBatch:
    """Lay the chosen histories end to end in blocks of `window` positions.

    What `Gatherer` sends is all known to the host, so nothing waits for the device.
    """
    start, length = windows.start[chosen], windows.length[chosen]
    n = int(length.sum())
    history = np.repeat(np.arange(len(chosen)), length)
    age = np.arange(n) - np.repeat(np.cumsum(length) - length, length)
    rows = (
        np.pad(values, (0, -n % window), constant_values=outside).reshape(-1, window)
        for values, outside in ((start[history] + age, 0), (history, -1), (age, 0))
    )
    index_BW, history_BW, age_BW = gatherer.send(*rows)
    outside_BW = history_BW < 0
    items_BW = gatherer.items[index_BW].masked_fill(outside_BW, 0)
    intensity_BW = None
    if gatherer.intensity is not None:
        intensity_BW = gatherer.intensity[index_BW].masked_fill(outside_BW, 0.0)
    places = index_BW.flatten()[:n] + 1
    blocks = Blocks(items_BW, history_BW, age_BW, intensity_BW)
    return WholeBatch(blocks, gatherer.items[places], places)
