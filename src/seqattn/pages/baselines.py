"""SASRec among the baselines of RecBole, all on the same splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from seqattn import published
from seqattn.baselines import read_baselines
from seqattn.book import ROOT
from seqattn.campaign import BASELINE
from seqattn.comparison import absolute
from seqattn.pages.writing import NOT_RUN, markdown, span

RECORDS = ROOT / "results" / "baselines"
NAMES = {"pop": "Pop", "itemknn": "ItemKNN", "bpr": "BPR", "gru4rec": "GRU4Rec"}


def table(datasets: Sequence[str], ours: pd.DataFrame, folder: Path = RECORDS) -> str:
    """Return Markdown: where SASRec is below a baseline, then each one's test metrics at 10.

    SASRec is that of the published design.

    Parameters
    ----------
    datasets : sequence of str
        Names of the catalogue, in the order to show.
    ours : DataFrame
        The campaign's absolute metrics, see `seqattn.comparison.absolute`.
    folder : Path
        Records, see `seqattn.baselines`.
    """
    rows, below = [], []
    for dataset in datasets:
        found: dict[str, list] = {}
        for baseline in read_baselines(folder, dataset):
            found.setdefault(baseline.model, []).append(baseline)
        values, mine = absolute(found), _sasrec(ours, dataset)
        parts = {name: values[values["model"] == model] for model, name in NAMES.items()}
        if values.empty and mine.empty:
            rows.append(_row(dataset, "all", mine))
            continue
        for name, part in {**parts, "**SASRec**": mine}.items():
            rows.append(_row(dataset, name, part))
        below += [f"{published.title(dataset)}: {text}" for text in _better(parts, mine)]
    return f"{_weak(below)}\n\n{markdown(rows)}"


def _weak(below: Sequence[str]) -> str:
    if not below:
        return "Where both were run, no baseline's NDCG@10 is above SASRec's, filtered or not."
    return (
        "**A baseline's NDCG@10 is above SASRec's**, intervals aside, on these datasets; a change "
        f"relative to SASRec is one relative to a weak model there. {'; '.join(below)}."
    )


def _better(parts: Mapping[str, pd.DataFrame], mine: pd.DataFrame) -> Iterator[str]:
    """Yield which baselines have a higher NDCG@10 than SASRec, for each kind of ranking."""
    for kind in ("unfiltered", "filtered") if len(mine) else ():
        level = _ndcg(mine, kind)
        values = {name: _ndcg(part, kind) for name, part in parts.items() if len(part)}
        better = [f"{name} {value:.4f}" for name, value in values.items() if value > level]
        if better:
            yield f"{', '.join(better)} (SASRec {level:.4f}, {kind})"


def _ndcg(values: pd.DataFrame, kind: str) -> float:
    chosen = values[(values["kind"] == kind) & (values["metric"] == "NDCG")]
    return float(chosen["mean"].iloc[0])


def _sasrec(ours: pd.DataFrame, dataset: str) -> pd.DataFrame:
    if ours.empty:
        return ours
    chosen = (ours["dataset"] == dataset) & (ours["design"] == "published")
    return ours[chosen & (ours["model"] == BASELINE)]


def _row(dataset: str, name: str, values: pd.DataFrame) -> dict[str, str]:
    if values.empty:
        return {"dataset": published.title(dataset), "model": name, "seeds": NOT_RUN}
    part = published.is_part(dataset, int(values["n_users"].iloc[0]))
    row = {"dataset": published.title(dataset, part=part), "model": name}
    cells = {(v.kind, v.metric): v for v in values.itertuples()}
    row["seeds"] = str(values["n_seeds"].iloc[0])
    for label, key in (
        ("NDCG@10", ("unfiltered", "NDCG")),
        ("NDCG@10 filtered", ("filtered", "NDCG")),
        ("Recall@10", ("unfiltered", "Recall")),
        ("MRR@10", ("unfiltered", "MRR")),
    ):
        cell = cells[key]
        interval = f" {span(cell.low, cell.high, 4, '')}" if "NDCG" in label else ""
        row[label] = f"{cell.mean:.4f}{interval}"
    return row
