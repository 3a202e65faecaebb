"""Two systems compared user by user, from runs or from files: paired by the users' ids.

Shapes: S seeds, U users in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from seqattn.config import MARGIN_PERCENT
from seqattn.data import Dataset
from seqattn.data.columns import tidy_ids
from seqattn.data.readers.plain import plain_names, read_plain
from seqattn.errors import SeqattnError
from seqattn.runs.results import rank_matrix, refuse_short_lists
from seqattn.runs.store import Run
from seqattn.stats import (
    DualCriterion,
    bootstrap_means,
    bootstrap_p_value,
    dual_criterion,
    percentile_interval,
    tost_paired,
)
from seqattn.stats.crossed import crossed_interval, interval
from seqattn.stats.inputs import ALPHA, copies
from seqattn.stats.metrics import SYNONYMS
from seqattn.stats.significance import standardised


@dataclass(frozen=True)
class PerUser:
    """A value for each seed and user.

    Attributes
    ----------
    name : str
        Where it comes from.
    values : DataFrame, (U, S)
        Index: user ids as text. Columns: seeds, in their order.
    dataset, fingerprint : str
        What the values are of; empty where a file does not tell.
    targets : Series, optional
        What was asked of the users that it tells of, as text, by their ids: the item (its name is
        then ``target``), or how many of them (``targets``).
    metric : str
        Which one it is, as `seqattn export --per-user` names it (``NDCG@10_filtered``); empty where
        a file does not tell.
    about : str
        What it is, for the table: a model and its preset, a folder, a file and its column.
    has_seeds : bool
        Whether it names its seeds; a file may have one, and not say which.
    """

    name: str
    values: pd.DataFrame
    dataset: str = ""
    fingerprint: str = ""
    targets: pd.Series | None = None
    metric: str = ""
    about: str = ""
    has_seeds: bool = True

    def of_seeds(self, seeds: Sequence[int]) -> PerUser:
        """Return these seeds alone.

        Raises
        ------
        SeqattnError
            If one of them is not there.
        """
        for seed in seeds:
            if seed not in self.values.columns:
                there = ", ".join(map(str, self.values.columns))
                raise SeqattnError(f"{self.name} has no seed {seed}; there are: {there}")
        return replace(self, values=self.values[sorted(seeds)])


def of_runs(
    name: str,
    runs: Sequence[Run],
    dataset: Dataset,
    metric_name: str,
    k: int,
    kind: str,
    about: str = "",
) -> PerUser:
    """Return a metric of each run, one run per seed, by the ids of the dataset's users.

    Raises
    ------
    SeqattnError
        There are no such ranks, those of two seeds are copies, or the lists of another library
        are shorter than k: what stands behind their end is not known.
    """
    refuse_short_lists(runs, dataset.n_items, metric_name, k)
    codes, counts = np.unique(dataset.split.users("test"), return_counts=True)
    users = pd.Index(dataset.sequences.user_ids[codes].astype(str), name="user")
    if "test" in dataset.split.owners():
        targets = pd.Series(counts.astype(str), users, dtype=object, name="targets")
    else:
        asked = dataset.sequences.item_ids[dataset.split.targets("test") - 1]
        targets = pd.Series(asked.astype(str), users, dtype=object, name="target")
    ordered = sorted(runs, key=lambda run: run.seed)
    rank_matrix(ordered, kind=kind)  # refuses copies, which a metric may not show
    columns = {run.seed: run.values(metric_name, k, kind=kind) for run in ordered}
    told = runs[0].dataset, runs[0].fingerprint
    return PerUser(
        *(name, pd.DataFrame(columns, index=users), *told, _as_told(targets)),
        metric=f"{SYNONYMS.get(metric_name, metric_name)}@{k}_{kind}",
        about=about,
    )


def of_file(path: Path, column: str | None = None, by: str = "user") -> PerUser:
    """Read a CSV or Parquet file: users, one column of values and, for several seeds, ``seed``.

    Parameters
    ----------
    path : Path
        With names of columns. Users' ids are compared as text, without spaces around them. So are
        the ids in a column ``target`` and the numbers in ``targets``, which `export` writes: a
        table of users may have one of them.
    column : str, optional
        The column of values. Needed if there is more than one beside users and seed.
    by : str
        The column of users, by whose ids values are paired.

    Raises
    ------
    SeqattnError
        A column or every row is missing, an id is blank, a value is not a number, a seed no whole
        number, a user occurs twice in a seed or has another target in another one, or a seed lacks
        users that another has.
    """
    names = plain_names(path)
    column = _column_of_values(path, names, column, by)
    used = {by: "user", column: "value"} | ({"seed": "seed"} if "seed" in names else {})
    asked = next((n for n in ("target", "targets") if n in names and n not in used), None)
    used |= {asked: "item"} if asked else {}  # read as a log's items are
    # pandas' own parser of numbers is off in the last bit
    frame = read_plain(path, used, texts=("value",))
    if frame.empty:
        raise SeqattnError(f"{path}: no row below the names of columns; was the file cut off?")
    frame = _checked(frame, path, column, by)
    wide = _by_seed(frame, path, several="seed" in used)
    targets = _targets(frame["user"], frame["item"].rename(asked), path) if asked else None
    metric = column if _METRIC.fullmatch(column) else ""
    about = f"{path}, column {column}"
    return PerUser(
        *(path.name, wide), targets=targets, metric=metric, about=about, has_seeds="seed" in used
    )


def _line(path: Path, frame: pd.DataFrame, wrong: pd.Series) -> str:
    return f"{path}: {frame.index.name} {wrong.idxmax()}"


def _checked(frame: pd.DataFrame, path: Path, column: str, by: str) -> pd.DataFrame:
    """Return a file's rows with users as text, values and seeds as numbers; 0 where no seed is."""
    frame = frame.assign(user=tidy_ids(frame["user"], str(path)))  # as of a log
    if (blank := frame["user"].isna()).any():
        raise SeqattnError(
            f"{_line(path, frame, blank)}: no {by}; values are paired by the users' ids"
        )
    values = pd.to_numeric(frame["value"], errors="coerce")
    if (bad := ~np.isfinite(values)).any():
        cell = frame["value"][bad.idxmax()]
        told = "no value" if pd.isna(cell) else f"{str(cell)!r} is not a number"
        raise SeqattnError(f"{_line(path, frame, bad)}, column {column!r}: {told}")
    values = frame["value"].astype(float)
    seeds = pd.to_numeric(frame["seed"], errors="coerce") if "seed" in frame else values * 0
    if (bad := ~np.isfinite(seeds) | (seeds % 1 != 0)).any():
        told = str(frame["seed"][bad.idxmax()])
        raise SeqattnError(f"{_line(path, frame, bad)}: seed {told!r} is no whole number")
    users = frame["user"].astype(str)
    return frame.assign(user=users, seed=seeds.astype(np.int64), value=values)


