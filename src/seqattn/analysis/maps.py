"""The check that every measure of attention maps starts with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqattn.errors import SeqattnError


def as_maps(maps: ArrayLike) -> NDArray[np.float64]:
    """Return `maps` as float64 of shape (..., n, n).

    Raises
    ------
    SeqattnError
        If the last two axes are not square and non-empty, or a value is not finite.
    """
    array = np.asarray(maps, dtype=np.float64)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or not array.size:
        raise SeqattnError(
            f"attention maps have shape {array.shape}; expected (..., n, n), cropped to the "
            "user's real positions"
        )
    if not np.isfinite(array).all():
        raise SeqattnError("attention maps hold NaN or infinite values; crop padded rows first")
    return array
