"""What a search does next rests on the trials that count; what its database says is one error."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import optuna
import psutil
import pytest
import sqlalchemy.exc

import seqattn.search.tune as module
from seqattn.config import NORMALISATIONS
from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.search.optuna_study import claim, claimed, next_sampler, open_study
from seqattn.search.record import SearchConfig, chosen, read_search
from seqattn.search.tune import space, tune

SMOKE = get_preset("smoke")
# Past the sampler's ten random trials, where it begins to learn.
LEARNING = SearchConfig(trials=15, epochs=3)
READ = ("hidden_dropout", "n_layers", "learning_rate", "normalisation")


@pytest.fixture(scope="module")
def quick_fits():
    """Fits that take no time; their value depends on the settings alone, on those it reads.

    No other setting is searched: each costs a trial a tenth of its time, in the database.
    """

    def train(dataset, model, seed, model_config, config, *, device, on_epoch):
        value = model_config.hidden_dropout + model_config.n_layers / 10
        value -= 40 * config.learning_rate
        for number in range(config.epochs):
            epoch = SimpleNamespace(epoch=number, valid_ndcg=value * (1 + number / 10))
            on_epoch(epoch)
        return SimpleNamespace(best_ndcg=epoch.valid_ndcg)

    def read(**kind):
        return {name: drawn for name, drawn in space(**kind).items() if name in READ}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "train", train)
        patched.setattr(module, "space", read)
        yield


def counted(found):
    return [(t["state"], t["value"], t["params"]) for t in found.trials]


def killed_worker(folder, dataset, budget, reports):
    """Leave what a worker killed in the middle of a trial leaves: the trial, still running."""
    study = open_study(f"sqlite:///{folder}/studies.sqlite3", dataset, "ia-add", budget, SMOKE)
    trial = study.ask(module.space(intensity=True))
    for epoch in range(reports):
        trial.report(9.0, epoch)
        trial.should_prune()


@pytest.mark.parametrize("prune", [False, True])
def test_a_killed_workers_trial_does_not_change_the_search(tmp_path, synthetic, quick_fits, prune):
    budget = SearchConfig(LEARNING.trials, LEARNING.epochs, prune=prune)
    whole = tune(tmp_path / "whole", synthetic, "ia-add", budget, SMOKE)
    for trials in (3, 12, 13, LEARNING.trials):
        part = SearchConfig(trials, budget.epochs, prune=prune)
        cut = tune(tmp_path / "cut", synthetic, "ia-add", part, SMOKE)
        killed_worker(tmp_path / "cut", synthetic, budget, reports=2)
    assert counted(cut) == counted(whole)
    assert cut.preset == whole.preset
    assert len({t["state"] for t in whole.trials}) == 1 + prune


# One process imports everything and forks the workers, which start at once that way.
WORKERS = """
import os, random, sys, time
from types import SimpleNamespace
import optuna, torch
torch.set_num_threads(1)
import seqattn.search.tune as module
from seqattn.search.record import SearchConfig
from seqattn.config import NORMALISATIONS
from seqattn.presets import get_preset
from seqattn.data import load_dataset

def train(dataset, model, seed, model_config, config, *, device, on_epoch):
    time.sleep(random.random() / 5)
    return SimpleNamespace(best_ndcg=model_config.hidden_dropout)

module.train, module.POLL_SECONDS = train, 0.1
folder, smoke, data = sys.argv[1], get_preset("smoke"), load_dataset("synthetic")

def work():
    random.seed()
    module.tune(folder, data, "sasrec", SearchConfig(6, 1), smoke)
    module.tune(folder, data, "ia-add", SearchConfig(6, 1), smoke, design="shared_backbone")

workers = []
for _ in range(3):
    workers.append(os.fork())
    if not workers[-1]:
        work()
        os._exit(0)
