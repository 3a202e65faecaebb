"""Figures of one dataset's lambda: where it went, what was kept of it, which way it was pulled."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.plots.style import COLOURS, GREY, name_of
from seqattn.plots.training import lambda_trajectories


def lambda_paths(frame: pd.DataFrame) -> Figure:
    """Draw lambda by epoch, a dot where the kept weights are from; columns as `trajectories`."""
    figure = lambda_trajectories(frame)
    for axes, model in zip(figure.axes, dict.fromkeys(frame["model"]), strict=True):
        kept = frame[(frame["model"] == model) & frame["kept"]]
        axes.plot(kept["epoch"], kept["lam"], "o", color="black", markersize=3.5, label="kept")
    handles = [plt.Line2D([], [], color="black", marker="o", markersize=3.5, linestyle="")]
    figure.axes[-1].legend(handles, ["weights kept"], loc="best")
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
