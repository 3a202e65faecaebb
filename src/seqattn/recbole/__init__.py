"""The intensity-aware models inside RecBole, and RecBole's SASRec weights inside seqattn.

The only part of seqattn that imports RecBole; `seqattn.recbole.models` shows how to train with it.
Importing it lets RecBole's `Config` work under NumPy 2, too.
"""

from __future__ import annotations

try:
    import recbole  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "seqattn.recbole needs RecBole, beside seqattn's extra [book]: "
        "pip install --no-deps 'recbole==1.2.1' (its ray has no build for Python 3.12)",
        name="recbole",
    ) from error

from seqattn.recbole.models import IASASRecAdd, IASASRecMul, IASASRecVal
from seqattn.recbole.numpy_names import lend_retired_names
from seqattn.recbole.weights import from_recbole

lend_retired_names()

__all__ = ["IASASRecAdd", "IASASRecMul", "IASASRecVal", "from_recbole"]
