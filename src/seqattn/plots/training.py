"""Figures of results: learning curves, differences with intervals, lambda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from seqattn.plots.campaign import legend_above
from seqattn.plots.style import BLUE, COLOURS, GREEN, GREY, VERMILION, name_of

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
        for model, group in histories.groupby("model", sort=False):
            colour = COLOURS.get(model)
            for _, run in group.groupby("seed"):
                axes.plot(run["epoch"], run[column], color=colour, linewidth=0.6, alpha=0.4)
            mean = group.groupby("epoch")[column].agg(["mean", "size"])
            full = mean[mean["size"] == mean["size"].max()]
            axes.plot(full.index, full["mean"], color=colour, label=name_of(model))
        axes.set(xlabel="epoch", ylabel=label)
    legend_above(figure, panels[0].get_legend_handles_labels()[0])
    return figure


def search_history(studies: Sequence[Study]) -> Figure:
    """Draw Optuna's history of several searches: each trial's objective and the best so far.

    A study is named after its model. Trials that were pruned or failed have no value: not drawn.
    """
    figure, axes = plt.subplots(figsize=(7, 3.6))
    order = list(COLOURS)
    known = [study for study in studies if study.study_name in order]
    others = [study for study in studies if study.study_name not in order]
    for study in sorted(known, key=lambda s: order.index(s.study_name)) + others:
        trials = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
        numbers, values = [t.number for t in trials], [t.value for t in trials]
        colour = COLOURS.get(study.study_name)
        (dots,) = axes.plot(numbers, values, "o", color=colour, markersize=4, alpha=0.6)
        axes.step(
            numbers, np.maximum.accumulate(values), where="post", color=dots.get_color(),
            label=name_of(study.study_name),
        )  # fmt: skip
    axes.set(xlabel="trial", ylabel="validation NDCG@10")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure


def search_importances(study: Study) -> Figure:
    """Draw Optuna's importances (fANOVA): each parameter's share of the objective's variance."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    # Its forest is random: with a seed a re-run draws the same bars.
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.32 * len(shares)))
    bars = axes.barh(
        [_PARAMETERS.get(name, name.replace("_", " ")) for name in shares],
        list(shares.values()), color=COLOURS.get(study.study_name, GREY), height=0.6,
    )  # fmt: skip
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
    for row, record in enumerate(frame.itertuples()):
        for offset, interval, width, label in (
            (-0.12, record.pooled_ci, 4.5, "pooled over users × seeds (as published)"),
            (0.12, record.clustered_ci, 1.8, "clustered by user"),
        ):
            low, high = interval
            colour = VERMILION if high < 0 else GREEN if low > 0 else GREY
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
    axes.set_ylim(-0.5, len(frame) - 0.5)
    axes.set_yticks(range(len(frame)), [name_of(m) for m in frame["model"]])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set(xlabel=xlabel)
    handles, labels = axes.get_legend_handles_labels()
    grey = [plt.Line2D([], [], color=GREY, linewidth=h.get_linewidths()[0]) for h in handles[:2]]
    for handle, label in zip(grey, labels, strict=False):
        handle.set_label(label)
    legend_above(figure, grey)
    return figure


def lambda_trajectories(frame: pd.DataFrame) -> Figure:
    """Draw lambda by epoch: a panel a model, a line a (seed, layer)."""
    models = list(dict.fromkeys(frame["model"]))
    figure, panels = plt.subplots(1, len(models), figsize=(2.7 * len(models), 3), sharey=True)
    for axes, model in zip(np.atleast_1d(panels), models, strict=True):
        part = frame[frame["model"] == model]
        for (_, layer), run in part.groupby(["seed", "layer"]):
            colour = (BLUE, VERMILION, GREEN)[(layer - 1) % 3]
            axes.plot(run["epoch"], run["lam"], color=colour, linewidth=1, alpha=0.7)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=name_of(model), xlabel="epoch")
    first = np.atleast_1d(panels)[0]
    first.set_ylabel("λ")
    layers = sorted(frame["layer"].unique())
    colours = (BLUE, VERMILION, GREEN)
    handles = [
        plt.Line2D([], [], color=colours[(layer - 1) % 3], label=f"layer {layer}")
        for layer in layers
    ]
    legend_above(figure, handles)
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
        axes.plot(grid, mean, color=colour, label=name_of(model))
        axes.plot(trained[model], np.interp(trained[model], grid, mean), "o", color=colour)
    axes.set(xlabel="λ, the same in every layer", ylabel="validation NDCG@10")
    legend_above(figure, axes.get_legend_handles_labels()[0])
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
            label=name_of(model),
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="λ, mean over layers", ylabel="NDCG@10 change vs SASRec (%)")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure
