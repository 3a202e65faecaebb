"""Our numbers for a referee's claims about fits: their p-values, epochs, maps, steps and hours.

Beside those of `recomputed`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
from recomputed import (
    OWN,
    SHARED,
    VARIANT,
    Facts,
    Number,
    coins,
    ends,
    paper_lambda,
)
from scipy import stats

from seqattn.analysis.attention import bounds
from seqattn.config import BASELINE, DESIGNS
from seqattn.data import load_dataset
from seqattn.files import ROOT
from seqattn.runs.store import Run
from seqattn.studies import calibration, placebo, targets, travel
from seqattn.studies.ia import published
from seqattn.studies.plan import data_facts
from seqattn.studies.study import read_study

_SPARSITY = ROOT / "results" / "published" / "ae_ar_table2_sparsity.csv"
_LASTFM_VAL = {"dataset": "lastfm-tagged", "model": "ia-val", "metric": "NDCG", "k": 10}
_SEED, _SIGMA = 2020, 0.001  # of the review's maps and of its noise


def _batch(facts: Facts) -> Number:
    (run, *_) = facts.group("steam-au", SHARED, "ia-add").runs
    return Number(run.spec.train_config.batch_targets)


def _lambda_deviation(facts: Facts) -> Number:
    found = facts.replication.table("lambdas")
    return Number(found.loc[found["dataset"] == "steam-au", "lambda_std"].max())


def _power(facts: Facts) -> Number:
    needs = calibration.needs(read_study("calibration").table("rates"))
    row = targets.pick(needs, dataset="steam-au", arm=SHARED, model="ia-mul")
    return Number(row["robust_clustered"].item())


def _length_p(facts: Facts) -> Number:
    """Return p in billionths, of 36 points that are taken for independent, as the review does.

    The distance of a run is that of its mean lambda from 1, which gives the review's p; that of
    `travel.by_cell` is the mean of its layers' distances.
    """
    found = facts.travel.assign(far=(1 - facts.travel["lam"]).abs())
    means = found.groupby(["dataset", "arm", "model"])[["far", "possible"]].mean()
    return Number(1e9 * float(stats.spearmanr(means["far"], means["possible"]).pvalue))


def _paper_length_p(facts: Facts) -> Number:
    found = travel.published_steps()
    return Number(float(stats.spearmanr(found["lambda_mean"], found["steps"]).pvalue))


def _epoch_reach(facts: Facts) -> Number:
    (run, *_) = facts.quick["ia-add"].runs
    config, n_targets = run.spec.train_config, data_facts("ml-100k").n_targets
    return Number(config.learning_rate * -(-n_targets // config.batch_targets))


def _median_plays(facts: Facts) -> Number:
    return Number(float(np.median(np.asarray(load_dataset("lastfm-tagged").sequences.intensity))))


def _judged(table: str, arm: str, column: str, facts: Facts) -> Number:
    found = read_study("placebo_searched").table(table)
    return Number(float(targets.pick(found, arm=f"{VARIANT} {arm}", **_LASTFM_VAL)[column].item()))


def _whole(facts: Facts) -> Number:
    cells = facts.cells[facts.cells["arm"].isin(DESIGNS) & (facts.cells["k"] == 10)]
    return Number(int((cells["whole"] & published.of_paper(cells)).sum()))


def _of_maps(table: str, column: str, facts: Facts, **where: object) -> Number:
    found = read_study("attention_maps").table(table)
    return Number(targets.pick(found, arm="quick", seed=_SEED, **where)[column].mean())


def _rank(kind: str, facts: Facts) -> Number:
    where = {"model": BASELINE, "n": 50, "sigma": _SIGMA, "kind": kind}
    return _of_maps("ranks_by_head", "published", facts, **where)


def _of_seed(facts: Facts) -> Run:
    """Return SASRec with quick settings on ML-100K, of the review's seed."""
    return next(run for run in facts.quick[BASELINE].runs if run.seed == _SEED)


def _best_epoch(facts: Facts) -> Number:
    return Number(_of_seed(facts).facts["best_epoch"])


def _limit(facts: Facts) -> Number:
    return Number(facts.quick[BASELINE].runs[0].spec.train_config.epochs)


def _spike(facts: Facts) -> Number:
    return Number(max(epoch["valid_ndcg"] for epoch in _of_seed(facts).facts["history"]))


def _stopped_early(facts: Facts) -> Number:
    runs = list(chain.from_iterable(group.runs for group in facts.quick.values()))
    early = [len(run.facts["history"]) < run.spec.train_config.epochs for run in runs]
    return Number(sum(early)) if len(early) == 20 else Number()


def _movielens_epochs(facts: Facts) -> Number:
    runs = facts.replication.table("runs")
    return ends(targets.pick(runs, dataset="ml-100k", arm=OWN, model="ia-mul")["best_epoch"])


def _point_datasets(facts: Facts) -> Number:
    cells = targets.pick(facts.cells, arm=SHARED, metric="NDCG", k=10)
    mine = cells[cells["whole"] & published.of_paper(cells)]
    return Number(mine["dataset"].nunique())


