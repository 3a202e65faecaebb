"""Files to and from another library: the split written out, its scores and lists read back.

Shapes: U users, V items, N test targets; a user has one of them in leave-one-out.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api import types

from seqattn.data import Dataset
from seqattn.data.columns import tidy_ids
from seqattn.data.readers.plain import plain_names, read_plain
from seqattn.data.sequences import places_of
from seqattn.errors import SeqattnError, about
from seqattn.files import require_file


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


def read_scores(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return users (U,), items (V,), scores (U, V) and, if any, targets (U,) of a file.

    Raises
    ------
    SeqattnError
        An array is missing, of another shape or type, or a score is NaN or +inf.
    """
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


def read_lists(path: Path) -> tuple[pd.DataFrame, str]:
    """Return the rows of a file of lists, and whether ``rank`` or ``score`` orders them.

    Returns
    -------
    frame : DataFrame
        user, item (ids as of a log), rank or score as they stand, and target where there is one.
    order : str
        The column that orders them.

    Raises
    ------
    SeqattnError
        A column is missing, a field is blank, or a target is no number.
    """
    frame, order = _columns(path)
    for name in ("user", "item"):
        frame[name] = tidy_ids(frame[name], str(path))
        _require_filled(path, frame, name)
    if "target" in frame:
        frame = frame.assign(target=_numbers(path, frame, "target"))
    return frame, order


def _columns(path: Path) -> tuple[pd.DataFrame, str]:
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


def rows_of_targets(
    path: Path, users: np.ndarray, targets: np.ndarray | None, dataset: Dataset
) -> np.ndarray:
    """Return where each test target's scores or list stand in the file, (N,).

    `users` and, where each target has its own, `targets` say whose they are, by ids and numbers.

    Raises
    ------
    SeqattnError
        A user or a target is unknown, missing or there twice.
    """
    users_N = dataset.split.users("test")
    if targets is None:
        rows = _rows_of_users(path, users, dataset)
        places_among(path, users, dataset.sequences.user_ids, "user")
        return rows[users_N]
    of_user = places_among(path, users, dataset.sequences.user_ids, "user")
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
    rows = require_once(path, users, "user").get_indexer(dataset.sequences.user_ids.astype(str))
    asked = np.unique(dataset.split.users("test"))
    missing = asked[rows[asked] < 0]
    if len(missing):
        first = dataset.sequences.user_ids[missing[0]]
        raise SeqattnError(
            f"{path}: {len(missing)} users of {dataset.name} are missing, the first is "
            f"{first}; evaluate all users, or prepare the dataset without them"
        )
    return rows


def places_among(path: Path, ids: Iterable[object], known: np.ndarray, what: str) -> np.ndarray:
    """Return where a file's ids stand among those that are known, (n,).

    Raises
    ------
    SeqattnError
        One is not among them.
    """
    with about(path):
        return places_of(ids, known, what)


def require_once(path: Path, ids: Iterable[object], what: str) -> pd.Index:
    """Return ids as text; 7 and "7" are the same id.

    Raises
    ------
    SeqattnError
        One is there twice.
    """
    found = pd.Index([str(one) for one in ids], dtype=object)
    if found.has_duplicates:
        twice = found[found.duplicated()][0]
        raise SeqattnError(f"{path}: {what} {twice!r} occurs twice; give each {what} once")
    return found


def places_in_lists(path: Path, frame: pd.DataFrame, lists: np.ndarray, order: str) -> np.ndarray:
    """Return each row's place in its list, (n,), from the column `order`: rank or score.

    Parameters
    ----------
    lists : ndarray, (n,)
        The list that each row is in.

    Raises
    ------
    SeqattnError
        Ranks are not 1, 2, 3, ..., or a score is no number.
    """
    numbers = _numbers(path, frame, order)
    if order == "rank":
        values = numbers.to_numpy(float)
        _require_places(path, frame, lists, values)
        return values
    # As everywhere: one more than the higher scores, and half of the ties, rounded down.
    return np.floor(numbers.groupby(lists).rank(ascending=False).to_numpy())


def _require_places(path: Path, frame: pd.DataFrame, lists: np.ndarray, values: np.ndarray) -> None:
    """Refuse ranks that are not 1, 2, 3, ... for each user, in whatever order the rows are.

    A gap is refused, too. Either a row is lost, and might be the target's; or items were taken out
    afterwards, and the ranks are of another list than the one at hand.
    """
    none = (values < 1) | (values != np.floor(values))
    refuse(path, frame, none, "{rank!r} is no rank; ranks are 1, 2, 3, ...")
    told = pd.DataFrame({"list": lists, "rank": values}).sort_values(["list", "rank"])
    step = told["rank"].groupby(told["list"]).diff().fillna(told["rank"]).sort_index().to_numpy()
    fix = "number each list 1, 2, 3, ... without gaps, or give scores"
    refuse(path, frame, step == 0, f"rank {{rank}} occurs twice in this user's list; {fix}")
    refuse(path, frame, step > 1, f"rank {{rank}} lacks the one before it; {fix}")


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> pd.Series:
    """Return a column as finite numbers, whole numbers as such."""
    _require_filled(path, frame, name)
    column = frame[name]
    if not types.is_numeric_dtype(column) or types.is_bool_dtype(column):
        column = column.astype(str)  # pandas would count truth values and dates as numbers, too
    numbers = pd.to_numeric(column, errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy(float, na_value=np.nan))
    told = f"{{{name}!r}} is no {name}; give a finite number, with a point for decimals"
    refuse(path, frame, bad, told)
    return numbers


def _require_filled(path: Path, frame: pd.DataFrame, name: str) -> None:
    blank = (frame[name].isna() | (frame[name] == "")).to_numpy(dtype=bool)
    refuse(path, frame, blank, f"no {name}; fill the field in, or leave the row out")


def refuse(path: Path, frame: pd.DataFrame, bad: np.ndarray, told: str) -> None:
    """Refuse the first row of lists where `bad`, (n,), is True.

    Raises
    ------
    SeqattnError
        It names the row and says `told`, which may name fields in braces.
    """
    if bad.any():
        at = int(np.argmax(bad))
        row = {name: str(frame[name].iloc[at]) for name in frame.columns}
        where = f"{frame.index.name} {frame.index[at]} (user {row['user']!r})"
        raise SeqattnError(f"{path}: {where}: {told.format(**row)}")
