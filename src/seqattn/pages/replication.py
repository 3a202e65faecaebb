"""The page "Replication": [IA] Table 3 and Figure 1 as ours, published, and agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from seqattn.config import DESIGNS, VARIANTS
from seqattn.pages.writing import DESIGN_NAMES, NOT_RUN, markdown, percent, span, truth, with_titles
from seqattn.plots import name_of
from seqattn.plots.changes import change_forest
from seqattn.stats.metrics import METRICS
from seqattn.studies.ia import published
from seqattn.studies.ia.agreement import FALLS, OPEN, STANDS, agreement
from seqattn.studies.ia.conclusions import CONCLUSIONS, evidence
from seqattn.studies.tables import Campaign

_CUT = "‡"


def texts(found: Campaign, extras: Sequence[str]) -> dict[str, str]:
    """Return the page's generated Markdown, by name."""
    tables = {design: agreement(found.cells, design) for design in DESIGNS}
    return {
        "replication_agreement": agreement_table(tables),
        "replication_conclusions": conclusions_table(found),
        "replication_outcomes": outcomes_table(tables),
        "replication_extras": extras_table(found, extras),
        **{
            f"replication_table3_{design}": table3(table, cut_short(found.runs, design))
            for design, table in tables.items()
        },
    }


def figures(found: Campaign, extras: Sequence[str]) -> dict[str, Figure]:
    """Return the page's figures, by name."""
    ours = {design: agreement(found.cells, design) for design in DESIGNS}
    ours = {d: with_titles(t[t["run"] & (t["metric"] == "NDCG")]) for d, t in ours.items()}
    label = "NDCG@10 change vs SASRec (%)"
    beside = {d: _extras_ndcg(found.cells, extras, d) for d in DESIGNS}
    return {
        "replication_forest": change_forest(ours, xlabel=label),
        "replication_forest_extras": change_forest(beside, xlabel=label),
    }


def cut_short(runs: pd.DataFrame, design: str) -> set[tuple[str, str]]:
    """Return (dataset, variant) pairs whose search, or SASRec's, was cut short."""
    if runs.empty:
        return set()
    mine = runs[runs["design"] == design]
    short = mine[mine["shortfall"] != ""]
    pairs = set()
    for row in short.itertuples():
        for model in VARIANTS if row.model == "sasrec" else (row.model,):
            pairs.add((row.dataset, model))
    return pairs


def table3(table: pd.DataFrame, short: set[tuple[str, str]]) -> str:
    """Return Markdown: ours with interval, then the published change, a row a variant."""
    rows = []
    for (dataset, model), part in table.groupby(["dataset", "model"], sort=False):
        first = part.iloc[0]
        mark = _CUT if (dataset, model) in short and first["run"] else ""
        row = {
            "dataset": published.title(dataset, part=bool(first["part"])),
            "variant": name_of(model) + mark,
            "seeds": f"{first['n_seeds']:.0f}" if first["run"] else NOT_RUN,
        }
        for cell in part.itertuples():
            ours = percent(cell.change, cell.stars, bold=cell.robust is True)
            ours = f"{ours} {span(cell.low, cell.high)}".strip()
            row[f"{cell.metric}@10"] = f"{ours}<br>published {_printed(cell)}"
        rows.append(row)
    return markdown(rows)


def agreement_table(tables: dict[str, pd.DataFrame]) -> str:
    """Return Markdown: how many of the published cells agree, in each design."""
    rows = []
    for design, table in tables.items():
        outcomes, run = Counter(table["outcome"]), table[table["whole"]]
        rows.append(
            {
                "design": DESIGN_NAMES[design],
                "whole cells run": f"{len(run)} of {len(table)}",
                "run in part, not counted": str(int(table["run"].sum()) - len(run)),
                "sign equal": _share(run["sign_equal"]),
                "robustness verdict equal": _share(run["verdict_equal"]),
                "published change inside our interval": _share(run["inside"]),
                **{verdict: str(outcomes[verdict]) for verdict in (STANDS, FALLS, OPEN)},
            }
        )
    return markdown(rows)


