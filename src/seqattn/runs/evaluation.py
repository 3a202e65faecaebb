"""What one average hides: for which targets a model is good, and what it recommends to all.

Shapes: N test targets, n interactions, V items.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from seqattn.data import Dataset, Sequences
from seqattn.data.sequences import places_of
from seqattn.runs.export import dataset_of, load
from seqattn.runs.recommender import Recommender
from seqattn.runs.results import by_model, refuse_short_lists
from seqattn.runs.store import Run
from seqattn.stats.exposure import BANDS, coverage, gini, mean_where, novelty, popularity_bands
from seqattn.stats.metrics import metric
from seqattn.training.ranking import rank_targets


def evaluation(
    runs: Iterable[Run],
    dataset: Dataset,
    *,
    name: str = "NDCG",
    k: int = 10,
    kind: str = "unfiltered",
) -> pd.DataFrame:
    """Return a model's test metric by kind of target, and measures of its lists of k items.

    Returns
    -------
    DataFrame
        A row a model, means over its seeds. The metric over all targets, by popularity band
        (``head``, ``torso``, ``tail``, see `popularity_bands`), ``without cold``, ``cold users``
        and ``high intensity``, see `target_groups`; with ``ties reversed``, see `reversed_ties`;
        ``coverage``, ``Gini`` and ``novelty`` of the lists. NaN where no target is of a kind, and
        for the last four where a run was kept without weights, as RecBole's models and those made
        elsewhere are.

    Raises
    ------
    SeqattnError
        A run is of other data, the metric is unknown, or another library's lists are shorter than
        k.
    """
    runs = list(runs)
    refuse_short_lists(runs, dataset.n_items, name, k)
    groups, counts_V = target_groups(dataset), _counts(dataset)
    other, rows = reversed_ties(dataset), {}
    for model, group in by_model(runs).items():
        told = []
        for run in group:
            values_N, users_N = metric(run.ranks("test", kind), name, k), run.owners()
            row = {label: mean_where(values_N, chosen, users_N) for label, chosen in groups.items()}
            if "model.safetensors" in run.facts["files"]:
                own = dataset_of(run, dataset)
                fitted, turned = load(run, own), other if own is dataset else reversed_ties(own)
                ranks = rank_targets(fitted.model, turned.split, "test")[kind]
                row["ties reversed"] = float(metric(ranks, name, k, users_N).mean())
                row |= _exposure(fitted, own, counts_V, k, kind)
            told.append(row)
        rows[model] = pd.DataFrame(told).mean()
    columns = [*groups, "ties reversed", "coverage", "Gini", "novelty"]
    return pd.DataFrame(rows).T.reindex(columns=columns).rename_axis("model")


def target_groups(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return which test targets are of a kind, (N,) bool each; see `evaluation`.

    ``without cold``: of items that training has. ``cold users``: of users whom training does not
    have; there is no such kind where it has all of them, as after leave-one-out. ``high
    intensity``: at least the upper quartile of what the same user gave before; no such kind without
    an intensity.
    """
    items_N = dataset.split.targets("test")
    band_N = popularity_bands(_counts(dataset))[items_N - 1]
    groups = {"all": np.ones(len(items_N), dtype=bool)}
    groups |= {band: band_N == band for band in BANDS[:3]}
    groups["without cold"] = band_N != BANDS[3]
    known_N = dataset.split.train.lengths[dataset.split.users("test")] > 0
    if not known_N.all():
        groups["cold users"] = ~known_N
    intensity_n = dataset.sequences.intensity
    if intensity_n is not None:
        own_N = _upper_quartiles(dataset.split.context("test"))
        groups["high intensity"] = intensity_n[dataset.split.rows("test")] >= own_N
    return groups


def _upper_quartiles(histories: Sequences) -> np.ndarray:
    """Return the upper quartile of each history's intensities, (N,)."""
    values = pd.Series(histories.intensity, dtype=float)
    return values.groupby(histories.user_of_row).quantile(0.75).to_numpy()


def _counts(dataset: Dataset) -> np.ndarray:
    """Return the training interactions of each item, (V,)."""
    return np.bincount(dataset.split.train.items - 1, minlength=dataset.n_items)


def reversed_ties(dataset: Dataset) -> Dataset:
    """Return the dataset with held-out interactions of one moment in reversed order.

    Where a user's last two interactions share a time stamp, the file's order says which of them
    is the test target of leave-one-out. Here it is the other one, predicted from the rest. Training
    stays as the models saw it, so nothing needs to be fitted again, and no new target was
    trained on. Each model's level moves by itself: whether the convention decides a comparison,
    the difference between models in both orders tells.
    """
    old, n = dataset.sequences, len(dataset.sequences)
    train_n, begins_n = dataset.split.parts.train, np.ones(n, dtype=bool)
    begins_n[1:] = (np.diff(old.user_of_row) != 0) | ~(np.diff(old.timestamp) == 0)
    begins_n[1:] |= train_n[1:] | train_n[:-1]
    rows_n = np.lexsort((-np.arange(n), np.cumsum(begins_n)))
    histories = replace(
        old,
        items=old.items[rows_n],
        intensity=None if old.intensity is None else old.intensity[rows_n],
    )
    return dataset.with_histories(histories)


def _exposure(
    fitted: Recommender, dataset: Dataset, counts_V: np.ndarray, k: int, kind: str
) -> dict[str, float]:
    split = dataset.split
    _, first = np.unique(split.users("test"), return_index=True)  # one list a user
    context = split.histories.before(split.rows("test")[first])
    lists = fitted.recommend_all(
        context, k, exclude_seen=kind == "filtered", user_ids=split.histories.user_ids
    )
    codes = places_of(lists["item"], fitted.item_ids, "item")
    exposure_V = np.bincount(codes, minlength=dataset.n_items)
    return {
        "coverage": coverage(exposure_V),
        "Gini": gini(exposure_V),
        "novelty": novelty(exposure_V, counts_V),
    }
