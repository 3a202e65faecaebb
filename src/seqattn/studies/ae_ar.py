"""AE against AR: a family at a time, and what mask, objective and samples have to do with the gap.

Shapes: S seeds, U users.

References
----------
[AE] Tables 4 to 6. Intervals: `seqattn.stats.crossed`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from seqattn.config import MARGIN_PERCENT
from seqattn.models import MODELS, is_masked
from seqattn.plots.style import name_of
from seqattn.runs.results import on_common_seeds, value_matrix
from seqattn.runs.store import Run
from seqattn.studies import texts
from seqattn.studies.ia import published
from seqattn.studies.judge import (
    ALPHA,
    change,
    judge,
    leaves_out_0,
    ndcg_at_10,
    stacked,
    with_columns,
)
from seqattn.studies.levels import cut_by_limit
from seqattn.studies.placebo import over_arms
from seqattn.studies.plan import Group
from seqattn.studies.study import Study

LEAST_DATASETS = 3  # for a claim over datasets
LEAST_SHARE = 4 / 5  # of them, on which AR is to be ahead
# Their pairs had been seen when they came into the study: no claim over datasets counts them.
SEEN_BEFORE = ("amazon-office",)
ALL, LOCAL = -1, 8  # windows: as far as any; below this it is local
# Cells of the factorial: (arm, model) of the study `why_ar`.
_SASREC, _BOTH_NEXT = ("next", "sasrec"), ("next", "bidirectional-next")
_CAUSAL, _BERT = ("masked", "causal-masked"), ("masked", "bert4rec")
_CAUSAL_LAST, _BERT_LAST = ("last", "causal-masked"), ("last", "bert4rec")
_CAUSAL_PATIENT, _BERT_PATIENT = ("patient", "causal-masked"), ("patient", "bert4rec")
# Each effect is a sum of cells with weights. Mask and objective add up to the gap. Samples, what
# training on what it is asked gives AE, are a part of the objective, so that the three of `FACTORS`
# add up to the gap as well, and no part of it is counted twice.
EFFECTS: dict[str, dict[tuple[str, str], float]] = {
    "gap": {_SASREC: 1, _BERT: -1},
    "mask": {_SASREC: 0.5, _BOTH_NEXT: -0.5, _CAUSAL: 0.5, _BERT: -0.5},
    "objective beyond samples": {
        _SASREC: 0.5,
        _CAUSAL_LAST: -0.5,
        _BOTH_NEXT: 0.5,
        _BERT_LAST: -0.5,
    },
    "samples": {_BERT_LAST: 0.5, _BERT: -0.5, _CAUSAL_LAST: 0.5, _CAUSAL: -0.5},
    "samples, BERT4Rec": {_BERT_LAST: 1, _BERT: -1},
    "samples, causal": {_CAUSAL_LAST: 1, _CAUSAL: -1},
    "mask x samples": {_CAUSAL_LAST: 0.5, _CAUSAL: -0.5, _BERT_LAST: -0.5, _BERT: 0.5},
    "objective": {_SASREC: 0.5, _CAUSAL: -0.5, _BOTH_NEXT: 0.5, _BERT: -0.5},
    "mask x objective": {_SASREC: 0.5, _BOTH_NEXT: -0.5, _CAUSAL: -0.5, _BERT: 0.5},
    "gap left": {_SASREC: 1, _BERT_LAST: -1},
    "patience": {_BERT_PATIENT: 0.5, _BERT: -0.5, _CAUSAL_PATIENT: 0.5, _CAUSAL: -0.5},
    "gap, patient": {_SASREC: 1, _BERT_PATIENT: -1},
}
FACTORS = ("mask", "objective beyond samples", "samples")
# From AE to AR over Local-AE: models by what the page calls them.
_LADDER = {"AE": "bert4rec", "Local-AE": "local-ae", "AR": "sasrec"}


def pairs(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge the AR model of each arm against its AE model, which is the baseline.

    A row a (dataset, arm, model, metric, k), `model` being the AR one; columns of
    `seqattn.studies.judge.judge`, and ``ae``, the baseline's name.
    """
    return stacked(
        judge(ae.runs, {ar.model: ar.runs}).assign(dataset=dataset, arm=arm, ae=ae.model)
        for (dataset, arm), ae, ar in both_sides(groups)
    )


