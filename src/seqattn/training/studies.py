"""Optuna's side of a search: a study by its content, what draws a trial, errors of its database.

What a search does next depends on the trials that count and on nothing else: neither on trials
that failed, nor on those that a killed worker has left running.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from seqattn.campaign import SearchConfig
from seqattn.config import NORMALISATIONS, Preset
from seqattn.data import Dataset
from seqattn.errors import SeqattnError

if TYPE_CHECKING:
    import optuna

# Part of a study's name: raise it when the space or the objective changes.
_FORMAT = 1


def open_study(
    storage: str,
    dataset: Dataset,
    model_name: str,
    budget: SearchConfig,
    base: Preset,
    *,
    matched: bool = False,
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
        "matched": matched,
        "model": asdict(base.model),
        "train": asdict(base.train),
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    attempts = 5
    for attempt in range(attempts):
        try:
            return optuna.create_study(
                storage=storage,
                study_name=f"{dataset.name}/{model_name}/{digest}",
                direction="maximize",
                load_if_exists=True,
                pruner=_pruner(budget),
            )
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.OperationalError):
            # Searches that start together on a new database all try to create its tables; those
            # that came second find them there the next time.
            if attempt == attempts - 1:
                raise
            time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def _pruner(budget: SearchConfig) -> optuna.pruners.BasePruner:
    import optuna

    class Halving(optuna.pruners.SuccessiveHalvingPruner):
        """Successive halving that compares with trials that count."""

        def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
            counted = copy.copy(study)
            counted.get_trials = lambda **_: done(study)
            return super().prune(counted, trial)

    return Halving() if budget.prune else optuna.pruners.NopPruner()


def next_sampler(
    study: optuna.Study, budget: SearchConfig, *, matched: bool
) -> optuna.samplers.BaseSampler | None:
    """Return what draws the next trial, or None when the search is over."""
    import optuna

    counted = done(study)
    # A number a trial, far from the next search's seeds. The constant liar would take what a
    # killed worker left running for work under way.
    sampler = optuna.samplers.TPESampler(
        seed=1_000 * budget.seed + len(counted), constant_liar=False
    )
    if not matched:
        return sampler if len(counted) < budget.trials else None
    tried = {trial.params["normalisation"] for trial in counted}
    left = [mode for mode in NORMALISATIONS if mode not in tried]
    if not left:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler({"normalisation": left[0]}, sampler)


def done(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return trials that count towards the budget: ended, or stopped by the pruner."""
    return [t for t in study.get_trials(deepcopy=False) if t.state.name in ("COMPLETE", "PRUNED")]


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
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(getattr(cause, "orig", None) or cause or error).splitlines()[0]
        raise SeqattnError(
            f"cannot keep the search in {_shown(storage)}: {reason}; make room, or name another "
            "database (--storage) or results folder. Finished trials are kept"
        ) from error


def _shown(storage: str) -> str:
    import sqlalchemy.engine
    import sqlalchemy.exc

    try:
        return sqlalchemy.engine.make_url(storage).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return repr(storage)
