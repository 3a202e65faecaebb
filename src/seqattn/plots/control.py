"""The figure of the positive control: what variants gain, and what lambda does, by dose."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqattn.plots.changes import legend_above, variant_keys
from seqattn.plots.style import COLOURS, GREY, or_not_run, with_ends

_APART = 0.012  # between variants, of p


@or_not_run
def dose_curves(changes: pd.DataFrame, lambdas: pd.DataFrame, ceilings: pd.DataFrame) -> Figure:
    """Draw a row of panels a dataset: change against SASRec by p, and lambda beside it.

    Parameters
    ----------
    changes : DataFrame
        Columns title, model, p, change, low, high (percent), and seen: whether the criterion first
        sees the variant there, drawn as a star.
    lambdas : DataFrame
        Columns title, model, p, mean, low, high.
    ceilings : DataFrame
        Columns title and ceiling (percent), drawn as a bar at p = 1.
    """
    titles = list(dict.fromkeys(changes["title"]))
    figure, panels = plt.subplots(
        len(titles), 2, figsize=(8.4, 3.1 * len(titles)), sharex=True, squeeze=False
    )
    for title, (left, right) in zip(titles, panels, strict=True):
        mine = changes[changes["title"] == title]
        _lines(left, mine, "change")
        top = ceilings.loc[ceilings["title"] == title, "ceiling"]
        left.hlines(top, 0.9, 1.1, color=GREY, linestyle="--")
        left.axhline(0, color="black", linewidth=0.8)
        left.set(title=title, ylabel="NDCG@10 change vs SASRec (%)")
        _lines(right, lambdas[lambdas["title"] == title], "mean")
        right.axhline(1, color=GREY, linewidth=0.8)
        right.set(title=title, ylabel="λ")
    for axes in panels[-1]:
        axes.set(xlabel="p", xticks=sorted(changes["p"].unique()))
    keys = [
        Line2D([], [], marker="*", color=GREY, linestyle="", markersize=11, label="seen from here"),
        Line2D([], [], color=GREY, linestyle="--", label="ceiling at p = 1"),
    ]
    legend_above(figure, [*variant_keys(changes["model"]), *keys])
    return figure


def _lines(axes: Axes, frame: pd.DataFrame, value: str) -> None:
    models = list(dict.fromkeys(frame["model"]))
    for number, model in enumerate(models):
        part = frame[frame["model"] == model].sort_values("p")
        place = part["p"] + _APART * (number - (len(models) - 1) / 2)
        with_ends(axes, place, part, value, color=COLOURS[model], marker="o", markersize=4)
        if "seen" in part:
            seen = part["seen"].astype(bool)
            axes.plot(place[seen], part.loc[seen, value], "*", color=COLOURS[model], markersize=14)
