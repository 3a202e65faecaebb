"""Figures of the audit: its lights, gaps in time, intensity before and after normalisation."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from seqattn.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    as_text,
    or_not_run,
    panels_of,
)

# A shape a light besides the colour, for readers who see no difference in colour.
LIGHTS = {
    "red": (VERMILION, "s"),
    "amber": (ORANGE, "^"),
    "green": (GREEN, "o"),
    "grey": (GREY, "_"),
}
_MOMENTS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}  # in seconds
_MOMENTS |= {"month": 2_629_800, "year": 31_557_600}


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

    Both are (n,): each interaction's intensity, and its item's training count. `log` puts the
    intensity on a log scale, for heavy tails.
    """
    edges = np.unique(np.quantile(popularity, np.linspace(0, 1, 13)))
    group = np.clip(np.searchsorted(edges, popularity, side="right") - 1, 0, max(len(edges) - 2, 0))
    quartiles = pd.DataFrame({"x": popularity, "y": intensity}).groupby(group)
    x = quartiles["x"].median()
    low, middle, high = (quartiles["y"].quantile(q) for q in (0.25, 0.5, 0.75))
    figure, axes = plt.subplots()
    axes.fill_between(x, low, high, color=SKY, alpha=0.4, linewidth=0, label="middle half")
    axes.plot(x, middle, "o-", color=BLUE, label="median")
    axes.plot(x, quartiles["y"].mean(), "--", color=VERMILION, label="mean")
    axes.set_xscale("log")
    if log:
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
    axes.set(xlabel="training interactions of the item", ylabel=f"intensity ({as_text(unit)})")
    axes.legend()
    return figure


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def histogram(values: np.ndarray, *, xlabel: str, ylabel: str, log_bins: bool = False) -> Figure:
    """Draw one distribution; `log_bins` for heavy tails."""
    figure, axes = plt.subplots()
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= 12:
        axes.bar(distinct, counts, width=0.7 * np.diff(distinct).min(initial=1))
    else:
        edges = np.geomspace(max(values.min(), 1e-3), values.max(), 40)
        axes.hist(values, bins=list(edges) if log_bins else 40)
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


def history(intensity: np.ndarray, part: np.ndarray, *, unit: str) -> Figure:
    """Draw one user's history: intensity by position, coloured by the part of the split.

    `part`, (n,), says of each interaction what it is, see `seqattn.data.splits.Split.part_of_row`.
    """
    position = np.arange(1, len(intensity) + 1)
    figure, axes = plt.subplots(figsize=(7, 2.6))
    parts = {
        "train": ("training", BLUE),
        "valid": ("validation", ORANGE),
        "test": ("test", VERMILION),
        "context": ("neither", GREY),
    }
    for word, (name, colour) in parts.items():
        chosen = part == word
        if not chosen.any():
            continue
        axes.vlines(position[chosen], 0, intensity[chosen], color=colour, linewidth=3, label=name)
    axes.set(xlabel="position in time order", ylabel=as_text(unit))
    axes.legend(ncols=4, loc="upper left", bbox_to_anchor=(0, 1.2))
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


_MODES = (BLUE, ORANGE, GREEN, GREY)

_CORRELATES = {
    "popularity, within history": "with popularity, inside a history",
    "recency, within history": "with recency, inside a history",
}


@or_not_run
def lights_grid(findings: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw one light a dataset and check; frames have the columns of `Audit.findings`."""
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


@or_not_run
def entropies(
    bits: Mapping[str, Mapping[str, float]], spread: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Draw, a row a dataset, what normalised intensities hold over all users and in a history.

    `bits` is the binned entropy of each normalisation, pooled over users (at most 5); `spread` the
    mean standard deviation inside a history, of the modes that keep within [0, 1].
    """
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


@or_not_run
def correlation_intervals(correlations: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw Spearman correlations and their 95 % intervals, a row a dataset, a panel a correlate."""
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
