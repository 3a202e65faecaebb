"""What the models did with lambda.

References
----------
[IA] section 6, Table 4 and Figure 2; science notes in the book's deviations page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch

from seqattn.data import Dataset
from seqattn.evaluation import metric, rank_targets
from seqattn.models.backbone import Backbone
from seqattn.results import BASELINE, by_model
from seqattn.store import Cell


def trajectories(cells: Iterable[Cell]) -> pd.DataFrame:
    """Return lambda by epoch: columns model, seed, layer (from 1), epoch, lam; epoch 0 is 1."""
    rows = []
    for cell in cells:
        for layer in range(len(cell.facts["lambdas"])):
            rows.append((cell.model, cell.seed, layer + 1, 0, 1.0))
            rows += [
                (cell.model, cell.seed, layer + 1, epoch["epoch"], epoch["lambdas"][layer])
                for epoch in cell.facts["history"]
            ]
    return pd.DataFrame(rows, columns=["model", "seed", "layer", "epoch", "lam"])


def learned(cells: Iterable[Cell]) -> pd.DataFrame:
    """Return the lambdas of the best-on-validation weights: columns model, seed, layer, lam."""
    rows = [
        (cell.model, cell.seed, layer, lam)
        for cell in cells
        for layer, lam in enumerate(cell.facts["lambdas"], start=1)
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "layer", "lam"])


def table(cells: Iterable[Cell]) -> pd.DataFrame:
    """Return [IA] Table 4: mean and standard deviation of lambda over layers and seeds."""
    lam = learned(cells).groupby("model", sort=False)["lam"]
    return pd.DataFrame({"mean": lam.mean(), "std": lam.std(ddof=1), "values": lam.size()})


def against_change(cells: Sequence[Cell], k: int = 10) -> pd.DataFrame:
    """Return [IA] Figure 2's points, one a (model, seed): mean lambda, NDCG@k change in %."""
    groups = by_model(cells)
    base = {c.seed: metric(c.ranks(), "NDCG", k).mean() for c in groups[BASELINE]}
    rows = [
        (
            model,
            cell.seed,
            float(np.mean(cell.facts["lambdas"])),
            100 * (metric(cell.ranks(), "NDCG", k).mean() / base[cell.seed] - 1),
        )
        for model, group in groups.items()
        for cell in group
        if cell.facts["lambdas"]
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
