"""Figures of many comparisons at once: forests with a pool, two targets, how far lambda went.

Frames have one row per comparison, with the columns title (a dataset's), model and arm. Colour says
the variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqattn.config import BACKBONES
from seqattn.plots.changes import (
    label_rows,
    legend_above,
    names_once,
    row_heights,
    variant_keys,
)
from seqattn.plots.style import BLUE, COLOURS, GREY, VERMILION, or_not_run
from seqattn.stats.pools import Pool


@or_not_run
def pooled_forest(rows: pd.DataFrame, pools: Mapping[str, Pool], *, xlabel: str) -> Figure:
    """Draw changes with their intervals and, below them, a diamond for each arm's pool.

    Columns, beside the usual, change, low, high and counted: rows that are not are hollow and thin.
    The diamond is as wide as the pool's interval, which stands beside it in numbers.
    """
    of_arm = {arm: rows[rows["arm"] == arm] for arm in pools}
    longest = max(row_heights(frame)[-1] for frame in of_arm.values())
    figure, panels = _panels(len(pools), 1.8 + 0.24 * longest)
    for axes, (arm, pool) in zip(panels, pools.items(), strict=True):
        frame = of_arm[arm]
        label_rows(axes, frame)
        heights = row_heights(frame)
        for y, row in zip(heights, frame.itertuples(), strict=True):
            colour = COLOURS[row.model]
            face, width = (colour, 1.8) if row.counted else ("white", 0.8)
            axes.hlines(y, row.low, row.high, color=colour, linewidth=width)
            axes.plot(row.change, y, "o", color=colour, markerfacecolor=face, markersize=4)
        _diamond(axes, pool, heights[-1] + 1.6)
        axes.set(title=BACKBONES.get(arm, arm), xlabel=xlabel)
        axes.set_ylim(heights[-1] + 2.3, -0.7)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.grid(axis="x")
    for axes in panels[1:]:
        names_once(panels[0], axes)
    legend_above(figure, [*variant_keys(rows["model"]), _hollow()])
    return figure


def _row_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def _hollow() -> Line2D:
    look: dict[str, Any] = {
        "marker": "o",
        "color": GREY,
        "markerfacecolor": "white",
        "linestyle": "",
    }
    return Line2D([], [], label="not counted", **look)


def _diamond(axes: Axes, pool: Pool, y: float) -> None:
    (low, high), middle = pool.ci, pool.estimate
    axes.fill([low, middle, high, middle], [y, y - 0.4, y, y + 0.4], color="black")
    told = f"{middle:+z.1f} [{low:+z.1f}, {high:+z.1f}]"
    axes.annotate(told, (high, y), (8, 0), textcoords="offset points", va="center", fontsize=8)
    ticks = [*axes.get_yticks(), y]
    axes.set_yticks(ticks, [*_row_labels(axes), "pooled"])


@or_not_run
def retest(both: pd.DataFrame, rhos: Mapping[str, float]) -> Figure:
    """Draw each comparison's change on the test target against that on the validation target.

    Columns, beside the usual, test and valid, in percent, and counted: a comparison that is not
    is hollow. One panel per arm, with its rank correlation in the title. Both scales are linear
    within 2 % and logarithmic beyond.
    """
    figure, panels = _panels(len(rhos), 3.2, sharey=True)
    for axes, (arm, rho) in zip(panels, rhos.items(), strict=True):
        for row in both[both["arm"] == arm].itertuples():
            face = COLOURS[row.model] if row.counted else "white"
            axes.plot(row.valid, row.test, "o", color=COLOURS[row.model], markerfacecolor=face)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(
            title=f"{BACKBONES[arm]}\nρ = {rho:+z.2f}",
            xlabel="change on validation (%)\nscales: log beyond ±2",
        )
        axes.set_xscale("symlog", linthresh=2)
        axes.set_yscale("symlog", linthresh=2)
    panels[0].set_ylabel("change on test (%)")
    ticks = {-10: "-10", -2: "-2", 0: "0", 2: "+2", 10: "+10", 30: "+30"}
    for axes in panels:
        axes.set_xticks([-10, -2, 0, 2], [ticks[tick] for tick in (-10, -2, 0, 2)])
        axes.set_yticks([*ticks], [*ticks.values()])
        axes.minorticks_off()
    legend_above(figure, [*variant_keys(both["model"]), _hollow()])
    return figure


@or_not_run
def travelled(found: pd.DataFrame) -> Figure:
    """Draw how far lambda went against how far it could go; columns model, moved, possible.

    Hollow: a cell that is not counted (column counted). On the line lambda used all of it.
    """
    figure, axes = plt.subplots()
    for row in found.itertuples():
        face = COLOURS[row.model] if row.counted else "white"
        axes.plot(row.possible, row.moved, "o", color=COLOURS[row.model], markerfacecolor=face)
    ends = np.array([found["possible"].min(), found["possible"].max()])
    axes.plot(ends, ends, color=GREY, linewidth=1)
    axes.set(xscale="log", yscale="log")
    axes.set(xlabel="possible travel: steps × learning rate", ylabel="travel of λ: |1 − λ|")
    legend_above(figure, [*variant_keys(found["model"]), _hollow()])
    return figure


def claims(counts: pd.DataFrame) -> Figure:
    """Draw how many claims of each part agree, do not, or were not run; one row per part."""
    figure, axes = plt.subplots(figsize=(7, 1.1 + 0.34 * len(counts)))
    counts = counts.rename(columns={"yes": "we agree", "no": "we do not"})
    look = {"width": 0.62, "color": (BLUE, VERMILION, "#cccccc"), "legend": False}
    counts.plot.barh(ax=axes, stacked=True, **look)
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set(xlabel="claims", ylabel="")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure


def _panels(n: int, height: float, *, sharey: bool = False) -> tuple[Figure, np.ndarray]:
    figure, panels = plt.subplots(
        1, n, figsize=(9.2, height), squeeze=False, sharex=True, sharey=sharey
    )
    return figure, panels[0]
