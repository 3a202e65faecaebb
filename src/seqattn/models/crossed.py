"""Mask and objective crossed: what AE and AR differ in, one at a time.

SASRec looks back and predicts the next item; BERT4Rec looks both ways and fills in masked items.
The models here take one of the two from each, so that the effect of the mask and the effect of the
objective can be told apart:

=============  ======================  =================
mask           next item               masked item
=============  ======================  =================
causal         ``sasrec``              ``causal-masked``
bidirectional  ``bidirectional-next``  ``bert4rec``
=============  ======================  =================

All four start from the same weights for one seed.

References
----------
[AE] "The Lonely Neighborhood" (2025), sections 3 and 4. In its released code the "vanilla AR" model
is BERT4Rec's network with a causal mask, which here is `CausalBERT4Rec`.
"""

from __future__ import annotations

from torch import Tensor

from seqattn.config import ModelConfig, replace
from seqattn.models.backbone import BERT4Rec, SASRec


class CausalBERT4Rec(SASRec):
    """BERT4Rec's network under a causal mask, trained on next items.

    What BERT4Rec's network has beside SASRec's is its output layer,
    `seqattn.models.heads.TransformHead`; without it this would be SASRec. The model to compare it
    with is ``bert4rec`` with ``head: transform``. BERT4Rec's embedding of the segment is left out:
    there is one segment, so it is a constant that the positions contain already.
    """

    def __init__(self, n_items: int, config: ModelConfig) -> None:
        super().__init__(n_items, replace(config, head="transform"))


class CausalMasked(BERT4Rec):
    """A causal mask with the objective of masked items; predicts at an appended [MASK].

    A masked position is filled in from what stands before it alone, some of which is masked as
    well. Against BERT4Rec only the mask differs, and against SASRec only the objective.
    """

    @property
    def looks_both_ways(self) -> bool:
        """False, whatever the objective."""
        return False

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Return None, causal."""
        return None


class BidirectionalNext(SASRec):
    """A mask that looks both ways with the objective of next items, read at a prefix's end.

    Any position but the last one sees its own target, so a row can score its last position alone.
    Training therefore takes one row for each prefix (`seqattn.training.batches.prefix_windows`).
    That way an epoch scores the same targets as SASRec's, from the same items, and against SASRec
    with ``windows: prefix`` only the mask differs. The ends of windows that advance by a stride
    would be cheaper, but would leave out most targets, all early ones among them. The price: an
    epoch computes each position up to ``max_length`` times.
    """

    @property
    def looks_both_ways(self) -> bool:
        """True, whatever the objective."""
        return True

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Every real position is visible to every query, (B, 1, 1, T)."""
        return (items_BT > 0)[:, None, None, :]
