"""SASRec's fits repeated with more patience."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
from fabricated import made_up_search

from seqattn import patience
from seqattn.campaign import SEEDS
from seqattn.config import ModelConfig, TrainConfig
from seqattn.evaluation import metric
from seqattn.pages.campaign import patience_table
from seqattn.results import rank_matrix
from seqattn.store import Store
from seqattn.training.cells import fit_cell

SMALL = ModelConfig(max_length=10, hidden_size=8, inner_size=8, n_layers=1)
SHORT = TrainConfig(learning_rate=3e-2, epochs=2, patience=1)


@pytest.fixture(scope="module")
def searched(synthetic, tmp_path_factory):
    """A campaign's search of SASRec on synthetic data."""
    folder = tmp_path_factory.mktemp("campaign")
    search = made_up_search("synthetic", "sasrec")
    search = replace(
        search, fingerprint=synthetic.fingerprint, model_config=SMALL, train_config=SHORT
    )
    search.write(folder)
    return folder, search


def test_longer_fits_are_those_of_the_search_with_more_patience(
    searched, synthetic, tmp_path, monkeypatch, capsys
):
    folder, search = searched
    monkeypatch.setattr(patience, "EPOCHS", 4)
    argv = ["patience", "-d", "synthetic", "--results", folder, "--store", tmp_path, "-o", tmp_path]
    monkeypatch.setattr(sys, "argv", [str(word) for word in argv])
    assert patience.main() == 2
    assert "has 0 of 5 fits of 'sasrec'" in capsys.readouterr().err

    cells = [fit_cell(Store(folder), synthetic, search.spec(seed)) for seed in SEEDS]
    assert patience.main() == 0
    record = patience.read_records(tmp_path)["synthetic"]
    train = replace(SHORT, patience=patience.PATIENCE, epochs=4)
    specs = [replace(search.spec(seed), train_config=train) for seed in SEEDS]
    longer = [Store(tmp_path).get(spec) for spec in specs]
    assert record["epochs"] == [cell.facts["best_epoch"] for cell in longer]
    assert record["at_the_limit"] == len(SEEDS)  # 20 epochs of patience end nothing in 4
    means = [metric(rank_matrix(group), "NDCG", 10).mean() for group in (cells, longer)]
    assert [record["usual"], record["mean"]] == pytest.approx(means)
    assert record["change"] == pytest.approx(100 * (means[1] / means[0] - 1))
    assert record["low"] <= record["change"] <= record["high"]

    text = patience_table({"synthetic": record}, {"synthetic": cells})
    assert f"{means[0]:.4f} → {means[1]:.4f}" in text and "5 of 5" in text
    assert re.search(r"with 20 epochs of patience", text)


def test_a_record_of_other_fits_is_not_shown(searched, synthetic):
    folder, search = searched
    cells = [fit_cell(Store(folder), synthetic, search.spec(SEEDS[0]))]
    assert patience_table({"synthetic": {"cells": ["0" * 12]}}, {"synthetic": cells}) == "Not run."
    assert patience_table({"synthetic": {"cells": []}}, {}) == "Not run."


def test_the_committed_records_are_of_committed_fits():
    for dataset, record in patience.read_records().items():
        kept = patience.CAMPAIGN / dataset / "sasrec"
        names = {f"seed-{s}-{k}" for s, k in zip(SEEDS, record["cells"], strict=True)}
        assert names <= {path.name for path in kept.iterdir()}, dataset
