"""Figures of the luck of a search: what each search's winner reaches, and every pair's change."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from seqattn.plots.changes import legend_above
from seqattn.plots.style import COLOURS, name_of, or_not_run


@or_not_run
def winners(frame: pd.DataFrame) -> Figure:
    """Draw the test NDCG@10 of each search's winner: a panel a dataset, a row a model.

    `frame` has columns title, model, arm (the search) and test.
    """
    titles = list(dict.fromkeys(frame["title"]))
    figure, panels = plt.subplots(1, len(titles), figsize=(7, 2), squeeze=False)
    for axes, title in zip(panels[0], titles, strict=True):
        part = frame[frame["title"] == title]
        models = list(dict.fromkeys(part["model"]))
        for place, model in enumerate(models):
            values = part.loc[part["model"] == model, "test"]
            axes.plot(values, [place] * len(values), "o", color=COLOURS.get(model), alpha=0.7)
            axes.plot(values.mean(), place, "|", color="black", markersize=18)
        axes.set_yticks(range(len(models)), map(name_of, models))
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.set(xlabel="test NDCG@10, mean over seeds", title=title)
    return figure


@or_not_run
def changes_by_pair(frame: pd.DataFrame) -> Figure:
    """Draw a square a pair of searches with its change in percent: robust ones in bold with a star.

    `frame` has columns search, base_search, change and reading (``neither`` is not robust).
    """
    changes = frame.pivot(index="search", columns="base_search", values="change")
    robust = frame.pivot(index="search", columns="base_search", values="reading") != "neither"
    texts = changes.map("{:+z.1f}".format) + robust.map(lambda yes: " ★" if yes else "")
    limit = float(changes.abs().to_numpy().max())
    figure, axes = plt.subplots(figsize=(6, 4.2))
    options = {"cmap": "vlag_r", "vmin": -limit, "vmax": limit, "linewidths": 1}
    label = {"label": "change of NDCG@10, %"}
    sns.heatmap(changes, annot=texts, fmt="", ax=axes, cbar_kws=label, **options)
    axes.set(xlabel="SASRec's search", ylabel="the variant's search")
    axes.tick_params(axis="y", rotation=0)
    return figure


@or_not_run
def gains(frame: pd.DataFrame) -> Figure:
    """Draw the gain of longer searches in percent: a row a dataset, a dot a search.

    `frame` has columns title, model and gain.
    """
    titles = list(dict.fromkeys(frame["title"]))
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.34 * len(titles)))
    for model, part in frame.groupby("model", sort=False):
        places = [titles.index(title) for title in part["title"]]
        colour, name = COLOURS.get(model), name_of(model)
        axes.plot(part["gain"], places, "o", color=colour, alpha=0.7, label=name)
    axes.set_yticks(range(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.5, -0.5)
    axes.set(xlabel="best of four times the trials, change of validation NDCG@10 in %")
    axes.set_xlim(left=0)
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure
