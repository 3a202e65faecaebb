"""Each change of NDCG@10 on two targets a user and under two rankings, and what they are together.

Every run ranks the validation target as well as the test target. A change that is real should be
there, too, although validation chose the epoch (of both models) and the normalisation.

Shapes: S seeds, U users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from seqattn.analysis.lambdas import Spearman, spearman
from seqattn.config import BACKBONES, BASELINE
from seqattn.plots.style import name_of
from seqattn.runs.results import value_matrix
from seqattn.stats.bootstrap import percentile_interval
from seqattn.stats.crossed import crossed_interval, pigeonhole_bootstrap
from seqattn.stats.metrics import KINDS
from seqattn.stats.pools import Pool, of_units, random_effects, tau_interval
from seqattn.studies.ia import published
from seqattn.studies.judge import (
    COMPARISON,
    change,
    interval_columns,
    leaves_out_0,
    stacked,
    widened,
    with_columns,
)
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.studies.texts import NOT_RUN, estimate, span

TARGETS = ("test", "valid")
LEAST_ROWS, LEAST_DATASETS = 3, 2  # of a pool
_COLUMNS = [*COMPARISON, "target", "kind", "base", "change", "error", "users_error", "df"]
_COLUMNS += ["low", "high", "p", "margin", "owen_low", "owen_high"]


def changes(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return NDCG@10 changes against the baseline, one row per comparison, target and ranking.

    Only whole sets of seeds. dataset, arm, part, model, target (``test``, ``valid``), kind
    (``unfiltered``, ``filtered``), base (a mean), change, error and users_error (standard errors
    over users and seeds, and over users), df, low, high, p and margin (see
    `seqattn.studies.judge.change`), owen_low and owen_high (the interval of a pigeonhole
    bootstrap, a check). All but df and p are in percent of the base.
    """
    found = stacked(
        pd.DataFrame([_change(group, *which) for which in product(TARGETS, KINDS)])
        for group in groups
        if group.whole(len(study.seeds))
    )
    return found.reindex(columns=_COLUMNS)


def _change(group: Group, target: str, kind: str) -> dict[str, object]:
    base_SU, own_SU = (
        value_matrix(runs, "NDCG", 10, target, kind) for runs in (group.base, group.runs)
    )
    told, d_SU = change(base_SU, own_SU), own_SU - base_SU
    found, percent = crossed_interval(d_SU), 100 / told["base"] if told["base"] else np.nan
    owen_low, owen_high = percentile_interval(pigeonhole_bootstrap(d_SU)) * percent
    return {
        **group.key,
        "model": group.model,
        "target": target,
        "kind": kind,
        **told,
        "error": found.error * percent,
        "users_error": d_SU.mean(axis=0).std(ddof=1) / np.sqrt(d_SU.shape[1]) * percent,
        "df": found.df,
        "owen_low": owen_low,
        "owen_high": owen_high,
    }


def pick(rows: pd.DataFrame, **where: object) -> pd.DataFrame:
    """Return the rows in which the named columns have these values; of a tuple, one of them."""
    for name, value in where.items():
        rows = rows[rows[name].isin(value if isinstance(value, tuple) else [value])]
    return rows


def pool(rows: pd.DataFrame) -> Pool:
    """Return the random-effects pool of the datasets in rows of `changes`.

    A dataset is the mean of its rows: variants compared on the same users, most with the same runs
    of SASRec, are not as many looks as they are rows. However their errors go together, the error
    of their mean is at most the mean of their errors, which is taken for it.
    """
    by = rows.groupby("dataset", sort=False)
    return random_effects(by["change"].mean(), by["error"].mean())


def weights(rows: pd.DataFrame) -> pd.Series:
    """Return the share that each dataset has in the mean of `pool`."""
    error = rows.groupby("dataset", sort=False)["error"].mean()
    weight = 1 / (error**2 + pool(rows).tau ** 2)
    return weight / weight.sum()


def by_dataset(rows: pd.DataFrame) -> Pool:
    """Return the mean of datasets, each the mean of its rows, all alike, with its t interval."""
    return of_units(rows.groupby("dataset", sort=False)["change"].mean())


def can_be_pooled(rows: pd.DataFrame) -> bool:
    """Whether rows of `changes` are enough for `pool`: three, on two datasets."""
    return len(rows) >= LEAST_ROWS and rows["dataset"].nunique() >= LEAST_DATASETS


