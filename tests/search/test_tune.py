"""The search: budget, resumption, sharing, designs."""

import shutil
from dataclasses import replace as dataclass_replace
from types import SimpleNamespace

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from seqattn.config import NORMALISATIONS, replace
from seqattn.data import load_dataset
from seqattn.data.splits import Split
from seqattn.errors import DivergedError, SeqattnError
from seqattn.files import ROOT
from seqattn.presets import get_preset
from seqattn.search.record import SearchConfig, read_search, searches
from seqattn.search.tune import space, study_of, tune

SMOKE = get_preset("smoke")
SHORT = SearchConfig(trials=4, epochs=1)


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("synthetic")


@pytest.fixture(scope="module")
def short(dataset, tmp_path_factory):
    """The folder of two short searches that nothing happened to, by model; not to be written to."""
    folder = tmp_path_factory.mktemp("short")
    found = {name: tune(folder, dataset, name, SHORT, SMOKE) for name in ("sasrec", "ia-add")}
    return SimpleNamespace(folder=folder, **{k.replace("-", "_"): v for k, v in found.items()})


@pytest.fixture
def after_sasrec(short, tmp_path):
    """A results folder that has the short search of the baseline."""
    return shutil.copytree(short.folder, tmp_path / "after_sasrec")


def without_times(search):
    return [{k: v for k, v in trial.items() if k != "seconds"} for trial in search.trials]


def test_search_ends_with_the_asked_number_of_trials_and_its_best(short):
    found = short.ia_add
    assert found.n_complete == 4
    best = max(found.trials, key=lambda trial: trial["value"])
    assert found.value == best["value"]
    assert found.model_config.n_layers == best["params"]["n_layers"]
    assert found.model_config.normalisation == best["params"]["normalisation"]
    assert found.train_config.learning_rate == best["params"]["learning_rate"]
    assert found.train_config.epochs == SMOKE.train.epochs  # the trial's short budget is not kept


def test_a_search_never_ranks_test(dataset, tmp_path, monkeypatch):
    def spy(split, stage):
        stages.append(stage)
        return targets(split, stage)

    stages, targets = [], Split.targets
    monkeypatch.setattr(Split, "targets", spy)
    tune(tmp_path, dataset, "sasrec", SearchConfig(trials=2, epochs=1), SMOKE)
    assert set(stages) == {"valid"}


@pytest.mark.parametrize("other", ["epochs", "base"])
def test_a_shorter_search_of_another_kind_replaces_none(other, dataset, tmp_path):
    whole = tune(tmp_path, dataset, "sasrec", SearchConfig(trials=4, epochs=2), SMOKE)
    changed = SMOKE
    if other == "base":
        changed = dataclass_replace(SMOKE, train=replace(SMOKE.train, stride=3))
    shorter = SearchConfig(trials=3, epochs=1 if other == "epochs" else 2)
    with pytest.raises(SeqattnError, match="holds a search of 4 trials of 2 epochs; one of 3"):
        tune(tmp_path, dataset, "sasrec", shorter, changed)
    assert read_search(tmp_path, "synthetic", "sasrec", "own_search") == whole
    # Nothing is lost by fewer trials of the same kind: those there are count.
    again = tune(tmp_path, dataset, "sasrec", SearchConfig(trials=3, epochs=2), SMOKE)
    assert again.trials == whole.trials


def test_baseline_has_no_normalisation_to_search(short):
    assert all("normalisation" not in trial["params"] for trial in short.sasrec.trials)


def test_stopped_search_goes_on_to_the_same_trials(dataset, tmp_path, short):
    class Stop(Exception):
        pass

    def stop(n_complete, best):
        raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            tune(tmp_path / "cut", dataset, "sasrec", SHORT, SMOKE, on_trial=stop)
    cut = tune(tmp_path / "cut", dataset, "sasrec", SHORT, SMOKE)
    assert without_times(cut) == without_times(short.sasrec)


def test_failed_trial_neither_counts_nor_changes_the_search(dataset, tmp_path, monkeypatch, short):
    import seqattn.search.tune as module

    real = module.train

    def failing(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train", failing)
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "cut", dataset, "sasrec", SHORT, SMOKE)
    monkeypatch.setattr(module, "train", real)
    cut = tune(tmp_path / "cut", dataset, "sasrec", SHORT, SMOKE)
    complete = [t for t in cut.trials if t["state"] == "COMPLETE"]
    assert [t["params"] for t in complete] == [t["params"] for t in short.sasrec.trials]


def test_matched_design_tries_each_normalisation_once_on_the_given_backbone(
    dataset, after_sasrec, short
):
    baseline = short.sasrec
    found = tune(after_sasrec, dataset, "ia-mul", SHORT, SMOKE, design="shared_backbone")
    assert sorted(t["params"]["normalisation"] for t in found.trials) == sorted(NORMALISATIONS)
    default = baseline.model_config.normalisation
    assert dataclass_replace(found.model_config, normalisation=default) == baseline.model_config
    assert found.train_config == baseline.train_config


