"""Intensity normalisation, written so that no T x T matrix is ever needed.

Each mode turns raw intensities into a matrix ``M[q, k]``, the intensity of key ``k`` as seen by
query ``q``. All four modes are affine in the key's own value,

    M[q, k] = a_q * w_k + b_q,

so three vectors per history say everything, and fused attention can use them directly.

Shapes: B histories, T positions (right-padded), S queries.

References
----------
[IA] Shyrallyiev and Pyshnograiev (2026), section 3.4. Derived in the book, page "Injection".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqattn.config import NORMALISATIONS, SCOPES
from seqattn.errors import SeqattnError

FLOOR = 0.1  # min-max maps the weakest real interaction here, away from padding's 0


class Signal(NamedTuple):
    """Normalised intensity in affine form, ``M[q, k] = a_q * w_k + b_q``.

    Keys stand at all T positions, queries at the last S of them: S is T except in a model's last
    layer, which computes only the queries whose output is wanted.

    Attributes
    ----------
    w_BT : Tensor, shape (B, T)
        Of each key: its raw intensity (for ``log1p_minmax`` the logarithm), 0 at padding.
    a_BT, b_BT : Tensor, shape (B, S)
        Of each query: the statistics of what it may look back on.
    """

    w_BT: Tensor
    a_BT: Tensor
    b_BT: Tensor

    @property
    def w_BS(self) -> Tensor:
        """The queries' own ``w``, shape (B, S), so that ``a w_BS + b`` is ``M[q, q]``."""
        return self.w_BT[:, -self.a_BT.shape[1] :]


def normalise(raw_BT: Tensor, real_BT: Tensor, mode: str, scope: str = "causal") -> Signal:
    """Normalise raw intensities over each history.

    Parameters
    ----------
    raw_BT : Tensor, shape (B, T)
        Not negative: stars, hours, counts.
    real_BT : Tensor of bool, shape (B, T)
        True at real interactions, which come first; False at padding.
    mode : str
        ``log1p_minmax``, ``minmax``, ``zscore`` or ``none``.
    scope : str
        ``causal``: query q uses statistics of positions <= q, so no future intensity leaks.
        ``prefix``: one set of statistics over the whole history, as [IA] has for each training
        prefix; only the last position of such a history may then be trained on.

    Returns
    -------
    Signal
        ``w`` is 0 at padding.

    Raises
    ------
    SeqattnError
        If `mode` or `scope` is unknown.

    Examples
    --------
    One history of three interactions and a position of padding. Row q of M holds what query q may
    look back on; its largest intensity so far counts 1, its smallest 0.1:

    >>> raw = torch.tensor([[1.0, 4.0, 2.0, 0.0]])
    >>> w, a, b = normalise(raw, raw > 0, "minmax")
    >>> m = a[0, :, None] * w[0] + b[0, :, None]
    >>> m[:3, :3].tril()
    tensor([[1.0000, 0.0000, 0.0000],
            [0.1000, 1.0000, 0.0000],
            [0.1000, 1.0000, 0.4000]])
    """
    if mode not in NORMALISATIONS:
        raise SeqattnError(
            f"unknown normalisation {mode!r}; choose one of {', '.join(NORMALISATIONS)}"
        )
    if scope not in SCOPES:
        raise SeqattnError(f"unknown scope {scope!r}; choose one of {', '.join(SCOPES)}")
    raw_BT = raw_BT.masked_fill(~real_BT, 0.0)
    w_BT = torch.log1p(raw_BT) if mode == "log1p_minmax" else raw_BT
    a_BT, b_BT = _COEFFICIENTS[mode](w_BT)
    if scope == "prefix":
        last_B1 = (real_BT.sum(dim=1, keepdim=True) - 1).clamp(min=0)
        a_BT = a_BT.gather(1, last_B1).expand_as(w_BT)
        b_BT = b_BT.gather(1, last_B1).expand_as(w_BT)
    return Signal(w_BT, a_BT, b_BT)


def _log1p_minmax(w_BT: Tensor) -> tuple[Tensor, Tensor]:
    """``log1p(w) / max log1p(w)``; despite the name, no minimum is subtracted."""
    largest_BT = w_BT.cummax(dim=1).values
    return _safe_inverse(largest_BT), torch.zeros_like(w_BT)


def _minmax(w_BT: Tensor) -> tuple[Tensor, Tensor]:
    """``f + (1-f) (w - min) / (max - min)``; a constant history maps to 1.

    Written as ``a w + b`` in single precision, values that are large beside their spread lose
    digits: to about 2e-4 for values near 5,000 that differ by 1, to about 0.02 near 350,000. The
    same holds for `_zscore`. An intensity in cents or bytes is better divided first.
    """
    smallest_BT, largest_BT = w_BT.cummin(dim=1).values, w_BT.cummax(dim=1).values
    constant_BT = largest_BT == smallest_BT
    a_BT = (1 - FLOOR) * _safe_inverse(largest_BT - smallest_BT)
    b_BT = torch.where(constant_BT, torch.ones_like(w_BT), FLOOR - a_BT * smallest_BT)
    return a_BT, b_BT


def _zscore(w_BT: Tensor) -> tuple[Tensor, Tensor]:
    """``(w - mean) / std`` with the population std; a constant history maps to 0."""
    constant_BT = w_BT.cummax(dim=1).values == w_BT.cummin(dim=1).values
    # Running moments in float64, shifted by the first value, so that a long history of large
    # values loses no digits to cancellation.
    first_B1 = w_BT[:, :1].double()
    shifted_BT = w_BT.double() - first_B1
    n_T = torch.arange(1, w_BT.shape[1] + 1, device=w_BT.device)
    mean_BT = shifted_BT.cumsum(dim=1) / n_T
    variance_BT = (shifted_BT.square().cumsum(dim=1) / n_T - mean_BT.square()).clamp(min=0)
    a_BT = _safe_inverse(variance_BT.sqrt()).masked_fill(constant_BT, 0.0)
    b_BT = -a_BT * (mean_BT + first_B1)
    return a_BT.to(w_BT.dtype), b_BT.to(w_BT.dtype)


def _none(w_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Raw values, unchanged."""
    return torch.ones_like(w_BT), torch.zeros_like(w_BT)


def _safe_inverse(x: Tensor) -> Tensor:
    """Return 1/x, and 0 where x is 0 (a history whose statistic vanishes carries no signal)."""
    return torch.where(x == 0, torch.zeros_like(x), 1 / torch.where(x == 0, torch.ones_like(x), x))


_COEFFICIENTS = {"log1p_minmax": _log1p_minmax, "minmax": _minmax, "zscore": _zscore, "none": _none}
