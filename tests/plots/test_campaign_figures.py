"""Figures of a campaign hold what they were given, and say "not run" where there is nothing."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from seqattn.plots import changes as campaign

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "title": ["ML-100K", "ML-100K", "ML-1M"],
            "model": ["ia-add", "ia-val", "ia-add"],
            "change": [-4.0, 2.0, 0.5],
            "low": [-6.0, -1.0, 0.1],
            "high": [-2.0, 5.0, 0.9],
            "published_change": [-5.4, -8.2, 1.0],
        }
    )


def test_forest_draws_a_panel_a_design_with_ours_and_the_published_point(frame):
    empty = frame.iloc[:0]
    figure = campaign.change_forest({"own_search": frame, "shared_backbone": empty}, xlabel="%")
    (axes,) = figure.axes
    ends = [segment[:, 0].tolist() for c in axes.collections for segment in c.get_segments()]
    assert ends == frame[["low", "high"]].to_numpy().tolist()
    hollow = [line for line in axes.lines if line.get_marker() == "D"]
    assert hollow[0].get_xdata().tolist() == frame["published_change"].tolist()
    labels = axes.get_yticklabels()
    assert [t.get_text() for t in labels] == ["ML-100K", "Add", "Val", "ML-1M", "Add"]
    assert [t.get_fontweight() == "bold" for t in labels] == [True, False, False, True, False]
    places = dict(zip([*map(id, labels)], axes.get_yticks(), strict=True))
    drawn = [segment[0, 1] for c in axes.collections for segment in c.get_segments()]
    assert drawn == [places[id(labels[n])] for n in (1, 2, 4)]  # each line beside its name


def test_forest_without_published_values_has_no_key_for_them(frame):
    figure = campaign.change_forest(
        {"own_search": frame.drop(columns="published_change")}, band=5, xlabel="%"
    )
    assert figure.legends == []


def test_panels_of_a_forest_share_their_scale_and_the_key_covers_no_panel(frame):
    wide = frame.assign(high=frame["high"] + 50)
    figure = campaign.change_forest({"own_search": wide, "shared_backbone": frame}, xlabel="%")
    left, right = figure.axes
    assert left.get_xlim() == right.get_xlim()
    assert [text.get_text() for text in right.get_yticklabels()] == [""] * 5  # named at the left
    other = campaign.change_forest({"own_search": wide, "shared_backbone": frame[:2]}, xlabel="%")
    assert [text.get_text() for text in other.axes[1].get_yticklabels()] == [
        "ML-100K",
        "Add",
        "Val",
    ]
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()] == ["ours, 95 % interval", "published"]
    assert_clear(figure)


def test_three_panels_stand_in_two_lines_each_with_the_numbers_of_its_scale(frame):
    figure = campaign.change_forest(dict.fromkeys("abc", frame), xlabel="%")
    figure.canvas.draw()
    rows = [axes.get_subplotspec().rowspan.start for axes in figure.axes]
    assert rows == [0, 0, 1]
    assert all(any(t.get_text() for t in axes.get_xticklabels()) for axes in figure.axes)


def assert_clear(figure):
    """No legend overlaps a panel or its title."""
    figure.set_layout_engine("constrained")
    figure.canvas.draw()
    for key in figure.legends:
        for axes in figure.axes:
            assert not key.get_window_extent().overlaps(axes.get_tightbbox())
    assert all(axes.get_legend() is None for axes in figure.axes)


@pytest.mark.parametrize("draw", [campaign.change_forest, campaign.absolute_levels])
def test_nothing_run_says_so(draw):
    figure = draw({"own_search": pd.DataFrame(), "shared_backbone": pd.DataFrame()}, xlabel="x")
    assert figure.axes[0].texts[0].get_text() == "not run"


def test_lambda_figure_keeps_published_points_when_ours_were_not_run():
    points = pd.DataFrame(
        {
            "model": ["ia-add", "ia-mul"],
            "mean": [np.nan] * 2,
            "change": [np.nan] * 2,
            "lambda_mean": [0.6, 0.2],
            "published_change": [-5.4, -3.2],
        }
    )
    figure = campaign.lambda_calibration({"own_search": points})
    assert_clear(figure)
    axes = figure.axes[0]
    assert "not run" in axes.texts[0].get_text()
    drawn = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert drawn == [0.6, 0.2]


def test_counts_stand_beside_their_bars():
    counts = pd.DataFrame({"rule": ["a", "b"], "losses": [3, 1], "gains": [0, 2]})
    axes = campaign.robust_counts({"own_search": counts}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "2"]
    assert [bar.get_width() for bar in axes.patches] == [-3, -1, 0, 2]
