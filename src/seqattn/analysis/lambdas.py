"""What the models did with lambda.

References
----------
[IA] section 6, Table 4 and Figure 2; science notes in the book's deviations page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy import special, stats

from seqattn.analysis.attention import load_model
from seqattn.config import TrainConfig, replace
from seqattn.data import Dataset
from seqattn.models.backbone import Backbone
from seqattn.runs.results import BASELINE, by_model
from seqattn.runs.store import Run
from seqattn.stats.metrics import metric
from seqattn.training.batches import (
    Gatherer,
    next_item_plan,
    packed_windows,
    prefix_windows,
    random_batches,
)
from seqattn.training.device import device_of
from seqattn.training.fit import batch_loss
from seqattn.training.ranking import rank_targets


def trajectories(runs: Iterable[Run]) -> pd.DataFrame:
    """Return lambda by epoch: columns model, seed, layer (from 1), epoch, lam, kept.

    Epoch 0 is the start; `kept` marks the epoch whose weights a run holds.
    """
    rows = []
    for run in runs:
        best, start = run.facts["best_epoch"], run.spec.train_config.lambda_start
        for layer in range(len(run.facts["lambdas"])):
            rows.append((run.model, run.seed, layer + 1, 0, start, False))
            for record in run.facts["history"]:
                epoch, lam = record["epoch"], record["lambdas"][layer]
                rows.append((run.model, run.seed, layer + 1, epoch, lam, epoch == best))
    return pd.DataFrame(rows, columns=["model", "seed", "layer", "epoch", "lam", "kept"])


def learned(runs: Iterable[Run]) -> pd.DataFrame:
    """Return the lambdas of the best-on-validation weights: columns model, seed, layer, lam."""
    rows = [
        (run.model, run.seed, layer, lam)
        for run in runs
        for layer, lam in enumerate(run.facts["lambdas"], start=1)
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "layer", "lam"])


def table(runs: Iterable[Run]) -> pd.DataFrame:
    """Return [IA] Table 4: mean and standard deviation of lambda over layers and seeds."""
    lam = learned(runs).groupby("model", sort=False)["lam"]
    return pd.DataFrame({"mean": lam.mean(), "std": lam.std(ddof=1), "values": lam.size()})


def pace(runs: Iterable[Run], n_targets: int) -> pd.DataFrame:
    """Return how far lambda went and could have gone, a row per (model, seed).

    Columns: lambda's mean over layers in the weights kept (`lam_kept`) and after the last epoch
    (`lam_last`); the epoch kept and the epochs run; the learning rate; the `steps` of an epoch
    with `n_targets` training targets, all of them scored, in batches that none of its windows
    exceeds; and `reach`, lambda's learning rate times steps. Adam moves a
    parameter by about the learning rate a step, at most, so that is how far an epoch can take it.
    """
    rows = []
    for run in runs:
        if not run.facts["lambdas"]:
            continue
        config, history = run.spec.train_config, run.facts["history"]
        steps = -(-n_targets // config.batch_targets)
        rows.append(
            {
                "model": run.model,
                "seed": run.seed,
                "lam_kept": np.mean(run.facts["lambdas"]),
                "lam_last": np.mean(history[-1]["lambdas"]),
                "epoch_kept": run.facts["best_epoch"],
                "epochs_run": len(history),
                "learning_rate": config.learning_rate,
                "steps": steps,
                "reach": config.learning_rate * config.lambda_rate * steps,
            }
        )
    return pd.DataFrame(rows)


def against_change(runs: Sequence[Run]) -> pd.DataFrame:
    """Return points after [IA] Figure 2: mean lambda and NDCG@10 change in %.

    One a (model, seed) on one dataset; a marker of the figure is one (dataset, variant).
    """
    groups = by_model(runs)
    base = {c.seed: c.values("NDCG", 10).mean() for c in groups[BASELINE]}
    rows = []
    for run in (run for group in groups.values() for run in group if run.facts["lambdas"]):
        change = 100 * (run.values("NDCG", 10).mean() / base[run.seed] - 1)
        rows.append((run.model, run.seed, float(np.mean(run.facts["lambdas"])), change))
    return pd.DataFrame(rows, columns=["model", "seed", "lam", "change"])


def sweep(model: Backbone, dataset: Dataset, grid: Sequence[float]) -> np.ndarray:
    """Return validation NDCG@10, (len(grid),), with every layer's lambda set to each grid value.

    The trained weights stay as they are; lambda is restored afterwards.
    """
    parameters, owners = model.lambda_parameters, dataset.split.owners().get("valid")
    trained = [parameter.detach().clone() for parameter in parameters]
    values = []
    with torch.no_grad():
        try:
            for lam in grid:
                for parameter in parameters:
                    parameter.fill_(lam)
                ranks = rank_targets(model, dataset.split, "valid", device_of(model))["unfiltered"]
                values.append(metric(ranks, "NDCG", 10, owners).mean())
        finally:
            for parameter, value in zip(parameters, trained, strict=True):
                parameter.copy_(value)
    return np.array(values)


def loss_gradient(
    model: Backbone, dataset: Dataset, config: TrainConfig, max_users: int = 200
) -> np.ndarray:
    r"""Return the gradient of the mean cross-entropy by each layer's lambda, (L,), in nats.

    .. math:: g_l = \frac{\partial}{\partial \lambda_l} \frac1N \sum_{t=1}^N
        -\log p(\text{target}_t)

    Evaluation mode, so dropout is off. A positive value means that a smaller lambda would lower
    the loss, all other weights held. The targets are all training targets of `max_users` users,
    evenly spaced over the dataset; long histories are cut without a random phase.
    """
    users = np.unique(np.linspace(0, dataset.n_users - 1, max_users).astype(int))
    train = dataset.split.train.of_users(dataset.split.train.user_ids[users])
    length = model.config.max_length
    if config.windows == "prefix":
        windows = prefix_windows(train.offsets, length)
    else:  # whole histories, read as training does: the window of each late target is full
        windows = packed_windows(
            train.offsets, length, 1 if config.windows == "whole" else config.stride
        )
    gatherer, model = Gatherer(train, device_of(model)), model.eval()
    lams = model.lambda_parameters
    total = np.zeros(len(lams))
    for chosen in random_batches(windows, config.batch_targets, np.random.default_rng(0)):
        for bucket in windows.buckets(chosen):
            batch = gatherer.batch(next_item_plan(windows, bucket))
            gradients = torch.autograd.grad(batch_loss(model, batch), lams)
            total += len(batch.targets) * np.array([float(g) for g in gradients])
    return total / windows.n_scored.sum()


def loss_gradients(runs: Iterable[Run], dataset: Dataset, max_users: int = 200) -> pd.DataFrame:
    """Return `loss_gradient` at the kept weights: columns model, seed, layer (from 1), gradient.

    Models without a lambda have no rows.
    """
    rows = []
    for run in (run for run in runs if run.facts["lambdas"]):
        model, config = load_model(run, dataset), run.spec.train_config
        gradients = enumerate(loss_gradient(model, dataset, config, max_users), start=1)
        rows += [(run.model, run.seed, layer, gradient) for layer, gradient in gradients]
    return pd.DataFrame(rows, columns=["model", "seed", "layer", "gradient"])


def ranks_by_scope(model: Backbone, dataset: Dataset) -> dict[str, np.ndarray]:
    """Return a trained model's test ranks, (U,), under ``causal`` and ``prefix`` normalisation.

    The model keeps the scope it came with.
    """
    config, ranks = model.config, {}
    try:
        for scope in ("causal", "prefix"):
            model.config = replace(config, scope=scope)
            found = rank_targets(model, dataset.split, "test", device_of(model))
            ranks[scope] = found["unfiltered"]
    finally:
        model.config = config
    return ranks


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % t interval of a mean of independent values, (n,); NaN for fewer than two."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float("nan"), float("nan")
    reach = special.stdtrit(len(values) - 1, 0.975) * values.std(ddof=1)
    reach /= np.sqrt(len(values))
    return float(values.mean() - reach), float(values.mean() + reach)


@dataclass(frozen=True)
class Spearman:
    """Rank correlation of n points, with its 95 % interval; NaN where there is none."""

    rho: float
    low: float
    high: float
    n: int


def spearman(x: ArrayLike, y: ArrayLike) -> Spearman:
    r"""Return Spearman's correlation with a Fisher interval.

    .. math:: \tanh\left(\operatorname{artanh} \rho \pm z_{0.975}
        \sqrt{\frac{1 + \rho^2 / 2}{n - 3}}\right)

    It takes points for independent. Fewer than six points, or a constant coordinate, have no
    interval.

    References
    ----------
    Bonett & Wright 2000, Psychometrika 65(1), for the standard error.
    """
    points_2N = np.array([x, y], dtype=float)
    n = points_2N.shape[1]
    if n < 3 or (np.ptp(points_2N, axis=1) == 0).any():
        return Spearman(np.nan, np.nan, np.nan, n)
    rho = float(stats.spearmanr(*points_2N).statistic)
    if n < 6 or abs(rho) > 1 - 1e-12:
        return Spearman(rho, np.nan, np.nan, n)
    reach = special.ndtri(0.975) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-reach, reach]))
    return Spearman(rho, float(low), float(high), n)


def spearman_by(
    x: ArrayLike, y: ArrayLike, of: ArrayLike, n_resamples: int = 1000, seed: int = 0
) -> Spearman:
    """Return Spearman's correlation with the 95 % percentile interval of resampled groups.

    Points of one group, `of` says which, stay together: they are not independent. Fewer than five
    groups have no interval.
    """
    points_2N, (_, group_N) = np.array([x, y], dtype=float), np.unique(of, return_inverse=True)
    found, n_groups = spearman(*points_2N), len(set(group_N))
    rows = [np.flatnonzero(group_N == number) for number in range(n_groups)]
    drawn = np.random.default_rng(seed).integers(n_groups, size=(n_resamples, n_groups))
    low = high = np.nan
    if n_groups >= 5 and not np.isnan(found.rho):
        sets = (points_2N[:, np.concatenate([rows[number] for number in own])] for own in drawn)
        rhos = [stats.spearmanr(*own).statistic for own in sets if np.ptp(own, axis=1).all()]
        low, high = np.quantile(rhos, [0.025, 0.975])
    return Spearman(found.rho, float(low), float(high), found.n)
