"""Figures of the dual criterion's calibration: what it finds, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from seqattn.plots.datasets import not_run
from seqattn.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from seqattn.stats.variance import Components, expected_levels

# Published wide and clustered thin, so that both show where they coincide.
_RULES = {
    "robust": (ORANGE, 5, "-", "published rule"),
    "robust_clustered": (BLUE, 1.6, "-", "clustered rule"),
}
_PARTS = {"t": (":", "t-test alone"), "stability": ("--", "stability alone")}
_NAMES = {
    "t": "t-test",
    "pooled": "pooled bootstrap",
    "clustered": "clustered bootstrap",
    "stability": "stability",
    "robust": "published rule",
    "robust_clustered": "clustered rule",
}
_CELLS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, "black")


def power_curves(rates: Mapping[str, pd.DataFrame], alpha: float = 0.05) -> Figure:
    """Draw how often a true effect is found, a panel a cell, bands for exact 95 % limits.

    Parameters
    ----------
    rates
        Title of a cell to the columns of `seqattn.stats.calibration.Rate`; the world
        ``estimated`` and effects from 0 on are drawn. Empty: a figure that says "not run".
    alpha
        The nominal level, marked by a line.
    """
    if not rates:
        return not_run()
    n_columns = min(3, len(rates))
    n_rows = -(-len(rates) // n_columns)
    figure, panels = plt.subplots(
        n_rows, n_columns, figsize=(2.9 * n_columns + 0.6, 3 * n_rows + 0.6),
        sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for axes, (title, frame) in zip(panels.flat, rates.items(), strict=False):
        _power_panel(axes, frame[(frame["world"] == "estimated") & (frame["effect_percent"] >= 0)])
        axes.axhline(
            alpha, color="black", linewidth=0.9, linestyle="-.", label=f"nominal {alpha:.0%}"
        )
        axes.set_title(title, fontsize=10)
    for axes in panels.flat[len(rates) :]:
        axes.set_visible(False)
    panels[0, 0].set_ylim(-0.02, 1.02)
    panels[0, 0].yaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=9)
    figure.supxlabel("true effect (% of the baseline)", fontsize=10)
    figure.supylabel("studies that find it", fontsize=10)
    return figure


def _power_panel(axes: Axes, frame: pd.DataFrame) -> None:
    for criterion, (line, label) in _PARTS.items():
        curve = frame[frame["criterion"] == criterion].sort_values("effect_percent")
        axes.plot(
            curve["effect_percent"], curve["rate"], line, color=GREY, linewidth=1.2, label=label
        )
    for criterion, (colour, width, line, label) in _RULES.items():
        curve = frame[frame["criterion"] == criterion].sort_values("effect_percent")
        axes.fill_between(
            curve["effect_percent"],
            curve["low"],
            curve["high"],
            color=colour,
            alpha=0.2,
            linewidth=0,
        )
        axes.plot(
            curve["effect_percent"], curve["rate"], line, color=colour, linewidth=width, label=label
        )


def false_positives(
    rates: Mapping[str, pd.DataFrame],
    rhos: Mapping[str, float],
    pooling: Sequence[Mapping[str, float]] = (),
    *,
    n_seeds: int = 5,
    alpha: float = 0.05,
) -> Figure:
    """Draw false-positive rates: the pooled bootstrap's by correlation, each criterion's by cell.

    Parameters
    ----------
    rates
        As for `power_curves`; effect 0 of the world ``estimated`` is drawn, with exact 95 %
        limits, and a tick where normal theory expects it.
    rhos
        Title of a cell to the correlation of a user's differences between two seeds.
    pooling
        Rows of `seqattn.stats.variance.pooling_levels`, drawn as squares beside the curve.
    n_seeds
        S of the curve ``2 Phi(-q / sqrt(1 + (S - 1) rho))``.
    alpha
        The nominal level, marked by a line.
    """
    if not rates:
        return not_run()
    size = (8.6, 3.4 + 0.16 * len(rates))
    figure, (dial, levels) = plt.subplots(1, 2, figsize=size, width_ratios=(1, 1.15))
    _dial(dial, pooling, n_seeds, alpha)
    offsets = np.linspace(-0.3, 0.3, len(rates)) if len(rates) > 1 else [0.0]
    for number, (title, frame) in enumerate(rates.items()):
        colour = _CELLS[number % len(_CELLS)]
        null = frame[(frame["world"] == "estimated") & (frame["effect_percent"] == 0)]
        null = null.set_index("criterion")
        dial.plot(rhos[title], null.loc["pooled", "rate"], "o", color=colour, markersize=5)
        for row, criterion in enumerate(_NAMES):
            found, y = null.loc[criterion], row + offsets[number]
            levels.plot([found["low"], found["high"]], [y, y], color=colour, linewidth=1.2)
            levels.plot(found["rate"], y, "o", color=colour, markersize=4)
            levels.plot(found["expected"], y, "|", color="black", markersize=8)
        levels.plot([], [], "o", color=colour, label=title)
    levels.axvline(alpha, color="black", linewidth=0.9, linestyle="-.")
    levels.plot([], [], "|", color="black", label="expected by theory")
    levels.set_yticks(range(len(_NAMES)), list(_NAMES.values()))
    levels.set(ylim=(len(_NAMES) - 0.5, -0.5), xlabel="false positives, each criterion by itself")
    levels.set_xlim(left=-0.005)
    levels.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    levels.grid(axis="x")
    levels.legend(loc="lower right", fontsize=8)
    return figure


def _dial(axes: Axes, pooling: Sequence[Mapping[str, float]], n_seeds: int, alpha: float) -> None:
    """Draw the pooled bootstrap's expected and simulated level against rho."""
    grid = np.linspace(0, 1, 101)
    curve = [
        expected_levels(Components(0, 0, np.sqrt(r), np.sqrt(1 - r), r), n_seeds, 2, alpha)[
            "pooled"
        ]
        for r in grid
    ]
    axes.plot(grid, curve, color="black", label="users alone, theory")
    for row in pooling:
        axes.plot([row["rho"]] * 2, [row["low"], row["high"]], color=GREY, linewidth=1.2)
    axes.plot(
        [row["rho"] for row in pooling], [row["rate"] for row in pooling], "s", color=GREY,
        markersize=4, label="users alone, simulated",
    )  # fmt: skip
    axes.plot([], [], "o", color=GREY, label="a real cell, seeds included")
    axes.axhline(alpha, color="black", linewidth=0.9, linestyle="-.")
    axes.set(
        xlabel="correlation between a user's seeds, ρ", ylabel="pooled bootstrap, false positives"
    )
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(loc="lower right", fontsize=8)
