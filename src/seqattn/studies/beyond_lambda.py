"""Designs beyond one lambda: what they learned, and whether it is information.

An arm that is no placebo and not ``real`` holds a *rival*: SASRec trained in another way. Its
placebos are the arms named after it, such as ``confidence within``. Tables then show a rival as one
more variant, by its arm's name.

Training on strong targets alone (methods D4, PNFRec's control) moves a model towards what people
like. So it may gain on liked targets by what it loses on the others, and a gap between both, which
PNFRec's authors count as a merit, need not be any reading of intensity. A ranking by popularity has
a gap as well: that is its floor.

Shapes: S seeds, U users, each with one target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from seqattn.analysis.lambdas import t_interval
from seqattn.audit.levels import by_count
from seqattn.config import PLACEBOS
from seqattn.data import Dataset, load_dataset
from seqattn.models.key_bias import LEVELS
from seqattn.runs.results import value_matrix
from seqattn.stats.metrics import metric
from seqattn.studies import placebo, targets
from seqattn.studies.ia import published
from seqattn.studies.judge import change, with_columns
from seqattn.studies.learning import of_logs
from seqattn.studies.placebo import REAL, real_arm
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.studies.texts import NOT_RUN
from seqattn.training.ranking import Ranker

_RUN = ["dataset", "arm", "model", "seed", "layer", "head"]
STARS = 4.0  # of 5: liked
LIKINGS, ENDS = ("liked", "others"), ("change", "low", "high")
BY_LIKING = ["dataset", "arm", "part", "model", "n_seeds"]
BY_LIKING += ["share", "popular_gap", "base_gap", "gap"]
BY_LIKING += [f"{end}_{name}" for name in LIKINGS for end in ENDS]


def gates(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return learned biases of logits by a key's intensity, from the runs' records.

    A row a (dataset, arm, model, seed, layer, head, level): layer and head count from 1 (head 0:
    the same for all), `level` is the intensity's place in the training log, from 0 to 1, and `bias`
    is in logits, less its mean over levels, since a constant cancels. Of models that keep one; what
    else a record calls ``bias`` is none.
    """
    rows = []
    for key, learned in _learned(groups):
        curves = [curve for curve in learned.get("bias", ()) if np.shape(curve) == np.shape(LEVELS)]
        for head, curve in enumerate(curves, start=1):
            number = 0 if len(curves) == 1 else head
            values = np.array(curve) - np.mean(curve)
            rows += [(*key, number, *pair) for pair in zip(LEVELS, values, strict=True)]
    return pd.DataFrame(rows, columns=[*_RUN, "level", "bias"])


