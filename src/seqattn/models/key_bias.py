"""Beyond one lambda: biases of logits that are another function of a key's intensity.

[IA] multiplies a normalised intensity by one number a layer. Here each head has a bias of its own,
``softmax(q.k / sqrt(d) + b_h(w_k) + mask) v``, and the classes differ in what ``b_h`` may be. It is
a number that belongs to the key, so it is one extra feature for queries and keys, as for `Add`. A
bias that is the same for all keys cancels: where all intensities are equal, each of these is
SASRec.

But for `PerHead`, ``b_h`` is a function of u, the intensity's place among all of the training log
(`Quantiles`). A value normalised by what a query has seen so far belongs to query and key, and no
function of it but a linear one would be a feature of the key.

Shapes: B batch, H heads, T positions, S queries, F features a head; M knots or bins, G points.

References
----------
[IA] Shyrallyiev and Pyshnograiev (2026), sections 6.3 and 8, propose gates by head and by token and
experts, without equations; those here are ours. Book page "Injection".
"""

# `Backbone.signal` sees to it that injections get a signal; mypy cannot know.
# mypy: disable-error-code="union-attr"

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.models.injection import Injection, IntensityInjection
from seqattn.models.intensity import Signal

KNOTS = 5  # at the quantiles 0, 1/4, 1/2, 3/4 and 1
BINS = 4  # quarters of the log's intensities
GRID = 64  # points of a log's distribution; a log of as many distinct values is kept exactly
LEVELS = tuple(level / 20 for level in range(21))  # where a run's record keeps a learned curve


class Quantiles(nn.Module):
    """The place u of an intensity among those of the training log, from 0 to 1.

    ``u(w) = share below w + half of the share equal to w``, linear between `GRID` values of the
    log. Until it is told a log, u is w itself, cut to [0, 1].
    """

    value_G: Tensor
    level_G: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value_G", torch.linspace(0, 1, GRID))
        self.register_buffer("level_G", torch.linspace(0, 1, GRID))

    def tell(self, w_n: Tensor) -> None:
        """Take the places of values, (n,), from their distribution."""
        value, count = torch.unique(w_n.double(), return_counts=True)
        count = count.double()  # halves are exact, so a place on a bin's edge is on it
        level = (count.cumsum(0) - count / 2) / len(w_n)
        if len(value) > GRID:
            even = torch.linspace(0, 1, GRID, dtype=level.dtype, device=level.device)
            wanted = level[0] + (level[-1] - level[0]) * even
            value, level = interpolated(wanted, level, value), wanted
        for own, found in ((self.value_G, value), (self.level_G, level)):
            own.copy_(torch.cat([found, found[-1:].expand(GRID - len(found))]))

    def forward(self, w_BT: Tensor) -> Tensor:
        """Return the place of each value, (B, T)."""
        return interpolated(w_BT.to(self.value_G.dtype), self.value_G, self.level_G)


def interpolated(x: Tensor, x_G: Tensor, y_G: Tensor) -> Tensor:
    """Return y at `x`, linear between points in order of x; beyond their ends as there."""
    i = torch.searchsorted(x_G[1:-1].contiguous(), x.contiguous(), right=True)
    width = x_G.diff()[i]
    share = (x - x_G[i]) / torch.where(width > 0, width, 1.0)
    return y_G[i] + share.clamp(0, 1) * y_G.diff()[i]


def hats(u: Tensor, n: int) -> Tensor:
    """Return the linear hats at n even knots of [0, 1], (..., n): what interpolates between them.

    They are not negative and add up to 1.
    """
    knot_n = torch.arange(n, device=u.device, dtype=u.dtype)
    return (1 - (u[..., None] * (n - 1) - knot_n).abs()).clamp(min=0)


def bins(u: Tensor, n: int) -> Tensor:
    """Return in which of n even bins of [0, 1] a place lies, (..., n): 1 there, else 0."""
    number = (u * n).floor().clamp(max=n - 1)
    return (number[..., None] == torch.arange(n, device=u.device)).to(u.dtype)


