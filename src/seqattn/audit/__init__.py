"""What preparation and split do to a log, measured, with a light for each finding.

What SplitLight (the toolkit among the abstracts of 002_18e2) does for a log and its split
files, inside the book: pandas in, tables out, one machine-readable file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from seqattn.audit.findings import CHECKS, LIGHTS, Check, findings
from seqattn.audit.leakage import cold, leakage, popularity_shift, shift
from seqattn.audit.report import Audit
from seqattn.audit.splits import Parts, global_time_split, leave_one_out_rows
from seqattn.audit.stamps import (
    gaps,
    order_of,
    stamp_facts,
    stamps_of,
    tie_effects,
    tied_tests,
    user_of_row,
)
from seqattn.audit.statistics import core, distribution, repeats
from seqattn.data.dataset import Dataset
from seqattn.data.interactions import Interactions, Step, encode, require_chronology
from seqattn.data.preparation import prepare
from seqattn.data.sequences import Sequences

__all__ = [
    "CHECKS",
    "LIGHTS",
    "Audit",
    "Check",
    "Parts",
    "audit",
    "gaps",
    "global_time_split",
    "tied_tests",
]

_STAGES = ("valid", "test")
# Stamps that are missing are seldom a random sample (ML-1M's mirror lacks those of whole users), so
# with fewer known than this a split by time or a light on leakage would judge the gaps.
COVERAGE = 0.95


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
    codes = _Codes(encode(log.frame["user"])[0], encode(log.frame["item"])[0], stamps_of(log))
    prepared = None if dataset is None else dataset.sequences
    tables = {
        "core": _core(codes, prepared),
        "distributions": _distributions(codes, prepared),
        "repeats": pd.DataFrame({"as read": repeats(codes.user, codes.item, log.when)}),
        "stamps": _stamps(codes, prepared),
        "ties": _ties(log, prepared),
        "split": _leave_one_out_table(prepared),
        "splits": _compare_splits(log, dataset, quantile),
    }
    return Audit(
        name=log.source if dataset is None else dataset.name,
        fingerprint=None if dataset is None else dataset.fingerprint,
        **tables,
        findings=findings(
            {"rows_incomplete": 1 - len(log) / log.steps[0].interactions}
            | _values(tables, () if dataset is None else dataset.steps)
        ),
    )


class _Codes(NamedTuple):
    """Columns of the log as read: codes from 0, and seconds or NaN; each of shape (n,)."""

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray


def _core(codes: _Codes, prepared: Sequences | None) -> pd.DataFrame:
    columns = {"as read": core(np.bincount(codes.user), np.bincount(codes.item))}
    if prepared is not None:
        columns["prepared"] = core(prepared.lengths, _popularity(prepared))
    return pd.DataFrame(columns, dtype=np.float64)


def _stamps(codes: _Codes, prepared: Sequences | None) -> pd.DataFrame:
    columns = {"as read": stamp_facts(codes.user, codes.time)}
    if prepared is not None:
        columns["prepared"] = _stamps_of_histories(prepared)
    return pd.DataFrame(columns, dtype=np.float64)


def _stamps_of_histories(sequences: Sequences) -> dict[str, float]:
    user, time = user_of_row(sequences), sequences.timestamp
    between = gaps(user, time)
    backwards = float((between < 0).mean()) if len(between) else np.nan
    return stamp_facts(user, time) | {"against the order": backwards}


def _popularity(sequences: Sequences) -> np.ndarray:
    return np.bincount(sequences.items, minlength=sequences.n_items + 1)[1:]


def _distributions(codes: _Codes, prepared: Sequences | None) -> pd.DataFrame:
    order = np.lexsort((codes.time, codes.user))
    rows = {
        ("history length", "as read"): np.bincount(codes.user),
        ("item popularity", "as read"): np.bincount(codes.item),
        ("gap, seconds", "as read"): gaps(codes.user[order], codes.time[order]),
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


def _compare_splits(log: Interactions, dataset: Dataset | None, quantile: float) -> pd.DataFrame:
    """Test side of both splits, on the prepared log and on the same without its k-core."""
    if dataset is None:
        return pd.DataFrame()
    placed = log.take(~np.isnan(require_chronology(log)), "known place in time")
    options = replace(dataset.entry.preparation, core=1)
    unfiltered = Sequences.from_interactions(prepare(placed, **asdict(options)))
    rows = {}
    for name, sequences in (("prepared", dataset.sequences), ("without k-core", unfiltered)):
        splits = [leave_one_out_rows(sequences)]
        if np.isnan(sequences.timestamp).mean() <= 1 - COVERAGE:
            splits.append(global_time_split(sequences, quantile))
        for parts in splits:
            rows[parts.name, name] = {
                "users": sequences.n_users,
                "items": sequences.n_items,
                "training interactions": int(parts.train.sum()),
                "unplaced interactions": parts.unplaced,
                "validation targets": len(parts.valid),
                **cold(sequences, parts, "test"),
                **leakage(sequences, parts, "test"),
                **popularity_shift(sequences, parts, "test"),
            }
    return pd.DataFrame(rows).T.rename_axis(["split", "log"])


def _values(tables: dict[str, pd.DataFrame], steps: Sequence[Step]) -> dict[str, float]:
    """Value of each check; those whose table is missing are left out, hence grey."""
    size, stamps = tables["core"], tables["stamps"]
    column = "prepared" if "prepared" in size else "as read"
    values = {
        "median_length": size.loc["median length", column],
        "popularity_top10": size.loc["share of the top 10 % of items", column],
        "repeats": tables["repeats"].loc["same user and item", "as read"],
        "stamps_missing": stamps.loc["missing", "as read"],
        "stamps_out_of_range": stamps.loc["out of range", "as read"],
        "day_resolution": stamps.loc["day resolution", "as read"],
        "tied": stamps.loc["tied", column],
        "within_a_day": stamps.loc["within a day", column],
    }
    if column == "as read":
        return values
    test = tables["split"]["test"]
    values |= {
        "tie_targets": tables["ties"].loc["test target changes"].max(),
        "test_users": test["targets"],
        "cold_items": test["cold items"],
        "popularity_shift": test["popularity, KS distance"],
        "intensity_shift": test["intensity, KS distance"],
    }
    if len(steps) > 1:  # the k-core is the last step
        before, after = steps[-2:]
        values["interactions_lost"] = 1 - after.interactions / before.interactions
        values["users_lost"] = 1 - after.users / before.users
    if stamps.loc["missing", "prepared"] <= 1 - COVERAGE:
        values |= {
            "older_than_training": test["older than training"],
            "future_training": test["future training"],
            "not_yet_born": test["not yet born"],
        }
    return values
