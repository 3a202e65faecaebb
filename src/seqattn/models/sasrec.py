"""SASRec, auto-regressive self-attention; with an injection, its intensity-aware variants.

Shapes: B batch, T positions, D hidden width.

References
----------
Kang and McAuley (2018); [IA] Shyrallyiev and Pyshnograiev (2026), section 3. Derived in the book,
pages "Attention" and "Injection".
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqattn.models.backbone import Backbone


class SASRec(Backbone):
    """Causal attention, trained to predict the next item at every position."""

    objective = "next_item"

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Return None, causal: right padding lies in every real position's future anyway."""
        return None

    def next_item_hidden(self, items_BT: Tensor, intensity_BT: Tensor | None = None) -> Tensor:
        """Return the hidden state at each history's last real position, (B, D)."""
        last_B = (items_BT > 0).sum(dim=1) - 1
        hidden_BTD = self(items_BT, intensity_BT)
        return hidden_BTD[torch.arange(len(items_BT), device=items_BT.device), last_B]
