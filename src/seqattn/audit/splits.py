"""Whether a split is a forecast.

Events of the future in training, cold users and items, shift. Every measure takes histories and
the row numbers of a split (`Parts`). Measures that compare moments count only targets whose own
timestamp is known; ``known time`` says how many those are.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import rankdata

from seqattn.audit.statistics import share
from seqattn.data.sequences import Sequences
from seqattn.data.splits import Parts, Splitting, global_time_split, leave_one_out_rows

# Stamps that are missing are seldom a random sample (ML-1M's mirror lacks those of whole users), so
# with fewer known than this a split by time or a light on leakage would judge the gaps.
COVERAGE = 0.95
_DRAWS = 20  # of the shift's null value; its spread is far below the differences of interest


def usual_splits(
    sequences: Sequences, targets: Iterable[str] = ("last", "first", "all")
) -> list[Parts]:
    """Return leave-one-out, and where nearly all times are known, splits in time beside it.

    A split in time leaves a tenth after its cut; there is one for each of `targets`, what is asked
    then.
    """
    splits = [leave_one_out_rows(sequences)]
    if np.isnan(sequences.timestamp).mean() > 1 - COVERAGE:
        return splits
    asked = [Splitting(time="quantile 0.9", target=target) for target in targets]
    return splits + [global_time_split(sequences, how) for how in asked]


def cold(sequences: Sequences, parts: Parts, stage: str) -> dict[str, float]:
    """Return the number of targets, and the shares of them nothing was learned about.

    ``without history``: the target is the user's first interaction. ``cold users``: no training
    row of the user. ``cold items``: no training row of the item; ``distinct cold items`` counts
    these items.
    """
    rows, user = parts.targets(stage), sequences.user_of_row
    trained_users = np.bincount(user[parts.train], minlength=sequences.n_users)
    trained_items = _popularity(sequences, parts)
    target_items = sequences.items[rows] - 1
    is_cold = trained_items[target_items] == 0
    return {
        "targets": len(rows),
        "without history": share(rows == sequences.offsets[user[rows]]),
        "cold users": share(trained_users[user[rows]] == 0),
        "cold items": share(is_cold),
        "distinct cold items": len(np.unique(target_items[is_cold])),
    }


def leakage(sequences: Sequences, parts: Parts, stage: str) -> dict[str, float]:
    """Return how much of training lies in the future of the targets.

    Returns
    -------
    dict
        ``known time``: share of targets whose timestamp is known; all others refer to these.
        ``older than training``: share of targets older than the latest training event of another
        user. ``future training``: mean share of other users' training events later than the
        target. ``before 10 %`` and ``before 50 %``: share of targets that precede at least so
        much of it. ``not yet born``: share of targets whose item first occurs in training later
        than the target; ``perhaps not yet born``: the same could hold, but some of the item's
        training stamps are unknown. ``training in test period``: share of training events not
        older than the first target.
    """
    user, time = sequences.user_of_row, sequences.timestamp
    targets = parts.targets(stage)
    rows = targets[~np.isnan(time[targets])]
    known = parts.train & ~np.isnan(time)
    later, newest = _others(user, time, known, rows, sequences.n_users)
    born, undecided = _births(sequences, parts, rows)
    first = time[rows].min(initial=np.inf)
    return {
        "known time": len(rows) / len(targets) if len(targets) else np.nan,
        "older than training": share(time[rows] < newest),
        "future training": share(later),
        "before 10 %": share(later >= 0.1),
        "before 50 %": share(later >= 0.5),
        "not yet born": share(~born & ~undecided),
        "perhaps not yet born": share(undecided),
        "training in test period": share(time[known] >= first) if len(rows) else np.nan,
    }


def shift(sequences: Sequences, parts: Parts, stage: str) -> dict[str, float]:
    """Return how targets differ from what was trained on.

    Returns
    -------
    dict
        ``items, JS distance``: Jensen-Shannon distance (base 2, 0 to 1) between the items'
        shares in training and among targets; ``items, JS by chance``: its mean over seeded draws
        of as many targets from training's own shares, the value to compare with, since few
        targets look different from any distribution. ``popularity, KS distance``: greatest gap
        between the distribution functions of the popularity percentile in training and among
        targets; ``popularity in training`` and ``popularity of targets`` are its means (0 rarest,
        1 most popular, by training counts). ``intensity, KS distance`` and means likewise, NaN
        without intensity.
    """
    counts = _popularity(sequences, parts)
    asked = np.bincount(sequences.items[parts.targets(stage)] - 1, minlength=len(counts))
    facts = _item_shift(counts, asked) | popularity_shift(sequences, parts, stage)
    if sequences.intensity is not None:
        return facts | _contrast("intensity", sequences.intensity.astype(float), parts, stage)
    names = ("intensity, KS distance", "intensity in training", "intensity of targets")
    return facts | dict.fromkeys(names, np.nan)


def popularity_shift(sequences: Sequences, parts: Parts, stage: str) -> dict[str, float]:
    """Return the popularity rows of `shift` alone."""
    counts = _popularity(sequences, parts)
    percentile = (rankdata(counts) - 0.5) / len(counts)
    return _contrast("popularity", percentile[sequences.items - 1], parts, stage)


def _others(
    user: np.ndarray, time: np.ndarray, known: np.ndarray, rows: np.ndarray, n_users: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each target: share of others' training events that are later, and their newest time."""
    moments = np.sort(time[known])
    own_total = np.bincount(user[known], minlength=n_users)
    later = len(moments) - np.searchsorted(moments, time[rows], side="right")
    # One sorted key for user and time: how many of the user's own events are later.
    n_keys = len(moments) + 1
    place = np.searchsorted(moments, time[known], side="left")
    own = np.sort(user[known] * n_keys + place)
    passed = np.searchsorted(moments, time[rows], side="right")
    own_later = np.cumsum(own_total)[user[rows]] - np.searchsorted(
        own, user[rows] * n_keys + passed
    )
    others = len(moments) - own_total[user[rows]]
    portion = (later - own_later) / np.where(others, others, np.nan)
    # The newest event of another user: the newest of all, or the runner-up for its owner.
    newest = np.full(n_users, -np.inf)
    np.maximum.at(newest, user[known], time[known])
    champion = int(np.argmax(newest))
    runner_up = np.delete(newest, champion).max(initial=-np.inf)
    return portion, np.where(user[rows] == champion, runner_up, newest[champion])


