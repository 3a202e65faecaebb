"""A look at a model before it is trained for hours: a leak, or a mistake of shapes, shows at once.

Shapes: T positions, S queries.
"""

from __future__ import annotations

import copy

import torch

from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone

_T = 12
_FAULTS = (RuntimeError, IndexError, TypeError, ValueError, AttributeError)


@torch.no_grad()
def require_sound(model: Backbone, name: str) -> None:
    """Refuse a model whose states depend on what comes later, or on how many are asked for.

    It is asked about one small history, in evaluation mode. One that reads whose a history is, or
    that tells fewer than three positions apart, is not asked. `name` is that of `MODELS`.

    Raises
    ------
    SeqattnError
        It fails where the last S < T positions alone are asked for, gives other states there or
        each time, or a state changes with a later item or intensity.
    """
    t = min(_T, model.config.max_length)
    if model.needs_user or t < 3:
        return
    weight, name = model.item_embedding.weight, f"model {name!r}"
    device = weight.device
    items_1T = 1 + torch.arange(t, device=device)[None] % model.n_items
    intensity_1T = 1 + torch.arange(t, device=device, dtype=weight.dtype)[None]
    training = model.training
    model.eval()
    try:
        whole, again = (_states(model, name, items_1T, intensity_1T) for _ in range(2))
        few = _states(model, name, items_1T, intensity_1T, t - 2)
        items_1T[0, -1] = 1 + t % model.n_items
        if model.config.scope != "prefix":  # which reads all intensities of a row, by its name
            intensity_1T[0, -1] = 1000
        later = _states(model, name, items_1T, intensity_1T)
    finally:
        model.train(training)
    if not _alike(again, whole):
        raise SeqattnError(
            f"{name} gives other states each time it is asked, in evaluation too: what is random, "
            "such as dropout, belongs to training (`self.training`)"
        )
    if not _alike(few, whole[:, -2:]):
        raise SeqattnError(
            f"{name} gives another state where fewer positions are asked for: what belongs to "
            "queries must be cut to the last S positions (w_BS, not w_BT)"
        )
    if not model.looks_both_ways and not _alike(later[:, :-1], whole[:, :-1]):
        raise SeqattnError(
            f"{name} reads the future: a state changes with a later item or intensity; let each "
            "position read what comes before it alone"
        )


def _states(
    model: Backbone,
    name: str,
    items_1T: torch.Tensor,
    intensity_1T: torch.Tensor,
    read_from: int = 0,
) -> torch.Tensor:
    """Return a model's states, (1, T - read_from, D), or say what went wrong."""
    t = items_1T.shape[1]
    asked = f"a history of {t} items of which the last {t - read_from} are asked for"
    try:
        states = model(items_1T, intensity_1T, read_from)
    except (SeqattnError, torch.OutOfMemoryError):
        raise
    except _FAULTS as error:
        raise SeqattnError(
            f"{name} fails on {asked}: {type(error).__name__}: {error}; keys and values have T "
            "positions, queries, context, a_BT and b_BT the last S of them"
        ) from error
    if not isinstance(states, torch.Tensor) or states.shape[:2] != (1, t - read_from):
        told = getattr(states, "shape", type(states).__name__)
        raise SeqattnError(
            f"{name} gives {told} for {asked}; return one tensor of states, (1, {t - read_from}, D)"
        )
    return states


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one, other, rtol=1e-4, atol=1e-5, equal_nan=True
    )


def require_sound_trained(model: Backbone, name: str) -> None:
    """Do the same with the weights that training found, since one that starts at 0 hides a leak.

    Large weights saturate a softmax, where rounding may look like one: double precision decides.

    Raises
    ------
    SeqattnError
        See `require_sound`.
    """
    try:
        require_sound(model, name)
    except SeqattnError as told:
        try:
            require_sound(copy.deepcopy(model).double(), name)
        except SeqattnError:
            raise told from None


def require_reached(model: Backbone, optimiser: torch.optim.Optimizer, name: str) -> None:
    """Refuse a model of whose parameters some got no gradient in any step of the first epoch.

    They would stay as they started, and a lambda among them would read as one that did not move.

    Raises
    ------
    SeqattnError
        There are some; it names them.
    """
    reached = optimiser.state  # Adam keeps moments of what ever got a gradient
    named = model.named_parameters()
    if unreached := [n for n, p in named if p.requires_grad and p not in reached]:
        told = ", ".join(unreached[:4]) + (", ..." if len(unreached) > 4 else "")
        raise SeqattnError(
            f"model {name!r}: no gradient reaches {told}; use them in what `forward` returns, "
            "outside of `detach` and `no_grad`, or leave them out"
        )
