"""Figures of the dual criterion's calibration: what it finds, and how often it is wrong.

Frames have one row per comparison, or more, with the columns title (a dataset's), model and arm.
Colour says the variant, a hollow marker that each model has its own search; datasets are rows or
markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator, PercentFormatter

from seqattn.config import BACKBONES
from seqattn.plots.changes import label_rows, legend_above, row_heights, variant_keys
from seqattn.plots.style import COLOURS, GREY, name_of, or_not_run
from seqattn.stats.criterion import PARTS, RULES
from seqattn.stats.variance import Components, expected_levels

# Published wide and pale and clustered thin, so that both show where they coincide.
_CURVES: dict[str, dict[str, Any]] = {
    "t": {"color": GREY, "linestyle": ":", "linewidth": 1.3},
    "stability": {"color": GREY, "linestyle": "--", "linewidth": 1.1},
    "robust": {"linewidth": 5, "alpha": 0.35, "solid_capstyle": "butt"},
    "robust_clustered": {"linewidth": 1.5},
}
_PANELS = PARTS | RULES
_SIDES = {"own_search": -0.17, "shared_backbone": 0.17}
_MARKERS = "osD^vP*Xph"
_FLAT = 0.95  # a curve above it has little more to show


@or_not_run
def correlations(cells: pd.DataFrame) -> Figure:
    """Draw each cell's rho with its interval, and how wide clustering makes the interval.

    Columns, beside the usual, those of `seqattn.stats.variance.UserCorrelation`.
    """
    figure, (left, right) = _forest(cells, 2, widths=(1.4, 1))
    for y, cell, look in _places(cells):
        left.plot([cell.low, cell.high], [y, y], color=COLOURS[cell.model], linewidth=1.4)
        left.plot(cell.rho, y, **look)
        right.plot(cell.width_ratio, y, **look)
    for axes, nothing in ((left, 0), (right, 1)):
        axes.axvline(nothing, color="black", linewidth=0.8)
    left.set(xlabel="correlation between a user's seeds, ρ")
    right.set(xlabel="width of the clustered interval, pooled = 1")
    legend_above(figure, _designs(cells))
    return figure


@or_not_run
def power_curves(rates: pd.DataFrame, alpha: float = 0.05) -> Figure:
    """Draw how often a true effect is found: a row a dataset, a column a variant.

    `rates` are of one design, with the usual columns and those of
    `seqattn.stats.calibration.RATES`. The world ``estimated`` and effects from 0 on are drawn, with
    bands for exact 95 % limits, and a line for the nominal level `alpha`.
    """
    shown = rates[(rates["world"] == "estimated") & (rates["effect_percent"] >= 0)]
    titles, models = list(dict.fromkeys(rates["title"])), list(dict.fromkeys(rates["model"]))
    figure, panels = plt.subplots(
        len(titles), len(models), figsize=(2.7 * len(models) + 0.7, 2.1 * len(titles) + 0.9),
        sharex="row", sharey=True, squeeze=False,
    )  # fmt: skip
    for row, title in zip(panels, titles, strict=True):
        mine = shown[shown["title"] == title]
        for axes, model in zip(row, models, strict=True):
            part = mine[mine["model"] == model]
            axes.set_visible(len(part) > 0)
            _power_panel(axes, part, COLOURS[model])
            axes.axhline(alpha, color="black", linewidth=0.9, linestyle="-.")
            axes.set_title(f"{title}, {name_of(model)}", fontsize=9.5)
        row[0].set_xlim(0, _interesting(mine))
    panels[0, 0].set_ylim(-0.02, 1.02)
    panels[0, 0].yaxis.set_major_formatter(PercentFormatter(1))
    keys = [
        Line2D([], [], label=_PANELS[name], **{"color": "black"} | look)
        for name, look in _CURVES.items()
    ]
    legend_above(figure, [*keys, _nominal(alpha)])
    figure.supxlabel("true effect (% of the baseline; each row has its own scale)", fontsize=10)
    figure.supylabel("studies that find it", fontsize=10)
    return figure


def _power_panel(axes: Axes, frame: pd.DataFrame, colour: str) -> None:
    for criterion, look in _CURVES.items():
        curve = frame[frame["criterion"] == criterion].sort_values("effect_percent")
        x = curve["effect_percent"]
        if criterion == "robust_clustered":
            axes.fill_between(x, curve["low"], curve["high"], color=colour, alpha=0.2, linewidth=0)
        axes.plot(x, curve["rate"], **{"color": colour} | look)


def _interesting(rates: pd.DataFrame) -> float:
    """Return the smallest effect at which every curve has risen, or the largest simulated."""
    drawn = rates[rates["criterion"].isin(list(_CURVES))]
    least = drawn.groupby("effect_percent")["rate"].min()
    risen = least.index[least >= _FLAT]
    return float(risen.min() if len(risen) else least.index.max())


@or_not_run
def false_positives(rates: pd.DataFrame, alpha: float = 0.05) -> Figure:
    """Draw each criterion's false-positive rate, a row a cell and a column a criterion.

    Effect 0 of the world ``estimated`` is drawn, with exact 95 % limits and a tick where normal
    theory expects it; columns as for `power_curves`, of both designs.
    """
    null = rates[(rates["world"] == "estimated") & (rates["effect_percent"] == 0)]
    figure, panels = _forest(null, len(_PANELS), sharex=True)
    for axes, (criterion, name) in zip(panels, _PANELS.items(), strict=True):
        for y, cell, look in _places(null[null["criterion"] == criterion]):
            axes.plot([cell.low, cell.high], [y, y], color=COLOURS[cell.model], linewidth=1.2)
            axes.plot(cell.rate, y, **look)
            axes.plot(cell.expected, y, "|", color="black", markersize=8, zorder=3)
        axes.axvline(alpha, color="black", linewidth=0.9, linestyle="-.")
        axes.set_title(name.replace(" ", "\n"), fontsize=9.5)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MultipleLocator(0.2))
        axes.tick_params(axis="x", labelsize=8)
    panels[0].set_xlim(left=-0.01)
    theory = Line2D([], [], marker="|", linestyle="", color="black", label="expected by theory")
    legend_above(figure, [*_designs(null), theory, _nominal(alpha)])
    figure.supxlabel("false positives, each criterion by itself", fontsize=10)
    return figure


@or_not_run
def pooling_dial(
    cells: pd.DataFrame,
    pooling: Sequence[Mapping[str, float]] = (),
    *,
    n_seeds: int = 5,
    alpha: float = 0.05,
) -> Figure:
    """Draw the pooled bootstrap's false positives against rho.

    `cells` have the usual columns, rho and pooled_rate; `pooling`, rows of
    `seqattn.stats.variance.pooling_levels`, is drawn as crosses beside the curve
    ``2 Phi(-q / sqrt(1 + (S - 1) rho))``, and the nominal level `alpha` as a line.
    """
    figure, axes = plt.subplots(figsize=(7.6, 4.2))
    grid = np.linspace(-1 / (n_seeds - 1), 1, 126)
    parts = [Components(0, 0, rho, np.sqrt(1 - rho)) for rho in grid]
    curve = [expected_levels(part, n_seeds, 2)["pooled"] for part in parts]
    (theory,) = axes.plot(grid, curve, color="black", label="users alone, theory")
    for row in pooling:
        axes.plot([row["rho"]] * 2, [row["low"], row["high"]], color=GREY, linewidth=1.2)
    rhos, found = [row["rho"] for row in pooling], [row["rate"] for row in pooling]
    label = "users alone, simulated"
    (simulated,) = axes.plot(rhos, found, "x", color=GREY, markersize=5, label=label)
    markers = dict(zip(dict.fromkeys(cells["title"]), 3 * _MARKERS, strict=False))
    for cell in cells.itertuples():
        look = _look(cell.model, cell.arm) | {"marker": markers[cell.title], "markersize": 6}
        axes.plot(cell.rho, cell.pooled_rate, **look)
    axes.axhline(alpha, color="black", linewidth=0.9, linestyle="-.")
    axes.set(xlabel="correlation between a user's seeds, ρ", ylim=(0, None))
    axes.set_ylabel("pooled bootstrap, false positives")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    datasets = [
        Line2D([], [], marker=marker, linestyle="", color=GREY, label=title)
        for title, marker in markers.items()
    ]
    variants = variant_keys(cells["model"])
    keys = [theory, simulated, _nominal(alpha), *variants, *datasets, *_designs(cells)]
    figure.legend(handles=keys, loc="outside right upper", fontsize=8.5)
    return figure


def _forest(
    cells: pd.DataFrame, n: int, *, widths: Sequence[float] | None = None, sharex: bool = False
) -> tuple[Figure, np.ndarray]:
    """Return n panels side by side whose rows are datasets' variants."""
    rows = cells[["title", "model"]].drop_duplicates()
    figure, panels = plt.subplots(
        *(1, n),
        figsize=(8.6, 1.3 + 0.28 * row_heights(rows)[-1]),
        sharey=True,
        sharex=sharex,
        width_ratios=widths,
    )
    label_rows(panels[0], rows)
    for axes in panels:
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
    return figure, panels


def _places(cells: pd.DataFrame) -> list[tuple[float, Any, dict[str, Any]]]:
    """Return each cell's height, row and marker; both designs stand in one row."""
    rows = cells[["title", "model"]].drop_duplicates()
    heights = dict(zip(rows.itertuples(index=False, name=None), row_heights(rows), strict=True))
    places = []
    for cell in cells.itertuples():
        look = _look(cell.model, cell.arm) | {"markersize": 4.5}
        places.append((heights[cell.title, cell.model] + _SIDES[cell.arm], cell, look))
    return places


def _look(model: str, arm: str) -> dict[str, Any]:
    colour = COLOURS.get(model, GREY)
    face = "white" if arm == "own_search" else colour
    return {"marker": "o", "linestyle": "", "color": colour, "markerfacecolor": face, "zorder": 4}


def _designs(cells: pd.DataFrame) -> list[Line2D]:
    return [
        Line2D([], [], label=BACKBONES[design], **_look("", design))
        for design in BACKBONES
        if (cells["arm"] == design).any()
    ]


def _nominal(alpha: float) -> Line2D:
    look: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": "-."}
    return Line2D([], [], label=f"nominal {alpha:.0%}", **look)
