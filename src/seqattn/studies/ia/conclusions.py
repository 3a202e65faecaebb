"""Which of [IA]'s published conclusions stand, fall or can't be told, by rules that are code.

Each rule was written before its outcome was known, except those of `_drops`, `_insignificant` and
`_no_gain`, which were changed after ML-100K's (the page "Replication" says how). What they read
changed later: intervals are over users and seeds, and those on lambda look at fits that count.
"Stands" and "falls" ask for whole datasets, whole searches and all five seeds; whatever was not
run, or only in part, can't be told.

Where one significant cell of many decides, as in those three, the t-test's p-value is corrected by
Holm over the claim's cells that were run whole. Where all cells must be significant, as in
`_significant_drops` and `_published_cells`, it is not: by chance all are significant no more often
than one is. `_published_cells` also falls by one cell whose interval lies above zero or that is
equivalent to none, as a cell of Table 3 does by itself; over eight cells that is not corrected.

References
----------
[IA] Shyrallyiev & Pyshnograiev 2026, sections 5, 6 and 8. Holm 1979, Scandinavian Journal of
Statistics 6(2). Berger 1982, Technometrics 24(4), on tests of which all must reject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqattn.analysis.lambdas import spearman
from seqattn.stats import holm
from seqattn.studies.ia import published
from seqattn.studies.ia.agreement import FALLS, OPEN, STANDS, Outcome, agreement
from seqattn.studies.judge import ALPHA, MARGIN_PERCENT, grid, with_columns
from seqattn.studies.targets import pick

STEAM = ("steam-3k", "steam-8k", "steam-15k")
LEAST_DATASETS = 5  # behind a correlation with an interval
_HALF = 0.5  # nearer to "off" (0) than to the initialisation (1), or not


@dataclass(frozen=True)
class Evidence:
    """One arm's tables: the paper's 63 and 252 cells, and its 21 lambdas; NaN if not run."""

    cells_10: pd.DataFrame
    cells: pd.DataFrame
    lambdas: pd.DataFrame


@dataclass(frozen=True)
class Conclusion:
    """What the paper concludes, the rule in words, and the rule."""

    claim: str
    section: str
    rule: str
    judge: Callable[[Evidence], Outcome]


def evidence(cells: pd.DataFrame, lambdas: pd.DataFrame, arm: str) -> Evidence:
    """Return one arm's evidence from a study's tables ``comparisons`` and ``lambdas``."""
    rows = published.table4()
    if not lambdas.empty:
        mine = lambdas[lambdas["arm"] == arm].drop(columns="arm")
        mine = mine.rename(columns={"lambda_mean": "mean", "lambda_std": "std"})
        rows = rows.merge(mine, on=["dataset", "model"], how="left")
    everything = agreement(cells, arm)
    ndcg = everything[everything["metric"] == "NDCG"]
    columns = ["dataset", "model", "change", "low", "high", "published_change", "whole"]
    rows = rows.merge(ndcg.reindex(columns=columns), on=["dataset", "model"], how="left")
    rows = with_columns(rows, ("mean", "std", "seed_low", "seed_high", "n_seeds", "part"))
    return Evidence(everything, grid(cells, arm), rows)


def _no_gain(rows: pd.DataFrame) -> Outcome:
    """Fell it by one robust gain whose t-test outlasts Holm's correction over the cells run."""
    usable = rows[rows["whole"]]
    count = f"cells judged: {len(usable)} of {len(rows)}"
    if not len(usable):
        return Outcome(OPEN, count)
    gains = usable[
        usable["robust"].eq(True) & (usable["direction"] > 0) & (_corrected(usable) < ALPHA)
    ]
    if len(gains):
        return Outcome(FALLS, f"robust gains, corrected: {len(gains)}, {_names(gains)}")
    return Outcome(
        STANDS if len(usable) == len(rows) else OPEN, f"no robust gain, corrected; {count}"
    )


def _each(
    rows: pd.DataFrame,
    holds: Callable[[pd.DataFrame], pd.Series],
    fails: Callable[[pd.DataFrame], pd.Series],
    what: str,
    detail: Callable[[Any], str] | None = None,
) -> Outcome:
    """Judge "all cells do this": one failure fells it, only all of them make it stand."""
    usable = rows[rows["whole"].eq(True)]
    count = f"cells judged: {len(usable)} of {len(rows)}"
    if not len(usable):
        return Outcome(OPEN, count)
    held = int(holds(usable).sum())
    failed = usable[fails(usable) & ~holds(usable)]  # significant and negligible at once: it holds
    if len(failed):
        return Outcome(FALLS, f"not so for {_names(failed, detail)}; {count}")
    if held == len(rows):
        return Outcome(STANDS, f"{what}; {count}")
    return Outcome(OPEN, f"{what}: {held} of {len(rows)}; {count}")


