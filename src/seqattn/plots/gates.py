"""The figure of learned gates: what a key's intensity adds to its logit."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from seqattn.plots.changes import legend_above, variant_keys
from seqattn.plots.style import COLOURS, or_not_run


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
