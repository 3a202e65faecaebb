"""SASRec among the baselines of RecBole, all on the same splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.config import BASELINE
from seqattn.files import ROOT
from seqattn.models import RECBOLE_MODELS as NAMES
from seqattn.pages.writing import NOT_RUN, markdown, percent, span
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Run, Store
from seqattn.stats import bootstrap_means, percentile_interval
from seqattn.stats.metrics import metric
from seqattn.studies.ia import published
from seqattn.studies.judge import ALPHA
from seqattn.studies.tables import absolute

Changes = dict[tuple[str, str], tuple[float, ...]]

RECORDS = ROOT / "results" / "baselines"
KINDS = ("unfiltered", "filtered")


def texts(
    datasets: Sequence[str],
    sasrec: Mapping[str, Sequence[Run]],
    fingerprints: Mapping[str, str] | None = None,
    folder: Path = RECORDS,
    *,
    suffix: str = "",
) -> dict[str, str]:
    """Return Markdown: where SASRec is below a baseline, and under it each one's metrics at 10.

    ``known_baselines`` says the first, ``campaign_baselines`` both.

    Parameters
    ----------
    datasets : sequence of str
        Names of the catalogue, in the order to show.
    sasrec : mapping
        SASRec's cells by dataset, of the published design.
    fingerprints : mapping, optional
        Of the data that a dataset's numbers are of; records of other data are left out.
    folder : Path
        Runs of RecBole's models, see `seqattn.runs.store`.
    suffix : str
        Ends both names.
    """
    rows, below, both = [], [], {}
    for dataset in datasets:
        kept = list(Store(folder).runs(dataset))
        found = comparable(kept, (fingerprints or {}).get(dataset))
        groups = {**{m: found.get(m, []) for m in NAMES}, BASELINE: sasrec.get(dataset, [])}
        groups = {model: list(group) for model, group in groups.items()}
        values = absolute({model: group for model, group in groups.items() if group})
        if values.empty:
            rows.append(_row(dataset, "all", values, {}))
            continue
        changes = _changes(groups)
        for model, name in {**NAMES, BASELINE: "**SASRec**"}.items():
            mine = {kind: change for (of, kind), change in changes.items() if of == model}
            rows.append(_row(dataset, name, values[values["model"] == model], mine))
        if changes:
            title = published.title(dataset)
            both[title] = bool(groups["gru4rec"])
            below += [f"{title}, {text}" for text in _better(values, changes)]
    weak = _weak(below, both)
    return {
        f"known_baselines{suffix}": weak,
        f"campaign_baselines{suffix}": f"{weak}\n\n{markdown(rows)}",
    }


def _changes(groups: Mapping[str, Sequence[Run]]) -> Changes:
    """Return each baseline's NDCG@10 against SASRec's in percent: change, low, high.

    The 95 % interval is that of the ratio of both means, the same users resampled for both, each
    averaged over its seeds. Empty without SASRec or a baseline.
    """
    models = [model for model in NAMES if groups[model] and groups[BASELINE]]
    changes = {}
    for kind in KINDS if models else ():
        of_users = [
            metric(rank_matrix(groups[model], "test", kind), "NDCG", 10).mean(axis=0)
            for model in (BASELINE, *models)
        ]
        base, *others = (values.mean() for values in of_users)
        base_B, *others_B = bootstrap_means(np.stack(of_users))
        hit = base_B > 0  # some resamples of few users hold no hit of SASRec's
        for model, mean, mean_B in zip(models, others, others_B, strict=True) if base else ():
            low, high = percentile_interval(mean_B[hit] / base_B[hit], ALPHA)
            changes[model, kind] = tuple(100 * ratio - 100 for ratio in (mean / base, low, high))
    return changes


def comparable(records: Sequence[Run], fingerprint: str | None = None) -> dict[str, list[Run]]:
    """Return records by model, of one version of the data and one kind of search each.

    Without `fingerprint` it is the version with most records; of several grids, too.
    """
    prints = Counter(b.facts["spec"]["fingerprint"] for b in records)
    wanted = fingerprint or (prints.most_common(1)[0][0] if prints else None)
    kinds: dict[str, dict[str, list[Run]]] = {}
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
    leads = "\n".join(f"- {line}" for line in below)
    return (
        "**A baseline's NDCG@10 is above SASRec's** on these datasets; a change relative to SASRec "
        "is one relative to a weak model there. In brackets stands the 95 % interval over users of "
        f"the paired change: where it includes 0, the lead may be chance.\n\n{leads}\n\n"
        f"SASRec and baselines were run on {', '.join(both)}.{missing}"
    )


def _better(values: pd.DataFrame, changes: Changes) -> Iterator[str]:
    """Yield which baselines have a higher NDCG@10 than SASRec, for each kind of ranking."""
    for kind in KINDS:
        levels = values[(values["kind"] == kind) & (values["metric"] == "NDCG")]
        level = levels.set_index("model")["mean"]
        better = []
        for model, name in NAMES.items():
            change, low, high = changes.get((model, kind), (0.0, 0.0, 0.0))
            if change > 0:
                better.append(f"{name} {level[model]:.4f}, {percent(change)} % {span(low, high)}")
        if better:
            yield f"{kind}, SASRec {level[BASELINE]:.4f}: {'; '.join(better)}"


def _row(
    dataset: str, name: str, values: pd.DataFrame, changes: Mapping[str, Sequence[float]]
) -> dict[str, str]:
    if values.empty:
        return {"dataset": published.title(dataset), "model": name, "seeds": NOT_RUN}
    part = published.is_part(dataset, int(values["n_users"].iloc[0]))
    row = {"dataset": published.title(dataset, part=part), "model": name}
    cells = {(v.kind, v.metric): v for v in values.itertuples()}
    row["seeds"] = str(values["n_seeds"].iloc[0])
    for label, kind in zip(("NDCG@10", "NDCG@10 filtered"), KINDS, strict=True):
        cell = cells[kind, "NDCG"]
        row[label] = f"{cell.mean:.4f} {span(cell.low, cell.high, 4, '')}"
        if kind in changes:
            change, low, high = changes[kind]
            row[label] += f"<br>{percent(change)} % {span(low, high)}"
    for name_ in ("Recall", "MRR"):
        row[f"{name_}@10"] = f"{cells['unfiltered', name_].mean:.4f}"
    return row
