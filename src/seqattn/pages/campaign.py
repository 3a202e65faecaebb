"""The pages "Campaign", "Replication", "Lambda" and "Verdicts", from cells that are committed.

``results/campaign`` holds them, see `seqattn.search.record`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.audit.records import dataset_facts
from seqattn.config import BASELINE, DESIGNS, SEARCHED, SEEDS
from seqattn.files import ROOT, write_text
from seqattn.pages import (
    baselines,
    cells_table,
    designs,
    lambdas,
    patience,
    replication,
    summary,
    verdicts,
)
from seqattn.pages.writing import (
    DESIGN_NAMES,
    GENERATED,
    NOT_RUN,
    markdown,
    save,
    span,
    with_titles,
)
from seqattn.plots import name_of, use_style
from seqattn.plots.changes import absolute_levels
from seqattn.studies.backbones import sasrec_on_backbones
from seqattn.studies.ia import published
from seqattn.studies.patience import RECORDS, read_records
from seqattn.studies.tables import Campaign, command, finished_runs, read, trials_asked
from seqattn.studies.ties import untied

RESULTS = ROOT / "results" / "campaign"
DATASETS = ROOT / "results" / "datasets"
EXTRAS = ("lastfm-tagged", "steam-au", "amazon-herec")


def write_pages(
    results: Path = RESULTS,
    folder: Path = GENERATED,
    datasets: Path = DATASETS,
    patience_records: Path = RECORDS,
) -> None:
    """Write every generated part of the campaign's pages."""
    use_style()
    found = read(results, datasets)
    prints = {name: facts["fingerprint"] for name, facts in dataset_facts(datasets).items()}
    if len(found.runs):
        prints |= dict(zip(found.runs["dataset"], found.runs["fingerprint"], strict=True))
    sasrec = {
        dataset: finished_runs(results, dataset, "own_search", [BASELINE]).get(BASELINE, [])
        for dataset in prints
    }
    backbones = sasrec_on_backbones(results, list(prints))
    texts = {
        "campaign_runs": runs_table(found.runs, tuple(published.DATASETS)),
        "campaign_extras": runs_table(found.runs, extras(found)),
        "campaign_commands": commands_list(found.runs),
        "campaign_found": found_table(found.runs),
        "campaign_trained": trained_table(found.runs),
        **patience.texts(read_records(patience_records), results, found),
        "campaign_absolute": absolute_table(found, tuple(published.DATASETS), "unfiltered"),
        "campaign_absolute_filtered": absolute_table(found, tuple(published.DATASETS), "filtered"),
        "campaign_absolute_extras": absolute_table(found, extras(found), "unfiltered"),
        **baselines.texts(tuple(published.DATASETS), sasrec, prints),
        **baselines.texts(extras(found), sasrec, prints, suffix="_extras"),
        **replication.texts(found, extras(found)),
        **designs.texts(found, untied(results, datasets, list(prints)), backbones),
        **lambdas.texts(found, extras(found)),
        **verdicts.texts(found),
        **summary.texts(found, extras(found)),
    }
    for name, text in texts.items():
        write_text(folder / f"{name}.md", text + "\n")
    write_text(folder / "cells.html", cells_table.html(found))
    write_text(folder / "cells.csv", cells_table.frame(found, extras(found)).to_csv(index=False))
    levels = {d: _levels(found.absolute, d) for d in DESIGNS}
    figures = {
        "campaign_levels": absolute_levels(levels, xlabel="NDCG@10, all items ranked"),
        **replication.figures(found, extras(found)),
        **designs.figures(found, backbones),
        **lambdas.figures(found),
        **verdicts.figures(found),
    }
    for name, figure in figures.items():
        save(figure, folder / f"{name}.svg")


def extras(found: Campaign) -> tuple[str, ...]:
    """Return the datasets beside the paper's: three substitutes, and whatever else was run."""
    others = [] if found.runs.empty else found.runs["dataset"]
    return tuple(d for d in dict.fromkeys([*EXTRAS, *others]) if d not in published.DATASETS)


def runs_table(runs: pd.DataFrame, datasets: Sequence[str]) -> str:
    """Return Markdown: what was run of each dataset in each design, and where."""
    rows = []
    for dataset in datasets:
        for design in DESIGNS:
            mine = _of(runs, dataset, design)
            row = {"dataset": _title(mine, dataset), "design": DESIGN_NAMES[design]}
            if mine.empty:
                rows.append(row | {"trials": NOT_RUN})
                continue
            asked = {m: trials_asked(m, design) for m in SEARCHED}
            if design == "shared_backbone":
                asked.pop(BASELINE)  # its search and its fits are the published design's
            seeds = mine.set_index("model")["seeds"].map(len).to_dict()
            own = mine[mine["model"].isin(list(asked))]
            hours = own["search_hours"].sum(), own["fit_hours"].sum()
            rows.append(
                row
                | {
                    "trials": "; ".join(
                        [_each(mine.set_index("model")["trials"].to_dict(), asked), *_short(own)]
                    ),
                    "seeds": _each(seeds, dict.fromkeys(SEARCHED, len(SEEDS))),
                    "hours, searches + fits": f"{hours[0]:.2f} + {hours[1]:.2f}",
                    "device": "; ".join(sorted({d for ds in mine["devices"] for d in ds})),
                    "commit": ", ".join(sorted({c for cs in mine["commits"] for c in cs})),
                }
            )
    return markdown(rows)


