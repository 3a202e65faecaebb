"""A campaign's cells calibrated: which records are made, and how they are read."""

from __future__ import annotations

import json

import pytest
from fabricated import fabricate

from seqattn.studies import calibrations
from seqattn.studies.calibrations import RHOS, calibrate_campaign, read_calibrations

FEW = {"replicates": 4}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(
        calibrations,
        "pooling_levels",
        lambda rhos, replicates: [{"rho": rho, "rate": 0.0} for rho in rhos],
    )
    for design in ("own_search", "shared_backbone"):
        fabricate(tmp_path / "kept", "ml-100k", design=design, n_users=20)
    return tmp_path / "kept"


def test_each_variant_is_calibrated_in_each_design_that_is_whole(results, tmp_path):
    fabricate(results, "steam-au", n_users=20, seeds=(2020, 2021))
    fabricate(results, "lastfm-tagged", n_users=20, models=("sasrec", "ia-val"))
    new = calibrate_campaign(results, tmp_path / "records", **FEW)
    assert {path.stem for path in new} == {"pooling", "lastfm-tagged-ia-val-published"} | {
        f"ml-100k-ia-{variant}-{design}"
        for variant in ("add", "mul", "val")
        for design in ("own_search", "shared_backbone")
    }
    records, pooling = read_calibrations(tmp_path / "records")
    found = [(r["dataset"], r["design"], r["variant"]) for r in records[:4]]
    assert found[0] == ("Last.FM (tagged)", "own_search", "ia-val")
    assert [f[1:] for f in found[1:]] == [
        ("own_search", "ia-add"), ("own_search", "ia-mul"), ("own_search", "ia-val"),
    ]  # fmt: skip
    assert [row["rho"] for row in pooling] == list(RHOS)


def test_what_has_a_record_of_these_very_cells_is_not_calibrated_again(results, tmp_path):
    calibrate_campaign(results, tmp_path, **FEW)
    assert calibrate_campaign(results, tmp_path, **FEW) == []
    path = tmp_path / "ml-100k-ia-add-matched.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cells": ["others"]}))
    assert calibrate_campaign(results, tmp_path, **FEW) == [path]


def test_pooling_is_simulated_again_for_other_correlations(results, tmp_path, monkeypatch):
    calibrate_campaign(results, tmp_path, **FEW)
    monkeypatch.setattr(calibrations, "RHOS", (0.0, 0.5))
    assert calibrate_campaign(results, tmp_path, **FEW) == [tmp_path / "pooling.json"]


def test_a_record_of_an_older_version_is_left_out(tmp_path):
    (tmp_path / "ml-100k-ia-add.json").write_text(json.dumps({"dataset": "x", "variant": "ia-add"}))
    assert read_calibrations(tmp_path) == ([], [])
