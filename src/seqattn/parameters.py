"""The parameters of a notebook: papermill only warns about a name that it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqattn.campaign import DESIGNS
from seqattn.config import get_preset
from seqattn.errors import SeqattnError
from seqattn.models import MODELS

PARAMETERS: dict[str, type] = {
    "dataset": str,
    "preset": str,
    "seeds": list,
    "models": list,
    "results_dir": str,
    "device": str,
}


def check_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters if each is known and of its type.

    Raises
    ------
    SeqattnError
        Naming the first offending parameter.
    """
    for name, value in values.items():
        if name not in PARAMETERS:
            raise SeqattnError(
                f"unknown notebook parameter {name!r}; known: {', '.join(PARAMETERS)}"
            )
        if not isinstance(value, PARAMETERS[name]):
            raise SeqattnError(
                f"notebook parameter {name!r} must be {PARAMETERS[name].__name__}, "
                f"not {type(value).__name__} {value!r}"
            )
    missing = [name for name in PARAMETERS if name not in values]
    if missing:
        raise SeqattnError(f"notebook parameter {missing[0]!r} is missing")
    _check_list("seeds", values["seeds"], int)
    _check_list("models", values["models"], str)
    for model in values["models"]:
        if model not in MODELS:
            raise SeqattnError(
                f"notebook parameter 'models' names {model!r}; choose from {', '.join(MODELS)}"
            )
    if values["preset"] not in DESIGNS:
        get_preset(values["preset"])
    return dict(values)


def _check_list(name: str, values: list, kind: type) -> None:
    if not values:
        raise SeqattnError(f"notebook parameter {name!r} is empty; give at least one")
    for value in values:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise SeqattnError(
                f"notebook parameter {name!r} must hold {kind.__name__} values, not {value!r}"
            )
    if len(set(values)) < len(values):
        raise SeqattnError(f"notebook parameter {name!r} holds a value twice: {values}")
