"""Is lambda identified: do starts meet, does its value matter, does it follow a log's size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from seqattn.config import BASELINE, LAMBDA, MARGIN_PERCENT
from seqattn.data.entry import log_of
from seqattn.plots.style import name_of
from seqattn.studies.ia import published
from seqattn.studies.judge import ndcg_at_10, with_columns
from seqattn.studies.study import Arm, Study
from seqattn.studies.texts import NOT_RUN, counted, estimate

MEET, APART = 0.1, 0.5  # shares of the spread that the starts had
# What pages and README call the verdicts on starts.
STARTS = {
    "meet": "where they meet",
    "partly": "where they come nearer",
    "apart": "where they stay apart",
}


PROFILES = {
    "flat": "with a flat profile",
    "steep": "with a steep profile",
    "can't be told": "with neither a flat nor a steep profile shown",
}


def starts(study: Study) -> dict[str, float]:
    """Return where lambda starts, by arm; arms that change its rate or decay are left out."""
    arms = {arm.name: _lambda_of(arm) for arm in study.arms}
    return {name: s for name, (s, rate, decay) in arms.items() if (rate, decay) == (1, 0)}


def held(study: Study) -> dict[str, float]:
    """Return the value at which lambda is held, by arm; other arms are left out."""
    arms = {arm.name: _lambda_of(arm) for arm in study.arms}
    return {name: s for name, (s, rate, _) in arms.items() if rate == 0}


def _lambda_of(arm: Arm) -> tuple[float, float, float]:
    start, rate, decay = ({**LAMBDA, **arm.settings.train}[name] for name in LAMBDA)
    return start, rate, decay


def verdicts(
    study: Study, lambdas: pd.DataFrame, cells: pd.DataFrame, travel: pd.DataFrame
) -> pd.DataFrame:
    """Return what the rules of the study `lambda_starts` say of each (dataset, variant).

    Parameters
    ----------
    lambdas, cells, travel : DataFrame
        The tables ``lambdas``, ``comparisons`` and ``travel``.

    Returns
    -------
    DataFrame
        Columns dataset, model; left, the share of the starts' spread that training leaves; ends,
        one of meet, partly, apart and not run; needed, what meeting would take of the travel that
        the two outermost starts can go (steps times learning rate, means over seeds; above 1 they
        cannot meet); low and high, the lowest and highest change of
        NDCG@10 (percent of SASRec) over the values at which lambda is held; and profile: flat,
        steep, can't be told or not run.
    """
    started, fixed, n_seeds = starts(study), held(study), len(study.seeds)
    travel = with_columns(travel, ["dataset", "model", "arm", "possible"])
    rows = []
    for dataset in study.datasets:
        for model in study.arms[0].models:
            if model == BASELINE:
                continue
            ended = _of(lambdas, dataset, model, n_seeds).reindex(list(started))
            left = np.ptp(ended["lambda_mean"].to_numpy()) / np.ptp([*started.values()])
            possible = travel[(travel["dataset"] == dataset) & (travel["model"] == model)]
            needed = _needed(started, possible.groupby("arm")["possible"].mean())
            changes = _of(ndcg_at_10(cells), dataset, model, n_seeds).reindex(list(fixed))
            by_value = changes["change"]
            whole = by_value.notna().all()
            low, high = (by_value.min(), by_value.max()) if whole else (np.nan, np.nan)
            profile = _profile(changes) if whole else "not run"
            rows.append((dataset, model, left, _ends(left), needed, low, high, profile))
    columns = ["dataset", "model", "left", "ends", "needed", "low", "high", "profile"]
    return pd.DataFrame(rows, columns=columns)


def _of(table: pd.DataFrame, dataset: str, model: str, n_seeds: int) -> pd.DataFrame:
    """Return the rows of a dataset and model that have all seeds, by arm."""
    columns = ["dataset", "arm", "model", "n_seeds", "lambda_mean", "change"]
    table = with_columns(table, [*columns, "robust_clustered", "margin"])
    wanted = (table["dataset"] == dataset) & (table["model"] == model)
    return table[wanted & (table["n_seeds"] == n_seeds)].set_index("arm")


def _needed(started: Mapping[str, float], possible: pd.Series) -> float:
    outermost = min(started, key=started.__getitem__), max(started, key=started.__getitem__)
    lowest, highest = (started[arm] for arm in outermost)
    return (1 - MEET) * (highest - lowest) / possible.reindex(outermost).sum(skipna=False)


def _ends(left: float) -> str:
    if np.isnan(left):
        return "not run"
    return "meet" if left <= MEET else "apart" if left > APART else "partly"


def _profile(changes: pd.DataFrame) -> str:
    if changes["robust_clustered"].eq(True).any():
        return "steep"
    return "flat" if (changes["margin"] <= MARGIN_PERCENT).all() else "can't be told"


def of_study(study: Study) -> pd.DataFrame:
    """Return `verdicts` of a study from its kept tables, over users and seeds."""
    return verdicts(study, *map(study.table, ("lambdas", "comparisons", "travel")))


def told(study: Study) -> dict[str, object]:
    """Return what the study `lambda_starts` came to, in words and numbers for a page.

    ``starts_cells`` (combinations of dataset and variant), ``starts_run``, ``starts_told``,
    ``starts_on`` (datasets and seeds), ``left`` and ``needed`` (ranges, see `verdicts`),
    ``fast`` (where lambda ends from 1 when it learns ten times as fast), ``held_from``,
    ``held_to`` and ``value_told``.
    """
    found = of_study(study)
    run, profiles = found[found["ends"] != NOT_RUN], found[found["profile"] != NOT_RUN]
    on = ", ".join(dict.fromkeys(published.title(name) for name in run["dataset"]))
    columns = ["dataset", "arm", "model", "n_seeds", "lambda_mean", "seed_low", "seed_high"]
    ends = with_columns(study.table("lambdas"), columns)
    ends = ends[ends["n_seeds"] == len(study.seeds)].set_index("arm")
    usual = ends[ends.index == "real"].set_index(["dataset", "model"])["lambda_mean"]
    fast = [
        f"{estimate(row.lambda_mean, row.seed_low, row.seed_high, '+z.2f')} "
        f"({name_of(row.model)} on {published.title(row.dataset)}; at the usual rate "
        f"{usual.get((row.dataset, row.model), np.nan):+z.2f})"
        for row in ends[ends.index == "rate x 10"].itertuples()
    ]
    return {
        "starts_cells": len(found),
        "starts_run": len(run),
        "starts_told": counted(run["ends"].map(STARTS).value_counts()) or NOT_RUN,
        "starts_on": f"{on}, {len(study.seeds)} seeds" if on else NOT_RUN,
        "left": _range(run["left"]),
        "needed": _range(run["needed"]),
        "fast": ", ".join(fast) or NOT_RUN,
        "held_from": float(found["low"].min()),
        "held_to": float(found["high"].max()),
        "value_told": counted(profiles["profile"].map(PROFILES).value_counts()) or NOT_RUN,
    }


def _range(shares: pd.Series) -> str:
    ends = [f"{100 * share:.0f}" for share in (shares.min(), shares.max())]
    return f"{' to '.join(dict.fromkeys(ends))} %" if len(shares) else NOT_RUN


def sizes(study: Study) -> pd.DataFrame:
    """Return the study's datasets by size: dataset, log (its name in the catalogue), share.

    ``share`` is that of users in percent, 100 for a log as it is.
    """
    rows = []
    for name in study.datasets:
        log = log_of(name)
        rows.append((name, log, 100 if log == name else int(name.rpartition("-")[2])))
    return pd.DataFrame(rows, columns=["dataset", "log", "share"])


def returning(study: Study, travel: pd.DataFrame) -> pd.DataFrame:
    """Return what the rule of the study `thinning` says of each log, arm and variant.

    Parameters
    ----------
    travel : DataFrame
        The table of that name.

    Returns
    -------
    DataFrame
        Columns log, arm, model, the mean distance of lambda from 1 by share of users, in columns
        named by the share, and verdict: returns, stays, can't be told or not run.
    """
    by_size = sizes(study)
    shares = sorted(by_size["share"].unique(), reverse=True)
    columns = ["dataset", "arm", "model", "seed", "moved"]
    runs = by_size.merge(travel.reindex(columns=columns), on="dataset")
    whole = runs.groupby(["log", "arm", "model", "share"])["moved"].agg(["mean", "size"])
    means = whole.loc[whole["size"] == len(study.seeds), "mean"]
    rows = []
    for log in by_size["log"].unique():
        for arm in study.arms:
            for model in (m for m in arm.models if m != BASELINE):
                moved = [means.get((log, arm.name, model, share), np.nan) for share in shares]
                rows.append((log, arm.name, model, *moved, _returns(np.array(moved))))
    return pd.DataFrame(rows, columns=["log", "arm", "model", *shares, "verdict"])


def _returns(moved: np.ndarray) -> str:
    """Return the verdict on distances from 1, from the whole log to the smallest part."""
    if np.isnan(moved).any():
        return "not run"
    if (np.diff(moved) < 0).all():
        return "returns"
    return "stays" if moved[-1] >= moved[0] else "can't be told"