class PerHead(Injection):
    """`Add` with a lambda for each head, ``softmax(q.k / sqrt(d) + lambda_h M + mask) v``.

    ``q+ = [q, lambda_h a_q]``, ``k+ = [k, w_k]``. All lambdas start at 1; equal ones are `Add`, 0
    is SASRec. Source: [IA], section 6.3 (ii).
    """

    reads_intensity = True
    lam_H: nn.Parameter

    def complete(self, config: ModelConfig) -> None:
        """Make one lambda a head."""
        self.lam_H = nn.Parameter(torch.ones(config.n_heads))

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Append one feature to queries and keys."""
        a_BHS1 = self.lam_H[:, None, None] * signal.a_BT[:, None, :, None]
        return (
            with_feature(q_BHTF, a_BHS1),
            with_feature(k_BHTF, signal.w_BT[:, None, :, None]),
            v_BHTF,
        )

    def learned(self) -> dict[str, list]:
        """Return ``lambda``, one a head."""
        return {"lambda": self.lam_H.tolist()}


class KeyBias(Injection):
    """Base of the biases that are linear in a basis of u: ``b_h(w_k) = sum_m theta_hm phi_m(u_k)``.

    ``q+ = [q, 1]``, ``k+ = [k, b_h(w_k)]``. Theta starts at 0, which is SASRec.
    """

    reads_intensity = True
    n: int  # of functions in the basis
    theta_HM: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self.quantiles = Quantiles()

    def complete(self, config: ModelConfig) -> None:
        """Make theta."""
        self.theta_HM = nn.Parameter(torch.zeros(config.n_heads, self.n))

    def tell(self, w_n: Tensor) -> None:
        """Place intensities among those of the training log."""
        self.quantiles.tell(w_n)

    def basis(self, u: Tensor) -> Tensor:
        """Return ``phi(u)``, (..., M)."""
        raise NotImplementedError

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Append one feature to queries and keys."""
        phi_BTM = self.basis(self.quantiles(signal.w_BT))
        bias_BHT1 = (phi_BTM @ self.theta_HM.T).transpose(1, 2)[..., None]
        return with_feature(q_BHTF, 1.0), with_feature(k_BHTF, bias_BHT1), v_BHTF

    def learned(self) -> dict[str, list]:
        """Return ``bias``, a curve a head over `LEVELS`."""
        level = torch.tensor(LEVELS).to(self.theta_HM)
        return {"bias": (self.theta_HM @ self.basis(level).T).tolist()}


class TokenGate(KeyBias):
    """A gate lambda(w) by token: ``b_h(w) = lambda_h(w) w`` may be any function of a key's w.

    Linear between `KNOTS` quantiles of the log, for each head. Source: [IA], section 8.
    """

    n = KNOTS

    def basis(self, u: Tensor) -> Tensor:
        """Return the hats."""
        return hats(u, self.n)


class BinExperts(KeyBias):
    """Experts on intensity bins: a head may favour one of `BINS` bins, ``b_h(w) = theta_h,bin(w)``.

    Bins are even shares of the log. Soft: an expert that saw one bin only would have nothing to
    read in some histories. Source: [IA], section 8.
    """

    n = BINS

    def basis(self, u: Tensor) -> Tensor:
        """Return the bins."""
        return bins(u, self.n)


class LearnedScale(IntensityInjection):
    """`Add` on a learned normalisation, ``softmax(q.k / sqrt(d) + lambda f(w_k) + mask) v``.

    ``f(w) = sum_m s_m clamp(u (M - 1) - m, 0, 1)`` rises from knot m to m + 1 by the slope s_m.
    Slopes are a softmax, so none is negative and they add up to 1. Held fixed: f is monotone,
    from 0 at u = 0 to 1 at u = 1, and the same for all heads; its size is lambda's. f starts as u
    itself, lambda at 1. ``q+ = [q, lambda]``, ``k+ = [k, f(w_k)]``.
    """

    slope_M: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self.quantiles = Quantiles()
        self.slope_M = nn.Parameter(torch.zeros(KNOTS - 1))

    def tell(self, w_n: Tensor) -> None:
        """Place intensities among those of the training log."""
        self.quantiles.tell(w_n)

    def scale(self, u: Tensor) -> Tensor:
        """Return ``f``, the shape of `u`."""
        n = len(self.slope_M)
        step_M = torch.arange(n, device=u.device, dtype=u.dtype)
        return (u[..., None] * n - step_M).clamp(0, 1) @ torch.softmax(self.slope_M, dim=0)

    def before(
        self, q_BHTF: Tensor, k_BHTF: Tensor, v_BHTF: Tensor, signal: Signal | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Append one feature to queries and keys."""
        f_BT = self.scale(self.quantiles(signal.w_BT))
        return with_feature(q_BHTF, self.lam), with_feature(k_BHTF, f_BT[:, None, :, None]), v_BHTF

    def learned(self) -> dict[str, list]:
        """Return ``bias``, one curve over `LEVELS`, the same for all heads."""
        level = torch.tensor(LEVELS).to(self.slope_M)
        return {"bias": [(self.lam * self.scale(level)).tolist()]}


def with_feature(x_BHTF: Tensor, value: Tensor | float) -> Tensor:
    """Return `x` with one more feature, a number or broadcast to (B, H, T, 1)."""
    if isinstance(value, float):
        return F.pad(x_BHTF, (0, 1), value=value)
    return torch.cat([x_BHTF, value.to(x_BHTF.dtype).expand(*x_BHTF.shape[:-1], 1)], dim=-1)
