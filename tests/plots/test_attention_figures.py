"""Figures of attention hold what they were given."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch

from seqattn import plots
from seqattn.errors import SeqattnError

matplotlib.use("Agg")
TEXTS = {"xlabel": "x", "ylabel": "y"}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "model": ["sasrec"] * 6 + ["bert4rec"] * 6,
            "n": [10, 10, 10, 20, 20, 20] * 2,
            "y": [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        }
    )


@pytest.fixture
def uniform():
    return pd.DataFrame({"model": ["sasrec", "bert4rec"] * 2, "n": [10, 10, 20, 20], "y": 0.5})


def test_curves_draw_means_references_and_the_level_of_noise(frame, uniform):
    axes = plots.curves(frame, x="n", y="y", uniform=uniform, noise=30, **TEXTS).axes[0]
    drawn = {
        (line.get_linestyle(), *line.get_ydata()) for line in axes.lines if len(line.get_xdata())
    }
    assert {("-", 2, 5), ("-", 8, 11), ("--", 0.5, 0.5), (":", 30, 30)} == drawn
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["SASRec", "BERT4Rec (AE)", "uniform, same mask", "noise alone"]


def test_curves_without_references_name_none(frame):
    axes = plots.curves(frame, x="n", y="y", **TEXTS).axes[0]
    assert len(axes.lines) == len(axes.get_legend().get_texts()) == 2


def test_boxes_are_hollow_and_mark_uniform_attention_beside_each(frame, uniform):
    axes = plots.boxes(frame, x="n", y="y", uniform=uniform, **TEXTS).axes[0]
    assert not any(isinstance(patch, PathPatch) for patch in axes.patches)  # filled ones are
    points = np.concatenate([c.get_offsets() for c in axes.collections])
    assert len(points) == 4 and set(points[:, 1]) == {0.5}
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["SASRec", "BERT4Rec (AE)", "uniform, same mask"]


def test_boxes_stand_alone(frame):
    axes = plots.boxes(frame, x="n", y="y", **TEXTS).axes[0]
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["SASRec", "BERT4Rec (AE)"] and not axes.collections


def test_by_distance_draws_a_panel_a_layer_and_term_and_colours_one_seed():
    index = pd.MultiIndex.from_product(
        [[1, 2], [1, 2], ["keys", "values"], [5, 4], range(3)],
        names=["layer", "head", "term", "seed", "distance"],
    )
    frame = pd.DataFrame({"weight": np.arange(len(index), dtype=float)}, index=index).reset_index()
    figure = plots.by_distance(frame, "weight")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["layer 1: keys", "layer 1: values", "layer 2: keys", "layer 2: values"]
    told = frame.query("layer == 2 and head == 1 and term == 'keys' and seed == 4")
    line = figure.axes[2].lines[0]
    assert line.get_ydata().tolist() == told["weight"].tolist()
    assert [line.get_label() for line in figure.axes[0].lines[:2]] == ["head 1", "head 2"]
    assert {line.get_color() for line in figure.axes[0].lines[2:]} == {plots.style.GREY}


def test_by_distance_has_numbers_on_its_axes_and_one_scale_a_term():
    index = pd.MultiIndex.from_product(
        [[1, 2], [1], ["keys", "values"], [5], range(50)],
        names=["layer", "head", "term", "seed", "distance"],
    )
    frame = pd.DataFrame({"weight": np.linspace(0, 3, len(index))}, index=index).reset_index()
    figure = plots.by_distance(frame, "weight")
    figure.canvas.draw()
    upper, _, lower, _ = figure.axes
    assert upper.get_ylim() == lower.get_ylim() and len(lower.get_yticks()) > 2
    assert [label.get_text() for label in lower.get_xticklabels() if label.get_text()]
    assert lower.get_xlabel() == "distance" and not upper.get_xlabel()


def test_by_distance_without_runs_reads_not_run():
    assert plots.by_distance(pd.DataFrame(), "weight").axes[0].texts[0].get_text() == "not run"
    assert plots.by_length(pd.DataFrame(), "level", 50).axes[0].texts[0].get_text() == "not run"


def test_by_length_draws_a_panel_a_dataset_and_gives_an_arm_one_colour():
    rows = [
        *(("a", "A", "sliding", n, 0.1 + n / 1000) for n in (10, 50, 99)),
        *(("a", "A", "relative", n, 0.2) for n in (10, 50, 99)),
        *(("b", "B", "relative", n, 0.3) for n in (10, 50, 99)),
    ]
    frame = pd.DataFrame(rows, columns=["dataset", "title", "arm", "read", "level"])
    figure = plots.by_length(frame, "NDCG@10", 50)
    left, right = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["A", "B"]
    sliding, relative, _ = left.lines
    assert sliding.get_ydata().tolist() == pytest.approx([0.11, 0.15, 0.199])
    assert relative.get_color() == right.lines[0].get_color() != sliding.get_color()
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["10", "50", "99"]


def test_a_level_stands_over_the_share_of_attention_nearby():
    rows = [("sasrec", 0.3, 0.05, 0.04, 0.06), ("bert4rec", 0.4, 0.03, 0.02, 0.05)]
    points = pd.DataFrame(rows, columns=["model", "near", "level", "low", "high"])
    axes = plots.attention.locality(points, "NDCG@10").axes[0]
    drawn = [container.lines[0].get_xydata().tolist()[0] for container in axes.containers]
    assert drawn == [[0.3, 0.05], [0.4, 0.03]]
    ends = [c.lines[2][0].get_segments()[0][:, 1].tolist() for c in axes.containers]
    assert ends == [pytest.approx([0.04, 0.06]), pytest.approx([0.02, 0.05])]
    assert [text.get_text() for text in axes.texts] == ["SASRec", "BERT4Rec (AE)"]


def test_only_the_outer_maps_say_what_the_axes_are():
    row = {"sasrec": np.eye(3), "bert4rec": np.eye(3)}
    drawn = plots.maps_grid({"attention": row, "rank 5": row}).axes
    assert [axes.get_xlabel() for axes in drawn] == ["", "", "key", "key"]
    assert [axes.get_ylabel() for axes in drawn] == ["attention\nquery", "", "rank 5\nquery", ""]


def test_gains_that_were_not_run_say_so():
    table = pd.DataFrame({"printed": [19.6, 28.0], "here": [np.nan, -5.0]}, index=["local", "ce"])
    axes = plots.attention.gains(table, "%").axes[0]
    widths = [[bar.get_width() for bar in container] for container in axes.containers]
    assert widths == [[19.6, 28.0], [0.0, -5.0]]
    assert [text.get_text() for text in axes.texts] == ["+20", "+28", "not run", "-5"]


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    figure, _ = plt.subplots()
    old = tmp_path / "a.svg"
    old.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("seqattn.files.os.replace", full)
        with pytest.raises(SeqattnError, match=r"a\.svg: No space left on device; make room"):
            plots.style.save(figure, old)
    assert old.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(SeqattnError, match=r"a\.xyz: .*; write \.svg, \.png or \.pdf"):
        plots.style.save(figure, tmp_path / "a.xyz")
    assert plots.style.save(figure, old).read_text().startswith("<?xml")
