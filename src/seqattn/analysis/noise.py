"""Evaluation on histories and targets that were drawn anew: what [AE]'s released code does.

Its SSE-PT replaces items at random wherever it reads a user's sample, in validation and test as
well. A sample is hit with a probability p, and in one that is hit each place is drawn anew with
probability 1 - p: the item that is read and, by a draw of its own, the target that belongs there.
Whose history it is becomes another user with a probability of its own.

So a share ``p (1 - p)`` of the test targets is noise, and recall cannot exceed the rest, plus what
chance hits. An AR model's target belongs to the place of the last item, so the two are noise
together; that of an AE model belongs to the place of [MASK]. What a draw in the place of [MASK]
does to the model is not asked, since the target is noise then and only chance could hit.

Shapes: N targets, n interactions of all histories.

References
----------
[AE] "The Lonely Neighborhood" (2025), table 5, and its released code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from seqattn.data import Sequences, Split
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone
from seqattn.training.batches import Gatherer, Spans
from seqattn.training.ranking import Ranker

PUBLISHED = (0.2, 0.4, 0.6, 0.8)  # what [AE] searched over, for items and for users
Place = Literal["last item", "mask"]


@dataclass(frozen=True)
class Noise:
    """How much of an evaluation is drawn anew.

    Attributes
    ----------
    item : float
        p, the probability that a user's sample is hit.
    user : float
        The probability that a history counts as another user's; only models that know users ask.

    Raises
    ------
    SeqattnError
        If a probability is none.
    """

    item: float
    user: float = 0.0

    def __post_init__(self) -> None:
        for name in ("item", "user"):
            if not 0 <= getattr(self, name) <= 1:
                raise SeqattnError(
                    f"{name} = {getattr(self, name)} is no probability; choose one in [0, 1]"
                )

    @property
    def rate(self) -> float:
        """The share of places, and of targets, that are drawn anew: p (1 - p)."""
        return self.item * (1 - self.item)


def noisy_ranks(
    model: Backbone, split: Split, noise: Noise, rng: np.random.Generator
) -> np.ndarray:
    """Return test ranks among all items, (N,), with inputs and targets drawn anew.

    Parameters
    ----------
    model : Backbone
        Put into evaluation mode for the call.
    split : Split
        Any; of one user's several targets each has draws of its own.

    Raises
    ------
    DivergedError
        If a score is not finite.
    """
    ranker, context = Ranker(split, "test"), split.context("test")
    place: Place = "mask" if model.objective == "masked_item" else "last item"
    read_n, target_N = drawn_anew(context, split.targets("test"), noise, rng, place)
    other_N = rng.random(context.n_users) < noise.user
    anybody_N = rng.integers(split.train.n_users, size=context.n_users)
    users_N = np.where(other_N, anybody_N, split.users("test"))
    ranker.gatherer = Gatherer(replace(context, items=read_n), users=users_N)
    ranker.context = Spans.of(context)
    ranker.targets_N = ranker.targets_N.new_tensor(target_N)
    return ranker(model, filtered=False)["unfiltered"]


def drawn_anew(
    context: Sequences,
    target_N: np.ndarray,
    noise: Noise,
    rng: np.random.Generator,
    target_place: Place,
) -> tuple[np.ndarray, np.ndarray]:
    """Return items, (n,), and targets, (N,), with noise.

    `target_place` is where a target belongs: to the place of the last item of its history, with
    which it is drawn anew, or to a place of its own behind that, of [MASK].
    """
    n, n_targets, end = len(context), context.n_users, context.n_items + 1
    hit_N = rng.random(n_targets) < noise.item
    drawn_n = np.repeat(hit_N, context.lengths) & (rng.random(n) < 1 - noise.item)
    drawn_N = hit_N & (rng.random(n_targets) < 1 - noise.item)
    if target_place == "last item":
        drawn_N = drawn_n[context.offsets[1:] - 1]
    item_n, item_N = rng.integers(1, end, size=n), rng.integers(1, end, size=n_targets)
    return np.where(drawn_n, item_n, context.items), np.where(drawn_N, item_N, target_N)
