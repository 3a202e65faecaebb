"""Cross-entropy over the whole catalogue without ever holding the whole logit matrix.

Shapes: N targets, D hidden width, V scores a target (items and padding).
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK_ENTRIES = 2**19  # 2 MiB of float32 logits at a time: stays in cache between passes
MIN_ROWS = 128  # a large catalogue must not shrink the matrix products to a few rows


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
        n, rows = len(hidden_ND), max(MIN_ROWS, CHUNK_ENTRIES // len(weight_VD))
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

    Parameters
    ----------
    hidden_ND : Tensor, shape (N, D)
        Hidden states at the scored positions.
    weight_VD : Tensor, shape (V, D)
        Output embeddings; the scores are ``hidden_ND @ weight_VD.T``.
    targets_N : Tensor of int64, shape (N,)
        Rows of `weight_VD`.
    """
    return TiedCrossEntropy.apply(hidden_ND, weight_VD, targets_N)
