"""Attention under a sliding window: each query sees the last W positions of its history.

Where positions are shift-invariant, a whole history can then be read in one pass: every position is
computed once, whatever its length. `Blocks` lays the histories of a batch end to end and cuts the
line into blocks of W positions; the queries of a block need the keys of their own block and of the
one before. So nothing is padded but the line's end.

Shapes: B rows or blocks, T positions of a row, W positions of a block, N queries.

References
----------
Sliding windows: Beltagy, Peters and Cohan (2020). The window's statistics are those of
`seqattn.models.intensity`, of what a query sees.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqattn.models.intensity import Signal, normalise
from seqattn.models.positions import distances


def sliding_mask(s: int, t: int, window: int, device: torch.device | None = None) -> Tensor:
    """Return where the last `s` of `t` positions look, (S, T): themselves and W - 1 before."""
    distance_ST = distances(s, t, device)
    return (distance_ST >= 0) & (distance_ST < window)


def with_row_above(x: Tensor, dim: int) -> Tensor:
    """Return the positions of the row above, then a row's own, along `dim`; rows are along 0."""
    return torch.cat([x.roll(1, 0), x], dim)


def sliding_signal(raw_BT: Tensor, real_BT: Tensor, mode: str, window: int) -> Signal:
    """Normalise raw intensities over what each query sees, its own position and W - 1 before.

    Parameters and errors are those of `seqattn.models.intensity.normalise`.
    """
    w_BT = normalise(raw_BT, real_BT, mode).w_BT
    age_BT = torch.arange(raw_BT.shape[1], device=raw_BT.device).expand_as(raw_BT)
    a_N, b_N = _statistics(raw_BT.flatten(), age_BT.flatten(), mode, window)
    return Signal(w_BT, a_N.view_as(raw_BT), b_N.view_as(raw_BT))


def _statistics(raw_N: Tensor, age_N: Tensor, mode: str, window: int) -> tuple[Tensor, Tensor]:
    """Return each query's coefficients, (N,); `age_N` is the number of positions before it."""
    seen_N1 = age_N.clamp(max=window - 1)[:, None] + 1
    column_W = torch.arange(window, device=raw_N.device)
    real_NW = column_W < seen_N1
    first_N1 = torch.arange(len(raw_N), device=raw_N.device)[:, None] - seen_N1 + 1
    raw_NW = raw_N[torch.where(real_NW, first_N1 + column_W, 0)]
    _, a_NW, b_NW = normalise(raw_NW, real_NW, mode, scope="prefix")
    return a_NW[:, 0], b_NW[:, 0]


class Blocks(NamedTuple):
    """Histories laid end to end, in blocks of W positions, the last of them padded with 0.

    Attributes
    ----------
    items_BW : Tensor of int64, shape (B, W)
    history_BW : Tensor of int64, shape (B, W)
        The number of the history each position belongs to; -1 at padding.
    age_BW : Tensor of int64, shape (B, W)
        How many positions of its history stand before it.
    intensity_BW : Tensor or None, shape (B, W)
    """

    items_BW: Tensor
    history_BW: Tensor
    age_BW: Tensor
    intensity_BW: Tensor | None

    def mask(self) -> Tensor:
        """Return where queries may look among the keys of two blocks, (B, 1, W, 2W)."""
        window = self.items_BW.shape[1]
        near_WK = sliding_mask(window, 2 * window, window, self.items_BW.device)
        key_BK = with_row_above(self.history_BW, 1)
        key_BK[0, :window] = -2  # the first block has none above
        return (near_WK & (self.history_BW[:, :, None] == key_BK[:, None, :]))[:, None]

    def signal(self, raw_BW: Tensor, mode: str) -> Signal:
        """Return the normalised intensities: w of the keys, (B, 2W), a and b of the queries."""
        w_BW = normalise(raw_BW, self.history_BW >= 0, mode).w_BT
        a_N, b_N = _statistics(
            raw_BW.flatten(), self.age_BW.flatten(), mode, self.items_BW.shape[1]
        )
        return Signal(with_row_above(w_BW, 1), a_N.view_as(raw_BW), b_N.view_as(raw_BW))
