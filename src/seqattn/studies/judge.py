"""The dual criterion on runs, and what it does not compute: corrections, TOST.

Shapes: S seeds, U users.

References
----------
[IA] section 4.3; the book's page "Statistics" for clustering, corrections and TOST.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from seqattn.config import MARGIN_PERCENT, SEEDS, VARIANTS
from seqattn.runs.results import on_common_seeds, values
from seqattn.runs.store import Run
from seqattn.stats import (
    DualCriterion,
    benjamini_hochberg,
    bootstrap_means,
    bootstrap_p_value,
    dual_criterion_table,
    holm,
    tost_paired,
)
from seqattn.stats.crossed import crossed_interval, interval
from seqattn.stats.inputs import ALPHA
from seqattn.stats.metrics import CUTOFFS, METRICS
from seqattn.studies.ia import published

COMPARISON = ["dataset", "arm", "part", "model"]  # the columns that name one
# Of the bootstrap behind `p`; the dual criterion keeps the published 2,000. The floor 1/B of a
# bootstrap p-value, times the cells of a study (756 of three designs), must stay below ALPHA.
N_RESAMPLES = 20_000
_CELLS = tuple(product(METRICS, CUTOFFS))


def judge(base: Sequence[Run], others: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Judge models against a baseline in every metric and cut-off, on the seeds both have.

    Of unfiltered ranks, as published.

    Parameters
    ----------
    base : sequence of Run
        The baseline's, one a seed.
    others : mapping
        Runs by model. One with fewer than two seeds in common with the baseline has no row.

    Returns
    -------
    DataFrame
        A row a (model, metric, k): the fields of `seqattn.stats.DualCriterion`, but for the
        relative change,

        - base, change, low, high, tost_low, tost_high, margin: see `change`;
        - equivalent: whether the 90 % interval lies within +-`MARGIN_PERCENT` (TOST);
        - users_low, users_high: the clustered interval, over users alone, in percent of `base`;
        - users_equivalent: TOST over users, averaged over seeds;
        - d_z: Cohen's, the mean difference in standard deviations over seeds;
        - p: to be corrected; the larger of the t-test's and the clustered bootstrap's.
    """
    pairs: dict[tuple[str, str, int], tuple[np.ndarray, np.ndarray]] = {}
    for model, runs in others.items():
        sides = on_common_seeds({"base": base, "model": runs}).values()
        own, theirs = (values(side, _CELLS) if len(side) > 1 else {} for side in sides)
        pairs |= {(model, *cell): (own[cell], theirs[cell]) for cell in own}
    if not pairs:
        return pd.DataFrame()
    records = dual_criterion_table(pairs)
    rows = [
        {"model": model, "metric": name, "k": k, **_flat(record)}
        for (model, name, k), record in zip(pairs, records, strict=True)
    ]
    found = pd.concat([pd.DataFrame(rows), _beyond(records, pairs)], axis=1)
    t = found["t_statistic"]  # infinite where no seed differs from another
    return found.assign(t_statistic=t.where(np.isfinite(t)))


def _flat(record: DualCriterion) -> dict[str, object]:
    """Return a record's fields; an interval as two columns, ``_low`` and ``_high``."""
    row: dict[str, Any] = {}
    for name, value in asdict(record).items():
        if name == "relative_change_percent":
            continue  # `change` has it
        if isinstance(value, tuple):
            stem = name.removesuffix("_ci")
            row |= {f"{stem}_low": value[0], f"{stem}_high": value[1]}
        else:
            row[name] = value
    return row


def _beyond(
    records: Sequence[DualCriterion], pairs: Mapping[Any, tuple[np.ndarray, np.ndarray]]
) -> pd.DataFrame:
    """Return what the published rule does not compute, a row a record."""
    base, variant = (
        [values.mean(axis=0) for values in side] for side in zip(*pairs.values(), strict=True)
    )
    means = bootstrap_means(np.stack(variant) - np.stack(base), N_RESAMPLES)
    rows = []
    p_values = bootstrap_p_value(means)
    sides = zip(records, pairs.values(), base, variant, p_values, strict=True)
    for record, pair, b, v, p in sides:
        told = change(*pair)
        level = told["base"]
        row: dict[str, Any] = {
            **told,
            **over_users(record, level),
            "p": max(record.t_p_value, float(p)),
            "d_z": record.t_statistic / np.sqrt(record.n_seeds),
        }
        if level:
            tost = tost_paired(b, v, MARGIN_PERCENT / 100 * level)
            row |= {"users_equivalent": tost.equivalent}
            row |= {"equivalent": told["margin"] <= MARGIN_PERCENT}
        rows.append(row)
    return pd.DataFrame(rows)


def change(base_SU: np.ndarray, other_SU: np.ndarray) -> dict[str, float]:
    """Return the change of a mean in percent of the base's, with intervals over users and seeds.

    base (a mean), change; low and high, of 95 %, see `seqattn.stats.crossed.crossed_interval`, and
    its p-value, p; tost_low and tost_high, of 90 %, and margin, the farther of these two ends: the
    smallest half-width of a band around 0 that holds both. NaN but for base where that is 0.
    """
    found = crossed_interval(other_SU - base_SU)
    inner = interval(found.difference, found.error, found.df, 2 * ALPHA)
    base = float(base_SU.mean())
    percent = 100 / base if base else np.nan
    low, high = (end * percent for end in found.ci)
    tost_low, tost_high = (end * percent for end in inner.ci)
    return {
        "base": base,
        "change": found.difference * percent,
        "low": low,
        "high": high,
        "p": found.p_value,
        "tost_low": tost_low,
        "tost_high": tost_high,
        "margin": max(abs(tost_low), abs(tost_high)),
    }


