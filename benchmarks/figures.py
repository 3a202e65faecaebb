"""The Performance page's pictures, drawn from the records in ``benchmarks/results``.

`draw` writes one SVG a benchmark and returns its alternative text; it is None where the record
holds nothing to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from seqattn.plots import use_style
from seqattn.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

Record = Mapping[str, Any]
KINDS = {
    "on by default": BLUE,
    "tried, left out": VERMILION,
    "not built: upper bound": GREY,
}
RUNS = {
    "stride 50": BLUE,
    "stride 10": SKY,
    "L = 200, stride 200": PURPLE,
    "stride 1": GREEN,
    "recbole": VERMILION,
    "prefix": GREY,
    "sliding-200": BLUE,
    "sliding-200-narrow": SKY,
    "rectools-native": GREEN,
    "rectools-fast": VERMILION,
}


def draw(name: str, record: Record, folder: Path) -> str | None:
    """Write ``<folder>/<name>.svg`` and return its alternative text, or None without a picture."""
    if name not in FIGURES:
        return None
    use_style()
    figure_of, alt = FIGURES[name]
    figure = figure_of(record)
    if figure is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    return alt


def bars(label: str, value: str, xlabel: str, log: bool = True) -> Callable[[Record], Figure]:
    """Return a drawer of horizontal bars, a row each, with the number at the end."""

    def drawer(record: Record) -> Figure | None:
        rows = [row for row in record["rows"] if row.get(value) is not None]
        if not rows:
            return None
        figure, axes = plt.subplots(figsize=(7, 0.9 + 0.32 * len(rows)))
        drawn = axes.barh([row[label] for row in rows], [row[value] for row in rows], color=BLUE)
        axes.bar_label(drawn, [_short(row[value]) for row in rows], padding=3)
        axes.set(xlabel=xlabel, xscale="log" if log else "linear")
        axes.margins(x=0.12)
        _rows_downwards(axes)
        return figure

    return drawer


def shares(record: Record) -> Figure:
    """Draw each kind of work's share of a step."""
    rows = [{**row, "percent": 100 * row["share"]} for row in record["rows"]]
    return bars("work", "percent", "share of the training step (%)", log=False)({"rows": rows})


def ladder(record: Record) -> Figure:
    """Draw each change's effect on speed: a dot with its spread, a colour a kind."""
    rows = sorted(record["rows"], key=lambda row: -row["effect"])
    figure, axes = plt.subplots(figsize=(7, 1.4 + 0.32 * len(rows)))
    for place, row in enumerate(rows):
        colour = KINDS.get(row["kind"], ORANGE)
        axes.hlines(place, row["low"], row["high"], color=colour)
        axes.plot(row["effect"], place, "o", color=colour)
        axes.annotate(
            f"{row['effect']:.3g}×",
            (row["high"], place),
            (6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="speed with the change over speed without it")
    axes.set_yticks(range(len(rows)), [row["change"] for row in rows])
    axes.margins(x=0.12)
    _rows_downwards(axes)
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    handles = [plt.Line2D([], [], marker="o", color=KINDS[kind]) for kind in kinds]
    axes.legend(handles, kinds, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(kinds))
    return figure


def scaling(record: Record) -> Figure:
    """Draw time per target and peak memory against users, a line a catalogue."""
    figure, panels = plt.subplots(1, 2, figsize=(8.2, 3.2))
    columns = (("us/target", "microseconds per target"), ("peak GiB", "peak memory (GiB)"))
    sizes = sorted({row["items"] for row in record["rows"]})
    for axes, (column, label) in zip(panels, columns, strict=True):
        for n_items, colour in zip(sizes, (BLUE, VERMILION, GREEN), strict=False):
            rows = [row for row in record["rows"] if row["items"] == n_items]
            axes.plot(
                [row["users"] for row in rows],
                [row[column] for row in rows],
                "o-",
                color=colour,
                label=f"{n_items:,} items",
            )
        axes.set(xscale="log", xlabel="users", ylabel=label)
        axes.set_ylim(bottom=0)
    panels[0].legend()
    return figure


def parity(record: Record) -> Figure | None:
    """Draw validation NDCG@10 against epochs, if the record has curves.

    The record's ``curves`` are mappings with setting, contestant, seed, and a list ``valid`` of an
    entry an epoch. A panel a setting, a line a contestant, the mean of its seeds, dashed at
    L = 200 beside RecTools; the thin line is the best with stride 1.
    """
    curves = record.get("curves")
    if not curves:
        return None
    settings = list(dict.fromkeys(curve["setting"] for curve in curves))
    n_rows = (len(settings) + 1) // 2
    figure, panels = plt.subplots(n_rows, 2, figsize=(8.2, 0.4 + 2.8 * n_rows), squeeze=False)
    for axes in panels.flat[len(settings) :]:
        axes.set_axis_off()
    for axes, setting in zip(panels.flat, settings, strict=False):
        of_setting = [curve for curve in curves if curve["setting"] == setting]
        for name in dict.fromkeys(curve["contestant"] for curve in of_setting):
            runs = [curve["valid"] for curve in of_setting if curve["contestant"] == name]
            valid = np.mean(runs, axis=0)
            style = {"color": RUNS.get(name, ORANGE), "marker": ".", "label": name}
            style["linestyle"] = "--" if name.startswith(("sliding-200", "rectools")) else "-"
            axes.plot(np.arange(1, len(valid) + 1), valid, **style)
            if name == "stride 1":
                axes.axhline(valid.max(), color="black", linewidth=0.8, linestyle="--")
        axes.set(title=setting, xlabel="epoch", ylabel="validation NDCG@10")
        axes.legend()
    return figure


def by_time(record: Record) -> Figure | None:
    """Draw validation NDCG@10 against the processor's time, a line a loss, the mean of its seeds.

    The record's ``curves`` are mappings with loss, seed, and lists ``valid`` and ``cpu_seconds`` of
    an entry an epoch.
    """
    curves = record.get("curves")
    if not curves:
        return None
    figure, axes = plt.subplots(figsize=(7, 3.2))
    colours = (VERMILION, BLUE, SKY, GREEN, PURPLE)
    for loss, colour in zip(dict.fromkeys(c["loss"] for c in curves), colours, strict=False):
        of_loss = [curve for curve in curves if curve["loss"] == loss]
        valid = np.mean([curve["valid"] for curve in of_loss], axis=0)
        minutes = np.mean([np.cumsum(c["cpu_seconds"]) for c in of_loss], axis=0) / 60
        axes.plot(minutes, valid, ".-", color=colour, label=loss)
    axes.set(xscale="log", xlabel="processor minutes", ylabel="validation NDCG@10")
    axes.legend()
    return figure


def padding(record: Record) -> Figure:
    """Draw the positions that each way computes for a target, a row a dataset, a colour a way."""
    rows = record["rows"]
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.42 * len(datasets)))
    colours = (VERMILION, GREEN, BLUE, GREY, SKY, PURPLE)
    for way, colour in zip(dict.fromkeys(row["way"] for row in rows), colours, strict=False):
        of_way = [row for row in rows if row["way"] == way]
        places = [datasets.index(row["dataset"]) for row in of_way]
        values = [row["positions per target"] for row in of_way]
        axes.plot(values, places, "o", color=colour, label=way)
    axes.set(xscale="log", xlabel="positions computed for each target")
    axes.set_yticks(range(len(datasets)), datasets)
    _rows_downwards(axes)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