def head_lambdas(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return lambdas by head: a row a (dataset, arm, model, seed, layer, head), column lam."""
    rows = [
        (*key, head, lam)
        for key, learned in _learned(groups)
        for head, lam in enumerate(learned.get("lambda", ()), start=1)
    ]
    return pd.DataFrame(rows, columns=[*_RUN, "lam"])


def _learned(groups: Sequence[Group]) -> Iterator[tuple[tuple[Any, ...], dict[str, list]]]:
    """Yield what each layer of each run learned, with (dataset, arm, model, seed, layer)."""
    for group in groups:
        for run in group.runs:
            for layer, learned in enumerate(run.facts.get("learned", ()), start=1):
                yield (group.dataset.name, group.arm, group.model, run.seed, layer), learned


def bands(gates: pd.DataFrame) -> pd.DataFrame:
    """Return curves over seeds: the mean over heads by seed, then its mean and 95 % t interval.

    Heads of two seeds have nothing in common but their number, so a seed counts as one curve.

    Parameters
    ----------
    gates : DataFrame
        The table of that name.

    Returns
    -------
    DataFrame
        Columns dataset, arm, model, layer, level, mean, low, high (NaN for one seed), n_seeds.
    """
    keys = ["dataset", "arm", "model", "layer", "level"]
    columns = [*keys, "mean", "low", "high", "n_seeds"]
    if gates.empty:
        return pd.DataFrame(columns=columns)
    by_seed = gates.groupby([*keys, "seed"], sort=False)["bias"].mean()
    rows = [
        (*key, part.mean(), *t_interval(part.to_numpy()), len(part))
        for key, part in by_seed.groupby(level=keys, sort=False)
    ]
    return pd.DataFrame(rows, columns=columns)


def possible(study: Study, models: Sequence[str]) -> str:
    """Return how far a number of these models could go, by dataset: ``1.1 to 1.2 on ML-100K``.

    Steps up to the epoch that was kept times the learning rate, the least and the most of the runs
    with real intensities. The steps of an epoch are those of the table ``travel``.
    """
    travel = with_columns(study.table("travel"), ["dataset", "epoch", "steps", "learning_rate"])
    rate = travel["steps"] / travel["epoch"] * travel["learning_rate"]
    of_epoch = rate.groupby(travel["dataset"], sort=False).first()
    runs = with_columns(study.table("runs"), ["dataset", "arm", "model", "best_epoch"])
    mine = targets.pick(runs, arm=REAL, model=tuple(models))
    told = []
    for dataset, epochs in mine.groupby("dataset", sort=False)["best_epoch"]:
        ends = [f"{epoch * of_epoch[dataset]:.1f}" for epoch in (epochs.min(), epochs.max())]
        told.append(f"{' to '.join(dict.fromkeys(ends))} on {published.title(dataset)}")
    return ", ".join(told) or NOT_RUN


def rivals(study: Study) -> list[str]:
    """Return the arms of rivals."""
    return [arm.name for arm in study.arms if arm.name != REAL and real_arm(arm.name) is None]


def as_variants(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table's rows with rivals as variants of their own, in the arms of the others."""
    if table.empty:
        return table
    names, told = rivals(study), table.copy()
    for arm in names:
        for kind in ("", *PLACEBOS):
            mine = table["arm"] == f"{arm} {kind}".strip()
            told.loc[mine, ["arm", "model"]] = kind or REAL, arm
    return told


def verdicts(study: Study, cells: pd.DataFrame, over: pd.DataFrame) -> pd.DataFrame:
    """Return what the rule of `seqattn.studies.placebo` says of each dataset, design and rival.

    Parameters and columns are those of `seqattn.studies.placebo.verdicts`, `model` a rival's arm.
    """
    names, all_arms = rivals(study), {arm.name for arm in study.arms}
    arms = []
    for arm in study.arms:
        if arm.name in (REAL, *PLACEBOS):
            kind = "" if arm.name == REAL else arm.name
            own = [name for name in names if f"{name} {kind}".strip() in all_arms]
            arms.append(replace(arm, models=(*arm.models, *own)))
    shown = (as_variants(study, table) for table in (cells, over))
    return placebo.verdicts(replace(study, arms=tuple(arms)), *shown)


def of_study(study: Study) -> pd.DataFrame:
    """Return `verdicts` of a study from its kept tables, over users and seeds.

    *Information* must be there on the validation target as well.
    """
    cells, over = map(study.table, ("comparisons", "over_placebo"))
    changed = (as_variants(study, study.table(n)) for n in ("changes", "changes_over_placebo"))
    return placebo.on_validation(verdicts(study, cells, over), placebo.pairs(*changed))


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
    whole = [g for g in groups if g.whole(len(study.seeds))]

    def rows(name: str, data: Dataset) -> pd.DataFrame:
        if not data.has_intensity or data.split.owners():
            return pd.DataFrame()
        return _rows(data, [group for group in whole if group.dataset.name == name])

    names = dict.fromkeys(group.dataset.name for group in whole)
    return of_logs("by_liking", study, names, load_dataset, rows).reindex(columns=BY_LIKING)


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
        for name, chosen_U in zip(LIKINGS, (liked_U, ~liked_U), strict=True):
            told = change(base_SU[:, chosen_U], own_SU[:, chosen_U])
            row |= {f"{end}_{name}": told[end] for end in ENDS}
        rows.append(row)
    return pd.DataFrame(rows)


def _gap(hits_SU: np.ndarray, liked_U: np.ndarray) -> float:
    return float(hits_SU[:, liked_U].mean() - hits_SU[:, ~liked_U].mean())
