"""Models made elsewhere: another library's scores or ranked lists become runs of the store.

Shapes: U users, V items, N test targets; a user has one of them in leave-one-out.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pandas.api import types

from seqattn.data import Dataset
from seqattn.data.columns import tidy_ids
from seqattn.data.paths import require_file
from seqattn.data.readers.plain import plain_names, read_plain
from seqattn.data.sequences import places_of
from seqattn.errors import SeqattnError, about
from seqattn.models import MODELS, NAME, RECBOLE_MODELS
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


def split_table(dataset: Dataset) -> pd.DataFrame:
    """Return a dataset's interactions with their part, for another library to be fitted on.

    Returns
    -------
    DataFrame
        A row an interaction, each user's in order: user, item, intensity where there is one,
        timestamp (seconds; NaN where unknown) and part: train, valid, test, or context for what a
        split in time neither trains on nor asks for. Where a user may have several test targets,
        also target: their numbers, 1, 2, ... within the user, blank elsewhere.
    """
    log = dataset.sequences
    columns = {
        "user": np.repeat(log.user_ids, log.lengths),
        "item": log.item_ids[log.items - 1],
        "intensity": log.intensity,
        "timestamp": log.timestamp,
        "part": dataset.split.part_of_row(),
        "target": _target_of_row(dataset),
    }
    return pd.DataFrame({name: column for name, column in columns.items() if column is not None})


def _target_of_row(dataset: Dataset) -> pd.Series | None:
    """Return which of its user's test targets each interaction is, where there are several."""
    if "test" not in dataset.split.owners():
        return None
    numbers = pd.Series(pd.NA, index=range(len(dataset.sequences)), dtype="Int64")
    numbers.iloc[dataset.split.rows("test")] = _numbers_of_targets(dataset)
    return numbers


def _numbers_of_targets(dataset: Dataset) -> np.ndarray:
    """Return each test target's number among those of its user, (N,), from 1."""
    users_N = dataset.split.users("test")  # ascending
    return 1 + np.arange(len(users_N)) - np.searchsorted(users_N, users_N)


def ranks_of_scores(path: Path, dataset: Dataset) -> Ranked:
    """Rank each user's test target by scores that another library gave to all items.

    Scores are compared as they are stored, so their scale, offset and type do not matter.

    Parameters
    ----------
    path : Path
        An ``.npz`` file of numpy: ``users`` (U,) and ``items`` (V,), ids in any order, and
        ``scores`` (U, V). Items that are not in it rank behind all others. With ``targets`` (U,),
        a row is of one of its user's test targets, by its number in `split_table`, and made from
        all before it.

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
    users, items, scores, targets = _arrays(path)
    row_N = _rows_of_targets(path, users, targets, dataset)
    _require_once(path, items, "item")
    columns = _places(path, items, dataset.sequences.item_ids, "item") + 1
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
        its number in `split_table`, and made from all before it.
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
    frame, order = _list_table(path)
    for name in ("user", "item"):
        frame[name] = tidy_ids(frame[name], str(path))  # as of a log
        blank = (frame[name].isna() | (frame[name] == "")).to_numpy(dtype=bool)
        _refuse(path, frame, blank, f"no {name}; fill the field in, or leave the row out")
    by_target, columns = "target" in frame, ["user"]
    if by_target:
        columns = ["user", "target"]
        frame = frame.assign(target=_numbers(path, frame, "target"))
    heads = frame[columns].drop_duplicates()
    numbers = heads["target"].to_numpy() if by_target else None
    head_N = _rows_of_targets(path, heads["user"].to_numpy(), numbers, dataset)
    users = _places(path, frame["user"], dataset.sequences.user_ids, "user")
    items = _places(path, frame["item"], dataset.sequences.item_ids, "item") + 1
    lists = frame.groupby(columns, sort=False, observed=True).ngroup().to_numpy()
    table = pd.DataFrame({"list": lists, "item": items})
    twice = table.duplicated().to_numpy()
    _refuse(path, frame, twice, "item {item!r} is twice in the list; keep one of the rows")
    table["place"] = _list_places(path, frame, lists, order)
    places = table.set_index(["list", "item"])["place"]
    asked = [head_N, dataset.split.targets("test")]
    found = places.reindex(pd.MultiIndex.from_arrays(asked), fill_value=dataset.n_items)
    ranks = found.to_numpy(dtype=np.int32)
    own = _are_seen(users, items, dataset)
    if kind == "filtered":
        told = "this user already has item {item!r}; leave out `--kind filtered`, or such items"
        _refuse(path, frame, own, told)
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


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return users (U,), items (V,), scores (U, V) and, if any, targets (U,) of a file."""
    users, items, scores, targets = _stored(path)
    for name, ids in (("users", users), ("items", items)):
        if ids.ndim != 1 or ids.dtype.kind not in "iuU":
            raise SeqattnError(
                f"{path}: {name} are {ids.dtype} of shape {ids.shape}; save them as one row of "
                "integers or text (numpy.array(ids, dtype=str))"
            )
    if scores.dtype.kind not in "iuf" or not scores.size:
        raise SeqattnError(
            f"{path}: scores are {scores.dtype} of shape {scores.shape}; save real numbers, such "
            "as float32, one row for each user and one column for each item"
        )
    if scores.shape != (len(users), len(items)):
        raise SeqattnError(
            f"{path}: scores have shape {scores.shape} for {len(users)} users and {len(items)} "
            "items; give one row for each user and one column for each item"
        )
    if targets is not None and (targets.shape != users.shape or targets.dtype.kind not in "iu"):
        raise SeqattnError(
            f"{path}: targets are {targets.dtype} of shape {targets.shape} for {len(users)} rows; "
            "give each row's number of the user's test target, 1, 2, ..."
        )
    for fault, bad in (("NaN", np.isnan), ("+inf", np.isposinf)):
        if scores.dtype.kind == "f" and (found := bad(scores)).any():
            user, item = np.argwhere(found)[0]
            raise SeqattnError(
                f"{path}: a score is {fault} (user {users[user]}, item {items[item]}); give finite "
                "scores, and -inf for what must not be recommended"
            )
    return users, items, scores, targets


