"""Figures of searches and results: the book's colours and names, keys beside the data."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from seqattn.plots import lambdas, training
from seqattn.plots.style import COLOURS, use_style

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _style():
    with matplotlib.rc_context():
        use_style()
        yield
        plt.close("all")


def study(name, values, pruned=0):
    """A study of two parameters whose value is set by the first alone."""
    made = optuna.create_study(direction="maximize", study_name=name)
    rates = optuna.distributions.FloatDistribution(0, 1)
    for number, value in enumerate(values):
        made.add_trial(
            optuna.trial.create_trial(
                value=value,
                params={"learning_rate": value, "hidden_dropout": (7 * number % 10) / 10},
                distributions={"learning_rate": rates, "hidden_dropout": rates},
            )
        )
    for _ in range(pruned):
        made.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED))
    return made


def test_history_has_a_models_dots_and_best_so_far_in_its_colour():
    values = {"ia-val": [0.3, 0.1, 0.5, 0.4], "sasrec": [0.2, 0.6]}
    figure = training.search_history([study(*item, pruned=1) for item in values.items()])
    dots, best, *others = figure.axes[0].lines
    assert dots.get_ydata().tolist() == values["sasrec"]  # the order of the book, not given
    assert to_hex(dots.get_color()) == to_hex(best.get_color()) == to_hex(COLOURS["sasrec"])
    assert others[1].get_ydata().tolist() == [0.3, 0.3, 0.5, 0.5]
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["SASRec", "Val"]
    assert_clear(figure)


def test_history_without_a_search_says_so():
    assert [text.get_text() for text in training.search_history([]).axes[0].texts] == ["not run"]


def test_importances_are_optunas_under_names_that_can_be_read():
    values = np.random.default_rng(0).random(20).tolist()
    searched = study("ia-add", values)
    axes = training.search_importances(searched).axes[0]
    assert axes.get_yticklabels()[0].get_text() == "learning rate"
    widths = [bar.get_width() for bar in axes.patches]
    assert widths[0] > 0.9 and sum(widths) == pytest.approx(1)
    assert to_hex(axes.patches[0].get_facecolor()) == to_hex(COLOURS["ia-add"])
    again = training.search_importances(searched).axes[0]
    assert [bar.get_width() for bar in again.patches] == widths


def test_keys_of_scattered_points_and_sweeps_cover_no_data():
    grid = np.linspace(0, 1.5, 4)
    points = pd.DataFrame({"model": ["ia-add", "ia-mul"], "lam": [0.1, 0.9], "change": [1, -1]})
    lam = pd.DataFrame({"model": "ia-add", "seed": 1, "layer": [1, 2], "epoch": 1, "lam": 1.0})
    lam["kept"] = True
    assert_clear(lambdas.lambda_against_change(points))
    assert_clear(lambdas.lambda_sweep(grid, {"ia-add": np.ones((2, 4))}, {"ia-add": 0.5}))
    assert_clear(lambdas.lambda_trajectories(lam))


def assert_clear(figure):
    """No legend overlaps a panel or its title."""
    figure.canvas.draw()
    assert figure.legends
    for key in figure.legends:
        for axes in figure.axes:
            assert axes.get_legend() is None
            assert not key.get_window_extent().overlaps(axes.get_tightbbox())
