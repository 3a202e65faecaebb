"""Intensity as side information: what the field does with any attribute of an interaction.

Where [IA] lets one number rescale attention, these describe an intensity by weights of its own, and
keep it out of the values as far as they can. An intensity enters by its place u among those of the
training log (`seqattn.models.key_bias.Quantiles`): by hats ``phi(u)`` at `KNOTS` quantiles, or by
its bin. Where all intensities are equal, DIF-SR is SASRec, as a bias alike for all keys cancels.
NOVA and side keys are not: a constant attribute still adds a learned vector, and a placebo of equal
intensities shows what that is worth.

Shapes: B batch, H heads, T positions, S queries, F features a head; M knots or bins.

References
----------
NOVA: Liu et al. (2021). DIF-SR: Xie, Zhou and Kim (2022). Both written anew from their equations.
"""

# `Backbone.signal` sees to it that injections get a signal; mypy cannot know.
# mypy: disable-error-code="union-attr"

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.models.injection import Injection
from seqattn.models.intensity import Signal
from seqattn.models.key_bias import BINS, KNOTS, LEVELS, Quantiles, bins, hats, with_feature
from seqattn.models.positions import distances


class SideInformation(Injection):
    """Base: places intensities among those of the training log."""

    reads_intensity = True

    def __init__(self) -> None:
        super().__init__()
        self.quantiles = Quantiles()

    def tell(self, w_n: Tensor) -> None:
        """Place intensities among those of the training log."""
        self.quantiles.tell(w_n)


class Nova(SideInformation):
    """NOVA's non-invasive fusion by a sum: queries and keys see the attribute, values do not.

    ``softmax((q + phi(w_q) A)(k + phi(w_k) C)' / sqrt(F) + mask) v``. NOVA adds one side vector s
    to the input of queries and keys, ``(x + s) W_Q``; here ``s W_Q`` and ``s W_K`` are tables A and
    C of their own, a row a knot, for each layer. Both start at 0, which is SASRec. No feature is
    added. Source: Liu et al. (2021), "add".
    """

    reads_queries = adds_vectors = True
    queries_HMF: nn.Parameter
    keys_HMF: nn.Parameter

    def complete(self, config: ModelConfig) -> None:
        """Make both tables."""
        shape = (config.n_heads, KNOTS, config.hidden_size // config.n_heads)
        self.queries_HMF = nn.Parameter(torch.zeros(shape))
        self.keys_HMF = nn.Parameter(torch.zeros(shape))

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Add to queries and keys."""
        asked, told = (hats(self.quantiles(w), KNOTS)[:, None] for w in (signal.w_BS, signal.w_BT))
        q = q_BHTF + asked.to(q_BHTF.dtype) @ self.queries_HMF / math.sqrt(q_BHTF.shape[-1])
        return q, k_BHTF + told.to(k_BHTF.dtype) @ self.keys_HMF, v_BHTF


class DifSr(SideInformation):
    """DIF-SR's decoupled fusion by a sum: attributes have a logit of their own beside the items'.

    ``softmax(q.k / sqrt(d) + phi(w_q) G_h phi(w_k)' + mask) v``. DIF-SR writes ``s_q W_Q (s_k
    W_K)'``; of an attribute that is one number described by M hats, and at least M features a head,
    that is any M x M matrix G_h, learned here as such, from 0, which is SASRec. A G_h of equal rows
    is `seqattn.models.key_bias.TokenGate`. ``q+ = [q, phi(w_q) G_h]``, ``k+ = [k, phi(w_k)]``: M
    more features. Positions stay in the input, and its auxiliary prediction of attributes is left
    out, so that only the fusion differs. Source: Xie, Zhou and Kim (2022), "sum".
    """

    reads_queries = True
    matrix_HMM: nn.Parameter

    def complete(self, config: ModelConfig) -> None:
        """Make a matrix a head."""
        self.matrix_HMM = nn.Parameter(torch.zeros(config.n_heads, KNOTS, KNOTS))

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Append M features to queries and keys."""
        asked, told = (hats(self.quantiles(w), KNOTS)[:, None] for w in (signal.w_BS, signal.w_BT))
        asked = (asked.to(self.matrix_HMM.dtype) @ self.matrix_HMM).to(q_BHTF.dtype)
        told = told.to(k_BHTF.dtype).expand(*k_BHTF.shape[:-1], KNOTS)
        return torch.cat([q_BHTF, asked], dim=-1), torch.cat([k_BHTF, told], dim=-1), v_BHTF

    def learned(self) -> dict[str, list]:
        """Return ``bias``, a curve a head over the key's `LEVELS`, the mean over the query's."""
        phi_LM = hats(torch.tensor(LEVELS).to(self.matrix_HMM), KNOTS)
        return {"bias": (phi_LM.mean(0) @ self.matrix_HMM @ phi_LM.T).tolist()}


class SideKeys(SideInformation):
    """A token of its own for each intensity: a second key and value, that of its bin.

    Attention is over 2 T keys, ``softmax([q.k_1, ..., q.k_T, q.k'_1 + g, ..., q.k'_T + g])``, with
    ``k'_i``, ``v'_i`` the rows of two tables at the bin of w_i and a learned g, the log-odds of a
    side key against an item's. A query may look at a side key where it may look at the item. Tables
    and g start at 0; SASRec is g = -inf. Tokens set between the items would be queries as well and
    cost four times the attention; these cost twice. It takes an explicit mask, so no kernel that
    knows causal masks alone can fuse it. Source: our reading of a proposal in [IA], section 8.
    """

    adds_keys = adds_vectors = True
    keys_HMF: nn.Parameter
    values_HMF: nn.Parameter
    log_odds: nn.Parameter

    def complete(self, config: ModelConfig) -> None:
        """Make the tables and the log-odds."""
        shape = (config.n_heads, BINS, config.hidden_size // config.n_heads)
        self.keys_HMF = nn.Parameter(torch.zeros(shape))
        self.values_HMF = nn.Parameter(torch.zeros(shape))
        self.log_odds = nn.Parameter(torch.zeros(()))

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Append T keys and values, and a feature that holds the log-odds."""
        bin_B1TM = bins(self.quantiles(signal.w_BT), BINS)[:, None].to(k_BHTF.dtype)
        side_k, side_v = bin_B1TM @ self.keys_HMF, bin_B1TM @ self.values_HMF
        side_k = with_feature(side_k, self.log_odds)
        k = torch.cat([with_feature(k_BHTF, 0.0), side_k.to(k_BHTF.dtype)], dim=2)
        v = torch.cat([v_BHTF, side_v.to(v_BHTF.dtype)], dim=2)
        return with_feature(q_BHTF, 1.0), k, v

    def seen(
        self, q_BHTF: Tensor, k_BHTF: Tensor, mask: Tensor | None, bias: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the mask twice; side keys have no position, and no bias by it."""
        if mask is None:
            mask = distances(q_BHTF.shape[2], k_BHTF.shape[2] // 2, q_BHTF.device) >= 0
        if bias is not None:
            bias = torch.cat([bias, torch.zeros_like(bias)], dim=-1)
        return torch.cat([mask, mask], dim=-1), bias

    def by_position(self, weights_BHTT: Tensor) -> Tensor:
        """Return what is read of each interaction, its item and its intensity together."""
        item, side = weights_BHTT.chunk(2, dim=-1)
        return item + side