def _names(rows: pd.DataFrame, detail: Callable[[Any], str] | None = None) -> str:
    def name(row: Any) -> str:
        cell = f"{published.title(row.dataset)} {published.VARIANTS[row.model]}"
        cell = f"{cell} {row.metric}@{row.k}" if hasattr(row, "metric") else cell
        return f"{cell} ({detail(row)})" if detail else cell

    names = [name(row) for row in rows.itertuples()]
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _p_value(row: Any) -> str:
    return f"p = {row.t_p_value:.3f}"


def _interval(row: Any) -> str:
    return f"{row.low:+z.1f} to {row.high:+z.1f} %, p = {row.t_p_value:.2f}"


def _insignificant(e: Evidence) -> Outcome:
    rows = pick(e.cells_10, dataset=("ml-100k", "ml-1m"))
    holds, fails = lambda r: _corrected(r) >= ALPHA, lambda r: _corrected(r) < ALPHA
    return _each(rows, holds, fails, "p >= 0.05", _p_value)


def _corrected(rows: pd.DataFrame) -> pd.Series:
    """Return p-values of the t-test after Holm's correction within the claim."""
    return pd.Series(holm(rows["t_p_value"].to_numpy(dtype=float)), index=rows.index)


def _flat(e: Evidence) -> Outcome:
    outside = lambda r: (r["low"] > MARGIN_PERCENT) | (r["high"] < -MARGIN_PERCENT)  # noqa: E731
    rows = pick(e.cells_10, dataset="ml-1m")
    return _each(rows, lambda r: r["equivalent"].eq(True), outside, "equivalent", _interval)


def _drops(rows: pd.DataFrame) -> Outcome:
    """Judge "numerically": by signs; but chance must not fell it, so that asks both tests.

    The t-test's p-value is corrected over the claim's cells, of which one suffices.
    """
    gains = lambda r: (r["low"] > 0) & (_corrected(r) < ALPHA) & (r["change"] > 0)  # noqa: E731
    return _each(rows, lambda r: r["change"] < 0, gains, "a negative change", _interval)


def _published_cells(rows: pd.DataFrame) -> Outcome:
    return _each(
        rows, lambda r: r["outcome"] == STANDS, lambda r: r["outcome"] == FALLS, "the verdict holds"
    )


def _significant_drops(e: Evidence) -> Outcome:
    """Judge both cells at once: an intersection-union test, which no correction makes sounder."""
    rows = pick(e.cells_10, dataset="amazon-music", model="ia-mul", metric=("NDCG", "Recall"))
    holds = lambda r: (r["t_p_value"] < ALPHA) & (r["change"] < 0)  # noqa: E731
    fails = lambda r: (r["low"] > 0) | r["equivalent"].eq(True)  # noqa: E731
    return _each(rows, holds, fails, "p < 0.05 and negative")


def _steam_worst(e: Evidence) -> Outcome:
    rows = pick(e.cells_10, metric="NDCG")
    usable = rows[rows["whole"]]
    if len(usable) < len(rows):
        return Outcome(OPEN, f"cells judged: {len(usable)} of {len(rows)}")
    worst = usable.loc[[usable["change"].idxmin()]]
    where = f"the lowest change is {worst['change'].item():+z.1f} %, {_names(worst)}"
    return Outcome(STANDS if worst["dataset"].item() in STEAM else FALLS, where)


def _small(rows: pd.DataFrame) -> pd.Series:
    return rows["seed_high"] < _HALF


def _large(rows: pd.DataFrame) -> pd.Series:
    return rows["seed_low"] > _HALF


def _lambda_shrinks(e: Evidence) -> Outcome:
    cells = (("ml-1m", "ia-val"), ("ml-1m", "ia-mul"), ("ml-100k", "ia-mul"))
    keys = list(zip(e.lambdas["dataset"], e.lambdas["model"], strict=True))
    rows = e.lambdas[[key in cells for key in keys]]
    return _each(rows, _small, _large, "λ below 0.5")


def _lambda_stays(e: Evidence) -> Outcome:
    return _each(pick(e.lambdas, dataset=STEAM), _large, _small, "λ above 0.5")


