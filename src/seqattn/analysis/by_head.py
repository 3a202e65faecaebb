"""Measures of many users' attention maps, a row per layer and head: means over the users.

Maps come as a stack of shape (U, L, H, n, n): U users, L layers, H heads, n positions. No result
depends on the order of the users, nor tells anything of one of them. Layers and heads count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from seqattn.analysis.attention import l1_l2, near_share
from seqattn.analysis.rank import (
    bound_sides,
    common_noise,
    low_rank,
    median_rank,
    missed_share,
    ranks_in_noise,
    singular_values,
)

SIGMAS = tuple(np.geomspace(0.001, 0.5, 10).round(6).tolist())
DRAWS = 2  # of noise, for each level
KEPT = 5  # the rank of [AE]'s figure 2


def measures(maps: np.ndarray) -> pd.DataFrame:
    """Return the measures that need no noise level.

    Returns
    -------
    DataFrame
        layer, head; row and whole, the sparsity S of a row and of a whole map; near, the share of
        weight at most 2 positions away; median_rank, the rank by Gavish and Donoho's threshold for
        unknown noise; missed, the share of its norm that a map's approximation of rank 5 misses.
    """
    kept = min(KEPT, maps.shape[-1])
    of_map = {
        "row": l1_l2(maps, "row").mean(axis=-1),
        "whole": l1_l2(maps),
        "near": near_share(maps),
        "median_rank": median_rank(maps),
        "missed": missed_share(maps, kept),
    }
    return _rows({name: values_ULH.mean(axis=0) for name, values_ULH in of_map.items()})


def ranks(
    maps: np.ndarray, sigmas: Sequence[float] = SIGMAS, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Return ranks at each noise level, and whether the published bound holds.

    Returns
    -------
    DataFrame
        sigma, layer, head; published and optimal, the two ranks, see
        `seqattn.analysis.rank.ranks_in_noise`; left and right, the mean sides of the bound (11),
        and held, the share of maps and draws for which it holds.
    """
    noise = common_noise(maps.shape[-1], draws, seed)
    frames = []
    for sigma in sigmas:
        published, optimal = ranks_in_noise(maps, sigma, noise)
        left, right = bound_sides(maps, published, sigma)
        found: dict[str, np.ndarray] = {"published": published, "optimal": optimal}
        found |= {"left": left, "right": right[None], "held": left <= right}
        means = {name: of_draws.mean(axis=(0, 1)) for name, of_draws in found.items()}
        frames.append(_rows(means).assign(sigma=sigma))
    table = pd.concat(frames, ignore_index=True)
    return table[["sigma", *table.columns.drop("sigma")]]


def spectra(maps: np.ndarray) -> pd.DataFrame:
    """Return mean singular values, the largest first: layer, head, index (from 1), value."""
    return _rows({"value": singular_values(maps).mean(axis=0)}, "index")


def mean_maps(maps: np.ndarray) -> pd.DataFrame:
    """Return the users' mean map, and the mean of their approximations of rank 5.

    Returns
    -------
    DataFrame
        layer, head, query, at (the key; all from 1), weight and rank_5.
    """
    rank_5 = low_rank(maps, min(KEPT, maps.shape[-1])).mean(axis=0)
    return _rows({"weight": maps.mean(axis=0), "rank_5": rank_5}, "query", "at")


def _rows(values: Mapping[str, np.ndarray], *more: str) -> pd.DataFrame:
    """Return a row per layer, head and place on `more` axes, from arrays of shape (L, H, ...)."""
    places = [axis.ravel() + 1 for axis in np.indices(next(iter(values.values())).shape)]
    columns = {name: array.ravel() for name, array in values.items()}
    return pd.DataFrame(dict(zip(("layer", "head", *more), places, strict=True)) | columns)
