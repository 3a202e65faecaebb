"""Figures of lambda and of gates: where they went, and what is gained where.

One dataset's lambdas by epoch and by value, lambdas of many studies, learned gates, and the doses
of a positive control.
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

from seqattn.plots.changes import legend_above, variant_keys
from seqattn.plots.style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    by_panel,
    name_of,
    or_not_run,
    with_ends,
)

_KEPT: dict[str, Any] = {"marker": "o", "color": "black", "markersize": 3.5}
_LAYERS = (BLUE, VERMILION, GREEN)
_APART = 0.012  # between variants, of p


def lambda_trajectories(frame: pd.DataFrame) -> Figure:
    """Draw lambda by epoch: a panel a model, a line a (seed, layer), a dot where it was kept.

    Columns as `seqattn.analysis.lambdas.trajectories`.
    """
    figure, panels = by_panel(frame, "model", 2.7, 3, sharey=True)
    for model, axes, part in panels:
        for (_, layer), run in part.groupby(["seed", "layer"]):
            colour = _LAYERS[(layer - 1) % 3]
            axes.plot(run["epoch"], run["lam"], color=colour, linewidth=1, alpha=0.7)
        kept = part[part["kept"]]
        axes.plot(kept["epoch"], kept["lam"], linestyle="", **_KEPT)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=name_of(model), xlabel="epoch")
    figure.axes[0].set_ylabel("λ")
    handles = [
        Line2D([], [], color=_LAYERS[(layer - 1) % 3], label=f"layer {layer}")
        for layer in sorted(frame["layer"].unique())
    ]
    dot = Line2D([], [], linestyle="", label="weights kept", **_KEPT)
    legend_above(figure, [*handles, dot])
    return figure


def lambda_gradients(frame: pd.DataFrame) -> Figure:
    """Draw the loss's gradient by lambda: a row a model and layer, a dot a seed.

    `frame` has columns model, layer, seed and gradient.
    """
    rows = list(dict.fromkeys(zip(frame["model"], frame["layer"], strict=True)))
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.36 * len(rows)))
    for place, (model, layer) in enumerate(rows):
        values = frame.loc[(frame["model"] == model) & (frame["layer"] == layer), "gradient"]
        heights = np.full(len(values), place)
        axes.plot(values, heights, "o", color=COLOURS.get(model), alpha=0.7, markersize=5)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{name_of(m)}, layer {layer}" for m, layer in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.set(xlabel="gradient of the training loss by λ: left of 0 pulls λ up, right of 0 down")
    return figure


def lambda_sweep(
    grid: Sequence[float], curves: Mapping[str, np.ndarray], trained: Mapping[str, float]
) -> Figure:
    """Draw validation NDCG@10 as lambda is set by hand; a dot marks where training left it."""
    figure, axes = plt.subplots()
    for model, values_SG in curves.items():
        mean = values_SG.mean(axis=0)
        low, high, colour = values_SG.min(axis=0), values_SG.max(axis=0), COLOURS.get(model)
        axes.fill_between(grid, low, high, color=colour, alpha=0.12)
        axes.plot(grid, mean, color=colour, label=name_of(model))
        axes.plot(trained[model], np.interp(trained[model], grid, mean), "o", color=colour)
    axes.set(xlabel="λ, the same in every layer", ylabel="validation NDCG@10")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure


def lambda_against_change(frame: pd.DataFrame) -> Figure:
    """Draw mean lambda against relative change after [IA] Figure 2: a dot a (model, seed).

    A marker of the figure itself is one (dataset, variant).
    """
    figure, axes = plt.subplots()
    for model, part in frame.groupby("model", sort=False):
        colour, label = COLOURS.get(model), name_of(model)
        axes.plot(part["lam"], part["change"], "o", color=colour, label=label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="λ, mean over layers", ylabel="NDCG@10 change vs SASRec (%)")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure


@or_not_run
def lambda_ends(frame: pd.DataFrame, ticks: Sequence[str]) -> Figure:
    """Draw where lambda starts and ends: a panel a dataset, an arrow an arm and variant.

    Parameters
    ----------
    frame : DataFrame
        Columns title, model, arm, start, mean, low and high (a 95 % interval of the end).
    ticks : sequence of str
        The arms in their order.
    """
    titles, models = list(dict.fromkeys(frame["title"])), list(dict.fromkeys(frame["model"]))
    size = (8.4, 3 * len(titles))
    figure, panels = plt.subplots(len(titles), 1, figsize=size, sharex=True, squeeze=False)
    for title, axes in zip(titles, panels[:, 0], strict=True):
        part = frame[frame["title"] == title]
        for number, model in enumerate(models):
            mine, colour = part[part["model"] == model], COLOURS.get(model)
            place = [
                ticks.index(arm) + 0.2 * (number - (len(models) - 1) / 2) for arm in mine["arm"]
            ]
            axes.vlines(place, mine["start"], mine["mean"], color=colour, alpha=0.4)
            axes.plot(place, mine["start"], "o", color=colour, markerfacecolor="none", markersize=4)
            with_ends(axes, place, mine, "mean", fmt="o", color=colour, markersize=5)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=title, ylabel="λ")
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.5, len(ticks) - 0.5)
    start = Line2D([], [], marker="o", color=GREY, markerfacecolor="none", label="start")
    legend_above(figure, [*variant_keys(models), start])
    return figure


@or_not_run
def lambda_profile(frame: pd.DataFrame, margin: float) -> Figure:
    """Draw the change of NDCG@10 against SASRec by the value at which lambda is held.

    Parameters
    ----------
    frame : DataFrame
        Columns title, model, value, change, low, high (percent).
    margin : float
        Of equivalence, in percent; drawn as a band.
    """
    models = list(dict.fromkeys(frame["model"]))
    figure, panels = by_panel(frame, "title", 4.2, 3.2, sharey=True)
    for title, axes, part in panels:
        axes.axhspan(-margin, margin, color=GREY, alpha=0.15)
        axes.axhline(0, color="black", linewidth=0.8)
        for number, model in enumerate(models):
            mine = part[part["model"] == model]
            x = mine["value"] + 0.05 * (number - (len(models) - 1) / 2)
            with_ends(axes, x, mine, "change", fmt="o-", color=COLOURS.get(model))
        axes.set(title=title, xlabel="λ, held there")
    figure.axes[0].set_ylabel("NDCG@10 change vs SASRec (%)")
    legend_above(figure, variant_keys(models))
    return figure


@or_not_run
def lambda_phase(runs: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Draw how far lambda went by steps x learning rate, and by the steps of an epoch.

    Left a dot a run, and a line for each published value as wide as its travel may have been: the
    paper prints neither. What no lambda can reach is grey. Right a dot a mean over seeds, and the
    published values as diamonds.

    Parameters
    ----------
    runs : DataFrame
        Columns of `seqattn.studies.travel.of_all_studies`.
    paper : DataFrame
        Columns of `seqattn.studies.travel.published_phase`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.4), sharey=True)
    colours = (BLUE, VERMILION, GREEN, ORANGE, PURPLE)[: runs["kind"].nunique()]
    runs = runs.assign(went=runs["lam"] - runs["start"])
    means = _means(runs)
    for (kind, own), colour in zip(runs.groupby("kind"), colours, strict=True):
        dots: dict[str, Any] = {"color": colour, "alpha": 0.6, "markersize": 3.5}
        left.plot(own["possible"], own["went"], "o", label=kind, **dots)
        mine = means[means["kind"] == kind]
        right.plot(mine["epoch_steps"], mine["went"], "o", **dots)
    went = paper["lambda_mean"] - 1
    left.hlines(went, paper["least"], paper["most"], color="black", linewidth=0.8, alpha=0.5)
    right.plot(paper["steps"], went, "D", color="black", markerfacecolor="none", label="published")
    left.set_xscale("log")
    left.set_yscale("symlog", linthresh=1, linscale=2)
    left.set_ylim(min(went.min(), runs["went"].min()) - 0.2, max(runs["went"].max(), 0) + 1)
    _shade_out_of_reach(left)
    left.set(xlabel="possible travel: steps × learning rate", ylabel="λ minus where it started")
    right.set(xlabel="optimiser steps of an epoch", xscale="log")
    handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    legend_above(figure, handles)
    return figure


def _means(runs: pd.DataFrame) -> pd.DataFrame:
    keys = ["kind", "study", "dataset", "arm", "model"]
    return runs.groupby(keys, sort=False, as_index=False)[["epoch_steps", "went"]].mean()


def _shade_out_of_reach(axes: Axes) -> None:
    """Shade where lambda can't be; the ticks are those of a scale that is linear from -1 to 1."""
    ticks = [-1, -0.5, 0, 0.5, 1, 5]
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x = np.geomspace(low, high, 200)
    axes.fill_between(x, x, np.maximum(x, top), color=GREY, alpha=0.15)
    axes.fill_between(x, -x, np.minimum(-x, bottom), color=GREY, alpha=0.15)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlim=(low, high), ylim=(bottom, top))


