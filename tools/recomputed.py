"""Our numbers for a referee's claims: a function for each that can be recomputed.

Changes are in percent of SASRec. Shapes: S seeds, U users.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from scipy import stats

from seqattn.analysis.attention import bounds, l1_l2
from seqattn.analysis.lambdas import Spearman, spearman
from seqattn.audit.records import RECORDS, read_tied_tests
from seqattn.config import BASELINE, DESIGNS
from seqattn.data import load_dataset
from seqattn.runs.results import value_matrix, values
from seqattn.search.record import read_search
from seqattn.stats.crossed import crossed_interval
from seqattn.stats.metrics import METRICS, metric
from seqattn.stats.pools import Pool, random_effects
from seqattn.studies import arms, placebo, targets, travel
from seqattn.studies.beyond_lambda import liked
from seqattn.studies.ia import published, tables
from seqattn.studies.judge import ndcg_at_10
from seqattn.studies.plan import Group, data_facts, read, wanted
from seqattn.studies.study import Study, read_study

OWN, SHARED, VARIANT = "own_search", "shared_backbone", "variant_backbone"
_LASTFM_VAL = {"dataset": "lastfm-tagged", "arm": VARIANT, "model": "ia-val"}
_NAMES = {
    "ml100k": "ml-100k",
    "music": "amazon-music",
    "herec": "amazon-herec",
    "lastfm": "lastfm-tagged",
    "steam": "steam-au",
}


@dataclass(frozen=True)
class Number:
    """What a claim is about: a value, an interval or range, or both; NaN where there is none."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan


@dataclass(frozen=True)
class Facts:
    """What our numbers are computed from: groups with their runs, and tables of other studies."""

    groups: Sequence[Group]

    @cached_property
    def replication(self) -> Study:
        """The study whose runs the review is about."""
        return read_study("replication")

    @cached_property
    def changes(self) -> pd.DataFrame:
        """Its table of changes on both targets and under both rankings."""
        return self.replication.table("changes")

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Its table of comparisons."""
        return self.replication.table("comparisons")

    @cached_property
    def travel(self) -> pd.DataFrame:
        """How far lambda went, in both designs; the control's variants are own_search's."""
        found = self.replication.table("travel")
        return found[found["arm"].isin(DESIGNS)]

    @cached_property
    def luck(self) -> pd.DataFrame:
        """SASRec with what other models' searches found."""
        return self.replication.table("luck")

    @cached_property
    def placebos(self) -> pd.DataFrame:
        """Changes against SASRec and against placebos, in the replication's settings."""
        study = read_study("placebo_searched")
        return placebo.pairs(study.table("changes"), study.table("changes_over_placebo"))

    @cached_property
    def quick(self) -> dict[str, Group]:
        """The models fitted with quick settings on ML-100K, by name, with their runs."""
        study = read_study("split_in_time")
        mine = [g for g in wanted(study) if (g.dataset.name, g.arm) == ("ml-100k", "quick")]
        return {group.model: group for group in read(mine, *study.stores)}

    def group(self, dataset: str, arm: str, model: str) -> Group:
        """Return one group, with its runs."""
        key = dataset, arm, model
        return next(g for g in self.groups if (g.dataset.name, g.arm, g.model) == key)

    def pairs(self, arm: str) -> list[Group]:
        """Return the groups of an arm whose variant and baseline were run with all seeds."""
        return [g for g in self.groups if g.whole() and g.arm == arm and g.model != BASELINE]


def ends(found: pd.Series) -> Number:
    """Return the least and the greatest of some values."""
    return Number(low=float(found.min()), high=float(found.max()))


def _of_pool(found: Pool) -> Number:
    return Number(found.estimate, *found.ci)


def _of_spearman(found: Spearman) -> Number:
    return Number(found.rho, found.low, found.high)


def _steps_an_epoch(dataset: str, facts: Facts) -> Number:
    found = facts.travel[facts.travel["dataset"] == dataset]
    return Number(float((found["steps"] / found["epoch"]).unique().item()))


def _of_runs(dataset: str, column: str, facts: Facts) -> Number:
    return ends(facts.travel.loc[facts.travel["dataset"] == dataset, column])


def _of_cells(dataset: str, column: str, facts: Facts, unit: float = 1) -> Number:
    found = travel.by_cell(facts.travel)
    return ends(found.loc[found["dataset"] == dataset, column] * unit)


def _length(found: pd.DataFrame) -> Number:
    return Number(travel.against_length(found).rho)


