"""Which interactions a model is trained on, and which it is asked for.

Three splits: *leave-one-out* (also called leave-last-out) asks for each user's last interaction,
a *global time split* for what happens after one moment, the same for all, and a *given* split for
what somebody else has held out.

A target is predicted from all that its user did before it. A target without anything before it
cannot be, and is counted only.

References
----------
Gusak et al. (2025), "Time to Split", on why leave-one-out is no forecast. Book page "Evaluation".
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from seqattn.data.columns import PARTS
from seqattn.data.interactions import Interactions
from seqattn.data.sequences import Sequences
from seqattn.errors import SeqattnError

STAGES = PARTS[1:]
TARGETS = ("last", "first", "random", "all")
VALIDATIONS = ("time", "user", "last")
_SEED = 2020  # of what a split draws; the first of the published training seeds
_USERS_HELD = 0.1  # share of the users that `validation: user` leaves out of training


@dataclass(frozen=True)
class Splitting:
    """How histories are split; part of a dataset's fingerprint. The default is leave-one-out.

    Attributes
    ----------
    time : str
        Where a global time split cuts: ``quantile 0.9`` of the interactions, or an ISO date, which
        begins the test.
    target : str
        What a global time split asks of a user after the cut: the ``last`` interaction, the
        ``first``, a ``random`` one, or ``all``.
    validation : str
        Its validation: ``time``, a second cut that leaves as large a share after it; ``last``,
        each user's last interaction before the cut; or ``user``, the same of a tenth of the users,
        who are then left out of training.
    given : bool
        Whether the log says of each interaction which part it is in.
    """

    time: str = ""
    target: str = "last"
    validation: str = "time"
    given: bool = False

    def __post_init__(self) -> None:
        """Check that the words are known."""
        for name, known in (("target", TARGETS), ("validation", VALIDATIONS)):
            value = getattr(self, name)
            if value not in known:
                raise SeqattnError(f"split: {name} {value!r} is unknown; use {', '.join(known)}")
        if self.time:
            _moment(self.time, np.zeros(1))

    def options(self) -> object:
        """Return what enters the fingerprint."""
        if not (self.time or self.given):
            return "leave-one-out"
        return asdict(self)

    @property
    def words(self) -> str:
        """What tables and captions call it."""
        if self.given:
            return "given"
        if not self.time:
            return "leave-one-out"
        asked = "" if self.target == "last" else f", {self.target}"
        stopped = "" if self.validation == "time" else f", validation by {self.validation}"
        return f"global time, {self.time.removeprefix('quantile ')}{asked}{stopped}"


@dataclass(frozen=True, eq=False)
class Parts:
    """Which rows of the histories a split, called `name` in tables, trains on and asks for.

    Attributes
    ----------
    train : (n,) bool
        True at training rows.
    valid, test : (m,) int64
        Rows of the targets, ascending: by user, then in the order of the history.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray

    def targets(self, stage: str) -> np.ndarray:
        """Return the target rows of "valid" or "test".

        Raises
        ------
        SeqattnError
            The stage is another.
        """
        if stage not in STAGES:
            raise SeqattnError(f"stage {stage!r} is unknown; use 'valid' or 'test'")
        return self.valid if stage == "valid" else self.test


@dataclass(frozen=True, eq=False)
class Split:
    """Histories with their parts: what is trained on, what is asked, and from what.

    Targets that are their user's first interaction are left out: nothing can be predicted from
    nothing. Shapes: N targets of a stage.

    Attributes
    ----------
    histories : Sequences
        All interactions.
    parts : Parts
        Which of them are in training, and which are targets.
    train : Sequences
        The training histories of all users; some may be empty.
    """

    histories: Sequences
    parts: Parts
    train: Sequences

    @classmethod
    def of(cls, histories: Sequences, parts: Parts) -> Split:
        """Cut histories into parts.

        Raises
        ------
        SeqattnError
            A part would be empty.
        """
        split = cls(histories, parts, histories.keep(parts.train))
        for stage in STAGES:
            if not len(split.rows(stage)):
                raise SeqattnError(
                    f"split {parts.name}: no {stage} target has anything before it in its user's "
                    "history; cut at another place, or use leave-one-out"
                )
        return split

    def rows(self, stage: str) -> np.ndarray:
        """Return the rows of the targets of "valid" or "test" in the histories, (N,) int64."""
        rows = self.parts.targets(stage)
        return rows[rows > self.histories.offsets[self._user(rows)]]

    def context(self, stage: str) -> Sequences:
        """Return the histories a model may see, one per target, N in all."""
        return self.histories.before(self.rows(stage))

    def targets(self, stage: str) -> np.ndarray:
        """Return the item codes to predict, (N,) int32."""
        return self.histories.items[self.rows(stage)]

    def users(self, stage: str) -> np.ndarray:
        """Return the number of the user that each target belongs to, (N,) int64, ascending."""
        return self._user(self.rows(stage))

    def owners(self) -> dict[str, np.ndarray]:
        """Return `users` of the stages that ask for several targets of a user; else nothing.

        The values of a user's targets are averaged before any inference, see
        `seqattn.stats.metrics.metric`.
        """
        of = {stage: self.users(stage) for stage in STAGES}
        return {stage: users for stage, users in of.items() if (np.diff(users) == 0).any()}

    def part_of_row(self) -> np.ndarray:
        """Return what each row of the histories is, (n,) str.

        ``train``, ``valid``, ``test``, or ``context``: a split in time neither trains on it nor
        asks for it.
        """
        part = np.full(len(self.histories), "context", dtype=object)
        parts = (self.parts.train, self.parts.valid, self.parts.test)
        for name, rows in zip(PARTS, parts, strict=True):
            part[rows] = name
        return part

    def _user(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.histories.offsets, rows, side="right") - 1


