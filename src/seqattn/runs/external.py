"""Models made elsewhere: another library's scores or ranked lists become runs of the store.

Shapes: U users, V items, N test targets; a user has one of them in leave-one-out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from seqattn.data import Dataset
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, NAME, RECBOLE_MODELS
from seqattn.runs.exchange import (
    places_among,
    places_in_lists,
    read_lists,
    read_scores,
    refuse,
    require_once,
    rows_of_targets,
)
from seqattn.runs.store import ExternalSpec, Result, Run, Store
from seqattn.stats.metrics import KINDS, averages_by_kind
from seqattn.training.ranking import Ranker

# A list of items that avoids a user's own by chance is no news: so many users, with lists so long.
_TELLING_USERS, _TELLING_LENGTH = 20, 10


@dataclass(frozen=True)
class Ranked:
    """Ranks of another library's output.

    Attributes
    ----------
    ranks : dict of ndarray, (N,)
        By ``{stage}_{kind}``; of one kind only, if that is all the file can tell.
    depth : int
        How many items the shortest list of a user whom the test asks holds.
    looks_filtered : bool
        Whether the file leaves out what users already have, although nobody said so. Scores then
        give the filtered kind alone; lists are taken as what they were said to be.
    by_target : bool
        Whether each of a user's targets has scores or a list of its own.
    items_missing, targets_missing : int
        How many of the dataset's items have no scores at all, and of how many test targets.
    """

    ranks: dict[str, np.ndarray]
    depth: int
    looks_filtered: bool = False
    by_target: bool = False
    items_missing: int = 0
    targets_missing: int = 0


def require_name(name: str) -> None:
    """Refuse a name that is no folder's, or a model's of seqattn.

    Raises
    ------
    SeqattnError
        The message says which names there are.
    """
    if name in MODELS or name in RECBOLE_MODELS:
        raise SeqattnError(f"{name!r} is a model of seqattn; choose another name")
    if Path(name).suffix in (".csv", ".parquet"):
        raise SeqattnError(f"the name {name!r} would be taken for a file's; leave the ending out")
    if not NAME.fullmatch(name):
        raise SeqattnError(
            f"the name {name!r} would be a folder's: give up to 64 letters, digits and . _ + -"
        )


def ranks_of_scores(path: Path, dataset: Dataset) -> Ranked:
    """Rank each user's test target by scores that another library gave to all items.

    Scores are compared as they are stored, so their scale, offset and type do not matter.

    Parameters
    ----------
    path : Path
        An ``.npz`` file of numpy: ``users`` (U,) and ``items`` (V,), ids in any order, and
        ``scores`` (U, V). Items that are not in it rank behind all others. With ``targets`` (U,),
        a row is of one of its user's test targets, by its number in
        `seqattn.runs.exchange.split_table`, and made from all before it.

    Returns
    -------
    Ranked
        Both kinds, ``test_unfiltered`` and ``test_filtered``; the latter alone if the scores hide
        what users already have.

    Raises
    ------
    SeqattnError
        An array is missing, of another shape or type, an id is unknown or given twice, a user of
        the dataset is missing, or a score is NaN or +inf.
    """
    users, items, scores, targets = read_scores(path)
    row_N = rows_of_targets(path, users, targets, dataset)
    require_once(path, items, "item")
    columns = places_among(path, items, dataset.sequences.item_ids, "item") + 1
    column_of = np.full(dataset.n_items + 1, -1)
    column_of[columns] = np.arange(len(columns))
    column_N = column_of[dataset.split.targets("test")]

    def scored(wanted: np.ndarray) -> torch.Tensor:
        # A rank needs only which items are better or worse than the target, or tie with it. Three
        # numbers say so for any scores and any number of items; float32 scores would not. Items
        # that the file lacks are below all three, and so is a target among them.
        scores_BV = torch.full((len(wanted), dataset.n_items + 1), -2.0)
        own = row_N[wanted]
        values, target_B1 = scores[own], scores[own, column_N[wanted]][:, None]
        against = (values > target_B1).astype(np.float32) - (values < target_B1)
        scores_BV[:, columns] = torch.as_tensor(against)
        return scores_BV

    ranks = Ranker(dataset.split, "test").rank(scored)
    rows = np.full(dataset.n_users, -1)  # of each user's first target
    asked, first = np.unique(dataset.split.users("test"), return_index=True)
    rows[asked] = row_N[first]
    hides = _hides_seen(scores, rows, column_of, dataset)
    kept = {f"test_{kind}": ranks[kind] for kind in (KINDS[1:] if hides else KINDS)}
    return Ranked(
        kept,
        dataset.n_items,
        looks_filtered=hides,
        by_target=targets is not None,
        items_missing=dataset.n_items - len(columns),
        targets_missing=int((column_N < 0).sum()),
    )


def _hides_seen(
    scores: np.ndarray, rows: np.ndarray, column_of: np.ndarray, dataset: Dataset
) -> bool:
    """Return whether scores (U, V) give what users already have the lowest score, such as -inf.

    Whoever scores few items also gives most others the lowest score. So only users count of whom,
    were their own items like others, half an item or more should have another score.
    """
    log = dataset.sequences
    # Some hide what a model was fitted on and not the validation item.
    seen = _seen(dataset) & dataset.split.parts.train & (column_of[log.items] >= 0)
    user_n = log.user_of_row[seen]
    row_n, column_n = rows[user_n], column_of[log.items[seen]]
    # Each pair once: an item may have been met again and again.
    _, first = np.unique(row_n * scores.shape[1] + column_n, return_index=True)
    row_n, column_n = row_n[first], column_n[first]
    if not len(row_n):
        return False
    lowest_U = scores.min(axis=1)
    above_n = scores[row_n, column_n] > lowest_U[row_n]
    own_U, above_U = (np.bincount(row_n, weights, len(scores)) for weights in (None, above_n))
    above_all_U = (scores > lowest_U[:, None]).sum(axis=1)
    share_U = (above_all_U - above_U) / np.maximum(scores.shape[1] - own_U, 1)
    telling_U = own_U * share_U >= 0.5
    return bool(
        2 * telling_U.sum() >= (own_U > 0).sum() and (above_U[telling_U] == 0).mean() >= 0.95
    )


def ranks_of_lists(path: Path, dataset: Dataset, kind: str = "unfiltered") -> Ranked:
    """Rank each user's test target by the list that another library recommends.

    Parameters
    ----------
    path : Path
        CSV or Parquet with columns user, item and rank (1, 2, 3, ... for each user) or score (the
        higher, the better). With a column target, a list is of one of its user's test targets, by
        its number in `seqattn.runs.exchange.split_table`, and made from all before it.
    kind : str
        ``filtered`` if the lists leave out what a user already has, else ``unfiltered``.

    Returns
    -------
    Ranked
        A target that is not in its user's list has rank V, as if it came last.

    Raises
    ------
    SeqattnError
        A column is missing, a field is blank, an id is unknown, a pair occurs twice, a user's ranks
        are not 1, 2, 3, ..., a score is no number, a user of the dataset has no list, or a
        filtered list holds what its user already has.
    """
    if kind not in KINDS:
        raise SeqattnError(f"kind {kind!r} is unknown; use {' or '.join(KINDS)}")
    frame, order = read_lists(path)
    by_target = "target" in frame
    columns = ["user", "target"] if by_target else ["user"]
    heads = frame[columns].drop_duplicates()
    numbers = heads["target"].to_numpy() if by_target else None
    head_N = rows_of_targets(path, heads["user"].to_numpy(), numbers, dataset)
    users = places_among(path, frame["user"], dataset.sequences.user_ids, "user")
    items = places_among(path, frame["item"], dataset.sequences.item_ids, "item") + 1
    lists = frame.groupby(columns, sort=False, observed=True).ngroup().to_numpy()
    table = pd.DataFrame({"list": lists, "item": items})
    twice = table.duplicated().to_numpy()
    refuse(path, frame, twice, "item {item!r} is twice in the list; keep one of the rows")
    table["place"] = places_in_lists(path, frame, lists, order)
    places = table.set_index(["list", "item"])["place"]
    asked = [head_N, dataset.split.targets("test")]
    found = places.reindex(pd.MultiIndex.from_arrays(asked), fill_value=dataset.n_items)
    ranks = found.to_numpy(dtype=np.int32)
    own = _are_seen(users, items, dataset)
    if kind == "filtered":
        told = "this user already has item {item!r}; leave out `--kind filtered`, or such items"
        refuse(path, frame, own, told)
    length_N = np.bincount(lists)[np.unique(head_N)]
    telling = (length_N >= _TELLING_LENGTH).sum() >= _TELLING_USERS
    looks_filtered = kind == "unfiltered" and bool(telling) and not own.any()
    return Ranked({f"test_{kind}": ranks}, int(length_N.min()), looks_filtered, by_target)


def keep(store: Store, dataset: Dataset, name: str, path: Path, ranked: Ranked, seed: int) -> Run:
    """Put another library's ranks into the store as a run, known by the file's content and kinds.

    Raises
    ------
    SeqattnError
        The store cannot be written, or has the same file under another seed.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    told = [kind for kind in KINDS if f"test_{kind}" in ranked.ranks]
    kinds = "both" if len(told) > 1 else told[0]
    spec = ExternalSpec(dataset.name, dataset.fingerprint, name, seed, digest, kinds)
    _refuse_copy(store, spec, path)
    owners = dataset.split.owners()
    facts = {
        "file": path.name,
        "depth": ranked.depth,
        "metrics": averages_by_kind(ranked.ranks, owners),
    }
    return store.compute(spec, lambda: Result(facts, ranked.ranks, owners=owners))


