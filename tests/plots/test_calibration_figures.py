"""Figures of the calibration: a variant's colour, a design's marker, a dataset's own scale."""

from __future__ import annotations

from itertools import product

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from seqattn.plots import calibration
from seqattn.plots.style import COLOURS, use_style
from seqattn.stats.calibration import CRITERIA

matplotlib.use("Agg")
VARIANTS = ("ia-add", "ia-mul", "ia-val")
DESIGNS = ("own_search", "shared_backbone")


@pytest.fixture(autouse=True)
def _style():
    with matplotlib.rc_context():
        use_style()
        yield
        plt.close("all")


def cells(datasets):
    frame = pd.DataFrame(product(datasets, DESIGNS, VARIANTS), columns=["title", "arm", "model"])
    return frame.assign(rho=-0.1, low=-0.2, high=0.05, width_ratio=0.9, pooled_rate=0.2)


def rates(risen):
    """Rates of cells; `risen` gives the effect from which on everything is found."""
    rows = product(risen.items(), DESIGNS, VARIANTS, CRITERIA, (0.0, 1.0, 5.0, 30.0))
    return pd.DataFrame(
        {
            "title": title, "arm": arm, "model": model, "criterion": criterion,
            "world": "estimated", "effect_percent": effect, "rate": float(effect >= least),
            "low": 0.0, "high": 1.0, "expected": 0.05,
        }
        for (title, least), arm, model, criterion, effect in rows
    )  # fmt: skip


def test_rho_is_drawn_in_its_variants_colour_and_hollow_where_as_published():
    figure = calibration.correlations(cells(["A", "B"]))
    left, right = figure.axes
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert [to_hex(d.get_color()) for d in dots[:3]] == [to_hex(COLOURS[v]) for v in VARIANTS]
    assert [d.get_markerfacecolor() == "white" for d in dots] == [True] * 3 + [False] * 3 + [
        True
    ] * 3 + [False] * 3
    assert {d.get_xdata()[0] for d in right.lines if d.get_marker() == "o"} == {0.9}


def test_each_dataset_has_its_own_scale_of_effects():
    figure = calibration.power_curves(rates({"small": 1.0, "large": 30.0}).query("arm != ''"))
    tops = [axes.get_xlim()[1] for axes in figure.axes]
    assert tops == [1.0] * 3 + [30.0] * 3
    colours = [axes.lines[-2].get_color() for axes in figure.axes[:3]]
    assert colours == [COLOURS[v] for v in VARIANTS]


@pytest.mark.parametrize("number", [1, 10])
def test_keys_cover_no_data_with_one_dataset_and_with_ten(number):
    titles = [f"Dataset {n}" for n in range(number)]
    table = rates(dict.fromkeys(titles, 5.0))
    for figure in (
        calibration.correlations(cells(titles)),
        calibration.pooling_dial(cells(titles), [{"rho": 0, "rate": 0.05, "low": 0, "high": 0.1}]),
        calibration.false_positives(table),
        calibration.power_curves(table[table["arm"] == "shared_backbone"]),
    ):
        figure.draw_without_rendering()  # where everything is; its pixels would be half the time
        (key,) = figure.legends
        for axes in figure.axes:
            assert not key.get_window_extent().overlaps(axes.get_tightbbox())


def test_datasets_differ_by_marker_on_the_dial():
    axes = calibration.pooling_dial(cells(["A", "B", "C"])).axes[0]
    markers = [line.get_marker() for line in axes.lines[2:-1]]
    assert [len(set(markers[n : n + 6])) for n in (0, 6, 12)] == [1, 1, 1]
    assert len(set(markers)) == 3


@pytest.mark.parametrize(
    "draw",
    [
        calibration.correlations,
        calibration.pooling_dial,
        calibration.false_positives,
        calibration.power_curves,
    ],
)
def test_nothing_run_says_so(draw):
    assert draw(pd.DataFrame()).axes[0].texts[0].get_text() == "not run"