def over_users(record: DualCriterion, base: float) -> dict[str, float]:
    """Return users_low and users_high, the clustered interval in percent of the base's mean."""
    percent = 100 / base if base else np.nan
    return dict(
        zip(("users_low", "users_high"), (e * percent for e in record.clustered_ci), strict=True)
    )


def is_gain(cells: pd.DataFrame) -> pd.Series:
    """Return which comparisons are robust gains by the clustered rule."""
    return cells["robust_clustered"].astype(bool) & (cells["direction"] > 0)


def leaves_out_0(rows: pd.DataFrame, prefix: str = "") -> pd.Series:
    """Return which intervals, of columns ``low`` and ``high`` behind a prefix, leave out 0."""
    return (rows[f"{prefix}low"] > 0) | (rows[f"{prefix}high"] < 0)


def ndcg_at_10(cells: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return a table's rows of NDCG@10, the metric that verdicts are about.

    An empty table may have no columns; those named are there.
    """
    cells = with_columns(cells, ("metric", "k", *columns))
    return cells[(cells["metric"] == "NDCG") & (cells["k"] == 10)]


def ndcg_by_arm(table: pd.DataFrame) -> pd.DataFrame:
    """Return the NDCG@10 of a study whose arms have one model each.

    Parameters
    ----------
    table : DataFrame
        The study's table ``comparisons``; may be empty.

    Returns
    -------
    DataFrame
        A row a (dataset, arm): title, model (the arm's name), change, low, high (percent of base),
        base (the level of what it is compared with), n_seeds, n_users, direction, robust_clustered
        and equivalent.
    """
    columns = ["dataset", "arm", "n_seeds", "n_users", "base", "change"]
    columns += ["low", "high", "direction", "robust_clustered", "equivalent"]
    rows = ndcg_at_10(table, *columns)[columns]
    titles = [published.title(name) for name in rows["dataset"]]
    return rows.assign(title=titles, model=rows["arm"])


def not_judgeable(row: Any) -> str:
    """Return why a cell may decide nothing about the paper, or nothing.

    `row` has part, n_seeds, cut_short, and run, or not.
    """
    if not getattr(row, "run", True):
        return "not run"
    if row.part:
        return "only a part of the dataset was run"
    if row.n_seeds < len(SEEDS):
        return f"{int(row.n_seeds)} of {len(SEEDS)} seeds were run"
    return row.cut_short if isinstance(row.cut_short, str) else ""


def corrected(cells: pd.DataFrame, n_seeds: int = len(SEEDS)) -> pd.DataFrame:
    """Add ``whole`` and p-values adjusted over all of a study's cells that have all its seeds.

    A cell is whole if it may decide about the paper: whole dataset, whole searches, the five seeds
    of its protocol. What is corrected is what is shown, with `n_seeds`: every arm, cut-off and
    dataset, also one that was run in part. Columns ``family`` (m), ``p_holm`` and ``p_bh``, and
    ``robust_holm`` and ``robust_bh``: `robust_clustered`, and the adjusted `p` below `ALPHA`. All
    five are missing where nothing was corrected.
    """
    cells = cells.copy()
    if cells.empty:
        return cells
    cells["whole"] = [not not_judgeable(row) for row in cells.itertuples()]
    shown = cells.index[cells["n_seeds"] >= n_seeds]
    p = cells.loc[shown, "p"].to_numpy(dtype=float)
    adjusted = {"family": float(len(p)), "p_holm": holm(p), "p_bh": benjamini_hochberg(p)}
    cells[list(adjusted)] = pd.DataFrame(adjusted, index=shown)
    for name in ("holm", "bh"):
        robust = cells["robust_clustered"] & (cells[f"p_{name}"] < ALPHA)
        cells[f"robust_{name}"] = robust.astype(object).where(cells[f"p_{name}"].notna())
    return cells


def grid(cells: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return all 252 cells of the paper in one arm; NaN where not run.

    ``run`` says which were, ``whole`` which of them may decide, see `corrected`.
    """
    keys = ["dataset", "model", "metric", "k"]
    rows = pd.DataFrame(product(published.DATASETS, VARIANTS, METRICS, CUTOFFS), columns=keys)
    if cells.empty:
        return rows.assign(run=False, part=False, whole=False)
    mine = cells[cells["arm"] == arm].drop(columns="arm").assign(run=True)
    rows = rows.merge(mine, on=keys, how="left")
    for name in ("run", "part", "whole"):
        rows[name] = rows[name].eq(True)
    return rows


def stacked(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the frames under each other, the columns that name a comparison first."""
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame()
    table = pd.concat(filled, ignore_index=True)
    keys = [name for name in COMPARISON if name in table]
    return table[[*keys, *table.columns.drop(keys)]]


def interval_columns(
    name: str, prefix: str, value: float, ends: tuple[float, float]
) -> dict[str, float]:
    """Return a value and its interval as columns `name` and, behind `prefix`, low and high."""
    return {name: value, f"{prefix}low": ends[0], f"{prefix}high": ends[1]}


def widened(frame: pd.DataFrame, index: list[str], columns: str, values: str) -> pd.DataFrame:
    """Return one column per value of `columns`, rows and columns in order of appearance."""
    wide = frame.pivot(index=index, columns=columns, values=values)
    rows = frame.set_index(index).index.unique()
    return wide.reindex(index=rows, columns=list(dict.fromkeys(frame[columns])))


def with_columns(rows: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return the rows with these columns as well; NaN where they are new."""
    return rows.reindex(columns=list(dict.fromkeys([*rows.columns, *names])))
