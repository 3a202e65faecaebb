"""What preparation and split do to a log, measured, with a light for each finding.

What SplitLight (the toolkit among the abstracts of 002_18e2) does for a log and its split
files, inside the book: pandas in, tables out, one machine-readable file.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from seqattn.audit.findings import CHECKS, UNDER_A_GIVEN_SPLIT, Check, findings, value_text
from seqattn.audit.intensity import constant_share
from seqattn.audit.splits import COVERAGE, cold, leakage, popularity_shift, shift, usual_splits
from seqattn.audit.statistics import (
    core,
    distribution,
    gaps,
    order_of,
    policies,
    repeated,
    repeats,
    share,
    stamp_facts,
    tie_effects,
    tied_tests,
)
from seqattn.data.dataset import Dataset, prepare_as
from seqattn.data.interactions import Interactions, Step, encode, require_chronology
from seqattn.data.own import is_yaml
from seqattn.data.sequences import Sequences
from seqattn.data.splits import Parts, Splitting

__all__ = ["CHECKS", "Audit", "Check", "audit", "gaps", "tied_tests", "value_text"]

FEW_STAMPS = 40  # a single one of fewer is more than the share of dates that makes a light
_TIMELESS = (Splitting().words, Splitting(given=True).words)  # splits that place every row
_FORMAT = 1  # of audit.json: raise it when a key changes its meaning


@dataclass(frozen=True, eq=False)
class Audit:
    """Tables of an audit; the definition of each row stands with the function that makes it.

    Attributes
    ----------
    name, fingerprint : str, str or None
        Dataset and fingerprint of the prepared data; the source and None for a log without it.
    core : DataFrame
        Sizes and concentration, columns "as read" and "prepared".
    distributions : DataFrame
        Quantiles of history length, item popularity and gaps in seconds, as read and prepared.
    repeats : DataFrame
        Shares of repeated interactions, as read.
    duplicates : DataFrame
        What each policy for repeats would leave; empty where the log as read has none.
    stamps : DataFrame
        Missing, impossible, tied and coarse timestamps and bursts, as read and prepared; "against
        the order" is the share of neighbours whose stamps contradict an explicit order.
    ties : DataFrame
        What reversing ties does to held-out items; a column for what orders the histories, and
        one for timestamps where an explicit order overrides them.
    split : DataFrame
        Cold users and items, leakage and shift of the dataset's split, columns "valid" and "test".
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
    duplicates: pd.DataFrame
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

    def order(self) -> pd.DataFrame:
        """Return what orders the prepared histories: a row per measure, column ``share``.

        Shares that could not be measured, for want of timestamps, are left out.
        """
        stamps = self.stamps.iloc[:, -1]  # prepared, where there is that column
        shares = {
            "interactions with a timestamp": 1 - stamps["missing"],
            "of these, at the same moment as another of the user": stamps["tied"],
            "of these, at the most frequent time of day": stamps["day resolution"],
            "users whose whole history lies within a day": stamps["within a day"],
        }
        if not self.ties.empty:
            changes = self.ties.loc["test target changes"].iloc[0]
            shares["test targets that change when ties are reversed"] = changes
        return pd.DataFrame({"share": shares}).dropna()

    def json(self) -> str:
        """Return everything as JSON: plain floats, NaN as null; equal audits give equal text."""
        tables = [f.name for f in fields(self) if f.name not in ("name", "fingerprint")]
        content = {
            "format": _FORMAT,
            "name": self.name,
            "fingerprint": self.fingerprint,
            **{name: _records(getattr(self, name)) for name in tables},
        }
        return json.dumps(content, indent=1, allow_nan=False)


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as plain Python values; index levels become keys."""
    if not isinstance(table.index, pd.RangeIndex):
        table = table.rename_axis(table.index.names if any(table.index.names) else "measure")
        table = table.reset_index()
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
        for record in table.to_dict("records")
    ]


def audit(
    log: Interactions,
    dataset: Dataset | None = None,
    reference: str = "NAME",
) -> Audit:
    """Audit a log, and what preparation and the dataset's split make of it.

    Parameters
    ----------
    log : Interactions
        The log as read, before duplicates are dropped.
    dataset : Dataset or None
        The same log prepared and split; None where it has no chronology, or to look at the raw
        log alone. Checks of the split are then grey.
    reference : str
        What commands call a log without a dataset: a name, or the path of its YAML.
    """
    user, item = (encode(log.frame[name])[0] for name in ("user", "item"))
    order = np.lexsort((log.seconds, user))
    rows = {"as read": _Rows(user[order], item[order], log.seconds[order])}
    tables = dict.fromkeys(("ties", "split", "splits"), pd.DataFrame())
    if dataset is not None:
        sequences = dataset.sequences
        rows["prepared"] = _Rows(sequences.user_of_row, sequences.items - 1, sequences.timestamp)
        tables = {
            "ties": _ties(log, dataset),
            "split": _split_table(sequences, dataset.split.parts),
            "splits": _compare_splits(log, dataset),
        }
    sizes = {name: core(np.bincount(r.user), np.bincount(r.item)) for name, r in rows.items()}
    tables |= {
        "core": pd.DataFrame(sizes, dtype=np.float64),
        "distributions": _distributions(rows),
        "repeats": pd.DataFrame({"as read": repeats(user, item, log.when)}),
        "duplicates": policies(log),
        "stamps": _stamps(rows),
    }
    values = {"rows_incomplete": 1 - len(log) / log.steps[0].interactions}
    values |= _values(tables, () if dataset is None else dataset.steps)
    if dataset is not None:  # a user may have several targets
        values["test_users"] = len(np.unique(dataset.split.users("test")))
    if (dataset or log).has_intensity:
        values["intensity_constant"] = constant_share(dataset or log)
    if np.isnan(log.seconds).all() and (log.when is None or "order" in log.frame.columns):
        del values["stamps_missing"]  # a log of its own order, or without any, needs none
    if np.isfinite(log.seconds).sum() < FEW_STAMPS:
        del values["day_resolution"]
    called = _called((dataset.reference or dataset.name) if dataset else reference)
    notes = _notes(log, tables["ties"], dataset)
    return Audit(
        name=Path(log.source).name if dataset is None else dataset.name,
        fingerprint=None if dataset is None else dataset.fingerprint,
        findings=findings(
            values, notes, called, (dataset or log).has_intensity, _instead(log, dataset)
        ),
        **tables,
    )


def _called(reference: str) -> str:
    """Return what a command calls a log: its name, or the path of its YAML from here."""
    if not is_yaml(reference):
        return reference
    path, here = Path(reference).resolve(), Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _instead(log: Interactions, dataset: Dataset | None) -> dict[str, str]:
    """Return what to say where the usual advice is not true of this log, by check."""
    if log.when is None:
        only = "A log without an order is here for diagnosis only: nothing can be fitted on it."
        return {check.key: only for check in CHECKS if check.asks_for_a_model}
    given = dataset is not None and dataset.entry.splitting.given
    return _of_order(log, dataset) | (UNDER_A_GIVEN_SPLIT if given else {})


def _of_order(log: Interactions, dataset: Dataset | None) -> dict[str, str]:
    """Return what to say of ties where it is not the file that decides them."""
    if "order" in log.frame.columns:
        return {
            "tied": "The log's own order decides between these interactions. Report it.",
            "day_resolution": "The stamps are dates; within a day the log's own order decides.",
        }
    if dataset is not None and dataset.entry.preparation.ties == "item-id":
        return {"tied": "Item ids order these interactions, so that no file does. Report it."}
    return {}


def _notes(log: Interactions, ties: pd.DataFrame, dataset: Dataset | None) -> dict[str, str]:
    """Say, beside the lights of repeats and ties, what was counted and which key decides it."""
    notes, how = {}, None if dataset is None else dataset.entry.preparation
    copies, pairs = repeated(log)
    if copies + pairs:
        policy = f" (duplicates: {how.policy})" if how else ""
        notes["repeats"] = f"Exact copies: {copies:,}; repeated pairs: {pairs:,}{policy}."
    if how and how.ties == "item-id":
        notes["tie_targets"] = "Item ids order them here, so that no order of rows decides (ties)."
    elif not ties.empty:
        test, valid = (
            100 * ties.loc[f"{stage} target changes by item id"].iloc[0]
            for stage in ("test", "validation")
        )
        if test + valid > 0:
            notes["tie_targets"] = (
                f"The order of rows decides: ordered by item id, {test:.1f} % of test and "
                f"{valid:.1f} % of validation targets are others (ties: item-id)."
            )
    return notes


class _Rows(NamedTuple):
    """A log by user, in time order: codes from 0, and seconds or NaN; each of shape (n,)."""

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray


def _stamps(rows: Mapping[str, _Rows]) -> pd.DataFrame:
    columns = {name: stamp_facts(each.user, each.time) for name, each in rows.items()}
    if "prepared" in rows:
        columns["prepared"]["against the order"] = share(gaps(*rows["prepared"][::2]) < 0)
    return pd.DataFrame(columns, dtype=np.float64)


def _distributions(rows: Mapping[str, _Rows]) -> pd.DataFrame:
    columns = {}
    for name, each in rows.items():
        columns["history length", name] = distribution(np.bincount(each.user))
        columns["item popularity", name] = distribution(np.bincount(each.item))
        columns["gap, seconds", name] = distribution(gaps(each.user, each.time))
    table = pd.DataFrame(columns).T
    return table.rename_axis(["measure", "log"]).sort_index(sort_remaining=False)


def _ties(log: Interactions, dataset: Dataset) -> pd.DataFrame:
    order, part = order_of(log, dataset)
    moments = {} if order is None else {"by order": order}
    moments["by timestamp"] = dataset.sequences.timestamp
    columns = {name: tie_effects(dataset.split, when, part) for name, when in moments.items()}
    return pd.DataFrame(columns)


def _split_table(sequences: Sequences, parts: Parts) -> pd.DataFrame:
    columns = {}
    for stage in ("valid", "test"):
        facts = [measure(sequences, parts, stage) for measure in (cold, leakage, shift)]
        columns[stage] = {k: v for each in facts for k, v in each.items()}
    return pd.DataFrame(columns)


def _compare_splits(log: Interactions, dataset: Dataset) -> pd.DataFrame:
    """Test side of several splits, on the prepared log and on the same without its k-core."""
    entry = dataset.entry
    if not entry.splitting.time:  # such a split leaves nothing without a place
        log = log.take(~np.isnan(require_chronology(log)), "known place in time")
    weaker = replace(entry, preparation=replace(entry.preparation, core=1))
    unfiltered = Sequences.from_interactions(prepare_as(log, weaker))
    rows = {}
    for name, sequences in (("prepared", dataset.sequences), ("without k-core", unfiltered)):
        splits = usual_splits(sequences, ["last"])
        missing = np.isnan(sequences.timestamp)
        if name == "prepared" and dataset.split.parts.name not in [s.name for s in splits]:
            splits.append(dataset.split.parts)
        for parts in splits:
            rows[parts.name, name] = {
                "users": sequences.n_users,
                "items": sequences.n_items,
                "training interactions": int(parts.train.sum()),
                # Without a time, a row is in no part of a split in time.
                "unplaced interactions": 0 if parts.name in _TIMELESS else int(missing.sum()),
                "validation targets": len(parts.valid),
                **cold(sequences, parts, "test"),
                **leakage(sequences, parts, "test"),
                **popularity_shift(sequences, parts, "test"),
            }
    return pd.DataFrame(rows).T.rename_axis(["split", "log"])


def _tie_targets(ties: pd.DataFrame) -> float:
    """Return the share of test targets that a tie decides; NaN where nothing can say so.

    A log's own order shows its own ties. That it has none says nothing of the stamps it came from,
    so without a user whose stamps are known there is no light.
    """
    changes = ties.loc["test target changes"].max()
    judged = ties.loc["users judged", "by timestamp"] > 0
    return float(changes) if judged or changes > 0 else np.nan


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
        "tie_targets": _tie_targets(tables["ties"]),
        "cold_items": test["cold items"],
        "popularity_shift": test["popularity, KS distance"],
        "intensity_shift": test["intensity, KS distance"],
    }
    at = next((i for i, step in enumerate(steps) if "-core" in step.name), 0)
    if at:  # what follows the k-core clears up after it
        before, after = steps[at - 1], steps[-1]
        values["interactions_lost"] = 1 - after.interactions / before.interactions
        values["users_lost"] = 1 - after.users / before.users
    if stamps.loc["missing", "prepared"] <= 1 - COVERAGE:
        values |= {
            "older_than_training": test["older than training"],
            "future_training": test["future training"],
            "not_yet_born": test["not yet born"],
        }
    return values
