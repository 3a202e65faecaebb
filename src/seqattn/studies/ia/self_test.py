"""The rules of `seqattn.studies.ia.conclusions` on the paper's own tables, as a test of the rules.

A rule that the paper's numbers cannot pass says nothing about ours. The paper prints no interval,
so this is the best case: every interval is its point, and a change within the margin is
equivalent.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqattn.config import MARGIN_PERCENT, SEEDS
from seqattn.studies.ia import published
from seqattn.studies.ia.agreement import cell_outcome
from seqattn.studies.ia.conclusions import CONCLUSIONS, Evidence
from seqattn.studies.judge import grid

_P_VALUES = {"**": 0.005, "*": 0.03, "": 0.5}  # one of those that the stars allow


def best_case() -> Evidence:
    """Return the paper's Tables 3 and 4 as if they were our runs, each interval its point.

    A cell is robust if the text at hand says so. Cut-offs beyond 10 are not printed: not run.
    """
    cells = published.table3().rename(columns={"robust": "published_robust"})
    cells["low"] = cells["high"] = cells["published_change"] = cells["change"]
    cells["direction"] = np.sign(cells["change"])
    cells["t_p_value"] = cells["stars"].map(_P_VALUES)
    cells["robust"] = cells["published_robust"] == "yes"
    cells["equivalent"] = cells["change"].abs() < MARGIN_PERCENT
    cells = cells.assign(run=True, part=False, whole=True, n_seeds=len(SEEDS), cut_short="")
    cells["outcome"] = [cell_outcome(row).verdict for row in cells.itertuples()]
    ndcg = cells.loc[cells["metric"] == "NDCG", ["dataset", "model", "change", "low", "high"]]
    lambdas = published.table4().merge(ndcg, on=["dataset", "model"]).assign(whole=True)
    for name in ("mean", "seed_low", "seed_high"):
        lambdas[name] = lambdas["lambda_mean"]
    return Evidence(cells, grid(pd.DataFrame(), ""), lambdas)


def self_test_table() -> pd.DataFrame:
    """Return what each rule says of the paper's own tables, and why: one row per conclusion."""
    facts, rows = best_case(), []
    for conclusion in CONCLUSIONS:
        outcome = conclusion.judge(facts)
        claim = f"{conclusion.claim} (section {conclusion.section})"
        told = (claim, outcome.verdict, outcome.reason)
        rows.append(told)
    columns = ["conclusion", "the paper's own tables", "why"]
    return pd.DataFrame(rows, columns=columns).set_index("conclusion")
