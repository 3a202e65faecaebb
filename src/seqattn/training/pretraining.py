"""Weights that a model of next items starts from: those of its twin, trained on masked items.

The twin is `BERT4Rec` of the same sizes and seed: the same blocks under a mask that looks both
ways, with another objective. It reads training items alone. Of S3-Rec's four tasks this is the one
of masked items, without attributes and segments, and with our loss over the whole catalogue.

Weights are taken over by name. The vector of [MASK] stays with the twin. What the twin lacks keeps
the start that its seed gives it: lambda, and what several queries add. So models that differ in
these alone start from the same pre-trained weights.

References
----------
Zhou et al. (2020), S3-Rec; Sun et al. (2019), BERT4Rec. In the book: page "Several queries".
"""

from __future__ import annotations

import torch

from seqattn.config import ATTENTION, OWN, replace
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone, BERT4Rec
from seqattn.training.device import device_of

# What the twin does without, and the model adds to its weights.
_QUERIES = ("n_queries", "query_pooling", "query_scope")


def twin_of(model: Backbone, seed: int) -> BERT4Rec:
    """Return a masked-item model that starts from the weights it shares with a seed's `model`.

    Raises
    ------
    SeqattnError
        If the model is trained on masked items anyway, is another library's network, or reads
        positions in a way that a model which looks both ways cannot.
    """
    if model.objective == "masked_item":
        raise SeqattnError(
            f"{type(model).__name__} is trained on masked items as it is: leave pretrain_epochs "
            "at 0 and raise its epochs"
        )
    if not len(model.blocks):
        raise SeqattnError(
            f"{type(model).__name__} has a network of another library, and pretrain_epochs trains "
            "the blocks of the book's own; leave pretrain_epochs at 0"
        )
    without = {name: ATTENTION[name] for name in _QUERIES}
    without |= {name: usual for name, usual in OWN.items() if name not in BERT4Rec.reads}
    plain = replace(model.config, **without)
    if changed := plain.changed_attention:
        raise SeqattnError(
            f"pretrain_epochs needs a twin that looks both ways, and {changed[0]} = "
            f"{getattr(plain, changed[0])!r} looks back; leave one of them out"
        )
    torch.manual_seed(seed)
    twin = BERT4Rec(model.n_items, plain)
    return twin.to(device_of(model))


@torch.no_grad()
def take_over(model: Backbone, twin: BERT4Rec) -> None:
    """Give a model the weights it shares with its twin, by name."""
    own = model.state_dict()  # shares memory with the model
    for name, value in twin.state_dict().items():
        if name in own:
            own[name].copy_(value)
