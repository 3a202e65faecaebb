"""Figures of attention: masks, maps, weights, and curves over many users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import PowerNorm
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from seqattn.plots.changes import legend_above
from seqattn.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    OTHERS,
    SKY,
    VERMILION,
    by_panel,
    name_of,
    or_not_run,
    panels_of,
)


def attention_rows(rows: Mapping[str, Mapping[str, np.ndarray]], intensity: np.ndarray) -> Figure:
    """Draw the last query's weights: a panel per model, a line per lambda, intensities below."""
    figure, panels = plt.subplots(len(rows) + 1, 1, figsize=(7, 1.7 * (len(rows) + 1)), sharex=True)
    position = np.arange(1, len(intensity) + 1)
    shades = ("#bbbbbb", SKY, BLUE, VERMILION)
    for axes, (model, curves) in zip(panels[:-1], rows.items(), strict=True):
        for colour, (label, weights) in zip(shades[: len(curves)], curves.items(), strict=True):
            axes.plot(position, weights, marker="o", markersize=3, label=label, color=colour)
        axes.set(title=name_of(model), ylabel="weight")
    panels[0].legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1))
    panels[-1].bar(position, intensity, color="#999999")
    panels[-1].set(title="raw intensity", xlabel="key position")
    return figure


@or_not_run
def by_distance(frame: pd.DataFrame, ylabel: str) -> Figure:
    """Draw what was learned for each distance: a row a layer, a column a term, a line a head.

    Columns layer, head, term, seed, distance, weight. The first seed's heads have a colour each;
    the other seeds' are thin grey lines, since heads of different seeds do not correspond. A term
    has one scale in all layers.
    """
    terms, layers = list(frame["term"].unique()), sorted(frame["layer"].unique())
    size = (3.2 * len(terms), 2.6 * len(layers))
    figure, panels = plt.subplots(
        len(layers), len(terms), figsize=size, sharex=True, sharey="col", squeeze=False
    )
    first = frame["seed"].min()
    for (layer, term), rows in frame.groupby(["layer", "term"]):
        axes = panels[layers.index(layer), terms.index(term)]
        for (seed, head), line in rows.groupby(["seed", "head"]):
            drawn: dict[str, Any] = {"color": GREY, "linewidth": 0.5, "zorder": 1}
            if seed == first:
                drawn = {"color": f"C{head - 1}", "linewidth": 1.3, "label": f"head {head}"}
            axes.plot(line["distance"], line["weight"], **drawn)
        axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
        axes.set(title=f"layer {layer}: {term}", ylabel=ylabel)
    for axes in panels[-1]:
        axes.set(xlabel="distance")
    panels[0, 0].legend()
    return figure


@or_not_run
def by_length(frame: pd.DataFrame, ylabel: str, trained: int) -> Figure:
    """Draw a level by how many interactions are read: a panel a dataset, a line an arm.

    Columns dataset, title, arm, read, level: one value each, drawn on a scale of doublings.
    `trained` is how many a query saw in training, a dotted line.
    """
    arms = list(frame["arm"].unique())
    figure, panels = by_panel(frame, "dataset", 2.9, 3.2)
    for _, axes, part in panels:
        for arm, line in part.groupby("arm", sort=False):
            colour = OTHERS[arms.index(arm) % len(OTHERS)]
            axes.plot(line["read"], line["level"], marker="o", markersize=3, color=colour)
        axes.axvline(trained, color=GREY, linewidth=0.8, linestyle=":")
        lengths = sorted(part["read"].unique())
        axes.set_xscale("log", base=2)
        axes.set_xticks(lengths, [str(length) for length in lengths], minor=False)
        axes.set(title=part["title"].iloc[0], xlabel="interactions read")
    figure.axes[0].set_ylabel(ylabel)
    looks = [OTHERS[n % len(OTHERS)] for n in range(len(arms))]
    legend_above(
        figure, [Line2D([], [], color=c, label=arm) for c, arm in zip(looks, arms, strict=True)]
    )
    return figure


def masks(visible: Mapping[str, np.ndarray]) -> Figure:
    """Draw which keys each query may see; True is dark."""
    figure, panels = panels_of(len(visible))
    for axes, (name, mask) in zip(panels[0], visible.items(), strict=True):
        axes.imshow(mask, cmap="Blues", vmin=0, vmax=1.3)
        axes.set(title=name, xlabel="key", ylabel="query")
    return figure


