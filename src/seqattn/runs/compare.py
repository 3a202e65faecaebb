"""Two systems compared user by user, from runs or from files: paired by the users' ids.

Shapes: S seeds, U users in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from seqattn.config import MARGIN_PERCENT
from seqattn.data import Dataset
from seqattn.data.readers.delimited import header_of, read_delimited
from seqattn.errors import SeqattnError
from seqattn.runs.store import Run
from seqattn.stats import (
    bootstrap_means,
    bootstrap_p_value,
    dual_criterion,
    percentile_interval,
    tost_paired,
)
from seqattn.stats.crossed import crossed_interval
from seqattn.stats.inputs import copies


@dataclass(frozen=True)
class PerUser:
    """A value for each seed and user.

    Attributes
    ----------
    name : str
        Where it comes from.
    values : DataFrame, (U, S)
        Index: user ids as text. Columns: seeds.
    """

    name: str
    values: pd.DataFrame


def of_runs(
    name: str, runs: Sequence[Run], dataset: Dataset, metric_name: str, k: int, kind: str
) -> PerUser:
    """Return a metric of each run, one run per seed, by the ids of the dataset's users."""
    users = dataset.sequences.user_ids[np.unique(dataset.split.users("test"))].astype(str)
    columns = {r.seed: r.values(metric_name, k, kind=kind) for r in runs}
    return PerUser(name, pd.DataFrame(columns, index=pd.Index(users, name="user")))


def of_file(path: Path, column: str | None = None) -> PerUser:
    """Read a CSV with a column ``user``, one of values and, for several seeds, ``seed``.

    Parameters
    ----------
    path : Path
        With a header. Users' ids are compared as text.
    column : str, optional
        The column of values. Needed if there is more than one beside user and seed.

    Raises
    ------
    SeqattnError
        A column is missing, a value is not a number, a user occurs twice in a seed, or a seed
        lacks users that another has.
    """
    names = header_of(path, ",")
    if "user" not in names:
        raise SeqattnError(
            f"{path}: no column 'user' (columns present: {', '.join(names)}); values are paired by "
            "the users' ids, never by their place in a file"
        )
    others = [name for name in names if name not in ("user", "seed")]
    if column is None and len(others) != 1:
        raise SeqattnError(f"{path}: name the column of values, by --column: {', '.join(others)}")
    column = column or others[0]
    if column not in others:
        raise SeqattnError(f"{path}: no column {column!r}; there are: {', '.join(others)}")
    used = {name: name for name in ("user", "seed", column) if name in names}
    frame = read_delimited(path, ",", used).frame
    frame = frame.assign(user=frame["user"].astype(str))
    if "seed" not in frame.columns:
        frame["seed"] = 0
    values = pd.to_numeric(frame[column], errors="coerce")
    bad = ~np.isfinite(values)
    if bad.any():
        line, value = bad.idxmax(), frame[column][bad.idxmax()]
        raise SeqattnError(
            f"{path}: line {line}, column {column!r}: {str(value)!r} is not a number"
        )
    twice = frame.duplicated(["user", "seed"])
    if twice.any():
        row = frame.loc[twice.idxmax()]
        raise SeqattnError(
            f"{path}: line {twice.idxmax()}: user {row['user']} has a second value"
            + (f" for seed {row['seed']}" if "seed" in used else "; name seeds in a column 'seed'")
        )
    wide = frame.assign(value=values).pivot(index="user", columns="seed", values="value")
    if wide.isna().any(axis=None):
        user = wide.index[wide.isna().any(axis=1)][0]
        seed = wide.columns[wide.loc[user].isna()][0]
        raise SeqattnError(f"{path}: seed {seed} lacks user {user}, whom another seed has")
    return PerUser(path.name, wide)


@dataclass(frozen=True)
class Comparison:
    """Two systems on the users they have in common; `table` has a row for each answer."""

    table: pd.DataFrame
    only_base: list[str]
    only_variant: list[str]


def compare(
    base: PerUser, variant: PerUser, *, margin_percent: float = MARGIN_PERCENT
) -> Comparison:
    """Compare two systems user by user.

    Returns
    -------
    Comparison
        Its table has columns question, estimate, low, high, p and note: means of both, change in
        percent, its intervals over seeds (t), over users (bootstrap, clustered), over both
        (crossed) and as published (pooled), and equivalence within the margin. What needs two
        seeds is left out with one.

    Raises
    ------
    SeqattnError
        Fewer than two users are in common, the numbers of seeds differ, or two seeds of a system
        are copies.
    """
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
    b_SU, v_SU = (one.values.loc[common].to_numpy(float).T for one in (base, variant))
    if len(b_SU) != len(v_SU):
        raise SeqattnError(
            f"{base.name} has {len(b_SU)} seeds and {variant.name} {len(v_SU)}; give as many"
        )
    for one, values in ((base, b_SU), (variant, v_SU)):
        if found := copies(values):
            seeds = one.values.columns[list(found)]
            raise SeqattnError(
                f"{one.name}: seeds {seeds[0]} and {seeds[1]} have the same value for every user: "
                "one is a copy of the other, or the seed had no effect"
            )
    return Comparison(_table(b_SU, v_SU, margin_percent), *missing)


def _table(b_SU: np.ndarray, v_SU: np.ndarray, margin_percent: float) -> pd.DataFrame:
    level, d_SU = float(b_SU.mean()), v_SU - b_SU
    percent = 100 / level if level else np.nan
    rows: list[dict[str, Any]] = [
        {"question": "mean of the base", "estimate": level},
        {"question": "mean of the variant", "estimate": float(v_SU.mean())},
    ]

    def change(question: str, ends: Iterable[float], p: float, note: str) -> None:
        low, high = (end * percent for end in ends)
        row = {"estimate": d_SU.mean() * percent, "low": low, "high": high, "p": p, "note": note}
        rows.append({"question": question, **row})

    if len(d_SU) > 1:
        record = dual_criterion(b_SU, v_SU)
        both = crossed_interval(d_SU)
        error = record.difference / record.t_statistic if record.t_statistic else 0.0
        reach = abs(error) * float(special.stdtrit(len(d_SU) - 1, 0.975))
        of_seeds = (record.difference - reach, record.difference + reach)
        change("change, %: over seeds and users", both.ci, both.p_value, "crossed")
        change("change, %: over seeds", of_seeds, record.t_p_value, "paired t")
        change("change, %: over users", record.clustered_ci, record.clustered_p_value, "clustered")
        change("change, %: as published", record.pooled_ci, record.pooled_p_value, "pooled")
    else:
        means = bootstrap_means(d_SU, 2000)[0]
        ends, p = percentile_interval(means), float(bootstrap_p_value(means))
        change("change, %: over users", ends, p, "bootstrap; one seed tells nothing of others")
    if level:
        tost = tost_paired(b_SU.mean(axis=0), v_SU.mean(axis=0), abs(level) * margin_percent / 100)
        note = f"{'equivalent' if tost.equivalent else 'not shown'} within ±{margin_percent:g} %"
        change("change, %: equivalence (90 %)", tost.ci, tost.p_value, note)
    return pd.DataFrame(rows, columns=["question", "estimate", "low", "high", "p", "note"])