@or_not_run
def thinned(frame: pd.DataFrame) -> Figure:
    """Draw how far lambda ends from 1 by the share of users: a panel a log, a line a variant.

    Parameters
    ----------
    frame : DataFrame
        Columns title, arm, model, share (percent), mean, low and high; the first arm is drawn in
        full, others dashed.
    """
    arms = list(dict.fromkeys(frame["arm"]))
    figure, panels = by_panel(frame, "title", 4.2, 3.2, sharey=True)
    for title, axes, part in panels:
        for (arm, model), mine in part.groupby(["arm", "model"]):
            look = {"ls": "-" if arm == arms[0] else "--", "color": COLOURS.get(model)}
            with_ends(axes, mine["share"], mine, "mean", fmt="o", **look)
        shares = sorted(frame["share"].unique())
        axes.set(title=title, xlabel="% of users", xscale="log")
        axes.set_xticks(shares, [f"{share:g}" for share in shares])
        axes.minorticks_off()
    figure.axes[0].set_ylabel("distance of λ from 1")
    styles = [
        Line2D([], [], color=GREY, linestyle="--" if number else "-", label=arm)
        for number, arm in enumerate(arms)
    ]
    legend_above(figure, [*variant_keys(frame["model"]), *styles])
    return figure


@or_not_run
def gate_curves(bands: pd.DataFrame) -> Figure:
    """Draw a row of panels a dataset, one a layer: bias by intensity, with a band over seeds.

    Columns title, layer, model, level, mean, low, high; without an interval, a line alone.
    """
    titles, layers = list(dict.fromkeys(bands["title"])), sorted(bands["layer"].unique())
    figure, panels = plt.subplots(
        *(len(titles), len(layers)), figsize=(4.2 * len(layers), 2.9 * len(titles)), sharex=True,
        squeeze=False,
    )  # fmt: skip
    for (title, layer), part in bands.groupby(["title", "layer"], sort=False):
        axes = panels[titles.index(title), layers.index(layer)]
        for model, curve in part.groupby("model", sort=False):
            curve, colour = curve.sort_values("level"), COLOURS.get(model)
            axes.fill_between(curve["level"], curve["low"], curve["high"], color=colour, alpha=0.15)
            axes.plot(curve["level"], curve["mean"], color=colour)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=f"{title}, layer {layer}", ylabel="added to the logit")
    for axes in panels[-1]:
        axes.set(xlabel="intensity, quantile of the log", xlim=(0, 1))
    legend_above(figure, variant_keys(bands["model"]))
    return figure


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