def test_matched_design_asks_for_the_baseline_first(dataset, tmp_path):
    with pytest.raises(SeqattnError, match=r"no search of 'sasrec'.*seqattn tune"):
        tune(tmp_path, dataset, "ia-mul", SHORT, SMOKE, design="shared_backbone")


def test_a_fit_that_diverges_is_a_trial_of_no_value(dataset, tmp_path, monkeypatch):
    import seqattn.search.tune as module

    def diverging(*args, **kwargs):
        raise DivergedError("the model gives a score that is not finite")

    with monkeypatch.context() as patched:
        patched.setattr(module, "train", diverging)
        tune(tmp_path, dataset, "sasrec", SearchConfig(trials=1, epochs=1), SMOKE)
    found = tune(tmp_path, dataset, "sasrec", SearchConfig(trials=2, epochs=1), SMOKE)
    assert found.trials[0]["value"] == 0
    assert found.value > 0


def test_matched_design_refuses_a_model_without_intensity(dataset, tmp_path):
    with pytest.raises(SeqattnError, match="no normalisation to search"):
        tune(tmp_path, dataset, "sasrec", SHORT, SMOKE, design="shared_backbone")


def test_pruned_trials_count_towards_the_budget(dataset, tmp_path):
    search = SearchConfig(trials=6, epochs=4, prune=True)
    found = tune(tmp_path, dataset, "sasrec", search, SMOKE)
    assert len(found.trials) == 6
    assert {t["state"] for t in found.trials} == {"COMPLETE", "PRUNED"}


def test_another_fingerprint_is_another_study(dataset, tmp_path):
    tune(tmp_path, dataset, "sasrec", SearchConfig(trials=1, epochs=1), SMOKE)
    other = dataclass_replace(dataset, fingerprint="0" * 64)
    found = tune(tmp_path, other, "sasrec", SearchConfig(trials=1, epochs=1), SMOKE)
    assert len(found.trials) == 1


def test_matched_design_goes_on_after_a_failed_trial_and_repeats_none(
    dataset, after_sasrec, monkeypatch
):
    import seqattn.search.tune as module

    def failing(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "train", failing)
        tune(after_sasrec, dataset, "ia-mul", SHORT, SMOKE, design="shared_backbone")
    found = tune(after_sasrec, dataset, "ia-mul", SHORT, SMOKE, design="shared_backbone")
    complete = [t["params"]["normalisation"] for t in found.trials if t["state"] == "COMPLETE"]
    assert sorted(complete) == sorted(NORMALISATIONS)


def test_a_kept_search_becomes_optunas_study_again(short):
    found = short.ia_add
    study = study_of(found)
    assert study.best_value == found.value
    assert [t.params for t in study.trials] == [t["params"] for t in found.trials]


def test_a_kept_search_goes_on_without_its_study(dataset, tmp_path, short):
    began = tune(tmp_path / "cut", dataset, "ia-add", SearchConfig(trials=2, epochs=1), SMOKE)
    (tmp_path / "cut" / "studies.sqlite3").unlink()
    longer = tune(tmp_path / "cut", dataset, "ia-add", SHORT, SMOKE)
    assert without_times(longer) == without_times(short.ia_add)
    assert longer.trials[:2] == began.trials


def test_a_shorter_search_leaves_what_is_kept_as_it_is(dataset, after_sasrec, monkeypatch):
    (path,) = after_sasrec.glob("searches/*/*/sasrec.json")
    before = path.read_bytes()
    monkeypatch.setattr("seqattn.search.tune.environment", lambda device: {"device": "another"})
    found = tune(after_sasrec, dataset, "sasrec", SearchConfig(trials=2, epochs=1), SMOKE)
    assert found.budget.trials == 4 and path.read_bytes() == before


def test_what_is_searched_is_what_the_protocol_says():
    """[IA] section 4.2 and science.md 5; a change here makes new searches another protocol."""
    searched = space(intensity=True, masked=True)
    assert searched == {
        "n_layers": IntDistribution(1, 3),
        "n_heads": CategoricalDistribution((1, 2, 4)),
        "hidden_size": CategoricalDistribution((32, 64, 128)),
        "inner_size": CategoricalDistribution((64, 128, 256)),
        "hidden_dropout": FloatDistribution(0.1, 0.5),
        "attention_dropout": FloatDistribution(0.1, 0.5),
        "learning_rate": FloatDistribution(1e-4, 5e-3, log=True),
        "normalisation": CategoricalDistribution(NORMALISATIONS),
        "mask_probability": CategoricalDistribution((0.2, 0.4, 0.6, 0.8)),
    }


def test_committed_searches_stayed_within_what_is_searched():
    kept = [*searches(ROOT / "results/campaign")]
    assert kept
    for search in kept:
        within = space(
            intensity=search.model != "sasrec", shared_backbone=search.design == "shared_backbone"
        )
        for trial in search.trials:
            assert trial["params"].keys() == within.keys()
            for name, value in trial["params"].items():
                assert within[name]._contains(within[name].to_internal_repr(value))
