"""How long runs that are missing will take, by those that are there.

An epoch costs about as much as the positions it computes. Settings differ in these by a factor of
ten and more: a model that looks both ways and predicts the next item has a row for each prefix of
a history, where the others share a few windows.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqattn.config import ModelConfig, TrainConfig
from seqattn.data import CATALOGUE
from seqattn.models import MODELS, build_model
from seqattn.runs.store import Fittable, Run, RunSpec
from seqattn.studies.judge import with_columns
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.training.batches import packed_windows, prefix_windows
from seqattn.training.fit import one_row_a_prefix

PREFIX = "prefix"
_TOLD = ["key", "base_of", "device", "hours", "together"]


def progress(study: Study, groups: Sequence[Group], device: str = "cpu") -> pd.DataFrame:
    """Return how far a study is: a row for each dataset and arm.

    Returns
    -------
    DataFrame
        dataset, arm, done, missing (runs), hours (an `estimate` for the missing ones, from the
        stores' runs on such a device) and lacking (why some runs cannot be named yet).
    """
    taken = seconds_taken((run for store in study.stores for run in store.runs()), device)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for group in groups:
        key = group.dataset.name, group.arm
        row = rows.setdefault(key, {"done": set(), "wanted": set(), "lacking": ""})
        row["done"] |= {run.spec for run in (*group.runs, *group.base)}
        row["wanted"] |= set(group.specs) | set(group.base_specs)
        row["lacking"] = row["lacking"] or group.lacking
    told = []
    for (dataset, arm), row in rows.items():
        left = row["wanted"] - row["done"]
        left_alike = Counter(dataclasses.replace(spec, seed=0) for spec in left)
        hours = sum(n * estimate(taken, spec) for spec, n in left_alike.items()) / 3600
        told.append((dataset, arm, len(row["done"]), len(left), hours, row["lacking"]))
    return pd.DataFrame(told, columns=["dataset", "arm", "done", "missing", "hours", "lacking"])


def by_study(studies: Iterable[Study]) -> pd.DataFrame:
    """Return how many of their runs studies have and what these took, from tables ``runs``.

    Returns
    -------
    DataFrame
        A row a study whose table is there: title, wanted (datasets x models of arms x seeds), kept,
        cpu and gpu (core-hours and GPU-hours of fits, searches left out). A run that two arms
        share is wanted and kept in both, and its hours count once. The last row, *all together*,
        has each run of two studies once, and wants none.
    """
    rows: list[tuple[object, ...]] = []
    all_runs = []
    for study in studies:
        if "runs" not in study.tables or not study.path("runs").exists():
            continue
        runs = with_columns(study.table("runs"), _TOLD)
        n_models = sum(len(arm.models) for arm in study.arms)
        n_wanted = len(study.datasets) * n_models * len(study.seeds)
        rows.append((study.title, n_wanted, int(runs["base_of"].isna().sum()), *_hours(runs)))
        all_runs.append(runs)
    if rows:
        together = pd.concat(all_runs)
        rows.append(("all together", np.nan, together["key"].nunique(), *_hours(together)))
    return pd.DataFrame(rows, columns=["title", "wanted", "kept", "cpu", "gpu"])


def _hours(runs: pd.DataFrame) -> tuple[float, float]:
    once = runs.drop_duplicates("key")
    on_cpu = once["device"].fillna("CPU").str.startswith("CPU")
    each = once["hours"] / once["together"].fillna(1)  # of seeds that were fitted as one
    return float(each[on_cpu].sum()), float(each[~on_cpu].sum())


def seconds_taken(runs: Iterable[Run], device: str) -> pd.DataFrame:
    """Return what runs on a CPU, or on a GPU, have taken, a row each.

    Parameters
    ----------
    device : str
        ``cpu`` or ``cuda``; hours of one say nothing of the other.

    Returns
    -------
    DataFrame
        dataset, model, spec (a key without its seed), windows (as `windows_of`), seconds, epochs
        and positions (as `positions_an_epoch`).
    """
    rows = []
    for run in runs:
        if "seconds" not in run.facts:  # of another program, which took its own time
            continue
        if isinstance(run.spec, RunSpec) and run.model not in MODELS:  # its file is not named here
            continue
        on = run.facts.get("environment", {}).get("device", "CPU")
        if on.startswith("CPU") == (device == "cpu"):
            told = run.facts["seconds"] / len(run.facts.get("stacked_seeds", [run.seed]))
            epochs = len(run.facts.get("history", [])) or 1  # what has no epochs tells none
            known = (run.dataset, run.model, _alike(run.spec), windows_of(run.spec))
            rows.append((*known, told, epochs, positions_an_epoch(run.spec)))
    columns = ["dataset", "model", "spec", "windows", "seconds", "epochs", "positions"]
    return pd.DataFrame(rows, columns=columns)


def estimate(taken: pd.DataFrame, spec: Fittable) -> float:
    """Return the seconds that a run may take, NaN without any on its log.

    The median of the runs that differ in the seed alone. Else an epoch's median time a position,
    of runs with such windows if there are any, of the same model if there are any, on the same log
    or, without any, on the one that it was made of; and as many epochs as these had, but no more
    than the run may take.
    """
    alike = taken["spec"] == _alike(spec)
    if alike.any():
        return float(taken.loc[alike, "seconds"].median())
    runs = _on_its_log(taken, spec)
    for column, value in (("windows", windows_of(spec)), ("model", spec.model)):
        if (runs[column] == value).any():
            runs = runs[runs[column] == value]
    limit = spec.train_config.epochs if isinstance(spec, RunSpec) else math.inf
    epochs = min(runs["epochs"].median(), limit)
    work = (positions_an_epoch(spec) / runs["positions"]).fillna(1.0)
    return float((runs["seconds"] / runs["epochs"] * work).median() * epochs)


def windows_of(spec: Fittable) -> str:
    """Return how histories are cut: ``packed``, ``prefix`` or ``whole``; empty if not by us."""
    if not isinstance(spec, RunSpec):
        return ""
    if _row_each_prefix(spec.model, spec.model_config, spec.train_config):
        return PREFIX
    return spec.train_config.windows


def positions_an_epoch(spec: Fittable) -> float:
    """Return how many positions an epoch computes for a history of the log's mean length.

    NaN for RecBole's models and logs whose size the catalogue does not tell.
    """
    length = _mean_length(spec.dataset)
    if not isinstance(spec, RunSpec) or math.isnan(length):
        return math.nan
    offsets, longest = np.array([0, round(length)]), spec.model_config.max_length
    if (windows := windows_of(spec)) == PREFIX:
        return float(prefix_windows(offsets, longest).length.sum())
    if windows == "whole":
        return float(offsets[-1])
    return float(packed_windows(offsets, longest, spec.train_config.stride).length.sum())


def _alike(spec: Fittable) -> str:
    return dataclasses.replace(spec, seed=0).key


def _on_its_log(taken: pd.DataFrame, spec: Fittable) -> pd.DataFrame:
    runs = taken[taken["dataset"] == spec.dataset]
    if len(runs) == 0 and spec.dataset in CATALOGUE:
        runs = taken[taken["dataset"] == CATALOGUE[spec.dataset].of]
    return runs


def _mean_length(dataset: str) -> float:
    """Return the mean length of a log's histories without what is held out; NaN if not known."""
    entry = CATALOGUE.get(dataset)
    core = entry and (entry.core or (CATALOGUE[entry.of].core if entry.of else None))
    if not core or not core.users:
        return math.nan
    return max(core.interactions / core.users - 2, 2.0)


@functools.cache
def _row_each_prefix(model: str, model_config: ModelConfig, train_config: TrainConfig) -> bool:
    return one_row_a_prefix(build_model(model, 1, **dataclasses.asdict(model_config)), train_config)