def _printed(dataset: str, facts: Facts) -> Number:
    return ends(pd.read_csv(_SPARSITY)[dataset])


def _coins(facts: Facts) -> Number:
    """Return how far the best and the worst normalisation of each comparison are apart."""
    pairs = targets.pick(facts.cells, arm=SHARED, metric="NDCG", k=10)[["dataset", "model"]]
    found = (coins(dataset, model, facts) for dataset, model in pairs.itertuples(index=False))
    return ends(pd.Series([trials.iloc[0] - trials.iloc[-1] for trials in found]))


def _hours(facts: Facts, **where: str) -> pd.Series:
    runs = targets.pick(facts.replication.table("runs"), **where)
    return runs.drop_duplicates("key").groupby("model")["hours"].mean()


def _placebo_cost(dataset: str, facts: Facts) -> Number:
    """Return core-hours of three placebos with five seeds each, of Add and Val."""
    hours = _hours(facts, dataset=dataset)
    return Number(3 * 5 * (hours["ia-add"] + hours["ia-val"]))


def _fit_minutes(facts: Facts) -> Number:
    return Number(60 * _hours(facts, dataset="amazon-office").mean())


def _luck_cost(facts: Facts) -> Number:
    """Return core-hours of ten searches on Amazon-Office, of SASRec and Add, and of 50 fits."""
    searches = targets.pick(facts.replication.table("searches"), dataset="amazon-office", arm=OWN)
    models = [BASELINE, "ia-add"]
    of_searches = searches.set_index("model").loc[models, "search_hours"].mean()
    of_fits = _hours(facts, dataset="amazon-office", arm=OWN)[models].mean()
    return Number(10 * of_searches + 50 * of_fits)


def _on_ml1m(table: str) -> pd.DataFrame:
    return targets.pick(read_study("placebo").table(table), dataset="ml-1m", arm=placebo.REAL)


def _epoch_seconds(facts: Facts) -> Number:
    runs = _on_ml1m("runs")
    runs = runs[runs["device"].str.startswith("CPU")]
    return ends(3600 * runs["hours"] / runs["epochs"]) if len(runs) else Number()


def _user_error(facts: Facts) -> Number:
    found = targets.pick(_on_ml1m("changes"), target="test", kind="unfiltered")
    return Number(found["users_error"].mean())


def _long_fits(facts: Facts) -> Number:
    return Number(100 * float((_on_ml1m("travel")["steps"] > 10_000).mean()))


OURS: dict[str, Callable[[Facts], Number | None]] = {
    "steam_batch": _batch,
    "steam_lambda_std": _lambda_deviation,
    "steam_power": _power,
    "length_p": _length_p,
    "paper_length_p": _paper_length_p,
    "epoch_reach": _epoch_reach,
    "lastfm_median": _median_plays,
    "constant_t": partial(_judged, "comparisons", "constant", "t_p_value"),
    "constant_p": partial(_judged, "comparisons", "constant", "clustered_p_value"),
    "real_robust": partial(_judged, "over_placebo", "within", "robust"),
    "lastfm_users": lambda facts: Number(data_facts("lastfm-tagged").n_users),
    "whole_comparisons": _whole,
    **{
        f"sparsity_{column}_{n}": partial(
            _of_maps, "maps_by_head", column, n=n, model=BASELINE, kind="trained"
        )
        for n in (10, 25, 50)
        for column in ("whole", "row")
    },
    "sparsity_bert4rec": partial(
        _of_maps, "maps_by_head", "whole", n=50, model="bert4rec", kind="trained"
    ),
    "rank_uniform": partial(_rank, "uniform"),
    "rank_quick": partial(_rank, "trained"),
    "quick_epoch": _best_epoch,
    "quick_limit": _limit,
    "quick_spike": _spike,
    "quick_early": _stopped_early,
    "movielens_epochs": _movielens_epochs,
    "six_points_datasets": _point_datasets,
    "printed_ml1m": partial(_printed, "ML-1M"),
    "printed_beauty": partial(_printed, "Beauty"),
    "printed_sports": partial(_printed, "Sports"),
    "whole_200": lambda facts: Number(bounds(200)[1]),
    "coin_steam": lambda facts: ends(coins("steam-au", "ia-mul", facts)[:3]),
    "coins": _coins,
    "steam8k_lambda": lambda facts: Number(paper_lambda("steam-8k").mean()),
    "steam15k_lambda": lambda facts: Number(paper_lambda("steam-15k").mean()),
    "cost_lastfm": partial(_placebo_cost, "lastfm-tagged"),
    "cost_office": partial(_placebo_cost, "amazon-office"),
    "cost_ml100k": partial(_placebo_cost, "ml-100k"),
    "cost_herec": partial(_placebo_cost, "amazon-herec"),
    "fit_minutes": _fit_minutes,
    "luck_hours": _luck_cost,
    "ml1m_epoch": _epoch_seconds,
    "ml1m_error": _user_error,
    "ml1m_long": _long_fits,
}
