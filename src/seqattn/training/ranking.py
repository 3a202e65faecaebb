"""Full-catalogue ranks of the held-out items.

Shapes: N targets, one a user in leave-one-out; B of them at a time, V items.

References
----------
[IA] section 4.3. Book page "Evaluation".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from seqattn.data import Split
from seqattn.errors import DivergedError
from seqattn.models.backbone import Backbone
from seqattn.stats.metrics import KINDS
from seqattn.training.batches import Gatherer, Spans

SCORES_AT_ONCE = 2**24  # 64 MiB of float32 scores bounds memory whatever the catalogue
# Positions a model computes at once: on a CPU as many as its caches hold.
POSITIONS_AT_ONCE, GPU_POSITIONS_AT_ONCE = 2**12, 2**20


class Ranker:
    """Ranks the held-out items of a stage, ``valid`` or ``test``, among all items.

    Keeps the data on the device where the models live.
    """

    def __init__(self, split: Split, stage: str, device: torch.device | str = "cpu") -> None:
        histories = split.histories
        # Whom training never saw is nobody known: code 0, and not a vector that was never trained.
        users = np.where(split.train.lengths > 0, np.arange(histories.n_users), -1)
        self.gatherer = Gatherer(histories, device, users)
        # What comes before a target is cut from its user's history: a copy for each of a user's
        # targets would grow with the square of the history.
        self.context = Spans(histories.offsets[split.users(stage)], split.rows(stage))
        self.n_items = histories.n_items
        self.targets_N = torch.tensor(split.targets(stage), dtype=torch.long, device=device)

    def __call__(self, model: Backbone, *, filtered: bool = True) -> dict[str, np.ndarray]:
        """Return ranks as `rank_targets` does; `filtered` ones, the dearer kind, only if asked."""
        was_training = model.training
        model.eval()
        try:
            hidden_ND = next_item_hidden(model, self.context, self.gatherer)
            return self.rank(
                lambda users: model.logits(hidden_ND[users[0] : users[-1] + 1]), filtered=filtered
            )
        finally:
            model.train(was_training)

    @torch.inference_mode()
    def rank(
        self, scores: Callable[[np.ndarray], Tensor], *, filtered: bool = True
    ) -> dict[str, np.ndarray]:
        """Return ranks as `rank_targets` does, from any function that scores all items.

        Nothing waits for the device before all targets are ranked.

        Parameters
        ----------
        scores : callable
            Takes numbers of targets, (B,), and returns a new tensor of scores, (B, V + 1), on the
            device; column 0 is padding and its scores are ignored.
        filtered : bool
            Whether to return the ``filtered`` kind also.

        Raises
        ------
        DivergedError
            If a target's score is not finite.
        """
        n_targets = len(self.targets_N)
        at_once = max(1, SCORES_AT_ONCE // (self.n_items + 1))
        kinds = KINDS if filtered else KINDS[:1]
        ranks: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
        finite = []
        for first in range(0, n_targets, at_once):
            users = np.arange(first, min(first + at_once, n_targets))
            scores_BV = scores(users).float()
            scores_BV[:, 0] = -torch.inf  # padding is not an item
            target_B1 = self.targets_N[first : first + at_once, None]
            finite.append(torch.isfinite(scores_BV.gather(1, target_B1)).all())
            ranks["unfiltered"].append(_ranks(scores_BV, target_B1))
            if filtered:
                kept_B1 = scores_BV.gather(1, target_B1)
                hide_seen(scores_BV, self.context.take(users), self.gatherer)
                scores_BV.scatter_(1, target_B1, kept_B1)
                ranks["filtered"].append(_ranks(scores_BV, target_B1))
        if not torch.stack(finite).all():
            raise DivergedError(
                "the model gives a score that is not finite: training diverged; lower learning_rate"
            )
        return {kind: torch.cat(parts).cpu().numpy() for kind, parts in ranks.items()}


def hide_seen(scores_BV: Tensor, histories: Spans, gatherer: Gatherer) -> None:
    """Set the scores of what each of B histories holds to -inf."""
    length = histories.lengths
    rows = np.repeat(np.arange(len(length)), length)
    places = np.arange(len(rows)) + np.repeat(histories.stop - np.cumsum(length), length)
    row, place = gatherer.send(rows, places)
    scores_BV[row, gatherer.items[place]] = -torch.inf


@torch.inference_mode()
def next_item_hidden(model: Backbone, histories: Spans, gatherer: Gatherer) -> Tensor:
    """Return what predicts each history's next item, (N, D), similar lengths computed together.

    Parameters
    ----------
    model : Backbone
        In evaluation mode.
    histories : Spans
        None of them empty.
    gatherer : Gatherer
        What they are cut from, on the model's device.
    """
    length = np.minimum(histories.lengths, model.config.max_length)
    order = np.argsort(length, kind="stable")
    on_cpu = gatherer.device.type == "cpu"
    chunk = np.cumsum(length[order]) // (POSITIONS_AT_ONCE if on_cpu else GPU_POSITIONS_AT_ONCE)
    hidden = []
    for users in np.split(order, np.flatnonzero(np.diff(chunk)) + 1):
        start = histories.stop[users] - length[users]
        items_BT, intensity_BT = gatherer.rows(start, length[users])
        whose = (gatherer.users_of(start),) if model.needs_user else ()
        hidden.append(model.next_item_hidden(items_BT, intensity_BT, *whose))
    (back,) = gatherer.send(np.argsort(order))
    return torch.cat(hidden)[back]


def rank_targets(
    model: Backbone, split: Split, stage: str, device: torch.device | str = "cpu"
) -> dict[str, np.ndarray]:
    """Rank the held-out items of a stage, ``valid`` or ``test``, among all items.

    The model is put into evaluation mode for the call, then back.

    Returns
    -------
    dict of ndarray, shape (N,), int32
        ``unfiltered``: among all items, as published; ``filtered``: items the user has already
        seen are left out, as a service would do.

    Raises
    ------
    DivergedError
        If a score is not finite.
    """
    return Ranker(split, stage, device)(model)


def _ranks(scores_BV: Tensor, target_B1: Tensor) -> Tensor:
    """1 + number of strictly higher scores + half of the other ties, rounded down; int32."""
    target_score_B1 = scores_BV.gather(1, target_B1)
    higher_B = (scores_BV > target_score_B1).sum(dim=1)
    ties_B = (scores_BV == target_score_B1).sum(dim=1) - 1
    return (1 + higher_B + ties_B // 2).int()
