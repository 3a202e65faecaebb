"""A small generated log with learnable order and heavy-tailed intensity."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqattn.data.interactions import Interactions
from seqattn.errors import SeqattnError

_START = 1_577_836_800  # 2020-01-01 UTC, seconds
_HOUR, _YEAR = 3_600.0, 31_536_000.0  # seconds
_N_ITEMS = 40
_MEAN_LENGTH = 14.0
_SHORTEST = 5  # so that no user falls to the 5-core


def synthetic_log(n_users: int = 60, seed: int = 0) -> Interactions:
    """Generate a log, which takes milliseconds; rows are shuffled, as a raw file's may be.

    Items lie on a ring. A user starts at a random place and moves forward along it, skipping some
    items and now and then jumping, so that the next item is largely determined by the current
    one. Minutes spent are log-normal with an item effect, a user effect and noise, so that a few
    interactions outweigh most others, as play counts and play times do.

    Parameters
    ----------
    n_users : int
        Size of the log, at least 1.
    seed : int
        Seed of the generator.

    Raises
    ------
    SeqattnError
        There is no user.
    """
    if n_users < 1:
        raise SeqattnError(f"synthetic_log: n_users = {n_users} is too small; use >= 1")
    rng = np.random.default_rng(seed)
    extra = rng.geometric(1 / (_MEAN_LENGTH - _SHORTEST + 1), size=n_users) - 1
    lengths = np.minimum(_SHORTEST + extra, _N_ITEMS)
    items = _walks(rng, lengths)
    users = np.repeat(np.arange(n_users), lengths)
    log_minutes = (
        3.0
        + rng.normal(scale=0.7, size=n_users)[users]
        + rng.normal(scale=0.7, size=_N_ITEMS)[items]
        + rng.normal(scale=1.2, size=len(users))
    )
    elapsed = np.cumsum(rng.exponential(_HOUR, size=len(users)).round())
    firsts = np.cumsum(lengths) - lengths
    joined = rng.uniform(0, _YEAR, size=n_users).round()
    frame = pd.DataFrame(
        {
            "user": users + 1,
            "item": items + 1,
            "intensity": np.maximum(np.exp(log_minutes).round(), 1.0),
            "timestamp": _START + elapsed + np.repeat(joined - elapsed[firsts], lengths),
        }
    )
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    return Interactions.from_frame(frame, source="synthetic")


def _walks(rng: np.random.Generator, lengths: np.ndarray) -> np.ndarray:
    """Items of all walks, end to end, without repeats inside a walk."""
    n_users = len(lengths)
    starts = rng.integers(_N_ITEMS, size=(n_users, 1))
    distance = (np.arange(_N_ITEMS) - starts) % _N_ITEMS
    # Gumbel noise on the score and taking the best draws items without replacement.
    score = rng.gumbel(size=distance.shape) - distance / lengths[:, None]
    best = np.argsort(-score, axis=1, kind="stable")
    chosen = np.zeros(distance.shape, dtype=bool)
    taken = np.arange(_N_ITEMS) < lengths[:, None]
    np.put_along_axis(chosen, best, taken, axis=1)
    jump = _N_ITEMS * (rng.random(distance.shape) < 0.1)
    order = np.argsort(np.where(chosen, distance + jump, np.inf), axis=1, kind="stable")
    return order[taken]
