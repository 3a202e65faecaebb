"""Campaigns made up for tests: searches and cells with ranks of a known effect, nothing trained."""

from __future__ import annotations

import numpy as np
import torch

from seqattn.config import BASELINE, SEARCHED, SEEDS, ModelConfig, TrainConfig, replace
from seqattn.runs.store import Result, Store
from seqattn.search.record import Search, SearchConfig

TRAIN = TrainConfig()
ENVIRONMENT = {"device": "a made-up device", "commit": "0123456789abcdef"}


def fabricate(
    folder,
    dataset,
    *,
    design="own_search",
    slower=None,
    models=SEARCHED,
    seeds=SEEDS,
    n_users=60,
    trials=25,
    lambdas=None,
):
    """Write a dataset's searches and cells; `slower` multiplies a model's ranks (1: no effect)."""
    generator = np.random.default_rng(0)
    usual_U = generator.integers(1, 30, size=n_users)
    for model in models:
        # Another normalisation, or both designs would share the cells of one configuration.
        changes = (
            {"normalisation": "minmax"} if design != "own_search" and model != BASELINE else {}
        )
        search = made_up_search(dataset, model, design, trials, **changes)
        if design == "own_search" or model != BASELINE:  # the matched design has SASRec's own
            search.write(folder)
        for seed in seeds:
            noise = np.random.default_rng([seed, len(model), ord(model[-1])])
            ranks = (usual_U + noise.integers(0, 3, size=n_users)) * (slower or {}).get(model, 1)
            ranks = np.maximum(1, ranks.astype(int)).astype(np.int32)
            lam = [] if model == BASELINE else [(lambdas or {}).get(model, 0.4) + 0.01 * (seed % 5)]
            keep(folder, search.spec(seed), ranks, lam)


def made_up_search(dataset, model, design="own_search", trials=25, **changes):
    """Return a search that found the default configuration after some trials."""
    return Search(
        *(dataset, "f" * 16, model, design, SearchConfig()),
        replace(ModelConfig(), **changes),
        TRAIN,
        0.1,
        [
            {"number": n, "state": "COMPLETE", "value": 0.1, "params": {}, "seconds": 36.0}
            for n in range(trials)
        ],
        ENVIRONMENT,
    )


def keep(folder, spec, ranks_U, lambdas=(), epochs=1, best_epoch=1):
    """Write a cell with these ranks as its test and validation ranks."""
    facts = {
        "lambdas": list(lambdas),
        "history": [{"epoch": 1 + number, "valid_ndcg": 0.1} for number in range(epochs)],
        "best_epoch": best_epoch,
        "seconds": 3600.0,
        "environment": ENVIRONMENT,
    }
    kinds = [
        f"{stage}_{kind}" for stage in ("valid", "test") for kind in ("unfiltered", "filtered")
    ]
    weights = {"w": torch.zeros(1)}
    Store(folder).compute(spec, lambda: Result(facts, dict.fromkeys(kinds, ranks_U), weights))
