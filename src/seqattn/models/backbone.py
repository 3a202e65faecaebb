"""The backbone every model of the book shares: embeddings, blocks, tied output.

Shapes: B batch, T positions, D hidden width, V items; W positions of a block. Item codes are 1..V;
0 is padding, which stands on the right.

References
----------
Kang and McAuley (2018); [IA] Shyrallyiev and Pyshnograiev (2026), section 3. Derived in the book,
pages "Attention" and "Injection".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from seqattn.config import INPUT_POSITIONS, OWN, SHIFT_INVARIANT, TWO_SIDED, ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models.attention import (
    INIT_STD,
    LAYER_NORM_EPS,
    Attention,
    Block,
    Dropout,
    Sight,
    initialise,
)
from seqattn.models.heads import TransformHead
from seqattn.models.injection import Injection, IntensityInjection
from seqattn.models.intensity import Signal, normalise
from seqattn.models.queries import SeveralQueries
from seqattn.models.sliding import Blocks, sliding_mask, sliding_signal
from seqattn.models.sound import made


class Backbone(nn.Module):
    """A stack of attention blocks over a history of items; a subclass chooses mask and objective.

    Parameters
    ----------
    n_items : int
        Catalogue size V.
    config : ModelConfig
        Widths, depth, dropout, and the normalisation of intensity.
    injection : callable
        Makes one injection per layer; `Injection` itself, the default, is plain SASRec.

    Raises
    ------
    SeqattnError
        If the configuration's positions do not suit the model, it changes what the model does not
        read, the injection draws random numbers too early, or a subclass scores by `logits` of its
        own.
    """

    objective: str  # "next_item" or "masked_item"
    mask_code: int  # what hides an item; only where the objective is "masked_item"
    reads: tuple[str, ...] = ("head",)  # of `seqattn.config.OWN`
    attends = True  # whether it reads `seqattn.config.ATTENTION`
    needs_user = False  # whether `forward` and `next_item_hidden` also take `users_B`
    stackable = True  # whether `seqattn.training.stacked` can fit several seeds as one model

    def __init__(
        self, n_items: int, config: ModelConfig, injection: Callable[[], Injection] = Injection
    ) -> None:
        super().__init__()
        self.check(config)
        self.n_items = n_items
        self.config = config
        self.item_embedding = nn.Embedding(n_items + 1, config.hidden_size, padding_idx=0)
        # Drawn for every scheme, so that the weights all models share start alike.
        self.position_embedding: nn.Embedding | None
        self.position_embedding = nn.Embedding(config.max_length, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.dropout = Dropout(config.hidden_dropout)
        attention = SeveralQueries if config.n_queries > 1 else Attention
        blocks = nn.ModuleList(
            Block(config, made(injection), attention) for _ in range(config.n_layers)
        )
        self.blocks = cast(Sequence[Block], blocks)
        self.apply(initialise)
        self.head = None
        if config.head == "transform":
            self.head = TransformHead(n_items, config, LAYER_NORM_EPS)
        if config.positions not in INPUT_POSITIONS:
            self.position_embedding = None
        for block in self.blocks:
            block.attention.complete(config)
            if self.looks_both_ways:
                block.attention.positions.look_both_ways()

    def check(self, config: ModelConfig) -> None:
        """Refuse what this model does not read, or cannot look both ways with."""
        if type(self).logits is not Backbone.logits:
            raise SeqattnError(
                f"{type(self).__name__} has its own logits, which training does not call: it takes "
                "`scorers` into its loss; override that"
            )
        for name, usual in OWN.items():
            if name not in self.reads and getattr(config, name) != usual:
                raise SeqattnError(
                    f"{type(self).__name__} does not read {name} = {getattr(config, name)!r}; "
                    "leave it out for this model"
                )
        changed = config.changed_attention
        if changed and not self.attends:
            raise SeqattnError(
                f"{type(self).__name__} has no attention for {changed[0]} = "
                f"{getattr(config, changed[0])!r}; leave it out for this model"
            )
        if config.positions in TWO_SIDED:
            changed = [name for name in changed if name not in ("positions", "memory_slots")]
        if self.looks_both_ways and changed:
            raise SeqattnError(
                f"{type(self).__name__} looks both ways, and {changed[0]} = "
                f"{getattr(config, changed[0])!r} looks back; leave it out for this model"
            )

    def add_users(self, n_users: int) -> None:
        """Make what a model keeps of each user of a log; most keep nothing."""

    @property
    def looks_both_ways(self) -> bool:
        """Whether a position sees what comes after it."""
        return self.objective == "masked_item"

    @property
    def needs_intensity(self) -> bool:
        """Whether the model reads intensities."""
        return bool(self.lambda_parameters) or any(i.reads_intensity for i in self.injections)

    @property
    def injections(self) -> list[Injection]:
        """Each layer's injection."""
        return [block.attention.injection for block in self.blocks]

    @property
    def lambda_parameters(self) -> list[nn.Parameter]:
        """Each layer's lambda, a scalar; empty for a model without injection."""
        return [own.lam for own in self.injections if isinstance(own, IntensityInjection)]

    @property
    def lambdas(self) -> list[float]:
        """The value of each layer's lambda; empty for a model without injection."""
        return [lam.item() for lam in self.lambda_parameters]

    def tell(self, intensity_n: Tensor) -> None:
        """Tell the injections the training log's raw intensities, (n,), all that are read.

        Those that place an intensity among all others need it; without, intensities are taken for
        such places, from 0 to 1.
        """
        known_1n = intensity_n[None]
        real_1n = torch.ones_like(known_1n, dtype=torch.bool)
        w_n = normalise(known_1n, real_1n, self.config.normalisation).w_BT[0]
        for injection in self.injections:
            injection.tell(w_n)

    def forward(
        self, items_BT: Tensor, intensity_BT: Tensor | None = None, read_from: int = 0
    ) -> Tensor:
        """Return hidden states, (B, T - read_from, D), from item codes and raw intensities.

        Codes are int64, right-padded with 0. The last layer computes no position below `read_from`.

        Raises
        ------
        SeqattnError
            If the model is intensity-aware and `intensity_BT` is None, or T exceeds the model's
            ``max_length`` and its positions are added to the input.
        """
        return self.read(self.embed(items_BT), self.sight(items_BT, intensity_BT), read_from)

    def embed(self, items_BT: Tensor) -> Tensor:
        """Return the first block's inputs, (B, T, D): items and positions, normalised."""
        x_BTD = self.embed_items(items_BT) + self.add_positions(items_BT)
        return self.dropout(self.norm(x_BTD))

    def read(self, x_BTD: Tensor, sight: Sight, read_from: int = 0) -> Tensor:
        """Return hidden states, (B, T - read_from, D), from embeddings."""
        *blocks, last = self.blocks
        for block in blocks:
            x_BTD = block(x_BTD, sight)
        hidden_BSD = last(x_BTD, sight, read_from)
        return hidden_BSD if self.head is None else self.head(hidden_BSD)

    def read_blocks(self, blocks: Blocks) -> Tensor:
        """Return hidden states, (B, W, D), of whole histories laid end to end in blocks.

        They are those of each history by itself under the model's sliding window, without its
        padding.
        """
        x_BWD = self.embed(blocks.items_BW)
        signal = None
        if self.needs_intensity:
            signal = blocks.signal(self._intensity(blocks.intensity_BW), self.config.normalisation)
        return self.read(x_BWD, Sight(blocks.mask(), signal, blocks=True))

    def sight(self, items_BT: Tensor, intensity_BT: Tensor | None) -> Sight:
        """Return what each position may look at: mask and normalised intensities."""
        return Sight(self.visible(items_BT), self.signal(items_BT, intensity_BT))

    def visible(self, items_BT: Tensor) -> Tensor | None:
        """Return where queries may look, `attention_mask` within the sliding window."""
        mask, window = self.attention_mask(items_BT), self.config.sliding_window
        t = items_BT.shape[1]
        if mask is None and 0 < window < t:
            return sliding_mask(t, t, window, items_BT.device)
        return mask

    def add_positions(self, items_BT: Tensor) -> Tensor | float:
        """Return what is added to the items' embeddings, broadcast to (B, T, D).

        Raises
        ------
        SeqattnError
            If there are more positions than the model can tell apart.
        """
        if self.config.positions in SHIFT_INVARIANT:
            return 0.0
        t = items_BT.shape[1]
        if t > self.config.max_length:
            raise SeqattnError(
                f"a history of {t} positions exceeds max_length = {self.config.max_length}; "
                "keep its last max_length interactions"
            )
        if self.position_embedding is None:
            return 0.0
        if self.config.positions == "absolute":
            return self.position_embedding.weight[:t]
        # Counted from each history's end: right for its last position, and for the others only if
        # they predict nothing.
        length_B1 = (items_BT > 0).sum(dim=1, keepdim=True)
        from_end_BT = length_B1 - 1 - torch.arange(t, device=items_BT.device)
        return self.position_embedding(from_end_BT.clamp(min=0))

    def embed_items(self, items_BT: Tensor) -> Tensor:
        """Return item embeddings, (B, T, D)."""
        return self.item_embedding(items_BT)

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Return where queries may look, broadcastable to (B, H, T, T); None is causal."""
        raise NotImplementedError

    def next_item_hidden(self, items_BT: Tensor, intensity_BT: Tensor | None = None) -> Tensor:
        """Return, (B, D), the hidden state that predicts what follows each history."""
        raise NotImplementedError

    def signal(self, items_BT: Tensor, intensity_BT: Tensor | None) -> Signal | None:
        """Return the normalised intensities, or None for a model that reads none."""
        if not self.needs_intensity:
            return None
        raw_BT, config = self._intensity(intensity_BT), self.config
        if 0 < config.sliding_window < items_BT.shape[1]:
            return sliding_signal(raw_BT, items_BT > 0, config.normalisation, config.sliding_window)
        return normalise(raw_BT, items_BT > 0, config.normalisation, config.scope)

    @staticmethod
    def _intensity(intensity: Tensor | None) -> Tensor:
        if intensity is None:
            raise SeqattnError(
                "this model reads intensities and the data has none; "
                "use 'sasrec', or a dataset with an intensity column"
            )
        return intensity

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Return scores, (N, V + 1), by the tied item embeddings; column 0 is padding.

        RecBole keeps the padding column in the softmax and drops it when ranking; so do we.
        """
        return hidden_ND @ self.scorers().T

    def scorers(self, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return what hidden states are multiplied by, (V + 1, D): the tied item embeddings.

        With BERT4Rec's output layer each item's own number is one column more, as the 1 is that its
        states end in. `parameters` are others than the model's own, perhaps of several seeds.
        """
        if self.head is None:
            return parameters["item_embedding.weight"] if parameters else self.item_embedding.weight
        own = parameters or dict(self.named_parameters())
        return torch.cat([own["item_embedding.weight"], own["head.bias_V"][..., None]], dim=-1)

    def attention_maps(self, items_BT: Tensor, intensity_BT: Tensor | None = None) -> Tensor:
        """Return every layer's attention map, (layers, B, H, T, T); call in evaluation mode."""
        return self.maps_of(self.embed(items_BT), self.sight(items_BT, intensity_BT))

    def maps_of(self, x_BTD: Tensor, sight: Sight) -> Tensor:
        """Return every layer's attention map for the first block's inputs."""
        if not self.attends:
            raise SeqattnError(f"{type(self).__name__} has no attention to show")
        maps = []
        for block in self.blocks:
            maps.append(block.attention.weights(x_BTD, sight))
            x_BTD = block(x_BTD, sight)
        return torch.stack(maps)


class SASRec(Backbone):
    """Causal attention, trained to predict the next item at every position."""

    objective = "next_item"

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Return None, causal: right padding lies in every real position's future anyway."""
        return None

    def next_item_hidden(self, items_BT: Tensor, intensity_BT: Tensor | None = None) -> Tensor:
        """Return the hidden state at each history's last real position, (B, D)."""
        last_B = (items_BT > 0).sum(dim=1) - 1
        hidden_BTD = self(items_BT, intensity_BT)
        return hidden_BTD[torch.arange(len(items_BT), device=items_BT.device), last_B]


class BERT4Rec(Backbone):
    """Bidirectional attention, trained to fill in masked items; predicts at an appended [MASK]."""

    objective = "masked_item"

    def __init__(self, n_items: int, config: ModelConfig) -> None:
        super().__init__(n_items, config)
        self.mask_code = n_items + 1
        # Drawn after everything else, so that the weights shared with SASRec stay the same.
        self.mask_embedding = nn.Parameter(torch.empty(config.hidden_size).normal_(std=INIT_STD))

    def embed_items(self, items_BT: Tensor) -> Tensor:
        """Return embeddings, (B, T, D), with the learned vector at masked positions."""
        masked_BT = items_BT == self.mask_code
        x_BTD = self.item_embedding(items_BT.masked_fill(masked_BT, 0))
        return torch.where(masked_BT[..., None], self.mask_embedding.to(x_BTD.dtype), x_BTD)

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Every real position is visible to every query, (B, 1, 1, T)."""
        return (items_BT > 0)[:, None, None, :]

    def next_item_hidden(self, items_BT: Tensor, intensity_BT: Tensor | None = None) -> Tensor:
        """Append [MASK], dropping a full history's oldest item; return its state, (B, D)."""
        masked_BT, last_B = self.append_mask(items_BT)
        hidden_BTD = self(masked_BT, intensity_BT)
        return hidden_BTD[torch.arange(len(items_BT), device=items_BT.device), last_B]

    def append_mask(self, items_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return histories with [MASK] appended, and the position of each [MASK], (B,)."""
        length_B = (items_BT > 0).sum(dim=1)
        padded_BT = nn.functional.pad(items_BT, (0, 1))
        padded_BT[torch.arange(len(items_BT), device=items_BT.device), length_B] = self.mask_code
        if padded_BT.shape[1] <= self.config.max_length:
            return padded_BT, length_B
        full_B1 = (length_B == self.config.max_length)[:, None]
        kept_BT = torch.where(full_B1, padded_BT[:, 1:], padded_BT[:, :-1])
        return kept_BT, length_B.clamp(max=self.config.max_length - 1)


class LocalAE(BERT4Rec):
    """BERT4Rec with one head confined to the neighbourhood ``|i - j| <= 2``."""

    window = 2

    def attention_mask(self, items_BT: Tensor) -> Tensor | None:
        """Head 0 is local, the others global; (B, H, T, T)."""
        b, t = items_BT.shape
        position_T = torch.arange(t, device=items_BT.device)
        near_TT = (position_T[:, None] - position_T).abs() <= self.window
        head_H = torch.arange(self.config.n_heads, device=items_BT.device)
        visible_HTT = (head_H > 0)[:, None, None] | near_TT
        # A padded query may have no real neighbour; letting every query see itself keeps its
        # softmax defined. No real query ever looks at a padded position.
        itself_TT = torch.eye(t, dtype=torch.bool, device=items_BT.device)
        real_B11T = (items_BT > 0)[:, None, None, :]
        return (visible_HTT & real_B11T) | itself_TT.expand(b, 1, t, t)
