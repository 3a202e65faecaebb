"""RecBole 1.2.1 under NumPy 2.

`Config` gives NumPy back the names that NumPy 1.20 retired, such as ``np.float``, for RecBole's
code reads them while it runs. It takes them from three names that NumPy 2 has retired in turn.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
from recbole.config import Config

RETIRED: dict[str, Any] = {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}


def lend_retired_names() -> None:
    """Let `Config` find the three names, and NumPy have them only while it looks."""
    lend = patch.multiple(np, create=True, **RETIRED)
    Config.compatibility_settings = lend(Config.compatibility_settings)
