"""What stands between the last block and the scores of items.

Shapes: B batch, S positions that are read, D hidden width, V items.

References
----------
Sun et al. (2019), BERT4Rec, section 3.5; in its released code the layer "transform".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.models.positions import INIT_STD


class TransformHead(nn.Module):
    """BERT4Rec's output layer, ``LN(gelu(W h + b)) . e_j + c_j`` for an item j.

    e_j is the item's embedding, shared with the input, and c_j a number of its own, which starts at
    0: what the item scores whatever was read. With ``head="tied"`` the score is ``h . e_j``.
    """

    def __init__(self, n_items: int, config: ModelConfig, eps: float) -> None:
        super().__init__()
        d = config.hidden_size
        self.dense = nn.Linear(d, d)
        nn.init.normal_(self.dense.weight, std=INIT_STD)
        nn.init.zeros_(self.dense.bias)
        self.norm = nn.LayerNorm(d, eps=eps)
        self.bias_V = nn.Parameter(torch.zeros(n_items + 1))

    def forward(self, hidden_BSD: Tensor) -> Tensor:
        """Return transformed states with a 1 appended, which the items' numbers multiply."""
        x_BSD = self.norm(F.gelu(self.dense(hidden_BSD)))
        return F.pad(x_BSD, (0, 1), value=1.0)  # (B, S, D + 1)
