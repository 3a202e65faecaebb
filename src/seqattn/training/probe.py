"""A look at a model before it is trained for hours: a leak, or a mistake of shapes, shows at once.

Shapes: T positions, S queries.
"""

from __future__ import annotations

import torch

from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone

_T = 6


@torch.no_grad()
def require_sound(model: Backbone) -> None:
    """Refuse a model whose states depend on what comes later, or on how many are asked for.

    It is asked about one small history, in evaluation mode and without a random number.

    Raises
    ------
    SeqattnError
        It fails where the last S < T positions alone are asked for, gives other states there, or a
        state changes with a later item or intensity.
    """
    t = min(_T, model.config.max_length)
    if model.needs_user or t < 3:
        return
    device, name = model.item_embedding.weight.device, type(model).__name__
    items_1T = 1 + torch.arange(t, device=device)[None] % model.n_items
    intensity_1T = 1 + torch.arange(t, device=device, dtype=torch.float32)[None]
    training = model.training
    model.eval()
    try:
        whole = model(items_1T, intensity_1T)
        few = model(items_1T, intensity_1T, t - 2)
        items_1T[0, -1] = 1
        intensity_1T[0, -1] = 1000
        later = model(items_1T, intensity_1T)
    except (RuntimeError, IndexError) as error:
        raise SeqattnError(
            f"{name} fails on a history of {t} items of which the last two are asked for: {error}; "
            "keys and values have T positions, queries, context, a_BT and b_BT the last S of them"
        ) from error
    finally:
        model.train(training)
    if not _alike(few, whole[:, -2:]):
        raise SeqattnError(
            f"{name} gives another state where fewer positions are asked for: what belongs to "
            "queries must be cut to the last S positions (w_BS, not w_BT)"
        )
    reads_all = model.looks_both_ways or model.config.scope == "prefix"
    if not reads_all and not _alike(later[:, :-1], whole[:, :-1]):
        raise SeqattnError(
            f"{name} reads the future: a state changes with a later item or intensity; let each "
            "position read what comes before it alone"
        )


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one, other, rtol=1e-4, atol=1e-5, equal_nan=True
    )
