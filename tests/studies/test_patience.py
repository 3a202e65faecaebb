"""Fits repeated with more patience: what is compared with what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fabricated import fabricate, keep, made_up_search

from seqattn.config import SEEDS, VARIANTS
from seqattn.errors import SeqattnError
from seqattn.files import ROOT
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric
from seqattn.studies import plan
from seqattn.studies.patience import epochs, patience
from seqattn.studies.plan import DataFacts
from seqattn.studies.study import read_study

RANKS = {"sasrec": 3, "ia-add": 2, "ia-mul": 4, "ia-val": 3}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The study of patience on one dataset, whose longer runs rank by `RANKS`."""
    fabricate(tmp_path, "ml-100k")
    for model, rank in RANKS.items():
        for seed in SEEDS:
            spec = made_up_search("ml-100k", model).spec(seed)
            train = replace(spec.train_config, patience=20, epochs=100)
            ranks = np.full(60, rank, dtype=np.int32)
            keep(tmp_path, replace(spec, train_config=train), ranks, (), 100, 90)
    facts = DataFacts("ml-100k", "f" * 16, 1000, 60)
    monkeypatch.setattr(plan, "data_facts", lambda name: facts)
    return replace(read_study("patience"), datasets=("ml-100k",), results=tmp_path)


def test_longer_fits_are_compared_with_usual_ones_and_with_sasrecs_longer_ones(study):
    groups = plan.read(plan.wanted(study), Store(study.results))
    table = patience(study, groups).set_index(["model", "against"])
    assert len(table) == 4 + 2 * len(VARIANTS)
    gain = {m: metric(np.array([r]), "NDCG", 10)[0] for m, r in RANKS.items()}
    for model in VARIANTS:
        # All searches found one configuration, so the control is SASRec.
        own, control = (table.loc[(model, a)] for a in ("patient", "patient_control"))
        assert own.equals(control)
        assert own["change"] == pytest.approx(100 * (gain[model] / gain["sasrec"] - 1))
    usual = table.loc[("sasrec", "usual")]
    assert usual["level"] == pytest.approx(gain["sasrec"]) and usual["base"] != usual["level"]
    best = epochs(study, groups)
    assert len(best) == 4 * len(SEEDS)
    assert set(best["usual_epoch"]) == {1} and set(best["epoch"]) == {90}
    assert best["at_the_limit"].all() and set(best["patience"]) == {20}


def test_a_set_without_all_seeds_is_left_out(study):
    groups = plan.read(plan.wanted(study), Store(study.results))
    short = [replace(g, runs=g.runs[:4]) if g.arm == "patient" else g for g in groups]
    assert epochs(study, short).empty
    assert set(patience(study, short)["against"]) == {"patient_control"}


@pytest.mark.parametrize("table", [patience, epochs])
def test_a_longer_fit_of_a_model_without_usual_ones_is_refused(study, table):
    groups = plan.read(plan.wanted(study), Store(study.results))
    rest = [g for g in groups if (g.arm, g.model) != ("usual", "ia-add")]
    with pytest.raises(SeqattnError, match="'patient' has ia-add, and arm 'usual'"):
        table(study, rest)


def test_the_committed_tables_are_of_committed_runs():
    table = read_study("patience").table("epochs")
    assert len(table)
    for row in table.itertuples():
        folder = ROOT / "results" / "campaign" / row.dataset / row.model
        assert (folder / f"seed-{row.seed}-{row.usual_run}").is_dir()
