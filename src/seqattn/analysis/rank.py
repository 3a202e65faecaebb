r"""Rank of attention maps: how many singular values rise above noise.

[AE] adds noise to a map and counts the singular values above a threshold. It calls sigma the
"variance" of the noise but uses :math:`\sigma^2` in eq. (8) and (11), where a variance belongs;
here sigma is the standard deviation. [AE] reports no sigma and its code has no SVD, so ranks are
shown over a sweep of sigma, and beside a threshold with a derivation.

The published threshold has a weakness: it grows as :math:`\sigma \sqrt{\log 2n}`, while the
largest singular value of n x n noise is near :math:`2 \sigma \sqrt n`. Once the noise dominates,
the count is of noise: pure noise has positive published rank.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from seqattn.analysis.attention import as_maps
from seqattn.errors import SeqattnError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# The optimal hard thresholds of Gavish & Donoho 2014, section I, for square maps: in units of
# sqrt(n) sigma, and of the median singular value, 2.858. The singular values of square noise follow
# the quarter circle law, so their median is the upper quartile of the semicircle of radius 2.
KNOWN_NOISE = 4 / np.sqrt(3)
UNKNOWN_NOISE = KNOWN_NOISE / (2 * stats.semicircular.ppf(0.75))


def singular_values(maps: ArrayLike) -> Floats:
    """Singular values of each map, descending: shape (..., n, n) to (..., n).

    References
    ----------
    [AE] eq. (6) and figure 3.
    """
    return np.linalg.svd(as_maps(maps), compute_uv=False)


def low_rank(maps: ArrayLike, k: int) -> Floats:
    r"""Best rank-k approximation of each map, shape (..., n, n).

    .. math:: A_k = U_k \Sigma_k V_k

    Raises
    ------
    SeqattnError
        If the maps are not square or k is not in 0..n.

    References
    ----------
    [AE] eq. (10); optimal by Eckart & Young 1936.
    """
    maps = as_maps(maps)
    if not 0 <= k <= maps.shape[-1]:
        raise SeqattnError(f"k is {k}; give a rank between 0 and n = {maps.shape[-1]}")
    u, s, vt = np.linalg.svd(maps)
    return (u[..., :k] * s[..., None, :k]) @ vt[..., :k, :]


def missed_share(maps: ArrayLike, k: int) -> Floats:
    r"""Return the share of each map's norm that its best rank-k approximation misses, (...).

    .. math:: \|A - A_k\|_F / \|A\|_F

    By Eckart and Young that is the norm of the singular values after the first k.

    Raises
    ------
    SeqattnError
        If the maps are not square.
    """
    values = singular_values(maps)
    return np.linalg.norm(values[..., k:], axis=-1) / np.linalg.norm(values, axis=-1)


def hard_threshold(noisy: ArrayLike, sigma: float) -> Floats:
    r"""Return the published threshold on the singular values of a noisy map.

    .. math:: \tau = \sqrt{2 \left(\sigma^2 + \|\Sigma(Y)\|_F^2 / n^2\right) \log 2n}

    Y, (..., n, n), is the map with the noise added, and the result has shape (...).

    Raises
    ------
    SeqattnError
        If the maps are not square or hold NaN, or sigma is negative.

    References
    ----------
    [AE] eq. (8); natural logarithm.
    """
    noisy, sigma = as_maps(noisy), _checked(sigma)
    n = noisy.shape[-1]
    energy = np.square(noisy).sum(axis=(-2, -1))  # equals the sum of squared singular values
    return np.sqrt(2 * (sigma**2 + energy / n**2) * np.log(2 * n))


def median_rank(maps: ArrayLike) -> Ints:
    r"""Return the rank of each map by the optimal hard threshold for unknown noise, (...).

    .. math:: k = \#\{i : s_i > \omega(1)\, \operatorname{median}(s)\}, \qquad \omega(1) = 2.858

    No noise is added and no sigma is needed: most singular values are taken to be noise, and their
    median tells its size. A map of exact low rank has median 0, and its whole rank counts.

    Raises
    ------
    SeqattnError
        If the maps are not square or hold NaN.

    References
    ----------
    Gavish & Donoho 2014, section I, "unknown noise level".
    """
    values = singular_values(maps)
    rounding = 1e-12 * values[..., :1]  # what a map of exact low rank has in place of zeros
    threshold = UNKNOWN_NOISE * np.median(values, axis=-1, keepdims=True)
    return (values > np.maximum(threshold, rounding)).sum(axis=-1)


def common_noise(n: int, draws: int, seed: int = 0) -> Floats:
    """Return standard normal noise, (draws, n, n), that every user's map meets.

    With noise of its own a map's rank would depend on its place among the users.
    """
    return np.random.default_rng(seed).standard_normal((draws, n, n))


def ranks_in_noise(maps: ArrayLike, sigma: float, noise: Floats) -> tuple[Ints, Ints]:
    r"""Return each map's ranks in given noise, the published and Gavish and Donoho's, (draws, ...).

    .. math:: Y = A + \sigma E, \qquad k = \#\{i : s_i(Y) > \tau\}

    with the published :math:`\tau(Y)` of `hard_threshold`, and :math:`\tau = \frac{4}{\sqrt 3}
    \sqrt n\, \sigma`, which minimises the asymptotic squared error of the thresholded map. `noise`
    is standard normal: that of `common_noise`, (draws, n, n), or of each map, (draws, ..., n, n).

    Raises
    ------
    SeqattnError
        If the maps are not square or sigma is negative.

    References
    ----------
    [AE] eq. (7) to (9); Gavish & Donoho 2014, IEEE Trans. Information Theory 60(8), eq. (3).
    """
    maps, sigma = as_maps(maps), _checked(sigma)
    published, optimal = np.zeros((2, len(noise), *maps.shape[:-2]), dtype=np.int64)
    known = KNOWN_NOISE * np.sqrt(maps.shape[-1]) * sigma
    for draw, draw_nn in enumerate(noise):
        noisy = maps + sigma * draw_nn
        values = singular_values(noisy)
        published[draw] = (values > hard_threshold(noisy, sigma)[..., None]).sum(axis=-1)
        optimal[draw] = (values > known).sum(axis=-1)
    return published, optimal


def noise_floor(n: int, rng: np.random.Generator, draws: int = 200) -> Ints:
    """Return the published rank of noise alone, in as many draws: shape (draws,).

    The threshold grows with sigma as the noise does, so the rank is the same at every sigma. A
    rank that comes near it counts noise.
    """
    return ranks_in_noise(np.zeros((n, n)), 1.0, rng.standard_normal((draws, n, n)))[0]


def bound_sides(maps: ArrayLike, k: ArrayLike, sigma: float) -> tuple[Floats, Floats]:
    r"""Return both sides of the bound, (...) each, for given ranks k, (...).

    The right side has a closed form, in which r drops out:

    .. math:: \sum_{i > k} s_i^2 \le \sum_i \min(s_i^2, \sigma^2)

    So the bound holds where k counts all singular values above sigma, and fails where sigma is
    small beside one that k leaves out.

    Raises
    ------
    SeqattnError
        If the maps are not square or sigma is negative.

    References
    ----------
    [AE] eq. (11).
    """
    squares = singular_values(maps) ** 2
    left_out = np.arange(squares.shape[-1]) >= np.asarray(k)[..., None]
    right = np.minimum(squares, _checked(sigma) ** 2).sum(axis=-1)
    return (squares * left_out).sum(axis=-1), right


def _checked(sigma: float) -> float:
    if not (np.isfinite(sigma) and sigma >= 0):
        raise SeqattnError(f"sigma is {sigma}; give the noise's standard deviation, 0 or more")
    return float(sigma)
