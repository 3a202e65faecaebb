"""What preparation and split do to a log, measured, with a light for each finding.

What SplitLight (the toolkit among the abstracts of 002_18e2) does for a log and its split
files, inside the book: pandas in, tables out, one machine-readable file.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.data.audit.findings import CHECKS, LIGHTS, Check, findings
from seqattn.data.audit.leakage import cold, leakage, shift
from seqattn.data.audit.splits import Parts, global_time_split, leave_one_out_rows
from seqattn.data.audit.stamps import (
    chronology,
    gaps,
    order_of,
    stamp_facts,
    stamps_of,
    tie_effects,
    user_of_row,
)
from seqattn.data.audit.statistics import core, distribution, repeats
from seqattn.data.dataset import Dataset
from seqattn.data.interactions import Interactions, encode
from seqattn.data.preparation import keep_latest_duplicate, sort_by_time
from seqattn.data.sequences import Sequences
from seqattn.errors import SeqattnError

__all__ = ["CHECKS", "LIGHTS", "Audit", "Check", "Parts", "audit", "gaps", "global_time_split"]

_FORMAT = 1  # of audit.json: raise it when a key changes its meaning
_STAGES = ("valid", "test")


@dataclass(frozen=True, eq=False)
class Audit:
    """Tables of an audit; the definition of each row stands with the function that makes it.

    Attributes
    ----------
    name : str
        Dataset or source.
    fingerprint : str or None
        Fingerprint of the prepared data, None for a log audited without it.
    core : DataFrame
        Sizes and concentration, columns "as read" and "prepared".
    distributions : DataFrame
        Quantiles of history length, item popularity and gaps in seconds, as read and prepared.
    repeats : DataFrame
        Shares of repeated interactions, as read.
    stamps : DataFrame
        Missing, impossible, tied and coarse timestamps and bursts, as read and prepared; "against
        the order" is the share of neighbours whose stamps contradict an explicit order.
    ties : DataFrame
        What reversing ties does to held-out items; a column for what orders the histories, and
        one for timestamps where an explicit order overrides them.
    split : DataFrame
        Cold users and items, leakage and shift of leave-one-out, columns "valid" and "test".
    splits : DataFrame
        The test side of alternative splits, a row for each split and preparation.
    findings : DataFrame
        A row a check: check, title, value, amber, red, light, advice.
    """

    name: str
    fingerprint: str | None
    core: pd.DataFrame
    distributions: pd.DataFrame
    repeats: pd.DataFrame
    stamps: pd.DataFrame
    ties: pd.DataFrame
    split: pd.DataFrame
    splits: pd.DataFrame
    findings: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """Return the findings for reading, the worst first."""
        badness = self.findings["light"].map({"red": 0, "amber": 1, "green": 2, "grey": 3})
        ordered = self.findings.iloc[np.argsort(badness, kind="stable")]
        return ordered.drop(columns="check").reset_index(drop=True)

    def to_json(self, path: str | Path) -> Path:
        """Write everything as JSON, whole or not at all, and return the path.

        Numbers are plain floats, NaN is null, and equal audits give equal bytes.

        Raises
        ------
        SeqattnError
            The file cannot be written.
        """
        tables = [f.name for f in fields(self) if f.name not in ("name", "fingerprint")]
        content = {
            "format": _FORMAT,
            "name": self.name,
            "fingerprint": self.fingerprint,
            **{name: _records(getattr(self, name)) for name in tables},
        }
        path = Path(path)
        _write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
        return path


def audit(log: Interactions, dataset: Dataset | None = None, quantile: float = 0.9) -> Audit:
    """Audit a log, and what preparation and leave-one-out make of it.

    Parameters
    ----------
    log : Interactions
        The log as read, before duplicates are dropped.
    dataset : Dataset or None
        The same log prepared and split; None where it has no chronology, or to look at the raw
        log alone. Checks of the split are then grey.
    quantile : float
        Place of the global time split that leave-one-out is compared with.
    """
    prepared = None if dataset is None else dataset.sequences
    when = chronology(log)
    tables = {
        "core": _both(_core_of_log(log), None if prepared is None else _core_of(prepared)),
        "distributions": _distributions(log, prepared),
        "repeats": pd.DataFrame({"as read": repeats(log, when)}),
        "stamps": _both(
            stamp_facts(encode(log.frame["user"])[0], stamps_of(log)),
            None if prepared is None else _stamps_of_histories(prepared),
        ),
        "ties": _ties(log, prepared),
        "split": _leave_one_out_table(prepared),
        "splits": _compare_splits(log, prepared, when, quantile),
    }
    return Audit(
        name=log.source if dataset is None else dataset.name,
        fingerprint=None if dataset is None else dataset.fingerprint,
        **tables,
        findings=findings(_values(tables)),
    )


def _both(raw: dict[str, float], prepared: dict[str, float] | None) -> pd.DataFrame:
    columns = {"as read": raw} if prepared is None else {"as read": raw, "prepared": prepared}
    return pd.DataFrame(columns, dtype=np.float64)


def _core_of_log(log: Interactions) -> dict[str, float]:
    counts = (log.frame[name].value_counts(sort=False).to_numpy() for name in ("user", "item"))
    return core(*counts)


def _core_of(sequences: Sequences) -> dict[str, float]:
    return core(sequences.lengths, _popularity(sequences))


def _stamps_of_histories(sequences: Sequences) -> dict[str, float]:
    user, time = user_of_row(sequences), sequences.timestamp
    between = gaps(user, time)
    backwards = float((between < 0).mean()) if len(between) else np.nan
    return stamp_facts(user, time) | {"against the order": backwards}


def _popularity(sequences: Sequences) -> np.ndarray:
    return np.bincount(sequences.items, minlength=sequences.n_items + 1)[1:]


def _distributions(log: Interactions, prepared: Sequences | None) -> pd.DataFrame:
    users, time = encode(log.frame["user"])[0], stamps_of(log)
    order = np.lexsort((time, users))
    rows = {
        ("history length", "as read"): np.bincount(users),
        ("item popularity", "as read"): np.bincount(encode(log.frame["item"])[0]),
        ("gap, seconds", "as read"): gaps(users[order], time[order]),
    }
    if prepared is not None:
        rows |= {
            ("history length", "prepared"): prepared.lengths,
            ("item popularity", "prepared"): _popularity(prepared),
            ("gap, seconds", "prepared"): gaps(user_of_row(prepared), prepared.timestamp),
        }
    table = pd.DataFrame({key: distribution(v) for key, v in rows.items()}).T
    return table.rename_axis(["measure", "log"]).sort_index(sort_remaining=False)


def _ties(log: Interactions, prepared: Sequences | None) -> pd.DataFrame:
    if prepared is None:
        return pd.DataFrame()
    by_order = order_of(log, prepared)
    columns = {} if by_order is None else {"by order": tie_effects(prepared, by_order)}
    return pd.DataFrame(columns | {"by timestamp": tie_effects(prepared, prepared.timestamp)})


def _leave_one_out_table(prepared: Sequences | None) -> pd.DataFrame:
    if prepared is None:
        return pd.DataFrame()
    parts = leave_one_out_rows(prepared)
    measures = (cold, leakage, shift)
    columns = {}
    for stage in _STAGES:
        columns[stage] = {k: v for f in measures for k, v in f(prepared, parts, stage).items()}
    return pd.DataFrame(columns)


def _compare_splits(
    log: Interactions, prepared: Sequences | None, when: np.ndarray | None, quantile: float
) -> pd.DataFrame:
    """Test side of both splits, on the prepared log and on the same without its k-core."""
    if prepared is None or when is None:
        return pd.DataFrame()
    ordered = log.take(~np.isnan(when), "known place in time")
    unfiltered = Sequences.from_interactions(sort_by_time(keep_latest_duplicate(ordered)))
    rows = {}
    for preparation, sequences in (("prepared", prepared), ("without k-core", unfiltered)):
        splits = [leave_one_out_rows(sequences)]
        if not np.isnan(sequences.timestamp).all():
            splits.append(global_time_split(sequences, quantile))
        for parts in splits:
            rows[parts.name, preparation] = {
                "users": sequences.n_users,
                "items": sequences.n_items,
                "training interactions": int(parts.train.sum()),
                "unplaced interactions": parts.unplaced,
                "validation targets": len(parts.valid),
                **cold(sequences, parts, "test"),
                **leakage(sequences, parts, "test"),
                "popularity, KS distance": shift(sequences, parts, "test")[
                    "popularity, KS distance"
                ],
            }
    return pd.DataFrame(rows).T.rename_axis(["split", "log"])


def _values(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Value of each check; those whose table is missing are left out, hence grey."""
    size, stamps = tables["core"], tables["stamps"]
    values = {
        "repeats": tables["repeats"].loc["same user and item", "as read"],
        "stamps_missing": stamps.loc["missing", "as read"],
        "stamps_out_of_range": stamps.loc["out of range", "as read"],
        "day_resolution": stamps.loc["day resolution", "as read"],
    }
    if "prepared" not in size:
        return values | {
            "median_length": size.loc["median length", "as read"],
            "popularity_top10": size.loc["share of the top 10 % of items", "as read"],
        }
    test, ties = tables["split"]["test"], tables["ties"]
    left = size["prepared"] / size["as read"]
    return values | {
        "interactions_lost": 1 - left["interactions"],
        "users_lost": 1 - left["users"],
        "median_length": size.loc["median length", "prepared"],
        "popularity_top10": size.loc["share of the top 10 % of items", "prepared"],
        "tied": stamps.loc["tied", "prepared"],
        "within_a_day": stamps.loc["within a day", "prepared"],
        "tie_targets": ties.loc["test target changes"].iloc[0],
        "test_users": test["targets"],
        "older_than_training": test["older than training"],
        "future_training": test["future training"],
        "not_yet_born": test["not yet born"],
        "cold_items": test["cold items"],
        "popularity_shift": test["popularity, KS distance"],
        "intensity_shift": test["intensity, KS distance"],
    }


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as plain Python values; index levels become keys."""
    if not isinstance(table.index, pd.RangeIndex):
        table = table.rename_axis(table.index.names if any(table.index.names) else "measure")
        table = table.reset_index()
    return [
        {str(key): _plain(value) for key, value in record.items()}
        for record in table.to_dict("records")
    ]


def _plain(value: object) -> object:
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _write(path: Path, text: str) -> None:
    """Write beside the target and rename, so that no reader ever sees half a file."""
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, path)
    except OSError as error:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
        raise SeqattnError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another "
            "folder"
        ) from error
