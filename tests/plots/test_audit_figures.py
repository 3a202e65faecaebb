"""Figures of the audit hold what they were given."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from seqattn import plots
from seqattn.plots.audit import entropies

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_lights_show_each_finding_with_a_shape_of_its_light():
    findings = pd.DataFrame(
        {
            "title": ["ties", "users", "leaks"],
            "value": [0.756, 6_040, np.nan],
            "amber": [0.01, 10_000, 0.01],
            "red": [0.05, 1_000, 0.1],
            "light": ["red", "amber", "grey"],
        }
    )
    axes = plots.audit_lights(findings).axes[0]
    assert [line.get_marker() for line in axes.lines] == ["s", "^", "_"]
    shown = [text.get_text() for text in axes.texts]
    assert {"ties", "0.756", "0.01 / 0.05", "6,040", "not judged"} <= set(shown)
    assert "nan" not in " ".join(shown)


@pytest.mark.parametrize("gaps", [[], [0, 0], [0, 5, 90, 4e7]])
def test_gap_figure_counts_every_gap_once(gaps):
    axes = plots.gap_distribution(np.array(gaps, dtype=float)).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == len(gaps)


def test_intensity_panels_name_each_view_with_its_bits():
    views = {name: np.linspace(0, 1, 9) for name in ("raw", "log1p", "none", "zscore")}
    figure = plots.intensity_panels(views, dict.fromkeys(views, 1.5), dict.fromkeys(views, 0.7))
    titles = [axes.get_title() for axes in figure.axes]
    titles += [axes.get_title(loc="left") for axes in figure.axes]
    assert {f"{name}\n1.50 bits, 0.70 in a history" for name in views} <= set(titles)


@pytest.mark.parametrize("log", [False, True])
def test_intensity_by_popularity_draws_the_median_of_each_group(log):
    popularity = np.repeat([1, 5, 25], 4)
    intensity = np.array([1, 1, 1, 9, 2, 2, 2, 9, 3, 3, 3, 9])
    figure = plots.intensity_by_popularity(popularity, intensity, unit="hours", log=log)
    median = figure.axes[0].lines[0]
    assert 1 in median.get_ydata()
    assert figure.axes[0].get_ylabel() == "intensity (hours)"


def test_intensity_by_popularity_of_one_popular_item_does_not_fail():
    plots.intensity_by_popularity(np.full(5, 7), np.arange(5), unit="stars")


def test_entropies_show_bits_of_every_mode_and_spread_of_those_given():
    a = {"log1p_minmax": 5.0, "minmax": 2.0, "zscore": 0.5, "none": 1.0}
    b = {"log1p_minmax": 4.5, "minmax": 3.0, "zscore": 0.6, "none": 4.0}
    spread = {"a": {"minmax": 0.2}, "b": {"minmax": 0.3}}
    left, right = entropies({"a": a, "b": b}, spread).axes
    assert [line.get_xdata().tolist() for line in left.lines] == [[a[m], b[m]] for m in a]
    drawn = [line.get_xdata().tolist() for line in right.lines if len(line.get_xdata())]
    assert drawn == [[0.2, 0.3]]
    assert right.get_xlim() == (0, 0.5)


def test_a_history_is_coloured_by_part_and_a_dollar_in_its_unit_is_no_formula():
    part = np.array(["train", "train", "context", "test"])
    figure = plots.history(np.array([1.0, 2.0, 3.0, 4.0]), part, unit="US$ a $\\broken week")
    figure.canvas.draw()
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "training",
        "test",
        "neither",
    ]
    assert [len(lines.get_segments()) for lines in axes.collections] == [2, 1, 1]
