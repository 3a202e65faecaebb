"""Intensities that tell nothing, in the place of real ones: what a gain must be measured against.

============ ======================================================================================
``constant`` the median of the log, for every interaction
``within``   each user's own intensities in a random order
``across``   the log's intensities in a random order: who gave how much is lost, too
============ ======================================================================================

Histories, items and order stay. An injection that gains as much on a placebo has changed the
architecture and not used the signal.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqattn.data.dataset import Dataset
from seqattn.data.sequences import Sequences
from seqattn.errors import SeqattnError


def with_placebo(dataset: Dataset, kind: str, seed: int) -> Dataset:
    """Return the dataset with a placebo for its intensities; itself where `kind` is ``real``.

    Parameters
    ----------
    kind : str
        ``real``, or one of the placebos above.
    seed : int
        The training seed: each has a random order of its own.

    Raises
    ------
    SeqattnError
        The dataset has no intensity, or the kind is unknown.
    """
    if kind == "real":
        return dataset
    if not dataset.has_intensity:
        raise SeqattnError(
            f"dataset {dataset.name!r} has no intensity that a placebo could replace"
        )
    histories = dataset.sequences
    told = replace(histories, intensity=_placebo(histories, kind, np.random.default_rng(seed)))
    return dataset.with_histories(told)


def _placebo(histories: Sequences, kind: str, rng: np.random.Generator) -> np.ndarray:
    real_n = np.asarray(histories.intensity)
    if kind == "constant":
        return np.full_like(real_n, np.median(real_n))
    order_n = rng.permutation(len(real_n))
    if kind == "within":  # a random order in which users stand together again
        order_n = order_n[np.argsort(histories.user_of_row[order_n], kind="stable")]
    elif kind != "across":
        raise SeqattnError(f"unknown placebo {kind!r}; choose constant, within or across")
    return real_n[order_n]
