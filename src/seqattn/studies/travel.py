"""How long lambda was trained, how far that could take it, and whether a comparison says anything.

Adam moves a parameter by about the learning rate a step, at most. So lambda is at most steps x
learning rate away from its start, 1, whatever it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from seqattn.analysis.lambdas import Spearman, spearman, spearman_by
from seqattn.analysis.lambdas import pace as pace_of
from seqattn.config import BACKBONES, LAMBDA
from seqattn.data.entry import log_of
from seqattn.data.sources import GENERATED
from seqattn.models import MODELS
from seqattn.plots.style import name_of
from seqattn.presets import PRESETS, get_preset
from seqattn.studies.ia import published
from seqattn.studies.judge import COMPARISON, ndcg_at_10, stacked
from seqattn.studies.plan import Group
from seqattn.studies.study import Arm, Study, names, read_study
from seqattn.studies.texts import span

# Below either, a value of lambda says how long it was trained, and no more.
LEAST_STEPS, LEAST_POSSIBLE = 200, 0.5
_MEANS = ["steps", "learning_rate", "lam", "moved", "possible", "used"]
_BATCH = 2048  # of the published steps: the paper states none, and ranks do not depend on it
_RATES = 1e-4, 5e-3  # the learning rates that we search; the paper lists none
# Settings that a search chose, or that were written down before; then what intensities were drawn.
KINDS = (
    *("searched", "not searched: real", "not searched: shuffled", "not searched: planted"),
    "a generated log",
)
_TOLD = {"real": KINDS[1], "planted": KINDS[3]}


def travel(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return one row per run with lambdas: what moved it and how far it went.

    dataset, arm, part, model, seed, epoch (the one kept), steps (optimiser steps until then),
    learning_rate, lam (mean over layers), moved (mean over layers of the distance from where it
    started), possible (steps x lambda's learning rate), used (moved / possible).
    """
    frames = []
    for group in groups:
        runs = [run for run in group.runs if group.model in MODELS and run.facts["lambdas"]]
        if not runs:
            continue
        names = {"epoch_kept": "epoch", "lam_kept": "lam"}
        frame = pace_of(runs, group.dataset.n_targets).rename(columns=names).assign(**group.key)
        training = [run.spec.train_config for run in runs]
        frame["steps"] *= frame["epoch"]
        frame["moved"] = [
            np.mean(np.abs(config.lambda_start - np.array(run.facts["lambdas"])))
            for run, config in zip(runs, training, strict=True)
        ]
        frame["possible"] = frame["steps"] * [c.learning_rate * c.lambda_rate for c in training]
        frame["used"] = frame["moved"] / frame["possible"]
        frames.append(frame[[*COMPARISON, "seed", "epoch", *_MEANS]])
    return stacked(frames)


def _long_enough(found: pd.DataFrame) -> pd.Series:
    """Return which rows have the steps, and the possible travel, that count."""
    return (found["steps"] >= LEAST_STEPS) & (found["possible"] >= LEAST_POSSIBLE)


