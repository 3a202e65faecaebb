"""The one attention block that every model of the book is made of.

Shapes: B batch, T positions, S positions that are read, D hidden width, H heads, F = D / H
features a head.

References
----------
Vaswani et al. (2017); Kang and McAuley (2018). Layout, initialisation and the post-norm order
follow RecBole's SASRec, on which [IA] is built. Derived in the book, page "Attention".
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models.injection import Injection
from seqattn.models.intensity import Signal

LAYER_NORM_EPS = 1e-12
INIT_STD = 0.02
LEVELS = 2**16  # of a dropout probability on the CPU


def attend(
    q_BHSF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, mask: Tensor | None, dropout_p: float
) -> Tensor:
    """Return ``softmax(q.k + mask) v``; `mask` is True where a query may look, None is causal.

    The S queries stand at the last S of the T positions. This is ``scaled_dot_product_attention``,
    except where that has no fused kernel anyway: on a CPU with dropout, the same three operations
    are written out with a cheaper dropout.
    """
    s, t = q_BHSF.shape[-2], k_BHTF.shape[-2]
    if dropout_p == 0.0 or q_BHSF.device.type != "cpu":
        if mask is None and s < t:
            mask = _causal_mask(s, t, q_BHSF.device)
        return F.scaled_dot_product_attention(
            q_BHSF, k_BHTF, v_BHTF, mask, dropout_p, is_causal=mask is None, scale=1.0
        )
    logits_BHST = q_BHSF @ k_BHTF.transpose(-2, -1)
    if mask is None:
        future_ST = ~_causal_mask(s, t, q_BHSF.device)
        bias_ST = logits_BHST.new_zeros(s, t).masked_fill_(future_ST, -torch.inf)
        logits_BHST = logits_BHST + bias_ST
    else:
        logits_BHST = logits_BHST.masked_fill(~mask, -torch.inf)
    return dropout(torch.softmax(logits_BHST, dim=-1), dropout_p) @ v_BHTF


def _causal_mask(s: int, t: int, device: torch.device) -> Tensor:
    return torch.ones(s, t, dtype=torch.bool, device=device).tril(t - s)


class Attention(nn.Module):
    """Multi-head attention, ``softmax(q.k / sqrt(F) + mask) v``, with room for an injection."""

    def __init__(self, config: ModelConfig, injection: Injection) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.injection = injection
        self.dropout = config.attention_dropout

    def project(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (divided by sqrt(F)), keys and values, each of shape (B, H, T, F)."""
        b, t, d = x_BTD.shape
        qkv = self.qkv(x_BTD).view(b, t, 3, self.n_heads, d // self.n_heads)
        q_BHTF, k_BHTF, v_BHTF = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return q_BHTF / math.sqrt(d // self.n_heads), k_BHTF, v_BHTF

    def forward(
        self, x_BTD: Tensor, mask: Tensor | None, signal: Signal | None, read_from: int = 0
    ) -> Tensor:
        """Return the projected context of the queries from `read_from` on, (B, S, D).

        Raises
        ------
        SeqattnError
            If the injection returns a context of another number of queries.
        """
        q, k, v = self.project(x_BTD)
        if read_from:
            q = q[:, :, read_from:]
            if signal is not None:
                signal = Signal(signal.w_BT, signal.a_BT[:, read_from:], signal.b_BT[:, read_from:])
            if mask is not None and mask.shape[-2] > 1:
                mask = mask[..., read_from:, :]
        s = q.shape[2]
        q, k, v = self.injection.before(q, k, v, signal)
        context_BHSF = attend(q, k, v, mask, self.dropout if self.training else 0.0)
        context_BHSF = self.injection.after(context_BHSF, signal)
        if context_BHSF.shape[2] != s:  # a single query would be broadcast and go unnoticed
            raise SeqattnError(
                f"{type(self.injection).__name__}: its context has {context_BHSF.shape[2]} "
                f"positions, and {s} queries were asked for; of a query, read a_BT, b_BT and w_BS "
                "of the signal, of a key w_BT"
            )
        return self.output(context_BHSF.transpose(1, 2).flatten(2))

    def weights(self, x_BTD: Tensor, mask: Tensor | None, signal: Signal | None) -> Tensor:
        """Return the attention map, (B, H, T, T): rows are queries and sum to 1."""
        q, k, _ = self.injection.before(*self.project(x_BTD), signal)
        if mask is None:
            mask = _causal_mask(q.shape[-2], q.shape[-2], q.device)
        logits_BHTT = (q @ k.transpose(-2, -1)).masked_fill(~mask, -torch.inf)
        return torch.softmax(logits_BHTT, dim=-1)


class FeedForward(nn.Module):
    """Position-wise network, ``W2 gelu(W1 x)``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inner = nn.Linear(config.hidden_size, config.inner_size)
        self.output = nn.Linear(config.inner_size, config.hidden_size)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the transformed positions, (B, T, D)."""
        return self.output(F.gelu(self.inner(x_BTD)))


class Block(nn.Module):
    """One layer: attention then feed-forward, each followed by dropout, residual and LayerNorm."""

    def __init__(self, config: ModelConfig, injection: Injection) -> None:
        super().__init__()
        self.attention = Attention(config, injection)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.dropout = Dropout(config.hidden_dropout)

    def forward(
        self, x_BTD: Tensor, mask: Tensor | None, signal: Signal | None, read_from: int = 0
    ) -> Tensor:
        """Return the layer's output at the positions from `read_from` on, (B, S, D)."""
        attended_BSD = self.dropout(self.attention(x_BTD, mask, signal, read_from))
        x_BSD = self.attention_norm(x_BTD[:, read_from:] + attended_BSD)
        return self.feed_forward_norm(x_BSD + self.dropout(self.feed_forward(x_BSD)))


def initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02), set biases to 0 and LayerNorms to identity, as RecBole does."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


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
