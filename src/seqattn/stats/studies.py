"""The dual criterion on many simulated studies at once, each part by itself.

A study is judged at several true effects. Its bootstrap is made once: a bootstrap of shifted data
is the bootstrap of the data, shifted.

Shapes: C studies, S seeds, U users, B resamples, E effects, K criteria.
"""

from __future__ import annotations

import numpy as np

from seqattn.stats.bootstrap import bootstrap_p_value, percentile_interval
from seqattn.stats.criterion import bootstrap_parts, is_robust
from seqattn.stats.inputs import Floats
from seqattn.stats.paired import paired_t

CRITERIA = ("t", "pooled", "clustered", "stability", "robust", "robust_clustered")


def directions(
    d_CSU: Floats, shifts_E: Floats, n_resamples: int, seed: int, alpha: float
) -> np.ndarray:
    """Return what each criterion claims of each study, the data shifted by each effect.

    Parameters
    ----------
    d_CSU
        Differences between variant and baseline, shape (C, S, U).
    shifts_E
        Added to every entry, in units of the metric, shape (E,).
    n_resamples, seed, alpha
        As in `seqattn.stats.dual_criterion`, whose verdicts these are.

    Returns
    -------
    ndarray of int8
        Shape (E, C, K): the direction claimed, -1 or 1, or 0 for no verdict, in the order of
        `CRITERIA`: the t-test, the pooled and the clustered bootstrap, the stability check, and
        the published and the clustered rule.
    """
    means_CS = d_CSU.mean(axis=2)
    pooled_CB, by_seed_CSB, clustered_CB = bootstrap_parts(d_CSU, n_resamples, seed)
    low_CS, high_CS = np.moveaxis(percentile_interval(by_seed_CSB, alpha), -1, 0)
    found = np.empty((len(shifts_E), len(d_CSU), len(CRITERIA)), dtype=np.int8)
    for shift, found_CK in zip(shifts_E, found, strict=True):
        tests = [
            (bootstrap_p_value(means), np.sign(np.sign(means).sum(axis=1)))
            for means in (pooled_CB + shift, clustered_CB + shift)
        ]
        positive_C, negative_C = (low_CS + shift > 0).sum(axis=1), (high_CS + shift < 0).sum(axis=1)
        for c, means_S in enumerate(means_CS + shift):
            bootstraps = [(float(p_C[c]), int(way_C[c])) for p_C, way_C in tests]
            counts = int(positive_C[c]), int(negative_C[c])
            found_CK[c] = _claims(means_S, bootstraps, counts, alpha)
    return found


def _claims(
    means_S: Floats, bootstraps: list[tuple[float, int]], counts: tuple[int, int], alpha: float
) -> list[int]:
    """Return one study's directions, in the order of `CRITERIA`.

    `bootstraps` are p-value and direction, pooled then clustered; `counts` are seeds whose
    interval lies above and below zero.
    """
    t = paired_t(np.zeros_like(means_S), means_S)
    direction = int(np.sign(t.difference))

    def holds(t_p_value: float, p_value: float, way: int) -> bool:
        return is_robust(
            t_p_value=t_p_value,
            t_direction=direction,
            bootstrap_p_value=p_value,
            bootstrap_direction=way,
            seeds_positive=counts[0],
            seeds_negative=counts[1],
            n_seeds=len(means_S),
            alpha=alpha,
        )

    return [
        direction * (t.p_value < alpha),
        *(way * (p_value < alpha) for p_value, way in bootstraps),
        direction * holds(0.0, 0.0, direction),  # both tests granted: stability alone
        *(direction * holds(t.p_value, *test) for test in bootstraps),
    ]