def by_cell(runs: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds of `travel`, with ``counted``: whether lambda could go anywhere.

    A cell is counted if its fits took at least `LEAST_STEPS` steps and could move lambda by at
    least `LEAST_POSSIBLE`, in the mean of its seeds.
    """
    if runs.empty:
        nothing = pd.DataFrame(columns=[*COMPARISON, *_MEANS, "counted", "seeds"])
        return nothing.astype({"counted": bool})
    grouped = runs.groupby(COMPARISON, sort=False)
    means = grouped[_MEANS].mean()
    counted = _long_enough(means)
    return means.assign(counted=counted, seeds=grouped.size()).reset_index()


def counted(cells: pd.DataFrame, found: pd.DataFrame) -> pd.Series:
    """Return which rows of a table with dataset, arm and model `by_cell` counts."""
    keys = ["dataset", "arm", "model"]
    kept = found[found["counted"]].set_index(keys).index
    return pd.Series(cells.set_index(keys).index.isin(kept), index=cells.index)


def only_counted(
    points: Mapping[str, pd.DataFrame], found: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return points by arm, not ``whole`` where a cell is not counted.

    `points` are of `seqattn.studies.ia.tables.lambda_points`, `found` is of `by_cell`.
    """
    return {
        arm: rows.assign(whole=rows["whole"].eq(True) & counted(rows.assign(arm=arm), found))
        for arm, rows in points.items()
    }


def published_steps() -> pd.DataFrame:
    """Return [IA] Table 4 with each dataset's optimiser steps per epoch, from Table 2.

    Three interactions of a user are no training targets: validation's, test's and the first.
    """
    sizes = published.table2()
    targets = sizes["interactions"] - 3 * sizes["users"]
    steps = pd.Series(np.ceil(targets / _BATCH).to_numpy(), index=sizes["dataset"], name="steps")
    return published.table4().join(steps, on="dataset")


def against_length(found: pd.DataFrame) -> Spearman:
    """Return the rank correlation of abs(1 - lambda) with steps x learning rate."""
    return spearman(found["moved"], found["possible"])


def travel_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return `by_cell` as text: one row per dataset, backbone and variant."""
    rows = [
        {
            "dataset": row.title,
            "backbone": BACKBONES[row.arm],
            "variant": name_of(row.model),
            "λ": f"{row.lam:.2f}",
            "steps": f"{row.steps:.0f}",
            "possible travel": f"{row.possible:.2f}",
            "used of it": f"{row.used:.0%}",
            "counted": "yes" if row.counted else "no",
        }
        for row in published.with_titles(found).itertuples()
    ]
    return pd.DataFrame(rows).set_index(["dataset", "backbone", "variant"])


def points_beside(
    points: pd.DataFrame, cells: pd.DataFrame, lambdas: pd.DataFrame, found: pd.DataFrame, arm: str
) -> pd.DataFrame:
    """Return [IA] Figure 2's points of one arm with those of datasets that the paper lacks.

    `points` are of `seqattn.studies.ia.tables.lambda_points`, `cells` and `lambdas` a study's
    tables ``comparisons`` and ``lambdas``, `found` is of `by_cell`. Ours are NaN where a cell is
    not counted, or not whole.
    """
    keys = ["dataset", "model"]
    mine = ndcg_at_10(cells[cells["arm"] == arm])
    mine = mine[[*keys, "change", "whole"]]
    beside = lambdas[(lambdas["arm"] == arm) & ~published.of_paper(lambdas)]
    beside = beside.merge(mine, on=keys, how="left").rename(columns={"lambda_mean": "mean"})
    together = pd.concat([points, beside[[*keys, "mean", "change", "whole"]]], ignore_index=True)
    told = counted(together.assign(arm=arm), found) & together["whole"].eq(True)
    together[["mean", "change"]] = together[["mean", "change"]].where(told)
    return together


def published_length() -> Spearman:
    """Return the rank correlation of [IA]'s lambda with steps per epoch, over its 21 cells.

    Its interval resamples datasets: the cells of one share their steps.
    """
    found = published_steps()
    return spearman_by(found["lambda_mean"], found["steps"], found["dataset"])


def of_all_studies() -> pd.DataFrame:
    """Return the runs of every study that keeps a table ``travel``, each once.

    The columns of `travel`, with study (the first that wants a run), kind (one of `KINDS`), log (of
    which the dataset is all or a part), start (of lambda) and epoch_steps (optimiser steps an
    epoch). Runs whose lambda was held could not travel and are left out.
    """
    frames = [
        _described(study).assign(study=study.name)
        for study in map(read_study, names())
        if "travel" in study.tables
    ]
    own = ["dataset", "model", "seed", "steps", "learning_rate", "lam"]
    found = stacked(frames).drop_duplicates(own, ignore_index=True)
    return found[found["possible"] > 0]


def _described(study: Study) -> pd.DataFrame:
    arms = {arm.name: arm for arm in study.arms}
    found = study.table("travel")
    if found.empty:
        return found
    start = {name: (LAMBDA | arm.settings.train)["lambda_start"] for name, arm in arms.items()}
    return found.assign(
        kind=[
            KINDS[4] if log_of(name) in GENERATED else _kind(arms[arm])
            for name, arm in zip(found["dataset"], found["arm"], strict=True)
        ],
        log=[log_of(name) for name in found["dataset"]],
        start=found["arm"].map(start),
        epoch_steps=found["steps"] / found["epoch"],
    )


def _kind(arm: Arm) -> str:
    if arm.settings.like not in PRESETS:
        return KINDS[0]
    return _TOLD.get(arm.settings.train.get("intensity", "real"), KINDS[2])


def published_phase() -> pd.DataFrame:
    """Return `published_steps` with moved, and the least and most that lambda's travel may be.

    The paper prints neither the epochs that its weights had, nor the learning rate, nor the rates
    that it searched. The least is one epoch at the smallest rate that we search, or as far as
    lambda went; the most is the protocol's whole number of epochs at our largest.
    """
    found = published_steps()
    moved = (1 - found["lambda_mean"]).abs()
    low, high = (found["steps"] * rate for rate in _RATES)
    epochs = get_preset("paper").train.epochs
    return found.assign(moved=moved, least=np.maximum(low, moved), most=high * epochs)


def within_logs(runs: pd.DataFrame) -> pd.Series:
    """Return `against_length` of the runs of each log that are long enough to count.

    By log, of those with five such runs or more; `runs` is of `of_all_studies`.
    """
    long = runs[_long_enough(runs)]
    told = {log: against_length(mine).rho for log, mine in long.groupby("log") if len(mine) >= 5}
    return pd.Series(told, dtype=float)


def phase_table(runs: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Return `against_length` as text: of all runs, each kind, runs that count, and the paper.

    Its interval is over resampled logs. `runs` is of `of_all_studies`, `paper` of
    `published_phase`; the paper's distances are compared with the steps of an epoch.
    """
    parts = {
        "all": runs,
        "all, long enough to count": runs[_long_enough(runs)],
        **dict(list(runs.groupby("kind"))),
    }
    rows = {}
    for name, own in parts.items():
        told = spearman_by(own["moved"], own["possible"], own["log"])
        rows[name] = _phase_row(own, own["log"], told)
    told = spearman_by(paper["moved"], paper["steps"], paper["dataset"])
    rows["published, against steps of an epoch"] = _phase_row(paper, paper["dataset"], told)
    return pd.DataFrame.from_dict(rows, orient="index")


def _phase_row(points: pd.DataFrame, logs: pd.Series, told: Spearman) -> dict[str, object]:
    return {
        "points": told.n,
        "logs": logs.nunique(),
        "rank correlation": f"{told.rho:+z.2f}",
        "95 % interval over logs": span(told.low, told.high, "+z.2f") or "fewer than five logs",
        "median share of travel used": f"{points['used'].median():.0%}" if "used" in points else "",
    }
