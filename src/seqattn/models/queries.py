"""Attention with several queries at each position.

Shapes: B batch, H heads, T positions, S of them wanted, D hidden width, F features a head,
m queries.

References
----------
[MIQ] "MIQ-Attn" (2025), section 3. What is printed there leaves several readings; the choices made
here, and what is printed, stand on the book's page "Several queries".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models.attention import Attention, Sight
from seqattn.models.intensity import Signal
from seqattn.models.positions import INIT_STD, distances


class SeveralQueries(Attention):
    """A position asks with its own query and with those of the m - 1 positions before it.

    Query j of position t comes from entry ``t - m + j`` through weights of its own, ``W_qj``;
    before a history's first entry stand m - 1 learned vectors. Each query reads what position t
    may read (``query_scope="current"``), or only what its own position may (``"own"``). The m
    contexts become one by ``query_pooling``:

    - ``current``: ``sum_j alpha_j o_j`` with ``alpha = softmax_j(o_m W_Q . o_j W_K / sqrt(D))``,
      attention from the current position's context;
    - ``all``: the same from each of the m contexts, then their mean;
    - ``mean``: ``alpha_j = 1 / m``, which needs no weights.

    With m = 1 this is `Attention`, and `weights` shows the map of the position's own query.

    Raises
    ------
    SeqattnError
        If the positions are Shaw's, which change the values by one distance for each query.
    """

    def complete(self, config: ModelConfig) -> None:
        """Draw the m - 1 further query weights, the vectors before a history, and the pooling's."""
        super().complete(config)
        if self.positions.reads_weights:
            raise SeqattnError(
                f"several queries read positions of their own, and {config.positions!r} changes "
                "values by them; choose other positions"
            )
        d, m = config.hidden_size, config.n_queries
        self.earlier = nn.Linear(d, (m - 1) * d)
        self.before_first = nn.Parameter(torch.empty(m - 1, d).normal_(std=INIT_STD))
        self.pooling, self.scope = config.query_pooling, config.query_scope
        weights = [self.earlier.weight]
        if self.pooling != "mean":
            self.pool_query = nn.Linear(d, d, bias=False)
            self.pool_key = nn.Linear(d, d, bias=False)
            weights += [self.pool_query.weight, self.pool_key.weight]
        nn.init.zeros_(self.earlier.bias)
        for weight in weights:
            nn.init.normal_(weight, std=INIT_STD)

    @property
    def m(self) -> int:
        """The number of queries."""
        return len(self.before_first) + 1

    def forward(self, x_BTD: Tensor, sight: Sight, read_from: int = 0) -> Tensor:
        """Return the projected context of the queries from `read_from` on, (B, S, D)."""
        q, k, v = self.project(x_BTD)
        k, v = self.kernel(k, v, None)
        turned = [self.positions(q_j, k) for q_j in (*self.earlier_queries(x_BTD), q)]
        k = turned[-1][1]
        wanted = slice(read_from, None)
        q = torch.cat([q_j[:, :, wanted] for q_j, _, _ in turned], dim=2)
        bias = None
        if turned[0][2] is not None:
            bias = torch.cat([b[..., wanted, :] for _, _, b in turned if b is not None], dim=-2)
        mask = self.mask(x_BTD.shape[1], x_BTD.device)[:, wanted].flatten(0, 1)
        signal = sight.signal
        if signal is not None:
            a, b = (x[:, wanted].repeat(1, self.m) for x in (signal.a_BT, signal.b_BT))
            signal = Signal(signal.w_BT, a, b)
        q, k, v = self.injection.before(q, k, v, signal)
        context = self.injection.after(self.context(q, k, v, mask, bias), signal)
        context_BHmSF = context.unflatten(2, (self.m, -1))
        return self.output(self.pooled(context_BHmSF.permute(0, 3, 2, 1, 4).flatten(3)))

    def earlier_queries(self, x_BTD: Tensor) -> list[Tensor]:
        """Return the queries 1 to m - 1 of each position, (B, H, T, F) each."""
        b, t, d = x_BTD.shape
        before = self.before_first.expand(b, -1, -1)
        entries = torch.cat([before, x_BTD], dim=1)  # entry t + j - 1 gives query j of position t
        queries = self.earlier(entries).view(b, -1, self.m - 1, self.n_heads, d // self.n_heads)
        scale = math.sqrt(d // self.n_heads)
        return [queries[:, j : j + t, j].transpose(1, 2) / scale for j in range(self.m - 1)]

    def mask(self, t: int, device: torch.device) -> Tensor:
        """Return where each query may look, (m, T, T)."""
        distance_TT = distances(t, t, device)
        late = torch.arange(self.m - 1, -1, -1, device=device)  # how far query j's entry lies back
        if self.scope == "current":
            late = torch.zeros_like(late)
        seen = distance_TT >= late[:, None, None]
        # A vector before the first entry has seen nothing; it reads that entry.
        seen[:, :, 0] = True
        return seen

    def pooled(self, context_BSmD: Tensor) -> Tensor:
        """Return one context of the m, (B, S, D)."""
        if self.pooling == "mean":
            return context_BSmD.mean(dim=2)
        asking = context_BSmD if self.pooling == "all" else context_BSmD[:, :, -1:]
        q, k = self.pool_query(asking), self.pool_key(context_BSmD)
        weights = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
        return (weights @ context_BSmD).mean(dim=2)
