"""Attention that also filters keys and values in position space.

Shapes: B batch, H heads, T positions, F features a head, N taps of a filter.

References
----------
[PASA] Nabiev and Frolov (2026), in Toeplitz form. No full text was at hand: this is reconstructed
from the abstract.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.models.positions import distances
from seqattn.models.sliding import sliding_mask, with_row_above


class Kernel(nn.Module):
    """No kernel: keys and values as they are."""

    def forward(
        self, k_BHTF: Tensor, v_BHTF: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return keys and values, (B, H, T, F); `mask` is that of `PositionalKernel`."""
        return k_BHTF, v_BHTF


class PositionalKernel(Kernel):
    """A causal filter over keys and one over values, a learned weight for each head and distance.

    ``softmax(Q K' U / sqrt(F) + mask) L V`` with Toeplitz matrices U (upper triangular) and L
    (lower): ``k~_j = sum_i u[j - i] k_i`` and ``v~_j = sum_i l[j - i] v_i`` over i <= j. Both start
    as the identity, which is attention without a kernel. A third reading, a kernel that multiplies
    the weights, ``A[t, i] c[t - i]`` renormalised, is `seqattn.models.positions.RelativeBias` with
    ``b = log c``.

    Parameters
    ----------
    config : ModelConfig
        ``kernel`` says which are filtered: keys, values or both.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n = config.sliding_window or config.max_length
        identity_HN = torch.zeros(config.n_heads, n)
        identity_HN[:, 0] = 1
        of_keys, of_values = config.kernel in ("keys", "both"), config.kernel in ("values", "both")
        self.keys_HN = nn.Parameter(identity_HN.clone()) if of_keys else None
        self.values_HN = nn.Parameter(identity_HN.clone()) if of_values else None

    def forward(
        self, k_BHTF: Tensor, v_BHTF: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return filtered keys and values, (B, H, T, F).

        `mask`, (B, 1, T, 2T), is given where the rows are blocks of longer histories: what each
        position may read of the row above and of its own, see `seqattn.models.attention.Sight`.
        """
        k = k_BHTF if self.keys_HN is None else filtered(k_BHTF, self.keys_HN, mask)
        v = v_BHTF if self.values_HN is None else filtered(v_BHTF, self.values_HN, mask)
        return k, v


def filtered(x_BHTF: Tensor, taps_HN: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ``sum_i taps[t - i] x_i`` over i <= t, nearer than N, (B, H, T, F)."""
    t, n = x_BHTF.shape[2], taps_HN.shape[1]
    if mask is None:
        mask = sliding_mask(t, t, n, x_BHTF.device)
    else:  # of blocks, whose window is N
        x_BHTF = with_row_above(x_BHTF, 2)
    distance_TK = distances(t, x_BHTF.shape[2], x_BHTF.device).clamp(0, n - 1)
    return taps_HN[:, distance_TK].masked_fill(~mask, 0.0) @ x_BHTF
