"""The study's table of noise in evaluation, its shares, and what [AE] printed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from seqattn import load_dataset
from seqattn.plots.ae_ar import ratios
from seqattn.presets import get_preset
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric
from seqattn.studies import noise
from seqattn.studies.plan import DataFacts, Group

N_ITEMS = load_dataset("synthetic").n_items


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("store"), load_dataset("synthetic")
    store, smoke = Store(folder), get_preset("smoke")
    facts = DataFacts(data.name, data.fingerprint, data.n_targets, data.n_users)
    runs = {
        name: fit_run(store, data, run_spec(data, name, 3, smoke))
        for name in ("sasrec", "sse-pt-ar", "sse-pt-ae")
    }
    groups = [Group(facts, "sse-pt", name, (r.spec,), runs=(r,)) for name, r in runs.items()]
    study = SimpleNamespace(stores=[], kept=lambda name: pd.DataFrame())
    return noise.noise(study, groups), runs


def test_the_table_has_models_with_users_alone_and_their_own_level(table):
    frame, runs = table
    assert set(frame["model"]) == {"sse-pt-ar", "sse-pt-ae"}
    assert len(frame) == 2 * 2 * len(noise.PUBLISHED) * len(noise.USERS)
    for (name, measure), part in frame.groupby(["model", "metric"]):
        own = metric(runs[name].ranks("test"), measure, 10).mean()
        assert part["clean"].tolist() == pytest.approx([own] * len(part))
        by_chance = np.mean([metric(np.array([r]), measure, 10)[0] for r in range(1, N_ITEMS + 1)])
        rate = part["item"] * (1 - part["item"])
        expected = (1 - rate) * own + rate * by_chance
        assert part["targets"].tolist() == pytest.approx(expected.tolist())


def test_shares_are_ratios_of_means_over_seeds():
    rows = {"dataset": "d", "model": "sse-pt-ar", "metric": "Recall", "item": 0.2, "user": 0.8}
    frame = pd.DataFrame(
        [
            {**rows, "clean": 0.10, "targets": 0.08, "noisy": 0.06},
            {**rows, "clean": 0.30, "targets": 0.24, "noisy": 0.14},
            {**rows, "metric": "NDCG", "clean": 9.0, "targets": 9.0, "noisy": 9.0},
        ]
    )
    (row,) = noise.shares(frame).to_dict("records")
    assert row["ceiling"] == pytest.approx(0.8)
    assert row["left"] == pytest.approx(0.5)
    assert row["rate"] == pytest.approx(0.16)
    assert row["n_seeds"] == 2
    assert noise.shares(pd.DataFrame()).empty


def test_printed_ratios_are_those_of_table_5():
    told = noise.printed_ratios().set_index(["dataset", "attention"])["ratio"]
    assert len(told) == 10
    assert told["ml-1m", "AR"] == pytest.approx(0.2523 / 0.3089)
    assert told["yelp", "AE"] == pytest.approx(0.0490 / 0.0728)


def test_the_figure_has_a_row_a_title_and_a_line_a_rate():
    rows = pd.DataFrame(
        [("A", "AE", 0.8, False), ("A", "AR", 0.7, False), ("B", "AR", 0.9, True)],
        columns=["title", "attention", "ratio", "ours"],
    )
    figure = ratios(rows, [0.16, 0.24, 0.16])
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["A", "B"]
    assert [text.get_text() for text in axes.texts] == ["0.84", "0.76"]
    assert isinstance(ratios(rows[:0], []), Figure)


def test_sse_pt_stands_beside_the_plain_model_of_its_side():
    rows = [("vanilla", "sasrec", 0.2), ("vanilla", "bert4rec", 0.1), ("sse-pt", "sse-pt-ar", 0.1)]
    rows = [("d", arm, model, "unfiltered", "Recall", mean) for arm, model, mean in rows]
    rows += [("d", "sse-pt", "sse-pt-ar", "filtered", "Recall", 9.0)]
    columns = ["dataset", "arm", "model", "kind", "metric", "mean"]
    told = noise.beside_plain(pd.DataFrame(rows, columns=columns))
    assert told.to_dict() == {("d", "AR"): pytest.approx(0.5)}  # AE's SSE-PT was not run
    assert noise.beside_plain(pd.DataFrame()).empty
