"""What models change on targets that their users liked, and on the others.

Training on strong targets alone (methods D4, PNFRec's control) moves a model towards what people
like. So it may gain on liked targets by what it loses on the others, and a gap between both, which
PNFRec's authors count as a merit, need not be any reading of intensity. A ranking by popularity has
a gap as well: that is its floor.

Shapes: S seeds, U users, each with one target.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from seqattn.audit.levels import by_count
from seqattn.data import Dataset, load_dataset
from seqattn.runs.results import value_matrix
from seqattn.stats.metrics import metric
from seqattn.studies.judge import change
from seqattn.studies.learning import of_logs
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.training.ranking import Ranker

STARS = 4.0  # of 5: liked
GROUPS, PARTS = ("liked", "others"), ("change", "low", "high")
COLUMNS = ["dataset", "arm", "part", "model", "n_seeds", "share", "popular_gap", "base_gap", "gap"]
COLUMNS += [f"{part}_{name}" for name in GROUPS for part in PARTS]


def liked(data: Dataset) -> np.ndarray:
    """Return which test targets their users liked, (U,) bool.

    A rating of 4 or more; of play counts and play times, one above the targets' median.
    """
    intensity = np.asarray(data.sequences.intensity)
    of_targets_U = intensity[data.split.rows("test")]
    is_rating = intensity.max() <= 5
    return of_targets_U >= STARS if is_rating else of_targets_U > np.median(of_targets_U)


def by_liking(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return changes against SASRec on liked targets and on the others, of whole sets of seeds.

    Returns
    -------
    DataFrame
        A row a (dataset, arm, part, model): n_seeds; share, of liked targets; gap, Recall@10 on
        liked targets minus on the others, base_gap, SASRec's, and popular_gap, that of the most
        popular items of training; and for ``liked`` and ``others`` the change of NDCG@10 in percent
        of SASRec's on the same targets, with low and high over users and seeds. A dataset that is
        not at hand keeps its rows.
    """
    whole = [g for g in groups if len(g.base) == len(g.runs) == len(study.seeds)]

    def rows(name: str, data: Dataset) -> pd.DataFrame:
        if not data.has_intensity or data.split.owners():
            return pd.DataFrame()
        return _rows(data, [group for group in whole if group.dataset.name == name])

    names = dict.fromkeys(group.dataset.name for group in whole)
    return of_logs("by_liking", study, names, load_dataset, rows).reindex(columns=COLUMNS)


def _rows(data: Dataset, groups: Sequence[Group]) -> pd.DataFrame:
    liked_U = liked(data)
    popular = by_count(data.split)
    ranker = Ranker(data.split, "test")
    ranks = ranker.rank(lambda users: torch.from_numpy(popular(users)), filtered=False)
    of_popular = _gap(metric(ranks["unfiltered"], "Recall", 10)[None], liked_U)
    rows = []
    for group in groups:
        hits = [value_matrix(runs, "Recall", 10) for runs in (group.base, group.runs)]
        row: dict[str, object] = {**group.key, "model": group.model}
        row |= {"n_seeds": len(group.runs), "share": liked_U.mean(), "popular_gap": of_popular}
        row |= dict(zip(("base_gap", "gap"), (_gap(h, liked_U) for h in hits), strict=True))
        base_SU, own_SU = (value_matrix(runs, "NDCG", 10) for runs in (group.base, group.runs))
        for name, chosen_U in zip(GROUPS, (liked_U, ~liked_U), strict=True):
            told = change(base_SU[:, chosen_U], own_SU[:, chosen_U])
            row |= {f"{part}_{name}": told[part] for part in PARTS}
        rows.append(row)
    return pd.DataFrame(rows)


def _gap(hits_SU: np.ndarray, liked_U: np.ndarray) -> float:
    return float(hits_SU[:, liked_U].mean() - hits_SU[:, ~liked_U].mean())
