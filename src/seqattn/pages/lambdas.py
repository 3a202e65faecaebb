"""The page "Lambda": [IA] Table 4 and Figure 2 as ours and published."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.analysis.lambdas import Spearman, spearman
from seqattn.config import DESIGNS
from seqattn.pages.writing import DESIGN_NAMES, NOT_RUN, markdown
from seqattn.plots import name_of
from seqattn.plots.changes import lambda_calibration
from seqattn.studies.ia import published
from seqattn.studies.ia.conclusions import evidence
from seqattn.studies.tables import Campaign


def texts(found: Campaign, extras: Sequence[str]) -> dict[str, str]:
    """Return the page's generated Markdown, by name."""
    points = _points(found)
    return {
        "lambda_table4": table4(points),
        "lambda_correlation": correlation_table(points),
        "lambda_extras": extras_table(found.lambdas, extras),
    }


def figures(found: Campaign) -> dict[str, Figure]:
    """Return the page's figure, by name."""
    points = {design: frame[frame["whole"].eq(True)] for design, frame in _points(found).items()}
    return {"lambda_change": lambda_calibration(points)}


def table4(points: dict[str, pd.DataFrame]) -> str:
    """Return Markdown: lambda, mean and standard deviation over layers and seeds."""
    rows = []
    for cells in zip(*(frame.itertuples() for frame in points.values()), strict=True):
        first = cells[0]
        row = {
            "dataset": published.title(first.dataset, part=any(c.part is True for c in cells)),
            "variant": name_of(first.model),
        }
        for design, cell in zip(points, cells, strict=True):
            ours = _pair(cell.mean, cell.std)
            row[f"{DESIGN_NAMES[design]}, ours"] = ours
            row[f"seeds, {DESIGN_NAMES[design]}"] = "" if ours == NOT_RUN else f"{cell.n_seeds:.0f}"
        row["published"] = _pair(first.lambda_mean, first.lambda_std)
        rows.append(row)
    return markdown(rows)


def correlation_table(points: dict[str, pd.DataFrame]) -> str:
    """Return Markdown: Spearman's correlation of lambda with change, ours and published.

    Of whole cells: a part of a dataset, a short search and missing seeds do not count.
    """
    rows = []
    for design, frame in points.items():
        run = frame[frame["whole"].eq(True)]
        ours = spearman(run["mean"], run["change"])
        same = spearman(run["lambda_mean"], run["published_change"])
        rows.append(_row(f"ours, {DESIGN_NAMES[design]}", ours))
        rows.append(_row(f"published, the cells run {DESIGN_NAMES[design]}", same))
    everything = next(iter(points.values()))
    whole = spearman(everything["lambda_mean"], everything["published_change"])
    return markdown([*rows, _row("published, all cells", whole)])


def extras_table(lambdas: pd.DataFrame, extras: Sequence[str]) -> str:
    """Return Markdown: lambda on datasets that the paper does not have."""
    rows = []
    for dataset in extras:
        mine = lambdas if lambdas.empty else lambdas[lambdas["dataset"] == dataset]
        if mine.empty:
            rows.append({"dataset": published.title(dataset), "design": NOT_RUN})
        for cell in mine.itertuples():
            rows.append(
                {
                    "dataset": published.title(dataset),
                    "design": DESIGN_NAMES[cell.design],
                    "variant": name_of(cell.model),
                    "λ": _pair(cell.lambda_mean, cell.lambda_std),
                    "seeds": f"{cell.n_seeds:.0f}",
                }
            )
    return markdown(rows)


def _points(found: Campaign) -> dict[str, pd.DataFrame]:
    return {d: evidence(found.cells, found.lambdas, d).lambdas for d in DESIGNS}


def _pair(mean: float, std: float) -> str:
    if np.isnan(mean):
        return NOT_RUN
    return f"{mean:.2f}" + ("" if np.isnan(std) else f" ± {std:.2f}")


def _row(name: str, found: Spearman) -> dict[str, str]:
    return {
        "points": name,
        "n": str(found.n),
        "Spearman": "–" if np.isnan(found.low) else f"{found.rho:+.2f}",
        "95 % interval": (
            "too few points" if np.isnan(found.low) else f"[{found.low:+.2f}, {found.high:+.2f}]"
        ),
    }
