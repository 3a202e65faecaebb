"""Figures of many comparisons: what is drawn is what the frames hold."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from seqattn.plots import pools
from seqattn.plots.style import COLOURS
from seqattn.stats.pools import random_effects


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows(**more):
    frame = pd.DataFrame(
        {
            "title": ["One", "One", "Two", "One", "One", "Two"],
            "model": ["ia-add", "ia-mul", "ia-add"] * 2,
            "arm": ["own_search"] * 3 + ["shared_backbone"] * 3,
        }
    )
    return frame.assign(**more)


def test_a_diamond_is_as_wide_as_the_pools_interval():
    frame = rows(change=range(6), counted=[True, True, False] * 2)
    frame = frame.assign(low=lambda f: f.change - 1, high=lambda f: f.change + 1)
    found = {
        arm: random_effects(part["change"], [1.0] * len(part))
        for arm, part in frame.groupby("arm", sort=False)
    }
    figure = pools.pooled_forest(frame, found, xlabel="change")
    for axes, pool in zip(figure.axes, found.values(), strict=True):
        (diamond,) = axes.patches
        x = diamond.get_xy()[:, 0]
        assert (x.min(), x.max()) == pytest.approx(pool.ci)
        assert axes.get_yticks()[-1] == diamond.get_xy()[0, 1]
        assert f"{pool.estimate:+.1f} [" in axes.texts[-1].get_text()
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert [line.get_markerfacecolor() == "white" for line in dots] == [False, False, True]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()][-1] == "pooled"


def test_each_comparison_is_a_dot_in_its_arms_panel():
    frame = rows(test=range(6), valid=range(6), counted=[True, False] * 3)
    figure = pools.retest(frame, {"own_search": 0.5, "shared_backbone": -0.1})
    for axes, title in zip(figure.axes, ("own search", "SASRec's backbone"), strict=True):
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert sum(len(line.get_xdata()) for line in dots) == 3
        hollow = {line.get_markerfacecolor() == "white" for line in dots}
        assert hollow == {True, False}
        assert axes.title.get_text().startswith(title) or axes.get_title(loc="left").startswith(
            title
        )


def test_a_cell_that_is_not_counted_is_hollow():
    frame = rows(moved=0.1, possible=[0.1, 0.2, 0.3, 1, 2, 3]).assign(
        counted=[False] * 3 + [True] * 3
    )
    figure = pools.travelled(frame)
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [dot.get_markerfacecolor() for dot in dots] == ["white"] * 3 + [
        COLOURS[model] for model in frame["model"][3:]
    ]


def test_bars_of_claims_add_up():
    counts = pd.DataFrame({"yes": [3, 1], "no": [0, 2], "not run": [1, 0]}, index=["a", "b"])
    figure = pools.claims(counts)
    assert sum(bar.get_width() for bar in figure.axes[0].patches) == 7


def test_without_rows_a_figure_reads_not_run():
    for figure in (
        pools.pooled_forest(pd.DataFrame(), {}, xlabel=""),
        pools.retest(pd.DataFrame(), {}),
        pools.travelled(pd.DataFrame()),
    ):
        assert "not run" in [text.get_text() for text in figure.texts + figure.axes[0].texts]
