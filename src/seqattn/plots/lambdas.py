"""Figures of one dataset's lambda: where it went, what was kept of it, which way it was pulled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqattn.plots.changes import legend_above
from seqattn.plots.style import BLUE, COLOURS, GREEN, GREY, VERMILION, name_of

_KEPT: dict[str, Any] = {"marker": "o", "color": "black", "markersize": 3.5}
_LAYERS = (BLUE, VERMILION, GREEN)


def lambda_trajectories(frame: pd.DataFrame) -> Figure:
    """Draw lambda by epoch: a panel a model, a line a (seed, layer), a dot where it was kept.

    Columns as `seqattn.analysis.lambdas.trajectories`.
    """
    models = list(dict.fromkeys(frame["model"]))
    size = (2.7 * len(models), 3)
    figure, panels = plt.subplots(1, len(models), figsize=size, sharey=True, squeeze=False)
    for axes, model in zip(panels[0], models, strict=True):
        part = frame[frame["model"] == model]
        for (_, layer), run in part.groupby(["seed", "layer"]):
            colour = _LAYERS[(layer - 1) % 3]
            axes.plot(run["epoch"], run["lam"], color=colour, linewidth=1, alpha=0.7)
        kept = part[part["kept"]]
        axes.plot(kept["epoch"], kept["lam"], linestyle="", **_KEPT)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=name_of(model), xlabel="epoch")
    panels[0, 0].set_ylabel("λ")
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
    """Draw [IA] Figure 2: mean lambda against relative change, a dot a (model, seed)."""
    figure, axes = plt.subplots()
    for model, part in frame.groupby("model", sort=False):
        colour, label = COLOURS.get(model), name_of(model)
        axes.plot(part["lam"], part["change"], "o", color=colour, label=label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="λ, mean over layers", ylabel="NDCG@10 change vs SASRec (%)")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure
