"""How local a log is: what an interaction tells about the next one, by how far back it lies.

Nothing is trained. A log in which the last item tells much of the next one, and an earlier one
little, is local.

Shapes: G distances, N test targets, V items.

References
----------
The window: w = 2, that of [AE]'s released code, see `seqattn.models.local`.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from seqattn.data import Sequences, Split
from seqattn.errors import SeqattnError
from seqattn.stats import bootstrap_means, percentile_interval

# A window of w = 2 shows AR the last three items, and AE, which stands on a [MASK] behind them, the
# last two. The fourth last is the first that neither sees.
DISTANCES = (1, 2, 3, 4)


def chances(split: Split, distances: tuple[int, ...] = DISTANCES) -> np.ndarray:
    r"""Return the chance to guess each test target from the item that stands g places before it.

    .. math:: p_g = \frac{C_g(a, y)}{\sum_j C_g(a, j)}

    The target is y, the item g places before it a, and :math:`C_g(a, j)` counts how often j stands
    g places behind a in training histories: who draws from what training saw there is right with
    this chance. It is 0 where training saw nothing. Shape (G, N), of the targets with so many
    interactions before them that all distances have an item.

    Raises
    ------
    SeqattnError
        If there is no such target.
    """
    before, target_N = split.context("test"), split.targets("test")
    far_N = before.lengths >= max(distances)
    if not far_N.any():
        raise SeqattnError(f"no test target has {max(distances)} interactions before it")
    end_N = before.offsets[1:][far_N]
    found = [_chance(split.train, g, before.items[end_N - g], target_N[far_N]) for g in distances]
    return np.stack(found)


def _chance(train: Sequences, g: int, from_N: np.ndarray, target_N: np.ndarray) -> np.ndarray:
    first = np.flatnonzero(train.user_of_row[g:] == train.user_of_row[:-g])
    places = train.items[first], train.items[first + g]
    seen_VV = csr_array((np.ones(len(first)), places), shape=(train.n_items + 1,) * 2)
    all_V = np.asarray(seen_VV.sum(axis=1)).ravel()
    return np.asarray(seen_VV[from_N, target_N]).ravel() / np.maximum(all_V[from_N], 1)


def locality(split: Split, distances: tuple[int, ...] = DISTANCES) -> dict[str, float]:
    """Return how much better the last item lets one guess than the one farthest back.

    Returns
    -------
    dict
        targets; ``back_1`` and so on, the mean of `chances` at each distance; locality, the first
        of these over the last, 1 where it does not matter how far back an item lies, with low and
        high, a 95 % bootstrap interval over targets; NaN where the farthest never lets one guess.
    """
    chance_GN = chances(split, distances)
    means = chance_GN.mean(axis=1)
    told: dict[str, float] = {"targets": chance_GN.shape[1]}
    told |= {f"back_{g}": float(mean) for g, mean in zip(distances, means, strict=True)}
    if not means[-1]:
        return told | dict.fromkeys(("locality", "low", "high"), np.nan)
    last_B, far_B = bootstrap_means(chance_GN[[0, -1]])
    hit_B = far_B > 0  # some resamples of few targets hold none
    low, high = percentile_interval(last_B[hit_B] / far_B[hit_B])
    return told | {"locality": float(means[0] / means[-1]), "low": float(low), "high": float(high)}
