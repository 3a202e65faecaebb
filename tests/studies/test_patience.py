"""Fits repeated with more patience."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from fabricated import made_up_search

from seqattn.config import SEARCHED, SEEDS, ModelConfig, TrainConfig
from seqattn.pages.patience import texts
from seqattn.runs.fitting import fit_run
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric
from seqattn.studies import patience
from seqattn.studies.tables import read

SMALL = ModelConfig(max_length=10, hidden_size=8, inner_size=8, n_layers=1)
SHORT = TrainConfig(learning_rate=3e-2, epochs=2, patience=1)


@pytest.fixture(scope="module")
def searched(synthetic, tmp_path_factory):
    """A campaign's searches on synthetic data."""
    folder = tmp_path_factory.mktemp("campaign")
    searches = {}
    for model in SEARCHED:
        search = replace(
            made_up_search("synthetic", model),
            fingerprint=synthetic.fingerprint,
            model_config=SMALL,
            train_config=SHORT,
        )
        search.write(folder)
        searches[model] = search
    return folder, searches


def test_longer_fits_are_those_of_the_search_with_more_patience(
    searched, synthetic, tmp_path, monkeypatch, capsys
):
    folder, searches = searched
    monkeypatch.setattr(patience, "EPOCHS", 3)
    argv = ["patience", "-d", "synthetic", "--results", folder, "--store", tmp_path, "-o", tmp_path]
    monkeypatch.setattr(sys, "argv", [str(word) for word in argv])
    assert patience.main() == 2
    assert "has 0 of 5 fits of 'sasrec'" in capsys.readouterr().err

    cells = {
        model: [fit_run(Store(folder), synthetic, search.spec(seed)) for seed in SEEDS]
        for model, search in searches.items()
    }
    assert patience.main() == 0
    record = patience.read_records(tmp_path)["synthetic"]
    train = replace(SHORT, patience=patience.PATIENCE, epochs=3)
    longer = {
        model: [
            Store(tmp_path).get(replace(search.spec(seed), train_config=train)) for seed in SEEDS
        ]
        for model, search in searches.items()
    }
    levels = {m: metric(rank_matrix(group), "NDCG", 10).mean() for m, group in longer.items()}
    for row in record["models"]:
        model = row["model"]
        assert row["epochs"] == [cell.facts["best_epoch"] for cell in longer[model]]
        assert row["at_the_limit"] == len(SEEDS)  # 20 epochs of patience end nothing in 3
        usual = metric(rank_matrix(cells[model]), "NDCG", 10).mean()
        assert [row["base"], row["level"]] == pytest.approx([usual, levels[model]])
        assert row["change"] == pytest.approx(100 * (levels[model] / usual - 1))
        assert row["low"] <= row["change"] <= row["high"]
    for model, verdict in record["verdicts"].items():
        # All searches found one configuration, so the control is SASRec.
        assert verdict["own"] == verdict["control"]
        gain = 100 * (levels[model] / levels["sasrec"] - 1)
        assert verdict["own"]["change"] == pytest.approx(gain)

    found = read(folder, n_resamples=500)
    told = texts({"synthetic": record}, folder, found)
    text = told["campaign_patience"]
    assert "with a patience of 20" in text and f"→ {levels['ia-mul']:.4f}" in text
    assert len(text.splitlines()) == 2 + len(SEARCHED)
    assert f"{levels['sasrec']:.4f} with what Mul's search found" in told["known_patience"]
    record["models"][2]["cells"][0] = "0" * 12
    assert set(texts({"synthetic": record}, folder, found).values()) == {"Not run."}


def test_the_committed_records_are_of_committed_fits():
    for dataset, record in patience.read_records().items():
        for fits in record["models"]:
            kept = patience.CAMPAIGN / dataset / fits["model"]
            names = {f"seed-{s}-{k}" for s, k in zip(SEEDS, fits["cells"], strict=True)}
            assert names <= {path.name for path in kept.iterdir()}, dataset
