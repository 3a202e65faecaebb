"""How often the dual criterion is wrong, and how small an effect it can see, by simulation.

`calibrate` takes the variances of one real cell apart, see `seqattn.stats.variance`, and repeats
the study under a known truth, each time with new seeds and new users. Whether the real cell's own
difference is large plays no part: it is taken out first.

A replicate centres the differences of every seed at zero and draws U users with replacement, each
with all its seeds, so that a user's differences stay as alike, and a seed's as spread, as they
are. It adds a normal effect to each seed, drawn anew, and ``effect / 100 * base.mean()`` to every
entry. Three worlds differ before that last step:

- ``estimated``: seed effects have the standard deviation estimated from the cell;
- ``upper``: they have the upper end of its 95 % interval, since few seeds estimate it badly;
- ``independent``: there are none, and entries are drawn one by one from all seeds, so that a
  user's seeds share nothing: what the pooled bootstrap assumes.

The shift is the same for every user and leaves the range of the metric: the criterion judges
means. Effects share replicates and replicates share resamples, so a curve's points err together.

Shapes: C replicates, S seeds, U users, E effects, K criteria.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from seqattn.errors import SeqattnError
from seqattn.stats.bootstrap import bootstrap_p_value, percentile_interval, require_resamples
from seqattn.stats.criterion import PARTS, RULES, bootstrap_parts, is_robust
from seqattn.stats.inputs import ALPHA, Floats, as_pair
from seqattn.stats.significance import paired_t
from seqattn.stats.variance import (
    Components,
    UserCorrelation,
    expected_levels,
    proportion,
    user_correlation,
    variance_components,
)

EFFECTS = (0, 0.25, 0.5, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 50)
_POWER = 0.8  # with which an effect counts as found
_LEAST_RATE = 1e-3  # that is told from none
_BATCH_ENTRIES = 1 << 23  # floats of an array of replicates, or of their resampled means: 64 MiB


RATES = ["world", "effect_percent", "criterion", "rate", "low", "high", "wrong_rate", "expected"]


@dataclass(frozen=True)
class Calibration:
    """Result of `calibrate`: the cell it rests on, the settings, and how often criteria reject.

    `rates` has a row per world, effect and criterion, with the columns `RATES`. `rate` counts
    verdicts in the effect's direction, at effect 0 those in either: there it is the false-positive
    rate. `low` and `high` are its exact 95 % limits. `wrong_rate` counts verdicts against the
    effect (NaN at 0). `expected` is normal theory's false-positive rate, NaN where
    `expected_levels` gives none.

    `seed_half_width_percent` is the median over seeds of half the width of a seed's own normal
    interval, in percent of the baseline. An effect of about that size passes the stability check
    in half of all studies, however many seeds there are: only more users make it smaller.
    """

    n_seeds: int
    n_users: int
    base_mean: float
    components: Components
    correlation: UserCorrelation
    seed_half_width_percent: float
    replicates: int
    n_resamples: int
    seed: int
    alpha: float
    rates: pd.DataFrame


def calibrate(
    base: ArrayLike,
    variant: ArrayLike,
    *,
    effects: Sequence[float] = EFFECTS,
    replicates: int = 1000,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Calibration:
    """Simulate how often each part of the dual criterion rejects, in studies like this one.

    One core takes about 25 s for 1,000 replicates of 5 x 943.

    Parameters
    ----------
    base, variant
        Shape (S, U): per-user metric of one real cell, aligned as for `dual_criterion`.
    effects
        True effects in percent of the baseline's mean, each once; 0 must be one of them.
    replicates
        C, studies simulated in each world.
    n_resamples, seed
        As in `dual_criterion`; `seed` is that of the replicates as well.

    Raises
    ------
    SeqattnError
        If the arrays do not fit `dual_criterion`, the baseline's mean is not positive, all
        users of each seed differ by the same amount, or a setting is out of range.

    References
    ----------
    Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.8, on resampling
    grouped data. Book page "Calibration".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base = rng.random((5, 60))
    >>> variant = base + rng.normal(0, 0.1, (5, 60))
    >>> record = calibrate(base, variant, effects=[0, 20], replicates=50, n_resamples=200)
    >>> rates = record.rates.set_index(["world", "criterion", "effect_percent"])["rate"]
    >>> bool(rates["estimated", "robust", 20] > rates["estimated", "robust", 0])
    True
    """
    base, variant = as_pair(base, variant, ndim=2)
    _check_settings(effects, replicates, n_resamples, seed)
    if base.mean() <= 0:
        raise SeqattnError(f"the baseline's mean is {base.mean()}: percents of it need it positive")
    differences_SU = variant - base
    residuals_SU = differences_SU - differences_SU.mean(axis=1, keepdims=True)
    if np.abs(residuals_SU).max() <= 1e-12 * max(np.abs(base).max(), np.abs(variant).max()):
        raise SeqattnError("all users of a seed differ by the same amount: nothing to resample")
    components, (n_seeds, n_users) = variance_components(differences_SU), base.shape
    rates: list[tuple[object, ...]] = []
    shifts_E = np.asarray(effects) / 100 * base.mean()
    worlds = {
        "estimated": components,
        "upper": replace(components, seed_sd=components.seed_sd_upper),
        "independent": replace(components, seed_sd=0.0, user_variance=0.0),
    }
    for number, (world, parts) in enumerate(worlds.items()):
        sizes = (replicates, n_resamples)
        studies = _studies(residuals_SU, world, parts.seed_sd, *sizes, [seed, number])
        found = [directions(d_CSU, shifts_E, n_resamples, seed) for d_CSU in studies]
        expected = expected_levels(parts, n_seeds, n_users)
        rates += _rates(world, effects, np.concatenate(found, axis=1), expected)
    error = np.median(residuals_SU.std(axis=1, ddof=1)) / np.sqrt(n_users)
    return Calibration(
        n_seeds=n_seeds,
        n_users=n_users,
        base_mean=float(base.mean()),
        components=components,
        correlation=user_correlation(differences_SU, n_resamples=n_resamples),
        seed_half_width_percent=float(100 * special.ndtri(1 - ALPHA / 2) * error / base.mean()),
        replicates=replicates,
        n_resamples=n_resamples,
        seed=seed,
        alpha=ALPHA,
        rates=pd.DataFrame(rates, columns=RATES),
    )


def detectable_percent(rates: pd.DataFrame, criterion: str, world: str = "estimated") -> float:
    """Return the smallest positive effect, in percent, found with a power of 0.8.

    Between the effects of `rates`, those of a `Calibration`, the normal quantile of the rate is
    taken as linear, as a test's power is about a normal distribution function of the effect. NaN
    where none is large enough.
    """
    chosen = (rates["world"] == world) & (rates["criterion"] == criterion)
    curve = rates[chosen & (rates["effect_percent"] >= 0)].sort_values("effect_percent")
    effects, found = curve["effect_percent"].to_numpy(), curve["rate"].to_numpy()
    enough = np.flatnonzero((found >= _POWER) & (effects > 0))
    if not len(enough):
        return float("nan")
    last = enough[0]
    if found[last - 1] >= _POWER:  # false positives, in either direction
        return float(effects[last])
    sides = special.ndtri(found[last - 1 : last + 1].clip(_LEAST_RATE, 1 - _LEAST_RATE))
    return float(np.interp(special.ndtri(_POWER), sides, effects[last - 1 : last + 1]))


def _studies(
    residuals_SU: Floats,
    world: str,
    seed_sd: float,
    replicates: int,
    n_resamples: int,
    seed: list[int],
) -> Iterator[Floats]:
    """Yield batches of studies without effect, each (C, S, U)."""
    n_seeds, n_users = residuals_SU.shape
    generator = np.random.default_rng(seed)
    at_once = max(1, _BATCH_ENTRIES // (n_seeds * max(n_users, n_resamples)))
    for start in range(0, replicates, at_once):
        count = min(at_once, replicates - start)
        if world == "independent":
            yield generator.choice(residuals_SU.ravel(), (count, n_seeds, n_users))
            continue
        users_CU = generator.integers(n_users, size=(count, n_users))
        d_CSU = np.moveaxis(residuals_SU[:, users_CU], 0, 1)
        yield d_CSU + generator.normal(0.0, seed_sd, (count, n_seeds, 1))


def _rates(
    world: str, effects: Sequence[float], found_ECK: np.ndarray, expected: dict[str, float]
) -> list[tuple[object, ...]]:
    rates: list[tuple[object, ...]] = []
    nan = float("nan")
    for effect, found_CK in zip(effects, found_ECK, strict=True):
        sign = np.sign(effect)
        for criterion, found_C in zip(CRITERIA, found_CK.T, strict=True):
            hits = found_C == sign if sign else found_C != 0
            wrong = float((found_C == -sign).mean()) if sign else nan
            level = nan if sign else expected.get(criterion, nan)
            measured = proportion(int(hits.sum()), len(hits))
            rates.append((world, float(effect), criterion, *measured, wrong, level))
    return rates


def _check_settings(effects: Sequence[float], replicates: int, n_resamples: int, seed: int) -> None:
    values = list(effects)
    if not np.isfinite(values).all() or 0 not in values or len(set(values)) < len(values):
        raise SeqattnError(f"effects are {values}; give finite percents, each once, 0 among them")
    if replicates < 1 or seed < 0:
        raise SeqattnError(
            f"replicates are {replicates}, seed {seed}; give at least 1 replicate and a "
            "non-negative seed"
        )
    require_resamples(n_resamples)


CRITERIA = (*PARTS, *RULES)


def directions(d_CSU: Floats, shifts_E: Floats, n_resamples: int, seed: int) -> np.ndarray:
    """Return what each criterion claims of each study, the data shifted by each effect.

    `d_CSU` are differences between variant and baseline, `shifts_E` is added to every entry, both
    in units of the metric. The verdicts are those of `seqattn.stats.dual_criterion`.

    Returns
    -------
    ndarray of int8
        Shape (E, C, K): the direction claimed, -1 or 1, or 0 for no verdict, in the order of
        `CRITERIA`: the t-test, the pooled and the clustered bootstrap, the stability check, and
        the published and the clustered rule.
    """
    means_CS = d_CSU.mean(axis=2)
    pooled_CB, by_seed_CSB, clustered_CB = bootstrap_parts(d_CSU, n_resamples, seed)
    low_CS, high_CS = np.moveaxis(percentile_interval(by_seed_CSB), -1, 0)
    found = np.empty((len(shifts_E), len(d_CSU), len(CRITERIA)), dtype=np.int8)
    for shift, found_CK in zip(shifts_E, found, strict=True):
        t = [paired_t(np.zeros_like(means_S), means_S) for means_S in means_CS + shift]
        t_p_C, t_way_C = np.array([r.p_value for r in t]), np.sign([r.difference for r in t])
        bootstraps = [
            (bootstrap_p_value(means), np.sign(np.sign(means).sum(axis=1)))
            for means in (pooled_CB + shift, clustered_CB + shift)
        ]
        rule = partial(
            is_robust,
            t_direction=t_way_C,
            seeds_positive=(low_CS + shift > 0).sum(axis=1),
            seeds_negative=(high_CS + shift < 0).sum(axis=1),
            n_seeds=means_CS.shape[1],
        )
        # With both tests granted the rule is the stability check alone.
        rules = [rule(t_p_value=0.0, bootstrap_p_value=0.0, bootstrap_direction=t_way_C)] + [
            rule(t_p_value=t_p_C, bootstrap_p_value=p_C, bootstrap_direction=way_C)
            for p_C, way_C in bootstraps
        ]
        claims = [way_C * (p_C < ALPHA) for p_C, way_C in ((t_p_C, t_way_C), *bootstraps)]
        found_CK[:] = np.stack(claims + [t_way_C * holds for holds in rules], axis=1)
    return found
