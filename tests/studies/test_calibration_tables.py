"""The criterion on trial: which comparisons are calibrated, and what their tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fabricated import fabricate, groups_of

from seqattn.files import ROOT
from seqattn.stats.calibration import CRITERIA
from seqattn.studies import calibration
from seqattn.studies.study import Study, read_study


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A study and its groups, whose kept tables lie in a folder; few studies are simulated."""
    monkeypatch.setattr(calibration, "REPLICATES", 4)
    levels = lambda rhos, replicates: [{"rho": rho, "rate": 0.0} for rho in rhos]  # noqa: E731
    monkeypatch.setattr(calibration, "pooling_levels", levels)
    monkeypatch.setattr(Study, "folder", tmp_path / "tables")
    (tmp_path / "tables").mkdir()
    fabricate(tmp_path / "kept", "lastfm-tagged", n_users=20, models=("sasrec", "ia-val"))
    fabricate(tmp_path / "kept", "steam-au", n_users=20, seeds=(2020, 2021))
    study, groups = groups_of(tmp_path / "kept")
    groups = [g for g in groups if g.arm == "own_search"]
    return study, groups


def keep(study, groups):
    for name in ("rates", "cells", "pooling"):
        table = getattr(calibration, name)(study, groups)
        table.to_csv(study.folder / f"{name}.csv", index=False)


def test_each_whole_comparison_is_calibrated_once(made, monkeypatch):
    study, groups = made
    keep(study, groups)
    cells, rates = study.table("cells"), study.table("rates")
    assert cells[["dataset", "model", "replicates"]].values.tolist() == [
        ["lastfm-tagged", "ia-val", 4]
    ]
    assert len(cells["runs"][0].split()) == len(cells["base_runs"][0].split()) == 5
    assert set(rates["criterion"]) == set(CRITERIA)
    monkeypatch.setattr(calibration, "_calibrated", None)  # a call would fail
    pd.testing.assert_frame_equal(calibration.rates(study, groups), rates)
    pd.testing.assert_frame_equal(calibration.cells(study, groups), cells)


def test_a_comparison_of_other_runs_is_calibrated_again(made):
    study, groups = made
    keep(study, groups)
    cells = study.table("cells")
    cells.assign(runs="others").to_csv(study.folder / "cells.csv", index=False)
    study.table("rates").assign(rate=7.0).to_csv(study.folder / "rates.csv", index=False)
    assert (calibration.rates(study, groups)["rate"] <= 1).all()
    pd.testing.assert_frame_equal(calibration.cells(study, groups), cells)


def test_pooling_is_simulated_again_for_other_correlations(made, monkeypatch):
    study, groups = made
    keep(study, groups)
    assert list(calibration.pooling(study, groups)["rho"]) == list(calibration.RHOS)
    monkeypatch.setattr(calibration, "RHOS", (0.0, 0.5))
    assert list(calibration.pooling(study, groups)["rho"]) == [0.0, 0.5]


def curves(**found):
    """Rates of one comparison at effects 0, 5, 10, 20; usual ones are all found from 5 on."""
    key = dict(zip(calibration.COMPARISON, ("ml-100k", "own_search", False, "ia-add"), strict=True))
    rows = [
        key | {"world": world, "criterion": c, "effect_percent": effect, "rate": rate}
        for world in ("estimated", "upper")
        for c in CRITERIA
        for effect, rate in zip((0, 5, 10, 20), found.get(c, (0, 1, 1, 1)), strict=True)
    ]
    return pd.DataFrame(rows).assign(low=0.0, high=0.1, expected=0.05)


def test_the_strictest_part_is_the_one_that_alone_needs_most():
    late = (0, 0.4, 0.8, 1)
    (row,) = calibration.needs(curves(stability=late, robust=late)).to_dict("records")
    assert row["strictest"] == "stability"
    assert row["alone"] == row["robust"] == pytest.approx(10)
    assert 0 < row["t"] < 5
    never = calibration.needs(curves(t=(0, 0, 0, 0.1)))
    assert never["strictest"][0] == "t" and np.isnan(never["alone"][0])


def test_rates_outside_their_limits_are_counted_against_theory():
    rates = curves()
    assert len(calibration.off_theory(rates)[0]) == 0
    off, judged = calibration.off_theory(rates.assign(expected=0.2))
    assert len(off) == judged == len(rates)


def test_power_ends_at_the_first_effect_that_everything_finds():
    table = calibration.power(curves(t=(0, 0.5, 1, 1)))
    assert table.index.get_level_values("effect_percent").tolist() == [0, 5, 10]
    assert calibration.gaps(curves(t=(0, 0.5, 1, 1)), ("t", "pooled")).tolist() == [0.5]


def test_a_negative_user_variance_has_no_standard_deviation():
    cells = pd.DataFrame(
        {
            "base_mean": [0.1], "user_variance": [-0.001], "seed_sd": [0.01],
            "seed_sd_upper": [0.02], "residual_sd": [0.1], "seed_half_width_percent": [3.0],
        }
    )  # fmt: skip
    row = calibration.in_percent(cells).iloc[0]
    assert np.isnan(row["user"]) and row["seed"] == pytest.approx(10)


def test_the_committed_calibrations_rest_on_committed_runs():
    study = read_study("calibration")
    cells = study.table("cells")
    assert len(cells)
    for row in cells.itertuples():
        for model, keys in (("sasrec", row.base_runs), (row.model, row.runs)):
            kept = {
                p.name[-12:] for p in (ROOT / "results/campaign" / row.dataset / model).iterdir()
            }
            assert set(keys.split()) <= kept, (row.dataset, row.arm, model)