def tuned(record: Record) -> Figure | None:
    """Draw what each trial of the modes' searches reached, a colour a mode, a panel a dataset.

    The record's ``trials`` are mappings with dataset, mode and list ``values``; a trial is one
    configuration in every mode.
    """
    searches = record.get("trials")
    if not searches:
        return None
    datasets = list(dict.fromkeys(search["dataset"] for search in searches))
    figure, panels = plt.subplots(1, len(datasets), figsize=(7, 3.2), squeeze=False)
    for axes, dataset in zip(panels[0], datasets, strict=True):
        for search in (s for s in searches if s["dataset"] == dataset):
            mode, values = search["mode"], search["values"]
            style = {"color": RUNS.get(mode, ORANGE), "label": mode, "alpha": 0.8}
            axes.plot(range(1, len(values) + 1), values, "o", **style)
        axes.set(title=dataset, xlabel="trial", ylabel="validation NDCG@10")
        axes.legend()
    return figure


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rows_downwards(axes: plt.Axes) -> None:
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")


# benchmark: (drawer, alternative text; the numbers are in the table below each picture)
FIGURES: dict[str, tuple[Callable[[Record], Figure | None], str]] = {
    "where_time_goes": (shares, "Bars: each kind of work's share of a training step."),
    "training": (
        bars("contestant", "targets/s", "targets per second"),
        "Bars: targets per second of RecBole, our modes, and the matrix products alone.",
    ),
    "ladder": (ladder, "Dots with spreads: how many times faster each change makes the step."),
    "padding": (padding, "Dots: positions computed for each target, by dataset and way."),
    "compiled": (
        bars("contestant", "targets/s", "targets per second", log=False),
        "Bars: targets per second of the step, eager and compiled.",
    ),
    "accuracy_parity": (
        parity,
        "Lines: validation NDCG@10 by epoch, a panel a setting, a line a contestant.",
    ),
    "large_catalogue": (
        by_time,
        "Lines: validation NDCG@10 by the processor's time, a line a loss, a dot an epoch.",
    ),
    "tuned_modes": (tuned, "Dots: validation NDCG@10 of each trial's configuration, by mode."),
    "injection_overhead": (
        bars("model", "step ratio", "time of a step over SASRec's", log=False),
        "Bars: time of a training step over SASRec's, for each injection and normalisation.",
    ),
    "lengths": (
        bars("log", "targets/s", "targets per second", log=False),
        "Bars: targets per second for short, middling and long histories.",
    ),
    "scaling": (scaling, "Lines: time per target and peak memory against the number of users."),
    "statistics": (bars("contestant", "seconds", "seconds"), "Bars: seconds of ours and scipy's."),
    "preparation": (
        bars("contestant", "seconds", "seconds"),
        "Bars: seconds of preparation, RecBole's and ours.",
    ),
}
