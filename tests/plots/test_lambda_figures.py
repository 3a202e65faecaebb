"""Figures of lambda hold what they were given."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from seqattn.plots import lambda_gradients, lambda_trajectories

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_paths_mark_the_epoch_that_was_kept():
    frame = pd.DataFrame(
        {
            "model": ["ia-add"] * 3 + ["ia-val"] * 3,
            "seed": 1,
            "layer": 1,
            "epoch": [0, 1, 2] * 2,
            "lam": [1.0, 0.9, 0.8, 1.0, 1.1, 1.2],
            "kept": [False, True, False, False, False, True],
        }
    )
    dots = [
        (*line.get_xdata(), *line.get_ydata())
        for axes in lambda_trajectories(frame).axes
        for line in axes.lines
        if line.get_marker() == "o"
    ]
    assert dots == [(1, 0.9), (2, 1.2)]


def test_gradients_have_a_row_a_model_and_layer():
    frame = pd.DataFrame(
        {
            "model": ["ia-add"] * 4,
            "layer": [1, 2, 1, 2],
            "seed": [1, 1, 2, 2],
            "gradient": [0.1, -0.2, 0.3, -0.4],
        }
    )
    axes = lambda_gradients(frame).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Add, layer 1", "Add, layer 2"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [sorted(line.get_xdata()) for line in dots] == [[0.1, 0.3], [-0.4, -0.2]]
