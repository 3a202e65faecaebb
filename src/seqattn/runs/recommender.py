"""A fitted model with the ids of its items: what comes after a history.

Shapes: U histories, V items, k recommendations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from seqattn.data import Sequences
from seqattn.data.columns import intensities
from seqattn.data.sequences import places_of
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone
from seqattn.training.batches import Gatherer
from seqattn.training.ranking import SCORES_AT_ONCE, hide_seen, next_item_hidden


@dataclass(frozen=True)
class Recommender:
    """A model in evaluation mode, its items' ids by code, and what it was made of.

    Attributes
    ----------
    model : Backbone
        With its best weights, on the CPU.
    item_ids : (V,) int64 or str
        Code ``c`` stands for ``item_ids[c - 1]``.
    about : mapping
        Model, dataset, fingerprint and seed.
    """

    model: Backbone
    item_ids: np.ndarray
    about: Mapping[str, Any]

    def recommend(
        self,
        history: Sequence[Any],
        intensity: Sequence[float] | None = None,
        k: int = 10,
        *,
        exclude_seen: bool = False,
    ) -> pd.DataFrame:
        """Return the k items that score highest after a history.

        Parameters
        ----------
        history : sequence
            Item ids, oldest first. Only the last ``max_length`` of them are read.
        intensity : sequence of float, optional
            One for each item, in the unit of the training log. Models without injection ignore it.
        k : int
            How many.
        exclude_seen : bool
            Leave out the items of the history.

        Returns
        -------
        DataFrame
            Columns rank (from 1), item and score, best first; equal scores by item code. Fewer
            than k rows if no more items are left.

        Raises
        ------
        SeqattnError
            The history is empty, an item is unknown, or an intensity is missing or none.
        """
        own = self.history(history, intensity)
        return self.recommend_all(own, k, exclude_seen=exclude_seen).drop(columns="user")

    def history(self, items: Sequence[Any], intensity: Sequence[float] | None = None) -> Sequences:
        """Return one history in this model's codes; see `recommend`."""
        if intensity is not None and len(intensity) != len(items):
            raise SeqattnError(
                f"{len(intensity)} intensities for {len(items)} items; give one for each item"
            )
        rows = {"user": [0] * len(items), "item": list(items)}
        rows |= {} if intensity is None else {"intensity": list(intensity)}
        return self.histories(pd.DataFrame(rows))

    @torch.inference_mode()
    def attention(self, history: Sequences) -> pd.DataFrame:
        """Return how much each position of one history looks at each other one.

        The masked-item models see the history itself, without an appended [MASK].

        Parameters
        ----------
        history : Sequences
            Of one user, in this model's codes. Its last ``max_length`` interactions are read.

        Returns
        -------
        DataFrame
            Columns layer, head, query and key (positions from 1, oldest first), query_item,
            key_item and weight; the weights of a query add up to 1.
        """
        n = min(len(history), self.model.config.max_length)
        items_BT, intensity_BT, _ = Gatherer(history).rows(
            np.array([len(history) - n]), np.array([n])
        )
        maps = self.model.attention_maps(items_BT, intensity_BT)[:, 0].numpy()
        layer, head, query, key = (places.ravel() for places in np.indices(maps.shape))
        ids = self.item_ids[history.items[-n:] - 1]
        return pd.DataFrame(
            {
                "layer": layer + 1,
                "head": head + 1,
                "query": query + 1,
                "key": key + 1,
                "query_item": ids[query],
                "key_item": ids[key],
                "weight": maps.ravel(),
            }
        )

    def histories(self, frame: pd.DataFrame) -> Sequences:
        """Return histories in this model's codes from rows in time order.

        Parameters
        ----------
        frame : DataFrame
            Columns user, item and, for a model that reads intensity, intensity.

        Raises
        ------
        SeqattnError
            There is no row, an item is unknown, or an intensity is missing or none.
        """
        if frame.empty:
            raise SeqattnError("an empty history; give at least one item")
        frame = frame.iloc[np.argsort(pd.factorize(frame["user"])[0], kind="stable")]
        codes = places_of(frame["item"], self.item_ids, "item") + 1
        values = None
        if self.model.needs_intensity:
            if "intensity" not in frame.columns:
                raise SeqattnError(
                    f"{self.about.get('model', 'this model')} reads intensities; give one for "
                    "each item of the history"
                )
            values = intensities(frame["intensity"], "history")
        numbers, users = pd.factorize(frame["user"])
        return Sequences(
            items=codes,
            intensity=values,
            timestamp=np.full(len(codes), np.nan),
            offsets=np.append(0, np.cumsum(np.bincount(numbers))),
            user_ids=np.asarray(users),
            item_ids=self.item_ids,
        )

    @torch.inference_mode()
    def recommend_all(
        self, histories: Sequences, k: int = 10, *, exclude_seen: bool = False
    ) -> pd.DataFrame:
        """Return the k items that score highest after each history.

        Parameters
        ----------
        histories : Sequences
            In this model's codes, as `histories` returns them or a `Dataset` of the same
            fingerprint holds them.
        k, exclude_seen
            See `recommend`.

        Returns
        -------
        DataFrame
            Columns user, rank, item, score.

        Raises
        ------
        SeqattnError
            If k is less than 1.
        """
        if k < 1:
            raise SeqattnError(f"k = {k} recommendations; give at least 1")
        gatherer = Gatherer(histories)
        hidden_UD = next_item_hidden(self.model, histories, gatherer)
        at_once = max(1, SCORES_AT_ONCE // (len(self.item_ids) + 1))
        parts = []
        for first in range(0, histories.n_users, at_once):
            scores_BV = self.model.logits(hidden_UD[first : first + at_once]).float()
            scores_BV[:, 0] = -torch.inf  # padding is not an item
            if exclude_seen:
                hide_seen(scores_BV, np.arange(first, first + len(scores_BV)), histories, gatherer)
            best, codes = torch.sort(scores_BV, dim=1, descending=True, stable=True)
            parts.append((best[:, :k].numpy(), codes[:, :k].numpy()))
        best_UK, codes_UK = (np.concatenate(part) for part in zip(*parts, strict=True))
        users, columns = np.nonzero(np.isfinite(best_UK))
        return pd.DataFrame(
            {
                "user": histories.user_ids[users],
                "rank": columns + 1,
                "item": self.item_ids[codes_UK[users, columns] - 1],
                "score": best_UK[users, columns],
            }
        )
