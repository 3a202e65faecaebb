"""Models, by the names used everywhere: notebooks, command line, store, figures.

``SEQATTN_MODELS`` may name Python files that put models of one's own into `MODELS`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch

from seqattn.config import ModelConfig, strict
from seqattn.errors import SeqattnError
from seqattn.files import checksum
from seqattn.models.backbone import Backbone, BERT4Rec, SASRec
from seqattn.models.crossed import BidirectionalNext, CausalBERT4Rec, CausalMasked
from seqattn.models.huggingface import AlbertAE, AlbertAR, LlamaAE, LlamaAR
from seqattn.models.injection import Add, Mul, Val
from seqattn.models.key_bias import BinExperts, LearnedScale, PerHead, TokenGate
from seqattn.models.local import LocalAR, local_ae
from seqattn.models.side_information import DifSr, Nova, SideKeys
from seqattn.models.users import UserAE, UserAR


@dataclass(frozen=True)
class Model:
    """How a model is built from (number of items, configuration), and how figures show it."""

    build: Callable[[int, ModelConfig], Backbone]
    label: str
    colour: str


# To add an injection: write its class in injection.py and name it here. The colours are Okabe and
# Ito's, then Tol's, which readers with any common colour blindness can tell apart. Designs beyond
# lambda use the first ones again: where they stand beside others, each has a row with its name.
MODELS: dict[str, Model] = {
    "sasrec": Model(SASRec, "SASRec", "#000000"),
    "ia-add": Model(partial(SASRec, injection=Add), "Add", "#0072B2"),
    "ia-mul": Model(partial(SASRec, injection=Mul), "Mul", "#D55E00"),
    "ia-val": Model(partial(SASRec, injection=Val), "Val", "#009E73"),
    "bert4rec": Model(BERT4Rec, "BERT4Rec (AE)", "#CC79A7"),
    "local-ae": Model(local_ae, "Local-AE", "#E69F00"),
    "local-ar": Model(LocalAR, "Local-AR", "#56B4E9"),
    "causal-bert4rec": Model(CausalBERT4Rec, "Causal BERT4Rec (AR)", "#666666"),
    "causal-masked": Model(CausalMasked, "Causal, masked items", "#882255"),
    "bidirectional-next": Model(BidirectionalNext, "Bidirectional, next item", "#117733"),
    "sse-pt-ar": Model(UserAR, "SSE-PT (AR)", "#332288"),
    "sse-pt-ae": Model(UserAE, "SSE-PT (AE)", "#AA4499"),
    "ia-add-per-head": Model(partial(SASRec, injection=PerHead), "λ by head", "#0072B2"),
    "ia-gate": Model(partial(SASRec, injection=TokenGate), "Token gate", "#D55E00"),
    "ia-bins": Model(partial(SASRec, injection=BinExperts), "Bins", "#009E73"),
    "ia-add-learned": Model(partial(SASRec, injection=LearnedScale), "Learned scale", "#CC79A7"),
    "ia-side-keys": Model(partial(SASRec, injection=SideKeys), "Side keys", "#E69F00"),
    "ia-nova": Model(partial(SASRec, injection=Nova), "NOVA", "#56B4E9"),
    "ia-dif-sr": Model(partial(SASRec, injection=DifSr), "DIF-SR", "#666666"),
    "hf-albert-ar": Model(AlbertAR, "ALBERT (AR)", "#44AA99"),
    "hf-albert-ae": Model(AlbertAE, "ALBERT (AE)", "#999933"),
    "hf-llama-ar": Model(LlamaAR, "LLaMA (AR)", "#88CCEE"),
    "hf-llama-ae": Model(LlamaAE, "LLaMA (AE)", "#DDCC77"),
}
# Those whose network is another library's, an extra that is loaded when one of them is built.
PLUGINS = tuple(name for name in MODELS if name.startswith("hf-"))

# What a model's runs can lie under: a folder's name.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")

# RecBole's models that `seqattn.recbole.baselines` fits, by the names of its own; the rest of the
# package knows them by name alone.
RECBOLE_MODELS = {
    "pop": "Pop",
    "itemknn": "ItemKNN",
    "bpr": "BPR",
    "gru4rec": "GRU4Rec",
    "srgnn": "SR-GNN",
}


def build_model(name: str, n_items: int, **config: Any) -> Backbone:
    """Build a freshly initialised model from torch's global random generator.

    With one seed, all models draw identical initial values for the weights they share.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    n_items : int
        Catalogue size V; item codes are 1..V.
    **config
        Fields of `seqattn.config.ModelConfig`.

    Raises
    ------
    SeqattnError
        If the name, a key or a value is not known.

    Examples
    --------
    A history of two interactions, padded to five, and its output at every position:

    >>> import torch
    >>> model = build_model("ia-add", n_items=100, max_length=5, hidden_size=8)
    >>> items, stars = torch.tensor([[3, 7, 0, 0, 0]]), torch.tensor([[1.0, 5.0, 0, 0, 0]])
    >>> model(items, stars).shape
    torch.Size([1, 5, 8])
    """
    if name not in MODELS:
        raise SeqattnError(
            f"unknown model {name!r}; choose one of {', '.join(MODELS)}; one of your own is known "
            "where SEQATTN_MODELS names its file"
        )
    if n_items < 1:
        raise SeqattnError(f"n_items must be at least 1, not {n_items}")
    return _built(MODELS[name].build, n_items, strict(ModelConfig, config))


def _built(
    build: Callable[[int, ModelConfig], Backbone], n_items: int, to: ModelConfig
) -> Backbone:
    model = build(n_items, to)
    if not isinstance(model, Backbone):
        raise SeqattnError(
            f"a model of MODELS builds a {type(model).__name__}, which training does not know; "
            "derive it from seqattn.models.SASRec, see CONTRIBUTING, 'Add a model', or fit it "
            "elsewhere and bring its scores by `seqattn evaluate`"
        )
    return model


def _example(name: str) -> Backbone:
    """Return a small model, to ask what kind it is; the global random generator stays as it is."""
    if name not in MODELS:
        return build_model(name, 1)  # says which names there are
    return _example_of(MODELS[name].build)


@cache
def _example_of(build: Callable[[int, ModelConfig], Backbone]) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        return _built(build, 1, ModelConfig())


def is_masked(name: str) -> bool:
    """Return whether a model is trained on masked items (AE), not on next items (AR)."""
    build = MODELS[name].build if name in MODELS else None
    # A class says so itself: runs of a plug-in can be named without its library.
    objective = getattr(build, "objective", None) or _example(name).objective
    return objective == "masked_item"


def needs_intensity(name: str) -> bool:
    """Return whether a model reads intensity."""
    return _example(name).needs_intensity


def has_lambda(name: str) -> bool:
    """Return whether a model has one lambda a layer, which runs record every epoch."""
    return bool(_example(name).lambda_parameters)


def is_stackable(name: str) -> bool:
    """Return whether several seeds of a model can be fitted as one stacked model."""
    return _example(name).stackable


def is_importable(name: str) -> bool:
    """Return whether a process of its own knows this model: not if a notebook's cell named it."""
    return name in _IMPORTABLE and _IMPORTABLE[name] is MODELS[name]


