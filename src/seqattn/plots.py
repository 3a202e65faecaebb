"""Drawing, apart from computing: each function takes arrays or frames and returns a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

LABELS = {
    "sasrec": "SASRec",
    "ia-add": "Add",
    "ia-mul": "Mul",
    "ia-val": "Val",
    "bert4rec": "BERT4Rec (AE)",
    "local-ae": "Local-AE",
}
# Okabe-Ito: told apart by readers with any common colour blindness.
COLOURS = {
    "sasrec": "#000000",
    "ia-add": "#0072B2",
    "ia-mul": "#D55E00",
    "ia-val": "#009E73",
    "bert4rec": "#CC79A7",
    "local-ae": "#E69F00",
}


def use_style() -> None:
    """Apply the book's style, and SVG figures when inside a notebook."""
    plt.style.use(Path(__file__).with_name("style.mplstyle"))
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        get_ipython  # noqa: B018  # defined by IPython only
    except (ImportError, NameError):
        return
    # No date in the file, so that a re-run gives the same bytes.
    set_matplotlib_formats("svg", metadata={"Date": None})


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
        zip(("training", "validation", "test"), ("#0072B2", "#E69F00", "#D55E00"), strict=True)
    ):
        chosen = part == index
        axes.vlines(position[chosen], 0, intensity[chosen], color=colour, linewidth=3, label=name)
    axes.set(xlabel="position in time order", ylabel=unit)
    axes.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 1.2))
    return figure


def normalisations(matrices: Mapping[str, np.ndarray]) -> Figure:
    """Draw M[q, k] for each normalisation of one history; entries after the query are blank."""
    figure, panels = plt.subplots(1, len(matrices), figsize=(2.1 * len(matrices), 2.5))
    for axes, (name, matrix) in zip(np.atleast_1d(panels), matrices.items(), strict=True):
        shown = np.where(np.tri(len(matrix), dtype=bool), matrix, np.nan)
        image = axes.imshow(shown, cmap="cividis")
        axes.set(title=name, xticks=[], yticks=[])
        axes.grid(False)
        figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.9)
    figure.supylabel("query position", fontsize=9)
    figure.supxlabel("key position", fontsize=9)
    return figure


def attention_rows(rows: Mapping[str, Mapping[str, np.ndarray]], intensity: np.ndarray) -> Figure:
    """Draw the last query's weights: a panel per model, a line per lambda, intensities below."""
    figure, panels = plt.subplots(len(rows) + 1, 1, figsize=(7, 1.7 * (len(rows) + 1)), sharex=True)
    position = np.arange(1, len(intensity) + 1)
    shades = ("#bbbbbb", "#56B4E9", "#0072B2", "#D55E00")
    for axes, (model, curves) in zip(panels[:-1], rows.items(), strict=True):
        for colour, (label, weights) in zip(shades, curves.items(), strict=False):
            axes.plot(position, weights, marker="o", markersize=3, label=label, color=colour)
        axes.set(title=LABELS.get(model, model), ylabel="weight")
    panels[0].legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1))
    panels[-1].bar(position, intensity, color="#999999")
    panels[-1].set(title="raw intensity", xlabel="key position")
    return figure


def masks(visible: Mapping[str, np.ndarray]) -> Figure:
    """Draw which keys each query may see; True is dark."""
    figure, panels = plt.subplots(1, len(visible), figsize=(2.2 * len(visible), 2.6))
    for axes, (name, mask) in zip(np.atleast_1d(panels), visible.items(), strict=True):
        axes.imshow(mask, cmap="Blues", vmin=0, vmax=1.3)
        axes.set(title=name, xlabel="key", ylabel="query", xticks=[], yticks=[])
        axes.grid(False)
    return figure


def learning_curves(histories: pd.DataFrame) -> Figure:
    """Draw loss and validation NDCG@10 by epoch, a thin line a seed and a thick one the mean."""
    figure, panels = plt.subplots(1, 2, figsize=(8.2, 3.4))
    columns = (("loss", "training loss (nats)"), ("valid_ndcg", "validation NDCG@10"))
    for axes, (column, label) in zip(panels, columns, strict=True):
        for model, group in histories.groupby("model", sort=False):
            colour = COLOURS.get(model)
            for _, run in group.groupby("seed"):
                axes.plot(run["epoch"], run[column], color=colour, linewidth=0.6, alpha=0.4)
            mean = group.groupby("epoch")[column].agg(["mean", "size"])
            full = mean[mean["size"] == mean["size"].max()]
            axes.plot(full.index, full["mean"], color=colour, label=LABELS.get(model, model))
        axes.set(xlabel="epoch", ylabel=label)
    panels[0].legend()
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
    axes.set_yticks(range(len(models)), [LABELS.get(m, m) for m in models])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set(xlabel=xlabel)
    return figure