assert [os.waitpid(worker, 0)[1] for worker in workers] == [0, 0, 0]
"""


def test_workers_of_one_folder_share_the_trials_and_draw_none_twice(tmp_path, warm):
    warm.run(WORKERS, tmp_path).check_returncode()
    found = read_search(tmp_path, "synthetic", "sasrec", "own_search")
    assert len(found.trials) == 6
    assert len({t["params"]["hidden_dropout"] for t in found.trials}) == 6
    shared = read_search(tmp_path, "synthetic", "ia-add", "shared_backbone")
    assert sorted(t["params"]["normalisation"] for t in shared.trials) == sorted(NORMALISATIONS)


def test_a_trial_is_under_way_while_its_worker_lives(tmp_path, synthetic):
    study = open_study(f"sqlite:///{tmp_path}/s", synthetic, "ia-add", LEARNING, SMOKE)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    here, born = socket.gethostname(), psutil.Process(sleeper.pid).create_time()
    trial = study.ask(space(intensity=True))
    try:
        for worker, alive in (
            ([here, sleeper.pid, born], True),
            ([here, sleeper.pid, born - 60], False),  # another process of that number, since
            ([here, os.getpid(), born], False),  # one's own, from before an error
            ([here, sleeper.pid, born - 1], True),  # the clock was set
            (["elsewhere", 1, born], True),
            (["elsewhere", os.getpid(), born], True),
        ):
            trial.set_user_attr("worker", worker)
            assert bool(claimed(study)) == alive, worker
        trial.set_user_attr("worker", [here, sleeper.pid, born])
    finally:
        sleeper.kill()
        sleeper.wait()
    assert not claimed(study)


@pytest.mark.parametrize("shared_backbone", [False, True])
def test_a_trial_that_ends_while_another_is_claimed_stays_taken(
    tmp_path, synthetic, monkeypatch, shared_backbone
):
    study = open_study(f"sqlite:///{tmp_path}/s", synthetic, "ia-add", LEARNING, SMOKE)
    for _ in NORMALISATIONS[1:]:
        study.sampler = next_sampler(claimed(study), LEARNING, shared_backbone=True)
        study.tell(study.ask(space(intensity=True, shared_backbone=True)), 0.5)
    study.sampler = next_sampler(claimed(study), LEARNING, shared_backbone=True)
    trial = study.ask(space(intensity=True, shared_backbone=True))
    trial.set_user_attr("worker", ["elsewhere", 1, 0.0])
    read = study.get_trials

    def ends_after_the_first_reading(**options):
        trials = read(**options)
        if not done:
            done.append(study.tell(trial, 0.6))
        return trials

    done = []
    monkeypatch.setattr(study, "get_trials", ends_after_the_first_reading)
    budget = SearchConfig(len(NORMALISATIONS), 1)
    assert next_sampler(claimed(study), budget, shared_backbone=shared_backbone) is None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, synthetic, quick_fits):
    """Searches that nothing happens to, of six trials each, by model."""
    folder, budget = tmp_path_factory.mktemp("undisturbed"), SearchConfig(6, 3)
    return {name: tune(folder, synthetic, name, budget, SMOKE) for name in ("sasrec", "ia-add")}


@pytest.mark.parametrize("from_record", [False, True])
def test_a_trial_lost_between_others_is_drawn_again_and_none_twice(
    tmp_path, synthetic, undisturbed, from_record
):
    def params(found):
        return sorted(str(sorted(trial["params"].items())) for trial in found.trials)

    cut = tmp_path / "cut"
    cut.mkdir()
    study = open_study(f"sqlite:///{cut}/studies.sqlite3", synthetic, "ia-add", LEARNING, SMOKE)
    trials = []
    for _ in range(3):
        trials.append(claim(study, LEARNING, module.space(intensity=True), shared_backbone=False))
        trials[-1].set_user_attr("worker", ["elsewhere", 1, 0.0])
    study.tell(trials[0], 0.1)
    study.tell(trials[2], 0.2)
    trials[1].set_user_attr("worker", [socket.gethostname(), os.getpid(), 0.0])  # killed
    if from_record:
        tune(cut, synthetic, "ia-add", SearchConfig(2, 3), SMOKE)
        (cut / "studies.sqlite3").unlink()
    resumed = tune(cut, synthetic, "ia-add", SearchConfig(6, 3), SMOKE)
    assert params(resumed) == params(undisturbed["ia-add"])


def test_a_longer_search_takes_over_the_trials_of_a_shorter(tmp_path, synthetic, quick_fits):
    short = tune(tmp_path, synthetic, "ia-add", SearchConfig(5, 3), SMOKE)
    longer = tune(tmp_path, synthetic, "ia-add", LEARNING, SMOKE)
    assert longer.trials[:5] == short.trials
    assert longer.n_complete == LEARNING.trials


def test_searches_that_start_together_share_a_new_database(tmp_path, synthetic):
    url = f"sqlite:///{tmp_path}/studies.sqlite3"
    models = ("sasrec", "ia-add", "ia-mul", "ia-val")
    with ThreadPoolExecutor(len(models)) as pool:
        opened = pool.map(lambda m: open_study(url, synthetic, m, LEARNING, SMOKE), models)
    assert len({study.study_name for study in opened}) == len(models)


def test_a_file_that_is_no_database_is_named(tmp_path, synthetic):
    (tmp_path / "studies.sqlite3").write_text("not a database, " * 99)
    told = r"studies\.sqlite3: file is not a database; it is damaged: move it away"
    with pytest.raises(SeqattnError, match=told):
        tune(tmp_path, synthetic, "sasrec", LEARNING, SMOKE)


def test_a_storage_that_is_no_url_is_quoted(tmp_path, synthetic):
    with pytest.raises(SeqattnError, match="cannot keep the search in 'nonsense'"):
        tune(tmp_path, synthetic, "sasrec", LEARNING, SMOKE, storage="nonsense")


@pytest.mark.parametrize(
    "reason", ["database or disk is full", "attempt to write a readonly database"]
)
def test_a_database_that_fails_midway_is_one_error_and_keeps_what_was_tried(
    tmp_path, synthetic, undisturbed, monkeypatch, reason
):
    real, told = optuna.Study.tell, []

    def failing(study, trial, *args, **kwargs):
        told.append(trial)
        if len(told) > 3:
            raise sqlalchemy.exc.OperationalError("INSERT", {}, OSError(reason))
        return real(study, trial, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "tell", failing)
        with pytest.raises(SeqattnError, match=rf"studies\.sqlite3: {reason}; make room") as error:
            tune(tmp_path / "cut", synthetic, "sasrec", SearchConfig(6, 3), SMOKE)
    assert "\n" not in str(error.value)
    assert read_search(tmp_path / "cut", "synthetic", "sasrec", "own_search") is None
    resumed = tune(tmp_path / "cut", synthetic, "sasrec", SearchConfig(6, 3), SMOKE)
    assert [t["number"] for t in resumed.trials[:3]] == [0, 1, 2]
    assert counted(resumed) == counted(undisturbed["sasrec"])


def test_each_search_may_have_a_database_of_its_own(tmp_path, synthetic, quick_fits):
    url = f"sqlite:///{tmp_path}/{{dataset}}-{{design}}-{{model}}.sqlite3"
    tune(tmp_path / "results", synthetic, "ia-add", SearchConfig(1, 1), SMOKE, storage=url)
    assert (tmp_path / "synthetic-own_search-ia-add.sqlite3").is_file()


def test_a_word_that_a_database_cannot_have_is_named(tmp_path, synthetic):
    url = f"sqlite:///{tmp_path}/{{modle}}.sqlite3"
    with pytest.raises(SeqattnError, match=r"--storage has \{modle\}.*\{dataset\}, .*\{model\}"):
        tune(tmp_path, synthetic, "sasrec", LEARNING, SMOKE, storage=url)


def test_a_results_folder_may_have_braces_and_no_question_mark(tmp_path, synthetic, quick_fits):
    tune(tmp_path / "a{b}", synthetic, "ia-add", SearchConfig(1, 1), SMOKE)
    assert (tmp_path / "a{b}" / "studies.sqlite3").is_file()
    with pytest.raises(SeqattnError, match="whose path has '\\?'"):
        tune(tmp_path / "w?a", synthetic, "ia-add", SearchConfig(1, 1), SMOKE)
    assert not (tmp_path / "w").exists()


def test_a_password_is_not_shown(tmp_path, synthetic, monkeypatch):
    def refused(*args, **kwargs):
        raise sqlalchemy.exc.OperationalError("SELECT", {}, OSError("connection refused"))

    monkeypatch.setattr(optuna, "create_study", refused)
    monkeypatch.setattr("seqattn.search.optuna_study.time.sleep", lambda seconds: None)
    with pytest.raises(SeqattnError, match="connection refused") as error:
        tune(
            *(tmp_path, synthetic, "sasrec", LEARNING, SMOKE),
            storage="postgresql://optuna:secret@db/optuna",
        )
    assert "secret" not in str(error.value)
    assert "db/optuna" in str(error.value)


@pytest.mark.parametrize("seed", [2020, 20_261_125, 2**62])
def test_any_seed_of_a_search_draws_trials_and_the_same_ones_again(seed):
    def draw():
        study = optuna.create_study()
        study.sampler = next_sampler([], SearchConfig(seed=seed), shared_backbone=False)
        return study.ask().suggest_float("x", 0, 1)

    assert draw() == draw()


def test_a_missing_search_of_the_baseline_is_asked_for_by_the_design_that_it_has(tmp_path):
    with pytest.raises(SeqattnError, match=r"-m sasrec --design own_search") as error:
        chosen(tmp_path, "synthetic", "sasrec", "shared_backbone")
    assert "--design shared_backbone" not in str(error.value)
