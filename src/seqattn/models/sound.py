"""What an injection of one's own must keep to, told at once and by its name.

Shapes: B batch, T positions, S queries, H heads, F features a head.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from torch import Tensor

from seqattn.errors import SeqattnError
from seqattn.models.injection import Injection, IntensityInjection


def made(injection: Callable[[], Injection]) -> Injection:
    """Return a new injection, which must leave the random generator to the weights all share."""
    before = torch.get_rng_state()
    made = injection()
    if not torch.equal(before, torch.get_rng_state()):
        raise SeqattnError(
            f"{type(made).__name__} draws random numbers in `__init__`, so that all other weights "
            "would start otherwise than SASRec's; make its layers in `complete(self, config)`, "
            "which comes after them"
        )
    return made


def require_record(injection: Injection) -> None:
    """Refuse what would fail only once a fit is over and its run is written."""
    name = type(injection).__name__
    lam = getattr(injection, "lam", None)
    if isinstance(lam, Tensor) and lam.numel() != 1:
        raise SeqattnError(
            f"{name}: its `lam` has the shape {tuple(lam.shape)}, and a layer's lambda is one "
            "number; give other parameters another name"
        )
    learned: object = injection.learned()
    try:
        kept = isinstance(learned, dict) and bool(json.dumps(learned, allow_nan=False))
    except (TypeError, ValueError):
        kept = False
    if not kept:
        raise SeqattnError(
            f"{name}: its `learned` must return lists of numbers by name, as by tolist()"
        )


def require_signal(injection: Injection, n_heads: int, width: int) -> None:
    """Refuse an injection that reads what nobody will give it; a head has `width` features."""
    if injection.reads_intensity or isinstance(injection, IntensityInjection):
        return
    zeros_BHTF = torch.zeros(1, n_heads, 1, width)
    try:
        given = injection.before(zeros_BHTF, zeros_BHTF, zeros_BHTF, None)
        injection.after(pairs(injection, given, n_slots=0)[-1], None)
    except AttributeError as error:
        raise SeqattnError(
            f"{type(injection).__name__} needs an intensity and does not say so; set "
            f"`reads_intensity = True` in its class ({error})"
        ) from error


def pairs(injection: Injection, given: object, n_slots: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `before` gave, or refuse other than queries, keys and values.

    The last two belong together; the keys of memory slots have no values yet.
    """
    name = type(injection).__name__
    if not isinstance(given, tuple) or len(given) != 3:
        raise SeqattnError(f"{name}: its `before` must return queries, keys and values")
    q, k, v = given
    if k.shape[2] - n_slots != v.shape[2] or q.shape[-1] != k.shape[-1]:
        shapes = ", ".join(str(tuple(x.shape)) for x in given)
        raise SeqattnError(
            f"{name}: its `before` gives queries, keys and values of shapes {shapes}; a key "
            "needs a value and as many features as a query"
        )
    return q, k, v


def require_shape(
    injection: Injection, context: object, wanted: torch.Size, dtype: torch.dtype
) -> None:
    """Refuse a context of another shape; a single query would be broadcast unnoticed."""
    name = type(injection).__name__
    if not isinstance(context, Tensor):
        raise SeqattnError(f"{name}: its `after` must return the context")
    if context.shape[2] != wanted[2]:
        raise SeqattnError(
            f"{name}: its context has {context.shape[2]} positions, and {wanted[2]} queries "
            "were asked for; of a query, read a_BT, b_BT and w_BS of the signal, of a key w_BT"
        )
    if context.shape != wanted:
        raise SeqattnError(
            f"{name}: its context has the shape {tuple(context.shape)} and not "
            f"{tuple(wanted)}; `after` must leave as many features as values had before"
        )
    if context.dtype == torch.float64 != dtype:
        raise SeqattnError(
            f"{name}: its context is in float64; leave the dtype of what it is given"
        )
