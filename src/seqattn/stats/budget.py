"""What more trials of a search are worth: the best of n against the best of more.

A search keeps the trial that is best on validation, so its value is the largest of n draws, and
grows with n even if all trials are equally good.

Shapes: T trials of a search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from seqattn.errors import SeqattnError
from seqattn.stats.inputs import Floats


def worth_of_trials(values_T: ArrayLike, *, n: int, factor: int = 4) -> tuple[float, float]:
    """Return what the best of `n` stored trials and of ``factor * n`` is in expectation.

    The means over all ways to draw so many different trials: what resampling tends to. The trials
    should not depend on one another, as those of a random search: a sampler that learns makes late
    trials better than early ones, and the difference is then no longer that of luck.

    Raises
    ------
    SeqattnError
        If there are fewer trials than are to be drawn, or a value is not finite.
    """
    values_T = np.sort(np.asarray(values_T, dtype=float))
    if not 1 <= n * factor <= len(values_T):
        raise SeqattnError(
            f"the best of {factor} x {n} trials needs as many; there are {len(values_T)}"
        )
    if not np.isfinite(values_T).all():
        raise SeqattnError("a trial's value is not finite; leave such trials out")
    return _expected_best(values_T, n), _expected_best(values_T, n * factor)


def _expected_best(sorted_T: Floats, n: int) -> float:
    """Return the mean of the largest of n: the i-th smallest is it in C(i - 1, n - 1) draws."""
    i = np.arange(n, len(sorted_T) + 1)
    log_ways = gammaln(i) - gammaln(i - n + 1)
    return float(np.average(sorted_T[n - 1 :], weights=np.exp(log_ways - log_ways.max())))
