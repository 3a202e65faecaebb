"""Models, by the names used everywhere: notebooks, command line, store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from seqattn.config import ModelConfig, strict
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone
from seqattn.models.bert4rec import BERT4Rec, LocalAE
from seqattn.models.injection import Add, Mul, Val
from seqattn.models.sasrec import SASRec

__all__ = ["MODELS", "BERT4Rec", "Backbone", "LocalAE", "SASRec", "build_model"]

# To add an injection: write its class in injection.py and name it here.
MODELS: dict[str, Callable[[int, ModelConfig], Backbone]] = {
    "sasrec": SASRec,
    "ia-add": partial(SASRec, injection=Add),
    "ia-mul": partial(SASRec, injection=Mul),
    "ia-val": partial(SASRec, injection=Val),
    "bert4rec": BERT4Rec,
    "local-ae": LocalAE,
}


def build_model(name: str, n_items: int, **config: Any) -> Backbone:
    """Build a freshly initialised model from torch's global random generator.

    Parameters
    ----------
    name : str
        One of ``sasrec``, ``ia-add``, ``ia-mul``, ``ia-val``, ``bert4rec``, ``local-ae``.
    n_items : int
        Catalogue size V; item codes are 1..V.
    **config
        Fields of `seqattn.config.ModelConfig`.

    Returns
    -------
    Backbone
        With one seed, all models draw identical initial values for the weights they share.

    Raises
    ------
    SeqattnError
        If the name, a key or a value is not known.
    """
    if name not in MODELS:
        raise SeqattnError(f"unknown model {name!r}; choose one of {', '.join(MODELS)}")
    if n_items < 1:
        raise SeqattnError(f"n_items must be at least 1, not {n_items}")
    return MODELS[name](n_items, strict(ModelConfig, config))
