"""A search: Optuna's TPE over one model's hyperparameters, one study a (dataset, model).

References
----------
[IA] section 4.2 names the ranges of depth and heads only; the others are those of the project's
protocol.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqattn.config import BASELINE, NORMALISATIONS, replace
from seqattn.data import Dataset
from seqattn.errors import DivergedError, SeqattnError
from seqattn.models import is_masked, needs_intensity
from seqattn.presets import Preset
from seqattn.runs.store import Store, locked
from seqattn.search.optuna_study import claim, done, draw_of, open_study, over, storage_errors
from seqattn.search.record import Search, SearchConfig, read_search, search_path, settings
from seqattn.training.course import Epoch
from seqattn.training.device import environment, one_thread, require_device
from seqattn.training.fit import train

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


OF_TRAINING = ("learning_rate", "mask_probability")


def space(
    *, intensity: bool, shared_backbone: bool = False, masked: bool = False
) -> dict[str, BaseDistribution]:
    """Return what is searched, by parameter: with intensity the normalisation, too, or alone.

    A model of masked items has [AE]'s four probabilities of a mask beside the rest. The number of
    trials stays what it is: both sides get as many configurations, where [AE] tried four times as
    many for AE.
    """
    from optuna.distributions import CategoricalDistribution as Choice
    from optuna.distributions import FloatDistribution, IntDistribution

    normalisation: dict[str, BaseDistribution] = (
        {"normalisation": Choice(NORMALISATIONS)} if intensity else {}
    )
    if shared_backbone:
        return normalisation
    return {
        "n_layers": IntDistribution(1, 3),
        "n_heads": Choice((1, 2, 4)),
        "hidden_size": Choice((32, 64, 128)),
        "inner_size": Choice((64, 128, 256)),
        "hidden_dropout": FloatDistribution(0.1, 0.5),
        "attention_dropout": FloatDistribution(0.1, 0.5),
        "learning_rate": FloatDistribution(1e-4, 5e-3, log=True),
        **normalisation,
        **({"mask_probability": Choice((0.2, 0.4, 0.6, 0.8))} if masked else {}),
    }


def with_parameters(base: Preset, params: Mapping[str, Any]) -> Preset:
    """Return a preset with searched parameters put in."""
    train = {name: value for name, value in params.items() if name in OF_TRAINING}
    model = {name: value for name, value in params.items() if name not in train}
    return Preset(replace(base.model, **model), replace(base.train, **train))


def study_of(search: Search) -> optuna.Study:
    """Return a kept search as an Optuna study in memory, for Optuna's own plots."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", study_name=search.model)
    drawn = space(
        intensity=needs_intensity(search.model),
        shared_backbone=search.design == "shared_backbone" and search.model != BASELINE,
        masked=is_masked(search.model),
    )
    study.add_trials(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE,
            value=trial["value"],
            params=trial["params"],
            distributions=drawn,
            user_attrs={name: trial[name] for name in ("seconds", "draw") if name in trial},
        )
        for trial in search.trials
        if trial["state"] == "COMPLETE"
    )
    return study


POLL_SECONDS = 2.0


def tune(
    results_dir: str | Path,
    dataset: Dataset,
    model_name: str,
    budget: SearchConfig,
    base: Preset,
    *,
    design: str = "own_search",
    storage: str | None = None,
    device: str = "cpu",
    on_trial: Callable[[int, float], None] | None = None,
) -> Search:
    """Search until ``budget.trials`` trials are done, complete or pruned; keep what was found.

    A study that was interrupted, or that other workers take part in, goes on where it stands; one
    that is empty, as on another machine, takes over the trials of the search that is kept. The
    sampler is seeded anew for each trial by the lowest number that no trial done, or under way
    elsewhere, was drawn with, so a search by one worker gives the same trials however often it was
    stopped, and what a killed worker was at is drawn again. Workers that share the
    campaign's folder claim different trials, and the last ones wait for each other.

    Parameters
    ----------
    dataset : Dataset
        Its fingerprint is part of the study's name.
    budget : SearchConfig
        Length of the search. A longer one takes over a shorter one's trials. With the shared
        backbone the trials are the four normalisations, whatever ``trials`` says.
    base : Preset
        Settings that are not searched; a model of masked items takes its ``train_ae``.
    design : str
        ``own_search``; or ``shared_backbone``, which searches a variant's normalisation alone, on
        the best configuration that SASRec's own search has found.
    storage : str, optional
        URL of a database that several machines reach; by default ``studies.sqlite3`` in the
        campaign's folder. It may hold ``{dataset}``, ``{design}`` and ``{model}``: then each search
        has a database of its own.
    on_trial : callable, optional
        Called with the number of trials done and the best value so far.

    Raises
    ------
    SeqattnError
        If the shared backbone is asked for a model without intensity or lacks SASRec's search, if
        a shorter search of other settings would take the place of a finished one, if a fit fails,
        or if the study cannot be kept. A fit that diverges is a trial of value 0.
    """
    require_device(device)
    intensity, shared_backbone = needs_intensity(model_name), design == "shared_backbone"
    if shared_backbone and not intensity:
        raise SeqattnError(
            f"model {model_name!r} has no normalisation to search; with the shared backbone it "
            "takes its own configuration as it is"
        )
    if shared_backbone:
        base = settings(results_dir, dataset, BASELINE, design)
    names = {"dataset": dataset.name, "design": design, "model": model_name}
    storage = _database(storage, names) if storage else _beside(Store(results_dir).path)
    masked = is_masked(model_name)
    base = Preset(base.model, base.train_for(masked=masked))
    searched = space(intensity=intensity, shared_backbone=shared_backbone, masked=masked)
    kept = read_search(results_dir, dataset.name, model_name, design)
    if kept and kept.fingerprint == dataset.fingerprint:
        # The base's learning rate and sizes are searched, so they are no part of a search's kind.
        asked = dataclasses.replace(
            kept, budget=budget, model_config=base.model, train_config=base.train
        )
        _require_no_loss(kept, asked, search_path(results_dir, dataset.name, model_name, design))
    lock = partial(locked, Path(results_dir) / "studies.sqlite3")
    with storage_errors(storage):
        with lock():
            study = open_study(
                storage, dataset, model_name, budget, base, shared_backbone=shared_backbone
            )
            _take_over(study, kept, budget, base, dataset.fingerprint)
        while not over(study, budget, shared_backbone=shared_backbone):
            with lock():
                trial = claim(study, budget, searched, shared_backbone=shared_backbone)
            if trial is None:  # other workers are at what is left; one of them may yet be killed
                time.sleep(POLL_SECONDS)
                continue
            preset = with_parameters(base, trial.params)
            _evaluate(study, trial, dataset, model_name, preset, budget, device)
            if on_trial:
                on_trial(len(done(study)), max((t.value or 0.0 for t in done(study)), default=0.0))
        found = _outcome(study, dataset, model_name, design, budget, base, device)
    if kept and kept.kind == found.kind and len(kept.trials) == len(found.trials):
        return kept  # nothing is new: not its length, nor the machine that it was made on
    found.write(results_dir)
    return found


