"""Figures of results: learning curves, searches and their luck, differences with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from seqattn.plots.changes import legend_above
from seqattn.plots.style import COLOURS, GREEN, GREY, OTHERS, VERMILION, name_of, or_not_run

if TYPE_CHECKING:
    from optuna import Study

_PARAMETERS = {
    "n_layers": "layers",
    "n_heads": "heads",
    "hidden_size": "hidden size",
    "inner_size": "inner size",
    "hidden_dropout": "dropout, hidden",
    "attention_dropout": "dropout, attention",
}


def learning_curves(histories: pd.DataFrame) -> Figure:
    """Draw loss and validation NDCG@10 by epoch, a thin line a seed and a thick one the mean."""
    figure, panels = plt.subplots(1, 2, figsize=(8.2, 3.4))
    columns = (("loss", "training loss (nats)"), ("valid_ndcg", "validation NDCG@10"))
    for axes, (column, label) in zip(panels, columns, strict=True):
        by_model = zip(histories.groupby("model", sort=False), cycle(OTHERS), strict=False)
        for (model, group), other in by_model:
            colour = COLOURS.get(model, other)
            for _, run in group.groupby("seed"):
                axes.plot(run["epoch"], run[column], color=colour, linewidth=0.6, alpha=0.4)
            mean = group.groupby("epoch")[column].agg(["mean", "size"])
            full = mean[mean["size"] == mean["size"].max()]
            axes.plot(full.index, full["mean"], color=colour, label=name_of(model))
        axes.set(xlabel="epoch", ylabel=label)
    legend_above(figure, panels[0].get_legend_handles_labels()[0])
    return figure


@or_not_run
def search_history(studies: Sequence[Study]) -> Figure:
    """Draw Optuna's history of several searches: each trial's objective and the best so far.

    A study is named after its model. Trials that were pruned or failed have no value: not drawn.
    """
    figure, axes = plt.subplots(figsize=(7, 3.6))
    order = {name: place for place, name in enumerate(COLOURS)}
    for study in sorted(studies, key=lambda s: order.get(s.study_name, len(order))):
        trials = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
        numbers, values = [t.number for t in trials], np.array([t.value for t in trials], float)
        colour, label = COLOURS.get(study.study_name), name_of(study.study_name)
        (dots,) = axes.plot(numbers, values, "o", color=colour, markersize=4, alpha=0.6)
        best = np.maximum.accumulate(values)
        axes.step(numbers, best, where="post", color=dots.get_color(), label=label)
    axes.set(xlabel="trial", ylabel="validation NDCG@10")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure


def search_importances(study: Study) -> Figure:
    """Draw Optuna's importances (fANOVA): each parameter's share of the objective's variance."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    # Its forest is random: with a seed a re-run draws the same bars.
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.32 * len(shares)))
    names = [_PARAMETERS.get(name, name.replace("_", " ")) for name in shares]
    colour = COLOURS.get(study.study_name, GREY)
    bars = axes.barh(names, list(shares.values()), color=colour, height=0.6)
    axes.bar_label(bars, fmt="{:.0%}", padding=3, fontsize=9)
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.12 * max(0.01, *shares.values()))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel=f"share of the variance of validation NDCG@10, {name_of(study.study_name)}")
    return figure


def metric_by_seed(frame: pd.DataFrame, *, xlabel: str) -> Figure:
    """Draw one dot a (model, seed) and the mean of each model; columns model, seed, value."""
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.5 * frame["model"].nunique()))
    models = list(dict.fromkeys(frame["model"]))
    for row, model in enumerate(models):
        values = frame.loc[frame["model"] == model, "value"]
        colour = COLOURS.get(model)
        axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.6, markersize=5)
        axes.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
    axes.set_yticks(range(len(models)), [name_of(m) for m in models])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set(xlabel=xlabel)
    return figure


def forest(frame: pd.DataFrame, *, xlabel: str) -> Figure:
    """Draw differences with both intervals, a row a model: pooled (thick) and clustered (thin).

    `frame` has columns model, difference, pooled_ci, clustered_ci; intervals are pairs.
    """
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.55 * len(frame)))
    intervals = (
        ("pooled_ci", -0.12, 4.5, "pooled over users × seeds (as published)"),
        ("clustered_ci", 0.12, 1.8, "clustered by user"),
    )
    for row, record in enumerate(frame.itertuples()):
        for column, offset, width, _ in intervals:
            low, high = getattr(record, column)
            colour = VERMILION if high < 0 else GREEN if low > 0 else GREY
            axes.hlines(row + offset, low, high, color=colour, linewidth=width)
            dot: dict[str, Any] = {"color": "white", "markersize": 3.5, "markeredgecolor": colour}
            axes.plot(record.difference, row + offset, "o", **dot)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_ylim(-0.5, len(frame) - 0.5)
    axes.set_yticks(range(len(frame)), [name_of(m) for m in frame["model"]])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set(xlabel=xlabel)
    keys = [Line2D([], [], color=GREY, linewidth=w, label=label) for _, _, w, label in intervals]
    legend_above(figure, keys)
    return figure


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
def search_gains(frame: pd.DataFrame) -> Figure:
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
