"""An audit's tables, and the file they are kept in."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.files import write_text

_FORMAT = 1  # of audit.json: raise it when a key changes its meaning


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

    def to_json(self, path: str | Path) -> Path:
        """Write :meth:`json` to a file, whole or not at all, and return the path.

        Raises
        ------
        SeqattnError
            The file cannot be written.
        """
        return write_text(path, self.json() + "\n")


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
