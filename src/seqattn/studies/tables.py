"""A campaign's finished cells as tables.

Everything here reads runs (see `seqattn.runs.store`) and searches (see `seqattn.search.record`).
What was not run is absent; nothing is filled in.

Shapes: S seeds, U users.

References
----------
[IA] section 4.3 and Tables 3 and 4.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqattn.analysis import lambdas
from seqattn.audit.records import dataset_facts
from seqattn.config import (
    BASELINE,
    DESIGNS,
    NORMALISATIONS,
    SEARCHED,
    SEEDS,
    VARIANTS,
    get_preset,
)
from seqattn.errors import SeqattnError
from seqattn.plots.style import name_of
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Run, Store
from seqattn.search.record import Search, SearchConfig, chosen, read_search, searches
from seqattn.stats import bootstrap_means, percentile_interval
from seqattn.stats.metrics import METRICS, metric
from seqattn.studies.ia import published
from seqattn.studies.judge import ALPHA, N_RESAMPLES, corrected, judged

PUBLISHED_TRIALS = 25


CONFIGURATION = (
    *("n_layers", "n_heads", "hidden_size", "inner_size"),
    *("hidden_dropout", "attention_dropout", "normalisation"),
)


@dataclass(frozen=True)
class Campaign:
    """Tables of a results folder; a row stands for something that was run.

    Attributes
    ----------
    runs : DataFrame
        A row a (dataset, design, model): the data's fingerprint, the configuration found and its
        validation NDCG@10 (value), trials, trials_asked, shortfall, seeds, the fits' best_epochs
        (the first is 1), how many ended at_the_limit of epochs, search_hours, fit_hours, devices,
        commits.
    absolute : DataFrame
        A row a (dataset, design, model, kind, metric) at k = 10: mean over users and seeds, its
        95 % interval over users (low, high), std over seeds, n_seeds, n_users, part.
    cells : DataFrame
        A row a (dataset, design, model, metric, k), see `judged`.
    lambdas : DataFrame
        A row a (dataset, design, model), see `learned`.
    controls : DataFrame
        As `cells`, of variants with their own search against SASRec on the variant's backbone.
    """

    runs: pd.DataFrame
    absolute: pd.DataFrame
    cells: pd.DataFrame
    lambdas: pd.DataFrame
    controls: pd.DataFrame


def read(
    results_dir: str | Path, datasets: str | Path | None = None, *, n_resamples: int = N_RESAMPLES
) -> Campaign:
    """Return the tables of a campaign; empty ones if the folder does not exist.

    Only cells of the configuration that a design's search found are used.

    Parameters
    ----------
    results_dir : str or Path
        As `seqattn.search.record` describes it.
    datasets : str or Path, optional
        Folder of the datasets' records (see `seqattn.audit.records`), which tell how many users a
        search without runs was of.
    n_resamples : int
        Of the clustered bootstrap whose p-values are corrected. The dual criterion keeps the
        published 2,000.

    Raises
    ------
    SeqattnError
        If a search's file is damaged.
    """
    runs, absolute_, cells, lambdas_ = [], [], [], []
    records = dataset_facts(datasets) if datasets else {}
    present = list(dict.fromkeys(s.dataset for s in searches(results_dir)))
    for dataset, design in product(present, DESIGNS):
        found = {m: read_search(results_dir, dataset, m, design) for m in SEARCHED}
        if not any(found[m] for m in VARIANTS) and design != DESIGNS[0]:
            continue  # SASRec's own search serves both designs; alone it is the first's
        groups = finished_runs(results_dir, dataset, design)
        groups = _same_data({model: group for model, group in groups.items() if group})
        n_users = _users(groups, found, records.get(dataset))
        key = {"dataset": dataset, "design": design, "part": published.is_part(dataset, n_users)}
        runs += [
            {**key, **_run(model, search, groups.get(model, []))}
            for model, search in found.items()
            if search is not None
        ]
        told = judged(groups, n_resamples=n_resamples)
        if len(told):
            told["cut_short"] = [_cut_short(found, model) for model in told["model"]]
        for rows, part in (
            (absolute_, absolute(groups)),
            (cells, told),
            (lambdas_, learned(groups)),
        ):
            if len(part):
                rows.append(part.assign(**key))
    controls_ = [controlled(results_dir, dataset, n_resamples=n_resamples) for dataset in present]
    absolute_frame, cell_frame, lambda_frame = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        for parts in (absolute_, cells, lambdas_)
    )
    return Campaign(
        *(pd.DataFrame(runs), absolute_frame, corrected(cell_frame), lambda_frame),
        pd.concat([frame for frame in controls_ if len(frame)] or [pd.DataFrame()]),
    )


def controlled(results_dir: str | Path, dataset: str, *, n_resamples: int) -> pd.DataFrame:
    """Judge each variant's published design against SASRec fitted with the same configuration."""
    variants = finished_runs(results_dir, dataset, "own_search", VARIANTS)
    frames = [
        judged(
            {BASELINE: controls(results_dir, dataset, name), name: group}, n_resamples=n_resamples
        )
        for name, group in variants.items()
    ]
    return pd.concat([f.assign(dataset=dataset) for f in frames] or [pd.DataFrame()])


