"""Designs beyond one lambda: what they learned, and whether it is information.

An arm that is no placebo and not ``real`` holds a *rival*: SASRec trained in another way. Its
placebos are the arms named after it, such as ``confidence within``. Tables then show a rival as one
more variant, by its arm's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from seqattn.analysis.lambdas import t_interval
from seqattn.config import PLACEBOS
from seqattn.models.key_bias import LEVELS
from seqattn.studies import placebo, targets
from seqattn.studies.ia import published
from seqattn.studies.judge import with_columns
from seqattn.studies.placebo import REAL, real_arm
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.studies.texts import NOT_RUN

_RUN = ["dataset", "arm", "model", "seed", "layer", "head"]


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