def _births(sequences: Sequences, parts: Parts, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each target: its item occurs in training no later (or never), and whether unknown."""
    time, items = sequences.timestamp, sequences.items - 1
    known = parts.train & ~np.isnan(time)
    first = np.full(sequences.n_items, np.inf)
    np.minimum.at(first, items[known], time[known])
    blank = np.bincount(items[parts.train & np.isnan(time)], minlength=sequences.n_items)
    never = _popularity(sequences, parts) == 0
    target = items[rows]
    born = (first[target] <= time[rows]) | never[target]
    return born, ~born & (blank[target] > 0)


def _item_shift(trained: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    n = int(targets.sum())
    if not n or not trained.any():
        return {"items, JS distance": np.nan, "items, JS by chance": np.nan}
    shares = trained / trained.sum()
    draws = np.random.default_rng(0).multinomial(n, shares, size=_DRAWS)
    return {
        "items, JS distance": float(jensenshannon(shares, targets, base=2)),
        "items, JS by chance": float(np.mean([jensenshannon(shares, d, base=2) for d in draws])),
    }


def _contrast(name: str, of_row: np.ndarray, parts: Parts, stage: str) -> dict[str, float]:
    """Compare a value of each row, (n,), in training and at targets by KS distance and means."""
    values, level = np.unique(of_row, return_inverse=True)
    trained = np.bincount(level[parts.train], minlength=len(values))
    targets = np.bincount(level[parts.targets(stage)], minlength=len(values))
    n, m = trained.sum(), targets.sum()
    gap = np.cumsum(trained) / n - np.cumsum(targets) / m if n and m else np.array([np.nan])
    return {
        f"{name}, KS distance": float(np.abs(gap).max()),
        f"{name} in training": float(values @ trained / n) if n else np.nan,
        f"{name} of targets": float(values @ targets / m) if m else np.nan,
    }


def _popularity(sequences: Sequences, parts: Parts) -> np.ndarray:
    """Training interactions of each item, (V,) int64."""
    return np.bincount(sequences.items[parts.train] - 1, minlength=sequences.n_items)
