"""The one attention block that every model of the book is made of.

Shapes: B batch, T positions, D hidden width, H heads, F = D / H features a head.

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
from seqattn.intensity import Signal
from seqattn.models.dropout import Dropout, dropout
from seqattn.models.injection import Injection

LAYER_NORM_EPS = 1e-12
INIT_STD = 0.02


def attend(
    q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, mask: Tensor | None, dropout_p: float
) -> Tensor:
    """Return ``softmax(q.k + mask) v``; `mask` is True where a query may look, None is causal.

    This is ``scaled_dot_product_attention``, except where that has no fused kernel anyway: on a
    CPU with dropout, the same three operations are written out with a cheaper dropout.
    """
    if dropout_p == 0.0 or q_BHTF.device.type != "cpu":
        return F.scaled_dot_product_attention(
            q_BHTF, k_BHTF, v_BHTF, mask, dropout_p, is_causal=mask is None, scale=1.0
        )
    logits_BHTT = q_BHTF @ k_BHTF.transpose(-2, -1)
    if mask is None:
        logits_BHTT = logits_BHTT + _causal_bias(logits_BHTT)
    else:
        logits_BHTT = logits_BHTT.masked_fill(~mask, -torch.inf)
    return dropout(torch.softmax(logits_BHTT, dim=-1), dropout_p) @ v_BHTF


def _causal_bias(logits_BHTT: Tensor) -> Tensor:
    t = logits_BHTT.shape[-1]
    return logits_BHTT.new_full((t, t), -torch.inf).triu(1)


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

    def forward(self, x_BTD: Tensor, mask: Tensor | None, signal: Signal | None) -> Tensor:
        """Return the projected context, (B, T, D); `mask` as in `attend`."""
        q, k, v = self.injection.before(*self.project(x_BTD), signal)
        context_BHTF = attend(q, k, v, mask, self.dropout if self.training else 0.0)
        context_BHTF = self.injection.after(context_BHTF, signal)
        return self.output(context_BHTF.transpose(1, 2).flatten(2))

    def weights(self, x_BTD: Tensor, mask: Tensor | None, signal: Signal | None) -> Tensor:
        """Return the attention map, (B, H, T, T): rows are queries and sum to 1."""
        q, k, _ = self.injection.before(*self.project(x_BTD), signal)
        if mask is None:
            mask = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool, device=q.device).tril()
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

    def forward(self, x_BTD: Tensor, mask: Tensor | None, signal: Signal | None) -> Tensor:
        """Return the layer's output, (B, T, D)."""
        attended = self.dropout(self.attention(x_BTD, mask, signal))
        x_BTD = self.attention_norm(x_BTD + attended)
        return self.feed_forward_norm(x_BTD + self.dropout(self.feed_forward(x_BTD)))


def initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02), set biases to 0 and LayerNorms to identity, as RecBole does."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
