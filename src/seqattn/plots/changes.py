"""Figures of a study: changes with intervals beside published ones, lambda, counts by rule.

Each function takes one frame per arm of a study and draws one panel per arm, all on one scale. An
arm without rows is left out; without any arm the figure reads "not run".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqattn.config import BACKBONES
from seqattn.plots.style import COLOURS, GREEN, GREY, VERMILION, name_of, or_not_run

_HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "markersize": 5}
_LOOK: dict[str, dict[str, Any]] = {
    "own_search": {"marker": "o", "linewidth": 0.9, **_HOLLOW},
    "variant_backbone": {"marker": "D", "linewidth": 1.4, "markersize": 4},
    "shared_backbone": {"marker": "o", "linewidth": 1.8, "markersize": 4.5},
}


@or_not_run
def absolute_levels(frames: Mapping[str, pd.DataFrame], *, xlabel: str) -> Figure:
    """Draw levels with their intervals; columns title, model, mean, low, high."""
    figure, panels = _panels(frames)
    for axes, frame in zip(panels, frames.values(), strict=True):
        _intervals(axes, frame, "mean", ("low", "high"))
        axes.set(xlabel=xlabel, xlim=(0, None))
    return figure


@or_not_run
def change_forest(
    frames: Mapping[str, pd.DataFrame],
    *,
    interval: tuple[str, str] = ("low", "high"),
    band: float | None = None,
    xlabel: str,
) -> Figure:
    """Draw relative changes with intervals, after [IA] Figure 1.

    Columns title, model, change (percent), those named in `interval`, and optionally
    published_change, drawn as a hollow diamond where there is one. `band` is the half-width, in
    percent, of a shaded band around zero.
    """
    figure, panels = _panels(frames)
    for axes, frame in zip(panels, frames.values(), strict=True):
        if band is not None:
            axes.axvspan(-band, band, color="#eeeeee", zorder=0)
        _intervals(axes, frame, "change", interval)
        if "published_change" in frame:
            y = row_heights(frame) + 0.25
            axes.plot(frame["published_change"], y, "D", color="black", **_HOLLOW)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(xlabel=xlabel)
    if any("published_change" in frame for frame in frames.values()):
        legend_above(figure, _sides("ours, 95 % interval"))
    return figure


@or_not_run
def design_shift(frame: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Draw each change in several arms, one above the other.

    Columns title, model, and change, low, high of each of `names`, as in ``change_matched``; NaN
    is not drawn.
    """
    figure, (axes,) = _panels({"": frame})
    figure.set_figheight(1.2 + 0.36 * row_heights(frame)[-1])  # three intervals a row
    for y, (_, row) in zip(row_heights(frame), frame.iterrows(), strict=True):
        colour = COLOURS[row["model"]]
        for offset, side in zip((-0.25, 0, 0.25), names, strict=True):
            ends = [row[f"low_{side}"], row[f"change_{side}"], row[f"high_{side}"]]
            axes.plot(ends, [y + offset] * 3, color=colour, markevery=[1], **_LOOK[side])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="NDCG@10 change vs SASRec (%)")
    keys = [Line2D([], [], color=GREY, label=name, **_LOOK[side]) for side, name in names.items()]
    legend_above(figure, keys)
    return figure