def _short(own: pd.DataFrame) -> list[str]:
    """Return what searches lack whose number of trials is right."""
    lacking = own[(own["shortfall"] != "") & (own["trials"] >= own["trials_asked"])]
    return [f"**{name_of(row.model)} {row.shortfall}**" for row in lacking.itertuples()]


def _each(have: dict[str, int], asked: dict[str, int]) -> str:
    """Return "5 of 5 each", or each model's count with what falls short in bold."""
    if all(have.get(model, 0) == wanted for model, wanted in asked.items()):
        wanted = max(asked.values())
        return f"{wanted} of {wanted} each"
    parts = []
    for model, wanted in asked.items():
        text = f"{name_of(model)} {have.get(model, 0)} of {wanted}"
        parts.append(text if have.get(model, 0) >= wanted else f"**{text}**")
    return ", ".join(parts)


def commands_list(runs: pd.DataFrame) -> str:
    """Return Markdown: the command of every (dataset of the paper, design) that is not whole."""
    lines = [
        f"- {published.title(dataset)}, {DESIGN_NAMES[design]}: `{command(dataset, design)}`"
        for dataset in published.DATASETS
        for design in DESIGNS
        if not _whole(_of(runs, dataset, design))
    ]
    return "\n".join(lines) or "All were run."


def _whole(mine: pd.DataFrame) -> bool:
    """Tell whether a dataset's design has every model's search and seeds."""
    if set(mine.get("model", ())) != set(SEARCHED):
        return False
    return not mine["shortfall"].any() and all(len(seeds) >= len(SEEDS) for seeds in mine["seeds"])


def found_table(runs: pd.DataFrame) -> str:
    """Return Markdown: the configuration that each search found."""
    rows = [
        {
            "dataset": _title(pd.DataFrame([row]), row["dataset"]),
            "design": DESIGN_NAMES[row["design"]],
            "model": name_of(row["model"]),
            "trials": f"{row['trials']} of {row['trials_asked']}",
            "validation NDCG@10": f"{row['value']:.4f}",
            "layers": str(row["n_layers"]),
            "heads": str(row["n_heads"]),
            "hidden / inner": f"{row['hidden_size']} / {row['inner_size']}",
            "dropout": f"{row['hidden_dropout']:.2f} / {row['attention_dropout']:.2f}",
            "learning rate": f"{row['learning_rate']:.1e}",
            "normalisation": "" if row["model"] == "sasrec" else row["normalisation"],
        }
        for row in runs.to_dict("records")
        if not (row["design"] == "shared_backbone" and row["model"] == BASELINE)
    ]
    return markdown(rows) if rows else NOT_RUN.capitalize() + "."


def trained_table(runs: pd.DataFrame) -> str:
    """Return Markdown: the best epochs of each model's fits, and how many the limit ended."""
    if runs.empty:
        return NOT_RUN.capitalize() + "."
    rows = []
    fitted = with_titles(runs[runs["seeds"].map(len) > 0])
    for (title, design), mine in fitted.groupby(["title", "design"], sort=False):
        row = {"dataset": title, "design": DESIGN_NAMES[design]}
        for model, epochs in zip(mine["model"], mine["best_epochs"], strict=True):
            row[name_of(model)] = f"{np.median(epochs):.0f} [{min(epochs)}, {max(epochs)}]"
        ended = f"{mine['at_the_limit'].sum()} of {mine['seeds'].map(len).sum()} fits"
        rows.append(row | {"ended by the limit of epochs": ended})
    return markdown(rows) or NOT_RUN.capitalize() + "."


def absolute_table(found: Campaign, datasets: Sequence[str], kind: str) -> str:
    """Return Markdown: NDCG, Recall and MRR at 10 with 95 % intervals over users."""
    rows = []
    for dataset in datasets:
        mine = found.absolute
        mine = mine if mine.empty else mine[(mine["dataset"] == dataset) & (mine["kind"] == kind)]
        if mine.empty:
            rows.append({"dataset": published.title(dataset), "design": NOT_RUN})
            continue
        for (design, model), part in mine.groupby(["design", "model"], sort=False):
            first = part.iloc[0]
            row = {
                "dataset": published.title(dataset, part=bool(first["part"])),
                "design": DESIGN_NAMES[design],
                "model": name_of(model),
                "seeds": f"{first['n_seeds']:.0f}",
                "users": f"{first['n_users']:,.0f}",
            }
            for cell in part.itertuples():
                row[f"{cell.metric}@10"] = f"{cell.mean:.4f} {span(cell.low, cell.high, 4, '')}"
            rows.append(row)
    return markdown(rows)


def _levels(absolute: pd.DataFrame, design: str) -> pd.DataFrame:
    if absolute.empty:
        return absolute
    chosen = (
        (absolute["design"] == design)
        & (absolute["kind"] == "unfiltered")
        & (absolute["metric"] == "NDCG")
        & absolute["dataset"].isin(list(published.DATASETS))
    )
    return with_titles(absolute[chosen])


def _of(runs: pd.DataFrame, dataset: str, design: str) -> pd.DataFrame:
    if runs.empty:
        return runs
    return runs[(runs["dataset"] == dataset) & (runs["design"] == design)]


def _title(mine: pd.DataFrame, dataset: str) -> str:
    return published.title(dataset, part=bool(len(mine) and mine["part"].any()))
