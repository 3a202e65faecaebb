"""The bootstrap of a mean for many cells at once, as a matrix product.

A resample of n entries is a row of counts: how often each entry was drawn. The resampled means
of every cell are then ``differences @ counts.T / n``. One row of counts serves all cells, so the
random draws, which dominate a bootstrap's time, are made once and not once a cell.

Shapes: C cells, n resampled entries, B resamples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from seqattn.errors import SeqattnError
from seqattn.stats.inputs import ALPHA, Floats, as_floats

# Counts held at once: 64 MiB, a block large enough for an efficient product.
_CHUNK_ENTRIES = 1 << 23


def bootstrap_means(differences: ArrayLike, n_resamples: int = 2000, seed: int = 0) -> Floats:
    r"""Resampled means of each row, all rows sharing the same resamples.

    .. math:: \bar d^{*}_{cb} = \frac1n \sum_{i=1}^{n} W_{bi}\, d_{ci}, \qquad
        W_b \sim \mathrm{Multinomial}(n; 1/n, \dots, 1/n)

    The weights W depend on `seed`, n and `n_resamples` alone: a row's result does not depend on
    which other rows are given.

    Parameters
    ----------
    differences
        Shape (C, n), or (n,) for one row.
    n_resamples
        B.
    seed
        Not negative.

    Returns
    -------
    ndarray
        Shape (C, B), or (B,) for one row. Means within rounding of zero are exactly zero, so
        that ties with zero are counted as ties on every machine.

    Raises
    ------
    SeqattnError
        If a value is not finite, an axis is empty, or `n_resamples` or `seed` is out of range.

    References
    ----------
    Efron & Tibshirani 1993, chapter 6; [IA] section 4.3 (ii).

    Examples
    --------
    >>> means = bootstrap_means([-1, 0, 1, 2, 3, 4])
    >>> means.shape, percentile_interval(means).round(2).tolist()
    ((2000,), [0.0, 2.83])
    """
    values = as_floats(differences, "differences")
    if values.ndim not in (1, 2) or not values.size:
        raise SeqattnError(f"differences has shape {values.shape}; expected (cells, n) or (n,)")
    if n_resamples < 1 or seed < 0:
        raise SeqattnError(
            f"n_resamples is {n_resamples} and seed is {seed}; give at least 1 resample and a "
            "non-negative seed"
        )
    values_Cn = np.atleast_2d(values)
    n = values_Cn.shape[1]
    means_CB = np.empty((len(values_Cn), n_resamples))
    start = 0
    for weights_bn in _resample_weights(n, n_resamples, seed):
        stop = start + len(weights_bn)
        means_CB[:, start:stop] = values_Cn @ weights_bn.T / n
        start = stop
    rounding = 1e-13 * np.abs(values_Cn).max(axis=1, keepdims=True)
    means_CB[np.abs(means_CB) <= rounding] = 0.0
    return means_CB if values.ndim == 2 else means_CB[0]


def _resample_weights(n: int, n_resamples: int, seed: int) -> Iterator[Floats]:
    """Yield counts of draws, (rows, n), in chunks; each is a view that holds until the next."""
    # n in the seed: a cell's pooled and clustered resamples must not come from one stream.
    generator = np.random.default_rng([seed, n])
    buffer_bn = np.empty((min(n_resamples, max(1, _CHUNK_ENTRIES // n)), n))
    for start in range(0, n_resamples, len(buffer_bn)):
        weights_bn = buffer_bn[: n_resamples - start]
        for weights_n in weights_bn:  # one at a time: its draws and counts stay in cache
            weights_n[:] = np.bincount(generator.integers(n, size=n), minlength=n)
        yield weights_bn


def require_resamples(n_resamples: int) -> None:
    """Refuse so few resamples that `bootstrap_p_value` could never reject.

    Raises
    ------
    SeqattnError
        They are.
    """
    if n_resamples * ALPHA <= 1:
        raise SeqattnError(
            f"n_resamples is {n_resamples}: the smallest p-value, 1/{n_resamples}, could never "
            f"fall below {ALPHA}; give more than {1 / ALPHA:.0f}"
        )


def bootstrap_p_value(means: ArrayLike) -> Floats:
    r"""Two-sided p-value from bootstrap means, never below what B resamples can resolve.

    .. math:: p = \min\{1, \max\{1/B,\ 2 \min(\Pr[\bar d^* \le 0], \Pr[\bar d^* \ge 0])\}\}

    The floor 1/B limits corrections too: Holm over m cells multiplies it by m, so B = 2,000
    cannot reject a single one of 252 cells at 0.05 (252 / 2000 = 0.126). The means have shape
    (..., B), the result (...).

    References
    ----------
    [IA] section 4.3 (ii). The paper states no cap at 1; without it, ties with zero give p > 1.
    """
    means = as_floats(means, "means")
    tail = np.minimum((means <= 0).mean(axis=-1), (means >= 0).mean(axis=-1))
    return np.minimum(1.0, np.maximum(1.0 / means.shape[-1], 2 * tail))


def percentile_interval(means: ArrayLike) -> Floats:
    """Return low and high, (..., 2): the 2.5 % and 97.5 % quantiles of means, (..., B).

    References
    ----------
    Efron & Tibshirani 1993, chapter 13; [IA] section 4.3 (ii).
    """
    quantiles = np.quantile(as_floats(means, "means"), [ALPHA / 2, 1 - ALPHA / 2], axis=-1)
    return np.moveaxis(quantiles, 0, -1)
