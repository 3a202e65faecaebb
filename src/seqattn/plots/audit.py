"""Figures of the audit: its lights, gaps in time, intensity before and after normalisation."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqattn.plots.style import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION

# A shape a light besides the colour, for readers who see no difference in colour.
LIGHTS = {
    "red": (VERMILION, "s"),
    "amber": (ORANGE, "^"),
    "green": (GREEN, "o"),
    "grey": (GREY, "_"),
}
_MOMENTS = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "month": 2_629_800,
    "year": 31_557_600,
}  # seconds


def audit_lights(findings: pd.DataFrame) -> Figure:
    """Draw a row per finding: light, title, value and thresholds; columns as `Audit.findings`."""
    n = len(findings)
    figure, axes = plt.subplots(figsize=(8.2, 0.6 + 0.27 * n))
    for row, finding in enumerate(findings.itertuples()):
        colour, marker = LIGHTS[finding.light]
        axes.plot(0, row, marker, color=colour, markersize=9, markeredgewidth=2)
        axes.text(0.4, row, finding.title, va="center")
        value = "not judged" if finding.light == "grey" else _short(finding.value)
        axes.text(6.5, row, value, va="center", ha="right")
        bounds = f"{_short(finding.amber)} / {_short(finding.red)}"
        axes.text(8.2, row, bounds, va="center", ha="right", color=GREY)
    axes.text(6.5, -1, "value", ha="right", va="center", weight="bold")
    axes.text(8.2, -1, "amber / red beyond", ha="right", va="center", weight="bold")
    axes.set(xlim=(-0.2, 8.3), ylim=(n - 0.5, -1.6))
    axes.axis("off")
    return figure


def gap_distribution(gaps: np.ndarray) -> Figure:
    """Draw gaps between a user's interactions, in seconds, on a log scale; ties as a bar apart."""
    figure, axes = plt.subplots()
    positive, none = gaps[gaps > 0], int((gaps == 0).sum())
    largest = max(positive.max(initial=1), 60)
    counts, edges = np.histogram(positive, bins=np.geomspace(0.9, largest * 1.001, 50))
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge")
    axes.bar(0.15, none, 0.12, color=VERMILION)
    axes.set_xscale("log")
    ticks = {"tied": 0.15} | {k: v for k, v in _MOMENTS.items() if v <= largest}
    axes.set_xticks(list(ticks.values()), list(ticks))
    axes.minorticks_off()
    axes.set(xlabel="time since the user's previous interaction", ylabel="interactions")
    return figure


def intensity_panels(
    views: Mapping[str, np.ndarray], bits: Mapping[str, float], within: Mapping[str, float]
) -> Figure:
    """Draw a histogram a view, before and after normalisation, with two binned entropies.

    `bits` is pooled over users, `within` the mean inside a history.
    """
    n_rows = -(-len(views) // 3)
    figure, panels = plt.subplots(n_rows, 3, figsize=(8.2, 2.5 * n_rows), squeeze=False)
    for axes, (name, values) in zip(panels.flat, views.items(), strict=False):
        axes.hist(values, bins=32, weights=np.full(len(values), 1 / len(values)))
        axes.set_title(f"{name}\n{bits[name]:.2f} bits, {within[name]:.2f} in a history")
        axes.xaxis.set_major_locator(MaxNLocator(3))
    for axes in panels.flat[len(views) :]:
        axes.axis("off")
    figure.supxlabel("intensity, as logged and as the last query sees it", fontsize=9)
    figure.supylabel("share of interactions", fontsize=9)
    return figure


def intensity_by_popularity(
    popularity: np.ndarray, intensity: np.ndarray, *, unit: str, log: bool = False
) -> Figure:
    """Draw median and quartiles of intensity by popularity, in groups of about equal size.

    Parameters
    ----------
    popularity, intensity : (n,)
        Training count of each interaction's item, and its intensity.
    log : bool
        Log scale for the intensity, for heavy tails.
    """
    edges = np.unique(np.quantile(popularity, np.linspace(0, 1, 13)))
    group = np.clip(np.searchsorted(edges, popularity, side="right") - 1, 0, max(len(edges) - 2, 0))
    quartiles = pd.DataFrame({"x": popularity, "y": intensity}).groupby(group)
    x = quartiles["x"].median()
    low, middle, high = (quartiles["y"].quantile(q) for q in (0.25, 0.5, 0.75))
    mean = quartiles["y"].mean()
    figure, axes = plt.subplots()
    axes.fill_between(x, low, high, color=SKY, alpha=0.4, linewidth=0, label="middle half")
    axes.plot(x, middle, "o-", color=BLUE, label="median")
    axes.plot(x, mean, "--", color=VERMILION, label="mean")
    axes.set_xscale("log")
    if log:
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
    axes.set(xlabel="training interactions of the item", ylabel=f"intensity ({unit})")
    axes.legend()
    return figure


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