def _stored(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the arrays of a file as they are."""
    names = ("users", "items", "scores")
    told = f"save {', '.join(names[:2])} and {names[2]} by numpy.savez"
    require_file(path)
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise SeqattnError(f"{path}: holds one array without a name; {told}")
        with stored:
            missing = [name for name in names if name not in stored]
            if missing:
                raise SeqattnError(
                    f"{path}: no array {missing[0]!r} (there are: {', '.join(stored)}); {told}"
                )
            users, items, scores = (stored[name] for name in names)
            return users, items, scores, stored.get("targets")
    except SeqattnError:
        raise
    except (
        *(OSError, ValueError, EOFError, NotImplementedError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise SeqattnError(
            f"{path}: no readable .npz of plain arrays ({_why(path, error)}); {told}, "
            "ids as integers or as text (numpy.array(ids, dtype=str))"
        ) from error


def _why(path: Path, error: Exception) -> str:
    """Return what is wrong with a file; numpy takes any other for a pickle."""
    if path.is_file() and not zipfile.is_zipfile(path):
        return "it is no zip archive, or was cut off"
    return " ".join(str(error).split()).partition(" If you trust")[0].rstrip(".")


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


def _places(path: Path, ids: Iterable[object], known: np.ndarray, what: str) -> np.ndarray:
    with about(path):
        return places_of(ids, known, what)


def _require_once(path: Path, ids: Iterable[object], what: str) -> pd.Index:
    """Return ids as text, none of them twice; 7 and "7" are the same id."""
    found = pd.Index([str(one) for one in ids], dtype=object)
    if found.has_duplicates:
        twice = found[found.duplicated()][0]
        raise SeqattnError(f"{path}: {what} {twice!r} occurs twice; give each {what} once")
    return found


def _rows_of_targets(
    path: Path, users: np.ndarray, targets: np.ndarray | None, dataset: Dataset
) -> np.ndarray:
    """Return where each test target's scores or list stand in the file, (N,).

    `users` and, where each target has its own, `targets` say whose they are, by ids and numbers.
    """
    users_N = dataset.split.users("test")
    if targets is None:
        rows = _rows_of_users(path, users, dataset)
        _places(path, users, dataset.sequences.user_ids, "user")
        return rows[users_N]
    of_user = _places(path, users, dataset.sequences.user_ids, "user")
    given = pd.MultiIndex.from_arrays([of_user, targets])
    asked = pd.MultiIndex.from_arrays([users_N, _numbers_of_targets(dataset)])
    rows_N, whose = given.get_indexer(asked), dataset.sequences.user_ids
    if given.has_duplicates:
        at = int(np.argmax(given.duplicated()))
        raise SeqattnError(f"{path}: target {targets[at]} of user {users[at]} occurs twice")
    if (odd := ~given.isin(asked)).any():
        at = int(np.argmax(odd))
        raise SeqattnError(
            f"{path}: user {users[at]} has no test target {targets[at]}; `seqattn prepare --split` "
            "numbers them; leave 'target' out if each user has one list"
        )
    if (rows_N < 0).any():
        user, number = asked[int(np.argmin(rows_N))]
        raise SeqattnError(
            f"{path}: target {number} of user {whose[user]} is missing; give all that "
            "`seqattn prepare --split` numbers"
        )
    return rows_N


def _rows_of_users(path: Path, users: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return where each user of the dataset stands in the file's users, (U,).

    Users whom the test does not ask may be missing, and have -1.
    """
    rows = _require_once(path, users, "user").get_indexer(dataset.sequences.user_ids.astype(str))
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
    names = plain_names(path)
    for order in ("rank", "score"):
        if order in names:
            used = ["user", "item", order, *(["target"] if "target" in names else [])]
            return read_plain(path, {name: name for name in used}), order
    raise SeqattnError(
        f"{path}: neither a column 'rank' nor 'score' (columns present: {', '.join(names)}); its "
        "first line should name user, item and one of them"
    )


def _list_places(path: Path, frame: pd.DataFrame, users: np.ndarray, order: str) -> np.ndarray:
    """Return each row's place in its user's list, (n,), from ranks or from scores."""
    numbers = _numbers(path, frame, order)
    if order == "rank":
        values = numbers.to_numpy(float)
        _require_places(path, frame, users, values)
        return values
    # As everywhere: one more than the higher scores, and half of the ties, rounded down.
    return np.floor(numbers.groupby(users).rank(ascending=False).to_numpy())


def _require_places(path: Path, frame: pd.DataFrame, users: np.ndarray, values: np.ndarray) -> None:
    """Refuse ranks that are not 1, 2, 3, ... for each user, in whatever order the rows are.

    A gap is refused, too. Either a row is lost, and might be the target's; or items were taken out
    afterwards, and the ranks are of another list than the one at hand.
    """
    none = (values < 1) | (values != np.floor(values))
    _refuse(path, frame, none, "{rank!r} is no rank; ranks are 1, 2, 3, ...")
    told = pd.DataFrame({"list": users, "rank": values}).sort_values(["list", "rank"])
    step = told["rank"].groupby(told["list"]).diff().fillna(told["rank"]).sort_index().to_numpy()
    fix = "number each list 1, 2, 3, ... without gaps, or give scores"
    _refuse(path, frame, step == 0, f"rank {{rank}} occurs twice in this user's list; {fix}")
    _refuse(path, frame, step > 1, f"rank {{rank}} lacks the one before it; {fix}")


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> pd.Series:
    """Return a column as finite numbers, whole numbers as such."""
    column = frame[name]
    blank = (column.isna() | (column == "")).to_numpy(dtype=bool)
    _refuse(path, frame, blank, f"no {name}; fill the field in, or leave the row out")
    if not types.is_numeric_dtype(column) or types.is_bool_dtype(column):
        column = column.astype(str)  # pandas would count truth values and dates as numbers, too
    numbers = pd.to_numeric(column, errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy(float, na_value=np.nan))
    told = f"{{{name}!r}} is no {name}; give a finite number, with a point for decimals"
    _refuse(path, frame, bad, told)
    return numbers


def _refuse(path: Path, frame: pd.DataFrame, bad: np.ndarray, told: str) -> None:
    """Raise for the first row of lists where `bad` is True; `told` may name fields in braces."""
    if bad.any():
        at = int(np.argmax(bad))
        row = {name: str(frame[name].iloc[at]) for name in frame.columns}
        where = f"{frame.index.name} {frame.index[at]} (user {row['user']!r})"
        raise SeqattnError(f"{path}: {where}: {told.format(**row)}")
