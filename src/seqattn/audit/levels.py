"""What simple recommenders reach under each split: a split's level, not only its counts.

None of them is trained by gradients, so a table of splits takes seconds.

Shapes: N targets, V items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array

from seqattn.data.sequences import Sequences
from seqattn.data.splits import Parts, Split
from seqattn.stats.metrics import metric
from seqattn.training.ranking import Ranker

_LATELY = 0.1  # share of the training interactions, the newest ones

Scores = Callable[[np.ndarray], np.ndarray]


def levels(sequences: Sequences, splits: Iterable[Parts]) -> pd.DataFrame:
    """Return NDCG@10, filtered, of simple recommenders, averaged over the users that are asked.

    Returns
    -------
    DataFrame
        A row a split: ``users`` and ``targets`` of the test; ``popular`` recommends by training
        counts; ``popular lately`` by those of the newest tenth of the training interactions, NaN
        without times; ``what follows`` by how often an item came next after the user's last one
        in training, and by popularity among equals. All NaN where there is nobody to ask.
    """
    cut = {p.name: Split(sequences, p, sequences.keep(p.train)) for p in splits}
    rows = {name: _levels(split) for name, split in cut.items() if len(split.rows("test"))}
    return pd.DataFrame(rows).T.reindex(cut).rename_axis("split")


def _levels(split: Split) -> dict[str, float]:
    ranker, users = Ranker(split, "test"), split.users("test")
    several = split.owners().get("test")

    def level(scores: Scores | None) -> float:
        if scores is None:
            return np.nan
        ranks = ranker.rank(lambda targets: torch.from_numpy(scores(targets)))["filtered"]
        return float(metric(ranks, "NDCG", 10, several).mean())

    return {
        "users": len(np.unique(users)),
        "targets": len(users),
        "popular": level(by_count(split)),
        "popular lately": level(_lately(split)),
        "what follows": level(_what_follows(split)),
    }


def by_count(split: Split, chosen: np.ndarray | slice = slice(None)) -> Scores:
    """Return scores of items, (B, V + 1), by how often they are among the chosen training rows."""
    counts_V = np.bincount(split.train.items[chosen], minlength=split.train.n_items + 1)
    return lambda targets: np.tile(counts_V.astype(np.float32), (len(targets), 1))


def _lately(split: Split) -> Scores | None:
    time = split.train.timestamp
    known = ~np.isnan(time)
    return by_count(split, time >= np.quantile(time[known], 1 - _LATELY)) if known.any() else None


def _what_follows(split: Split) -> Scores:
    train, context = split.train, split.context("test")
    n_codes = train.n_items + 1
    pairs = np.flatnonzero(np.diff(train.user_of_row) == 0)
    ones = np.ones(len(pairs), dtype=np.float32)
    places = (train.items[pairs], train.items[pairs + 1])
    follows = csr_array((ones, places), shape=(n_codes, n_codes))
    # Below one, so that it decides between equal counts only.
    counts_V = np.bincount(train.items, minlength=n_codes)
    popularity_V = (counts_V / (counts_V.max() + 1)).astype(np.float32)
    last_N = context.items[context.offsets[1:] - 1]
    return lambda targets: follows[last_N[targets]].toarray() + popularity_V
