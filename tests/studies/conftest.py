"""Studies judge many tables of as many users: the bootstrap's draws are made once for all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pytest

from seqattn.stats import bootstrap

_weights = bootstrap._resample_weights


@lru_cache(maxsize=8)
def _drawn(n: int, n_resamples: int, seed: int) -> np.ndarray:
    (weights_bn,) = _weights(n, n_resamples, seed)
    weights_bn.flags.writeable = False
    return weights_bn


def _kept(n: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield what depends on these numbers alone from memory, where it is small: a single chunk."""
    if n * n_resamples <= 1 << 20:
        return iter([_drawn(n, n_resamples, seed)])
    return _weights(n, n_resamples, seed)


@pytest.fixture(autouse=True, scope="module")
def draws_once() -> Iterator[None]:
    """Half the time of a page's tests went into the same draws; `tests/stats` makes them anew."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bootstrap, "_resample_weights", _kept)
        yield