def _by_seed(frame: pd.DataFrame, path: Path, *, several: bool) -> pd.DataFrame:
    """Return values by users and seeds, of a file that names `several` seeds or none."""
    if (twice := frame.duplicated(["user", "seed"])).any():
        row = frame.loc[twice.idxmax()]
        raise SeqattnError(
            f"{_line(path, frame, twice)}: user {row['user']} has a second value"
            + (f" for seed {row['seed']}" if several else "; name seeds in a column 'seed'")
        )
    wide = frame.pivot(index="user", columns="seed", values="value")
    if wide.isna().any(axis=None):
        user = wide.index[wide.isna().any(axis=1)][0]
        seed = wide.columns[wide.loc[user].isna()][0]
        raise SeqattnError(f"{path}: seed {seed} lacks user {user}, whom another seed has")
    return wide


def _targets(users: pd.Series, told: pd.Series, path: Path) -> pd.Series:
    """Return the target of each user whose file tells it, or how many there are."""
    told = _as_told(tidy_ids(told, str(path)).dropna())
    users = users[told.index]
    first = told.groupby(users.to_numpy()).transform("first")
    if (differs := told != first).any():
        row = differs.idxmax()
        raise SeqattnError(
            f"{path}: {told.index.name} {row}: user {users[row]} has {told.name} {told[row]}, and "
            f"{first[row]} in another seed; give values of one split"
        )
    return told.set_axis(users.to_numpy()).groupby(level=0).first()


