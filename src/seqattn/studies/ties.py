"""NDCG@10 changes on the users whose test target no tie decides.

Where the last two interactions of a user share a moment, which of them is the target is the
file's order. A verdict that needs those users rests on a convention.

Shapes: S seeds, U users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.audit.records import read_tied_tests
from seqattn.config import BASELINE, DESIGNS, SEEDS, VARIANTS
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Run
from seqattn.stats import dual_criterion_table
from seqattn.stats.metrics import metric
from seqattn.studies.judge import relative
from seqattn.studies.tables import controls, finished_runs

_Key = tuple[str, str]  # variant and side


def untied(
    results_dir: str | Path, datasets_dir: str | Path, datasets: Sequence[str]
) -> pd.DataFrame:
    """Judge variants by the dual criterion on the users without a tied test target.

    Parameters
    ----------
    results_dir : str or Path
        A campaign's folder, see `seqattn.search.record`.
    datasets_dir : str or Path
        Folder of the datasets' records, which tell the ties (see `seqattn.audit.records`).
    datasets : sequence of str
        Names. One without ties, or whose record is missing or of other data, has no row.

    Returns
    -------
    DataFrame
        A row a comparison that has all the protocol's seeds: dataset, model, side (a design, or
        ``control``: SASRec on the variant's backbone), share (of the users, without a tie), change,
        low, high (percent of SASRec on these users, clustered by user), robust.
    """
    rows = []
    for dataset in datasets:
        pairs, share = _without_ties(_pairs(results_dir, dataset), datasets_dir)
        for (model, side), record in zip(pairs, dual_criterion_table(pairs), strict=True):
            told = relative(record, pairs[model, side][0])
            rows.append((dataset, model, side, share, *told.values()))
    columns = ["dataset", "model", "side", "share", "change", "low", "high", "robust"]
    return pd.DataFrame(rows, columns=columns)


def _pairs(results_dir: str | Path, dataset: str) -> dict[_Key, tuple[list[Run], list[Run]]]:
    """Return SASRec's and the variant's cells by (variant, side)."""
    published, matched = (finished_runs(results_dir, dataset, design) for design in DESIGNS)
    pairs = {}
    for model in VARIANTS:
        own = published.get(model, [])
        pairs[model, "own_search"] = published.get(BASELINE, []), own
        pairs[model, "control"] = controls(results_dir, dataset, model), own
        pairs[model, "shared_backbone"] = matched.get(BASELINE, []), matched.get(model, [])
    return pairs


def _without_ties(
    pairs: Mapping[_Key, tuple[list[Run], list[Run]]], datasets_dir: str | Path
) -> tuple[dict[_Key, tuple[np.ndarray, np.ndarray]], float]:
    """Return NDCG@10 of comparable pairs on users without a tie, (S, U) each, and their share."""
    values, share = {}, np.nan
    for key, pair in pairs.items():
        base, variant = pair
        specs = [cell.facts["spec"] for cell in (*base, *variant)]
        data = {(spec["dataset"], spec["fingerprint"]) for spec in specs}
        if not len(base) == len(variant) == len(SEEDS) or len(data) > 1:
            continue
        tied_U = read_tied_tests(datasets_dir, *data.pop())
        if tied_U is not None and tied_U.any() and (~tied_U).sum() >= 2:
            values[key] = tuple(metric(rank_matrix(g)[:, ~tied_U], "NDCG", 10) for g in pair)
            share = float(1 - tied_U.mean())
    return values, share