def maps_grid(rows: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw attention maps: a row a kind (original, rank 5), a column a model.

    Only the outer panels say what the axes are: keys from left to right, queries downwards.
    """
    figure, panels = panels_of(max(len(row) for row in rows.values()), 2.6, len(rows))
    for axes_row, (kind, row) in zip(panels, rows.items(), strict=True):
        for axes, (model, matrix) in zip(axes_row, row.items(), strict=True):
            # The square root keeps small weights visible beside large ones.
            axes.imshow(np.sqrt(np.clip(matrix, 0, None)), cmap="magma_r", vmin=0, vmax=1)
            axes.set(title=name_of(model))
        axes_row[0].set_ylabel(f"{kind}\nquery")
    for axes in panels[-1]:
        axes.set_xlabel("key")
    return figure


def curves(
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    xlabel: str,
    ylabel: str,
    log_x: bool = False,
    uniform: pd.DataFrame | None = None,
    noise: float | None = None,
) -> Figure:
    """Draw mean curves with their interquartile band, a line a model; columns model, `x`, `y`.

    `uniform` has the same columns, for maps that have learned nothing: dashed means. `noise` is
    the level of noise alone: a dotted line.
    """
    figure, axes = plt.subplots()
    for model, part in frame.groupby("model", sort=False):
        spread = part.groupby(x)[y].quantile([0.25, 0.75]).unstack()
        mean = part.groupby(x)[y].mean()
        colour = COLOURS.get(model)
        axes.fill_between(mean.index, spread[0.25], spread[0.75], color=colour, alpha=0.15)
        axes.plot(mean.index, mean, marker="o", markersize=3, color=colour, label=name_of(model))
        if uniform is not None:
            untrained = uniform[uniform["model"] == model].groupby(x)[y].mean()
            axes.plot(untrained.index, untrained, color=colour, linewidth=1, linestyle="--")
    if uniform is not None:
        axes.plot([], [], color=GREY, linewidth=1, linestyle="--", label="uniform, same mask")
    if noise is not None:
        axes.axhline(noise, color=GREY, linewidth=1, linestyle=":", label="noise alone")
    if log_x:
        axes.set_xscale("log")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()
    return figure


def boxes(
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    xlabel: str,
    ylabel: str,
    uniform: pd.DataFrame | None = None,
) -> Figure:
    """Draw distributions over users, a group an `x` value, a box a model.

    Boxes are hollow, so that the median shows in the darkest colour too. `uniform` has a value a
    model and `x` for maps that have learned nothing: diamonds.
    """
    figure, axes = plt.subplots()
    options = {
        "x": x,
        "y": y,
        "hue": "label",
        "palette": {name_of(m): c for m, c in COLOURS.items() if m in set(frame["model"])},
        "hue_order": [name_of(m) for m in dict.fromkeys(frame["model"])],
        "ax": axes,
    }
    shown = frame.assign(label=frame["model"].map(name_of))
    sns.boxplot(shown, fill=False, fliersize=1.5, linewidth=1, gap=0.15, **options)
    handles, labels = axes.get_legend_handles_labels()
    if uniform is not None:
        shown = uniform.assign(label=uniform["model"].map(name_of))
        sns.stripplot(shown, dodge=True, jitter=False, marker="D", size=4, **options)
        handles.append(Line2D([], [], color=GREY, marker="D", markersize=4, linestyle=""))
        labels.append("uniform, same mask")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(handles, labels, title=None)
    return figure


@or_not_run
def locality(points: pd.DataFrame, ylabel: str) -> Figure:
    """Draw a level against how much of its attention a model gives to its neighbourhood.

    Columns model, near, level, low and high: a point a model, with the interval of its level.

    """
    figure, axes = plt.subplots()
    for row in points.itertuples():
        reach = [[row.level - row.low], [row.high - row.level]]
        look: dict[str, Any] = {"fmt": "o", "color": COLOURS.get(row.model), "capsize": 3}
        axes.errorbar(row.near, row.level, yerr=reach, **look)
        axes.annotate(name_of(row.model), (row.near, row.level), (8, 4), textcoords="offset points")
    axes.set(xlabel="share of attention at most 2 positions away", ylabel=ylabel)
    axes.margins(x=0.25)
    return figure


@or_not_run
def gains(table: pd.DataFrame, xlabel: str) -> Figure:
    """Draw gains as bars, a group a row of the table, a colour a column; NaN reads "not run"."""
    figure, axes = plt.subplots(figsize=(7, 0.35 * table.size + 0.9))
    table.fillna(0).plot.barh(ax=axes, width=0.8, color=(GREY, BLUE, ORANGE, *OTHERS[2:5]))
    for name, bars in zip(table, axes.containers, strict=True):
        told = table[name].map("{:+.0f}".format, na_action="ignore").fillna("not run")
        axes.bar_label(cast(BarContainer, bars), told, padding=3)
    axes.invert_yaxis()
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.margins(x=0.15)
    axes.set(xlabel=xlabel, ylabel="")
    return figure


def one_history(weights: pd.DataFrame) -> Figure:
    """Draw one history's maps: a row a layer, a column a head.

    `weights` is what `seqattn.runs.recommender.Recommender.attention` returns.
    """
    layers, heads = weights["layer"].max(), weights["head"].max()
    size = (2.6 * heads + 1, 2.6 * layers)
    figure, panels = plt.subplots(layers, heads, figsize=size, squeeze=False, sharey=True)
    for (layer, head), part in weights.groupby(["layer", "head"]):
        axes = panels[layer - 1, head - 1]
        matrix = part.pivot(index="query", columns="key", values="weight").to_numpy()
        ends = (0.5, len(matrix) + 0.5)  # positions count from 1, as in the table
        norm = PowerNorm(0.5, 0, 1)  # keeps small weights visible beside large ones
        image = axes.imshow(matrix, cmap="magma_r", norm=norm, extent=(*ends, *ends[::-1]))
        axes.set(title=f"layer {layer}, head {head}", xlabel="key")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("query")
    figure.colorbar(image, ax=panels, label="weight")
    return figure
