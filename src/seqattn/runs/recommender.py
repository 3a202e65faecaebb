"""A fitted model with the ids of its items: what comes after a history.

Shapes: U histories, V items, k recommendations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch

from seqattn.data import Sequences
from seqattn.data.columns import intensities, is_given, refuse, tidy_ids
from seqattn.data.readers.delimited import nearly
from seqattn.data.sequences import places_of
from seqattn.errors import SeqattnError, about
from seqattn.models.backbone import Backbone
from seqattn.training.batches import Gatherer, Spans
from seqattn.training.ranking import SCORES_AT_ONCE, hide_seen, next_item_hidden

_FIX_BLANK = "fill it in, or leave the row out"


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
            Item ids, oldest first: a list, an array or a column. Only the last ``max_length`` of
            them are read.
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
            The history is empty or no sequence, an item is unknown, an intensity is missing or
            none, or k is no whole number of at least 1.
        """
        own = self.history(history, intensity)
        return self.recommend_all(own, k, exclude_seen=exclude_seen).drop(columns="user")

    def history(self, items: Sequence[Any], intensity: Sequence[Any] | None = None) -> Sequences:
        """Return one history in this model's codes; see `recommend`."""
        rows = {"item": _listed(items, "a history", "item ids")}
        if intensity is not None:
            rows["intensity"] = _listed(intensity, "intensities", "numbers")
            if len(rows["intensity"]) != len(rows["item"]):
                raise SeqattnError(
                    f"a history of {len(rows['item'])} items, and an intensity of "
                    f"{len(rows['intensity'])} numbers; give one for each item"
                )
        # As they are: pandas would make 50.0 of a 50 beside a missing value.
        frame = pd.DataFrame({name: pd.Series(row, dtype=object) for name, row in rows.items()})
        return self.histories(frame.assign(user=0))

    @torch.inference_mode()
    def attention(self, history: Sequences, *, user_ids: np.ndarray | None = None) -> pd.DataFrame:
        """Return how much each position of one history looks at each other one.

        The masked-item models see the history itself, without an appended [MASK].

        Parameters
        ----------
        history : Sequences
            Of one user, in this model's codes. Its last ``max_length`` interactions are read.
        user_ids
            See `recommend_all`.

        Returns
        -------
        DataFrame
            Columns layer, head, query and key (positions from 1, oldest first), query_item,
            key_item and weight; the weights of a query add up to 1.
        """
        n = min(len(history), self.model.config.max_length)
        whose = None if user_ids is None else places_of(history.user_ids, user_ids, "user")
        gatherer, start = Gatherer(history, users=whose), np.array([len(history) - n])
        items_BT, intensity_BT = gatherer.rows(start, np.array([n]))
        users = (gatherer.users_of(start),) if self.model.needs_user else ()
        maps = self.model.attention_maps(items_BT, intensity_BT, *users)[:, 0].numpy()
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

    def histories(self, frame: pd.DataFrame, source: str = "history") -> Sequences:
        """Return histories in this model's codes from rows in time order.

        Parameters
        ----------
        frame : DataFrame
            Columns user, item and, for a model that reads intensity, intensity.
        source : str
            Where they are from, for messages.

        Raises
        ------
        SeqattnError
            A column or a field is missing, there is no row, an item is unknown, or an intensity is
            none.
        """
        frame = frame.copy(deep=False)
        for name in ("user", "item"):
            _require_column(frame, name, source)
            frame[name] = tidy_ids(frame[name], source)  # as of a log
            refuse(frame[name], source, ~is_given(frame[name]), "is blank", _FIX_BLANK)
        if frame.empty:
            raise SeqattnError(f"{source}: no row, an empty history; give at least one item")
        frame = frame.iloc[np.argsort(pd.factorize(frame["user"])[0], kind="stable")]
        with about(source):
            codes = places_of(frame["item"], self.item_ids, "item") + 1
        values = None
        if self.model.needs_intensity:
            if "intensity" not in frame.columns:
                raise SeqattnError(
                    f"{source}: no intensity, and {self.about.get('model', 'this model')} reads "
                    "it; give one number for each item"
                )
            column = frame["intensity"]
            refuse(column, source, ~is_given(column), "is blank", _FIX_BLANK)
            values = intensities(column, source)
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
        self,
        histories: Sequences,
        k: int = 10,
        *,
        exclude_seen: bool = False,
        user_ids: np.ndarray | None = None,
    ) -> pd.DataFrame:
        """Return the k items that score highest after each history.

        Parameters
        ----------
        histories : Sequences
            In this model's codes, as `histories` returns them or a `Dataset` of the same
            fingerprint holds them.
        k, exclude_seen
            See `recommend`.
        user_ids : (U,), optional
            Ids of all users of the training log, if the histories are theirs: what a model keeps
            of each user is then read. Without them nobody is known; most models need not know.

        Returns
        -------
        DataFrame
            Columns user, rank, item, score.

        Raises
        ------
        SeqattnError
            If k is no whole number of at least 1, or a history's user is not among `user_ids`.
        """
        if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
            raise SeqattnError(f"k = {k!r} recommendations; give a whole number of at least 1")
        whose = None if user_ids is None else places_of(histories.user_ids, user_ids, "user")
        gatherer = Gatherer(histories, users=whose)
        spans = Spans.of(histories)
        hidden_UD = next_item_hidden(self.model, spans, gatherer)
        at_once = max(1, SCORES_AT_ONCE // (len(self.item_ids) + 1))
        parts = []
        for first in range(0, histories.n_users, at_once):
            scores_BV = self.model.logits(hidden_UD[first : first + at_once]).float()
            scores_BV[:, 0] = -torch.inf  # padding is not an item
            if exclude_seen:
                chosen = np.arange(first, first + len(scores_BV))
                hide_seen(scores_BV, spans.take(chosen), gatherer)
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


def _listed(values: object, what: str, wanted: str) -> list[Any]:
    """Return the members of a sequence; refuse what is none or has another order than it seems."""
    whole = not isinstance(values, (str, bytes, bytearray)) and getattr(values, "ndim", 1) == 1
    if whole and isinstance(values, (Sequence, np.ndarray, pd.Series, pd.Index)):
        return list(values)
    raise SeqattnError(
        f"{what} of type {type(values).__name__}; give a list of {wanted}, oldest first"
    )


def _require_column(frame: pd.DataFrame, name: str, source: str) -> None:
    """Refuse histories without a column of ids."""
    if name not in frame.columns:
        names = [str(column) for column in frame.columns]
        found = nearly(name, names)
        raise SeqattnError(
            f"{source}: no column {name!r} (columns present: {', '.join(names)}); "
            + (f"rename {found!r}; " if found else "")
            + "give user, item and, for a model that reads it, intensity, with commas between them"
        )
