"""Measures of many users' attention maps as frames, a row per user: what figures are drawn from.

Maps come as a mapping from model to stacks of shape (U, L, H, n, n): U users, L layers, H heads,
n positions. A user's value is the mean over layers and heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from seqattn.analysis.attention import l1_l2
from seqattn.analysis.rank import ranks_in_noise, singular_values

Maps = Mapping[str, np.ndarray]
COUNTED = 0.5  # a mean rank that moves by more than this counts noise


def sparsity(maps: Mapping[int, Maps]) -> pd.DataFrame:
    """Return each user's sparsity S: columns model, n, row (mean over rows), whole.

    `maps` has a mapping of stacks per size n. See `seqattn.analysis.attention.l1_l2`.
    """
    frames = []
    for n, stacks in maps.items():
        for model, stack in stacks.items():
            rows, wholes = l1_l2(stack, "row").mean(axis=(1, 2, 3)), l1_l2(stack).mean(axis=(1, 2))
            frames.append(pd.DataFrame({"model": model, "n": n, "row": rows, "whole": wholes}))
    return pd.concat(frames, ignore_index=True)


def spectra(maps: Maps) -> pd.DataFrame:
    """Return each user's singular values: columns model, index (from 1), value."""
    frames = []
    for model, stack in maps.items():
        values_Un = singular_values(stack).mean(axis=(1, 2))
        index = np.tile(np.arange(1, values_Un.shape[1] + 1), len(values_Un))
        frames.append(pd.DataFrame({"model": model, "index": index, "value": values_Un.ravel()}))
    return pd.concat(frames, ignore_index=True)


def ranks(maps: Maps, sigmas: Iterable[float]) -> pd.DataFrame:
    """Return each user's rank at each noise level: columns model, sigma, rank, optimal.

    `rank` is the published one, `optimal` by the threshold of Gavish and Donoho; see
    `seqattn.analysis.rank.ranks_in_noise`. The noise is drawn once and scaled, so that a curve over
    sigma moves because sigma does, and every model meets the same.
    """
    frames = []
    for model, stack in maps.items():
        noise = np.random.default_rng(0).standard_normal((1, *stack.shape))
        for sigma in sigmas:
            found = zip(("rank", "optimal"), ranks_in_noise(stack, sigma, noise), strict=True)
            values = {name: ranks_1ULH[0].mean(axis=(1, 2)) for name, ranks_1ULH in found}
            frames.append(pd.DataFrame({"model": model, "sigma": sigma, **values}))
    return pd.concat(frames, ignore_index=True)


def mean_by_level(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the mean over users of a column of `ranks`: a row per sigma, a column per model."""
    means = frame.groupby(["sigma", "model"])[column].mean().unstack()
    return means[list(frame["model"].unique())]


def compare_ranks(frame: pd.DataFrame, still: pd.DataFrame, low: str, high: str) -> pd.DataFrame:
    """Return the mean published rank of each model at each noise level, and what it allows to say.

    `frame` and `still` are of `ranks`, `still` at sigma = 0; the model `low` is said to have a
    lower rank than `high`.

    Returns
    -------
    DataFrame
        A row per sigma, a column per model; then `clear`, whether the noise is not counted: both of
        the pair are within 0.5 of their ranks without noise; and `holds`, whether `low` then lies
        below `high`.
    """
    means, without = mean_by_level(frame, "rank"), mean_by_level(still, "rank").iloc[0]
    pair = [low, high]
    clear = ((means[pair] - without[pair]).abs() <= COUNTED).all(axis=1)
    return means.assign(clear=clear, holds=clear & (means[low] < means[high]))