def _database(url: str, names: Mapping[str, str]) -> str:
    """Return a URL with the search's own names for ``{dataset}`` and the like."""
    for word in re.findall(r"\{(\w*)\}", url):
        if word not in names:
            raise SeqattnError(
                f"--storage has {{{word}}}, which stands for nothing; there are "
                f"{', '.join(f'{{{name}}}' for name in names)}"
            )
        url = url.replace(f"{{{word}}}", names[word])
    return url


def _beside(folder: Path) -> str:
    """Return the URL of the database in a results folder; Optuna reads {} in it as its own."""
    if "?" in str(folder):
        raise SeqattnError(
            f"{folder}: no database can lie in a folder whose path has '?'; choose another results "
            "folder, or a database by --storage"
        )
    return f"sqlite:///{folder}/studies.sqlite3".replace("{", "{{").replace("}", "}}")


def _require_no_loss(kept: Search, asked: Search, path: Path) -> None:
    """Refuse a search that would take the place of a longer one of another kind."""
    have, want = ((s.budget.trials, s.budget.epochs) for s in (kept, asked))
    if kept.kind != asked.kind and have[0] * have[1] > want[0] * want[1]:
        raise SeqattnError(
            f"{path} holds a search of {have[0]} trials of {have[1]} epochs; one of {want[0]} of "
            f"{want[1]} with other settings would replace it: remove the file, or choose another "
            "results folder"
        )


def _take_over(
    study: optuna.Study, kept: Search | None, budget: SearchConfig, base: Preset, fingerprint: str
) -> None:
    """Give an empty study the trials of a kept search of the same kind, perhaps made elsewhere."""
    if kept is None or budget.prune or study.get_trials(deepcopy=False):
        return
    trials = study_of(kept)
    found = with_parameters(base, trials.best_params)
    if (found.model, found.train, fingerprint, replace(budget, trials=1)) == (
        *(kept.model_config, kept.train_config, kept.fingerprint),
        replace(kept.budget, trials=1),
    ):
        study.add_trials(trials.trials)


def _outcome(
    study: optuna.Study,
    dataset: Dataset,
    model_name: str,
    design: str,
    budget: SearchConfig,
    base: Preset,
    device: str,
) -> Search:
    """Return what a study holds, as it is kept."""
    if all(trial.state.name != "COMPLETE" for trial in done(study)):
        raise SeqattnError(
            f"study {study.study_name}: every trial was pruned; search on with more trials"
        )
    best = with_parameters(base, study.best_params)
    trials = [
        {
            "number": t.number,
            "state": t.state.name,
            "value": t.value,
            "params": t.params,
            "seconds": t.user_attrs.get("seconds", (t.duration or timedelta()).total_seconds()),
            "draw": draw_of(t),
        }
        for t in study.trials
        if t.state.is_finished()
    ]
    return Search(
        *(dataset.name, dataset.fingerprint, model_name, design, budget),
        *(best.model, best.train, float(study.best_value)),
        *(trials, environment(device)),
    )


def _evaluate(
    study: optuna.Study,
    trial: optuna.Trial,
    dataset: Dataset,
    model_name: str,
    preset: Preset,
    budget: SearchConfig,
    device: str,
) -> None:
    """Fit one configuration and tell the study its best validation NDCG@10."""
    import optuna

    def report(epoch: Epoch) -> None:
        """Let the pruner see an epoch."""
        trial.report(epoch.valid_ndcg, epoch.epoch)
        # After the last epoch stopping saves nothing, and would lose the best one.
        if budget.prune and epoch.epoch < budget.epochs and trial.should_prune():
            raise optuna.TrialPruned

    config = replace(preset.train, epochs=budget.epochs, patience=budget.epochs)
    try:
        with one_thread(device):
            course = train(
                *(dataset, model_name, budget.seed, preset.model, config),
                device=device,
                on_epoch=report,
            )
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except DivergedError:
        # A result like any other: these settings recommend nothing, and the sampler must learn it.
        study.tell(trial, 0.0)
    except BaseException:
        # Failed trials teach the sampler nothing and do not count towards the budget.
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise
    else:
        study.tell(trial, course.best_ndcg)
