"""Attention confined to a neighbourhood, with a dial for its size.

A local head lets position i look at position j where ``abs(i - j) <= w``, within what the model may
see anyway: w on both sides for AE, the last w and itself for AR. ``local_window`` is w, and
``locality`` says which heads are local.

Layers reach further than a window does. With ``pure`` locality and n layers, an AR model's output
depends on the last ``n w + 1`` items; with w = 0 on the last one alone. An AE model predicts at an
appended [MASK], which takes one place of the window: its output depends on the last ``n w`` items.
So w = 0 leaves it nothing to read but how long the history is, and one step of w on the dial of AR
is not quite the same step on the dial of AE.

Shapes: B batch, H heads, T positions.

References
----------
He et al. (2021), LOCKER, whose "win" this is (its default is w = 1); [AE] "The Lonely Neighborhood"
(2025), table 5 (*Local attn*), which does not print w: w = 2 in one head is what its released code
has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqattn.config import ATTENTION, OWN, ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone, BERT4Rec, LocalAE, SASRec

EVERYWHERE = -1  # of `local_window`


def local_heads(t: int, config: ModelConfig, device: torch.device | None = None) -> Tensor:
    """Return where the window lets each head look, (H, T, T)."""
    position_T = torch.arange(t, device=device)
    near_TT = (position_T[:, None] - position_T).abs() <= config.local_window
    head_H = torch.arange(config.n_heads, device=device)
    is_global_H = (head_H > 0) & (config.locality == "mixed")
    return is_global_H[:, None, None] | near_TT


class LocalAR(SASRec):
    """SASRec with local heads, ``i - w <= j <= i``.

    Raises
    ------
    SeqattnError
        If the attention is also changed in a way that would reach beyond the window.
    """

    reads = ("head", "local_window", "locality")

    def __init__(self, n_items: int, config: ModelConfig) -> None:
        super().__init__(n_items, config)
        for name in ("sliding_window", "kernel", "n_queries"):
            if getattr(config, name) != ATTENTION[name]:
                raise SeqattnError(
                    f"local-ar has a window of its own, which {name} = {getattr(config, name)!r} "
                    "does not keep; leave it out for this model"
                )

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Return the causal part of the windows, (1, H, T, T); None, causal, without one."""
        if self.config.local_window == EVERYWHERE:
            return None
        return local_heads(items_BT.shape[1], self.config, items_BT.device).tril()[None]


class WindowedAE(BERT4Rec):
    """BERT4Rec with local heads, ``abs(i - j) <= w``; `LocalAE` is the one of w = 2 in one head."""

    reads = ("head", "local_window", "locality")

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Return the real positions within each head's window, (B, H, T, T)."""
        real_B11T = (items_BT > 0)[:, None, None, :]
        if self.config.local_window == EVERYWHERE:
            return real_B11T
        t, device = items_BT.shape[1], items_BT.device
        # As in `LocalAE`, a padded query may have no real neighbour, so each sees itself.
        itself_TT = torch.eye(t, dtype=torch.bool, device=device)
        return (local_heads(t, self.config, device) & real_B11T) | itself_TT


def local_ae(n_items: int, config: ModelConfig) -> Backbone:
    """Return the model called ``local-ae``: `LocalAE` where its dials stand as they always did."""
    usual = all(getattr(config, name) == OWN[name] for name in ("local_window", "locality"))
    return (LocalAE if usual else WindowedAE)(n_items, config)
