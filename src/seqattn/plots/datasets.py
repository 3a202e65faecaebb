"""Figures that lay datasets side by side: audit lights, entropy, what intensity goes with."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.plots.audit import LIGHTS
from seqattn.plots.style import BLUE, GREEN, GREY, ORANGE, VERMILION

_MODES = (BLUE, ORANGE, GREEN, GREY)
_CORRELATES = {
    "popularity, within history": "with popularity, inside a history",
    "recency, within history": "with recency, inside a history",
}


def not_run() -> Figure:
    """Return a figure that says so, for results that are not there."""
    figure, axes = plt.subplots(figsize=(3, 0.6))
    axes.text(0.5, 0.5, "not run", ha="center", va="center", color=GREY)
    axes.axis("off")
    return figure


def lights_grid(findings: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw one light a dataset and check; frames have the columns of `Audit.findings`."""
    if not findings:
        return not_run()
    titles = next(iter(findings.values()))["title"].tolist()
    size = (2.8 + 0.42 * len(findings), 0.3 * len(titles))
    figure, axes = plt.subplots(figsize=size, layout="none")  # long labels would squeeze the axes
    for column, frame in enumerate(findings.values()):
        for row, light in enumerate(frame["light"]):
            colour, marker = LIGHTS[light]
            axes.plot(column, row, marker, color=colour, markersize=8, markeredgewidth=2)
    axes.set_xticks(range(len(findings)), list(findings), rotation=50, ha="left")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(titles)), titles)
    axes.set(xlim=(-0.6, len(findings) - 0.4), ylim=(len(titles) - 0.4, -0.6))
    axes.tick_params(length=0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def entropies(
    bits: Mapping[str, Mapping[str, float]], spread: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Draw, a row a dataset, what normalised intensities hold over all users and in a history.

    `bits` is the binned entropy of each normalisation, pooled over users (at most 5); `spread` the
    mean standard deviation inside a history, of the modes that keep within [0, 1].
    """
    if not bits:
        return not_run()
    modes = list(next(iter(bits.values())))
    size = (8.2, 0.9 + 0.34 * len(bits))
    figure, panels = plt.subplots(1, 2, figsize=size, sharey=True)
    offsets = np.linspace(-0.24, 0.24, len(modes))
    for mode, colour, marker, offset in zip(modes, _MODES, "os^D", offsets, strict=True):
        for axes, told in zip(panels, (bits, spread), strict=True):
            rows = [row for row, values in enumerate(told.values()) if mode in values]
            x = [values[mode] for values in told.values() if mode in values]
            axes.plot(x, np.array(rows) + offset, marker, color=colour, label=mode)
    panels[0].set_yticks(range(len(bits)), list(bits))
    panels[0].set(xlim=(0, 5.05), ylim=(len(bits) - 0.5, -0.5))
    panels[0].set(xlabel="bits, pooled over users")
    panels[1].set(xlim=(0, 0.5), xlabel="spread in a history (at most 0.5)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(modes), loc="outside upper center")
    return figure


def correlation_intervals(correlations: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw Spearman correlations and their 95 % intervals, a row a dataset, a panel a correlate."""
    if not correlations:
        return not_run()
    size = (8.2, 0.9 + 0.34 * len(correlations))
    figure, panels = plt.subplots(1, len(_CORRELATES), figsize=size, sharey=True, sharex=True)
    for axes, (measure, title) in zip(panels, _CORRELATES.items(), strict=True):
        for row, table in enumerate(correlations.values()):
            value, low, high = table.loc[measure, ["value", "low", "high"]].astype(float)
            if np.isnan(value):
                axes.text(0, row, "no order", color=GREY, ha="center", va="center")
                continue
            excludes_zero = low > 0 or high < 0
            axes.plot([low, high], [row, row], color=VERMILION if excludes_zero else GREY)
            axes.plot(value, row, "o", color=VERMILION if excludes_zero else GREY)
        axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
        axes.set_title(title)
    panels[0].set_yticks(range(len(correlations)), list(correlations))
    panels[0].set_ylim(len(correlations) - 0.5, -0.5)
    figure.supxlabel("Spearman correlation of intensity, mean over users", fontsize=9)
    return figure
