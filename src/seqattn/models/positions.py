"""How attention learns where an interaction stands: one small class per scheme.

``absolute`` and ``reversed`` add a learned vector to the input; the others change the logits by the
distance ``t - i`` between a query t and a key i, and leave the input alone. A scheme that reads
distances alone is *shift-invariant*: an interaction means the same in every window, so one pass
over a history trains what one row for each of its prefixes would.

Shapes: B batch, H heads, S queries at the last S of T positions, D hidden width, F features a head.
Queries arrive already divided by sqrt(F). Distances below 0 lie in the future, where the mask
lets no query look.

References
----------
[REV] "Revisiting Self-Attentive Sequential Recommendation" (2025); [AE] "The Lonely Neighborhood"
(2025); the papers named below. The dense forms stand on the book's page "Positions".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.errors import SeqattnError

INIT_STD = 0.02
ROPE_BASE = 10_000.0
T5_BUCKETS, T5_MAX_DISTANCE = 32, 128


def distances(s: int, t: int, device: torch.device | None = None) -> Tensor:
    """Return how far each of the last `s` of `t` positions stands behind each query, (S, T)."""
    key_T = torch.arange(t, device=device)
    return key_T[t - s :, None] - key_T


class Positions(nn.Module):
    """No positions: only the causal mask tells what came before (NoPE; Haviv et al., 2022)."""

    reads_weights = False  # whether `values` adds to the context
    rotates = False  # whether queries and keys are turned by their place
    n_slots = 0  # zero keys it puts before the others, whose values are 0 as well

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def look_both_ways(self) -> None:
        """Tell keys that lie ahead by their distance as well; in the input there is none."""

    def forward(self, q_BHSF: Tensor, k_BHTF: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return queries, keys and what is added to their logits, broadcast to (B, H, S, T)."""
        return q_BHSF, k_BHTF, None

    def values(self, weights_BHST: Tensor) -> Tensor:
        """Return what is added to the context, (B, H, S, F), of a scheme that reads weights."""
        raise NotImplementedError


