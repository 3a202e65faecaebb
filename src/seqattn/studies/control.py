"""The positive control: what variants make of intensities that tell what comes.

References
----------
`seqattn.data.planted` for the story behind the intensities; the study's YAML for the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from seqattn.config import BASELINE, MARGIN_PERCENT, TrainConfig, replace
from seqattn.data import Dataset, load_dataset
from seqattn.data.planted import comes_later, neighbours
from seqattn.stats.metrics import metric
from seqattn.studies.judge import is_gain, stacked
from seqattn.studies.placebo import same_model
from seqattn.studies.plan import Group, Study

VERDICTS = ("reads", "does not read", "can't be told", "not run")
_KEY = ["dataset", "part", "model"]


def doses(study: Study) -> dict[str, float]:
    """Return p of each arm with planted intensities."""
    trains = {arm.name: replace(TrainConfig(), **arm.settings.train) for arm in study.arms}
    return {name: t.planted_p for name, t in trains.items() if t.intensity == "planted"}


def over_nothing(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge each dose against the same variant at p = 0.

    A row a (dataset, arm, part, model, metric, k); columns of `seqattn.studies.judge.judge`, with
    the runs at p = 0 as the baseline.
    """
    p_of = doses(study)
    nothing = {(g.dataset.name, g.model): g.runs for g in groups if p_of.get(g.arm) == 0}
    return stacked(
        same_model(group, base=nothing[group.dataset.name, group.model], runs=group.runs)
        for group in groups
        if p_of.get(group.arm, 0) > 0
    )


def ceiling(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what SASRec would gain at p = 1 from the rule that reads marks.

    Of SASRec on test, under leave-one-out; the rule is `seqattn.data.planted.promised`. A row a
    dataset: marked (share of interactions whose neighbour comes), applies (share of users whose
    target is a neighbour of something in their history), open (how many unseen neighbours these
    histories have: what items alone leave to choose from), base and there (NDCG@10 of all users
    and of those), n_seeds, and ceiling: the change, percent, if those targets were ranked first.
    """
    rows = []
    for group in groups:
        if group.model == BASELINE and group.runs:
            data = load_dataset(group.dataset.name)
            ranks_SU = np.stack([run.ranks() for run in group.runs])
            rows.append({"dataset": group.dataset.name, **_ceiling(data, ranks_SU)})
    return pd.DataFrame(rows)


def _ceiling(data: Dataset, ranks_SU: np.ndarray) -> dict[str, float]:
    neighbour_V, items = neighbours(data.split.train), data.sequences.items
    asked = data.split.rows("test")
    starts = data.sequences.offsets[data.sequences.user_of_row[asked]]
    before = [items[start:row] for start, row in zip(starts, asked, strict=True)]
    open_ = [set(neighbour_V[h].tolist()) - {0} - set(h.tolist()) for h in before]
    applies_U = np.array([items[row] in left for row, left in zip(asked, open_, strict=True)])
    own, best = (
        metric(ranks, "NDCG", 10) for ranks in (ranks_SU, np.where(applies_U, 1, ranks_SU))
    )
    return {
        "marked": comes_later(data.sequences, neighbour_V).mean(),
        "applies": applies_U.mean(),
        "open": np.array([len(left) for left in open_])[applies_U].mean(),
        "base": own.mean(),
        "there": own[:, applies_U].mean(),
        "n_seeds": len(ranks_SU),
        "ceiling": 100 * (best.mean() / own.mean() - 1),
    }


def verdicts(study: Study, cells: pd.DataFrame, over: pd.DataFrame) -> pd.DataFrame:
    """Return what the study's rule says of each (dataset, variant).

    Parameters
    ----------
    cells, over : DataFrame
        The tables ``comparisons`` and ``over_nothing``.

    Returns
    -------
    DataFrame
        Columns dataset, part, model; seen_from, the smallest p from which on all are read (NaN:
        none); alarm, whether p = 0 is a robust gain over SASRec; and verdict, one of `VERDICTS`.
    """
    p_of, n_seeds = doses(study), len(study.seeds)
    against, beyond = (_by_dose(table, p_of, n_seeds) for table in (cells, over))
    models = dict.fromkeys(m for arm in study.arms for m in arm.models if m != BASELINE)
    rows = []
    for dataset in study.datasets:
        for model in models:
            mine, own = (
                t[(t["dataset"] == dataset) & (t["model"] == model)].set_index("p")
                for t in (against, beyond)
            )
            part = bool(mine["part"].any())
            complete = {*p_of.values()} <= {*mine.index} and {*p_of.values()} <= {*own.index, 0.0}
            told = _verdict(mine, own) if complete else (np.nan, False, "not run")
            rows.append((dataset, part, model, *told))
    return pd.DataFrame(rows, columns=[*_KEY, "seen_from", "alarm", "verdict"])


def _verdict(mine: pd.DataFrame, own: pd.DataFrame) -> tuple[float, bool, str]:
    gains, beyond = is_gain(mine), is_gain(own)
    seen_from = np.nan
    for p in sorted(own.index, reverse=True):
        if not (gains[p] and beyond[p]):
            break
        seen_from = p
    alarm = bool(gains[0.0])
    if not np.isnan(seen_from):
        return seen_from, alarm, "reads"
    nothing = own.loc[1.0, "margin"] <= MARGIN_PERCENT
    return seen_from, alarm, "does not read" if nothing else "can't be told"


def _by_dose(table: pd.DataFrame, p_of: Mapping[str, float], n_seeds: int) -> pd.DataFrame:
    """Return the rows of NDCG@10 that have all seeds, with their p."""
    columns = [*_KEY, "robust_clustered", "direction", "margin"]
    if table.empty:
        return pd.DataFrame(columns=[*columns, "p"])
    wanted = (table["metric"] == "NDCG") & (table["k"] == 10) & (table["n_seeds"] == n_seeds)
    return table.loc[wanted, [*columns, "arm"]].assign(p=table["arm"].map(p_of))
