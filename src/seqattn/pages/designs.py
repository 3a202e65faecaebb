"""A variant's change in both designs, and against SASRec on the variant's own backbone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.config import BASELINE, DESIGNS, SEEDS
from seqattn.pages.writing import NOT_RUN, markdown, percent, span, with_titles
from seqattn.plots import name_of
from seqattn.plots.changes import change_forest, design_shift
from seqattn.studies.judge import with_columns
from seqattn.studies.tables import Campaign

LUCK = "SASRec with what another model's search found"
_KEY = ["dataset", "model"]
_SHOWN = ("change", "low", "high", "robust", "base", "level")
NAMES = {
    "own_search": "each its own backbone",
    "control": "both the variant's",
    "shared_backbone": "both SASRec's",
}


def texts(found: Campaign, without_ties: pd.DataFrame, backbones: pd.DataFrame) -> dict[str, str]:
    """Return the generated Markdown, by name.

    `without_ties` and `backbones` are `seqattn.studies.judge.untied` and `sasrec_on_backbones`.
    """
    both = run_in_both(found)
    return {
        "replication_designs": designs_table(both),
        "known_luck": luck(backbones),
        "replication_luck": luck_table(backbones),
        "replication_ties": ties_table(both, without_ties),
    }


def figures(found: Campaign, backbones: pd.DataFrame) -> dict[str, Figure]:
    """Return the figures, by name."""
    others = with_titles(_others(backbones))
    label = "SASRec's NDCG@10 change on another's backbone (%)"
    return {
        "replication_designs": design_shift(run_in_both(found), NAMES),
        "replication_luck": change_forest({LUCK: others}, xlabel=label),
    }


def run_in_both(found: Campaign) -> pd.DataFrame:
    """Return NDCG@10 of each dataset and variant that both designs have with all their seeds.

    Columns dataset, model, title, and change, low, high (percent of SASRec), robust, base (SASRec's
    mean) and level (the variant's), with what is compared behind, as in ``change_matched``: a
    design, or ``control``, NaN where not run with all of the protocol's seeds.
    """
    if found.cells.empty:
        return found.cells
    cells = with_titles(found.cells)
    sides = {design: cells[cells["design"] == design] for design in DESIGNS}
    both = sides["own_search"][[*_KEY, "title"]].drop_duplicates()
    for name, side in {**sides, "control": found.controls}.items():
        if side.empty:
            side = cells.head(0)
        side = side[(side["metric"] == "NDCG") & (side["k"] == 10)]
        side = side[side["n_seeds"] >= len(SEEDS)]  # nothing in a row would say that seeds lack
        side = side.rename(columns={"relative_change_percent": "change"})
        side = with_columns(side, ["base", "difference"])
        side["level"] = side["base"] + side["difference"]
        side = side.set_index(_KEY)[list(_SHOWN)].add_suffix(f"_{name}")
        both = both.join(side, on=_KEY, how="left" if name == "control" else "inner")
    return both


def designs_table(both: pd.DataFrame) -> str:
    """Return Markdown: how many are robust in a sentence, then each variant's changes."""
    if both.empty:
        return f"No variant has both designs yet: {NOT_RUN}."
    counts = ", ".join(
        f"{both[f'robust_{side}'].eq(True).sum()} of {both[f'change_{side}'].count()} ({name})"
        for side, name in NAMES.items()
    )
    rows = [
        {"dataset": row["title"], "variant": name_of(row["model"])}
        | {
            f"NDCG@10 %, {name}": (
                percent(row[f"change_{side}"], bold=row[f"robust_{side}"] is True)
                + f" {span(row[f'low_{side}'], row[f'high_{side}'])}{_levels(row, side)}"
            ).strip()
            for side, name in NAMES.items()
        }
        for _, row in both.iterrows()
    ]
    return f"Robust changes: {counts}.\n\n{markdown(rows)}"


def _others(backbones: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of configurations that SASRec's own search did not find."""
    return backbones[~backbones["same"].astype(bool)]


def luck(backbones: pd.DataFrame) -> str:
    """Return a paragraph: how much SASRec changes with the search alone."""
    others = _others(backbones)
    if others.empty:
        return NOT_RUN.capitalize() + "."
    best = backbones.loc[backbones.groupby("dataset", sort=False)["valid"].idxmax()]
    robust = with_titles(others[others["robust"]])
    named = [
        f"{percent(row['change'])} % with what {name_of(row['model'])}'s search found on "
        f"{row['title']}"
        for row in robust.to_dict("records")
    ]
    return (
        f"With what a variant's search found, SASRec's own NDCG@10 changes by "
        f"{percent(others['change'].min())} to {percent(others['change'].max())} %. The dual "
        f"criterion calls {len(robust)} of {len(others)} of these changes robust"
        f"{': ' + '; '.join(named) if named else ''}. On {(best['model'] != BASELINE).sum()} of "
        f"{len(best)} datasets it is another model's search that found SASRec the backbone of "
        "highest validation NDCG@10."
    )


def luck_table(backbones: pd.DataFrame) -> str:
    """Return Markdown: SASRec's validation and test NDCG@10 by search, with the test's change."""
    rows = [
        {"dataset": title}
        | {
            f"{name_of(row['model'])}'s search": f"{row['valid']:.4f} / {row['test']:.4f}"
            + (
                ""
                if row["model"] == BASELINE
                else "<br>the same"
                if row["same"]
                else f"<br>{_change(row)}"
            )
            for row in group.to_dict("records")
        }
        for title, group in with_titles(backbones).groupby("title", sort=False)
    ]
    return markdown(rows) or NOT_RUN.capitalize() + "."


def ties_table(both: pd.DataFrame, without_ties: pd.DataFrame) -> str:
    """Return Markdown: comparisons robust on all users or on those without a tie, and both ways."""
    if both.empty or without_ties.empty:
        return f"Changes without tied users: {NOT_RUN}."
    rows = []
    for _, row in both.merge(without_ties, on=_KEY).iterrows():
        all_users = {
            key: row[f"{key}_{row['side']}"] for key in ("change", "low", "high", "robust")
        }
        if pd.notna(all_users["change"]) and (all_users["robust"] is True or row["robust"]):
            rows.append(
                {
                    "dataset": row["title"],
                    "variant": name_of(row["model"]),
                    "backbone": NAMES[row["side"]],
                    "all users": _change(all_users),
                    "without a tie": _change(row),
                    "of all": f"{row['share']:.0%}",
                }
            )
    head = f"{len(without_ties)} comparisons on datasets with ties; robust in either column:"
    return f"{head}\n\n{markdown(rows)}" if rows else f"{head} none."


def _change(row: Mapping[str, object]) -> str:
    change = percent(row["change"], bold=row["robust"] is True)
    return f"{change} {span(row['low'], row['high'])}"


def _levels(row: pd.Series, side: str) -> str:
    base, level = row[f"base_{side}"], row[f"level_{side}"]
    return "" if np.isnan(base) else f"<br>{base:.4f} → {level:.4f}"