def _as_told(targets: pd.Series) -> pd.Series:
    """Return ids as text; pandas makes 50.0 of 50 in a column with an empty field."""
    return targets.astype(str).astype(object).str.replace(r"^(-?\d+)\.0$", r"\1", regex=True)


def _column_of_values(path: Path, names: Sequence[str], column: str | None, by: str) -> str:
    if by not in names:
        raise SeqattnError(
            f"{path}: no column {by!r} (columns present: {', '.join(names)}); values are paired by "
            "the users' ids, never by their place in a file: name that column, by --by"
        )
    others = [name for name in names if name not in (by, "seed", "")]
    if column is None and len(others) != 1:
        raise SeqattnError(f"{path}: name the column of values, by --column: {', '.join(others)}")
    column = column or others[0]
    if column not in others:
        raise SeqattnError(f"{path}: no column {column!r}; there are: {', '.join(others)}")
    return column


_METRIC = re.compile(r"(NDCG|Recall|MRR)@[1-9]\d*_(un)?filtered")
_COLUMNS = ("question", "estimate", "low", "high", "t", "p", "note")
ROUNDING = 1e-12  # of a value: more than is lost where a table passes through another program
FEW = 10  # users: with fewer whose results differ, no interval over users means much


@dataclass(frozen=True)
class Comparison:
    """Two systems on the users they have in common; `table` has a row for each answer."""

    table: pd.DataFrame
    only_base: list[str]
    only_variant: list[str]


def compare(
    base: PerUser, variant: PerUser, *, margin_percent: float = MARGIN_PERCENT
) -> Comparison:
    """Compare two systems user by user, and seed by seed.

    Returns
    -------
    Comparison
        Its table has columns question, estimate, low, high, t, p and note: how many users and
        seeds are compared, means of both, change in percent, its intervals over seeds (t), over
        users (bootstrap, clustered), over both (crossed) and as published (pooled), how many
        seeds show it by themselves with the verdict of the dual criterion, and equivalence within
        the margin. What needs two seeds is left out with one, and changes in
        percent where the base's mean is 0. A test over seeds or users that all differ by one
        amount has no spread to judge by: its p is a limit, and its note says so.

    Raises
    ------
    SeqattnError
        The two are of different data, splits or targets, fewer than two users are in common, the
        seeds differ, two seeds of a system are copies, or the margin is not positive.
    """
    if not margin_percent > 0:
        raise SeqattnError(f"a margin of {margin_percent:g} %; give a positive one")
    _require_same_data(base, variant)
    _require_same_metric(base, variant)
    common = base.values.index[base.values.index.isin(variant.values.index)]
    missing = [
        sorted(set(one.values.index) - set(other.values.index))
        for one, other in ((base, variant), (variant, base))
    ]
    if len(common) < 2:
        raise SeqattnError(
            f"{base.name} and {variant.name} have {len(common)} users in common; at least 2 are "
            f"needed (first users: {base.values.index[0]!r} and {variant.values.index[0]!r})"
        )
    _require_same_targets(base, variant, common)
    b_SU, v_SU = (one.values.loc[common].to_numpy(float).T for one in (base, variant))
    _require_same_seeds(base, variant)
    for one, values in ((base, b_SU), (variant, v_SU)):
        if found := copies(values):
            seeds = one.values.columns[list(found)]
            raise SeqattnError(
                f"{one.name}: seeds {seeds[0]} and {seeds[1]} have the same value for every user: "
                "one is a copy of the other, or the seed had no effect"
            )
    # A table that was read and written again is the same system, not one that is better by 1e-17.
    alike = np.abs(v_SU - b_SU) <= ROUNDING * np.maximum(np.abs(b_SU), np.abs(v_SU))
    table = _table(b_SU, np.where(alike, b_SU, v_SU), margin_percent)
    return Comparison(pd.concat([_what(base, variant), table], ignore_index=True), *missing)