def _no_correlation(e: Evidence) -> Outcome:
    usable = e.lambdas[e.lambdas["whole"].eq(True)]
    found = spearman(usable["mean"], usable["change"])
    told = f"{found.n} of {len(e.lambdas)} points"
    n_datasets = usable["dataset"].nunique()
    if n_datasets < LEAST_DATASETS:
        return Outcome(OPEN, f"{told}, of {n_datasets} datasets: too few")
    if np.isnan(found.low):
        return Outcome(OPEN, told)
    told = f"ρ = {found.rho:+z.2f} [{found.low:+z.2f}, {found.high:+z.2f}], {told}"
    if found.n < len(e.lambdas):
        return Outcome(OPEN, told)
    return Outcome(FALLS if found.low > 0 else STANDS if found.high < 0 else OPEN, told)


CONCLUSIONS = (
    Conclusion(
        "No variant improves NDCG, Recall or MRR at 10 robustly, anywhere",
        "5",
        "falls by one robust gain that Holm's correction over the cells that were run leaves "
        "significant; stands if all 63 cells were run and none is",
        lambda e: _no_gain(e.cells_10),
    ),
    Conclusion(
        "Nor at 20, 50 or 100",
        "5",
        "the same over the 189 cells at the deeper cut-offs",
        lambda e: _no_gain(e.cells[e.cells["k"] != 10]),
    ),
    Conclusion(
        "MovieLens: every cell is non-significant under the paired t-test",
        "5",
        "falls by one p < 0.05 of the 18 cells, after Holm's correction over those that were run",
        _insignificant,
    ),
    Conclusion(
        "ML-1M is essentially flat",
        "5",
        f"stands if all nine cells are equivalent within ±{MARGIN_PERCENT:g} %; falls if an "
        "interval lies outside",
        _flat,
    ),
    Conclusion(
        "ML-100K shows numerically large drops",
        "5",
        "stands if all nine changes are negative, however large; falls if one is positive by its "
        "interval and by the t-test after Holm's correction",
        lambda e: _drops(pick(e.cells_10, dataset="ml-100k")),
    ),
    Conclusion(
        "The one positive cell with a star, Add on Amazon-Office MRR@10, is not robust",
        "5",
        "as for a cell of Table 3",
        lambda e: _published_cells(
            pick(e.cells_10, dataset="amazon-office", model="ia-add", metric="MRR")
        ),
    ),
    Conclusion(
        "Val degrades Amazon-Office Recall@10 robustly",
        "5",
        "as for a cell of Table 3",
        lambda e: _published_cells(
            pick(e.cells_10, dataset="amazon-office", model="ia-val", metric="Recall")
        ),
    ),
    Conclusion(
        "Mul degrades Amazon-Music NDCG@10 and Recall@10",
        "5",
        "stands if both are negative with p < 0.05; falls if one is "
        "equivalent to none, or its interval lies above zero",
        _significant_drops,
    ),
    Conclusion(
        "Steam: every variant degrades NDCG@10 on all three samples",
        "5",
        "stands if all nine changes are negative; falls if one is positive by its interval and "
        "by the t-test after Holm's correction",
        lambda e: _drops(pick(e.cells_10, dataset=STEAM, metric="NDCG")),
    ),
    Conclusion(
        "Steam hosts eight robust degradations",
        "5",
        "as for cells of Table 3, all eight",
        lambda e: _published_cells(
            e.cells_10[
                e.cells_10["dataset"].isin(STEAM) & (e.cells_10["published_robust"] == "yes")
            ]
        ),
    ),
    Conclusion(
        "The failure is largest on Steam, whose intensity is richest",
        "8",
        "stands if the lowest NDCG@10 change of all 21 is on Steam",
        _steam_worst,
    ),
    Conclusion(
        "λ can shrink: Val and Mul on ML-1M, Mul on ML-100K",
        "6.1",
        "stands if each interval of λ over seeds lies below 0.5; falls if one lies above",
        _lambda_shrinks,
    ),
    Conclusion(
        "λ stays large on Steam",
        "6.1",
        "stands if all nine intervals of λ over seeds lie above 0.5; falls if one lies below",
        _lambda_stays,
    ),
    Conclusion(
        "λ and NDCG@10 change do not go together positively",
        "6.1",
        "all 21 points: falls if Spearman's 95 % interval lies above zero, stands if below",
        _no_correlation,
    ),
)