def paper_lambda(dataset: str) -> pd.Series:
    """Return the lambdas that the paper prints of a dataset."""
    found = travel.published_steps()
    return found.loc[found["dataset"] == dataset, "lambda_mean"]


def _paper_length(by: list[str]) -> Number:
    found = travel.published_steps().groupby(by)[["lambda_mean", "steps"]].mean()
    return Number(spearman(found["lambda_mean"], found["steps"]).rho)


def _paper_steps(dataset: str) -> Number:
    found = travel.published_steps()
    return Number(float(found.loc[found["dataset"] == dataset, "steps"].iloc[0]))


def _lastfm_val(facts: Facts, target: str, kind: str) -> Number:
    row = targets.pick(facts.changes, **_LASTFM_VAL, target=target, kind=kind).iloc[0]
    return Number(row["change"], row["low"], row["high"])


def _placebo(what: str, against: str, target: str, facts: Facts) -> Number | None:
    which = {"kind": "unfiltered", "what": what, "against": against, "target": target}
    rows = targets.pick(facts.placebos, **_LASTFM_VAL, **which)
    return Number(*rows[["change", "low", "high"]].iloc[0]) if len(rows) else None


def _most_plays(facts: Facts) -> Number:
    intensity = load_dataset("lastfm-tagged").sequences.intensity
    return Number(float(np.max(intensity))) if intensity is not None else Number()


def _ten_users(facts: Facts) -> Number:
    group = facts.group(*_LASTFM_VAL.values())
    d_U = (value_matrix(group.runs, "NDCG", 10) - value_matrix(group.base, "NDCG", 10)).mean(axis=0)
    return Number(100 * float(np.sort(d_U)[-10:].sum() / d_U.sum()))


def _retest(arm: str, facts: Facts) -> Number:
    return Number(targets.retests(facts.changes)[arm].rho)


def _ndcg(facts: Facts, **where: str) -> pd.DataFrame:
    return targets.pick(ndcg_at_10(facts.cells), **where)


def _widths(facts: Facts, **where: str) -> Number:
    found = _ndcg(facts, **where)
    of_users = found["users_high"] - found["users_low"]
    return ends((found["high"] - found["low"]) / of_users)


def _interval(dataset: str, arm: str, model: str, prefix: str, facts: Facts) -> Number:
    row = _ndcg(facts, dataset=dataset, arm=arm, model=model).iloc[0]
    return Number(low=row[f"{prefix}low"], high=row[f"{prefix}high"])


def _false_positives(facts: Facts, **where: str) -> pd.Series:
    rates = read_study("calibration").table("rates")
    none = rates[(rates["effect_percent"] == 0) & (rates["world"] == "estimated")]
    return 100 * targets.pick(none, criterion="clustered", **where)["rate"]


def _false(dataset: str, arm: str, model: str, facts: Facts) -> Number:
    return Number(_false_positives(facts, dataset=dataset, arm=arm, model=model).item())


def _rows(
    facts: Facts, arm: str, target: str, kind: str = "unfiltered", without: str = ""
) -> pd.DataFrame:
    rows = targets.pick(facts.changes, arm=arm, target=target, kind=kind)
    return rows[(rows["dataset"] + " " + rows["model"]).str.startswith(without) ^ bool(without)]


def _pooled(
    arm: str, target: str, facts: Facts, kind: str = "unfiltered", without: str = ""
) -> Number:
    """Pool as the review does, comparisons of one dataset as if they had nothing in common."""
    rows = _rows(facts, arm, target, kind, without)
    return _of_pool(random_effects(rows["change"], rows["error"]))


def _tau(arm: str, facts: Facts, without: str = "") -> Number:
    rows = _rows(facts, arm, "test", without=without)
    return Number(random_effects(rows["change"], rows["error"]).tau)


def _units(facts: Facts) -> Number:
    """Pool datasets, as the book does."""
    return _of_pool(targets.pool(_rows(facts, SHARED, "test")))


def _units_alike(facts: Facts) -> Number:
    """Give each dataset the same weight."""
    return _of_pool(targets.by_dataset(_rows(facts, SHARED, "test")))


def _by_hand(name: str, facts: Facts) -> Number:
    return Number(float(metric(np.array([1, 3, 10, 11, 40]), name, 10).mean()))


def _sampled(facts: Facts) -> Number:
    """Of 2,999 other items 99 are above the target; at most nine may be in the sample of 99."""
    return Number(float(stats.hypergeom(2999, 99, 99).cdf(9)))


