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

PAGE = Path(__file__).parents[2] / "book" / "results" / "calibration.md"


def made(seed, **cell):
    rng = np.random.default_rng(seed)
    base = rng.random((5, 40))
    found = calibrate(
        base,
        base + rng.normal(0, 0.1, base.shape),
        effects=[0, 5, 30],
        replicates=30,
        n_resamples=100,
    )
    usual = {
        "dataset": "Invented",
        "variant": "ia-add",
        "design": "shared_backbone",
        "metric": "NDCG@10",
    }
    usual["cells"] = [f"cell {seed}"]
    return json.loads(json.dumps(usual | cell | found.to_dict(), allow_nan=False))


@pytest.fixture(scope="module")
def record():
    return made(0)


@pytest.fixture(scope="module")
def both(record):
    return [made(1, design="own_search"), record]


def included():
    """What the page, and the summary of all results, take from here."""
    pages = (PAGE, PAGE.with_name("summary.md"))
    names = [re.findall(r"generated/(calibration_\S+)", page.read_text()) for page in pages]
    return {name for found in names for name in found}


def test_every_part_that_the_page_includes_is_written_with_and_without_records(record, tmp_path):
    write_calibration([], tmp_path / "empty")
    write_calibration([record], tmp_path / "full", pooling_levels([0.5], replicates=20))
    for folder in ("empty", "full"):
        assert {path.name for path in (tmp_path / folder).iterdir()} == included()
    texts = {path.read_text() for path in (tmp_path / "empty").glob("*.md")}
    assert texts == {"Not run.\n"}
    assert "not run" in (tmp_path / "empty" / "calibration_power_matched.svg").read_text()
    # Only one design was run.
    assert "not run" in (tmp_path / "full" / "calibration_power_published.svg").read_text()


def part(folder, name):
    return (folder / f"calibration_{name}.md").read_text()


def row(folder, name, number=-1):
    """A table's row as a dict, by default the last."""
    head, _, *rows = part(folder, name).strip().splitlines()
    split = [[c.strip() for c in line.strip("| ").split(" | ")] for line in (head, rows[number])]
    return dict(zip(*split, strict=True))


def test_parts_tell_the_records_numbers(record, tmp_path):
    write_calibration([record], tmp_path)
    settings = part(tmp_path, "settings")
    assert "0 *as published* and 1 *matched* comparisons, NDCG@10" in settings
    assert "Simulated: 30 studies a world, 100 resamples each" in settings
    (null,) = [
        rate
        for rate in record["rates"]
        if (rate["world"], rate["criterion"], rate["effect_percent"]) == ("estimated", "pooled", 0)
    ]
    told = f"{null['rate']:.1%} ({null['low']:.1%} to {null['high']:.1%})"
    assert row(tmp_path, "levels")["pooled bootstrap"] == told
    needs = row(tmp_path, "needs")
    assert (needs["dataset"], needs["design"], needs["variant"]) == (
        "Invented",
        "shared_backbone",
        "Add",
    )
    assert all("nan" not in path.read_text() for path in tmp_path.glob("*.md"))


def test_both_designs_stand_beside_each_other(both, tmp_path):
    write_calibration(both, tmp_path)
    assert [row(tmp_path, "rho", n)["design"] for n in (0, 1)] == [
        "as published",
        "shared_backbone",
    ]
    text = part(tmp_path, "correlation")
    assert "Of 1 comparisons *as published*" in text and "Of 1 comparisons *matched*" in text
    assert "came to the same" not in part(tmp_path, "settings")
    twins = [{**record, "cells": ["one", "and the same"]} for record in both]
    write_calibration(twins, tmp_path)
    assert "same configuration for Add on Invented" in part(tmp_path, "settings")


def test_a_negative_correlation_is_shown_as_it_is(record, tmp_path):
    negative = record["correlation"] | {"rho": -0.08, "low": -0.113, "high": -0.044}
    variance = record["components"] | {"user_variance": -0.001}
    write_calibration([record | {"correlation": negative, "components": variance}], tmp_path)
    told = row(tmp_path, "rho")
    assert (told["ρ"], told["95 % interval"]) == ("-0.080", "[-0.113, -0.044]")
    assert row(tmp_path, "cells")["user effect, sd"] == "none (ρ < 0)"
    assert "all above zero in 0 and all below in 1" in part(tmp_path, "correlation")


def test_the_strictest_part_is_the_one_that_needs_the_largest_effect(record, tmp_path):
    def found(rate):
        easy = {"t": 30, "clustered": 5, "stability": 5, "robust": 30, "robust_clustered": 30}
        return float(rate["effect_percent"] >= easy.get(rate["criterion"], 5))

    rates = [rate | {"rate": found(rate)} for rate in record["rates"]]
    write_calibration([record | {"rates": rates}], tmp_path)
    needs = row(tmp_path, "needs")
    # 80 % of the way from 5 %, where none is found, to 30 %, where all are.
    assert (needs["strictest part"], needs["it alone needs"]) == ("t-test", "25.0 %")
    assert "the strictest part is the t-test in 1" in part(tmp_path, "reading")


@pytest.mark.parametrize(
    ("clustered_rule", "told"), [(0.5, "hides which was used"), (0.1, "so it matters")]
)
def test_what_the_choice_of_a_rule_is_worth_follows_the_rates(
    clustered_rule, told, record, tmp_path
):
    rate_of = {"pooled": 0.9, "clustered": 0.4, "robust": 0.5, "robust_clustered": clustered_rule}
    rates = [rate | {"rate": rate_of.get(rate["criterion"], 0.5)} for rate in record["rates"]]
    write_calibration([record | {"rates": rates}], tmp_path)
    assert told in part(tmp_path, "reading")


def test_theory_is_told_where_it_fails(record, tmp_path):
    rates = [
        rate | ({"expected": rate["rate"]} if rate["expected"] else {}) for rate in record["rates"]
    ]
    write_calibration([record | {"rates": rates}], tmp_path)
    assert "limits in 0 of 6 rates" in part(tmp_path, "theory")
    wrong = [r | ({"expected": 0.9} if r["expected"] is not None else {}) for r in rates]
    write_calibration([record | {"rates": wrong}], tmp_path)
    assert "limits in 6 of 6 rates" in part(tmp_path, "theory")
    assert "| Invented | matched | Add | t-test | estimated |" in part(tmp_path, "theory")


def test_same_records_same_bytes(record, tmp_path):
    for folder in ("one", "two"):
        write_calibration([record], tmp_path / folder)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
