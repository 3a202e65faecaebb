"""BERT4Rec, the auto-encoding counterpart of SASRec, and its local variant.

Same block, same widths, same initial weights as SASRec: only the attention mask and the training
objective differ (and with the objective the training settings, see `seqattn.config.PRESETS`),
which is the comparison [AE] sets out to make.

References
----------
Sun et al. (2019); [AE] section 2.2.2; the local window is LOCKER's (He et al., 2021). Book page
"Attention".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.models.backbone import Backbone
from seqattn.models.layers import INIT_STD


class BERT4Rec(Backbone):
    """Bidirectional attention, trained to fill in masked items; predicts at an appended [MASK]."""

    objective = "masked_item"

    def __init__(self, n_items: int, config: ModelConfig) -> None:
        super().__init__(n_items, config)
        self.mask_code = n_items + 1
        # Drawn after everything else, so that the weights shared with SASRec stay the same.
        self.mask_embedding = nn.Parameter(torch.empty(config.hidden_size).normal_(std=INIT_STD))

    def embed_items(self, items_BT: Tensor) -> Tensor:
        """Return embeddings, (B, T, D), with the learned vector at masked positions."""
        masked_BT = items_BT == self.mask_code
        x_BTD = self.item_embedding(items_BT.masked_fill(masked_BT, 0))
        return torch.where(masked_BT[..., None], self.mask_embedding.to(x_BTD.dtype), x_BTD)

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Every real position is visible to every query, (B, 1, 1, T)."""
        return (items_BT > 0)[:, None, None, :]

    def next_item_hidden(self, items_BT: Tensor, intensity_BT: Tensor | None = None) -> Tensor:
        """Append [MASK], dropping a full history's oldest item; return its state, (B, D)."""
        masked_BT, last_B = self.append_mask(items_BT)
        hidden_BTD = self(masked_BT, intensity_BT)
        return hidden_BTD[torch.arange(len(items_BT), device=items_BT.device), last_B]

    def append_mask(self, items_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return histories with [MASK] appended, and the position of each [MASK], (B,)."""
        length_B = (items_BT > 0).sum(dim=1)
        padded_BT = nn.functional.pad(items_BT, (0, 1))
        padded_BT[torch.arange(len(items_BT), device=items_BT.device), length_B] = self.mask_code
        if padded_BT.shape[1] <= self.config.max_length:
            return padded_BT, length_B
        full_B1 = (length_B == self.config.max_length)[:, None]
        kept_BT = torch.where(full_B1, padded_BT[:, 1:], padded_BT[:, :-1])
        return kept_BT, length_B.clamp(max=self.config.max_length - 1)


class LocalAE(BERT4Rec):
    """BERT4Rec with one head confined to the neighbourhood ``|i - j| <= 2``."""

    window = 2

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Head 0 is local, the others global; (B, H, T, T)."""
        b, t = items_BT.shape
        position_T = torch.arange(t, device=items_BT.device)
        near_TT = (position_T[:, None] - position_T).abs() <= self.window
        head_H = torch.arange(self.config.n_heads, device=items_BT.device)
        visible_HTT = (head_H > 0)[:, None, None] | near_TT
        # A padded query may have no real neighbour; letting every query see itself keeps its
        # softmax defined. No real query ever looks at a padded position.
        itself_TT = torch.eye(t, dtype=torch.bool, device=items_BT.device)
        real_B11T = (items_BT > 0)[:, None, None, :]
        return (visible_HTT & real_B11T) | itself_TT.expand(b, 1, t, t)
