"""Figures of AE and AR: the factorial, attention whose reach is set, locality, noisy evaluation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.plots.changes import legend_above, variant_keys
from seqattn.plots.style import BLUE, COLOURS, GREY, OTHERS, by_panel, or_not_run, with_ends

_LOOKS = {"AE": ("s", OTHERS[0]), "AR": ("o", OTHERS[1])}


@or_not_run
def effects_forest(frame: pd.DataFrame, parts: Collection[str]) -> Figure:
    """Draw effects with their intervals: a panel a dataset, a row an effect.

    Parameters
    ----------
    frame : DataFrame
        Columns title, effect, change, low, high (percent).
    parts : collection of str
        Effects in colour; the others are grey.
    """
    effects = list(dict.fromkeys(frame["effect"]))
    height = 0.9 + 0.4 * len(effects)
    figure, panels = by_panel(frame, "title", 2.7, height, least=5, sharey=True)
    for title, axes, mine in panels:
        for row in mine.itertuples():
            place = effects.index(row.effect)
            colour = BLUE if row.effect in parts else GREY
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2)
            axes.plot(row.change, place, "o", color=colour, markersize=5)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(title=title, xlabel="NDCG@10,\n% of SASRec's")
        axes.set_yticks(range(len(effects)), effects)
        axes.set_ylim(len(effects) - 0.5, -0.5)
    return figure


@or_not_run
def dial_curves(frame: pd.DataFrame) -> Figure:
    """Draw a metric by the window of local heads: a panel a dataset, a line a model.

    Parameters
    ----------
    frame : DataFrame
        Columns title, model, window (-1: as far as any, drawn last), mean, low, high.
    """
    models = list(dict.fromkeys(frame["model"]))
    reaches = sorted(frame["window"].unique(), key=lambda w: np.inf if w < 0 else w)
    figure, panels = by_panel(frame, "title", 3.2, 3.2, least=5)
    for title, axes, part in panels:
        for number, model in enumerate(models):
            mine = part[part["model"] == model]
            mine = mine.set_index("window").reindex(reaches)  # no line over what was not run
            place = np.arange(len(reaches)) + 0.06 * number
            with_ends(axes, place, mine, "mean", fmt="o-", color=COLOURS[model])
        axes.set(title=title, xlabel="window w", ylabel="NDCG@10", ylim=(0, None))
        axes.set_xticks(range(len(reaches)), ["all" if w < 0 else f"{w:g}" for w in reaches])
    legend_above(figure, variant_keys(models))
    return figure


@or_not_run
def gains_over_locality(frame: pd.DataFrame) -> Figure:
    """Draw AR's gains over how local their datasets are: small points printed, large ones ours.

    Parameters
    ----------
    frame : DataFrame
        Columns title, printed (bool), gain, low, high (percent; no interval where printed) and
        locality. Circles are the means of what is printed of a dataset.
    """
    figure, axes = plt.subplots(figsize=(7, 3.8))
    printed, ours = frame[frame["printed"]], frame[~frame["printed"]]
    look: dict[str, Any] = {"color": GREY, "markersize": 3, "alpha": 0.6}
    axes.plot(printed["locality"], printed["gain"], "o", label="a printed family", **look)
    middle = printed.groupby("title")[["locality", "gain"]].mean()
    look = {"color": "black", "markersize": 9, "fillstyle": "none", "label": "mean of the printed"}
    axes.plot(*middle.to_numpy().T, "o", **look)
    look = {"fmt": "o", "color": BLUE, "capsize": 3, "label": "here, with interval"}
    with_ends(axes, ours["locality"], ours, "gain", **look)
    tops = frame.assign(top=frame[["gain", "high"]].max(axis=1)).groupby("title")
    tops = tops[["locality", "top"]].max().sort_values("locality")
    before, after = (tops["locality"].diff(step).abs().fillna(np.inf) for step in (1, -1))
    for (title, x, top), leans_back in zip(tops.itertuples(), after < before, strict=True):
        name, _, _ = title.partition(",")  # without its filter
        turn, side = (-45, "right") if leans_back else (45, "left")  # away from the nearer one
        look = {"rotation": turn, "ha": side, "rotation_mode": "anchor", "fontsize": 8}
        axes.annotate(name, (x, top), (0, 6), textcoords="offset points", **look)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="locality: last item over fourth last", ylabel="AR over AE, % of NDCG@10")
    axes.margins(0.25, 0.3)
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure


@or_not_run
def ratios(rows: pd.DataFrame, rates: Sequence[float]) -> Figure:
    """Draw ratios of Recall@10, a row each, and lines where noise in the targets alone would end.

    Parameters
    ----------
    rows : DataFrame
        Columns title, attention (``AE``, ``AR``), ratio and ours (whether we measured it).
    rates : sequence of float
        Shares of targets that are drawn anew.
    """
    titles = list(dict.fromkeys(rows["title"]))
    figure, axes = plt.subplots(figsize=(6.4, 0.9 + 0.34 * len(titles)))
    for (attention, ours), part in rows.groupby(["attention", "ours"], sort=False):
        places = [titles.index(title) for title in part["title"]]
        marker, colour = _LOOKS[attention]
        fill, whose = ("full", "measured here") if ours else ("none", "printed")
        look: dict[str, Any] = {"color": colour, "markersize": 6, "fillstyle": fill}
        axes.plot(part["ratio"], places, marker, label=f"{attention}, {whose}", **look)
    for rate in sorted({round(rate, 6) for rate in rates}):
        axes.axvline(1 - rate, color="black", linewidth=0.8, linestyle=":")
        look = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axes.text(1 - rate, 1, f"{1 - rate:.2f}", fontsize=8, **look)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(np.arange(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.5, -0.5)
    axes.set_xlabel("Recall@10, ratio")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure
