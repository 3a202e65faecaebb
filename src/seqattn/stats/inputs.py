"""Checks shared by the tests: a wrong input is refused before it becomes a wrong p-value."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqattn.errors import SeqattnError

Floats = NDArray[np.float64]
_AXES = {1: "(seeds,) or (users,)", 2: "(seeds, users)"}
ALPHA = 0.05  # the level of every test; intervals cover one minus it


def as_floats(values: ArrayLike, name: str) -> Floats:
    """Return `values` as a finite float64 array.

    Raises
    ------
    SeqattnError
        If the values are not numbers, or some are NaN or infinite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SeqattnError(f"{name} is not a rectangular array of numbers: {error}") from error
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(axis) for axis in bad[0])
        raise SeqattnError(
            f"{name} holds {array[where]} at index {where}; remove or repair it, "
            "statistics need finite numbers"
        )
    return array


def as_pair(
    base: ArrayLike, variant: ArrayLike, ndim: int, cell: str = ""
) -> tuple[Floats, Floats]:
    """Return base and variant as finite float64 arrays of one shape, each axis at least 2 long.

    They have `ndim` axes: (seeds,) or (users,) for one, (seeds, users) for two. `cell` is a prefix
    that names them in an error message.

    Raises
    ------
    SeqattnError
        If the shapes differ, the number of axes is wrong, an axis has fewer than 2 entries, or
        a value is not finite.

    Warns
    -----
    UserWarning
        If there are more seeds than users, as in a transposed array.
    """
    first, second = as_floats(base, f"{cell}base"), as_floats(variant, f"{cell}variant")
    if first.shape != second.shape:
        raise SeqattnError(
            f"{cell}base has shape {first.shape} but variant has {second.shape}; "
            f"give both as {_AXES[ndim]}, aligned entry by entry"
        )
    if first.ndim != ndim:
        raise SeqattnError(f"{cell}base has shape {first.shape}; expected {_AXES[ndim]}")
    if min(first.shape) < 2:
        few = "users" if ndim == 2 and len(first) > 1 else "seeds" if ndim == 2 else "entries"
        raise SeqattnError(
            f"{cell}base has shape {first.shape}, {_AXES[ndim]}; a paired test needs at least 2 "
            f"{few}"
        )
    if ndim == 2 and len(first) > first.shape[1]:
        warnings.warn(
            f"{cell}base has shape {first.shape}, more seeds than users: is it transposed? "
            f"Expected {_AXES[2]}",
            stacklevel=3,
        )
    return first, second


def unit_of(*values: ArrayLike) -> float:
    """Return a power of two near the largest value: in its units no square over- or underflows.

    Dividing by it keeps every digit.
    """
    largest = max(float(np.abs(each).max(initial=0.0)) for each in map(np.asarray, values))
    return float(np.ldexp(1.0, np.frexp(largest)[1] - 1))


# Among fewer users, or with fewer different values (a hit or none), two seeds may agree by chance;
# not where many users have another value than most. If seeds agreed on each of 100 such users with
# probability 0.9, all would agree once in 40,000 pairs.
_FEW_USERS, _FEW_VALUES, _MANY_OTHERS = 20, 5, 100


def copies(values_SU: np.ndarray) -> tuple[int, int] | None:
    """Return two seeds that have the same value for every user, if there are such.

    Few users, and few users who differ from most in values of few kinds such as hit or none, are no
    evidence of a copy.
    """
    seen: dict[bytes, int] = {}
    for seed, row in enumerate(values_SU):
        first = seen.setdefault(row.tobytes(), seed)
        if first != seed and _is_no_chance(row):
            return first, seed
    return None


def _is_no_chance(row: np.ndarray) -> bool:
    """Return whether two seeds that agree on all of these values must be one."""
    _, counts = np.unique(row, return_counts=True)
    various = len(row) >= _FEW_USERS and len(counts) >= _FEW_VALUES
    return various or len(row) - int(counts.max()) >= _MANY_OTHERS
