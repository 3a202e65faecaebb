"""Attention with several queries at each position.

Shapes: B batch, H heads, T positions, S of them wanted, D hidden width, F features a head,
m queries.

References
----------
[MIQ] "MIQ-Attn" (2025), section 2.2. What is printed there leaves several readings; the choices
made here, and what is printed, stand on the book's page "Several queries".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqattn.config import INPUT_POSITIONS, ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models.attention import Attention, Sight
from seqattn.models.intensity import Signal
from seqattn.models.positions import INIT_STD, distances

# Schemes in which a query keeps the position of the entry that it comes from: what is added to the
# input; and ALiBi, whose bias for a query further back is that of the current one but for a
# constant of its row, which the softmax loses.
_OF_EACH_QUERY = (*INPUT_POSITIONS, "none", "alibi")


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

    One query is `Attention` itself, which a backbone takes then. `weights` shows the map of the
    position's own query.

    A layer with an inner width of 4 D multiplies ``(m + 13) D^2 + 2 m T D`` times for each position
    (2 D^2 fewer with ``mean``) instead of ``12 D^2 + 2 T D``, 1.9 times as often for m = 5, T = 50
    and D = 64. On a CPU it
    takes longer than that, since mask, softmax and dropout pass over m maps of T x T.

    Raises
    ------
    SeqattnError
        If the positions are read from the place of a query, or the injection reads a query's own
        intensity.
    """

    def complete(self, config: ModelConfig) -> None:
        """Draw the m - 1 further query weights, the vectors before a history, and the pooling's."""
        super().complete(config)
        if config.positions not in _OF_EACH_QUERY:
            raise SeqattnError(
                f"several queries stand at several positions, and {config.positions!r} would count "
                f"all their distances from one; choose one of {', '.join(_OF_EACH_QUERY)}"
            )
        if self.injection.reads_queries:
            raise SeqattnError(
                f"{type(self.injection).__name__} reads the intensity a query stands at, and "
                "several queries stand at several; set n_queries to 1"
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
        return self.output(self.pooled(context.unflatten(2, (self.m, -1))))

    def earlier_queries(self, x_BTD: Tensor) -> list[Tensor]:
        """Return the queries 1 to m - 1 of each position, (B, H, T, F) each."""
        b, t, d = x_BTD.shape
        before = self.before_first.expand(b, -1, -1)
        entries = torch.cat([before, x_BTD], dim=1)  # entry t + j - 1 gives query j of position t
        queries = self.earlier(entries) / math.sqrt(d // self.n_heads)
        # Taken apart at once: the gradient of a slice of all would be as large as all, m - 1 times.
        each = queries.view(b, -1, self.m - 1, self.n_heads, d // self.n_heads).unbind(dim=2)
        return [query[:, j : j + t].transpose(1, 2) for j, query in enumerate(each)]

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

    def pooled(self, context_BHmSF: Tensor) -> Tensor:
        """Return one context of the m, (B, S, D)."""
        if self.pooling == "all":
            context_BSmD = context_BHmSF.permute(0, 3, 2, 1, 4).flatten(3)
            q, k = self.pool_query(context_BSmD), self.pool_key(context_BSmD)
            weights = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
            return (weights @ context_BSmD).mean(dim=2)
        if self.pooling == "mean":
            return context_BHmSF.mean(dim=2).transpose(1, 2).flatten(2)
        own_BSD = context_BHmSF[:, :, -1].transpose(1, 2).flatten(2)
        # (o_m W_Q)(o_j W_K)' = (o_m W_Q W_K') o_j': one product for each position instead of m.
        # Sums over elements, since thousands of products of tiny matrices take far longer.
        asked_BSD = self.pool_query(own_BSD) @ self.pool_key.weight
        asked_BHSF = asked_BSD.unflatten(2, (self.n_heads, -1)).transpose(1, 2)
        logits_BmS = (context_BHmSF * asked_BHSF[:, :, None]).sum(dim=(1, 4))
        weights_BmS = torch.softmax(logits_BmS / math.sqrt(own_BSD.shape[-1]), dim=1)
        pooled_BHSF = (weights_BmS[:, None, :, :, None] * context_BHmSF).sum(dim=2)
        return pooled_BHSF.transpose(1, 2).flatten(2)
