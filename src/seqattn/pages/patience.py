"""What more patience changes, for the page "Campaign"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqattn import published
from seqattn.campaign import finished_cells
from seqattn.pages.writing import NOT_RUN, markdown, percent, span
from seqattn.plots import name_of


def patience_table(
    records: Mapping[str, Mapping[str, Any]], results_dir: str | Path, cells: pd.DataFrame
) -> str:
    """Return Markdown: usual fits beside those of more patience, a row a dataset and model.

    Parameters
    ----------
    records : mapping
        By dataset, see `seqattn.patience`. Those of other fits than the campaign's are left out.
    results_dir : str or Path
        The campaign.
    cells : DataFrame
        The campaign's comparisons, of `seqattn.comparison.read`.
    """
    rows = []
    for dataset, record in records.items():
        if record["models"] and _is_of(
            record["models"], finished_cells(results_dir, dataset, "published")
        ):
            rows += [_row(dataset, record, fits, cells) for fits in record["models"]]
    return markdown(rows) if rows else NOT_RUN.capitalize() + "."


def _is_of(models: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a record's usual fits are a campaign's."""
    keys = {model: [cell.spec.key for cell in group] for model, group in groups.items()}
    return all(fits["cells"] == keys.get(fits["model"]) for fits in models)


def _row(
    dataset: str, record: Mapping[str, Any], fits: Mapping[str, Any], cells: pd.DataFrame
) -> dict[str, str]:
    mine = cells[(cells["dataset"] == dataset) & (cells["model"] == fits["model"])]
    mine = mine[(mine["design"] == "published") & (mine["metric"] == "NDCG") & (mine["k"] == 10)]
    row = {
        "dataset": published.title(dataset),
        "model": name_of(fits["model"]),
        "best epochs": _numbers(fits["usual_epochs"]),
        f"with {record['patience']} epochs of patience": _numbers(fits["epochs"]),
        "test NDCG@10": f"{fits['usual']:.4f} → {fits['mean']:.4f}<br>{_told(fits)}",
    }
    verdict = record["verdicts"].get(fits["model"])
    if verdict and len(mine):
        usual = mine.rename(columns={"relative_change_percent": "change"}).iloc[0]
        row["against SASRec, %"] = f"{_told(usual)}<br>→ {_told(verdict)}"
    return row


def _told(change: Mapping[str, Any]) -> str:
    text = percent(change["change"], bold=bool(change["robust"]))
    return f"{text} {span(change['low'], change['high'])}"


def _numbers(epochs: Sequence[int]) -> str:
    return ", ".join(map(str, epochs))
