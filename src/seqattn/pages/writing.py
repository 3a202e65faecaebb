"""What the generated parts share: Markdown tables, figures, numbers as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.files import ROOT
from seqattn.studies.ia import published

GENERATED = ROOT / "book" / "results" / "generated"
NOT_RUN = "not run"
DESIGN_NAMES = {"own_search": "as published", "shared_backbone": "matched"}


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a Markdown table; columns in order of appearance; empty text without rows."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(row.get(c, "") for c in columns) + " |" for row in rows]
    return "\n".join(lines)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG and close it."""
    # No date in the file, so that a re-run gives the same bytes.
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def percent(value: float, stars: str = "", *, bold: bool = False) -> str:
    """Return a signed percentage, stars of significance, bold if robust; "not run" for NaN."""
    if np.isnan(value):
        return NOT_RUN
    text = f"{value:+.1f}" + stars.replace("*", r"\*")
    return f"**{text}**" if bold else text


def span(low: float, high: float, digits: int = 1, sign: str = "+") -> str:
    """Return an interval; empty for NaN."""
    return "" if np.isnan(low) else f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def truth(value: object) -> str:
    """Return yes, no, or a dash where there is nothing to tell."""
    return "–" if value is None or value != value else "yes" if value else "no"


def with_titles(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame in the paper's order of datasets, others last, with a column title."""
    rank = {name: place for place, name in enumerate(published.DATASETS)}
    frame = frame.sort_values(
        "dataset", key=lambda names: names.map(lambda n: rank.get(n, len(rank))), kind="stable"
    )
    pairs = zip(frame["dataset"], frame["part"], strict=True)
    return frame.assign(title=[published.title(name, part=bool(part)) for name, part in pairs])