def _load_own() -> None:
    """Run the files that ``SEQATTN_MODELS`` names; a process that fits a model does so as well."""
    given = [name for name in os.environ.get("SEQATTN_MODELS", "").split(os.pathsep) if name]
    paths = [Path(name).expanduser().resolve() for name in given]
    of: dict[str, Path] = {}  # whose a model is
    for name, path in zip(given, paths, strict=True):
        for model in _load_file(name, path):
            if model in of:
                raise SeqattnError(
                    f"{of[model]} and {path} both name a model {model!r}; rename one"
                )
            of[model] = path
    if paths:  # for processes of another folder
        os.environ["SEQATTN_MODELS"] = os.pathsep.join(map(str, paths))


def _load_file(given: str, path: Path) -> set[str]:
    """Run one file of models; return the names that it gave."""
    name = f"own_{path.stem}"
    there = sys.modules.get(name)
    if there and there.__file__ != str(path):
        name += f"_{checksum({'path': str(path)})[:8]}"  # another file of that name
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        what = "no Python file" if path.exists() else f"not there (looked for {path})"
        raise SeqattnError(
            f"SEQATTN_MODELS={given} is {what}; set it to a file that puts your models into "
            "seqattn.models.MODELS, or unset it"
        )
    module, before = module_from_spec(spec), dict(MODELS)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SeqattnError(
            f"{path}, which SEQATTN_MODELS names: {type(error).__name__}: {error}; mend the file, "
            "or unset the variable"
        ) from error
    new = {name for name, model in MODELS.items() if before.get(name) is not model}
    for name in new:
        if not isinstance(MODELS[name], Model):
            known = type(MODELS.pop(name)).__name__
            raise SeqattnError(
                f"{path}: MODELS[{name!r}] is a {known}, not a Model: write MODELS[{name!r}] = "
                "Model(YourModel, LABEL, '#COLOUR'), or, of an injection, "
                "Model(partial(SASRec, injection=YourInjection), LABEL, '#COLOUR')"
            )
        if name in RECBOLE_MODELS or not NAME.fullmatch(name):
            del MODELS[name]
            raise SeqattnError(
                f"{path} puts a model {name!r} into MODELS, which is a name of RecBole's or none "
                "for a folder; take up to 64 letters, digits and . _ + -, such as 'my-gru'"
            )
    return new


_load_own()
_IMPORTABLE = dict(MODELS)
