"""A validated log: one row per interaction, in file order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from seqattn.data.columns import (
    ids,
    intensities,
    orders,
    parts,
    tidy_ids,
    without_categories,
)
from seqattn.data.times import TIME_UNITS, refuse_too_close, times
from seqattn.errors import SeqattnError

COLUMNS = ("user", "item", "intensity", "timestamp", "order")


def drop_missing(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a raw log that have no empty field in the columns used.

    Row labels are kept, so later messages still name the original row. Other columns than
    ``user``, ``item``, ``intensity`` and ``timestamp`` do not count. Where a column ``order``
    gives the chronology, neither it nor the timestamp need be complete.
    """
    names = COLUMNS[:3] if "order" in frame.columns else COLUMNS[:4]
    used = frame[[name for name in names if name in frame.columns]]
    return frame[~(used.isna() | (used == "")).any(axis=1)]


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
        Columns ``user`` and ``item`` (original ids, int64 or str) and, where the source has
        them, ``intensity`` (float64, >= 0), ``timestamp`` (float64, seconds since 1970 UTC) and
        ``order`` (float64, chronological position within a user; NaN where unknown). A given
        split adds ``part`` (int8: 0 train, 1 valid, 2 test). Without an order every time is
        known; with one the timestamp may hold NaN or be absent.
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
        cls,
        frame: pd.DataFrame,
        *,
        source: str = "DataFrame",
        drop_incomplete: bool = False,
        chronological: bool = True,
        time_unit: str = "s",
        malformed: int = 0,
    ) -> Interactions:
        """Validate a log, called `source` in messages.

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns ``user``, ``item``, ``timestamp`` or ``order`` or both, and optionally
            ``intensity`` and ``part`` (of a given split); others are ignored. Ids are integers or
            strings; spaces around them do not count. Times are seconds since 1970 (also as
            strings) or ISO 8601 dates. ``order`` numbers a user's interactions from old to new;
            it then takes the place of the timestamp.
        drop_incomplete : bool
            Drop rows with an empty field as a counted step, instead of refusing them.
        chronological : bool
            Whether a log without ``timestamp`` and ``order``, for diagnostics only, is refused.
        time_unit : str
            Of numbers in the timestamp column: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``.
        malformed : int
            Lines the reader had to leave out; counted as read, and as dropped in a step.

        Raises
        ------
        SeqattnError
            A column is missing or doubled, the unit is unknown, there is no row, an id is missing
            or of two types, an intensity is not a finite number >= 0, or a time cannot be read.
            The message names the source, the column, the first offending row (its index label)
            and the fix.
        """
        _require_columns(frame, source, chronological)
        if time_unit not in TIME_UNITS:
            raise SeqattnError(
                f"{source}: time_unit {time_unit!r} is unknown; use {', '.join(TIME_UNITS)}"
            )
        if frame.empty:
            raise SeqattnError(f"{source}: no rows; give a log with at least one interaction")
        frame = frame.assign(**{name: tidy_ids(frame[name], source) for name in ("user", "item")})
        read = Step.of("read", frame)
        steps = [replace(read, interactions=read.interactions + malformed)]
        if malformed:
            steps.append(replace(read, name="drop malformed lines"))
        if drop_incomplete:
            frame = drop_missing(frame)
            if frame.empty:
                raise SeqattnError(
                    f"{source}: every row has an empty field in user, item, intensity or "
                    "timestamp; check the column mapping"
                )
            steps.append(Step.of("drop missing", frame))
        given = {n: without_categories(frame[n]) for n in COLUMNS[2:] if n in frame.columns}
        clean = {name: ids(frame[name], source) for name in ("user", "item")}
        if "intensity" in given:
            clean["intensity"] = intensities(given["intensity"], source)
        if "timestamp" in given:
            clean["timestamp"] = times(given["timestamp"], source, "order" in given, time_unit)
            if "order" not in given:
                refuse_too_close(given["timestamp"], source, clean["user"], clean["timestamp"])
        if "part" in frame.columns:
            clean["part"] = parts(without_categories(frame["part"]), source)
        if "order" in given:
            clean["order"] = orders(given["order"], source)
        return cls(pd.DataFrame(clean), tuple(steps), source)

    def __len__(self) -> int:
        """Return the number of interactions."""
        return len(self.frame)

    @property
    def has_intensity(self) -> bool:
        """Whether the log has an intensity for each interaction."""
        return "intensity" in self.frame.columns

    @property
    def seconds(self) -> np.ndarray:
        """Timestamp of each row, (n,) float64; all NaN where the log has none."""
        if "timestamp" not in self.frame.columns:
            return np.full(len(self), np.nan)
        return self.frame["timestamp"].to_numpy()

    @property
    def when(self) -> np.ndarray | None:
        """What orders a user's interactions, (n,) float64: ``order``, else ``timestamp``.

        None if the log has neither. NaN, an unknown place, sorts last.
        """
        for name in ("order", "timestamp"):
            if name in self.frame.columns:
                return self.frame[name].to_numpy()
        return None

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


def _require_columns(frame: pd.DataFrame, source: str, chronological: bool) -> None:
    names = list(frame.columns)
    timed = chronological and "order" not in names
    for name in ("user", "item", "timestamp") if timed else ("user", "item"):
        if name not in names:
            present = ", ".join(map(str, names)) or "none"
            raise SeqattnError(
                f"{source}: column {name!r} is missing (columns present: {present}); rename the "
                f"column that holds it to {name!r}"
            )
    for name in (*COLUMNS, "part"):
        if names.count(name) > 1:
            raise SeqattnError(f"{source}: column {name!r} appears twice; keep one of them")


def require_chronology(log: Interactions) -> np.ndarray:
    """Return :attr:`Interactions.when`, (n,) float64, where NaN is an unknown place.

    Raises
    ------
    SeqattnError
        The log has neither timestamps nor an explicit order.
    """
    if log.when is None:
        raise SeqattnError(
            f"{log.source}: the log has neither timestamps nor an order, so it serves for "
            "diagnostics only (load_log); histories need a column timestamp or order"
        )
    return log.when


def known_when(log: Interactions) -> np.ndarray:
    """Return :attr:`Interactions.when`, (n,) float64, with every place known.

    Raises
    ------
    SeqattnError
        The log has no chronology, or the place of some interaction is unknown.
    """
    when = require_chronology(log)
    unknown = np.isnan(when)
    if unknown.any():
        user, item = (log.frame[name].iloc[int(np.argmax(unknown))] for name in ("user", "item"))
        raise SeqattnError(
            f"{log.source}: the place of {int(unknown.sum())} interactions in their user's history "
            f"is unknown, the first of user {user} with item {item}; fill in the "
            "order column for them, or leave them out"
        )
    return when
