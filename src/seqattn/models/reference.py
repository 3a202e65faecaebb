"""The three injections written as the paper prints them, with every T x T matrix in full.

For reading, and as the oracle that the fused forms in `seqattn.models.injection` are tested
against. Slow and memory-hungry on purpose; nothing trains with it.

References
----------
[IA] Shyrallyiev and Pyshnograiev (2026), equations (1)-(4) and section 3.4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqattn.models.intensity import FLOOR


def intensity_matrix(raw_T: Tensor, mode: str) -> Tensor:
    """Return ``M``, shape (T, T), for one unpadded history with causal scope.

    Row q normalises the intensities of positions 0..q by themselves; entries with k > q, which
    the causal mask hides, are 0.
    """
    n = len(raw_T)
    m_TT = raw_T.new_zeros(n, n)
    for q in range(n):
        m_TT[q, : q + 1] = _normalise_history(raw_T[: q + 1], mode)
    return m_TT


def _normalise_history(w: Tensor, mode: str) -> Tensor:
    if mode == "none":
        return w
    if mode == "log1p_minmax":
        largest = torch.log1p(w).max()
        return torch.log1p(w) / largest if largest > 0 else torch.zeros_like(w)
    if mode == "minmax":
        if w.max() == w.min():
            return torch.ones_like(w)
        return FLOOR + (1 - FLOOR) * (w - w.min()) / (w.max() - w.min())
    if mode == "zscore":
        if w.max() == w.min():
            return torch.zeros_like(w)
        return (w - w.mean()) / w.std(correction=0)
    raise ValueError(mode)


def attention(
    q_TF: Tensor,
    k_TF: Tensor,
    v_TF: Tensor,
    m_TT: Tensor | float = 0.0,
    lam: Tensor | float = 0.0,
    place: str | None = None,
) -> Tensor:
    """Return causal attention's context, shape (T, F), for one history and one head.

    Parameters
    ----------
    q_TF, k_TF, v_TF : Tensor, shape (T, F)
        Queries (not yet scaled), keys and values.
    m_TT : Tensor, shape (T, T)
        Normalised intensity as each query sees it; SASRec reads none.
    lam : Tensor or float
    place : str or None
        ``add``, ``mul``, ``val``, or None for SASRec, equation (1).
    """
    t = len(q_TF)
    future_TT = torch.ones(t, t, dtype=torch.bool, device=q_TF.device).triu(1)
    logits_TT = q_TF @ k_TF.T / math.sqrt(q_TF.shape[-1])
    if place == "add":
        logits_TT = logits_TT + lam * m_TT
    if place == "mul":
        logits_TT = logits_TT * (1 + lam * (m_TT - 1))
    weights_TT = torch.softmax(logits_TT.masked_fill(future_TT, -torch.inf), dim=-1)
    if place == "val":
        weights_TT = weights_TT * (1 + lam * (m_TT - 1))
    return weights_TT @ v_TF
