"""The dual criterion: seed-level t-test, per-user bootstrap and a per-seed stability check.

Shapes: C cells, S seeds, U users, B resamples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from seqattn.errors import SeqattnError
from seqattn.stats.bootstrap import (
    bootstrap_means,
    bootstrap_p_value,
    percentile_interval,
    require_resamples,
)
from seqattn.stats.inputs import ALPHA, Floats, as_pair, copies
from seqattn.stats.significance import paired_t, tost_paired, wilcoxon

# The parts of the criterion and the rules made of them, as every table and figure names them.
PARTS = {
    "t": "t-test",
    "pooled": "pooled bootstrap",
    "clustered": "clustered bootstrap",
    "stability": "stability check",
}
RULES = {"robust": "published rule", "robust_clustered": "clustered rule"}
CORRECTED = {
    "bh": f"{RULES['robust_clustered']}, Benjamini-Hochberg",
    "holm": f"{RULES['robust_clustered']}, Holm",
}
CRITERIA = PARTS | RULES | CORRECTED


@dataclass(frozen=True)
class DualCriterion:
    """Result of `dual_criterion` for one (dataset, variant, metric, cut-off) cell.

    Attributes
    ----------
    relative_change_percent
        Change of the mean over seeds, in percent of the baseline; NaN for a zero baseline.
    difference
        Mean of ``variant - base`` over seeds and users, in units of the metric.
    direction
        Sign of `difference`: -1, 0 or 1.
    t_statistic, t_p_value
        Criterion (i), see `paired_t`.
    pooled_p_value, pooled_ci
        Criterion (ii) as published: seeds x users resampled as if independent.
    clustered_p_value, clustered_ci
        The same with users resampled, each with all its seeds.
    seeds_positive, seeds_negative
        Criterion (iii): seeds whose own interval lies strictly above, strictly below zero.
    robust
        The published verdict: (i), pooled (ii) and (iii).
    robust_clustered
        The verdict with the clustered bootstrap in place of the pooled one.
    n_seeds, n_users, n_resamples, alpha
        What the verdict rests on.
    """

    relative_change_percent: float
    difference: float
    direction: int
    t_statistic: float
    t_p_value: float
    pooled_p_value: float
    pooled_ci: tuple[float, float]
    clustered_p_value: float
    clustered_ci: tuple[float, float]
    seeds_positive: int
    seeds_negative: int
    robust: bool
    robust_clustered: bool
    n_seeds: int
    n_users: int
    n_resamples: int
    alpha: float = ALPHA

    @property
    def agreeing(self) -> int:
        """Seeds whose own interval lies on the side of the mean difference."""
        return self.seeds_positive if self.direction > 0 else self.seeds_negative


def dual_criterion(
    base: ArrayLike,
    variant: ArrayLike,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> DualCriterion:
    """Judge one cell: whether the difference is robust over seeds and over users.

    (i) a paired t-test over the S seed means rejects; (ii) a paired bootstrap over users rejects;
    (iii) more than half of the seeds, each bootstrapped alone, have a percentile interval
    strictly on the side of zero where the mean difference lies. All at 0.05, in one direction.

    The published bootstrap (ii) pools seeds x users and resamples single entries. That is
    pseudo-replication: the S entries of a user share the user and are not S independent
    observations (ML-1M: n = 30,200 for 6,040 users), so its interval is too narrow whenever a
    user's differences agree between seeds. The clustered bootstrap beside it averages each user
    over seeds and resamples users. Neither resamples seeds: they describe these S trained pairs,
    and only (i) speaks about new seeds.

    Parameters
    ----------
    base, variant
        Shape (S, U): per-user metric, the same seed and user at the same place in both.
    n_resamples
        B; above 20, or the floored p-value could never reject.
    seed
        Of the resamples. One set serves all seeds and the clustered bootstrap, so that the
        Monte-Carlo errors of their intervals are correlated.

    Raises
    ------
    SeqattnError
        If the shapes differ, there are fewer than 2 seeds or users, a value is not finite, or
        `n_resamples` is out of range.

    References
    ----------
    [IA] Shyrallyiev & Pyshnograiev 2026, section 4.3. There (iii) reads "at least 3 of 5 on the
    same side of zero"; here that side must be the mean difference's.

    Examples
    --------
    Where all seeds find the same users better off, their differences are 200 facts and not 1,000.
    Pooled entries look like 1,000, and their interval leaves out zero:

    >>> rng = np.random.default_rng(0)
    >>> base = rng.random((5, 200))
    >>> record = dual_criterion(base, base + rng.normal(0.01, 0.1, 200))
    >>> record.pooled_ci[0] > 0, record.clustered_ci[0] > 0
    (True, False)
    """
    return _judge_cells([(base, variant)], [""], n_resamples, seed)[0]


def dual_criterion_table(
    cells: Mapping[Any, tuple[ArrayLike, ArrayLike]],
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> list[DualCriterion]:
    """Judge many cells at once; cells of one shape (S, U) share their resamples.

    A cell's record equals that of `dual_criterion` on it alone. Sharing makes the cells'
    Monte-Carlo errors alike, and the work of drawing resamples independent of their number.
    It corrects nothing for multiplicity: see `seqattn.stats.significance`.

    `cells` map a key to (base, variant), each of shape (S, U), which may differ between cells; the
    records come in their order.

    Raises
    ------
    SeqattnError
        As `dual_criterion`; the message names the cell's key.
    """
    labels = [f"cell {key!r}: " for key in cells]
    return _judge_cells(list(cells.values()), labels, n_resamples, seed)


def is_robust(
    *,
    t_p_value: ArrayLike,
    t_direction: ArrayLike,
    bootstrap_p_value: ArrayLike,
    bootstrap_direction: ArrayLike,
    seeds_positive: ArrayLike,
    seeds_negative: ArrayLike,
    n_seeds: int,
) -> np.ndarray:
    """Apply the decision rule: both tests reject and most seeds agree, all in one direction.

    Directions are -1, 0 or 1; `t_direction` is the sign of the mean difference. "Most" is more
    than half of `n_seeds`. All are numbers, or arrays with an entry for each study.

    References
    ----------
    [IA] section 4.3, "robust".
    """
    direction = np.asarray(t_direction)
    agreeing = np.where(direction > 0, seeds_positive, seeds_negative)
    both = (direction != 0) & (direction == bootstrap_direction)
    reject = np.maximum(t_p_value, bootstrap_p_value) < ALPHA
    return both & reject & (2 * agreeing > n_seeds)


def _judge_cells(
    cells: list[tuple[ArrayLike, ArrayLike]], labels: list[str], n_resamples: int, seed: int
) -> list[DualCriterion]:
    require_resamples(n_resamples)
    pairs = [as_pair(*pair, ndim=2, cell=label) for pair, label in zip(cells, labels, strict=True)]
    for pair, label in zip(pairs, labels, strict=True):
        if found := copies(np.hstack(pair)):
            raise SeqattnError(
                f"{label}the seeds at places {found[0]} and {found[1]} have the same values for "
                "every user in both systems: a run is there twice, or the seed had no effect"
            )
    positions_by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for position, (base, _) in enumerate(pairs):
        positions_by_shape[base.shape].append(position)

    verdicts: dict[int, DualCriterion] = {}
    for positions in positions_by_shape.values():
        differences_CSU = np.stack([pairs[p][1] - pairs[p][0] for p in positions])
        parts = bootstrap_parts(differences_CSU, n_resamples, seed)
        for row, position in enumerate(positions):
            pooled_B, by_seed_SB, clustered_B = (part[row] for part in parts)
            verdicts[position] = _judge(*pairs[position], pooled_B, by_seed_SB, clustered_B)
    return [verdicts[position] for position in range(len(pairs))]


def bootstrap_parts(
    differences_CSU: Floats, n_resamples: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Return pooled (C, B), per-seed (C, S, B) and clustered (C, B) bootstrap means."""
    n_cells, n_seeds, n_users = differences_CSU.shape
    pooled_CB = bootstrap_means(differences_CSU.reshape(n_cells, -1), n_resamples, seed)
    averaged_C1U = differences_CSU.mean(axis=1, keepdims=True)
    rows = np.concatenate([differences_CSU, averaged_C1U], axis=1).reshape(-1, n_users)
    by_user = bootstrap_means(rows, n_resamples, seed).reshape(n_cells, n_seeds + 1, -1)
    return pooled_CB, by_user[:, :-1], by_user[:, -1]


