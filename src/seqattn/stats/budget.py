"""What more trials of a search are worth: the best of n against the best of more.

A search keeps the trial that is best on validation, so its value is the largest of n draws, and
grows with n even if all trials are equally good.

Shapes: T trials of a search, D draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from seqattn.errors import SeqattnError


def worth_of_trials(
    values_T: ArrayLike, *, n: int, factor: int = 4, draws: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """Resample stored trials: the best of `n` of them against the best of ``factor * n``.

    Returns the means over draws of the best of few, and of the best of more. A draw takes
    ``factor * n`` different trials at random and compares its first n with all of it.
    The trials should not depend on one another, as those of a random search: a sampler that learns
    makes late trials better than early ones, and the difference is then no longer that of luck.

    Raises
    ------
    SeqattnError
        If there are fewer trials than are to be drawn, or a value is not finite.
    """
    values_T = np.asarray(values_T, dtype=float)
    if not 1 <= n * factor <= len(values_T):
        raise SeqattnError(
            f"the best of {factor} x {n} trials needs as many; there are {len(values_T)}"
        )
    if not np.isfinite(values_T).all():
        raise SeqattnError("a trial's value is not finite; leave such trials out")
    shuffled_DT = np.random.default_rng(seed).random((draws, len(values_T))).argsort(axis=1)
    drawn_DM = values_T[shuffled_DT[:, : n * factor]]
    few_D, more_D = drawn_DM[:, :n].max(axis=1), drawn_DM.max(axis=1)
    return float(few_D.mean()), float(more_D.mean())
