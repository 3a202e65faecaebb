"""Where intensity enters attention: one small class per idea.

An injection rewrites (q, k, v) before fused attention and the context after it. With
``M[q, k] = a_q w_k + b_q`` (see `seqattn.models.intensity`) each of the three published variants is
ordinary attention over a few more features, so no T x T intensity matrix exists.

Shapes: B batch, H heads, T positions, F features a head. In a model's last layer queries, context
and the signal's a and b are those of the last S positions only; keys, values and w are of all T.
Queries arrive already divided by sqrt(F). One learnable scalar lambda per layer, shared by heads,
starts at 1; lambda = 0 is SASRec.

References
----------
[IA] Shyrallyiev and Pyshnograiev (2026), equations (2)-(4). Fused forms: book page "Injection".
"""

# A run remembers the code of its injection (`seqattn.runs.code`), so the variants stay as they are.
# `Backbone.signal` sees to it that they get a signal; mypy cannot know.
# mypy: disable-error-code="union-attr,arg-type"

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.models.intensity import Signal


class Injection(nn.Module):
    """No injection: plain scaled dot-product attention, which is SASRec.

    What an idea may need beside `before` and `after` does nothing here.
    """

    reads_intensity = False  # of one without a lambda: whether it needs a signal
    reads_queries = False  # whether a query's own intensity matters
    adds_keys = False  # whether `before` returns more keys than positions
    adds_vectors = False  # whether it adds to queries or keys what has no position

    def complete(self, config: ModelConfig) -> None:
        """Make what depends on the model's sizes."""

    def tell(self, w_n: Tensor) -> None:
        """Take note of how ``w`` of `Signal` is distributed in the training log, (n,)."""

    def learned(self) -> dict[str, list]:
        """Return what a run's record keeps of what was learned, but for lambda."""
        return {}

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the queries, keys and values that attention will see."""
        return q_BHTF, k_BHTF, v_BHTF

    def after(self, context_BHTF: Tensor, signal: Signal | None) -> Tensor:
        """Return the context, of shape (B, H, S, F), that the output projection will see."""
        return context_BHTF

    def seen(
        self, q_BHTF: Tensor, k_BHTF: Tensor, mask: Tensor | None, bias: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return where queries may look among the keys of `before`, and the bias of each logit."""
        return mask, bias

    def by_position(self, weights_BHTT: Tensor) -> Tensor:
        """Return an attention map of positions, from one of the keys of `before`."""
        return weights_BHTT


class IntensityInjection(Injection):
    """Base of the intensity-aware injections: owns lambda, a scalar that is recorded every epoch.

    An idea that learns more than that keeps it in parameters of its own, beside ``lam``.
    """

    def __init__(self) -> None:
        super().__init__()
        # A constant, not a random draw: baseline and variants keep common random numbers.
        self.lam = nn.Parameter(torch.ones(()))


class Add(IntensityInjection):
    """Additive logit bias, [IA] equation (2).

    ``softmax(q.k / sqrt(d) + lambda M + mask) v``. The part of M that is constant along a row
    (b_q) cancels in the softmax; the rest is one extra feature: ``q+ = [q, lambda a_q]``,
    ``k+ = [k, w_k]``.
    """

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Append one feature to queries and keys."""
        a, w = self.lam * _column(signal.a_BT), _column(signal.w_BT)
        return _append(q_BHTF, a), _append(k_BHTF, w), v_BHTF


class Mul(IntensityInjection):
    """Multiplicative logit scale, [IA] equation (3).

    ``softmax(q.k / sqrt(d) * (1 + lambda (M - 1)) + mask) v``. Writing the factor as
    ``(1 + lambda (b_q - 1)) + lambda a_q w_k`` gives ``q+ = [(1 + lambda (b_q - 1)) q,
    lambda a_q q]`` and ``k+ = [k, w_k k]``.
    """

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Double the features of queries and keys."""
        constant, slope = _factor(self.lam, signal)
        q = torch.cat([constant * q_BHTF, slope * q_BHTF], dim=-1)
        k = torch.cat([k_BHTF, _column(signal.w_BT) * k_BHTF], dim=-1)
        return q.to(q_BHTF.dtype), k.to(k_BHTF.dtype), v_BHTF


class Val(IntensityInjection):
    """Reweighted attention, [IA] equation (4).

    ``[softmax(q.k / sqrt(d) + mask) * (1 + lambda (M - 1))] v``, after attention dropout and not
    renormalised. ``v+ = [v, w_k v]``; the context is ``(1 + lambda (b_q - 1))`` times its first
    half plus ``lambda a_q`` times its second.
    """

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Double the features of values."""
        v = torch.cat([v_BHTF, _column(signal.w_BT) * v_BHTF], dim=-1)
        return q_BHTF, k_BHTF, v.to(v_BHTF.dtype)

    def after(self, context_BHTF: Tensor, signal: Signal | None) -> Tensor:
        """Combine the two halves with the query's coefficients."""
        constant, slope = _factor(self.lam, signal)
        plain, weighted = context_BHTF.chunk(2, dim=-1)
        return (constant * plain + slope * weighted).to(context_BHTF.dtype)


def _column(x_BT: Tensor) -> Tensor:
    return x_BT[:, None, :, None]


def _append(x_BHTF: Tensor, feature_B1T1: Tensor) -> Tensor:
    feature = feature_B1T1.to(x_BHTF.dtype).expand(*x_BHTF.shape[:-1], 1)
    return torch.cat([x_BHTF, feature], dim=-1)


def _factor(lam: Tensor, signal: Signal) -> tuple[Tensor, Tensor]:
    """Return (c_q, s_q) with ``1 + lambda (M[q, k] - 1) = c_q + s_q w_k``."""
    return 1 + lam * (_column(signal.b_BT) - 1), lam * _column(signal.a_BT)
