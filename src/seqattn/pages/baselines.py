"""SASRec among the baselines of RecBole, all on the same splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from seqattn import published
from seqattn.baselines import Baseline, read_baselines
from seqattn.book import ROOT
from seqattn.campaign import BASELINE
from seqattn.comparison import absolute
from seqattn.pages.writing import NOT_RUN, markdown, span

RECORDS = ROOT / "results" / "baselines"
NAMES = {"pop": "Pop", "itemknn": "ItemKNN", "bpr": "BPR", "gru4rec": "GRU4Rec"}


def texts(
    datasets: Sequence[str],
    ours: pd.DataFrame,
    fingerprints: Mapping[str, str] | None = None,
    folder: Path = RECORDS,
    *,
    suffix: str = "",
) -> dict[str, str]:
    """Return Markdown: where SASRec is below a baseline, and under it each one's metrics at 10.

    ``known_baselines`` says the first, ``campaign_baselines`` both. SASRec is that of the published
    design.

    Parameters
    ----------
    datasets : sequence of str
        Names of the catalogue, in the order to show.
    ours : DataFrame
        The campaign's absolute metrics, see `seqattn.comparison.absolute`.
    fingerprints : mapping, optional
        Of the data that a dataset's numbers are of; records of other data are left out.
    folder : Path
        Records, see `seqattn.baselines`.
    suffix : str
        Ends both names.
    """
    rows, below, both = [], [], {}
    for dataset in datasets:
        found = comparable(read_baselines(folder, dataset), (fingerprints or {}).get(dataset))
        values, mine = absolute(found), _sasrec(ours, dataset)
        parts = {name: values[values["model"] == model] for model, name in NAMES.items()}
        if values.empty and mine.empty:
            rows.append(_row(dataset, "all", mine))
            continue
        for name, part in {**parts, "**SASRec**": mine}.items():
            rows.append(_row(dataset, name, part))
        below += [f"{published.title(dataset)}: {text}" for text in _better(parts, mine)]
        if len(mine) and len(values):
            both[published.title(dataset)] = len(parts[NAMES["gru4rec"]]) > 0
    weak = _weak(below, both)
    return {
        f"known_baselines{suffix}": weak,
        f"campaign_baselines{suffix}": f"{weak}\n\n{markdown(rows)}",
    }


def comparable(
    records: Sequence[Baseline], fingerprint: str | None = None
) -> dict[str, list[Baseline]]:
    """Return records by model, of one version of the data and one kind of search each.

    Without `fingerprint` it is the version with most records; of several grids, too.
    """
    prints = Counter(b.facts["spec"]["fingerprint"] for b in records)
    wanted = fingerprint or (prints.most_common(1)[0][0] if prints else None)
    kinds: dict[str, dict[str, list[Baseline]]] = {}
    for b in records:
        if b.facts["spec"]["fingerprint"] == wanted:
            kind = json.dumps(b.facts["spec"]["settings"], sort_keys=True)
            kinds.setdefault(b.model, {}).setdefault(kind, []).append(b)
    return {model: max(groups.values(), key=len) for model, groups in kinds.items()}


def _weak(below: Sequence[str], both: Mapping[str, bool]) -> str:
    """Say where a baseline is above SASRec, of the datasets that have both, and what is missing."""
    if not both:
        return "No dataset has SASRec and a baseline yet."
    rest = [title for title, sequential in both.items() if not sequential]
    missing = f" GRU4Rec, the sequential one, was not run on {', '.join(rest)}." if rest else ""
    if not below:
        return (
            f"On {', '.join(both)} SASRec and baselines were run, and no baseline's NDCG@10 is "
            f"above SASRec's, filtered or not.{missing}"
        )
    return (
        "**A baseline's NDCG@10 is above SASRec's**, intervals aside, on these datasets; a change "
        f"relative to SASRec is one relative to a weak model there. {'; '.join(below)}. Both were "
        f"run on {', '.join(both)}.{missing}"
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
