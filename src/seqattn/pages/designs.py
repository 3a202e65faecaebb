"""The two designs beside each other: what of a variant's change is left on SASRec's backbone."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from seqattn.campaign import DESIGNS
from seqattn.comparison import Campaign
from seqattn.pages.writing import DESIGN_NAMES, NOT_RUN, markdown, percent, span, with_titles
from seqattn.plots import name_of
from seqattn.plots.campaign import design_shift

_KEY = ["dataset", "model"]


def texts(found: Campaign) -> dict[str, str]:
    """Return the generated Markdown, by name."""
    return {"replication_designs": designs_table(run_in_both(found.cells))}


def figures(found: Campaign) -> dict[str, Figure]:
    """Return the figures, by name."""
    return {"replication_designs": design_shift(run_in_both(found.cells))}


def run_in_both(cells: pd.DataFrame) -> pd.DataFrame:
    """Return NDCG@10 of each dataset and variant that both designs have.

    Columns dataset, model, title, and for each design change, low, high (percent of SASRec) and
    robust, with the design's name behind, as in ``change_matched``.
    """
    if cells.empty:
        return cells
    cells = cells[(cells["metric"] == "NDCG") & (cells["k"] == 10)]
    cells = with_titles(cells.rename(columns={"relative_change_percent": "change"}))
    values = ["change", "low", "high", "robust"]
    first, second = (cells[cells["design"] == d][[*_KEY, "title", *values]] for d in DESIGNS)
    return first.merge(
        second.drop(columns="title"), on=_KEY, suffixes=[f"_{design}" for design in DESIGNS]
    )


def designs_table(both: pd.DataFrame) -> str:
    """Return Markdown: how far the designs lie apart in a sentence, then each pair of changes."""
    if both.empty:
        return f"No variant has both designs yet: {NOT_RUN}."
    apart = (both["change_published"] - both["change_matched"]).abs()
    most = both.loc[apart.idxmax()]
    robust = {design: both[f"robust_{design}"].astype(bool) for design in DESIGNS}
    told = (
        f"{len(both)} pairs of dataset and variant were run in both designs. The two changes of "
        f"NDCG@10 lie {apart.median():.1f} percentage points apart in the median, and at most "
        f"{apart.max():.1f} ({most['title']}, {name_of(most['model'])}: "
        f"{percent(most['change_published'])} % as published, {percent(most['change_matched'])} % "
        f"matched). Robust: {robust['published'].sum()} as published, {robust['matched'].sum()} "
        f"matched, {(robust['published'] & robust['matched']).sum()} in both."
    )
    rows = [
        {"dataset": row["title"], "variant": name_of(row["model"])}
        | {
            f"NDCG@10 %, {DESIGN_NAMES[d]}": (
                percent(row[f"change_{d}"], bold=bool(row[f"robust_{d}"]))
                + f" {span(row[f'low_{d}'], row[f'high_{d}'])}"
            )
            for d in DESIGNS
        }
        for _, row in both.iterrows()
    ]
    return f"{told}\n\n{markdown(rows)}"
