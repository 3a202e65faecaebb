"""What more trials of a search are worth: the best of n against the best of more.

A search keeps the trial that is best on validation, so its value is the largest of n draws, and
grows with n even if all trials are equally good. What counts is what that trial gains elsewhere.

Shapes: T trials of a search, D draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from seqattn.errors import SeqattnError


@dataclass(frozen=True)
class Worth:
    """Means over draws: the best validation of n and of more trials, and what those have on test.

    The test values are NaN where none were given.
    """

    valid_n: float
    valid_more: float
    test_n: float
    test_more: float

    @property
    def gain_valid(self) -> float:
        """What the further trials add on validation, where the best is chosen."""
        return self.valid_more - self.valid_n

    @property
    def gain_test(self) -> float:
        """What they add on test, where it is not."""
        return self.test_more - self.test_n


def worth_of_trials(
    valid_T: ArrayLike,
    test_T: ArrayLike | None = None,
    *,
    n: int,
    factor: int = 4,
    draws: int = 2_000,
    seed: int = 0,
) -> Worth:
    """Resample stored trials: the best of `n` of them against the best of ``factor * n``.

    A draw takes ``factor * n`` different trials at random and compares its first n with all of it.
    The trials should not depend on one another, as those of a random search: a sampler that learns
    makes late trials better than early ones, and the difference is then no longer that of luck.

    Raises
    ------
    SeqattnError
        If there are fewer trials than are to be drawn, or a value is not finite.
    """
    valid_T = np.asarray(valid_T, dtype=float)
    no_test = test_T is None
    test_T = np.full(len(valid_T), np.nan) if no_test else np.asarray(test_T, dtype=float)
    if not 1 <= n * factor <= len(valid_T) or len(test_T) != len(valid_T):
        raise SeqattnError(
            f"the best of {factor} x {n} trials needs as many; there are {len(valid_T)} values of "
            f"validation and {len(test_T)} of test"
        )
    if not (np.isfinite(valid_T) & (no_test | np.isfinite(test_T))).all():
        raise SeqattnError("a trial's value is not finite; leave such trials out")
    rng, rows = np.random.default_rng(seed), np.arange(draws)
    order_DM = np.argsort(rng.random((draws, len(valid_T))), axis=1)[:, : n * factor]
    few_D = order_DM[rows, valid_T[order_DM[:, :n]].argmax(axis=1)]
    more_D = order_DM[rows, valid_T[order_DM].argmax(axis=1)]
    means = (values[best].mean() for values in (valid_T, test_T) for best in (few_D, more_D))
    return Worth(*map(float, means))


def expected_best(values_T: ArrayLike, n: int) -> float:
    """Return the mean of the largest of n different values out of T, an order statistic.

    ``sum_i x_(i) C(i - 1, n - 1) / C(T, n)`` over the sorted values.

    Raises
    ------
    SeqattnError
        If n is not between 1 and T.
    """
    sorted_T = np.sort(np.asarray(values_T, dtype=float))
    t = len(sorted_T)
    if not 1 <= n <= t:
        raise SeqattnError(f"the best of {n} out of {t} values; give at least one and no more")
    i = np.arange(n, t + 1)
    log_share = _log_choose(i - 1, n - 1) - _log_choose(np.array(t), n)
    return float(np.exp(log_share) @ sorted_T[n - 1 :])


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
