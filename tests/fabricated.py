"""Campaigns made up for tests: searches and cells with ranks of a known effect, nothing trained."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from seqattn.config import BASELINE, SEARCHED, SEEDS, VARIANTS, ModelConfig, TrainConfig, replace
from seqattn.runs.store import Result, Store
from seqattn.search.record import Search, SearchConfig, searches
from seqattn.studies import plan
from seqattn.studies.plan import DataFacts
from seqattn.studies.study import Arm, ArmSettings, Study
from seqattn.studies.tables import TABLES

TRAIN = TrainConfig()
ENVIRONMENT = {"device": "CPU, AVX2, 1 thread", "commit": "0123456789abcdef"}


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


def four(ranks_U):
    """Return ranks on both targets, among all items and filtered: `ranks_U` on test, and others."""
    moved = {"test_filtered": -1, "test_unfiltered": 0, "valid_filtered": 1, "valid_unfiltered": 2}
    return {kind: np.maximum(1, ranks_U + by).astype(np.int32) for kind, by in moved.items()}


def keep(folder, spec, ranks_U, lambdas=(), epochs=1, best_epoch=1, seconds=3600.0):
    """Write a cell with these ranks on test, and others in their place (see `four`)."""
    facts = {
        "lambdas": list(lambdas),
        "history": [
            {"epoch": 1 + number, "valid_ndcg": 0.1, "lambdas": list(lambdas)}
            for number in range(epochs)
        ],
        "best_epoch": best_epoch,
        "seconds": seconds,
        "environment": ENVIRONMENT,
    }
    weights = {"w": torch.zeros(1)}
    Store(folder).compute(spec, lambda: Result(facts, four(ranks_U), weights))


ARMS = tuple(
    Arm(name, ArmSettings(name), models, name)
    for name, models in (
        ("own_search", SEARCHED),
        ("shared_backbone", SEARCHED),
        ("variant_backbone", VARIANTS),
    )
)


def tables_of(folder, *names, seeds=SEEDS):
    """Return a made-up campaign's tables by name, as the study "Replication" has them."""
    study, groups = groups_of(folder, seeds=seeds)
    return {name: TABLES[name](study, groups) for name in names}


def groups_of(folder, datasets=None, seeds=SEEDS, fingerprint="f" * 16):
    """Return a made-up campaign's groups, read from its folder, and their study."""
    datasets = datasets or sorted({search.dataset for search in searches(folder)})
    study = Study("made_up", "", "", tuple(datasets), ARMS, tuple(seeds), (), Path(folder))
    facts = {name: DataFacts(name, fingerprint, 1000, 60) for name in datasets}
    with patch.object(plan, "data_facts", facts.get):
        return study, plan.read(plan.wanted(study), Store(folder))


def runs_of(folder, dataset, arm, **more):
    """Return the runs of an arm that are there, by model."""
    _, groups = groups_of(folder, [dataset], **more)
    return {g.model: list(g.runs) for g in groups if g.arm == arm and g.specs}
