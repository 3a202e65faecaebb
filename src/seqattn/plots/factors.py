"""Figures of the factorial of AE and AR, of attention whose reach is set, and of locality."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqattn.plots.audit import not_run
from seqattn.plots.changes import legend_above, variant_keys
from seqattn.plots.style import BLUE, COLOURS, GREY, OTHERS, with_ends


def effects_forest(frame: pd.DataFrame) -> Figure:
    """Draw effects with their intervals: a panel a dataset, a row an effect.

    Parameters
    ----------
    frame : DataFrame
        Columns title, effect, change, low, high (percent).
    """
    if frame.empty:
        return not_run()
    titles, effects = list(dict.fromkeys(frame["title"])), list(dict.fromkeys(frame["effect"]))
    size = (max(2.7 * len(titles), 5), 0.9 + 0.4 * len(effects))
    figure, panels = plt.subplots(1, len(titles), figsize=size, sharey=True, squeeze=False)
    for title, axes in zip(titles, panels[0], strict=True):
        mine = frame[frame["title"] == title]
        for row in mine.itertuples():
            place = effects.index(row.effect)
            colour = OTHERS[place % len(OTHERS)]
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2)
            axes.plot(row.change, place, "o", color=colour, markersize=5)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(title=title, xlabel="% of SASRec's")
        axes.set_yticks(range(len(effects)), effects)
        axes.set_ylim(len(effects) - 0.5, -0.5)
    return figure


def dial_curves(frame: pd.DataFrame) -> Figure:
    """Draw a metric by the window of local heads: a panel a dataset, a line a model.

    Parameters
    ----------
    frame : DataFrame
        Columns title, model, window (-1: as far as any, drawn last), mean, low, high.
    """
    if frame.empty:
        return not_run()
    titles, models = list(dict.fromkeys(frame["title"])), list(dict.fromkeys(frame["model"]))
    reaches = sorted(frame["window"].unique(), key=lambda w: np.inf if w < 0 else w)
    size = (max(3.2 * len(titles), 5), 3.2)
    figure, panels = plt.subplots(1, len(titles), figsize=size, squeeze=False)
    for title, axes in zip(titles, panels[0], strict=True):
        for number, model in enumerate(models):
            mine = frame[(frame["title"] == title) & (frame["model"] == model)]
            place = [reaches.index(w) + 0.06 * number for w in mine["window"]]
            with_ends(axes, place, mine, "mean", fmt="o-", color=COLOURS[model])
        axes.set(title=title, xlabel="window w", ylabel="NDCG@10", ylim=(0, None))
        axes.set_xticks(range(len(reaches)), ["all" if w < 0 else f"{w:g}" for w in reaches])
    legend_above(figure, variant_keys(models))
    return figure


def gains_over_locality(frame: pd.DataFrame) -> Figure:
    """Draw AR's gains over how local their datasets are: small points printed, large ones ours.

    Parameters
    ----------
    frame : DataFrame
        Columns title, printed (bool), gain, low, high (percent; no interval where printed) and
        locality. Circles are the means of what is printed of a dataset.
    """
    if frame.empty:
        return not_run()
    figure, axes = plt.subplots(figsize=(7, 3.8))
    printed, ours = frame[frame["printed"]], frame[~frame["printed"]]
    axes.plot(printed["locality"], printed["gain"], "o", color=GREY, markersize=3, alpha=0.6)
    middle = printed.groupby("title")[["locality", "gain"]].mean()
    axes.plot(*middle.to_numpy().T, "o", markersize=9, color="black", fillstyle="none")
    if len(ours):
        with_ends(axes, ours["locality"], ours, "gain", fmt="o", color=BLUE, capsize=3)
    for title, part in frame.groupby("title"):
        top = part[["gain", "high"]].max(axis=None)
        place = part["locality"].iloc[0], top
        name, _, _ = title.partition(",")  # without its filter
        look: dict[str, Any] = {
            "rotation": 45,
            "rotation_mode": "anchor",
            "fontsize": 8,
        }  # near ones stay apart
        axes.annotate(name, place, (0, 6), textcoords="offset points", **look)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="locality: last item over fourth last", ylabel="AR over AE, % of NDCG@10")
    axes.margins(0.25, 0.3)
    looks: dict[str, dict[str, Any]] = {
        "a printed family": {"color": GREY, "markersize": 3},
        "mean of the printed": {"color": "black", "markersize": 9, "fillstyle": "none"},
        "here, with interval": {"color": BLUE, "markersize": 6},
    }
    keys = [
        Line2D([], [], marker="o", linestyle="", label=label, **look)
        for label, look in looks.items()
    ]
    legend_above(figure, keys)
    return figure
