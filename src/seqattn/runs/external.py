"""Models made elsewhere: another library's scores or ranked lists become runs of the store.

Shapes: U users, V items, N test targets; a user has one of them in leave-one-out.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from seqattn.data import Dataset
from seqattn.data.readers import read_delimited, read_parquet
from seqattn.data.sequences import places_of
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.runs.store import ExternalSpec, Result, Run, Store
from seqattn.stats.metrics import averages_by_kind
from seqattn.training.ranking import Ranker


@dataclass(frozen=True)
class Ranked:
    """Ranks ``{stage}_{kind}`` of (N,) targets, and how many items the shortest list holds."""

    ranks: dict[str, np.ndarray]
    depth: int


def require_name(name: str) -> None:
    """Refuse a name that is no folder's, or a model's of seqattn.

    Raises
    ------
    SeqattnError
        The message says which names there are.
    """
    if name in MODELS or name in RECBOLE_MODELS:
        raise SeqattnError(f"{name!r} is a model of seqattn; choose another name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", name):
        raise SeqattnError(
            f"the name {name!r} would be a folder's: give up to 64 letters, digits and . _ + -"
        )


def split_table(dataset: Dataset) -> pd.DataFrame:
    """Return a dataset's interactions with their part, for another library to be fitted on.

    Returns
    -------
    DataFrame
        A row an interaction, each user's in order: user, item, intensity where there is one,
        timestamp (seconds; NaN where unknown) and part: train, valid, test, or context for what a
        split in time neither trains on nor asks for.
    """
    log = dataset.sequences
    columns = {
        "user": np.repeat(log.user_ids, log.lengths),
        "item": log.item_ids[log.items - 1],
        "intensity": log.intensity,
        "timestamp": log.timestamp,
        "part": dataset.split.part_of_row(),
    }
    return pd.DataFrame({name: column for name, column in columns.items() if column is not None})


def ranks_of_scores(path: Path, dataset: Dataset) -> Ranked:
    """Rank each user's test target by scores that another library gave to all items.

    Parameters
    ----------
    path : Path
        An ``.npz`` file of numpy: ``users`` (U,) and ``items`` (V,), ids in any order, and
        ``scores`` (U, V). Items that are not in it rank behind all others.

    Returns
    -------
    Ranked
        Both kinds, ``test_unfiltered`` and ``test_filtered``.

    Raises
    ------
    SeqattnError
        An array is missing, of another shape or not numeric, an id is unknown or given twice, or
        a user of the dataset is missing.
    """
    arrays = _arrays(path)
    users, items, scores = arrays["users"], arrays["items"], arrays["scores"]
    if scores.shape != (len(users), len(items)):
        raise SeqattnError(
            f"{path}: scores have shape {scores.shape} for {len(users)} users and {len(items)} "
            "items; give one row for each user and one column for each item"
        )
    if np.isnan(scores).any():
        raise SeqattnError(f"{path}: a score is NaN; give -inf for what must not be recommended")
    rows = _rows_of_users(path, users, dataset)
    columns = _places(path, items, dataset.sequences.item_ids, "item") + 1
    least, users_N = np.finfo(np.float32).min, dataset.split.users("test")

    def scored(wanted: np.ndarray) -> torch.Tensor:
        scores_BV = torch.full((len(wanted), dataset.n_items + 1), float(least))
        values = np.maximum(scores[rows[users_N[wanted]]], least).astype(np.float32)
        scores_BV[:, columns] = torch.as_tensor(values)
        return scores_BV

    ranks = Ranker(dataset.split, "test").rank(scored)
    return Ranked({f"test_{kind}": values for kind, values in ranks.items()}, dataset.n_items)


def ranks_of_lists(path: Path, dataset: Dataset, kind: str = "unfiltered") -> Ranked:
    """Rank each user's test target by the list that another library recommends.

    Parameters
    ----------
    path : Path
        CSV or Parquet with columns user, item and rank (from 1) or score (the higher, the better).
    kind : str
        ``filtered`` if the lists leave out what a user already has, else ``unfiltered``.

    Returns
    -------
    Ranked
        A target that is not in its user's list has rank V, as if it came last.

    Raises
    ------
    SeqattnError
        A column is missing, an id is unknown, a pair occurs twice, a rank is none, or a user of
        the dataset has no list.
    """
    frame, order = _list_table(path)
    _rows_of_users(path, frame["user"].unique(), dataset)
    users = _places(path, frame["user"], dataset.sequences.user_ids, "user")
    items = _places(path, frame["item"], dataset.sequences.item_ids, "item") + 1
    table = pd.DataFrame({"user": users, "item": items})
    twice = table.duplicated()
    if twice.any():
        line = frame.index[int(np.argmax(twice))]
        raise SeqattnError(f"{path}: {frame.index.name} {line}: the pair of user and item is twice")
    if order == "rank":
        table["place"] = _ranks(path, frame["rank"])
    else:
        # As everywhere: one more than the higher scores, and half of the ties, rounded down.
        by_user = pd.to_numeric(frame["score"]).groupby(users)
        higher = by_user.rank(method="min", ascending=False).to_numpy()
        ties = by_user.rank(method="max", ascending=False).to_numpy() - higher
        table["place"] = higher + ties // 2
    places = table.set_index(["user", "item"])["place"]
    asked = [dataset.split.users("test"), dataset.split.targets("test")]
    found = places.reindex(pd.MultiIndex.from_arrays(asked), fill_value=dataset.n_items)
    ranks = found.to_numpy(dtype=np.int32)
    return Ranked({f"test_{kind}": ranks}, int(np.bincount(users).min()))


def keep(store: Store, dataset: Dataset, name: str, path: Path, ranked: Ranked, seed: int) -> Run:
    """Put another library's ranks into the store as a run, known by the file's content.

    Raises
    ------
    SeqattnError
        The store cannot be written.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = ExternalSpec(dataset.name, dataset.fingerprint, name, seed, digest)
    owners = dataset.split.owners()
    facts = {
        "file": path.name,
        "depth": ranked.depth,
        "metrics": averages_by_kind(ranked.ranks, owners),
    }
    return store.compute(spec, lambda: Result(facts, ranked.ranks, owners=owners))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [name for name in ("users", "items", "scores") if name not in stored]
            if missing:
                raise SeqattnError(
                    f"{path}: no array {missing[0]!r} (there are: {', '.join(stored)}); save "
                    "users, items and scores by numpy.savez"
                )
            return {name: stored[name] for name in ("users", "items", "scores")}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SeqattnError(
            f"{path}: no readable .npz of plain arrays ({error}); save ids as integers or as text "
            "(numpy.array(ids, dtype=str))"
        ) from error