def leave_one_out(sequences: Sequences) -> Split:
    """Split each history, in time order, into training, validation and test parts.

    The last interaction is the test, the second last validation. Users are never dropped here: a
    user with fewer than three interactions is an error, because dropping belongs to a counted
    preparation step (``k_core`` with k >= 3 does it).

    Raises
    ------
    SeqattnError
        A user has fewer than three interactions.

    Examples
    --------
    One user with four interactions; item codes start at 1, in the order of the items' ids:

    >>> from seqattn.data import Interactions
    >>> rows = {"user": [7, 7, 7, 7], "item": list("abca"), "timestamp": [1, 2, 3, 4]}
    >>> log = Interactions.from_frame(pd.DataFrame(rows))
    >>> split = leave_one_out(Sequences.from_interactions(log))
    >>> split.train.items.tolist(), split.targets("valid").tolist(), split.targets("test").tolist()
    ([1, 2], [3], [1])
    """
    short = sequences.lengths < 3
    if short.any():
        user = int(np.argmax(short))
        raise SeqattnError(
            f"leave_one_out: user {sequences.user_ids[user]} has {sequences.lengths[user]} "
            "interactions, at least 3 are needed; drop short histories first, by a k-core with k "
            "of at least 3 (k_core, also under `filters` in a dataset's YAML)"
        )
    return Split.of(sequences, leave_one_out_rows(sequences))


def leave_one_out_rows(sequences: Sequences) -> Parts:
    """Return the rows of :func:`leave_one_out`.

    A user with fewer than three interactions stays in training whole, so that unfiltered logs
    can be compared too.
    """
    last = sequences.offsets[1:][sequences.lengths >= 3] - 1
    train = np.ones(len(sequences), dtype=bool)
    train[last] = train[last - 1] = False
    return Parts("leave-one-out", train, valid=last - 1, test=last)


def global_time_split(sequences: Sequences, how: Splitting) -> Parts:
    """Split all users at common moments, so that nothing trained on is later than a test target.

    What lies between the cut and a target is context, never training; so is a row whose time is
    unknown. See :class:`Splitting` for the choices.

    Raises
    ------
    SeqattnError
        No timestamp is known.
    """
    time, user = sequences.timestamp, sequences.user_of_row
    known = time[~np.isnan(time)]
    if not len(known):
        raise SeqattnError(
            "split: no timestamp is known; an order within users is not enough for a split in "
            "time, give the log a timestamp column"
        )
    cut = _moment(how.time, known)
    test = _chosen(user, time > cut, how.target)
    before = time <= cut  # false for NaN
    if how.validation == "time":
        quantile = how.time.startswith("quantile ")  # a date may hold a space, too
        share = float(how.time.split()[1]) if quantile else float((known <= cut).mean())
        valid_cut = np.quantile(time[before], share) if before.any() else cut
        valid = _chosen(user, before & (time > valid_cut), how.target)
        return Parts(how.words, time <= valid_cut, valid, test)
    valid = _chosen(user, before, "last")
    train = before
    if how.validation == "user":
        drawn = _held_users(sequences)
        valid, train = valid[drawn[user[valid]]], before & ~drawn[user]
    else:
        train[valid] = False
    return Parts(how.words, train, valid, test)


def given_split(sequences: Sequences, part: np.ndarray, how: Splitting) -> Parts:
    """Take a split as it was given: `part`, (n,), is 0 for training, 1 for validation, 2 for test.

    Without a validation part, ``validation: last`` takes each user's last training interaction.

    Raises
    ------
    SeqattnError
        A user's training interaction is later than one held out, or there is no training,
        validation or test.
    """
    user = sequences.user_of_row
    back = (np.diff(part) < 0) & (np.diff(user) == 0)
    if back.any():
        first = int(np.argmax(back))
        later, earlier = PARTS[part[first + 1]], PARTS[part[first]]
        raise SeqattnError(
            f"split: user {sequences.user_ids[user[first]]} has an interaction in {later!r} after "
            f"one in {earlier!r} ({int(back.sum())} such places): a model that predicts the next "
            "item cannot use such a split; give parts that follow each other in time"
        )
    for number in (0, 2):
        if not (part == number).any():
            raise SeqattnError(
                f"split: no interaction is in the part {PARTS[number]!r}; give some, or weaker "
                "`filters` if they have dropped them"
            )
    train, valid = part == 0, np.flatnonzero(part == 1)
    if not len(valid):
        if how.validation != "last":
            raise SeqattnError(
                "split: no interaction is in the part 'valid', on which training is stopped; give "
                "some, or set `validation: last` for each user's last training interaction"
            )
        valid = _chosen(user, train, "last")
        train[valid] = False
    elif how.validation == "last":
        raise SeqattnError(
            "split: validation: last takes validation from training, and there are interactions "
            "in the part 'valid'; leave one of the two out"
        )
    return Parts(how.words, train, valid, np.flatnonzero(part == 2))


