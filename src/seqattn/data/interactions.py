"""A validated log: one row per interaction, in file order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqattn.data import columns
from seqattn.errors import SeqattnError

__all__ = ["Interactions", "Step", "encode"]


def encode(ids: np.ndarray | pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank 0, 1, ... of each id among the sorted ids.

    Integers sort numerically, strings by Unicode code point, so the numbering depends neither on
    the order of rows nor on a locale.

    Returns
    -------
    codes : (n,) int64
        Rank of each row's id.
    unique : (m,) int64 or str
        Sorted ids; ``unique[codes]`` gives the ids back.
    """
    codes, unique = pd.factorize(np.asarray(ids), sort=True)
    if unique.dtype == object:
        unique = unique.astype(np.str_)  # fixed width: storable without pickle
    return codes.astype(np.int64), unique


@dataclass(frozen=True)
class Step:
    """Size of a log after one step of its preparation."""

    name: str
    interactions: int
    users: int
    items: int

    @classmethod
    def of(cls, name: str, frame: pd.DataFrame) -> Step:
        """Count the rows, users and items of a frame; empty ids are not counted."""
        return cls(name, len(frame), frame["user"].nunique(), frame["item"].nunique())


@dataclass(frozen=True, eq=False)
class Interactions:
    """A validated interaction log, file order kept; make one with :meth:`from_frame`.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns ``user`` and ``item`` (original ids, int64 or str), ``timestamp`` (float64,
        seconds since 1970 UTC) and, where the source has one, ``intensity`` (float64, >= 0).
    steps : tuple of Step
        Counts after each preparation step, the first of them ``"read"``.
    source : str
        Where the log comes from, for messages.
    """

    frame: pd.DataFrame
    steps: tuple[Step, ...]
    source: str = "DataFrame"

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, *, source: str = "DataFrame", drop_incomplete: bool = False
    ) -> Interactions:
        """Validate a log.

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns ``user``, ``item``, ``timestamp`` and optionally ``intensity``; others are
            ignored. Ids are integers or strings. Times are seconds since 1970 (also as strings)
            or ISO 8601 dates.
        source : str
            Name of the source in messages.
        drop_incomplete : bool
            Drop rows with an empty cell as a counted step, instead of refusing them.

        Raises
        ------
        SeqattnError
            A column is missing or doubled, there is no row, an id is missing or of two types, an
            intensity is not a finite number >= 0, or a time cannot be read. The message names
            the source, the column, the first offending row (its index label) and the fix.
        """
        _require_columns(frame, source)
        if frame.empty:
            raise SeqattnError(f"{source}: no rows; give a log with at least one interaction")
        steps = (Step.of("read", frame),)
        if drop_incomplete:
            frame = columns.drop_missing(frame)
            if frame.empty:
                raise SeqattnError(
                    f"{source}: every row has an empty cell in user, item, intensity or "
                    "timestamp; check the column mapping"
                )
            steps += (Step.of("drop missing", frame),)
        clean = {
            "user": columns.identifiers(frame["user"], source),
            "item": columns.identifiers(frame["item"], source),
        }
        if "intensity" in frame.columns:
            clean["intensity"] = columns.intensities(frame["intensity"], source)
        clean["timestamp"] = columns.timestamps(frame["timestamp"], source)
        return cls(pd.DataFrame(clean), steps, source)

    def __len__(self) -> int:
        """Return the number of interactions."""
        return len(self.frame)

    @property
    def has_intensity(self) -> bool:
        """Whether the log has an intensity for each interaction."""
        return "intensity" in self.frame.columns

    def take(self, rows: np.ndarray, step: str) -> Interactions:
        """Return the rows given by position or mask, with the step counted.

        Raises
        ------
        SeqattnError
            No row, hence no user, is left.
        """
        frame = self.frame[rows] if rows.dtype == bool else self.frame.take(rows)
        if frame.empty:
            last = self.steps[-1]
            raise SeqattnError(
                f"{self.source}: no user left after step {step!r}, which started from "
                f"{last.interactions} interactions of {last.users} users with {last.items} items; "
                "use more data or a weaker filter"
            )
        frame = frame.reset_index(drop=True)
        return Interactions(frame, (*self.steps, Step.of(step, frame)), self.source)


def _require_columns(frame: pd.DataFrame, source: str) -> None:
    names = list(frame.columns)
    for name in ("user", "item", "timestamp"):
        if name not in names:
            present = ", ".join(map(str, names)) or "none"
            raise SeqattnError(
                f"{source}: column {name!r} is missing (columns present: {present}); rename the "
                f"column that holds it to {name!r}"
            )
    for name in columns.COLUMNS:
        if names.count(name) > 1:
            raise SeqattnError(f"{source}: column {name!r} appears twice; keep one of them")
