"""The generated parts of the page "Calibration"."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from seqattn.calibration_page import write_calibration
from seqattn.stats.calibration import calibrate
from seqattn.stats.variance import pooling_levels

PAGE = Path(__file__).parents[1] / "book" / "results" / "calibration.md"


@pytest.fixture(scope="module")
def record():
    rng = np.random.default_rng(0)
    base = rng.random((5, 40))
    found = calibrate(
        base,
        base + rng.normal(0, 0.1, base.shape),
        effects=[0, 5, 30],
        replicates=30,
        n_resamples=100,
    )
    cell = {"dataset": "Invented", "variant": "ia-add", "metric": "NDCG@10"}
    return json.loads(json.dumps(cell | found.to_dict(), allow_nan=False))


def included():
    return set(re.findall(r"generated/(\S+)", PAGE.read_text(encoding="utf-8")))


def test_every_part_that_the_page_includes_is_written_with_and_without_records(record, tmp_path):
    write_calibration([], tmp_path / "empty")
    write_calibration([record], tmp_path / "full", pooling_levels([0.5], replicates=20))
    for folder in ("empty", "full"):
        assert {path.name for path in (tmp_path / folder).iterdir()} == included()
    texts = {path.read_text() for path in (tmp_path / "empty").glob("*.md")}
    assert texts == {"Not run.\n"}
    assert "not run" in (tmp_path / "empty" / "calibration_power.svg").read_text()


def test_parts_tell_the_records_numbers(record, tmp_path):
    write_calibration([record], tmp_path)
    assert (
        "Simulated: 30 studies a world, 100 resamples each"
        in (tmp_path / "calibration_settings.md").read_text()
    )
    (null,) = [
        rate
        for rate in record["rates"]
        if (rate["world"], rate["criterion"], rate["effect_percent"]) == ("estimated", "pooled", 0)
    ]
    levels = (tmp_path / "calibration_levels.md").read_text()
    assert f"{null['rate']:.1%} ({null['low']:.1%} to {null['high']:.1%})" in levels
    reading = (tmp_path / "calibration_reading.md").read_text()
    assert "**Invented, Add, NDCG@10.**" in reading and "nan" not in reading


def test_same_records_same_bytes(record, tmp_path):
    for folder in ("one", "two"):
        write_calibration([record], tmp_path / folder)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
