"""The page "What we know", and the lines on top of the results pages that say what was run."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from seqattn.config import DESIGNS
from seqattn.pages.designs import NAMES, run_in_both
from seqattn.pages.verdicts import family
from seqattn.pages.writing import DESIGN_NAMES, NOT_RUN, percent, span, with_titles
from seqattn.plots import name_of
from seqattn.studies.ia import published
from seqattn.studies.ia.agreement import FALLS, STANDS
from seqattn.studies.ia.conclusions import CONCLUSIONS, evidence
from seqattn.studies.judge import MARGIN_PERCENT
from seqattn.studies.tables import Campaign


def texts(found: Campaign, extras: Sequence[str]) -> dict[str, str]:
    """Return the generated Markdown, by name."""
    return {
        "run_so_far": run_so_far(found, extras),
        "known_paper": "\n".join(f"- {_judged(found, design)}" for design in DESIGNS),
        "known_conclusions": _conclusions(found),
        "known_beside": beside(found, extras),
        "known_missing": missing(found),
    }


def run_so_far(found: Campaign, extras: Sequence[str]) -> str:
    """Return one paragraph: which of the paper's datasets are whole, and what stands beside."""
    whole = {d: _whole(found, d) for d in published.DATASETS}
    told = [
        f"{published.title(dataset)} ({' and '.join(DESIGN_NAMES[d] for d in designs)})"
        for dataset, designs in whole.items()
        if designs
    ]
    cells = found.cells
    run = [d for d in extras if len(cells) and (cells["dataset"] == d).any()]
    others = f"; beside them {_list([published.title(d) for d in run])}" if run else ""
    uncounted = _uncounted(found)
    others += f"; in part, and counted nowhere, {_list(uncounted)}" if uncounted else ""
    return (
        f"**Run so far:** {len(told)} of the paper's {len(whole)} datasets"
        f"{': ' + _list(told) if told else ''}{others}. Of Table 3's 63 cells, "
        + " and ".join(
            f"{len(family(cells, design, 10))} can be judged {DESIGN_NAMES[design]}"
            for design in DESIGNS
        )
        + "."
    )


def _whole(found: Campaign, dataset: str) -> list[str]:
    """Return the designs in which a dataset is whole: every variant's cells may decide."""
    if found.cells.empty:
        return []
    mine = found.cells[(found.cells["dataset"] == dataset) & (found.cells["k"] == 10)]
    by_design = {d: mine[mine["design"] == d] for d in DESIGNS}
    n_cells = len(published.VARIANTS) * mine["metric"].nunique()
    return [d for d, rows in by_design.items() if len(rows) == n_cells > 0 and rows["whole"].all()]


def _uncounted(found: Campaign) -> list[str]:
    """Return the titles of those of the paper's datasets that have cells, but none that counts."""
    cells = found.cells
    if cells.empty:
        return []
    ours = with_titles(cells[cells["dataset"].isin(list(published.DATASETS))])
    counted = ours.groupby("title", sort=False)["whole"].any()
    return list(counted.index[~counted])


def _judged(found: Campaign, design: str) -> str:
    """Say how many comparisons at 10 are robust or equivalent, and the largest NDCG@10 change."""
    cells = family(found.cells, design, 10)
    name = DESIGN_NAMES[design].capitalize()
    if cells.empty:
        return f"{name}: {NOT_RUN}."
    robust = cells[cells["robust"]]
    ndcg = with_titles(cells[cells["metric"] == "NDCG"])
    largest = ndcg.loc[ndcg["relative_change_percent"].abs().idxmax()]
    where = _list(list(dict.fromkeys(ndcg["title"])))
    return (
        f"{name}, of {len(cells)} comparisons at 10 ({where}), "
        f"{int((robust['direction'] > 0).sum())} gains and "
        f"{int((robust['direction'] < 0).sum())} losses are robust by the published rule; "
        f"{int(ndcg['equivalent'].eq(True).sum())} of {len(ndcg)} NDCG@10 changes are shown to lie "
        f"within ±{MARGIN_PERCENT:g} %. The largest is {_change(largest)}."
    )


def _change(cell: pd.Series) -> str:
    change, interval = cell["relative_change_percent"], span(cell["low"], cell["high"])
    return f"{percent(change)} % {interval}, {name_of(cell['model'])} on {cell['title']}"


def _conclusions(found: Campaign) -> str:
    """Return the conclusions of the paper that stand or fall, by name, or that none does."""
    lines = []
    for design in DESIGNS:
        facts = evidence(found.cells, found.lambdas, design)
        told = [(c.claim, c.judge(facts).verdict) for c in CONCLUSIONS]
        decided = [(claim, verdict) for claim, verdict in told if verdict in (STANDS, FALLS)]
        names = "; ".join(f"“{claim}” {verdict}" for claim, verdict in decided) or "none"
        lines.append(
            f"- {DESIGN_NAMES[design].capitalize()}, {len(decided)} of the paper's {len(told)} "
            f"conclusions can be told: {names}."
        )
    return "\n".join(lines)


def beside(found: Campaign, extras: Sequence[str]) -> str:
    """Return what is robust on datasets that the paper does not have, on each backbone."""
    both = run_in_both(found)
    both = both[both["dataset"].isin(list(extras))] if len(both) else both
    if both.empty:
        return f"Beside the paper's datasets: {NOT_RUN}."
    robust = both[both[[f"robust_{side}" for side in NAMES]].eq(True).any(axis=1)]
    lines = [
        f"- {name_of(row['model'])} on {row['title']}: "
        + "; ".join(_side(row, side, name) for side, name in NAMES.items())
        for _, row in robust.iterrows()
    ]
    where = _list(list(dict.fromkeys(both["title"])))
    if not lines:
        return f"Beside the paper's datasets ({where}) no NDCG@10 change is robust."
    head = f"Beside the paper's datasets ({where}) these NDCG@10 changes are robust somewhere:"
    return "\n".join([head, "", *lines])


def _side(row: pd.Series, side: str, name: str) -> str:
    """Return one of a change's three comparisons, by the backbones compared."""
    change = row[f"change_{side}"]
    if pd.isna(change):
        return f"{NOT_RUN} ({name})"
    interval = span(row[f"low_{side}"], row[f"high_{side}"])
    robust = ", robust" if row[f"robust_{side}"] is True else ""
    return f"{percent(change)} % {interval} ({name}{robust})"


def missing(found: Campaign) -> str:
    """Return the paper's datasets and designs that are not whole."""
    whole = {d: _whole(found, d) for d in published.DATASETS}
    lines = [
        f"- {published.title(dataset)}: {' and '.join(DESIGN_NAMES[d] for d in lacking)}"
        for dataset, designs in whole.items()
        if (lacking := [d for d in DESIGNS if d not in designs])
    ]
    return "\n".join(lines) or "Nothing."


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
