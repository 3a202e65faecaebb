"""Dropout whose random numbers are cheap on a CPU.

PyTorch's CPU dropout draws one Bernoulli number per element from a serial generator. One 64-bit
draw holds four 16-bit ones, and 16 bits decide a mask to within 1/65536 of its probability. The
draws come from torch's own generator, so seeding, forking and common random numbers work as usual.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 2**16


def dropout(x: Tensor, probability: float) -> Tensor:
    """Zero each element with `probability` and rescale the rest to keep the mean.

    The probability is rounded to a multiple of 1/65536 on the CPU; on other devices this is
    ``torch.nn.functional.dropout``.
    """
    if x.device.type != "cpu":
        return F.dropout(x, probability)
    n_dropped = round(probability * LEVELS)
    if n_dropped == 0:
        return x
    # `new_empty`, not `empty`: under vmap each member of the batch then draws its own numbers.
    draws = x.new_empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: x.numel()].view(x.shape) >= n_dropped - LEVELS // 2
    return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - n_dropped))


class Dropout(nn.Module):
    """`dropout` as a module: active in training mode only."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with elements dropped, when training."""
        return dropout(x, self.probability) if self.training else x
