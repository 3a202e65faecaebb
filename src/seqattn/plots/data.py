"""Figures of data: distributions, one history, normalised intensities."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from seqattn.plots.style import BLUE, ORANGE, VERMILION, panels_of


def histogram(values: np.ndarray, *, xlabel: str, ylabel: str, log_bins: bool = False) -> Figure:
    """Draw one distribution; `log_bins` for heavy tails."""
    figure, axes = plt.subplots()
    distinct = np.unique(values)
    if len(distinct) <= 12:
        axes.bar(
            distinct,
            [(values == v).sum() for v in distinct],
            width=0.7 * np.diff(distinct).min(initial=1),
        )
    else:
        low, high = max(values.min(), 1e-3), values.max()
        bins = np.geomspace(low, high, 40) if log_bins else 40
        axes.hist(values, bins=bins)
        if log_bins:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure


def popularity(counts: np.ndarray) -> Figure:
    """Draw the cumulative share of interactions against the share of items, most popular first."""
    share = np.concatenate([[0], np.cumsum(np.sort(counts)[::-1]) / counts.sum()])
    x = np.linspace(0, 1, len(share))
    figure, axes = plt.subplots()
    axes.plot(x, share)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    axes.text(0.62, 0.52, "all items equal", color="#777777")
    axes.set(xlabel="share of items, most popular first", ylabel="share of interactions")
    return figure


def history(intensity: np.ndarray, *, unit: str, n_train: int) -> Figure:
    """Draw one user's history: intensity by position, coloured by the part of the split."""
    position = np.arange(1, len(intensity) + 1)
    part = np.where(position <= n_train, 0, position - n_train)
    figure, axes = plt.subplots(figsize=(7, 2.6))
    for index, (name, colour) in enumerate(
        zip(("training", "validation", "test"), (BLUE, ORANGE, VERMILION), strict=True)
    ):
        chosen = part == index
        axes.vlines(position[chosen], 0, intensity[chosen], color=colour, linewidth=3, label=name)
    axes.set(xlabel="position in time order", ylabel=unit)
    axes.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 1.2))
    return figure


def normalisations(matrices: Mapping[str, np.ndarray]) -> Figure:
    """Draw M[q, k] for each normalisation of one history; entries after the query are blank."""
    figure, panels = panels_of(len(matrices))
    for axes, (name, matrix) in zip(panels[0], matrices.items(), strict=True):
        shown = np.where(np.tri(len(matrix), dtype=bool), matrix, np.nan)
        image = axes.imshow(shown, cmap="cividis")
        axes.set(title=name)
        figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.9)
    figure.supylabel("query position", fontsize=9)
    figure.supxlabel("key position", fontsize=9)
    return figure
