"""Injecting per-interaction intensity into the attention of sequential recommenders."""

from __future__ import annotations

from seqattn.errors import SeqattnError

TYPE_CHECKING = False  # that of `typing`, which takes time to import, see `__getattr__`
if TYPE_CHECKING:
    from typing import Any

    from seqattn import stats
    from seqattn.data import load_dataset
    from seqattn.models import build_model
    from seqattn.runs import store
    from seqattn.runs.export import load

__all__ = ["SeqattnError", "build_model", "load", "load_dataset", "stats", "store"]
__version__ = "0.1.0"

_HOMES = {
    "build_model": "seqattn.models:build_model",
    "load": "seqattn.runs.export:load",
    "load_dataset": "seqattn.data:load_dataset",
    "store": "seqattn.runs.store:",
}


def __getattr__(name: str) -> Any:
    """Import a name, or a module of the package, when it is first asked for.

    To import PyTorch takes seconds, in which the command line is to listen to Ctrl-C already.
    """
    import pkgutil
    from importlib import import_module, util

    if name in _HOMES:
        globals()[name] = found = pkgutil.resolve_name(_HOMES[name])
        return found
    if not name.startswith("_") and util.find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