def _places(path: Path, ids: Iterable[object], known: np.ndarray, what: str) -> np.ndarray:
    try:
        return places_of(ids, known, what)
    except SeqattnError as error:
        raise SeqattnError(f"{path}: {error}") from None


def _rows_of_users(path: Path, users: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return where each user of the dataset stands in the file's users, (U,).

    Users whom the test does not ask may be missing, and have -1.
    """
    found = pd.Index([str(user) for user in users])
    if found.has_duplicates:
        raise SeqattnError(f"{path}: user {found[found.duplicated()][0]!r} occurs twice")
    rows = found.get_indexer(dataset.sequences.user_ids.astype(str))
    asked = np.unique(dataset.split.users("test"))
    missing = asked[rows[asked] < 0]
    if len(missing):
        first = dataset.sequences.user_ids[missing[0]]
        raise SeqattnError(
            f"{path}: {len(missing)} users of {dataset.name} are missing, the first is "
            f"{first}; evaluate all users, or prepare the dataset without them"
        )
    return rows


def _list_table(path: Path) -> tuple[pd.DataFrame, str]:
    """Return a file's columns user, item and rank, or score if it has no ranks, and which."""

    def read(order: str) -> pd.DataFrame:
        columns = {name: name for name in ("user", "item", order)}
        if path.suffix == ".parquet":
            return read_parquet(path, columns).frame
        return read_delimited(path, ",", columns).frame

    try:
        return read("rank"), "rank"
    except SeqattnError as error:
        if "'rank'" not in str(error):
            raise
        return read("score"), "score"


def _ranks(path: Path, column: pd.Series) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(float)
    bad = ~(values >= 1) | (values != np.floor(values))
    if bad.any():
        at = int(np.argmax(bad))
        hint = "; ranks start at 1" if values[at] == 0 else ""
        where, value = f"{column.index.name} {column.index[at]}", str(column.iloc[at])
        raise SeqattnError(f"{path}: {where}: {value!r} is no rank{hint}")
    return values
