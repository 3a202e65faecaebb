"""What the search may draw, as Optuna sees it; and a kept search as Optuna's study again.

References
----------
[IA] section 4.2 names the ranges of depth and heads only; the others are those of the project's
protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqattn.campaign import BASELINE, Search
from seqattn.config import NORMALISATIONS, Preset, replace
from seqattn.models import build_model

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


def space(*, intensity: bool, matched: bool = False) -> dict[str, BaseDistribution]:
    """Return what is searched, by parameter: with intensity the normalisation, too, or alone."""
    from optuna.distributions import CategoricalDistribution as Choice
    from optuna.distributions import FloatDistribution, IntDistribution

    normalisation = {"normalisation": Choice(NORMALISATIONS)} if intensity else {}
    if matched:
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
    }


def with_parameters(base: Preset, params: Mapping[str, Any]) -> Preset:
    """Return a preset with searched parameters put in."""
    model = {name: value for name, value in params.items() if name != "learning_rate"}
    rate = params.get("learning_rate", base.train.learning_rate)
    return Preset(replace(base.model, **model), replace(base.train, learning_rate=rate))


def study_of(search: Search) -> optuna.Study:
    """Return a kept search as an Optuna study in memory, for Optuna's own plots."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", study_name=search.model)
    drawn = space(
        intensity=build_model(search.model, 1).needs_intensity,
        matched=search.design == "matched" and search.model != BASELINE,
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
