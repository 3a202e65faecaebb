"""Cross-entropy over the whole catalogue without ever holding the whole logit matrix.

Shapes: S seeds, N targets, D hidden width, V scores a target (items and padding).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_ENTRIES = 2**19  # 2 MiB of float32 logits at a time: stays in cache between passes
GPU_CHUNK_ENTRIES = 2**28  # 1 GiB: a chunk is a dozen kernel launches, so have few of them
MIN_ROWS = 128  # a large catalogue must not shrink the matrix products to a few rows


def chunk_rows(n_entries_a_row: int, device: torch.device) -> int:
    """Return how many rows of logits to hold at a time."""
    entries = CHUNK_ENTRIES if device.type == "cpu" else GPU_CHUNK_ENTRIES
    return max(MIN_ROWS, entries // n_entries_a_row)


class TiedCrossEntropy(torch.autograd.Function):
    """Mean of ``-log softmax(h W')[target]``, with both gradients computed chunk by chunk.

    The gradient of the logits is ``(softmax - onehot) / N``. Each chunk of rows turns its logits
    into that gradient in place and multiplies it out at once, so memory is one chunk's and no
    pass over the logits is made twice. The same formula as
    ``torch.nn.functional.cross_entropy(h @ W.T, target)``.
    """

    @staticmethod
    def forward(ctx, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
        """Return the mean loss, a scalar in nats."""
        n, rows = len(hidden_ND), chunk_rows(len(weight_VD), weight_VD.device)
        hidden_gradient_ND = torch.empty_like(hidden_ND)
        weight_gradient_VD = torch.zeros_like(weight_VD)
        total = hidden_ND.new_zeros(())
        for first in range(0, n, rows):
            hidden = hidden_ND[first : first + rows]
            target = targets_N[first : first + rows, None]
            chunk = hidden @ weight_VD.T
            largest = chunk.amax(dim=1, keepdim=True)
            total -= (chunk.gather(1, target) - largest).sum()
            chunk.sub_(largest).exp_()
            normaliser = chunk.sum(dim=1, keepdim=True)
            total += normaliser.log().sum()
            chunk.div_(normaliser * n)
            chunk.scatter_add_(1, target, chunk.new_full(target.shape, -1 / n))
            torch.mm(chunk, weight_VD, out=hidden_gradient_ND[first : first + rows])
            weight_gradient_VD.addmm_(chunk.T, hidden)
        ctx.save_for_backward(hidden_gradient_ND, weight_gradient_VD)
        return total / n

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of hidden states and weights."""
        hidden_gradient_ND, weight_gradient_VD = ctx.saved_tensors
        return gradient * hidden_gradient_ND, gradient * weight_gradient_VD, None


def tied_cross_entropy(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
    """Return the mean cross-entropy of N targets, in nats, as a scalar.

    Scores are hidden states by output embeddings, ``hidden_ND @ weight_VD.T``; targets are rows of
    the latter.
    """
    return TiedCrossEntropy.apply(hidden_ND, weight_VD, targets_N)


def stacked_cross_entropy(
    hidden_SND: Tensor, weight_SVD: Tensor, targets_SN: Tensor, share_SN: Tensor
) -> Tensor:
    """Return each seed's weighted sum of cross-entropies, in nats, (S,).

    As many targets at a time as fit into a chunk; where that is all of them, nothing is computed
    twice. `share_SN` is each target's weight in its seed's loss, 0 for padding; the rest is as for
    `tied_cross_entropy`.
    """
    n, rows = targets_SN.shape[1], chunk_rows(weight_SVD[..., 0].numel(), weight_SVD.device)
    if n <= rows:
        return _weighted_cross_entropy(hidden_SND, weight_SVD, targets_SN, share_SN)
    chunks = zip(*(x.split(rows, dim=1) for x in (hidden_SND, targets_SN, share_SN)), strict=True)
    losses = [
        # Nothing random is drawn inside, and saving the generator's state would wait for the GPU.
        checkpoint(
            *(_weighted_cross_entropy, hidden, weight_SVD, targets, share),
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for hidden, targets, share in chunks
    ]
    return torch.stack(losses).sum(dim=0)


def _weighted_cross_entropy(
    hidden_SND: Tensor, weight_SVD: Tensor, targets_SN: Tensor, share_SN: Tensor
) -> Tensor:
    logits_SNV = hidden_SND @ weight_SVD.mT
    loss_M = F.cross_entropy(logits_SNV.flatten(0, 1), targets_SN.flatten(), reduction="none")
    return (loss_M.view_as(share_SN) * share_SN).sum(dim=1)