def _ties(dataset: str, facts: Facts) -> Number:
    tied_U = read_tied_tests(RECORDS, dataset, data_facts(dataset).fingerprint)
    return Number() if tied_U is None else Number(float(tied_U.mean()))


def _pop(dataset: str, facts: Facts) -> Number:
    found = read_study("levels").table("baselines")
    which = {"dataset": dataset, "model": "pop", "kind": "unfiltered", "metric": "NDCG"}
    return Number(targets.pick(found, **which)["mean"].item())


def _confirmed(facts: Facts) -> Number:
    """Count the comparisons whose change and t-test scipy and plain means give as well."""
    keys = ["dataset", "arm", "model", "metric", "k"]
    kept = facts.cells.set_index(keys)
    confirmed = 0
    for arm in DESIGNS:
        for group in facts.pairs(arm):
            sides = [values(runs, [(m, 10) for m in METRICS]) for runs in (group.base, group.runs)]
            for name in METRICS:
                base_S, own_S = (side[name, 10].mean(axis=1) for side in sides)
                row = kept.loc[(group.dataset.name, arm, group.model, name, 10)]
                change = 100 * (own_S.mean() / base_S.mean() - 1)
                p = stats.ttest_rel(own_S, base_S).pvalue
                told = [row["change"], row["t_p_value"]]
                confirmed += np.allclose(told, [change, p], rtol=1e-6)
    return Number(confirmed)


def _equivalent(arm: str, by_users: bool, facts: Facts) -> Number:
    cells = facts.cells[(facts.cells["arm"] == arm) & (facts.cells["k"] == 10)]
    cells = cells[cells["whole"] & published.of_paper(cells)]
    passed = cells["users_equivalent" if by_users else "equivalent"].eq(True)
    return Number(int(passed.sum()))


def _uniform(facts: Facts) -> Number:
    visible = np.tril(np.ones((50, 50)))
    return Number(float(l1_l2(visible / visible.sum(axis=1, keepdims=True))))


def _chance(tests: int, facts: Facts) -> Number:
    return Number(100 * (1 - 0.95**tests))


def _smallest_p(facts: Facts) -> Number:
    cells = targets.pick(facts.cells, dataset="ml-100k", arm=OWN)
    return Number(cells.loc[cells["k"] == 10, "t_p_value"].min())


def _points(facts: Facts) -> pd.DataFrame:
    return tables.lambda_points(facts.cells, facts.replication.table("lambdas"))[SHARED]


def _paper_correlation(facts: Facts) -> Number:
    points = _points(facts)
    return _of_spearman(spearman(points["lambda_mean"], points["published_change"]))


def _our_correlation(facts: Facts) -> Number:
    points = _points(facts)
    points = points[points["whole"].eq(True)]
    return _of_spearman(spearman(points["mean"], points["change"]))


def _crops(facts: Facts) -> tuple[int, int]:
    """Return the largest n at which a whole map rounds to 0.038, and the smallest for 0.007."""
    reach = {n: np.round(bounds(n), 3) for n in range(1, 201)}
    ml1m = max(n for n, (_, most) in reach.items() if most >= 0.038)
    return ml1m, min(n for n, (least, _) in reach.items() if least <= 0.007)


def _quick(facts: Facts) -> pd.Series:
    """Return test NDCG@10 of SASRec with quick settings on ML-100K, by seed."""
    runs = facts.quick[BASELINE].runs
    return pd.Series({run.seed: float(run.values("NDCG", 10).mean()) for run in runs})


def coins(dataset: str, model: str, facts: Facts) -> pd.Series:
    """Return what each normalisation reached in a search on SASRec's backbone, the best first."""
    search = read_search(facts.replication.results, dataset, model, SHARED)
    found = [trial["value"] for trial in search.trials] if search else []
    return pd.Series(found, dtype=float).sort_values(ascending=False, ignore_index=True)


def _liked(arm: str, facts: Facts) -> Number:
    """Return the review's pool of `_of_liked`, less and plus one standard error.

    Of one true change, with errors over users alone.
    """
    change, error, _ = (np.array(part) for part in zip(*_all_liked(arm, facts), strict=True))
    weight = 1 / error**2
    pooled, spread = float(change @ weight / weight.sum()), float(weight.sum() ** -0.5)
    return Number(pooled, pooled - spread, pooled + spread)


