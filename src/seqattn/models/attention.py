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
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models import sound
from seqattn.models.injection import Injection
from seqattn.models.intensity import Signal
from seqattn.models.kernels import Kernel, PositionalKernel
from seqattn.models.positions import INIT_STD, SCHEMES, Positions
from seqattn.models.sliding import with_row_above

LAYER_NORM_EPS = 1e-12
LEVELS = 2**16  # of a dropout probability on the CPU


class Sight(NamedTuple):
    """What the queries of a batch may look at.

    ``mask`` is True where a query may look, broadcast to (B, H, S, T); None is causal. ``signal``
    holds the intensities of the keys. In ``blocks`` the rows are pieces of longer histories, one
    after another, and the keys of each are those of the row above, then its own.
    """

    mask: Tensor | None = None
    signal: Signal | None = None
    blocks: bool = False


def attend(
    q_BHSF: Tensor,
    k_BHTF: Tensor,
    v_BHTF: Tensor,
    mask: Tensor | None,
    dropout_p: float,
    bias: Tensor | None = None,
) -> Tensor:
    """Return ``softmax(q.k + bias + mask) v``; `mask` as of `Sight`.

    The S queries stand at the last S of the T positions. This is ``scaled_dot_product_attention``,
    except where that has no fused kernel anyway: on a CPU with dropout, the same three operations
    are written out with a cheaper dropout.
    """
    s, t = q_BHSF.shape[-2], k_BHTF.shape[-2]
    if dropout_p == 0.0 or q_BHSF.device.type != "cpu":
        if bias is not None:
            seen = _causal_mask(s, t, q_BHSF.device) if mask is None else mask
            mask = bias.masked_fill(~seen, -torch.inf).to(q_BHSF.dtype)
        elif mask is None and s < t:
            mask = _causal_mask(s, t, q_BHSF.device)
        return F.scaled_dot_product_attention(
            q_BHSF, k_BHTF, v_BHTF, mask, dropout_p, is_causal=mask is None, scale=1.0
        )
    logits_BHST = masked_logits(q_BHSF, k_BHTF, mask, bias)
    return dropout(torch.softmax(logits_BHST, dim=-1), dropout_p) @ v_BHTF


def masked_logits(
    q_BHSF: Tensor, k_BHTF: Tensor, mask: Tensor | None, bias: Tensor | None = None
) -> Tensor:
    """Return ``q.k + bias``, (B, H, S, T), and -inf where a query may not look."""
    logits_BHST = q_BHSF @ k_BHTF.transpose(-2, -1)
    if mask is None:
        s, t = logits_BHST.shape[-2:]
        future_ST = ~_causal_mask(s, t, logits_BHST.device)
        # One small sum, where a masked fill of the logits would be a large one.
        bias = logits_BHST.new_zeros(()) if bias is None else bias
        return logits_BHST + bias.masked_fill(future_ST, -torch.inf)
    if bias is not None:
        logits_BHST = logits_BHST + bias
    return logits_BHST.masked_fill_(~mask, -torch.inf)  # in place: no gradient needs the product


def _causal_mask(s: int, t: int, device: torch.device) -> Tensor:
    return torch.ones(s, t, dtype=torch.bool, device=device).tril(t - s)


