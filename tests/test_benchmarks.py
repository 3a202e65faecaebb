"""The Performance page says what the results say, and "not run" where there are none."""

from __future__ import annotations

import json

import pytest

from benchmarks import page


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    return tmp_path


def test_a_missing_result_reads_not_run(results):
    assert "Not run: `python -m benchmarks.lengths`" in page.section("lengths")


def test_a_missing_number_reads_not_run(results):
    machine = dict.fromkeys(("processor", "cores", "torch_threads", "cpu_capability", "torch"), "x")
    record = {"ratio_vs_recbole": 45.44, "rows": [{"contestant": "a"}], "machine": machine}
    (results / "training.json").write_text(json.dumps(record))
    text = page.section("training")
    assert "| packed targets per second over RecBole's | 45.4 | 100 |" in text
    assert "| packed targets per second over RecTools', L = 200 | not run | 3 |" in text


def test_every_committed_result_has_its_section():
    committed = {path.stem for path in page.RESULTS.glob("*.json")}
    assert committed <= set(page.SECTIONS)
    assert all(page.section(name).startswith("### ") for name in page.SECTIONS)