def _liked_over_seeds(arm: str, facts: Facts) -> Number:
    """Return the same of changes that may differ, with errors over users and seeds."""
    change, _, error = zip(*_all_liked(arm, facts), strict=True)
    found = random_effects(change, error)
    return Number(found.estimate, found.estimate - found.error, found.estimate + found.error)


def _all_liked(arm: str, facts: Facts) -> list[tuple[float, float, float]]:
    return [_of_liked(group) for group in facts.pairs(arm)]


def _of_liked(group: Group) -> tuple[float, float, float]:
    """Return the change on liked targets minus that on the others, in points, and its errors.

    Each change is in percent of SASRec on the same targets; liked is that of
    `seqattn.studies.beyond_lambda.liked`. The first error is over users, the
    second over users and seeds.
    """
    liked_U = liked(load_dataset(group.dataset.reference))
    base_SU, own_SU = (value_matrix(runs, "NDCG", 10) for runs in (group.base, group.runs))
    parts = [
        100 * (own_SU - base_SU)[:, mine] / base_SU[:, mine].mean() for mine in (liked_U, ~liked_U)
    ]
    of_liked, of_others = (part.mean() for part in parts)
    over_users = math.hypot(*(stats.sem(part.mean(axis=0)) for part in parts))
    over_both = math.hypot(*(crossed_interval(part).error for part in parts))
    return float(of_liked - of_others), over_users, over_both


def _hours(facts: Facts) -> Number:
    found = facts.replication.table("searches")
    of = targets.pick(found, dataset="amazon-office", arm=OWN)
    return Number(of["search_hours"].mean())


def _trials(facts: Facts) -> Number:
    found = facts.replication.table("searches")
    by = found[found["arm"] == OWN].groupby("dataset")["trials"].sum()
    return Number(float(by.unique().item())) if by.nunique() == 1 else ends(by)