def split(sequences: Sequences, how: Splitting, part: np.ndarray | None = None) -> Split:
    """Split histories as a dataset's description says; `part` is that of a given split.

    Raises
    ------
    SeqattnError
        The histories do not allow it.
    """
    if part is not None:
        return Split.of(sequences, given_split(sequences, part, how))
    if how.time:
        parts = global_time_split(sequences, how)
        _refuse_useless_cut(sequences, how)
        return Split.of(sequences, parts)
    return leave_one_out(sequences)


def _refuse_useless_cut(sequences: Sequences, how: Splitting) -> None:
    """Say why a split in time has nothing to ask for, where another cut is not the answer."""
    known = sequences.timestamp[~np.isnan(sequences.timestamp)]
    cut = _moment(how.time, known)
    is_date = not how.time.startswith("quantile ")
    if is_date and not known.min() <= cut < known.max():
        first, last = (np.datetime64(int(end // 86_400), "D") for end in (known.min(), known.max()))
        side = "after" if cut >= known.max() else "before"
        raise SeqattnError(
            f"split: time {how.time!r}: no interaction is {side} it; the first is of "
            f"{first} and the last of {last}: cut between them"
        )
    before = np.bincount(sequences.user_of_row[sequences.timestamp <= cut], minlength=1)
    able = np.flatnonzero(before >= 2)
    drawn = _held_users(sequences)
    if how.validation == "user" and len(able) and not drawn[able].any():
        raise SeqattnError(
            f"split: validation: user draws a tenth of the users, and of these {len(drawn)} no "
            "user with two interactions before the cut; set validation: time or last"
        )


def _held_users(sequences: Sequences) -> np.ndarray:
    """Return which users `validation: user` leaves out of training, (U,) bool."""
    return np.random.default_rng(_SEED).random(sequences.n_users) < _USERS_HELD


def with_times(log: Interactions) -> Interactions:
    """Order a log by time, and drop, as a counted step, what has none: a split in time needs it.

    An explicit order decides between equal times only.

    Raises
    ------
    SeqattnError
        No interaction has a time.
    """
    seconds = log.seconds
    if np.isnan(seconds).all():
        raise SeqattnError(
            f"{log.source}: no timestamp is known; an order within users is not enough for a split "
            "in time, give the log a timestamp column"
        )
    if "order" not in log.frame.columns:
        return log
    log = replace(log, frame=log.frame.assign(order=_rank(seconds, log.frame["order"])))
    known = ~np.isnan(seconds)
    return log if known.all() else log.take(known, "drop unknown times")


def _rank(seconds: np.ndarray, order: pd.Series) -> np.ndarray:
    """Return the place of each row by time and then order, the same for rows equal in both."""
    groups = order.groupby([seconds, order], dropna=False)
    return groups.ngroup().to_numpy(dtype=np.float64)


def _moment(cut: str, known: np.ndarray) -> float:
    """Return the last moment, in seconds, that lies before the test."""
    if found := re.fullmatch(r"quantile (0?\.\d*[1-9]\d*)", cut):
        return float(np.quantile(known, float(found[1])))
    try:
        if not cut[:1].isdigit():  # pandas would read "now" and "today" as the moment of reading
            raise ValueError
        start = pd.to_datetime(cut, utc=True, format="ISO8601").timestamp()
    except (ValueError, TypeError, OverflowError):
        raise SeqattnError(
            f"split: time {cut!r} is neither like 'quantile 0.9', inside (0, 1), nor a date like "
            "2018-01-31"
        ) from None
    return float(np.nextafter(start, -np.inf))


def _chosen(user: np.ndarray, period: np.ndarray, target: str) -> np.ndarray:
    """Return the rows that are asked of each user in a period."""
    rows = np.flatnonzero(period)
    if target == "all" or not len(rows):
        return rows
    start = np.flatnonzero(np.diff(user[rows], prepend=-1))
    count = np.diff(np.append(start, len(rows)))
    if target == "random":
        draws = np.random.default_rng(_SEED).random(len(start))
        return rows[start + (draws * count).astype(np.int64)]
    return rows[start] if target == "first" else rows[start + count - 1]