def pools(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the pool of `changes` by arm, target and ranking, where there can be one.

    Columns n (comparisons), datasets, estimate, low, high, unfloored_low, unfloored_high, tau,
    tau_low and tau_high of `pool`; units, units_low and units_high of `by_dataset`; alone,
    alone_low and alone_high of a pool of the comparisons, as if they were independent.
    """
    found, keys = [], ["arm", "target", "kind"]
    for key, mine in rows.groupby(keys, sort=False):
        if not can_be_pooled(mine):
            continue
        together, by = pool(mine), mine.groupby("dataset", sort=False)
        units, alone = by_dataset(mine), random_effects(mine["change"], mine["error"])
        tau_low, tau_high = tau_interval(by["change"].mean(), by["error"].mean())
        row = dict(zip(keys, key, strict=True)) | {"n": len(mine), "datasets": together.n}
        row |= interval_columns("estimate", "", together.estimate, together.ci)
        row |= interval_columns("tau", "tau_", together.tau, (tau_low, tau_high))
        row |= dict(zip(("unfloored_low", "unfloored_high"), together.unfloored, strict=True))
        row |= interval_columns("units", "units_", units.estimate, units.ci)
        found.append(row | interval_columns("alone", "alone_", alone.estimate, alone.ci))
    return pd.DataFrame(found)


def pooled_told(changes: pd.DataFrame, arm: str) -> dict[str, str]:
    """Return an arm's pooled unfiltered change in words, by target; "not run" for too few."""
    told = dict.fromkeys(TARGETS, NOT_RUN)
    if len(changes):
        for row in pools(pick(changes, arm=arm, kind="unfiltered")).itertuples():
            told[row.target] = estimate(row.estimate, row.low, row.high, unit=" %")
    return told


def side_by_side(rows: pd.DataFrame, column: str, **where: str) -> pd.DataFrame:
    """Return comparisons with one `change` per value of a column, such as ``target``."""
    return (
        pick(rows, **where).pivot(index=COMPARISON, columns=column, values="change").reset_index()
    )


def retests(rows: pd.DataFrame, kind: str = "unfiltered") -> dict[str, Spearman]:
    """Return, by arm, the rank correlation of changes on test with those on validation."""
    both = side_by_side(rows, "target", kind=kind)
    return {
        str(arm): spearman(mine["test"], mine["valid"])
        for arm, mine in both.groupby("arm", sort=False)
    }


def flipped(rows: pd.DataFrame) -> pd.DataFrame:
    """Return comparisons whose change on test has another sign under the filtered ranking."""
    both = side_by_side(rows, "kind", target="test")
    return both[np.sign(both["unfiltered"]) != np.sign(both["filtered"])]


def replicated(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return comparisons whose interval leaves out 0 on both targets, on one side."""
    rows = pick(rows, kind=kind)
    beyond = rows[leaves_out_0(rows)]
    sides = beyond.assign(side=np.sign(beyond["change"])).groupby(COMPARISON, sort=False)["side"]
    both = sides.agg(["size", "sum"])
    return both[(both["size"] == len(TARGETS)) & (both["sum"].abs() == len(TARGETS))].reset_index()


def told_on_both(changes: pd.DataFrame) -> str:
    """Return which comparisons leave out 0 on both targets, and of how many, in words.

    As ``1 of 20: Mul on ML-1M (real, unfiltered)``, and ``sliding on Video (unfiltered)`` where an
    arm of SASRec is compared with another. `changes` is a table of that name, see
    `replicated`; each ranking of a comparison is looked at by itself.
    """
    if changes.empty:
        return NOT_RUN
    looked_at = changes.groupby([*COMPARISON, "kind"], sort=False).ngroups
    found = [
        f"{row.arm} on {row.title} ({kind})"
        if row.model == BASELINE
        else f"{name_of(row.model)} on {row.title} ({BACKBONES.get(row.arm, row.arm)}, {kind})"
        for kind in KINDS
        for row in published.with_titles(replicated(changes, kind)).itertuples()
    ]
    return f"{len(found)} of {looked_at}" + ": " * bool(found) + ", ".join(found)


def share_under_both(changes: pd.DataFrame) -> str:
    """Return how many comparisons leave out 0 on both targets under both rankings, as ``1 of 20``.

    `changes` is a table of that name, see `told_on_both`.
    """
    if changes.empty:
        return NOT_RUN
    one, other = (replicated(changes, kind)[COMPARISON] for kind in KINDS)
    return f"{len(one.merge(other))} of {changes.groupby(COMPARISON).ngroups}"


def pools_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return `pools` by arm, target and ranking as text."""
    rows, form = [], "+z.2f"
    for row in found.itertuples():
        rows.append(
            {
                "backbone": BACKBONES.get(row.arm, row.arm),
                "target": row.target,
                "ranking": row.kind,
                "comparisons": row.n,
                "datasets": row.datasets,
                "pooled change, %": estimate(row.estimate, row.low, row.high, form),
                "without the floor": span(row.unfloored_low, row.unfloored_high, form),
                "τ, %": estimate(row.tau, row.tau_low, row.tau_high, ".1f"),
                "datasets alike, %": estimate(row.units, row.units_low, row.units_high, form),
                "comparisons as if independent, %": estimate(
                    row.alone, row.alone_low, row.alone_high, form
                ),
            }
        )
    index = ["backbone", "target", "ranking"]
    return with_columns(pd.DataFrame(rows), index).set_index(index)


def changes_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each comparison's change on both targets and under both rankings, as text.

    An arm that is no backbone stands under its own name.
    """
    told = published.with_titles(rows)
    told["cell"] = [estimate(r.change, r.low, r.high) for r in told.itertuples()]
    told["column"] = told["target"] + ", " + told["kind"]
    told["backbone"] = [BACKBONES.get(arm, arm) for arm in told["arm"]]
    told["variant"] = told["model"].map(name_of)
    index = ["dataset", "backbone", "variant"]
    wide = widened(told.assign(dataset=told["title"]), index, "column", "cell")
    order = [f"{target}, {kind}" for target, kind in product(TARGETS, KINDS)]
    return wide.reindex(columns=order).rename_axis(columns=None)


def retests_table(found: Mapping[str, Mapping[str, Spearman]]) -> pd.DataFrame:
    """Return `retests` as text: one row per backbone, one column per ranking."""
    told = {
        kind: {BACKBONES[arm]: estimate(r.rho, r.low, r.high, "+z.2f") for arm, r in of.items()}
        for kind, of in found.items()
    }
    return pd.DataFrame(told).rename_axis("backbone")
