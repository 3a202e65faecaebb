"""How models learn, epoch by epoch, and what they make of more or less of a history.

References
----------
Reading at other lengths than those of training: [REV]; Press et al. (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import pandas as pd
from torch.nn import functional

from seqattn.analysis.attention import load_model
from seqattn.config import SHIFT_INVARIANT, ModelConfig, replace
from seqattn.data import Dataset, load_dataset
from seqattn.errors import SeqattnError
from seqattn.models.positions import SCHEMES, RelativeBias
from seqattn.runs.evaluation import reversed_ties
from seqattn.runs.export import dataset_of
from seqattn.runs.results import histories
from seqattn.runs.store import Run
from seqattn.stats.exposure import mean_where
from seqattn.stats.metrics import metric
from seqattn.studies.judge import stacked, with_columns
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.training.ranking import rank_targets

Log = TypeVar("Log")
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
    were not trained on. Runs without weights as `of_weights` says.
    """
    return of_weights("reach", study, groups, _reach, lambda c: c.positions in SHIFT_INVARIANT)


def by_tie(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return NDCG@10 where a tie decides which item is the test target, and where none does.

    A row a run and kind: dataset, arm, model, seed, key, kind, share (of targets that share a
    moment with the interaction before), tied and untied (means over these targets, NaN without
    one), and reversed: the mean over all targets with ties reversed, see
    `seqattn.runs.evaluation.reversed_ties`. Runs without weights as `of_weights` says.
    """
    return of_weights("by_tie", study, groups, _by_tie)


def _by_tie(run: Run, log: str) -> pd.DataFrame:
    dataset = data_of(run, log)
    moments, at = dataset.sequences.timestamp, dataset.split.rows("test")
    tied_N = moments[at] == moments[at - 1]
    other = reversed_ties(dataset)
    reversed_ranks = rank_targets(load_model(run, dataset), other.split, "test")
    rows = []
    for kind, ranks_N in reversed_ranks.items():
        own_N, users_N = metric(run.ranks("test", kind), "NDCG", 10), run.owners()
        means = {
            "tied": mean_where(own_N, tied_N, users_N),
            "untied": mean_where(own_N, ~tied_N, users_N),
            "reversed": metric(ranks_N, "NDCG", 10, users_N).mean(),
        }
        rows.append({"kind": kind, "share": tied_N.mean(), **means})
    return pd.DataFrame(rows)


def by_distance(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what models have learned for each distance: biases of logits, taps of kernels.

    A row a run, layer, head, term (``bias``, ``keys`` or ``values``) and distance: dataset, arm,
    model, seed, key, layer, head, term, distance, weight; layers and heads count from 1. Runs that
    stand in several arms are those of the first, and those without weights as `of_weights` says.
    """

    def has_them(config: ModelConfig) -> bool:
        return issubclass(SCHEMES[config.positions], RelativeBias) or config.kernel != "none"

    once: dict[object, Group] = {}
    for group in groups:
        once.setdefault(group.specs, group)
    return of_weights("by_distance", study, [*once.values()], _by_distance, has_them)


def _by_distance(run: Run, log: str) -> pd.DataFrame:
    frames = []
    for name, weight_HN in run.weights().items():
        if not name.endswith("_HN"):
            continue
        _, layer, *_, term = name.removesuffix("_HN").split(".")
        head, distance = np.indices(weight_HN.shape)
        columns = {"head": head.ravel() + 1, "distance": distance.ravel()}
        weight = weight_HN.flatten().tolist()
        frames.append(
            pd.DataFrame({"layer": int(layer) + 1, "term": term, **columns, "weight": weight})
        )
    return pd.concat(frames)


def item_cosines(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return how alike the items' embeddings are: near 1, all point one way.

    A row a run: dataset, arm, model, seed, key, cosine (the mean over all pairs of two different
    items). Runs without weights as `of_weights` says.
    """
    return of_weights("item_cosines", study, groups, _item_cosine)


def _item_cosine(run: Run, log: str) -> pd.DataFrame:
    items_Vd = run.weights()["item_embedding.weight"][1:].double()  # code 0 is the padding
    unit_Vd, n = functional.normalize(items_Vd, dim=1), len(items_Vd)
    cosine = (unit_Vd.sum(0).square().sum() - n) / (n * (n - 1))
    return pd.DataFrame({"cosine": [float(cosine)]})


def of_weights(
    table: str,
    study: Study,
    groups: Sequence[Group],
    rows: Callable[[Run, str], pd.DataFrame],
    wanted: Callable[[ModelConfig], bool] = lambda config: True,
) -> pd.DataFrame:
    """Return what `rows` makes of each wanted run's weights, beside dataset, arm, model, seed, key.

    `wanted` looks at a model's configuration. A run without weights, as the repository keeps them,
    keeps the rows that the study's `table` has of it. `rows` gets a run that has weights, and
    what names its log for `data_of`.
    """
    before = with_columns(study.kept(table), ["key"])
    frames: list[pd.DataFrame] = []
    for group in groups:
        for run in group.runs:
            config = getattr(run.spec, "model_config", None)  # RecBole's models have none
            if config is None or not wanted(config):
                continue
            # The committed copy of a run, which is found first, has no weights.
            copies = [run, *filter(None, (store.get(run.spec) for store in study.stores))]
            whole = next((copy for copy in copies if copy.has_weights), None)
            of_run = {"seed": run.seed, "key": run.spec.key}
            key = {"dataset": group.dataset.name, "arm": group.arm, "model": group.model, **of_run}
            log = group.dataset.reference
            found = rows(whole, log) if whole else _kept_once(before, run.spec.key)
            order = [*key, *found.columns.difference([*key], sort=False)]
            frames.append(found.assign(**key)[order])
    return stacked(frames)


def _kept_once(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return a run's kept rows, of one arm: one that stands in two has them in the table twice."""
    mine = rows[rows["key"] == key]
    return mine[mine["arm"] == mine["arm"].iloc[0]] if len(mine) else mine


def of_logs(
    table: str,
    study: Study,
    names: Iterable[str],
    load: Callable[[str], Log],
    rows: Callable[[str, Log], pd.DataFrame],
) -> pd.DataFrame:
    """Return what `rows` makes of each named log, as `load` reads it.

    A log that is not at hand keeps the rows that the study's `table` has of it.
    """
    before = study.kept(table, ["dataset"])
    frames = []
    for name in names:
        try:
            log = load(study.logs.get(name, name))
        except SeqattnError:
            frames.append(before[before["dataset"] == name])
        else:
            frames.append(rows(name, log))
    return stacked(frames)


def data_of(run: Run, log: str) -> Dataset:
    """Return the data a run was fitted on, with the intensities that it was told to read.

    `log` is the dataset's name, or the path of the YAML of one's own.

    Raises
    ------
    SeqattnError
        The data is not at hand, or is another.
    """
    return dataset_of(run, _log(log))


@lru_cache(maxsize=1)  # a study's runs come log by log
def _log(name: str) -> Dataset:
    return load_dataset(name)


def _reach(run: Run, log: str) -> pd.DataFrame:
    dataset = data_of(run, log)
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
