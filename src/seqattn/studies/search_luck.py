"""How much of a change is the luck of one search: several searches of each model, compared.

An arm is a search: the same design, with trials drawn by another seed.

Shapes: K searches, S seeds, U users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import product

import numpy as np
import pandas as pd

from seqattn.config import BASELINE, DESIGNS
from seqattn.runs.results import value_matrix
from seqattn.search.record import searches
from seqattn.stats import dual_criterion
from seqattn.stats.budget import worth_of_trials
from seqattn.stats.variance import between_searches, sd_of_sum
from seqattn.studies.judge import change
from seqattn.studies.plan import Group
from seqattn.studies.study import Study

READINGS = ("gain", "loss", "neither")
FEW, TIMES = 6, 4  # 24 of the protocol's 25 trials
SPREAD = ["dataset", "model", "n_searches", "mean", "search_sd", "low", "high", "seed_sd"]
VERDICT = ["dataset", "model", "change", "lowest", "highest", "luck_sd", "luck_low", "luck_high"]
VERDICT += [*READINGS, "verdict"]
PAIR = ["dataset", "model", "search", "base_search", "change", "low", "high", "reading"]


def by_model(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return how far searches of one model differ, by test NDCG@10 of their winners.

    A row a (dataset, model) of which every search and seed was run: the fields of
    `seqattn.stats.variance.Between`, and n_searches.
    """
    rows = []
    for dataset, model in dict.fromkeys((g.dataset.name, g.model) for g in groups):
        mine = _whole(study, groups, dataset, model)
        if mine:
            values_KSU = np.stack([value_matrix(g.runs, "NDCG", 10) for g in mine])
            key = {"dataset": dataset, "model": model, "n_searches": len(mine)}
            rows.append(key | asdict(between_searches(values_KSU)))
    return pd.DataFrame(rows)


def by_pair(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge each search's variant against each search's SASRec, by NDCG@10.

    A row a (dataset, model, its search, SASRec's search): change, low, high (percent, over users
    and seeds) and reading, one of `READINGS` by the clustered rule. Only whole sets count.
    """
    rows = []
    for dataset, model in dict.fromkeys((g.dataset.name, g.model) for g in groups):
        mine, base = (_whole(study, groups, dataset, name) for name in (model, BASELINE))
        for variant, sasrec in product(mine, base) if model != BASELINE else ():
            base_SU, own_SU = (value_matrix(g.runs, "NDCG", 10) for g in (sasrec, variant))
            row = dual_criterion(base_SU, own_SU)
            robust = {1: "gain", -1: "loss"}.get(row.direction, "neither")
            told = {"search": variant.arm, "base_search": sasrec.arm}
            told["reading"] = robust if row.robust_clustered else "neither"
            key = {"dataset": dataset, "model": model}
            rows.append(key | told | change(base_SU, own_SU))
    return pd.DataFrame(rows).reindex(columns=PAIR)


def worth(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what four times the trials are worth on validation, by all draws of stored ones.

    A row a (dataset, model) with a search of its own that has enough trials, of every dataset whose
    searches lie where the study reads one: few and more, the mean best of `FEW` and of
    `TIMES` as many, and gain, in percent of `few`.
    """
    rows = []
    for folder in dict.fromkeys(map(study.searches, study.arms)):
        for found in searches(folder):
            values = [t["value"] for t in found.trials if t["state"] == "COMPLETE"]
            if found.design == DESIGNS[0] and len(values) >= FEW * TIMES:
                few, more = worth_of_trials(values, n=FEW, factor=TIMES)
                rows.append(
                    {
                        "dataset": found.dataset,
                        "model": found.model,
                        "trials": len(values),
                        "seed": found.budget.seed,
                        "few": few,
                        "more": more,
                        "gain": 100 * (more - few) / few,
                    }
                )
    return pd.DataFrame(rows)


def _whole(study: Study, groups: Sequence[Group], dataset: str, model: str) -> list[Group]:
    """Return a model's groups, one a search, or none where a search or a seed was not run."""
    mine = [g for g in groups if (g.dataset.name, g.model) == (dataset, model)]
    return mine if all(len(g.runs) == len(study.seeds) for g in mine) else []


def verdicts(study: Study, models: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return what the study's rule says of each dataset and variant.

    Parameters
    ----------
    models, pairs : DataFrame
        The tables ``by_model`` and ``by_pair``.

    Returns
    -------
    DataFrame
        dataset, model, change (mean over pairs), lowest, highest, luck_sd (of a change from one
        search each, percent of SASRec's level, which is taken as known) with its 95 % interval
        luck_low and luck_high, gain, loss, neither (pairs that read so) and verdict: ``agrees``,
        ``depends on the search`` or ``not run``.
    """
    rows = []
    variants = dict.fromkeys(m for arm in study.arms for m in arm.models if m != BASELINE)
    for dataset, model in product(study.datasets, variants):
        row: dict[str, object] = {"dataset": dataset, "model": model, "verdict": "not run"}
        mine = (
            pairs[(pairs["dataset"] == dataset) & (pairs["model"] == model)]
            if len(pairs)
            else pairs
        )
        if len(mine):
            sds = models[models["dataset"] == dataset].set_index("model")
            both = sds.loc[[BASELINE, model], ["search_sd", "low", "high"]].to_numpy()
            luck_sd, ends = sd_of_sum(*both.T)
            percent = 100 / sds.loc[BASELINE, "mean"]
            counts = mine["reading"].value_counts()
            row |= {
                "change": mine["change"].mean(),
                "lowest": mine["change"].min(),
                "highest": mine["change"].max(),
                "luck_sd": luck_sd * percent,
                "luck_low": ends[0] * percent,
                "luck_high": ends[1] * percent,
                **{name: int(counts.get(name, 0)) for name in READINGS},
                "verdict": "agrees" if len(counts) == 1 else "depends on the search",
            }
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=VERDICT)