def trials_asked(model: str, design: str) -> int:
    """Return the length of a whole search: 25, or one trial a normalisation if matched."""
    matched = design == "shared_backbone" and model != BASELINE
    return len(NORMALISATIONS) if matched else PUBLISHED_TRIALS


def shortfall(search: Search) -> str:
    """Return what a search, or the fits it asks for, lack of the published protocol, if anything.

    Fewer trials, trials of fewer epochs, or fits that stop sooner than the published ones.
    """
    asked, protocol = trials_asked(search.model, search.design), get_preset("paper").train
    lacks = []
    if search.n_complete < asked:
        lacks.append(f"{search.n_complete} of {asked} trials")
    for what, has, wanted in (
        ("epochs a trial", search.budget.epochs, SearchConfig().epochs),
        ("epochs a fit", search.train_config.epochs, protocol.epochs),
        ("epochs of patience", search.train_config.patience, protocol.patience),
    ):
        if has < wanted:
            lacks.append(f"{has} of {wanted} {what}")
    return ", ".join(lacks)


def _cut_short(found: Mapping[str, Search | None], model: str) -> str:
    """Say which of the two searches behind a comparison is shorter than the protocol's, if any."""
    return "; ".join(
        f"{name_of(name)}'s search had {lacks}"
        for name in (BASELINE, model)
        if (search := found[name]) and (lacks := shortfall(search))
    )


def command(dataset: str, design: str = "own_search", models: Sequence[str] = SEARCHED) -> str:
    """Return the shell line that runs a dataset in a design, searches and fits."""
    where = "--results-dir .seqattn/paper"
    searched = [m for m in models if design == "own_search" or m != BASELINE]
    seeds = " ".join(map(str, SEEDS))
    return (
        f"seqattn tune -d {dataset} -m {' '.join(searched)} --design {design} {where} && "
        f"seqattn fit -d {dataset} -m {' '.join(models)} -s {seeds} --preset {design} {where}"
    )


def _same_data(groups: dict[str, list[Run]]) -> dict[str, list[Run]]:
    """Leave out models fitted on another version of the data than the baseline."""
    if BASELINE not in groups:
        return groups
    data = groups[BASELINE][0].facts["spec"]["fingerprint"]
    return {m: g for m, g in groups.items() if g[0].facts["spec"]["fingerprint"] == data}


def _users(
    groups: Mapping[str, Sequence[Run]],
    found: Mapping[str, Search | None],
    record: Mapping[str, Any] | None,
) -> int:
    """Return how many users results are of: by their ranks, or the data's record; 0 if untold."""
    for cells in groups.values():
        return len(cells[0].ranks())
    prints = {search.fingerprint for search in found.values() if search}
    known = record is not None and record["fingerprint"] in prints
    return record["steps"][-1]["users"] if known else 0


