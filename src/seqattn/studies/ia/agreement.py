"""[IA] Table 3 beside ours: sign, verdict, intervals, and whether a published cell stands.

References
----------
[IA] section 5, Table 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqattn.studies.ia import published
from seqattn.studies.judge import ALPHA, MARGIN_PERCENT, grid, not_judgeable, with_columns
from seqattn.studies.texts import is_true

STANDS, FALLS, OPEN = "stands", "falls", "can't be told"
_ROUNDING = 0.05  # of a published percentage, printed to one decimal
_NEEDED = (
    *("change", "low", "high", "t_p_value", "robust", "robust_clustered", "equivalent"),
    *("n_seeds", "n_users", "direction", "cut_short"),
)


@dataclass(frozen=True)
class Outcome:
    """Whether something published stands, falls or can't be told, and why."""

    verdict: str
    reason: str


def agreement(cells: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Lay the 63 cells of [IA] Table 3 beside ours.

    Returns
    -------
    DataFrame
        The columns of `seqattn.studies.judge.judge`, NaN where not run, and

        - published_change, published_stars, published_robust (yes, no, unknown);
        - stars: ours, by the same t-test;
        - sign_equal, verdict_equal: True, False or None where there is nothing to compare;
        - inside: whether the published change, as rounded, lies in our 95 % interval;
        - outcome, reason: see `cell_outcome`.
    """
    printed = published.table3().rename(
        columns={c: f"published_{c}" for c in ("change", "stars", "robust")}
    )
    rows = grid(cells, arm)
    rows = printed.merge(rows, on=["dataset", "model", "metric", "k"], how="left")
    rows = with_columns(rows, _NEEDED)
    rows["stars"] = [_stars(p) for p in rows["t_p_value"]]
    told = rows["run"]
    rows["sign_equal"] = _where(told, np.sign(rows["change"]) == np.sign(rows["published_change"]))
    judged = told & (rows["published_robust"] != "unknown")
    same = rows["robust"].eq(True) == (rows["published_robust"] == "yes")
    same &= ~rows["robust"].eq(True) | rows["sign_equal"].eq(True)
    rows["verdict_equal"] = _where(judged, same)
    inside = (rows["published_change"] + _ROUNDING >= rows["low"]) & (
        rows["published_change"] - _ROUNDING <= rows["high"]
    )
    rows["inside"] = _where(told, inside)
    outcomes = [cell_outcome(row) for row in rows.itertuples()]
    return rows.assign(outcome=[o.verdict for o in outcomes], reason=[o.reason for o in outcomes])


def cell_outcome(row: Any) -> Outcome:
    """Return whether one published cell of Table 3 stands, from a row of `agreement`.

    A published robust degradation stands if it is robust here and negative; it falls if the
    change is equivalent to none (TOST), robust and positive, or its interval lies above zero. A
    published cell that is not robust stands if it is not robust here, and falls if it is.
    """
    missing = not_judgeable(row)
    if missing:
        return Outcome(OPEN, missing)
    if row.published_robust == "unknown":
        return Outcome(OPEN, "the text at hand lost the bold type that marks robust cells")
    robust, change = bool(row.robust), f"{row.change:+z.1f} %"
    equivalent = is_true(row.equivalent)
    interval = f"a change of {row.low:+z.1f} to {row.high:+z.1f} % remains possible"
    no_effect = f"within ±{MARGIN_PERCENT:g} % of SASRec (TOST)"
    if row.published_robust == "no":
        if robust:
            return Outcome(FALLS, f"robust here, {change}")
        rest = no_effect if equivalent else interval
        return Outcome(STANDS, f"not robust here either; {rest}")
    if robust and row.change < 0:
        return Outcome(STANDS, f"also robust here, {change}")
    if row.low > 0 or robust:
        return Outcome(FALLS, f"the change is positive here, {change}")
    if equivalent:
        return Outcome(FALLS, no_effect)
    return Outcome(OPEN, f"not robust here, but {interval}")


def _stars(p: float) -> str:
    return "**" if p < 0.01 else "*" if p < ALPHA else ""


def _where(told: pd.Series, values: pd.Series) -> pd.Series:
    return values.astype(object).where(told, None)
