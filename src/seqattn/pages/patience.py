"""What more patience changes, for the page "Campaign"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqattn.config import BASELINE, SEEDS
from seqattn.pages.writing import NOT_RUN, markdown, percent, span
from seqattn.plots import name_of
from seqattn.studies.ia import published
from seqattn.studies.tables import Campaign, finished_runs

_SIDES = {
    "own": "against SASRec, each its own backbone, %",
    "control": "against SASRec, both the variant's, %",
}


def texts(
    records: Mapping[str, Mapping[str, Any]], results_dir: str | Path, found: Campaign
) -> dict[str, str]:
    """Return the generated Markdown, by name.

    Parameters
    ----------
    records : mapping
        By dataset, see `seqattn.studies.patience`; those of other fits are left out.
    results_dir : str or Path
        The campaign.
    found : Campaign
        Its tables, of `seqattn.studies.judge.read`.
    """
    order = [d for d in published.DATASETS if d in records]
    kept = {
        dataset: records[dataset]
        for dataset in dict.fromkeys([*order, *records])
        if _is_of(records[dataset]["models"], finished_runs(results_dir, dataset, "own_search"))
    }
    return {
        "campaign_patience": patience_table(kept, found),
        "known_patience": "\n".join(_levels(_title(found, d), r) for d, r in kept.items())
        or NOT_RUN.capitalize() + ".",
    }


def _title(found: Campaign, dataset: str) -> str:
    mine = found.cells[found.cells["dataset"] == dataset]
    return published.title(dataset, part=bool(mine["part"].any()))


def _levels(title: str, record: Mapping[str, Any]) -> str:
    """Say what SASRec reaches as published, with more patience, and on other backbones."""
    sasrec = next(fits for fits in record["models"] if fits["model"] == BASELINE)
    others = [
        f"{verdict['control']['base']:.4f} with what {name_of(model)}'s search found"
        for model, verdict in record["verdicts"].items()
    ]
    text = f"{sasrec['level']:.4f} with its own search's settings"
    return (
        f"- {title}: {sasrec['base']:.4f} as published; with a patience of "
        f"{record['patience']} epochs {', '.join([text, *others])}."
    )


def patience_table(records: Mapping[str, Mapping[str, Any]], found: Campaign) -> str:
    """Return Markdown: usual fits beside those of more patience, a row a dataset and model."""
    rows = [
        _row(dataset, record, fits, found)
        for dataset, record in records.items()
        for fits in record["models"]
    ]
    return markdown(rows) or NOT_RUN.capitalize() + "."


def _is_of(models: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a record's usual fits are a campaign's."""
    keys = {model: [cell.spec.key for cell in group] for model, group in groups.items()}
    return all(fits["cells"] == keys.get(fits["model"]) for fits in models)


def _row(
    dataset: str, record: Mapping[str, Any], fits: Mapping[str, Any], found: Campaign
) -> dict[str, str]:
    model, limit = fits["model"], record["patience"]
    row = {
        "dataset": _title(found, dataset),
        "model": name_of(model),
        f"best epochs, then with a patience of {limit}": (
            f"{_numbers(fits['usual_epochs'])}<br>→ {_numbers(fits['epochs'])}"
        ),
        "test NDCG@10": f"{fits['base']:.4f} → {fits['level']:.4f}<br>{_told(fits)}",
    }
    published_cells = found.cells[found.cells["design"] == "own_search"]
    for side, cells in (("own", published_cells), ("control", found.controls)):
        verdict = record["verdicts"].get(model, {}).get(side)
        if verdict:
            usual = _usual(cells, dataset, model)
            row[_SIDES[side]] = f"{usual}<br>→ {_told(verdict)}"
    return row


def _usual(cells: pd.DataFrame, dataset: str, model: str) -> str:
    """Return a campaign's own NDCG@10 change, with all seeds."""
    if cells.empty:
        return NOT_RUN
    mine = cells[(cells["dataset"] == dataset) & (cells["model"] == model)]
    mine = mine[(mine["metric"] == "NDCG") & (mine["k"] == 10) & (mine["n_seeds"] >= len(SEEDS))]
    mine = mine.rename(columns={"relative_change_percent": "change"})
    return _told(mine.iloc[0]) if len(mine) else NOT_RUN


def _told(change: Mapping[str, Any]) -> str:
    text = percent(change["change"], bold=bool(change["robust"]))
    return f"{text} {span(change['low'], change['high'])}"


def _numbers(epochs: Sequence[int]) -> str:
    return ", ".join(map(str, epochs))