def conclusions_table(found: Campaign) -> str:
    """Return Markdown: the counts in a sentence, then each conclusion with rule and outcome."""
    rows, counts = [], {design: Counter() for design in DESIGNS}
    facts = {design: evidence(found.cells, found.lambdas, design) for design in DESIGNS}
    for conclusion in CONCLUSIONS:
        claim = f"{conclusion.claim} (section {conclusion.section})."
        row = {"conclusion of the paper": f"{claim}<br>*Rule: {conclusion.rule}.*"}
        for design in DESIGNS:
            outcome = conclusion.judge(facts[design])
            counts[design][outcome.verdict] += 1
            row[DESIGN_NAMES[design]] = f"**{outcome.verdict}**: {outcome.reason}"
        rows.append(row)
    told = "; ".join(
        f"*{DESIGN_NAMES[design]}*: "
        + ", ".join(f"{count[verdict]} {verdict}" for verdict in (STANDS, FALLS, OPEN))
        for design, count in counts.items()
    )
    # "2 stands" reads badly.
    told = told.replace(" stands", " stand").replace(" falls", " fall")
    return f"Of {len(CONCLUSIONS)} conclusions, {told}.\n\n{markdown(rows)}"


def outcomes_table(tables: dict[str, pd.DataFrame]) -> str:
    """Return Markdown: each published cell with its outcome and reason in each design."""
    rows = []
    for cells in zip(*(table.itertuples() for table in tables.values()), strict=True):
        first = cells[0]
        row = {
            "dataset": published.title(first.dataset, part=any(bool(c.part) for c in cells)),
            "cell": f"{name_of(first.model)} {first.metric}@{first.k}",
            "published": _printed(first),
        }
        for design, cell in zip(tables, cells, strict=True):
            row[DESIGN_NAMES[design]] = f"{cell.outcome}: {cell.reason}"
        rows.append(row)
    return markdown(rows)


def extras_table(found: Campaign, extras: Sequence[str]) -> str:
    """Return Markdown: changes on datasets that the paper does not have; nothing published."""
    rows = []
    for dataset in extras:
        cells = found.cells
        cells = cells if cells.empty else cells[(cells["dataset"] == dataset) & (cells["k"] == 10)]
        if cells.empty:
            rows.append({"dataset": published.title(dataset), "design": NOT_RUN})
            continue
        for (design, model), part in cells.groupby(["design", "model"], sort=False):
            mark = _CUT if (dataset, model) in cut_short(found.runs, design) else ""
            row = {
                "dataset": published.title(dataset),
                "design": DESIGN_NAMES[design],
                "variant": name_of(model) + mark,
                "seeds": f"{part['n_seeds'].iloc[0]:.0f}",
            }
            for name in METRICS:
                cell = part[part["metric"] == name].iloc[0]
                change = percent(cell["relative_change_percent"], bold=bool(cell["robust"]))
                row[f"{name}@10"] = f"{change} {span(cell['low'], cell['high'])}"
            rows.append(row)
    return markdown(rows)


def _extras_ndcg(cells: pd.DataFrame, extras: Sequence[str], design: str) -> pd.DataFrame:
    if cells.empty:
        return cells
    chosen = (cells["design"] == design) & (cells["metric"] == "NDCG") & (cells["k"] == 10)
    cells = cells[chosen & cells["dataset"].isin(list(extras))]
    return with_titles(cells.rename(columns={"relative_change_percent": "change"}))


def _printed(cell: object) -> str:
    unknown = " (bold?)" if cell.published_robust == "unknown" else ""
    bold = cell.published_robust == "yes"
    return percent(cell.published_change, cell.published_stars, bold=bold) + unknown


def _share(values: pd.Series) -> str:
    told = [value for value in values if truth(value) != "–"]
    return f"{sum(map(bool, told))} of {len(told)}" if told else "–"
