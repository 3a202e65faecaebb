"""The intensity-aware models inside RecBole, and RecBole's SASRec weights inside seqattn.

The only part of seqattn that imports RecBole; `seqattn.recbole.models` shows how to train with it.
"""

from __future__ import annotations

try:
    import recbole  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "seqattn.recbole needs RecBole, which supports Python up to 3.11: "
        "pip install 'recbole==1.2.1' 'numpy<2'",
        name="recbole",
    ) from error

from seqattn.recbole.models import IASASRecAdd, IASASRecMul, IASASRecVal
from seqattn.recbole.weights import from_recbole

__all__ = ["IASASRecAdd", "IASASRecMul", "IASASRecVal", "from_recbole"]