def forest(frame: pd.DataFrame, *, xlabel: str) -> Figure:
    """Draw differences with both intervals, a row a model: pooled (thick) and clustered (thin).

    `frame` has columns model, difference, pooled_ci, clustered_ci; intervals are pairs.
    """
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.55 * len(frame)))
    for row, record in enumerate(frame.itertuples()):
        for offset, interval, width, label in (
            (-0.12, record.pooled_ci, 4.5, "pooled over users × seeds (as published)"),
            (0.12, record.clustered_ci, 1.8, "clustered by user"),
        ):
            low, high = interval
            colour = "#D55E00" if high < 0 else "#009E73" if low > 0 else "#666666"
            axes.hlines(row + offset, low, high, color=colour, linewidth=width, label=label)
            axes.plot(
                record.difference,
                row + offset,
                "o",
                color="white",
                markersize=3.5,
                markeredgecolor=colour,
            )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(frame)), [LABELS.get(m, m) for m in frame["model"]])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set(xlabel=xlabel)
    handles, labels = axes.get_legend_handles_labels()
    grey = [
        plt.Line2D([], [], color="#666666", linewidth=h.get_linewidths()[0]) for h in handles[:2]
    ]
    axes.legend(grey, labels[:2], loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def lambda_trajectories(frame: pd.DataFrame) -> Figure:
    """Draw lambda by epoch: a panel a model, a line a (seed, layer)."""
    models = list(dict.fromkeys(frame["model"]))
    figure, panels = plt.subplots(1, len(models), figsize=(2.7 * len(models), 3), sharey=True)
    for axes, model in zip(np.atleast_1d(panels), models, strict=True):
        part = frame[frame["model"] == model]
        for (_, layer), run in part.groupby(["seed", "layer"]):
            colour = ("#0072B2", "#D55E00", "#009E73")[(layer - 1) % 3]
            axes.plot(run["epoch"], run["lam"], color=colour, linewidth=1, alpha=0.7)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=LABELS.get(model, model), xlabel="epoch")
    first = np.atleast_1d(panels)[0]
    first.set_ylabel("λ")
    layers = sorted(frame["layer"].unique())
    colours = ("#0072B2", "#D55E00", "#009E73")
    handles = [plt.Line2D([], [], color=colours[(layer - 1) % 3]) for layer in layers]
    first.legend(handles, [f"layer {layer}" for layer in layers], loc="best")
    return figure


def lambda_sweep(
    grid: Sequence[float], curves: Mapping[str, np.ndarray], trained: Mapping[str, float]
) -> Figure:
    """Draw validation NDCG@10 as lambda is set by hand; a dot marks where training left it."""
    figure, axes = plt.subplots()
    for model, values_SG in curves.items():
        mean = values_SG.mean(axis=0)
        colour = COLOURS.get(model)
        axes.fill_between(
            grid, values_SG.min(axis=0), values_SG.max(axis=0), color=colour, alpha=0.12
        )
        axes.plot(grid, mean, color=colour, label=LABELS.get(model, model))
        axes.plot(trained[model], np.interp(trained[model], grid, mean), "o", color=colour)
    axes.set(xlabel="λ, the same in every layer", ylabel="validation NDCG@10")
    axes.legend()
    return figure


def lambda_against_change(frame: pd.DataFrame) -> Figure:
    """Draw [IA] Figure 2: mean lambda against relative change, a dot a (model, seed)."""
    figure, axes = plt.subplots()
    for model, part in frame.groupby("model", sort=False):
        axes.plot(
            part["lam"],
            part["change"],
            "o",
            color=COLOURS.get(model),
            label=LABELS.get(model, model),
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="λ, mean over layers", ylabel="NDCG@10 change vs SASRec (%)")
    axes.legend()
    return figure


def maps_grid(rows: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw attention maps: a row a kind (original, rank 5), a column a model."""
    n_columns = max(len(row) for row in rows.values())
    figure, panels = plt.subplots(
        len(rows), n_columns, figsize=(2.5 * n_columns, 2.6 * len(rows)), squeeze=False
    )
    for axes_row, (kind, row) in zip(panels, rows.items(), strict=True):
        for axes, (model, matrix) in zip(axes_row, row.items(), strict=True):
            # The square root keeps small weights visible beside large ones.
            axes.imshow(np.sqrt(np.clip(matrix, 0, None)), cmap="magma_r", vmin=0, vmax=1)
            axes.set(title=LABELS.get(model, model), xticks=[], yticks=[])
            axes.grid(False)
        axes_row[0].set_ylabel(kind)
    return figure


def curves(
    frame: pd.DataFrame, *, x: str, y: str, xlabel: str, ylabel: str, log_x: bool = False
) -> Figure:
    """Draw mean curves with their interquartile band, a line a model; columns model, `x`, `y`."""
    figure, axes = plt.subplots()
    for model, part in frame.groupby("model", sort=False):
        spread = part.groupby(x)[y].quantile([0.25, 0.75]).unstack()
        mean = part.groupby(x)[y].mean()
        colour = COLOURS.get(model)
        axes.fill_between(mean.index, spread[0.25], spread[0.75], color=colour, alpha=0.15)
        axes.plot(
            mean.index, mean, marker="o", markersize=3, color=colour, label=LABELS.get(model, model)
        )
    if log_x:
        axes.set_xscale("log")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()
    return figure


def boxes(frame: pd.DataFrame, *, x: str, y: str, xlabel: str, ylabel: str) -> Figure:
    """Draw distributions over users, a group an `x` value, a box a model."""
    figure, axes = plt.subplots()
    shown = frame.assign(label=frame["model"].map(lambda m: LABELS.get(m, m)))
    palette = {LABELS.get(m, m): c for m, c in COLOURS.items()}
    sns.boxplot(
        shown,
        x=x,
        y=y,
        hue="label",
        palette=palette,
        ax=axes,
        fliersize=1.5,
        linewidth=0.8,
        saturation=0.8,
    )
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(title=None)
    return figure
