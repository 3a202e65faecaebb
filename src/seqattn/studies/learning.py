"""How models learn, epoch by epoch, and what they make of more or less of a history.

References
----------
Reading at other lengths than those of training: [REV]; Press et al. (2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from seqattn.analysis.attention import load_model
from seqattn.config import SHIFT_INVARIANT, replace
from seqattn.data import Dataset, load_dataset
from seqattn.runs.results import histories
from seqattn.runs.store import Run
from seqattn.stats.metrics import metric
from seqattn.studies.judge import stacked, with_columns
from seqattn.studies.plan import Group, Study
from seqattn.training.ranking import rank_targets

READ = (10, 25, 50, 99, 200, 400)  # interactions


def curves(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return a row an epoch: dataset, arm, model, seed, epoch, loss, valid_ndcg, seconds."""
    return stacked(
        histories(group.runs).assign(dataset=group.dataset.name, arm=group.arm)
        for group in groups
        if group.runs
    )


def reach(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return NDCG@10 of models that read more or less of a history than they were trained on.

    A row a run and number of interactions read: dataset, arm, model, seed, key, read, valid, test.
    Of the runs whose positions count distances alone: others have no vector for a position they
    were not trained on. A run without weights, as the repository keeps them, keeps the rows that
    the study's table has of it.
    """
    path = study.folder / "reach.csv"
    before = with_columns(study.table("reach") if path.exists() else pd.DataFrame(), ["key"])
    frames: list[pd.DataFrame] = []
    data: dict[str, Dataset] = {}
    for group in groups:
        for run in group.runs:
            config = getattr(run.spec, "model_config", None)
            if config is None or config.positions not in SHIFT_INVARIANT:
                continue
            # The committed copy of a run, which is found first, has no weights.
            copies = [run, *filter(None, (store.get(run.spec) for store in study.stores))]
            whole = next((copy for copy in copies if copy.has_weights), None)
            if whole is None:
                frames.append(before[before["key"] == run.spec.key])
                continue
            name = group.dataset.name
            if name not in data:
                data[name] = load_dataset(name)
            of_run = {"seed": run.seed, "key": run.spec.key}
            key = {"dataset": name, "arm": group.arm, "model": group.model, **of_run}
            frames.append(_reach(whole, data[name]).assign(**key))
    return stacked(frames)


def _reach(run: Run, dataset: Dataset) -> pd.DataFrame:
    model, rows = load_model(run, dataset), []
    for n in READ:
        model.config = replace(model.config, max_length=n)
        found = {
            stage: metric(
                rank_targets(model, dataset.split, stage)["unfiltered"],
                *("NDCG", 10, run.owners(stage)),
            ).mean()
            for stage in ("valid", "test")
        }
        rows.append({"read": n, **found})
    return pd.DataFrame(rows)