def lambda_calibration(frames: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw [IA] Figure 2: mean lambda against NDCG@10 change, a point a (dataset, variant).

    Columns model, mean, change; and lambda_mean, published_change, drawn hollow.
    """
    figure, panels = plt.subplots(
        1, max(len(frames), 1), figsize=(8.4, 3.9), sharey=True, sharex=True, squeeze=False
    )
    for axes, (design, frame) in zip(panels[0], frames.items(), strict=True):
        for model, part in frame.groupby("model", sort=False):
            look = {"color": COLOURS[model], "alpha": 0.5, **_HOLLOW}
            axes.plot(part["lambda_mean"], part["published_change"], "D", **look)
            axes.plot(part["mean"], part["change"], "o", color=COLOURS[model])
        if not frame["change"].notna().any():
            note = {"transform": axes.transAxes, "ha": "center", "color": GREY}
            axes.text(0.5, 0.06, "ours: not run", **note)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=BACKBONES[design], xlabel="λ, mean over layers and seeds")
    panels[0, 0].set_ylabel("NDCG@10 change vs SASRec (%)")
    models = (model for frame in frames.values() for model in frame["model"])
    legend_above(figure, [*_sides("ours", linestyle=""), *variant_keys(models)])
    return figure


@or_not_run
def robust_counts(frames: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how many cells each rule calls losses (left) and gains (right).

    Columns rule, losses, gains; a row a rule.
    """
    n_rules = max(len(frame) for frame in frames.values())
    figure, panels = plt.subplots(
        *(1, len(frames)), figsize=(8.4, 1.1 + 0.36 * n_rules), sharey=True, sharex=True,
        squeeze=False,
    )  # fmt: skip
    most = max(frame[["losses", "gains"]].to_numpy().max() for frame in frames.values())
    for axes, (design, frame) in zip(panels[0], frames.items(), strict=True):
        y = np.arange(len(frame))
        for column, sign, colour in (("losses", -1, VERMILION), ("gains", 1, GREEN)):
            bars = axes.barh(y, sign * frame[column], color=colour, height=0.6)
            axes.bar_label(bars, frame[column].astype(str), padding=4, fontsize=9)
        axes.set_yticks(y, frame["rule"])
        axes.set(title=BACKBONES[design], xlabel="cells: losses | gains", xticks=[])
        axes.set_xlim(-1.25 * max(most, 1), 1.25 * max(most, 1))
        axes.axvline(0, color="black", linewidth=0.8)
        axes.grid(False)
    panels[0, 0].invert_yaxis()
    return figure


def variant_keys(models: Iterable[str]) -> list[Line2D]:
    """Return the legend's entries for the colours of models, each once."""
    return [
        Line2D([], [], color=COLOURS[model], linewidth=4, label=name_of(model))
        for model in dict.fromkeys(models)
    ]


def _panels(frames: Mapping[str, pd.DataFrame]) -> tuple[Figure, np.ndarray]:
    """Return a panel a design, two in a line, with a row for each (dataset, model)."""
    n_rows = max(row_heights(frame)[-1] for frame in frames.values())
    columns = min(len(frames), 2)  # of three in a line nobody can read the names
    lines = -(-len(frames) // columns)
    size = (4.6 * max(columns, 1.4), lines * (1.2 + 0.26 * n_rows))
    figure, grid = plt.subplots(lines, columns, figsize=size, sharex=True, squeeze=False)
    panels = grid.ravel()
    for unused in panels[len(frames) :]:
        unused.remove()
    for axes, (design, frame) in zip(panels, frames.items(), strict=False):
        label_rows(axes, frame)
        axes.grid(axis="x")
        axes.set_title(BACKBONES.get(design, design))
        axes.tick_params(labelbottom=True)  # the panel below may be the unused one
    used = panels[: len(frames)]
    for left, right in zip(used[::2], used[1::2], strict=False):
        names_once(left, right)
    return figure, used


def names_once(left: Axes, right: Axes) -> None:
    """Leave out the names of a panel's rows if they are those of the panel at its left."""
    told, again = ([label.get_text() for label in a.get_yticklabels()] for a in (left, right))
    if told == again:
        right.set_yticklabels([])


def label_rows(axes: Axes, frame: pd.DataFrame) -> None:
    """Name each row (columns title, model) at its height, and its dataset in a line above."""
    ticks: dict[float, str] = {}
    last = None
    for height, row in zip(row_heights(frame), frame.itertuples(), strict=True):
        if row.title != last:
            ticks[height - 1] = row.title
        ticks[height], last = name_of(row.model), row.title
    axes.set_yticks([*ticks], [*ticks.values()], fontsize=9.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    for label in axes.get_yticklabels():
        if label.get_text() in set(frame["title"]):
            label.set_fontweight("bold")
    axes.set_ylim(max(ticks) + 0.7, -0.7)


def row_heights(frame: pd.DataFrame) -> np.ndarray:
    """Return the height of each row; above the first of a dataset is a line for its title."""
    new = frame["title"].ne(frame["title"].shift()).to_numpy()
    return np.arange(len(frame)) + 1.2 * np.cumsum(new) - 0.2


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put a legend above all panels, where it covers neither data nor titles."""
    figure.legend(handles=handles, loc="outside upper left", ncols=min(5, len(handles)), fontsize=9)


def _intervals(axes: Axes, frame: pd.DataFrame, value: str, interval: tuple[str, str]) -> None:
    for y, (_, row) in zip(row_heights(frame), frame.iterrows(), strict=True):
        colour = COLOURS.get(row["model"], GREY)
        axes.hlines(y, row[interval[0]], row[interval[1]], color=colour, linewidth=1.8)
        axes.plot(row[value], y, "o", color=colour, markersize=4.5)


def _sides(ours: str, **look: Any) -> list[Line2D]:
    """Return the legend's entries for our points and the published ones."""
    return [
        Line2D([], [], marker="o", color=GREY, markersize=4.5, label=ours, **look),
        Line2D([], [], marker="D", color="black", linestyle="", label="published", **_HOLLOW),
    ]
