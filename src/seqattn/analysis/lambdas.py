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
from scipy import special, stats

from seqattn.config import TrainConfig
from seqattn.data import Dataset
from seqattn.models.backbone import Backbone
from seqattn.runs.results import BASELINE, by_model
from seqattn.runs.store import Run
from seqattn.stats.metrics import metric
from seqattn.training.batches import (
    Gatherer,
    Windows,
    packed_windows,
    prefix_windows,
    random_batches,
)
from seqattn.training.fit import batch_loss
from seqattn.training.ranking import rank_targets


def trajectories(runs: Iterable[Run]) -> pd.DataFrame:
    """Return lambda by epoch: columns model, seed, layer (from 1), epoch, lam, kept.

    Epoch 0 is the start, 1 in every layer; `kept` marks the epoch whose weights a run holds.
    """
    rows = []
    for run in runs:
        best = run.facts["best_epoch"]
        for layer in range(len(run.facts["lambdas"])):
            rows.append((run.model, run.seed, layer + 1, 0, 1.0, False))
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


def against_change(runs: Sequence[Run], k: int = 10) -> pd.DataFrame:
    """Return [IA] Figure 2's points, one a (model, seed): mean lambda, NDCG@k change in %."""
    groups = by_model(runs)
    base = {c.seed: metric(c.ranks(), "NDCG", k).mean() for c in groups[BASELINE]}
    rows = [
        (
            model,
            run.seed,
            float(np.mean(run.facts["lambdas"])),
            100 * (metric(run.ranks(), "NDCG", k).mean() / base[run.seed] - 1),
        )
        for model, group in groups.items()
        for run in group
        if run.facts["lambdas"]
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "lam", "change"])


def sweep(
    model: Backbone, dataset: Dataset, grid: Sequence[float], device: str = "cpu", k: int = 10
) -> np.ndarray:
    """Return validation NDCG@k, (len(grid),), with every layer's lambda set to each grid value.

    The trained weights stay as they are; lambda is restored afterwards.
    """
    parameters = [block.attention.injection.lam for block in model.blocks]
    trained = [parameter.detach().clone() for parameter in parameters]
    values = []
    with torch.no_grad():
        try:
            for lam in grid:
                for parameter in parameters:
                    parameter.fill_(lam)
                ranks = rank_targets(model, dataset.split, "valid", device)["unfiltered"]
                values.append(metric(ranks, "NDCG", k).mean())
        finally:
            for parameter, value in zip(parameters, trained, strict=True):
                parameter.copy_(value)
    return np.array(values)


def loss_gradient(
    model: Backbone,
    dataset: Dataset,
    config: TrainConfig,
    max_users: int = 200,
    device: str = "cpu",
) -> np.ndarray:
    r"""Return the gradient of the mean training loss by each layer's lambda, (L,), in nats.

    .. math:: g_l = \frac{\partial}{\partial \lambda_l} \frac1N \sum_{t=1}^N
        -\log p(\text{target}_t)

    Evaluation mode, so dropout is off. A positive value means that a smaller lambda would lower
    the loss, all other weights held.

    Parameters
    ----------
    model : Backbone
        An intensity-aware model.
    dataset : Dataset
        The data it was trained on.
    config : TrainConfig
        Its windows; long histories are cut without a random phase.
    max_users : int
        All training targets of so many users, evenly spaced over the dataset.
    device : str
        Where the model lives.
    """
    train = dataset.split.train
    users = np.unique(np.linspace(0, dataset.n_users - 1, max_users).astype(int))
    length = model.config.max_length
    if config.windows == "prefix":
        windows = prefix_windows(train.offsets, length)
    else:
        windows = packed_windows(train.offsets, length, config.stride)
    owner = np.searchsorted(train.offsets, windows.start, side="right") - 1
    mine = np.isin(owner, users)
    windows = Windows(windows.start[mine], windows.length[mine], windows.first_scored[mine])
    gatherer, model = Gatherer(train, device), model.eval()
    lams = [block.attention.injection.lam for block in model.blocks]
    total = np.zeros(len(lams))
    for chosen in random_batches(windows, config.batch_targets, np.random.default_rng(0)):
        for bucket in windows.buckets(chosen):
            batch = gatherer.next_item_batch(windows, bucket)
            gradients = torch.autograd.grad(batch_loss(model, batch), lams)
            total += len(batch.targets) * np.array([float(g) for g in gradients])
    return total / windows.n_scored.sum()


def t_interval(values: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """Return the t interval of a mean from independent values, (n,); NaN for fewer than two."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float("nan"), float("nan")
    reach = special.stdtrit(len(values) - 1, 1 - alpha / 2) * values.std(ddof=1)
    reach /= np.sqrt(len(values))
    return float(values.mean() - reach), float(values.mean() + reach)


@dataclass(frozen=True)
class Spearman:
    """Rank correlation of n points, with its 95 % interval; NaN where there is none."""

    rho: float
    low: float
    high: float
    n: int


def spearman(x: Sequence[float], y: Sequence[float], alpha: float = 0.05) -> Spearman:
    r"""Return Spearman's correlation with a Fisher interval.

    .. math:: \tanh\left(\operatorname{artanh} \rho \pm z_{1-\alpha/2}
        \sqrt{\frac{1 + \rho^2 / 2}{n - 3}}\right)

    It takes points for independent. Fewer than six points, or a constant coordinate, have no
    interval.

    References
    ----------
    Bonett & Wright 2000, Psychometrika 65(1), for the standard error.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    n = len(x)
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Spearman(np.nan, np.nan, np.nan, n)
    rho = float(stats.spearmanr(x, y).statistic)
    if n < 6 or abs(rho) > 1 - 1e-12:
        return Spearman(rho, np.nan, np.nan, n)
    reach = special.ndtri(1 - alpha / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-reach, reach]))
    return Spearman(rho, float(low), float(high), n)
