"""Equivalence: evidence for "no effect worth naming", which a large p-value is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seqattn.errors import SeqattnError
from seqattn.stats.inputs import as_pair, check_alpha
from seqattn.stats.paired import standardised
from seqattn.stats.records import Record


@dataclass(frozen=True)
class Tost(Record):
    """Result of `tost_paired`; `ci` covers 1 - 2 alpha, and lies inside +-margin if equivalent."""

    p_value: float
    p_lower: float
    p_upper: float
    difference: float
    ci: tuple[float, float]
    margin: float
    alpha: float
    equivalent: bool


def tost_paired(base: ArrayLike, variant: ArrayLike, margin: float, *, alpha: float = 0.05) -> Tost:
    r"""Two one-sided paired t-tests: evidence that the mean difference is within +-margin.

    .. math:: t_L = \frac{\bar d + m}{s_d / \sqrt n}, \quad t_U = \frac{\bar d - m}{s_d / \sqrt n},
        \quad p = \max\{\Pr[T_{n-1} \ge t_L], \Pr[T_{n-1} \le t_U]\}

    Parameters
    ----------
    base, variant
        Shape (n,): seed means, or one value a user averaged over seeds. Not seeds x users pooled:
        pseudo-replication shrinks the standard error and makes equivalence look proven.
    margin
        m > 0, in units of the metric. Choose it before looking, as the smallest difference that
        would matter (for instance 2 % of the baseline's mean), and state it.
    alpha
        Level of each one-sided test.

    Returns
    -------
    Tost
        `p_lower` tests against "d <= -margin", `p_upper` against "d >= margin".

    Raises
    ------
    SeqattnError
        If the shapes differ, there are fewer than 2 entries, a value is not finite, or `margin`
        or `alpha` is out of range.

    Notes
    -----
    When all differences are equal each p is the limit: 0 inside the margin, 0.5 at it, 1 beyond.

    References
    ----------
    Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15(6).
    """
    base, variant = as_pair(base, variant, ndim=1)
    check_alpha(alpha)
    if not (np.isfinite(margin) and margin > 0):
        raise SeqattnError(f"margin is {margin}; give a positive difference in metric units")
    mean, spread, _ = standardised(base, variant)
    df, error = len(base) - 1, spread / np.sqrt(len(base))
    p_lower = _lower_tail(-(mean + margin), error, df)
    p_upper = _lower_tail(mean - margin, error, df)
    reach = float(special.stdtrit(df, 1 - alpha) * error)
    p_value = max(p_lower, p_upper)
    return Tost(
        p_value=p_value,
        p_lower=p_lower,
        p_upper=p_upper,
        difference=mean,
        ci=(mean - reach, mean + reach),
        margin=float(margin),
        alpha=alpha,
        equivalent=p_value < alpha,
    )


def _lower_tail(numerator: float, error: float, df: int) -> float:
    """Return Pr[T <= numerator / error], with its limit for a zero standard error."""
    if error == 0:
        return float(np.heaviside(numerator, 0.5))
    return float(special.stdtr(df, numerator / error))