def _what(base: PerUser, variant: PerUser) -> pd.DataFrame:
    """Return what is compared, so that a kept table says what it is of."""
    told = {"base": base.about or base.name, "variant": variant.about or variant.name}
    if metric := base.metric or variant.metric:
        told["metric"] = metric.replace("_", ", ")
    if dataset := base.dataset or variant.dataset:
        told["dataset"] = dataset
    return pd.DataFrame({"question": told.keys(), "note": told.values()}).reindex(
        columns=[*_COLUMNS]
    )


def _require_same_metric(base: PerUser, variant: PerUser) -> None:
    """Refuse another metric, and ranks or counts in the place of one."""
    if base.metric and variant.metric and base.metric != variant.metric:
        raise SeqattnError(
            f"{base.name} holds {base.metric} and {variant.name} {variant.metric}: compare one "
            "metric, by --metric and --kind of a model, or --column of a file"
        )
    for one, other in ((base, variant), (variant, base)):
        highest = float(one.values.max(axis=None))
        if other.metric and not one.metric and highest > 1:
            raise SeqattnError(
                f"{one.about}: a value is {highest:g}, and {other.metric} of {other.name} is at "
                "most 1; name the column of the same metric, by --column, or bring ranks by "
                "`seqattn evaluate`"
            )


def _require_same_data(base: PerUser, variant: PerUser) -> None:
    """Refuse runs of other data, or of another split: user 7 there is not asked for the same."""
    prints = {one.fingerprint for one in (base, variant)}
    if "" in prints or len(prints) == 1:
        return
    ours, theirs = (
        f"{one.name} is of {one.dataset} (fingerprint {one.fingerprint[:12]})"
        for one in (base, variant)
    )
    raise SeqattnError(
        f"{ours} and {theirs}: other data, or another preparation or split; compare systems on one "
        "dataset"
    )


def _require_same_targets(base: PerUser, variant: PerUser, common: pd.Index) -> None:
    """Refuse values of users that were asked for something else, where both sides tell it."""
    ours, theirs = base.targets, variant.targets
    if ours is None or theirs is None:
        return
    fix = "other data or another split; compare systems asked for the same"
    if ours.name != theirs.name:
        several, one = (base, variant) if ours.name == "targets" else (variant, base)
        raise SeqattnError(
            f"{several.name} asks for several targets of a user (column 'targets') and {one.name} "
            f"for one (column 'target'): {fix}"
        )
    ours, theirs = ours.reindex(common), theirs.reindex(common)
    differ = (ours != theirs) & ours.notna() & theirs.notna()
    if differ.any():
        user = differ.idxmax()
        told = "target {}" if ours.name == "target" else "{} targets"
        raise SeqattnError(
            f"user {user} has {told.format(ours[user])} in {base.name} and "
            f"{told.format(theirs[user])} in {variant.name}: {fix}"
        )


def _require_same_seeds(base: PerUser, variant: PerUser) -> None:
    """Refuse other seeds than the base's; of one seed each, the number tells nothing."""
    ours, theirs = ([*one.values.columns] for one in (base, variant))
    if len(ours) == len(theirs) == 1 or ours == theirs:
        return
    told = [f"{', '.join(map(str, s[:6]))}{', ...' if len(s) > 6 else ''}" for s in (ours, theirs)]
    raise SeqattnError(
        f"{base.name} has the seeds {told[0]} and {variant.name} has {told[1]}; seeds are paired "
        "by their numbers: choose those of both, by -s, or number them alike"
    )


