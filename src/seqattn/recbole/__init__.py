"""The intensity-aware models inside RecBole, and RecBole's SASRec weights inside seqattn.

The only part of seqattn that imports RecBole; `seqattn.recbole.models` shows how to train with it.
Importing it lets RecBole's `Config` work under NumPy 2, too.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
from scipy.sparse import dok_matrix

try:
    import recbole  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "seqattn.recbole needs RecBole, beside seqattn's extra [book]: "
        "pip install --no-deps 'recbole==1.2.1' (its ray has no build for Python 3.12)",
        name="recbole",
    ) from error

from recbole.config import Config

from seqattn.recbole.models import IASASRecAdd, IASASRecMul, IASASRecVal
from seqattn.recbole.weights import from_recbole

# RecBole 1.2.1's `Config` gives NumPy back the names that NumPy 1.20 retired, such as ``np.float``,
# for RecBole's code reads them while it runs. It takes them from three names that NumPy 2 has
# retired in turn: NumPy has these only while `Config` looks.
RETIRED: dict[str, Any] = {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}
_lend = patch.multiple(np, create=True, **RETIRED)
Config.compatibility_settings = _lend(Config.compatibility_settings)
# RecBole's graph models fill sparse matrices by a method that SciPy 1.13 took away.
if not hasattr(dok_matrix, "_update"):
    dok_matrix._update = lambda self, entries: self._dict.update(entries)

__all__ = ["IASASRecAdd", "IASASRecMul", "IASASRecVal", "from_recbole"]
