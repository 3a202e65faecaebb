"""Whether a gain is information: real intensities beside placebos of them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from seqattn.config import PLACEBOS, SEEDS
from seqattn.studies.ia import published
from seqattn.studies.judge import judge, stacked
from seqattn.studies.plan import Group, Study

REAL = "real"
VERDICTS = ("information", "channel", "nothing", "can't be told", "not run")


def over_placebo(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge real intensities against each placebo of the same model.

    A row a (dataset, arm, part, model, metric, k), `arm` being the placebo's; columns of
    `seqattn.studies.judge.judge`, with the placebo's runs as the baseline.
    """
    real = {(g.dataset.name, g.model): g.runs for g in groups if g.arm == REAL}
    frames = [
        judge(group.runs, {group.model: real[group.dataset.name, group.model]}).assign(
            dataset=group.dataset.name,
            arm=group.arm,
            part=published.is_part(group.dataset.name, group.dataset.n_users),
        )
        for group in groups
        if group.arm in PLACEBOS
    ]
    return stacked(frames)


def verdicts(cells: pd.DataFrame, over: pd.DataFrame, placebos: Sequence[str]) -> pd.DataFrame:
    """Return what the study's rule says of each (dataset, model).

    Parameters
    ----------
    cells : DataFrame
        The table ``comparisons``: real intensities and placebos, each against SASRec.
    over : DataFrame
        The table ``over_placebo``.
    placebos : sequence of str
        The study's arms that are placebos.

    Returns
    -------
    DataFrame
        Columns dataset, part, model and verdict, one of `VERDICTS`. Cells without all seeds of
        SASRec, real intensities and each placebo are ``not run``.
    """
    above = _ndcg(cells)
    better = _ndcg(over)
    arms = list(placebos)
    rows = []
    key = ["dataset", "part", "model"]
    for (dataset, part, model), mine in above.groupby(key, sort=False):
        by_arm = mine.set_index("arm")
        theirs = better[(better["dataset"] == dataset) & (better["model"] == model)]
        over_arm = theirs.set_index("arm")
        complete = {REAL, *arms} <= set(by_arm.index) and set(arms) <= set(over_arm.index)
        verdict = _verdict(by_arm, over_arm, arms) if complete else "not run"
        rows.append((dataset, part, model, verdict))
    return pd.DataFrame(rows, columns=[*key, "verdict"])


def _verdict(by_arm: pd.DataFrame, over_arm: pd.DataFrame, arms: list[str]) -> str:
    gains, wins = _is_gain(by_arm), _is_gain(over_arm)
    if gains[REAL] and wins[arms].all():
        return "information"
    if any(gains[arm] and not wins[arm] for arm in arms):
        return "channel"
    return "nothing" if by_arm.loc[REAL, "equivalent"] else "can't be told"


def _is_gain(rows: pd.DataFrame) -> pd.Series:
    return rows["robust_clustered"].astype(bool) & (rows["direction"] > 0)


def _ndcg(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of NDCG@10 that have all seeds."""
    columns = ["dataset", "part", "arm", "model", "robust_clustered", "direction", "equivalent"]
    if cells.empty:
        return pd.DataFrame(columns=columns)
    wanted = (cells["metric"] == "NDCG") & (cells["k"] == 10) & (cells["n_seeds"] == len(SEEDS))
    return cells.loc[wanted, columns]
