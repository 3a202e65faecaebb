"""The Performance page says what the results say, and "not run" where there are none."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

import benchmarks
from benchmarks import (
    accuracy_parity,
    backbones,
    figures,
    ladder,
    padding,
    page,
    where_time_goes,
)
from seqattn.data import CATALOGUE, Dataset, Sequences, leave_one_out

MACHINE = dict.fromkeys(("processor", "cores", "torch_threads", "cpu_capability", "torch"), "x")
RUNG = {"kind": "on by default", "targets/s without": 1.0, "targets/s with": 2.0}


# They are run by the Python of RecTools' own environment.
ELSEWHERE = (
    "pytorch_lightning",
    "rectools",
    "rectools.dataset",
    "rectools.fast_transformers",
    "rectools.models",
)


class Called(Exception):
    pass


def called(*arguments, **options):
    raise Called


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    monkeypatch.setattr(page, "FOLDER", tmp_path / "generated")
    return tmp_path


def put(results, name, **record):
    (results / f"{name}.json").write_text(json.dumps({"machine": MACHINE, **record}))


MODULES = sorted(path.stem for path in Path(benchmarks.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_finds_what_it_imports(monkeypatch, name):
    if name == "rectools_worker":
        for module in ELSEWHERE:
            monkeypatch.setitem(sys.modules, module, MagicMock(Callback=object))
    importlib.import_module(f"benchmarks.{name}")


def test_a_missing_result_reads_not_run(results):
    assert "Not run: `python -m benchmarks.lengths`" in page.section("lengths")


def test_a_missing_number_reads_not_run(results):
    put(results, "training", ratio_vs_recbole=45.44, rows=[{"contestant": "a"}])
    text = page.section("training")
    assert (
        "| stride 10 (the default): targets per second over RecBole's | 45.4 | 100, **missed** |"
        in text
    )
    assert "| stride 200, L = 200: targets per second over RecTools' | not run | 3 |" in text


@pytest.mark.parametrize(
    ("value", "aim", "mark"),
    [
        (99.9, "100", ", **missed**"),
        (100.0, "100", ""),
        (1.3, "at most 1.25", ", **missed**"),
        (900.0, "at most 1,024", ""),
        (0.6, "at least 0.7", ", **missed**"),
        (3.0, "about 1", ""),
        (3.0, "", ""),
        (None, "100", ""),
        ("launches", "", ""),
    ],
)
def test_a_number_that_misses_its_aim_says_so(results, value, aim, mark):
    assert page._missed({"key": value}, "key", aim) == mark


def test_a_contestants_records_are_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy_parity, "FOLDER", tmp_path)
    (tmp_path / "ml-100k").mkdir()
    for name in ("sliding-2020", "sliding-200-2020", "sliding-200-2021", "rectools-fast-2020"):
        record = {"valid": [0.0] * 8, "of": name}
        (tmp_path / "ml-100k" / f"{name}.json").write_text(json.dumps(record))
    found = {c: accuracy_parity.records("ml-100k", c) for c in accuracy_parity.CONTESTANTS}
    told = {
        c: [record["of"] for record in records.values()] for c, records in found.items() if records
    }
    assert told == {
        "sliding": ["sliding-2020"],
        "sliding-200": ["sliding-200-2020", "sliding-200-2021"],
        "rectools-fast": ["rectools-fast-2020"],
    }


LEVELS = """dataset,arm,part,kind,metric,mean,n_seeds
ml-100k,absolute,False,unfiltered,NDCG,0.0612,5
ml-100k,absolute,False,filtered,NDCG,0.0712,5
ml-100k,absolute,True,unfiltered,NDCG,0.0812,5
ml-100k,sliding,False,unfiltered,Recall,0.1,5
ml-100k,sliding,False,unfiltered,NDCG,0.0622,5
ml-100k,absolute exact,False,unfiltered,NDCG,0.0632,4
amazon-office,absolute,False,unfiltered,NDCG,0.0449,5
"""


@pytest.fixture
def levels(tmp_path, monkeypatch):
    (tmp_path / "levels.csv").write_text(LEVELS)
    monkeypatch.setattr(page, "POSITIONS", tmp_path)


def test_a_speed_stands_beside_what_the_same_mode_learned(results, levels):
    parity = [
        {"setting": setting, "contestant": name, "seeds": 5, "test NDCG@10": ndcg}
        for setting, name, ndcg in [
            ("ml-100k", "stride 10", 0.05897),
            ("ml-100k", "recbole", 0.0596),
            ("ml-100k", "rectools-fast", 0.0177),
            ("ml-100k-200", "rectools-fast", 0.0599),
            ("amazon-office", "stride 10", 0.0449),
        ]
    ]
    put(results, "accuracy_parity", rows=parity)
    speeds = [
        "RecBole",
        "ours, stride 1",
        "ours, stride 10",
        "ours, sliding window",
        "ours, stride 200, L = 200",
        "RecTools fast, L = 200",
    ]
    put(results, "training", rows=[{"contestant": name, "targets/s": 5} for name in speeds])
    lines = page.section("training").splitlines()
    head = f"| contestant | targets/s | {page.EARLY} | {page.LATE} |"
    assert lines[lines.index(head) + 2 :][:6] == [
        "| RecBole | 5 | 0.0596, 5 seeds |  |",
        "| ours, stride 1 | 5 |  |  |",  # one seed of its arm is missing
        "| ours, stride 10 | 5 | 0.0590, 5 seeds | 0.0612, 5 seeds |",
        "| ours, sliding window | 5 |  | 0.0622, 5 seeds |",
        "| ours, stride 200, L = 200 | 5 |  |  |",
        "| RecTools fast, L = 200 | 5 | 0.0177, 5 seeds | 0.0599, 5 seeds |",
    ]
    assert "had learned little" not in page.section("training")


def test_a_backbones_speed_stands_beside_its_own_accuracy(results, levels):
    put(results, "backbones", rows=[{"dataset": "ml-100k", "ratio": 2.0}])
    assert "| ml-100k | 2 | 0.0612, 5 seeds | 0.0622, 5 seeds |" in page.section("backbones")


def test_what_each_way_computes_is_counted_by_hand():
    # Training histories of 3 and 5 items: 2 and 4 targets, read from 1 + 2 and 1 + 2 + 3 + 4 items.
    items = np.array([1, 2, 3, 4, 5, 2, 3, 1, 5, 4, 6, 7])
    sequences = Sequences(
        items=items,
        intensity=None,
        timestamp=np.arange(12),
        offsets=np.array([0, 5, 12]),
        user_ids=np.arange(2),
        item_ids=np.arange(7),
    )
    split = leave_one_out(sequences)
    dataset = Dataset("by hand", CATALOGUE["synthetic"], sequences, split, (), "")
    counted = {row["way"]: row for row in padding.measure(dataset)}
    assert counted["RecBole's rows"]["positions per target"] == 50
    assert counted["RecBole's rows"]["padding, %"] == pytest.approx(100 * (1 - 13 / 300))
    # Whole: six inputs in one block of 50.
    assert counted["whole histories"]["positions per target"] == pytest.approx(50 / 6)
    assert counted["whole histories"]["padding, %"] == pytest.approx(100 * (1 - 6 / 50))
    # Windows: one row a history, 2 + 4 inputs; a rectangle of two rows of 4.
    assert counted[padding.RECTANGLE]["positions per target"] == pytest.approx(8 / 6)
    assert counted[padding.RECTANGLE]["padding, %"] == pytest.approx(100 * (1 - 6 / 8))


def test_a_parity_comparison_reads_as_its_interval():
    assert accuracy_parity.reading(True, -0.1, -0.05) == "equivalent"
    assert accuracy_parity.reading(False, -0.2, -0.1) == "lower"
    assert accuracy_parity.reading(False, 0.1, 0.2) == "higher"
    assert accuracy_parity.reading(False, -0.1, 0.2) == "can't be told"


def test_the_time_to_an_equal_accuracy_is_the_processors_where_it_was_kept():
    fast = {"valid": [0.1, 0.2, 0.3], "seconds": [9, 9, 9], "test_ranks": [1, 2]}
    ours = {"valid": [0.2, 0.4, 0.1], "seconds": [5, 5, 5], "test_ranks": [1, 1]}
    contestants: dict = {name: {} for name in accuracy_parity.CONTESTANTS} | {
        "rectools-fast": {1: fast},
        "sliding-200": {1: ours | {"cpu_seconds": [30, 30, 30]}},
    }
    rows = [
        accuracy_parity.contestant_row("ml-100k-200", name, contestants)
        for name in ("rectools-fast", "sliding-200")
    ]
    reached = [row["to rectools-fast's best"] for row in rows]
    assert reached == ["epoch 3, 27 s", "epoch 2, 1.0 processor minutes"]
    assert "to rectools-native's best" not in rows[0]


def test_rectools_and_its_twins_are_as_wide_inside(synthetic):
    setting = accuracy_parity.SETTINGS["ml-100k-200"]
    models = {
        name: accuracy_parity.mode(setting, synthetic, name)[0]
        for name in setting.contestants
        if name not in accuracy_parity.OF_RECTOOLS
    }
    widths = {name: (model.inner_size, model.sliding_window) for name, model in models.items()}
    assert widths == {"sliding-200": (256, 200), "sliding-200-narrow": (64, 200)}


def test_a_parity_run_of_another_length_is_run_again_and_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy_parity, "FOLDER", tmp_path)
    setting = accuracy_parity.SETTINGS["ml-1m"]._replace(epochs=2)
    monkeypatch.setitem(accuracy_parity.SETTINGS, "ml-1m", setting)
    (tmp_path / "ml-1m").mkdir()
    for seed, valid in ((1, [0.1]), (2, [0.1, 0.2])):
        (tmp_path / "ml-1m" / f"stride 10-{seed}.json").write_text(json.dumps({"valid": valid}))
    assert accuracy_parity.records("ml-1m", "stride 10") == {2: {"valid": [0.1, 0.2]}}
    monkeypatch.setattr(accuracy_parity, "load_dataset", called)
    accuracy_parity.run("ml-1m", "stride 10", 2)
    with pytest.raises(Called):
        accuracy_parity.run("ml-1m", "stride 10", 1)


def test_every_committed_result_has_its_section(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    committed = {path.stem for path in page.RESULTS.glob("*.json")}
    assert committed <= set(page.SECTIONS)
    assert all(page.section(name).startswith("### ") for name in page.SECTIONS)


def test_without_results_every_section_is_a_file_that_reads_not_run(results):
    page.main()
    written = {path.stem: path.read_text() for path in page.FOLDER.glob("*.md")}
    assert written.pop("run_times").startswith(("Not run: `make book`", "| | minutes |"))
    assert written.keys() == page.SECTIONS.keys()
    assert all(f"Not run: `python -m benchmarks.{n}`" in text for n, text in written.items())


def test_the_page_includes_every_section():
    prose = (page.FOLDER.parent / "performance.md").read_text()
    assert all(f"```{{include}} generated/{name}.md\n" in prose for name in page.SECTIONS)


def test_a_ladder_is_drawn_with_a_dot_and_a_spread_for_each_change(results):
    rows = [
        {"change": "small", **RUNG, "effect": 1.1, "low": 0.9, "high": 1.2},
        {"change": "large", **RUNG, "effect": 4.0, "low": 3.5, "high": 4.5},
    ]
    put(results, "ladder", targets_per_second=2.0, rows=rows)
    text = page.section("ladder")
    assert "](generated/ladder.svg)" in text and "| small | on by default |" in text
    svg = (page.FOLDER / "ladder.svg").read_text()
    assert svg.index("large") < svg.index("small")
    axes = figures.ladder({"rows": rows}).axes[0]
    assert [tuple(line.get_segments()[0][:, 0]) for line in axes.collections] == [
        (3.5, 4.5),
        (0.9, 1.2),
    ]


def test_learning_curves_are_drawn_only_where_the_result_has_them(results):
    rows = [{"contestant": "stride 1", "seeds": 1}]
    put(results, "accuracy_parity", rows=rows)
    assert "svg" not in page.section("accuracy_parity")
    curve = {
        "setting": "d",
        "contestant": "stride 1",
        "seed": 1,
        "valid": [0.1, 0.3],
        "seconds": [2, 3],
    }
    comparisons = [{"comparison": "stride 50 minus stride 1", "difference": 0.01, "ci": [0, 1]}]
    put(results, "accuracy_parity", rows=rows, curves=[curve], comparisons=comparisons)
    text = page.section("accuracy_parity")
    assert "generated/accuracy_parity.svg" in text
    assert "| stride 50 minus stride 1 | 0.01 |" in text
    drawn = figures.parity({"curves": [curve]}).axes[0].lines[0]
    assert [list(xy) for xy in drawn.get_data()] == [[1, 2], [0.1, 0.3]]


def test_seconds_taken_beside_other_work_are_not_shown(results):
    row = {
        "contestant": "L = 200, stride 200",
        "s/epoch": 7.1,
        "to stride 1's best": "epoch 3, 21 s",
    }
    put(
        results,
        "accuracy_parity",
        rows=[row, {"contestant": "stride 1", "to stride 1's best": "never"}],
    )
    text = page.section("accuracy_parity")
    assert "| contestant | to stride 1's best |" in text
    assert "| L = 200, stride 200 | epoch 3 |" in text and "| stride 1 | never |" in text
    assert "s/epoch" not in text and "21 s" not in text


def test_no_section_names_a_mode_by_anything_but_its_stride(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    for name in page.SECTIONS:
        assert not re.search(r"\b(packed|dense|exact)\b", page.section(name)), name


def test_the_default_beside_recbole_is_said_in_words(results):
    row = {"NDCG@10": -0.002, "90 % interval": [-0.007, 0.002], "margin": 0.003, "users": 943}
    rows = [
        {
            "setting": "d",
            "comparison": "stride 10 minus recbole",
            "seeds": 3,
            **row,
            "reads": "lower",
        },
        {
            "setting": "d",
            "comparison": "stride 50 minus recbole",
            "seeds": 1,
            **row,
            "reads": "higher",
        },
    ]
    put(results, "accuracy_parity", rows=rows, comparisons=rows)
    text = page.section("accuracy_parity")
    told = "- d, stride 10 minus recbole: **lower**, -0.0020 [-0.0070, +0.0020] with a margin of"
    assert (
        f"{told} 0.0030, 943 users, 3 seeds\n" in text and "stride 50 minus recbole: **" not in text
    )


def test_searches_in_each_mode_are_drawn_trial_by_trial(results):
    trials = [
        {"dataset": "d", "mode": "stride 50", "values": [0.1, 0.2]},
        {"dataset": "d", "mode": "stride 1", "values": [0.3]},
    ]
    put(results, "tuned_modes", rows=[{"mode": "stride 50", "seeds": 5}], trials=trials)
    text = page.section("tuned_modes")
    assert "generated/tuned_modes.svg" in text and "| stride 50 | 5 |" in text
    drawn = figures.tuned({"trials": trials}).axes[0].lines
    assert [list(line.get_ydata()) for line in drawn] == [[0.1, 0.2], [0.3]]


def test_a_gpu_result_shows_its_numbers_and_what_was_not_run(results):
    put(results, "gpu", ratio_stacked_vs_in_turn=3.5, rows=[{"mode": "batched"}])
    text = page.section("gpu")
    assert "stacked over in turn, targets per second | 3.5 | 3 |" in text
    assert "| bound by | not run |  |" in text


PATCHES = [
    pytest.param(change, target, name, id=f"{change_name}: {name}")
    for change_name, change in ladder.CHANGES.items()
    for target, name, _ in change.patches
]


@pytest.mark.parametrize(("change", "target", "name"), PATCHES)
def test_a_step_of_training_uses_what_the_ladder_patches(synthetic, change, target, name):
    with pytest.raises(Called):
        ladder.contestant(synthetic, change._replace(steps=1, patches=((target, name, called),)))()


def test_the_ladder_undoes_the_fusing_of_adam():
    options = {"lr": 0.1, "fused": True}
    optimiser = ladder.unfused_adam([torch.nn.Parameter(torch.ones(2))], **options)
    assert optimiser.defaults["fused"] is optimiser.defaults["foreach"] is False
    assert optimiser.defaults["lr"] == 0.1


def test_an_operation_counts_by_itself_or_with_what_called_it():
    event = SimpleNamespace
    loss = event(name="TiedCrossEntropy", cpu_parent=None)
    assert where_time_goes.kind(event(name="aten::mm", cpu_parent=loss)) == "matrix products"
    assert where_time_goes.kind(event(name="aten::sum", cpu_parent=None)) == "sums and residuals"
    assert where_time_goes.kind(event(name="aten::sum", cpu_parent=loss)).startswith("loss")
    assert where_time_goes.kind(event(name="anything", cpu_parent=None)) == where_time_goes.REST


def test_the_interval_of_a_ratio_of_speeds_is_students_of_its_logarithm():
    logs = [0.1, 0.2, 0.3]  # mean 0.2, standard error 0.1 / sqrt(3); t of 2 degrees is 4.3027
    rates = {"sliding window": [math.exp(x) for x in logs], "windows": [1.0, 1.0, 1.0]}
    found = backbones.interval(rates)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert found == pytest.approx((math.exp(0.2 - half), math.exp(0.2 + half)), rel=1e-5)