class RelativeBias(Positions):
    """A learned bias for each head and distance, ``q.k / sqrt(F) + b[h, t - i]``.

    Distances of ``max_length`` or more share the last entry. It starts at 0, without positions.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.bias_HN = nn.Parameter(torch.zeros(config.n_heads, self.n_entries(config)))

    @staticmethod
    def n_entries(config: ModelConfig) -> int:
        """Return the number of different biases a head has."""
        return config.sliding_window or config.max_length

    def entry(self, distance_ST: Tensor) -> Tensor:
        """Return the number of each distance's bias, (S, T)."""
        return distance_ST.clamp(0, self.bias_HN.shape[1] - 1)

    def forward(self, q_BHSF: Tensor, k_BHTF: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return queries and keys as they are, and the bias, (H, S, T)."""
        distance_ST = distances(q_BHSF.shape[2], k_BHTF.shape[2], q_BHSF.device)
        return q_BHSF, k_BHTF, self.bias_HN[:, self.entry(distance_ST)]


class ShuffledBias(RelativeBias):
    """The placebo of `RelativeBias`: its weights, with a query's distances in a random order.

    The order is drawn anew for each query and pass in training, and is always the same one in
    evaluation, so that a row's output does not depend on the rows beside it. One order for all
    queries would only rename the weights.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.max_length = config.max_length

    def entry(self, distance_ST: Tensor) -> Tensor:
        """Return the number of each key's bias, (S, T): the keys a query sees in a random order."""
        s, t = distance_ST.shape
        shape, device = (self.max_length, self.max_length), self.bias_HN.device
        if self.training:
            draw_LL = torch.rand(shape, device=device)
        else:  # drawn on the CPU, whose numbers are the same for every device
            draw_LL = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
        draw_ST = draw_LL[t - s : t, :t].masked_fill(distance_ST < 0, 2.0)  # the future comes last
        return draw_ST.argsort(-1).argsort(-1).clamp(max=self.bias_HN.shape[1] - 1)


class T5Bias(RelativeBias):
    """`RelativeBias` with 32 entries, one a distance up to 15, then wider (Raffel et al., 2020).

    The wider ones grow like the logarithm; from a distance of 128 on there is but one.
    """

    @staticmethod
    def n_entries(config: ModelConfig) -> int:
        """Return 32."""
        return T5_BUCKETS

    def entry(self, distance_ST: Tensor) -> Tensor:
        """Return the bucket of each distance, (S, T)."""
        exact = T5_BUCKETS // 2
        near_ST = distance_ST.clamp(min=0)
        grown = torch.log(near_ST.clamp(min=1).float() / exact) / math.log(T5_MAX_DISTANCE / exact)
        wide_ST = (exact + (grown * (T5_BUCKETS - exact)).long()).clamp(max=T5_BUCKETS - 1)
        return torch.where(near_ST < exact, near_ST, wide_ST)


class ALiBi(Positions):
    """A fixed slope a head, ``q.k / sqrt(F) - s_h (t - i)`` (Press et al., 2022).

    ``s_h = 2^(-8 h / H)``. Since ``-s (t - i) = s i - s t`` and the second term is the same along a
    row, this is `seqattn.models.injection.Add` with the position in the place of the intensity and
    a slope that is not learned.
    """

    slope_H11: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        h = torch.arange(1, config.n_heads + 1)
        slope_H = 2.0 ** (-8.0 * h / config.n_heads)
        self.register_buffer("slope_H11", slope_H[:, None, None], persistent=False)

    def forward(self, q_BHSF: Tensor, k_BHTF: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return queries and keys as they are, and the bias, (H, S, T)."""
        distance_ST = distances(q_BHSF.shape[2], k_BHTF.shape[2], q_BHSF.device)
        return q_BHSF, k_BHTF, -self.slope_H11 * distance_ST.clamp(min=0)


class RoPE(Positions):
    """Queries and keys turned by an angle that grows with the position (Su et al., 2021).

    The product of two turned vectors depends on their distance alone. Feature j of the first half
    of a head turns with feature j of the second, by ``10000^(-2 j / F)`` radians a position.
    """

    rotates = True
    rate_F: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        width = config.hidden_size // config.n_heads
        if width % 2:
            raise SeqattnError(
                f"positions 'rope' turns pairs of features, and a head has {width}; choose "
                "hidden_size / n_heads even"
            )
        rate = ROPE_BASE ** (-torch.arange(0, width, 2) / width)
        self.register_buffer("rate_F", torch.cat([rate, rate]), persistent=False)

    def forward(self, q_BHSF: Tensor, k_BHTF: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return queries and keys, turned, and no bias."""
        s, t = q_BHSF.shape[2], k_BHTF.shape[2]
        angle_TF = torch.arange(t, device=q_BHSF.device)[:, None] * self.rate_F
        cos_TF, sin_TF = angle_TF.cos(), angle_TF.sin()
        q = q_BHSF * cos_TF[t - s :] + _quarter_turn(q_BHSF) * sin_TF[t - s :]
        return q, k_BHTF * cos_TF + _quarter_turn(k_BHTF) * sin_TF, None


def _quarter_turn(x_BHTF: Tensor) -> Tensor:
    first, second = x_BHTF.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


class Shaw(Positions):
    """A learned vector for each distance, added to key and value (Shaw et al., 2018).

    ``q.(k + r_K[t - i]) / sqrt(F)`` and ``sum of weights x (v + r_V[t - i])``, shared by heads.
    Distances of ``max_length`` or more share the last vector. In a network of one layer that does
    not normalise its input, keys ``W_k p`` and values ``W_v p`` make this ``reversed`` with a row
    for each prefix, up to what the query's own position adds.
    """

    reads_weights = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        n, width = RelativeBias.n_entries(config), config.hidden_size // config.n_heads
        self.key_NF = nn.Parameter(torch.empty(n, width).normal_(std=INIT_STD))
        self.value_NF = nn.Parameter(torch.empty(n, width).normal_(std=INIT_STD))

    def forward(self, q_BHSF: Tensor, k_BHTF: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return queries and keys as they are, and ``q.r_K``, (B, H, S, T)."""
        return q_BHSF, k_BHTF, _by_distance(q_BHSF @ self.key_NF.T, k_BHTF.shape[2])

    def values(self, weights_BHST: Tensor) -> Tensor:
        """Return the mean of the distances' vectors under the weights, (B, H, S, F)."""
        *batch, s, t = weights_BHST.shape
        entry_ST = distances(s, t, weights_BHST.device).clamp(0, len(self.value_NF) - 1)
        weight_BHSN = weights_BHST.new_zeros(*batch, s, len(self.value_NF))
        weight_BHSN = weight_BHSN.scatter_add(-1, entry_ST.expand_as(weights_BHST), weights_BHST)
        return weight_BHSN @ self.value_NF


def _by_distance(logits_BHSN: Tensor, t: int, nearest: int = 0) -> Tensor:
    """Return each key's logit, (B, H, S, T), from one a distance, the last for all beyond."""
    s, n = logits_BHSN.shape[-2:]
    entry_ST = (distances(s, t, logits_BHSN.device) - nearest).clamp(0, n - 1)
    return logits_BHSN.gather(-1, entry_ST.expand(*logits_BHSN.shape[:2], s, t))


class TransformerXL(Positions):
    """Content and distance, each with a bias of its own (Dai et al., 2019).

    ``((q + u).k + (q + v).W_R r[t - i]) / sqrt(F)``, r a sinusoid of the distance; u and v are
    vectors of a head and start at 0. Their memory of the segment before is missing:
    ``memory_slots`` are what [AE]'s code has in its place, zeros that stand before every history. A
    slot's logit is the second term alone and it gives nothing: a query that looks there looks away.
    Slots tell how far into its window a query stands, so as with absolute positions packed training
    is exact only for histories that fit into one window.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        d, h = config.hidden_size, config.n_heads
        if d % 2:
            raise SeqattnError(
                f"positions 'transformer-xl' pairs sines and cosines; choose hidden_size even, "
                f"not {d}"
            )
        self.project = nn.Linear(d, d, bias=False)
        nn.init.normal_(self.project.weight, std=INIT_STD)
        self.content_H1F = nn.Parameter(torch.zeros(h, 1, d // h))
        self.distance_H1F = nn.Parameter(torch.zeros(h, 1, d // h))
        self.n_slots = config.memory_slots
        self.farthest = RelativeBias.n_entries(config) + self.n_slots - 1
        self.nearest = 0  # the first distance there is; below 0 ahead of a query

    def look_both_ways(self) -> None:
        """Give keys ahead distances below 0, of which the sinusoids are others."""
        self.nearest = -self.farthest

    def forward(self, q_BHSF: Tensor, k_BHTF: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return ``q + u``, the keys behind the slots, and ``(q + v).W_R r``, (B, H, S, T)."""
        if self.n_slots:
            k_BHTF = nn.functional.pad(k_BHTF, (0, 0, self.n_slots, 0))
        h, scale = len(self.content_H1F), math.sqrt(q_BHSF.shape[-1])
        n_N = torch.arange(self.nearest, self.farthest + 1, device=q_BHSF.device)
        r_ND = sinusoid(n_N, self.project.in_features).to(q_BHSF.dtype)
        r_HNF = self.project(r_ND).view(len(n_N), h, -1).transpose(0, 1)
        by_distance_BHSN = (q_BHSF + self.distance_H1F / scale) @ r_HNF.transpose(-2, -1)
        bias_BHST = _by_distance(by_distance_BHSN, k_BHTF.shape[2], self.nearest)
        return q_BHSF + self.content_H1F / scale, k_BHTF, bias_BHST


def sinusoid(position_N: Tensor, width: int) -> Tensor:
    """Return sines, then cosines, of each position at rates from 1 to 1/10000, (N, D)."""
    rate = ROPE_BASE ** (-torch.arange(0, width, 2, device=position_N.device) / width)
    angle = position_N[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


# Of `ModelConfig.positions`: what each attention block holds. The two that are added to the input
# leave attention itself alone.
SCHEMES: dict[str, type[Positions]] = {
    "absolute": Positions,
    "reversed": Positions,
    "none": Positions,
    "relative": RelativeBias,
    "shuffled": ShuffledBias,
    "t5": T5Bias,
    "alibi": ALiBi,
    "rope": RoPE,
    "shaw": Shaw,
    "transformer-xl": TransformerXL,
}
