"""Fits repeated under other settings: a study of whether the protocol stops its models too early.

The arm `USUAL` has fits as published, `LONGER` the same models with more patience, `CONTROL` the
variants again, compared with SASRec of equal patience on the variant's own backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seqattn.config import SEEDS
from seqattn.runs.results import unfinished, value_matrix
from seqattn.runs.store import Run
from seqattn.stats import dual_criterion
from seqattn.studies.judge import change, over_users
from seqattn.studies.plan import Group, counterpart
from seqattn.studies.study import Study

USUAL, LONGER, CONTROL = "usual", "patient", "patient_control"


def patience(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge longer fits by NDCG@10; only whole sets of seeds count.

    Returns
    -------
    DataFrame
        dataset, part, model, against, base and level (both means), change, low, high (percent of
        `base`, over users and seeds), users_low, users_high (clustered by user) and robust.
        `against` is ``usual`` (the same model's usual fits), ``patient`` (SASRec's longer fits,
        each model with its own search) or ``patient_control`` (SASRec's longer fits with what the
        variant's search found).
    """
    rows = []
    for group in groups:
        pairs = {group.arm: group.base} if group.arm in (LONGER, CONTROL) else {}
        if group.arm == LONGER:
            pairs = {USUAL: counterpart(groups, group, USUAL).runs} | pairs
        for against, base in pairs.items():
            if len(base) == len(group.runs) == len(SEEDS):
                key = {"dataset": group.dataset.name, "part": group.part, "model": group.model}
                rows.append(key | {"against": against} | _compared(base, group.runs))
    return pd.DataFrame(rows)


def _compared(base: Sequence[Run], other: Sequence[Run]) -> dict[str, Any]:
    base_SU, other_SU = (value_matrix(runs, "NDCG", 10) for runs in (base, other))
    record, told = dual_criterion(base_SU, other_SU), change(base_SU, other_SU)
    levels = {"level": float(other_SU.mean()), "robust": record.robust}
    return levels | over_users(record, told["base"]) | told


def epochs(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return the best epochs of longer fits beside those of the usual ones.

    Returns
    -------
    DataFrame
        dataset, part, model, seed, usual_run (its key), usual_epoch and epoch (the best ones, the
        first is 1), at_the_limit (whether the limit ended the longer fit before its patience did),
        patience and limit of the longer fit, its device and commit.
    """
    rows = []
    for group in groups:
        usual = counterpart(groups, group, USUAL).runs if group.arm == LONGER else ()
        if not len(usual) == len(group.runs) == len(SEEDS):
            continue
        for before, after in zip(usual, group.runs, strict=True):
            train = after.spec.train_config
            environment = after.facts.get("environment", {})
            rows.append(
                {
                    "dataset": group.dataset.name,
                    "part": group.part,
                    "model": group.model,
                    "seed": after.seed,
                    "usual_run": before.spec.key,
                    "usual_epoch": before.facts["best_epoch"],
                    "epoch": after.facts["best_epoch"],
                    "at_the_limit": unfinished(after),
                    "patience": train.patience,
                    "limit": train.epochs,
                    "device": environment.get("device", "unknown"),
                    "commit": environment.get("commit", "unknown")[:7],
                }
            )
    return pd.DataFrame(rows)
