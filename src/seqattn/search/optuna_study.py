"""Optuna's side of a search: a study by its content, what draws a trial, errors of its database.

What a search does next depends on the trials that count and on nothing else: neither on trials
that failed, nor on those that a killed worker has left running.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from seqattn.config import NORMALISATIONS, record
from seqattn.data import Dataset
from seqattn.errors import SeqattnError
from seqattn.presets import Preset
from seqattn.search.record import SearchConfig

if TYPE_CHECKING:
    import optuna

    Space = dict[str, optuna.distributions.BaseDistribution]

_FORMAT = 1  # part of a study's name: raise it when the space or the objective changes
# How long another machine's trial is believed to run on; a trial takes minutes.
LONGEST_TRIAL = timedelta(hours=6)
CLOCK_SLACK = 5.0  # seconds


def open_study(
    storage: str,
    dataset: Dataset,
    model_name: str,
    budget: SearchConfig,
    base: Preset,
    *,
    shared_backbone: bool = False,
) -> optuna.Study:
    """Open or create the study that belongs to exactly this data, model, space and budget."""
    import optuna
    import sqlalchemy.exc

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    identity = {
        "format": _FORMAT,
        "fingerprint": dataset.fingerprint,
        "epochs": budget.epochs,
        "seed": budget.seed,
        "prune": budget.prune,
        "matched": shared_backbone,  # the word under which studies are kept
        "model": record(base.model),
        "train": record(base.train),
    }
    if (budget.prune_from, budget.prune_keep) != (0, 4):  # those of older studies have no name
        identity["rungs"] = [budget.prune_from, budget.prune_keep]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    create = partial(
        optuna.create_study,
        storage=storage,
        study_name=f"{dataset.name}/{model_name}/{digest}",
        direction="maximize",
        load_if_exists=True,
        pruner=_pruner(budget),
    )
    for wait in (0.2, 0.4, 0.8, 1.6):
        try:
            return create()
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.OperationalError):
            # Searches that start together on a new database all try to create its tables; those
            # that came second find them there the next time.
            time.sleep(wait)
    return create()


def _pruner(budget: SearchConfig) -> optuna.pruners.BasePruner:
    import optuna

    class Halving(optuna.pruners.SuccessiveHalvingPruner):
        """Successive halving that compares with trials that count."""

        def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
            counted = copy.copy(study)
            vars(counted)["get_trials"] = lambda **_: done(study)
            return super().prune(counted, trial)

    rungs = Halving(min_resource=budget.prune_from or "auto", reduction_factor=budget.prune_keep)
    return rungs if budget.prune else optuna.pruners.NopPruner()


def claim(
    study: optuna.Study, budget: SearchConfig, searched: Space, *, shared_backbone: bool
) -> optuna.Trial | None:
    """Return the next trial for this process, or None when none is left to claim.

    Each trial has a draw of its own, the sampler's seed, so that no two are drawn alike. To be
    called under a lock that the workers of a folder share.
    """
    import psutil

    taken = claimed(study)
    sampler = next_sampler(taken, budget, shared_backbone=shared_backbone)
    if sampler is None:
        return None
    study.sampler = sampler
    trial = study.ask(searched)
    trial.set_user_attr("draw", next_draw(taken))
    me = psutil.Process()
    trial.set_user_attr("worker", [socket.gethostname(), me.pid, me.create_time()])
    return trial


def over(study: optuna.Study, budget: SearchConfig, *, shared_backbone: bool) -> bool:
    """Whether all trials of a search are done."""
    return not _left(done(study)) if shared_backbone else len(done(study)) >= budget.trials


def next_draw(taken: list[optuna.trial.FrozenTrial]) -> int:
    """Return the lowest draw that no trial has: after a worker was killed, that of its trial."""
    used = {draw_of(trial) for trial in taken}
    return next(draw for draw in range(len(used) + 1) if draw not in used)


def draw_of(trial: optuna.trial.FrozenTrial) -> int:
    """Return what a trial was drawn with; one of an older record counts as its number."""
    return trial.user_attrs.get("draw", trial.number)


def next_sampler(
    taken: list[optuna.trial.FrozenTrial], budget: SearchConfig, *, shared_backbone: bool
) -> optuna.samplers.BaseSampler | None:
    """Return what draws the next trial, or None where all are done or under way elsewhere."""
    import optuna

    # Far from the next search's seeds. The constant liar would take what a killed worker left
    # running for work under way.
    seed = (1_000 * budget.seed + next_draw(taken)) % 2**32  # what numpy's generator takes
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=False)
    if not shared_backbone:
        return sampler if len(taken) < budget.trials else None
    left = _left(taken)
    if not left:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler({"normalisation": left[0]}, sampler)


def _left(trials: list[optuna.trial.FrozenTrial]) -> list[str]:
    """Return the normalisations that none of the trials has."""
    tried = {trial.params["normalisation"] for trial in trials}
    return [mode for mode in NORMALISATIONS if mode not in tried]


def claimed(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return trials that are done, and those that another worker is at.

    What a killed worker has left running does not count. The database is read once: of two
    readings, a trial that ends between them would be in neither.
    """
    trials = study.get_trials(deepcopy=False)
    return [t for t in trials if _counts(t) or (t.state.name == "RUNNING" and _alive(t))]


def _alive(trial: optuna.trial.FrozenTrial) -> bool:
    import psutil

    host, number, born = trial.user_attrs.get("worker", (None, 0, 0.0))
    if host is None or (host, number) == (socket.gethostname(), os.getpid()):
        return False
    if host != socket.gethostname():  # nobody here can tell: believe it for a time
        started = trial.datetime_start
        return started is not None and datetime.now() - started < LONGEST_TRIAL
    try:
        # Not another of that number; a clock that was set moves the time of creation a little.
        return abs(psutil.Process(number).create_time() - born) < CLOCK_SLACK
    except psutil.NoSuchProcess:
        return False


def done(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return trials that count towards the budget: ended, or stopped by the pruner."""
    return [trial for trial in study.get_trials(deepcopy=False) if _counts(trial)]


def _counts(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state.name in ("COMPLETE", "PRUNED")


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Turn what the database says, a full disk or a read-only file, into one clear error.

    Raises
    ------
    SeqattnError
        Naming the database, a password left out. Trials that were finished are in it.
    """
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except ImportError as error:
        raise SeqattnError(
            f"{_shown(storage)} needs a driver that is not installed: {error}; install it with pip"
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(getattr(cause, "orig", None) or cause or error).splitlines()[0]
        if "malformed" in reason or "not a database" in reason:
            fix = "it is damaged: move it away and run again; finished searches are in `searches/`"
        else:
            fix = "make room, or name another database (--storage) or results folder. Finished "
            fix += "trials are kept"
        raise SeqattnError(
            f"cannot keep the search in {_shown(storage)}: {reason}; {fix}"
        ) from error


def _shown(storage: str) -> str:
    import sqlalchemy.engine
    import sqlalchemy.exc

    try:
        return sqlalchemy.engine.make_url(storage).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return repr(storage)