def both_sides(groups: Sequence[Group]) -> Iterator[tuple[tuple[str, str], Group, Group]]:
    """Yield each (dataset, arm) that has one AE and one AR model, with both of them."""
    found: dict[tuple[str, str], tuple[list[Group], list[Group]]] = {}
    for group in (g for g in groups if g.model in MODELS):
        ae, ar = found.setdefault((group.dataset.name, group.arm), ([], []))
        (ae if is_masked(group.model) else ar).append(group)
    for key, (ae, ar) in found.items():
        if len(ae) == len(ar) == 1:
            yield key, ae[0], ar[0]


def ladder(study: Study) -> dict[str, tuple[str, str]]:
    """Return AE, Local-AE and AR as (arm, model), each in the first arm that has it."""
    return {
        rung: (next(arm.name for arm in study.arms if model in arm.models), model)
        for rung, model in _LADDER.items()
    }


def between(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what each step from AE over Local-AE to AR changes in NDCG@10.

    A row a (dataset, step): base, the lower rung's mean; change, with low and high over users and
    seeds, in percent of it; n_seeds, those that all three rungs have; at least two, or no row.
    """
    rows, rungs = [], ladder(study)
    for dataset in study.datasets:
        runs = {(g.arm, g.model): g.runs for g in groups if g.dataset.name == dataset}
        values = _on_common_seeds({cell: runs.get(cell, ()) for cell in rungs.values()})
        for (lower, a), (upper, b) in pairwise(rungs.items()) if values else ():
            row = {"dataset": dataset, "step": f"{upper} over {lower}", "n_seeds": len(values[a])}
            rows.append(row | change(values[a], values[b]))
    columns = ["dataset", "step", "base", "change", "low", "high", "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


def stands_between(steps: pd.DataFrame, datasets: Collection[str], n_seeds: int) -> pd.Series:
    """Return by dataset whether Local-AE stands between AE and AR, by the rule of `ae_or_ar`.

    `steps` is the table ``between``. Yes: both intervals are above 0; no: one is below; can't be
    told: neither; not run: fewer than `n_seeds` seeds.
    """
    told = dict.fromkeys(datasets, "not run")
    for dataset, part in steps[steps["n_seeds"] >= n_seeds].groupby("dataset"):
        below, above = (part["high"] < 0).any(), (part["low"] > 0).all()
        told[str(dataset)] = "no" if below else "yes" if above else "can't be told"
    return pd.Series(told, name="between")


def factorial(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what mask, objective and training samples change, in percent of SASRec's NDCG@10.

    A row a (dataset, effect): change, with low and high over users and seeds, and n_seeds, those
    that all cells of the effect have; at least two, or the row is absent.
    """
    rows = []
    for dataset in study.datasets:
        runs = {(g.arm, g.model): g.runs for g in groups if g.dataset.name == dataset}
        for effect, weights in EFFECTS.items():
            needed = {_SASREC: 0.0} | weights  # its level is the unit
            values = _on_common_seeds({cell: runs.get(cell, ()) for cell in needed})
            if not values:
                continue
            base_SU = values[_SASREC]
            changed_SU = sum(weight * values[cell] for cell, weight in weights.items())
            row = {"dataset": dataset, "effect": effect, "n_seeds": len(base_SU)}
            rows.append(row | change(base_SU, base_SU + changed_SU))
    return pd.DataFrame(rows, columns=["dataset", "effect", "change", "low", "high", "n_seeds"])


def _on_common_seeds(
    cells: Mapping[tuple[str, str], Sequence[Run]],
) -> dict[tuple[str, str], np.ndarray]:
    """Return NDCG@10 by cell, (S, U), on the seeds of all; empty with fewer than two."""
    of = on_common_seeds(cells)
    if min(map(len, of.values())) < 2:
        return {}
    return {cell: value_matrix(runs, "NDCG", 10) for cell, runs in of.items()}


def windows(study: Study, locality: str = "") -> dict[str, int]:
    """Return the window of the local models, by arm; -1 is all.

    With `locality`, ``pure`` or ``mixed``, of these alone; all is one model in either.
    """
    of = {arm.name: arm.settings.model for arm in study.arms}
    of = {name: model for name, model in of.items() if "local_window" in model}
    return {
        name: int(model["local_window"])
        for name, model in of.items()
        if not locality or locality == model["locality"] or model["local_window"] == ALL
    }


def dial(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge local heads of each window against heads that look as far as any, of one model.

    A row a (dataset, arm, model, metric, k): columns of `seqattn.studies.judge.judge`, window and
    locality, ``pure`` where all heads are local and ``mixed`` where one is.
    """
    window_of, pure = windows(study), windows(study, "pure")
    far = next(arm for arm, w in window_of.items() if w == ALL)
    told = over_arms({arm: far for arm in window_of if arm != far}, groups)
    if told.empty:
        return told
    kinds = np.where(told["arm"].isin(list(pure)), "pure", "mixed")
    return told.assign(window=told["arm"].map(window_of), locality=kinds)


def verdicts(study: Study, judged: pd.DataFrame) -> pd.DataFrame:
    """Return what the rule of the study `ae_or_ar` says of each dataset and family.

    Parameters
    ----------
    judged : DataFrame
        The table ``pairs``.

    Returns
    -------
    DataFrame
        A row a (dataset, arm): base (AE's NDCG@10), change, low, high (AR's, in percent of it, over
        users and seeds), n_seeds and verdict: AR, AE, alike, can't be told or not run.
    """
    columns = ["dataset", "arm", "n_seeds", "base", "change", "low", "high"]
    columns += ["robust_clustered", "direction", "margin"]
    mine = ndcg_at_10(judged, *columns)[columns]
    cells = [(dataset, arm.name) for dataset in study.datasets for arm in study.arms]
    rows = pd.DataFrame(cells, columns=["dataset", "arm"])
    rows = rows.merge(mine, on=["dataset", "arm"], how="left")
    rows["verdict"] = [_verdict(row, len(study.seeds)) for row in rows.to_dict("records")]
    return rows[["dataset", "arm", "base", "change", "low", "high", "n_seeds", "verdict"]]


def _verdict(row: Mapping[Hashable, Any], n_seeds: int) -> str:
    if not row["n_seeds"] >= n_seeds:  # NaN: none
        return "not run"
    if row["robust_clustered"]:
        return "AR" if row["direction"] > 0 else "AE"
    return "alike" if row["margin"] <= MARGIN_PERCENT else "can't be told"


def claimed(rows: pd.DataFrame) -> pd.Series:
    """Return by family whether [AE]'s claim holds, that AR is ahead on four datasets of five.

    Yes, no (AE is ahead, or both are alike, on so many that it cannot be), can't be told, or not
    run (on three). Datasets of `SEEN_BEFORE` are left out.
    """

    def told(verdicts: pd.Series) -> str:
        ran = verdicts[verdicts != "not run"]
        if len(ran) < LEAST_DATASETS:
            return "not run"
        needed = math.ceil(LEAST_SHARE * len(ran))
        if (ran == "AR").sum() >= needed:
            return "yes"
        against = ran.isin(["AE", "alike"]).sum()
        return "no" if against > len(ran) - needed else "can't be told"

    rows = rows[~rows["dataset"].isin(SEEN_BEFORE)]
    return rows.groupby("arm", sort=False)["verdict"].agg(told)


def explained(effects: pd.DataFrame, n_seeds: int) -> pd.DataFrame:
    """Return whether each factor explains the gap, by the rule of the study `why_ar`.

    Parameters
    ----------
    effects : DataFrame
        The table ``factorial``.
    n_seeds : int
        Fewer is not run.

    Returns
    -------
    DataFrame
        The rows of `FACTORS` with ``share``, of the gap, and ``explains``, which none does where
        the gap's interval holds 0.
    """
    whole = effects[effects["n_seeds"] == n_seeds]
    gaps = whole[whole["effect"] == "gap"].set_index("dataset")
    sure = leaves_out_0(gaps)  # else there may be no gap to explain
    rows = whole[whole["effect"].isin(FACTORS)].copy()
    rows["share"] = rows["change"] / rows["dataset"].map(gaps["change"]).astype(float)
    rows["explains"] = (
        leaves_out_0(rows) & (rows["share"] > 0.5) & rows["dataset"].map(sure).eq(True)
    )
    return rows


def causes(effects: pd.DataFrame, n_seeds: int) -> pd.Series:
    """Return the gap and its factors in words, by the title of each dataset that has all of them.

    `effects` is the table ``factorial``, and fewer than `n_seeds` seeds are not run.
    """
    whole = effects[effects["n_seeds"] == n_seeds]
    told = {
        (row.dataset, row.effect): texts.estimate(row.change, row.low, row.high)
        for row in whole.itertuples()
    }
    names = ("gap", *FACTORS)
    return pd.Series(
        {
            published.title(dataset): f"SASRec less BERT4Rec is {told[dataset, 'gap']}; "
            + ", ".join(f"{name} {told[dataset, name]}" for name in FACTORS)
            for dataset in whole["dataset"].unique()
            if all((dataset, name) in told for name in names)
        },
        dtype=object,
    )


def in_words(effects: pd.DataFrame, effect: str, n_seeds: int) -> str:
    """Return one effect in words, by dataset: ``+29.3 [+21.3, +37.2] on Amazon-Office``.

    `effects` is the table ``factorial``, and fewer than `n_seeds` seeds are not run.
    """
    rows = effects[(effects["effect"] == effect) & (effects["n_seeds"] >= n_seeds)]
    found = [
        f"{texts.estimate(row.change, row.low, row.high)} on {published.title(row.dataset)}"
        for row in rows.itertuples()
    ]
    return "; ".join(found) or texts.NOT_RUN


def cut_in_words(runs: pd.DataFrame, arm: str) -> str:
    """Return which fits of an arm the limit of epochs ended, before their patience ran out.

    As ``2 of 10 fits (BERT4Rec, best epoch 155 of 200; ...)``; `runs` is the table of that name.
    """
    columns = ["dataset", "arm", "model", "best_epoch", "epochs", "limit", "patience"]
    mine = with_columns(runs, columns)
    mine = mine[mine["arm"] == arm]
    cut = mine[cut_by_limit(mine)]
    told = [
        f"{name_of(row.model)} on {published.title(row.dataset)}, "
        f"best epoch {row.best_epoch:.0f} of {row.limit:.0f}"
        for row in cut.itertuples()
    ]
    which = f" ({'; '.join(told)})" if told else ""
    return f"{len(cut)} of {len(mine)} fits{which}" if len(mine) else texts.NOT_RUN


def local_holds(judged: pd.DataFrame, n_seeds: int, dial: Collection[int]) -> pd.DataFrame:
    """Return by dataset AE's best window and whether [AE]'s account of locality holds.

    Parameters
    ----------
    judged : DataFrame
        The table ``dial``.
    n_seeds : int
        Fewer is not run.
    dial : collection of int
        The windows that a dataset must have to be judged, as of `windows`.

    Returns
    -------
    DataFrame
        A row a dataset with every window: window (the best of AE; -1: as far as any), change, and
        verdict. All heads are local; the rule is about these. It "holds" if the best is small and
        robustly above as far as any; the best of several is one of several tests, so its p-value is
        multiplied by their number (Bonferroni). It "does not" if every small window is equivalent
        or robustly below, and else "can't be told".
    """
    columns = ["dataset", "model", "n_seeds", "window", "change", "locality", "robust_clustered"]
    mine = ndcg_at_10(judged, *columns, "direction", "p", "equivalent")
    mine = mine[mine["locality"] == "pure"]
    mine = mine[mine["model"].isin([name for name in mine["model"].unique() if is_masked(name)])]
    rows = []
    for dataset, part in mine[mine["n_seeds"] == n_seeds].groupby("dataset", sort=False):
        if not {*dial} - {ALL} <= {*part["window"]}:
            continue
        best = part.loc[part["change"].idxmax()]
        window = int(best["window"]) if best["change"] > 0 else ALL
        robust = bool(best["robust_clustered"]) and best["direction"] > 0
        robust &= best["p"] * len(part) <= ALPHA
        small = part[part["window"].between(0, LOCAL - 1)]
        below = small["robust_clustered"].eq(True) & (small["direction"] < 0)
        excluded = (below | small["equivalent"].eq(True)).all()
        verdict = "does not" if excluded else "can't be told"
        verdict = "holds" if robust and 0 <= window < LOCAL else verdict
        rows.append((dataset, window, max(float(best["change"]), 0.0), verdict))
    return pd.DataFrame(rows, columns=["dataset", "window", "change", "verdict"])