_WITHOUT_VAL = "lastfm-tagged ia-val"
OURS: dict[str, Callable[[Facts], Number | None]] = {
    "steam_targets": lambda facts: Number(data_facts("steam-au").n_targets),
    "steam_steps_an_epoch": partial(_steps_an_epoch, "steam-au"),
    "steam_steps": partial(_of_runs, "steam-au", "steps"),
    "steam_rate": partial(_of_runs, "steam-au", "learning_rate"),
    "steam_possible": lambda facts: Number(_of_runs("steam-au", "possible", facts).high),
    "steam_lambda": partial(_of_cells, "steam-au", "lam"),
    "lastfm_steps_an_epoch": partial(_steps_an_epoch, "lastfm-tagged"),
    "lastfm_steps": partial(_of_runs, "lastfm-tagged", "steps"),
    "length_cells": lambda facts: _length(travel.by_cell(facts.travel)),
    "length_runs": lambda facts: _length(facts.travel),
    "paper_length": lambda facts: _paper_length(["dataset", "model"]),
    "paper_length_datasets": lambda facts: _paper_length(["dataset"]),
    "steam3k_steps": lambda facts: _paper_steps("steam-3k"),
    "steam3k_lambda": lambda facts: Number(paper_lambda("steam-3k").mean()),
    "ml1m_steps": lambda facts: _paper_steps("ml-1m"),
    "ml1m_lambda": lambda facts: ends(paper_lambda("ml-1m")),
    "music_used": partial(_of_cells, "amazon-music", "used", unit=100),
    "herec_steps": partial(_of_runs, "amazon-herec", "steps"),
    "herec_lambda": partial(_of_cells, "amazon-herec", "lam"),
    "lastfm_val_test": lambda facts: _lastfm_val(facts, "test", "unfiltered"),
    "lastfm_val_valid": lambda facts: _lastfm_val(facts, "valid", "unfiltered"),
    "lastfm_val_filtered": lambda facts: _lastfm_val(facts, "valid", "filtered"),
    **{
        f"placebo_{name}{'_valid' * (target == 'valid')}": partial(_placebo, what, against, target)
        for name, what, against in (
            ("constant", "constant", BASELINE),
            ("real", "real", "constant"),
            ("permuted", "within", BASELINE),
            ("real_over_permuted", "real", "within"),
        )
        for target in targets.TARGETS
    },
    "lastfm_plays": _most_plays,
    "lastfm_ten_users": _ten_users,
    "retest_own": partial(_retest, OWN),
    "retest_variant": partial(_retest, VARIANT),
    "retest_shared": partial(_retest, SHARED),
    "width": _widths,
    "width_ml100k": partial(_widths, dataset="ml-100k", arm=SHARED),
    "false_ml100k": lambda facts: ends(_false_positives(facts, dataset="ml-100k", arm=SHARED)),
    "pool_shared": partial(_pooled, SHARED, "test"),
    "pool_shared_tau": partial(_tau, SHARED),
    "pool_variant": partial(_pooled, VARIANT, "test"),
    "pool_own_tau": partial(_tau, OWN),
    "units_shared": _units,
    "units_shared_alike": _units_alike,
    "hand_ndcg": partial(_by_hand, "NDCG"),
    "hand_mrr": partial(_by_hand, "MRR"),
    "sampled": _sampled,
    **{f"ties_{n}": partial(_ties, _NAMES[n]) for n in ("ml100k", "herec", "lastfm", "steam")},
    **{f"pop_{n}": partial(_pop, _NAMES[n]) for n in ("ml100k", "lastfm", "steam")},
    "cells_equal": _confirmed,
    "tost_own_users": partial(_equivalent, OWN, True),
    "tost_own": partial(_equivalent, OWN, False),
    "tost_shared_users": partial(_equivalent, SHARED, True),
    "tost_shared": partial(_equivalent, SHARED, False),
    "sparsity_uniform": _uniform,
    **{
        f"{kind}_{n}_{variant}{'_own' * (arm == OWN)}": partial(
            _interval, _NAMES[n], arm, f"ia-{variant}", "users_" * (kind != "both")
        )
        for kind in ("users", "both")
        for n, variant, arm in (
            *(("ml100k", variant, SHARED) for variant in ("add", "mul", "val")),
            *(("music", "mul", SHARED), ("herec", "add", SHARED), ("herec", "mul", SHARED)),
            *(("lastfm", "val", SHARED), ("steam", "mul", SHARED), ("ml100k", "add", OWN)),
        )
    },
    "false_ml100k_add_own": partial(_false, "ml-100k", OWN, "ia-add"),
    "false_ml100k_add": partial(_false, "ml-100k", SHARED, "ia-add"),
    "false_lastfm_val": partial(_false, "lastfm-tagged", SHARED, "ia-val"),
    "chance_nine": partial(_chance, 9),
    "chance_eighteen": partial(_chance, 18),
    "movielens_p": _smallest_p,
    "paper_change": _paper_correlation,
    "six_points": _our_correlation,
    "rows_200": lambda facts: Number(np.nan, *bounds(200, "row")),
    "rows_50": lambda facts: Number(bounds(50, "row")[0]),
    "crop_ml1m": lambda facts: Number(_crops(facts)[0]),
    "crop_sports": lambda facts: Number(_crops(facts)[1]),
    "quick_2020": lambda facts: Number(_quick(facts)[2020]),
    "quick_siblings": lambda facts: ends(_quick(facts).drop(2020)),
    "quick_mean": lambda facts: Number(_quick(facts).mean()),
    "luck_datasets": lambda facts: Number(int(arms.best_by_another(facts.luck).sum())),
    "luck_expected": lambda facts: Number(arms.expected_by_another(facts.luck)),
    "coin_ml100k": lambda facts: ends(coins("ml-100k", "ia-add", facts)),
    "pool_own": partial(_pooled, OWN, "test"),
    "pool_variant_tau": partial(_tau, VARIANT),
    "pool_without_val": partial(_pooled, VARIANT, "test", without=_WITHOUT_VAL),
    "pool_without_val_tau": partial(_tau, VARIANT, without=_WITHOUT_VAL),
    "pool_own_valid": partial(_pooled, OWN, "valid"),
    "pool_variant_valid": partial(_pooled, VARIANT, "valid"),
    "pool_shared_valid": partial(_pooled, SHARED, "valid"),
    "without_steam": partial(_pooled, SHARED, "test", without="steam-au"),
    "without_steam_valid": partial(_pooled, SHARED, "valid", without="steam-au"),
    "without_steam_filtered": partial(_pooled, SHARED, "test", kind="filtered", without="steam-au"),
    "liked_variant": partial(_liked, VARIANT),
    "liked_shared": partial(_liked, SHARED),
    "liked_variant_over_seeds": partial(_liked_over_seeds, VARIANT),
    "liked_shared_over_seeds": partial(_liked_over_seeds, SHARED),
    "office_hours": _hours,
    "trials": _trials,
}