def _table(b_SU: np.ndarray, v_SU: np.ndarray, margin_percent: float) -> pd.DataFrame:
    level, d_SU = float(b_SU.mean()), v_SU - b_SU
    percent = 100 / abs(level) if level else np.nan
    no_percent = "" if level else "no change in percent of 0"
    alike = "" if d_SU.any() else "equal for every user: one system twice?"
    differ = int(d_SU.any(axis=0).sum())
    few = f"the results of only {differ} differ" if 0 < differ < FEW else ""
    rows: list[dict[str, Any]] = [
        {"question": "users in common", "estimate": d_SU.shape[1], "note": few},
        {"question": "seeds", "estimate": d_SU.shape[0]},
        {"question": "mean of the base", "estimate": level, "note": no_percent},
        {"question": "mean of the variant", "estimate": float(v_SU.mean()), "note": alike},
    ]

    def change(over: str, ends: Iterable[float], p: float, note: str, t: float = np.nan) -> None:
        low, high = (end * percent for end in ends)
        row = {"question": f"change, %: {over}", "estimate": d_SU.mean() * percent, "note": note}
        rows.append({**row, "low": low, "high": high, "t": t, "p": p})

    flat = _flat(b_SU.mean(axis=0), v_SU.mean(axis=0), "user")
    seeds = f"; {len(d_SU)} seeds cover less than that" if 1 < len(d_SU) < 4 else ""
    if len(d_SU) > 1:
        record, both = dual_criterion(b_SU, v_SU), crossed_interval(d_SU)
        error = record.difference / record.t_statistic if record.t_statistic else 0.0
        of_seeds = interval(record.difference, abs(error), len(d_SU) - 1, ALPHA).ci
        flat_seeds = _flat(b_SU.mean(axis=1), v_SU.mean(axis=1), "seed")
        # Seeds that differ no more than their users make them add nothing to the error.
        alone = " (of users alone)" if both.df == d_SU.shape[1] - 1 > len(d_SU) - 1 else ""
        told = f"crossed, {both.df:.0f} df{alone}{seeds}{flat_seeds or flat}"
        change("over seeds and users", both.ci, both.p_value, told)
        told = f"paired t, {len(d_SU) - 1} df{flat_seeds}"
        change("over seeds", of_seeds, record.t_p_value, told, record.t_statistic)
        users, published = record.clustered_ci, record.pooled_ci
        change("over users", users, record.clustered_p_value, f"clustered{flat}")
        change("as published", published, record.pooled_p_value, f"pooled{flat}")
        rows.append(_criterion(record, few))
    else:
        means = bootstrap_means(d_SU, 2000)[0]
        ends, p = percentile_interval(means), float(bootstrap_p_value(means))
        change("over users", ends, p, f"bootstrap; one seed tells nothing of others{flat}")
    if level:
        inner, p, over = _equivalence(b_SU, v_SU, abs(level) * margin_percent / 100)
        note = f"not judged: {few}" if few else "equivalent" if p < ALPHA else "not shown"
        told = f"{note} within ±{margin_percent:g} %, {over}{seeds}{flat}"
        change("equivalence (90 %)", inner, p, told)
    return pd.DataFrame(rows, columns=[*_COLUMNS]).fillna({"note": ""})


def _criterion(record: DualCriterion, few: str) -> dict[str, Any]:
    """Return how many seeds show the change by themselves, and the dual criterion's verdicts.

    There is none where only a `few` users differ.
    """
    words = {True: "robust", False: "not robust"}
    note = f"of {record.n_seeds} leave out 0; dual criterion: {words[record.robust]} as published, "
    note += f"{words[record.robust_clustered]} clustered"
    note = f"of {record.n_seeds} leave out 0; not judged: {few}" if few else note
    return {"question": "seeds that show it alone", "estimate": record.agreeing, "note": note}


def _equivalence(
    b_SU: np.ndarray, v_SU: np.ndarray, margin: float
) -> tuple[tuple[float, float], float, str]:
    """Return the 90 % interval of the difference, the p-value of two one-sided tests, and of what.

    Over users and seeds, as the book's pages of results have it; over users where there is a seed
    alone.
    """
    if len(b_SU) == 1:
        tost = tost_paired(b_SU[0], v_SU[0], margin)
        return tost.ci, tost.p_value, "over users"
    both = crossed_interval(v_SU - b_SU)
    nearest = margin - abs(both.difference)
    p = float(special.stdtr(both.df, -nearest / both.error)) if both.error else float(nearest <= 0)
    inner = interval(both.difference, both.error, both.df, 2 * ALPHA)
    return inner.ci, p, "over seeds and users"


def _flat(base: np.ndarray, variant: np.ndarray, what: str) -> str:
    """Return a warning, if all differences are one number that is not 0, else nothing."""
    mean, spread, _ = standardised(base, variant)
    if spread or not mean:
        return ""
    return f"; no spread, each {what} differs by the same amount: p is a limit"
