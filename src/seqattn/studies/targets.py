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
from seqattn.config import BACKBONES
from seqattn.plots.style import name_of
from seqattn.runs.results import value_matrix
from seqattn.stats.bootstrap import percentile_interval
from seqattn.stats.crossed import crossed_interval, pigeonhole_bootstrap
from seqattn.stats.metrics import KINDS
from seqattn.stats.pools import Pool, of_units, random_effects, tau_interval
from seqattn.studies.ia import published
from seqattn.studies.judge import change, stacked, with_columns
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.studies.texts import NOT_RUN, span

TARGETS = ("test", "valid")
LEAST_ROWS, LEAST_DATASETS = 3, 2  # of a pool
# Two differences from one model have its errors in common: half of each one's variance where all
# models vary alike. A test holds that against committed runs of two logs, and that nothing is in
# common where the bases differ.
ONE_BASE = 0.5
_KEY = ["dataset", "arm", "part", "model"]
_COLUMNS = [*_KEY, "target", "kind", "base", "change", "error", "users_error", "df"]
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
        if len(group.base) == len(group.runs) == len(study.seeds)
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


def pool(rows: pd.DataFrame, one_base: float = ONE_BASE) -> Pool:
    """Return the random-effects pool of rows of `changes`.

    Rows of one dataset and one base correlate by `one_base`: variants that were compared with the
    same runs of SASRec on the same users are not as many looks as they are rows. Datasets are the
    units, whatever the number of rows.
    """
    correlation = _correlation(rows, one_base)
    return random_effects(rows["change"], rows["error"], correlation, rows["dataset"])


def _correlation(rows: pd.DataFrame, one_base: float) -> np.ndarray:
    of = rows.groupby(["dataset", "base"], sort=False).ngroup().to_numpy()
    return np.where(of[:, None] == of, one_base, 0.0) + (1 - one_base) * np.eye(len(of))


def weights(rows: pd.DataFrame) -> pd.Series:
    """Return the share that each row has in the mean of `pool`."""
    weight = 1 / (rows["error"] ** 2 + pool(rows).tau ** 2)
    return weight / weight.sum()


def by_dataset(rows: pd.DataFrame) -> Pool:
    """Return the mean of datasets, each the mean of its variants, with its t interval.

    Variants of one dataset share users and, but for the variant's backbone, SASRec; datasets share
    nothing.
    """
    return of_units(rows.groupby("dataset", sort=False)["change"].mean())


def can_be_pooled(rows: pd.DataFrame) -> bool:
    """Whether rows of `changes` are enough for `pool`: three, on two datasets."""
    return len(rows) >= LEAST_ROWS and rows["dataset"].nunique() >= LEAST_DATASETS


def pools(rows: pd.DataFrame) -> pd.DataFrame:
    """Return both pools of `changes` by arm, target and ranking, where they can be.

    Columns n, estimate, low, high, tau, tau_low and tau_high of the random effects, unfloored_low
    and unfloored_high (see `seqattn.stats.pools.Pool`); datasets, and units, units_low and
    units_high of `by_dataset`.
    """
    found, keys = [], ["arm", "target", "kind"]
    for key, mine in rows.groupby(keys, sort=False):
        if not can_be_pooled(mine):
            continue
        together = pool(mine)
        row = dict(zip(keys, key, strict=True)) | {"n": together.n}
        row |= {"estimate": together.estimate, "low": together.ci[0], "high": together.ci[1]}
        row |= dict(zip(("unfloored_low", "unfloored_high"), together.unfloored, strict=True))
        correlation = _correlation(mine, ONE_BASE)
        low, high = tau_interval(mine["change"], mine["error"], correlation, mine["dataset"])
        row |= {
            "tau": together.tau,
            "tau_low": low,
            "tau_high": high,
            "datasets": mine["dataset"].nunique(),
        }
        units = by_dataset(mine)
        row |= {"units": units.estimate, "units_low": units.ci[0], "units_high": units.ci[1]}
        found.append(row)
    return pd.DataFrame(found)


def pooled_told(changes: pd.DataFrame, arm: str, kind: str = "unfiltered") -> dict[str, str]:
    """Return an arm's pooled change in words, by target; "not run" for too few comparisons."""
    told = dict.fromkeys(TARGETS, NOT_RUN)
    if len(changes):
        for row in pools(pick(changes, arm=arm, kind=kind)).itertuples():
            told[row.target] = f"{row.estimate:+z.1f} % {span(row.low, row.high)}"
    return told


def side_by_side(rows: pd.DataFrame, column: str, **where: str) -> pd.DataFrame:
    """Return comparisons with one `change` per value of a column, such as ``target``."""
    return pick(rows, **where).pivot(index=_KEY, columns=column, values="change").reset_index()


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


def replicated(rows: pd.DataFrame, kind: str = "unfiltered") -> pd.DataFrame:
    """Return comparisons whose interval leaves out 0 on both targets, on one side."""
    rows = pick(rows, kind=kind)
    beyond = rows[(rows["low"] > 0) | (rows["high"] < 0)]
    sides = beyond.assign(side=np.sign(beyond["change"])).groupby(_KEY, sort=False)["side"]
    both = sides.agg(["size", "sum"])
    return both[(both["size"] == len(TARGETS)) & (both["sum"].abs() == len(TARGETS))].reset_index()


def pools_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return `pools` by arm, target and ranking as text."""
    rows = []
    for row in found.itertuples():
        units = span(row.units_low, row.units_high, "+z.2f")
        rows.append(
            {
                "backbone": BACKBONES.get(row.arm, row.arm),
                "target": row.target,
                "ranking": row.kind,
                "comparisons": row.n,
                "pooled change, %": f"{row.estimate:+z.2f} {span(row.low, row.high, '+z.2f')}",
                "without the floor": span(row.unfloored_low, row.unfloored_high, "+z.2f"),
                "τ, %": f"{row.tau:.1f} {span(row.tau_low, row.tau_high, '.1f')}",
                "mean of datasets, %": f"{row.units:+z.2f} {units}",
            }
        )
    index = ["backbone", "target", "ranking"]
    return with_columns(pd.DataFrame(rows), index).set_index(index)


def changes_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each comparison's change on both targets and under both rankings, as text.

    An arm that is no backbone stands under its own name.
    """
    told = published.with_titles(rows)
    told["cell"] = [f"{r.change:+z.1f} {span(r.low, r.high)}" for r in told.itertuples()]
    told["column"] = told["target"] + ", " + told["kind"]
    told["backbone"] = [BACKBONES.get(arm, arm) for arm in told["arm"]]
    told["variant"] = told["model"].map(name_of)
    index = ["title", "backbone", "variant"]
    wide = told.pivot(index=index, columns="column", values="cell")
    order = [f"{target}, {kind}" for target, kind in product(TARGETS, KINDS)]
    rows_ = told.set_index(index).index.unique()
    wide = wide.reindex(index=rows_, columns=order).rename_axis(["dataset", *index[1:]])
    return wide.rename_axis(columns=None)


def retests_table(found: Mapping[str, Mapping[str, Spearman]]) -> pd.DataFrame:
    """Return `retests` as text: one row per backbone, one column per ranking."""
    told = {
        kind: {
            BACKBONES[arm]: f"{r.rho:+z.2f} {span(r.low, r.high, '+z.2f')}" for arm, r in of.items()
        }
        for kind, of in found.items()
    }
    return pd.DataFrame(told).rename_axis("backbone")