def _judge(
    base_SU: Floats, variant_SU: Floats, pooled_B: Floats, by_seed_SB: Floats, clustered_B: Floats
) -> DualCriterion:
    t = paired_t(base_SU.mean(axis=1), variant_SU.mean(axis=1))
    direction = int(np.sign(t.difference))
    pooled_p, clustered_p = (float(bootstrap_p_value(b)) for b in (pooled_B, clustered_B))
    seed_intervals = percentile_interval(by_seed_SB)
    positive = int((seed_intervals[:, 0] > 0).sum())
    negative = int((seed_intervals[:, 1] < 0).sum())

    def verdict(means_B: Floats, p_value: float) -> bool:
        robust = is_robust(
            t_p_value=t.p_value,
            t_direction=direction,
            bootstrap_p_value=p_value,
            bootstrap_direction=int(np.sign(np.sign(means_B).sum())),
            seeds_positive=positive,
            seeds_negative=negative,
            n_seeds=len(base_SU),
        )
        return bool(robust)

    return DualCriterion(
        relative_change_percent=t.relative_change_percent,
        difference=t.difference,
        direction=direction,
        t_statistic=t.t,
        t_p_value=t.p_value,
        pooled_p_value=pooled_p,
        pooled_ci=tuple(percentile_interval(pooled_B).tolist()),
        clustered_p_value=clustered_p,
        clustered_ci=tuple(percentile_interval(clustered_B).tolist()),
        seeds_positive=positive,
        seeds_negative=negative,
        robust=verdict(pooled_B, pooled_p),
        robust_clustered=verdict(clustered_B, clustered_p),
        n_seeds=base_SU.shape[0],
        n_users=base_SU.shape[1],
        n_resamples=len(pooled_B),
    )


