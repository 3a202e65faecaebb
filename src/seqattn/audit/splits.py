"""Alternative splits as row numbers, so that one set of measures serves them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqattn.audit.stamps import user_of_row
from seqattn.data.sequences import Sequences
from seqattn.errors import SeqattnError


@dataclass(frozen=True, eq=False)
class Parts:
    """Which rows of the histories a split trains on, and which it asks for.

    Attributes
    ----------
    name : str
        The split, as tables show it.
    train : (n,) bool
        True at training rows.
    valid, test : (m,) int64
        Rows of the targets, at most one a user, in user order.
    unplaced : int
        Rows in no part because their time is unknown.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    unplaced: int = 0

    def targets(self, stage: str) -> np.ndarray:
        """Return the target rows of "valid" or "test"."""
        return {"valid": self.valid, "test": self.test}[stage]


def leave_one_out_rows(sequences: Sequences) -> Parts:
    """Return the rows of :func:`seqattn.data.leave_one_out`.

    A user with fewer than three interactions stays in training whole, so that unfiltered logs
    can be compared too.
    """
    last = sequences.offsets[1:][sequences.lengths >= 3] - 1
    train = np.ones(len(sequences), dtype=bool)
    train[last] = train[last - 1] = False
    return Parts("leave-one-out", train, valid=last - 1, test=last)


def global_time_split(sequences: Sequences, quantile: float = 0.9) -> Parts:
    """Split all users at two common moments, so that nothing trained on is later than a target.

    The test begins after the `quantile` of all known timestamps, the validation after the
    `quantile` of those before it. A user's target is the last interaction of the period, as in
    leave-one-out; what lies between the cut and the target is context, never training.

    Raises
    ------
    SeqattnError
        `quantile` is not between 0 and 1, or no timestamp is known.
    """
    if not 0 < quantile < 1:
        raise SeqattnError(f"global_time_split: quantile = {quantile!r}; give one inside (0, 1)")
    time = sequences.timestamp
    known = ~np.isnan(time)
    if not known.any():
        raise SeqattnError(
            "global_time_split: no timestamp is known; an order within users is not enough, give "
            "the log a timestamp column"
        )
    test_cut = np.quantile(time[known], quantile)
    valid_cut = np.quantile(time[known & (time <= test_cut)], quantile)
    user = user_of_row(sequences)
    return Parts(
        f"global time, {quantile:g}",
        train=time <= valid_cut,  # false for NaN
        valid=_last_of_each_user(user, (time > valid_cut) & (time <= test_cut)),
        test=_last_of_each_user(user, time > test_cut),
        unplaced=int((~known).sum()),
    )


def _last_of_each_user(user: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(chosen)
    return rows[np.diff(user[rows], append=-1) != 0]