class Attention(nn.Module):
    """Multi-head attention, ``softmax(q.k / sqrt(F) + positions + mask) v``, with an injection."""

    def __init__(self, config: ModelConfig, injection: Injection) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.injection = injection
        self.positions = Positions(config)
        self.kernel = Kernel()
        self.dropout = config.attention_dropout

    def complete(self, config: ModelConfig) -> None:
        """Make what not every model has; its weights are drawn after those that all share.

        Raises
        ------
        SeqattnError
            If the positions do not suit the injection, no record can keep what it learns, or it
            reads an intensity without saying so.
        """
        self.positions = SCHEMES[config.positions](config)
        reads, rotates = self.positions.reads_weights, self.positions.rotates
        if (reads and self.injection.adds_keys) or (rotates and self.injection.adds_vectors):
            raise SeqattnError(
                f"{type(self.injection).__name__} adds vectors that have no position, and "
                f"positions {config.positions!r} change all vectors; choose other positions"
            )
        if self.positions.n_slots and type(self.injection) is not Injection:
            raise SeqattnError(
                f"{type(self.injection).__name__} has no intensity for memory slots; set "
                "memory_slots to 0"
            )
        self.injection.complete(config)
        sound.require_record(self.injection)
        sound.require_signal(self.injection, self.n_heads, self.qkv.in_features // self.n_heads)
        if config.kernel != "none":
            self.kernel = PositionalKernel(config)

    def project(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (divided by sqrt(F)), keys and values, each of shape (B, H, T, F)."""
        b, t, d = x_BTD.shape
        qkv = self.qkv(x_BTD).view(b, t, 3, self.n_heads, d // self.n_heads)
        q_BHTF, k_BHTF, v_BHTF = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return q_BHTF / math.sqrt(d // self.n_heads), k_BHTF, v_BHTF

    def forward(self, x_BTD: Tensor, sight: Sight, read_from: int = 0) -> Tensor:
        """Return the projected context of the queries from `read_from` on, (B, S, D).

        Raises
        ------
        SeqattnError
            If what the injection returns has another shape than it must.
        """
        q, k, v = self.project(x_BTD)
        k, v = self.kernel(k, v, sight.mask if sight.blocks else None)
        if sight.blocks:
            k, v = with_row_above(k, 2), with_row_above(v, 2)
        if read_from:
            q, sight = q[:, :, read_from:], _queries_from(sight, read_from)
        wanted = q.shape
        q, k, bias = self.positions(q, k)
        given = self.injection.before(q, k, v, sight.signal)
        q, k, v = sound.pairs(self.injection, given, self.positions.n_slots)
        context_BHSF = self.context(q, k, v, sight.mask, bias)
        context_BHSF = self.injection.after(context_BHSF, sight.signal)
        sound.require_shape(self.injection, context_BHSF, wanted, self.output.weight.dtype)
        return self.output(context_BHSF.transpose(1, 2).flatten(2))

    def context(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        """Return what the queries read, (B, H, S, F), with attention dropout in training.

        Raises
        ------
        SeqattnError
            If both the positions and the injection change the values.
        """
        dropout_p = self.dropout if self.training else 0.0
        mask, bias = self.injection.seen(q, k, mask, bias)
        if n_slots := self.positions.n_slots:
            v = F.pad(v, (0, 0, n_slots, 0))
            mask = None if mask is None else F.pad(mask, (n_slots, 0), value=True)
        if not self.positions.reads_weights:
            return attend(q, k, v, mask, dropout_p, bias)
        if v.shape[-1] * self.n_heads != self.output.in_features:
            raise SeqattnError(
                f"{type(self.positions).__name__} and {type(self.injection).__name__} both change "
                "the values; choose other positions for this injection"
            )
        weights_BHST = dropout(torch.softmax(masked_logits(q, k, mask, bias), dim=-1), dropout_p)
        return weights_BHST @ v + self.positions.values(weights_BHST)

    def weights(self, x_BTD: Tensor, sight: Sight) -> Tensor:
        """Return the attention map, (B, H, T, T): rows are queries and sum to 1.

        With memory slots they sum to what is left for the history.
        """
        q, k, v = self.project(x_BTD)
        k, v = self.kernel(k, v)
        q, k, bias = self.positions(q, k)
        q, k, _ = self.injection.before(q, k, v, sight.signal)
        mask, bias = self.injection.seen(q, k, sight.mask, bias)
        mask = None if mask is None else F.pad(mask, (self.positions.n_slots, 0), value=True)
        weights = torch.softmax(masked_logits(q, k, mask, bias), dim=-1)
        return self.injection.by_position(weights)[..., self.positions.n_slots :]


def _queries_from(sight: Sight, read_from: int) -> Sight:
    mask, signal = sight.mask, sight.signal
    if signal is not None:
        signal = Signal(signal.w_BT, signal.a_BT[:, read_from:], signal.b_BT[:, read_from:])
    if mask is not None and mask.shape[-2] > 1:
        mask = mask[..., read_from:, :]
    return Sight(mask, signal)


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

    def __init__(
        self, config: ModelConfig, injection: Injection, attention: type[Attention] = Attention
    ) -> None:
        super().__init__()
        self.attention = attention(config, injection)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.dropout = Dropout(config.hidden_dropout)

    def forward(self, x_BTD: Tensor, sight: Sight, read_from: int = 0) -> Tensor:
        """Return the layer's output at the positions from `read_from` on, (B, S, D)."""
        attended_BSD = self.dropout(self.attention(x_BTD, sight, read_from))
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
    n_dropped = min(round(probability * LEVELS), LEVELS - 1)
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