def _refuse_copy(store: Store, spec: ExternalSpec, path: Path) -> None:
    """Refuse a file that is kept under another seed: no test takes a copy for a second result."""
    content = (spec.fingerprint, spec.source)
    for run in store.runs(spec.dataset, spec.model):
        there = run.spec
        if not isinstance(there, ExternalSpec) or (there.fingerprint, there.source) != content:
            continue
        if there.seed != spec.seed:
            raise SeqattnError(
                f"{path}: the same file is kept as {spec.model} with seed {there.seed}, and a copy "
                f"is no second observation; give what seed {spec.seed} made, or remove {run.folder}"
            )


def _seen(dataset: Dataset) -> np.ndarray:
    """Return which interactions, (n,) bool, came before all that the test asks of their user.

    But for those with a target: its own rank is what is asked.
    """
    log, split = dataset.sequences, dataset.split
    users, first = np.unique(split.users("test"), return_index=True)
    until_U = np.zeros(log.n_users, dtype=np.int64)
    until_U[users] = split.rows("test")[first]
    asked = _pairs(split.users("test"), split.targets("test"), dataset)
    is_target = np.isin(_pairs(log.user_of_row, log.items, dataset), asked)
    return (np.arange(len(log)) < until_U[log.user_of_row]) & ~is_target


def _are_seen(users: np.ndarray, items: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return which pairs of user and item, (n,) bool, are among `_seen` ones."""
    log, seen = dataset.sequences, _seen(dataset)
    own = _pairs(log.user_of_row[seen], log.items[seen], dataset)
    return np.isin(_pairs(users, items, dataset), own)


def _pairs(users: np.ndarray, items: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return a number for each pair of a user's number and an item's code."""
    return users.astype(np.int64) * (dataset.n_items + 1) + items