def p_text(p: float) -> str:
    """Return a p-value as tables show it: "0.031", or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def reasons(records: Mapping[Any, DualCriterion]) -> pd.DataFrame:
    """Return why each verdict is what it is, a row per record.

    Columns are the relative change in percent, the parts (i) to (iii) of `dual_criterion` as text
    such as "fails: p = 0.050", and the verdict. A verdict that is negative although all parts pass
    has parts that point in different directions.
    """
    rows = {}
    for name, record in records.items():
        row: dict[str, Any] = {"change %": record.relative_change_percent}
        for part, p in (("(i)", record.t_p_value), ("(ii)", record.pooled_p_value)):
            row[part] = f"{_passes(p < ALPHA)}: p {'' if p < 0.001 else '= '}{p_text(p)}"
        most = record.direction != 0 and 2 * record.agreeing > record.n_seeds
        told = f"{record.agreeing} of {record.n_seeds} seeds exclude zero alone"
        rows[name] = row | {"(iii)": f"{_passes(most)}: {told}", "robust": record.robust}
    return pd.DataFrame.from_dict(rows, orient="index")


def _passes(holds: bool) -> str:
    return "passes" if holds else "fails"


def equivalence(
    base_U: np.ndarray, variants: Mapping[str, np.ndarray], margin: float
) -> pd.DataFrame:
    """Return whether each variant is equivalent to its baseline within a margin, over users.

    `base_U` is the baseline's metric, `variants` are arrays like it by name, and `margin` is the
    largest difference that does not matter, in units of the metric.

    Returns
    -------
    DataFrame
        A row per variant: the mean `difference`, the ends `low` and `high` of its 90 % interval,
        `tost_p` and the verdict `equivalent` of two one-sided t-tests, and `wilcoxon_p`.

    Raises
    ------
    SeqattnError
        If shapes differ, a value is not finite, or the margin is not positive.
    """
    rows = {}
    for name, variant_U in variants.items():
        tost = tost_paired(base_U, variant_U, margin)
        rows[name] = {
            "difference": tost.difference,
            "low": tost.ci[0],
            "high": tost.ci[1],
            "tost_p": tost.p_value,
            "equivalent": tost.equivalent,
            "wilcoxon_p": wilcoxon(base_U, variant_U).p_value,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
