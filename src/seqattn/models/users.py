"""A vector for each user beside the items', and indices replaced at random while training.

The input at position t is ``LN([e_item ; e_user] + p_t)``: the user's vector has the last
``user_share`` of the D features, at every position, and items have the others. The user stands on
the input side alone: a user's part in the scores, ``<h, [e_j ; e_user]>``, is the same for all
items j, so it changes no ranking and cancels in most losses. States are therefore cut to the items'
features before they are compared with items.

*Stochastic shared embeddings* (SSE): in training, an item that is read is another, drawn from all
alike, with probability ``sse_item``, and the user with probability ``sse_user``. Targets stay as
they are, and so do padding and [MASK]. To replace targets would be label smoothing.

``sse_evaluation`` does the same in evaluation, which is a mistake; it is there to measure what that
mistake costs where it was made: in [AE]'s released code, which draws the targets of validation and
test anew as well. With a rate r of those, a recall of R at k would come out at ``(1 - r) R`` and
what chance hits, ``r k / V``; that part needs no run.

A history of nobody whom training knows has the mean of the users' vectors.

Shapes: B batch, T positions, D hidden width, U users, F features of a user, V items.

References
----------
Wu et al. (2020), SSE-PT; [AE] "The Lonely Neighborhood" (2025), table 5.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqattn.config import ModelConfig
from seqattn.models.backbone import Backbone, BERT4Rec, SASRec
from seqattn.models.positions import INIT_STD


def replaced(codes: Tensor, probability: float, n_codes: int, *of: Tensor) -> Tensor:
    """Return codes, each with a probability another one, drawn from 1 to `n_codes` alike.

    What is drawn is random. With `of`, numbers that say which codes these are, it follows from
    them alone: the same in any batch, on any device.
    """
    chance, which = (_mixed(*of, salt=n) if of else torch.rand_like(codes.double()) for n in (1, 2))
    drawn = 1 + (which * n_codes).long()
    return torch.where(chance < probability, drawn, codes)


def _mixed(*numbers: Tensor, salt: int) -> Tensor:
    """Return numbers in [0, 1), float64, that follow from integers and look random."""
    mixed = torch.full_like(numbers[0], salt)
    for number in numbers:  # steps of a linear congruential generator; int64 wraps around
        mixed = (mixed + number) * 6364136223846793005 + 1442695040888963407
        mixed = mixed ^ (mixed >> 29)
    return ((mixed * 6364136223846793005 >> 20) & (2**43 - 1)).double() / 2**43


class WithUser(Backbone):
    """What makes a model that reads histories one that also knows whose they are."""

    needs_user, stackable = True, False
    reads = ("user_share", "sse_user", "sse_item", "sse_evaluation")

    def __init__(self, n_items: int, config: ModelConfig) -> None:
        super().__init__(n_items, config)
        self.n_own = round(config.user_share * config.hidden_size)
        self.user_UF = nn.Parameter(torch.zeros(0, self.n_own))

    def add_users(self, n_users: int) -> None:
        """Draw a vector for each user; their codes are 1 to `n_users`, and 0 is nobody known."""
        drawn = torch.empty(n_users, self.n_own).normal_(std=INIT_STD)
        self.user_UF = nn.Parameter(drawn.to(self.user_UF.device))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        kept = state_dict.get(f"{prefix}user_UF")
        if kept is not None and kept.shape != self.user_UF.shape:  # of a log whose users it knows
            self.user_UF = nn.Parameter(torch.empty_like(kept, device=self.user_UF.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(
        self,
        items_BT: Tensor,
        intensity_BT: Tensor | None = None,
        read_from: int = 0,
        users_B: Tensor | None = None,
    ) -> Tensor:
        """Return hidden states of the items' features, of histories that `users_B` own."""
        x_BTD = self.embed(items_BT, users_B)
        return self.read(x_BTD, self.sight(items_BT, intensity_BT), read_from)

    def attention_maps(
        self, items_BT: Tensor, intensity_BT: Tensor | None = None, users_B: Tensor | None = None
    ) -> Tensor:
        """Return every layer's attention map, (layers, B, H, T, T), of users' own histories."""
        return self.maps_of(self.embed(items_BT, users_B), self.sight(items_BT, intensity_BT))

    def embed(self, items_BT: Tensor, users_B: Tensor | None = None) -> Tensor:
        """Return the first block's inputs, (B, T, D); without users those of nobody known."""
        if users_B is None:
            users_B = torch.zeros_like(items_BT[:, 0])
        read_BT, config = items_BT, self.config
        if self.training or config.sse_evaluation:
            # In evaluation a draw follows from whose history it is and from the place in it, so
            # that a run's ranks are one thing, whatever is ranked beside.
            places_BT = torch.arange(items_BT.shape[1], device=items_BT.device).expand_as(items_BT)
            whose = () if self.training else (users_B[:, None] + 0 * items_BT, items_BT, places_BT)
            drawn_BT = replaced(items_BT, config.sse_item, self.n_items, *whose)
            is_item_BT = (items_BT > 0) & (items_BT <= self.n_items)
            read_BT = torch.where(is_item_BT, drawn_BT, items_BT)
            of_user = () if self.training else (users_B,)
            drawn_B = replaced(users_B, config.sse_user, max(len(self.user_UF), 1), *of_user)
            users_B = torch.where(users_B > 0, drawn_B, users_B)
        item_BTF = self.embed_items(read_BT)[..., : self.config.hidden_size - self.n_own]
        user_BTF = self.user_vectors(users_B)[:, None].expand(-1, items_BT.shape[1], -1)
        x_BTD = torch.cat([item_BTF, user_BTF], dim=-1) + self.add_positions(items_BT)
        return self.dropout(self.norm(x_BTD))

    def user_vectors(self, users_B: Tensor) -> Tensor:
        """Return the vectors of users by code, (B, F); that of code 0 is the mean of all."""
        if not len(self.user_UF):
            return self.user_UF.new_zeros(len(users_B), self.n_own)
        own_BF = F.embedding((users_B - 1).clamp(min=0), self.user_UF)
        return torch.where(users_B[:, None] > 0, own_BF, self.user_UF.mean(dim=0))

    def read(self, x_BTD: Tensor, *rest: Any) -> Tensor:
        """Return hidden states, cut to the features that items have."""
        return super().read(x_BTD, *rest)[..., : self.config.hidden_size - self.n_own]

    def scorers(self, *rest: Any) -> Tensor:
        """Return the features that items have; the rest of their table is never used."""
        return super().scorers(*rest)[..., : self.config.hidden_size - self.n_own]


class UserAR(WithUser, SASRec):
    """SSE-PT: SASRec with a vector for each user."""

    def next_item_hidden(
        self, items_BT: Tensor, intensity_BT: Tensor | None = None, users_B: Tensor | None = None
    ) -> Tensor:
        """Return the hidden state at each history's last real position, (B, features of items)."""
        last_B = (items_BT > 0).sum(dim=1) - 1
        hidden_BTD = self(items_BT, intensity_BT, users_B=users_B)
        return hidden_BTD[torch.arange(len(items_BT), device=items_BT.device), last_B]


class UserAE(WithUser, BERT4Rec):
    """SSE-PT with BERT4Rec's mask and objective."""

    def next_item_hidden(
        self, items_BT: Tensor, intensity_BT: Tensor | None = None, users_B: Tensor | None = None
    ) -> Tensor:
        """Return the hidden state at each history's appended [MASK], (B, features of items)."""
        masked_BT, last_B = self.append_mask(items_BT)
        hidden_BTD = self(masked_BT, intensity_BT, users_B=users_B)
        return hidden_BTD[torch.arange(len(items_BT), device=items_BT.device), last_B]
