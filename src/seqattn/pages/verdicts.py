"""The page "Verdicts": how many cells each rule calls robust, and which are equivalent."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from seqattn.config import DESIGNS
from seqattn.pages.writing import DESIGN_NAMES, NOT_RUN, markdown, percent, span, with_titles
from seqattn.plots import name_of
from seqattn.plots.changes import change_forest, robust_counts
from seqattn.studies.ia import published
from seqattn.studies.judge import ALPHA, MARGIN_PERCENT
from seqattn.studies.tables import Campaign

RULES = {
    "t": "paired t-test alone",
    "robust": "dual criterion, pooled (published)",
    "robust_clustered": "dual criterion, clustered by user",
    "bh": "clustered, Benjamini-Hochberg",
    "holm": "clustered, Holm",
}


def texts(found: Campaign) -> dict[str, str]:
    """Return the page's generated Markdown, by name."""
    return {
        "verdicts_counts": counts_table(found.cells),
        "verdicts_changed": changed_table(found.cells),
        "verdicts_equivalence": equivalence_table(found.cells),
        "verdicts_margin": f"±{MARGIN_PERCENT:g} % of SASRec's mean",
    }


def figures(found: Campaign) -> dict[str, Figure]:
    """Return the page's figures, by name."""
    counts = {design: counts_of(family(found.cells, design, 10), "_10") for design in DESIGNS}
    ndcg = {}
    for design in DESIGNS:
        cells = family(found.cells, design, 10)
        if len(cells):
            cells = cells[cells["metric"] == "NDCG"]
            cells = cells.rename(columns={"relative_change_percent": "change"})
            ndcg[design] = with_titles(cells)
    label = "NDCG@10 change vs SASRec (%), 90 % interval"
    return {
        "verdicts_counts": robust_counts(counts),
        "verdicts_equivalence": change_forest(
            ndcg, interval=("tost_low", "tost_high"), band=MARGIN_PERCENT, xlabel=label
        ),
    }


def family(cells: pd.DataFrame, design: str, k: int | None = None) -> pd.DataFrame:
    """Return the cells that are corrected together: the paper's whole ones, in one design."""
    mine = _papers(cells, design, k)
    return mine if mine.empty else mine[mine["whole"]]


def _papers(cells: pd.DataFrame, design: str, k: int | None) -> pd.DataFrame:
    """Return what was run of the paper's cells, in part or whole."""
    if cells.empty:
        return cells
    mine = (cells["design"] == design) & cells["dataset"].isin(list(published.DATASETS))
    return cells[mine & (cells["k"] == k)] if k else cells[mine]


def holds(cells: pd.DataFrame, rule: str, suffix: str = "") -> pd.Series:
    """Return which cells a rule of `RULES` calls an effect; `suffix` picks the family."""
    if rule == "t":
        return cells["t_p_value"] < ALPHA
    if rule in ("holm", "bh"):
        return cells["robust_clustered"] & (cells[f"p_{rule}{suffix}"] < ALPHA)
    return cells[rule]


def counts_of(cells: pd.DataFrame, suffix: str = "") -> pd.DataFrame:
    """Return losses and gains by rule; empty without cells."""
    if cells.empty:
        return pd.DataFrame(columns=["rule", "losses", "gains"])
    rows = []
    for rule, name in RULES.items():
        directions = cells.loc[holds(cells, rule, suffix), "direction"]
        rows.append((name, int((directions < 0).sum()), int((directions > 0).sum())))
    return pd.DataFrame(rows, columns=["rule", "losses", "gains"])


def counts_table(cells: pd.DataFrame) -> str:
    """Return Markdown: losses and gains, a row a rule, at k = 10 and at all cut-offs."""
    columns = {}
    for design in DESIGNS:
        for told, k, suffix in (("@10", 10, "_10"), ("all cut-offs", None, "")):
            mine = family(cells, design, k)
            column = {"comparisons run": str(len(mine) or NOT_RUN)}
            column["run in part, not counted"] = str(len(_papers(cells, design, k)) - len(mine))
            if len(mine):
                found = counts_of(mine, suffix).itertuples(index=False)
                column |= {name: f"{losses} / {gains}" for name, losses, gains in found}
                column["equivalent"] = str(int(mine["equivalent"].eq(True).sum()))
            columns[f"{DESIGN_NAMES[design]}, {told}"] = column
    names = dict.fromkeys(name for column in columns.values() for name in column)
    return markdown(
        [
            {"rule": name} | {head: column.get(name, "") for head, column in columns.items()}
            for name in names
        ]
    )


def changed_table(cells: pd.DataFrame) -> str:
    """Return Markdown: cells whose verdict at k = 10 depends on the rule."""
    rows = []
    for design in DESIGNS:
        mine = family(cells, design, 10)
        if mine.empty:
            continue
        told = pd.DataFrame({name: holds(mine, rule, "_10") for rule, name in RULES.items()})
        several = told.nunique(axis=1) > 1
        for (_, cell), (_, verdicts) in zip(
            with_titles(mine[several]).iterrows(),
            told.loc[with_titles(mine[several]).index].iterrows(),
            strict=True,
        ):
            rows.append(
                {
                    "dataset": cell["title"],
                    "design": DESIGN_NAMES[design],
                    "cell": f"{name_of(cell['model'])} {cell['metric']}@{cell['k']}",
                    "change, %": percent(cell["relative_change_percent"]),
                    **{name: "yes" if said else "no" for name, said in verdicts.items()},
                }
            )
    if rows:
        return markdown(rows)
    none = all(family(cells, design, 10).empty for design in DESIGNS)
    return (
        NOT_RUN.capitalize() + "." if none else "All rules agree on every whole cell that was run."
    )


def equivalence_table(cells: pd.DataFrame) -> str:
    """Return Markdown: TOST of every NDCG@10 cell of the paper's datasets that was run."""
    rows = []
    for design in DESIGNS:
        mine = family(cells, design, 10)
        if mine.empty:
            continue
        for _, cell in with_titles(mine[mine["metric"] == "NDCG"]).iterrows():
            rows.append(
                {
                    "dataset": cell["title"],
                    "design": DESIGN_NAMES[design],
                    "variant": name_of(cell["model"]),
                    "change, %": percent(cell["relative_change_percent"]),
                    "90 % interval": span(cell["tost_low"], cell["tost_high"]),
                    "p of TOST": f"{cell['tost_p']:.3g}",
                    "equivalent": "yes" if cell["equivalent"] is True else "no",
                }
            )
    return markdown(rows) if rows else NOT_RUN.capitalize() + "."
