"""SASRec on each backbone that a search found: what the luck of a search is worth.

No injection is in it: between its rows nothing differs but which search chose the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.config import BASELINE, SEEDS, VARIANTS
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Run
from seqattn.stats import dual_criterion_table
from seqattn.stats.metrics import metric
from seqattn.studies.ia import published
from seqattn.studies.judge import relative
from seqattn.studies.tables import controls, finished_runs


def sasrec_on_backbones(results_dir: str | Path, datasets: Sequence[str]) -> pd.DataFrame:
    """Return SASRec's NDCG@10 with the configuration of each model's own search.

    Parameters
    ----------
    results_dir : str or Path
        A campaign's folder.
    datasets : sequence of str
        Names. Only fits with all the protocol's seeds count, and only beside SASRec's own.

    Returns
    -------
    DataFrame
        A row a dataset and search: dataset, part, model (whose search), same (whether it found what
        SASRec's own did, its own among them), valid and test (means over seeds and users), change
        (percent of the test value on SASRec's own backbone), low, high (clustered by user) and
        robust, by the dual criterion.
    """
    rows = []
    for dataset in datasets:
        own = finished_runs(results_dir, dataset, "own_search", [BASELINE]).get(BASELINE, [])
        if len(own) < len(SEEDS):
            continue
        found = {BASELINE: own} | {v: controls(results_dir, dataset, v) for v in VARIANTS}
        test = {m: _ndcg(cells) for m, cells in found.items() if len(cells) == len(SEEDS)}
        base_SU = test[BASELINE]
        records = dual_criterion_table({m: (base_SU, test_SU) for m, test_SU in test.items()})
        for (model, test_SU), record in zip(test.items(), records, strict=True):
            part = published.is_part(dataset, base_SU.shape[1])
            same = found[model][0].spec.key == own[0].spec.key
            levels = _ndcg(found[model], "valid").mean(), test_SU.mean()
            told = relative(record, base_SU).values()
            rows.append((dataset, part, model, same, *levels, *told))
    columns = ["dataset", "part", "model", "same", "valid", "test"]
    return pd.DataFrame(rows, columns=[*columns, "change", "low", "high", "robust"])


def _ndcg(cells: Sequence[Run], stage: str = "test") -> np.ndarray:
    return metric(rank_matrix(cells, stage), "NDCG", 10)
