"""Asynchronous successive halving with published rungs, and a search of masked-item models."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import seqattn.search.tune as module
from seqattn.config import record
from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.search.record import SearchConfig, read_search, settings
from seqattn.search.tune import space, tune

SMOKE = get_preset("smoke")
PUBLISHED = SearchConfig(trials=12, epochs=200, prune=True, prune_from=25, prune_keep=2)


@pytest.fixture
def curves(monkeypatch):
    """Fits of no time whose curves rise and never cross; tell how long each of them went on.

    They report each 25th epoch, where a published rung may be, and the last: each report is written
    to the study's database.
    """
    told = []

    def train(dataset, model, seed, model_config, config, *, device, on_epoch):
        quality = 1 - model_config.hidden_dropout
        told.append([quality, 0])
        for number in range(1, config.epochs + 1):
            if number % 25 and number < config.epochs:
                continue
            told[-1][1] = number
            value = quality * number / (number + 20)
            on_epoch(SimpleNamespace(epoch=number, valid_ndcg=value))
        return SimpleNamespace(best_ndcg=value)

    monkeypatch.setattr(module, "train", train)
    return told


def test_the_published_rungs_stop_where_they_should_and_find_the_best(tmp_path, synthetic, curves):
    found = tune(tmp_path, synthetic, "sasrec", PUBLISHED, SMOKE)
    lengths = [length for _, length in curves]
    assert len(curves) == 12 and {25, 200} <= set(lengths) <= {25, 50, 100, 200}
    assert found.value == pytest.approx(max(quality for quality, _ in curves) * 200 / 220)
    best = max(curves)
    assert best[1] == 200
    assert sum(lengths) < 0.8 * 12 * 200  # asynchronous: the first ones have nobody to lose to


def test_no_trial_that_was_trained_to_the_end_is_pruned(tmp_path, synthetic, monkeypatch):
    """Each curve is best in its middle and ends worse than that of the trial before."""
    numbers = iter(range(12))

    def train(dataset, model, seed, model_config, config, *, device, on_epoch):
        own = next(numbers)
        for number in (25, 50, 100, 200):
            value = 0.1 + number / 1000 + own / 100 if number < 200 else 0.05 - own / 1000
            on_epoch(SimpleNamespace(epoch=number, valid_ndcg=value))
        return SimpleNamespace(best_ndcg=0.2 + own / 100)

    monkeypatch.setattr(module, "train", train)
    found = tune(tmp_path, synthetic, "sasrec", PUBLISHED, SMOKE)
    assert {trial["state"] for trial in found.trials} == {"COMPLETE"}
    assert found.value == pytest.approx(0.31)


def test_without_pruning_every_trial_runs_to_its_end(tmp_path, synthetic, curves):
    tune(tmp_path, synthetic, "sasrec", SearchConfig(trials=2, epochs=200), SMOKE)
    assert [length for _, length in curves] == [200] * 2


def test_both_objectives_get_as_many_configurations(tmp_path, synthetic, curves):
    budget = SearchConfig(trials=5, epochs=2)
    ar, ae = (tune(tmp_path, synthetic, name, budget, SMOKE) for name in ("sasrec", "bert4rec"))
    assert len(ar.trials) == len(ae.trials) == 5
    extra = set(space(intensity=False, masked=True)) - set(space(intensity=False))
    assert extra == {"mask_probability"}
    assert {t["params"]["mask_probability"] for t in ae.trials} <= {0.2, 0.4, 0.6, 0.8}
    assert not any("mask_probability" in t["params"] for t in ar.trials)
    assert (
        ae.train_config.mask_probability
        == max(ae.trials, key=lambda t: t["value"])["params"]["mask_probability"]
    )
    assert read_search(tmp_path, "synthetic", "bert4rec", "own_search") == ae
    found = settings(tmp_path, synthetic, "bert4rec", "own_search")
    assert (found.model, found.train_for(masked=True)) == (ae.model_config, ae.train_config)
    assert settings(tmp_path, synthetic, "local-ae", "own_search").model == ar.model_config
    longer = tune(tmp_path, synthetic, "bert4rec", SearchConfig(trials=6, epochs=2), SMOKE)
    assert [t["params"] for t in longer.trials[:5]] == [t["params"] for t in ae.trials]


def test_rungs_are_recorded_only_where_they_are_set_and_refused_without_pruning():
    assert set(record(SearchConfig())) == {"trials", "epochs", "seed", "prune"}
    assert record(PUBLISHED)["prune_from"] == 25
    with pytest.raises(SeqattnError, match="for a search with prune alone"):
        SearchConfig(prune_from=25)
    with pytest.raises(SeqattnError, match="prune_keep = 1 at least 2"):
        SearchConfig(prune=True, prune_keep=1)
