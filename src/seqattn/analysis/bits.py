"""How much values tell: entropy in bits, of all or of each history, and how narrow they lie."""

from __future__ import annotations

import numpy as np

BINS = 32


def entropy_bits(counts: np.ndarray) -> float:
    """Return the entropy in bits of a histogram of counts."""
    share = counts[counts > 0] / counts.sum()
    return float((share * np.log2(1 / share)).sum())


def places(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the bin of each value, of 32 on [low, high]; those outside count in the end bins."""
    width = (high - low) / BINS or 1.0  # all values 0: one bin
    # Rounded, so that a value on an edge falls on the same side on every machine.
    place = np.floor(np.round((values - low) / width, 6)).astype(np.int64)
    return np.clip(place, 0, BINS - 1)


def binned(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the counts of the 32 bins."""
    return np.bincount(places(values, low, high), minlength=BINS)


def history_bits(values: np.ndarray, offsets: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the binned entropy of each history that is not empty, in bits.

    A history of n interactions has at most log2 n.
    """
    lengths = np.diff(offsets)
    lengths = lengths[lengths > 0]
    user = np.repeat(np.arange(len(lengths)), lengths)
    counts = np.zeros((len(lengths), BINS))
    np.add.at(counts, (user, places(values, low, high)), 1)
    share = counts / lengths[:, None]
    return -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)


def narrowest(values: np.ndarray, mass: float) -> float:
    """Return the length of the shortest interval that holds `mass` of the values."""
    ordered = np.sort(values)
    inside = int(np.ceil(mass * len(ordered)))
    return float((ordered[inside - 1 :] - ordered[: len(ordered) - inside + 1]).min())
