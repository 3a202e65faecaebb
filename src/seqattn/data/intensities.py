"""Which intensities a fit reads: real ones, `seqattn.data.planted` ones, or a placebo's.

A placebo tells nothing: what a gain must be measured against.

============ ======================================================================================
``constant`` the median of the log, for every interaction
``within``   each user's own intensities in a random order
``across``   the log's intensities in a random order: who gave how much is lost, too; with ``kept``,
             a share of them stays where it is
``items``    each item's own intensities in a random order: what an item gets stays, who gave it is
             lost; no placebo, then, but what is left of the signal without the person
============ ======================================================================================

Histories, items and order stay. An injection that gains as much on a placebo has changed the
architecture and not used the signal.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqattn.config import TrainConfig
from seqattn.data.dataset import Dataset
from seqattn.data.planted import with_planted
from seqattn.data.sequences import Sequences
from seqattn.errors import SeqattnError


def with_intensities(dataset: Dataset, config: TrainConfig, seed: int) -> Dataset:
    """Return the dataset with the intensities that a training's settings ask for.

    Raises
    ------
    SeqattnError
        They ask for a placebo, and the dataset has no intensity.
    """
    if config.intensity == "planted":
        dials = config.planted_p, config.planted_tail, config.planted_popularity
        return with_planted(dataset, *dials, seed, next_only=config.planted_next)
    return with_placebo(dataset, config.intensity, seed, kept=config.kept_intensity)


def with_placebo(dataset: Dataset, kind: str, seed: int, *, kept: float = 0.0) -> Dataset:
    """Return the dataset with a placebo for its intensities; itself where `kind` is ``real``.

    Parameters
    ----------
    kind : str
        ``real``, or one of those above.
    seed : int
        The training seed: each has a random order of its own.
    kept : float
        Under ``across``, the probability with which an intensity keeps its place: a dial from
        nothing, 0, towards what the log tells. What stays at one value stays at every larger one.

    Raises
    ------
    SeqattnError
        The dataset has no intensity.
    """
    if kind == "real":
        return dataset
    if not dataset.has_intensity:
        raise SeqattnError(
            f"dataset {dataset.name!r} has no intensity that a placebo could replace; take one "
            "that has, or leave `intensity` out of the training settings"
        )
    histories = dataset.sequences
    told = replace(histories, intensity=_placebo(histories, kind, seed, kept))
    return dataset.with_histories(told)


def _placebo(histories: Sequences, kind: str, seed: int, kept: float) -> np.ndarray:
    rng, real_n = np.random.default_rng(seed), np.asarray(histories.intensity)
    if kind == "constant":
        return np.full_like(real_n, np.median(real_n))
    order_n = rng.permutation(len(real_n))
    if kind in ("within", "items"):  # a random order among those of one user, or item
        group_n = histories.user_of_row if kind == "within" else histories.items
        places_n = np.argsort(group_n, kind="stable")
        order_n[places_n] = order_n[np.argsort(group_n[order_n], kind="stable")]
    moved_n = np.random.default_rng([seed, 1]).random(len(real_n)) >= kept
    told_n = real_n.copy()
    told_n[moved_n] = real_n[order_n[moved_n[order_n]]]
    return told_n
