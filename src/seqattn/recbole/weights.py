"""RecBole's SASRec weights, as a seqattn `SASRec` that gives the same scores.

RecBole keeps query, key and value in three linear layers; seqattn in one, in that order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seqattn.config import ModelConfig, strict
from seqattn.errors import SeqattnError
from seqattn.models.attention import LAYER_NORM_EPS
from seqattn.models.backbone import SASRec

# seqattn's module: RecBole's modules, whose parameters are stacked in this order.
LAYER_MODULES: dict[str, tuple[str, ...]] = {
    "attention.qkv": tuple(f"multi_head_attention.{part}" for part in ("query", "key", "value")),
    "attention.output": ("multi_head_attention.dense",),
    "attention_norm": ("multi_head_attention.LayerNorm",),
    "feed_forward.inner": ("feed_forward.dense_1",),
    "feed_forward.output": ("feed_forward.dense_2",),
    "feed_forward_norm": ("feed_forward.LayerNorm",),
}


def from_recbole(source: nn.Module | Mapping[str, Tensor], *, n_heads: int | None = None) -> SASRec:
    """Convert RecBole's SASRec into ours, a copy of the weights on the same device.

    Parameters
    ----------
    source : RecBole's SASRec, or its state dict
        A checkpoint of RecBole's trainer holds the latter under ``"state_dict"``. It does not tell
        the dropouts: the defaults of `ModelConfig` apply.
    n_heads : int, optional
        Number of attention heads. Needed with a state dict, which does not tell it.

    Returns
    -------
    SASRec
        In training mode.

    Raises
    ------
    SeqattnError
        If a key is missing, unknown or of the wrong shape, if `n_heads` is needed or contradicts
        the model, or if the model has an activation or LayerNorm epsilon other than ours.
    """
    state = source.state_dict() if isinstance(source, nn.Module) else source
    layers = [re.match(r"trm_encoder\.layer\.(\d+)\.", key) for key in state]
    n_layers = max((int(match[1]) + 1 for match in layers if match), default=1)
    origins = _origins(n_layers)
    _check_keys(state, [key for keys in origins.values() for key in keys])
    n_items, widths = _widths(state)
    settings = _settings(source, n_heads)
    config = strict(ModelConfig, {"n_layers": n_layers, **widths, **settings})
    with torch.device("meta"):  # no memory, and no random number drawn
        model = SASRec(n_items, config)
    for name, parameter in model.state_dict().items():
        shape = (parameter.shape[0] // len(origins[name]), *parameter.shape[1:])
        for key in origins[name]:
            if (found := tuple(state[key].shape)) != shape:
                raise SeqattnError(f"{key}: expected shape {shape}, found {found}")
    converted = {name: torch.cat([state[key] for key in keys]) for name, keys in origins.items()}
    model.load_state_dict({key: value.detach() for key, value in converted.items()}, assign=True)
    return model


def _origins(n_layers: int) -> dict[str, tuple[str, ...]]:
    """Return, for each of our parameters, RecBole's that make it up."""
    embeddings = ("item_embedding.weight", "position_embedding.weight")
    origins: dict[str, tuple[str, ...]] = {name: (name,) for name in embeddings}
    for kind in ("weight", "bias"):
        origins[f"norm.{kind}"] = (f"LayerNorm.{kind}",)
        for layer in range(n_layers):
            for ours, theirs in LAYER_MODULES.items():
                origins[f"blocks.{layer}.{ours}.{kind}"] = tuple(
                    f"trm_encoder.layer.{layer}.{module}.{kind}" for module in theirs
                )
    return origins


def _check_keys(state: Mapping[str, Tensor], expected: list[str]) -> None:
    missing = [key for key in expected if key not in state]
    unknown = sorted(set(state) - set(expected))
    for problem, keys in (("lacks", missing), ("has, beyond RecBole's SASRec,", unknown)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise SeqattnError(
                f"the state dict {problem} the key {keys[0]!r}{more}; "
                "give RecBole's SASRec, or the 'state_dict' of its checkpoint"
            )


def _widths(state: Mapping[str, Tensor]) -> tuple[int, dict[str, int]]:
    """Return the catalogue size V, and the widths that the matrices tell."""
    sizes = []
    first = "trm_encoder.layer.0.feed_forward.dense_1"
    for name in ("item_embedding", "position_embedding", first):
        shape = tuple(state[f"{name}.weight"].shape)
        if len(shape) != 2 or 0 in shape:
            raise SeqattnError(f"{name}.weight: expected a matrix, found shape {shape}")
        sizes.append(shape)
    (n_rows, hidden), (max_length, _), (inner, _) = sizes
    return n_rows - 1, {"hidden_size": hidden, "inner_size": inner, "max_length": max_length}


def _settings(source: nn.Module | Mapping[str, Tensor], n_heads: int | None) -> dict[str, Any]:
    """Return what the weights do not tell, read off a model where there is one."""
    if not isinstance(source, nn.Module):
        if n_heads is None:
            raise SeqattnError("a state dict does not tell the number of heads; give n_heads")
        return {"n_heads": n_heads}
    if n_heads not in (None, source.n_heads):
        raise SeqattnError(f"n_heads = {n_heads} contradicts the model's {source.n_heads}")
    for key, ours in (("hidden_act", "gelu"), ("layer_norm_eps", LAYER_NORM_EPS)):
        if getattr(source, key) != ours:
            raise SeqattnError(f"the model's {key} is {getattr(source, key)!r}; only {ours!r} fits")
    return {
        "n_heads": source.n_heads,
        "hidden_dropout": source.hidden_dropout_prob,
        "attention_dropout": source.attn_dropout_prob,
    }