def _run(model: str, search: Search, cells: Sequence[Run]) -> dict[str, object]:
    # Seeds fitted together on a GPU each hold the time of all: count it once.
    together: dict[object, float] = {}
    for cell in cells:
        key = tuple(cell.facts.get("stacked_seeds", [cell.seed]))
        together[key] = max(together.get(key, 0.0), float(cell.facts.get("seconds", 0.0)))
    places = [search.environment, *(cell.facts.get("environment", {}) for cell in cells)]
    return {
        "model": model,
        "fingerprint": search.fingerprint,
        **{key: getattr(search.model_config, key) for key in CONFIGURATION},
        "learning_rate": search.train_config.learning_rate,
        "value": search.value,
        "trials": search.n_complete,
        "trials_asked": trials_asked(model, search.design),
        "shortfall": shortfall(search),
        "seeds": sorted(cell.seed for cell in cells),
        "best_epochs": [cell.facts["best_epoch"] for cell in cells],
        "at_the_limit": sum(
            len(cell.facts["history"]) >= search.train_config.epochs for cell in cells
        ),
        "search_hours": sum(trial.get("seconds") or 0.0 for trial in search.trials) / 3600,
        "fit_hours": sum(together.values()) / 3600,
        "devices": sorted({place.get("device", "unknown") for place in places}),
        "commits": sorted({place.get("commit", "unknown")[:7] for place in places}),
    }


def absolute(groups: Mapping[str, Sequence[Run]], k: int = 10) -> pd.DataFrame:
    """Return each model's test metrics at k, with 95 % intervals over users.

    A user's values are averaged over seeds and users are resampled, so the interval says what
    other users of this kind would give with these trained models; `std` says what other seeds
    would.
    """
    keys = list(product(groups, ("unfiltered", "filtered"), METRICS))
    ranks = {(model, kind): rank_matrix(groups[model], "test", kind) for model, kind, _ in keys}
    values = [metric(ranks[model, kind], name, k) for model, kind, name in keys]  # (S, U) each
    rows = []
    if keys:  # one bootstrap for all, which then share its resamples
        means = bootstrap_means(np.stack([values_SU.mean(axis=0) for values_SU in values]))
        intervals = percentile_interval(means, ALPHA)
        for key, values_SU, (low, high) in zip(keys, values, intervals, strict=True):
            means_S = values_SU.mean(axis=1)
            std = means_S.std(ddof=1) if len(means_S) > 1 else np.nan
            rows.append((*key, means_S.mean(), low, high, std, *values_SU.shape))
    columns = ["model", "kind", "metric", "mean", "low", "high", "std", "n_seeds", "n_users"]
    return pd.DataFrame(rows, columns=columns)


def learned(groups: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Return [IA] Table 4 of one dataset: model, lambda_mean, lambda_std, n_values, n_seeds.

    ``seed_low`` and ``seed_high`` are the 95 % t interval of the mean over seeds (layers averaged
    within a seed); NaN for one seed.
    """
    rows = []
    for model, group in groups.items():
        if model not in VARIANTS:
            continue
        by_seed = lambdas.learned(group).groupby("seed")["lam"].mean().to_numpy()
        row = lambdas.table(group).loc[model]
        low, high = lambdas.t_interval(by_seed)
        rows.append((model, row["mean"], row["std"], row["values"], len(by_seed), low, high))
    columns = ["model", "lambda_mean", "lambda_std", "n_values", "n_seeds", "seed_low", "seed_high"]
    return pd.DataFrame(rows, columns=columns)


def finished_runs(
    results_dir: str | Path,
    dataset: str,
    design: str,
    models: Sequence[str] = SEARCHED,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, list[Run]]:
    """Return the cells of a design that are done, by model; nothing is computed.

    A model without a search, or whose search was replaced since, has none.
    """
    store, done = Store(results_dir), {}
    for model in models:
        try:
            found = chosen(results_dir, dataset, model, design)
        except SeqattnError:
            continue
        cells = [store.get(found.spec(seed)) for seed in seeds]
        done[model] = [cell for cell in cells if cell is not None]
    return done


def controls(
    results_dir: str | Path, dataset: str, variant: str, seeds: Sequence[int] = SEEDS
) -> list[Run]:
    """Return the baseline's cells that are done with what a variant's own search found."""
    try:
        found = chosen(results_dir, dataset, variant, "own_search")
    except SeqattnError:
        return []
    store = Store(results_dir)
    cells = [store.get(dataclasses.replace(found.spec(seed), model=BASELINE)) for seed in seeds]
    return [cell for cell in cells if cell is not None]
