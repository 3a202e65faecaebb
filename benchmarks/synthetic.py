"""Large random logs, made in a second: history lengths as asked, items by Zipf's law."""

from __future__ import annotations

import numpy as np

from seqattn.data import CATALOGUE, Dataset, Sequences, leave_one_out


def random_dataset(n_users: int, mean_length: float, n_items: int, seed: int = 0) -> Dataset:
    """Return `n_users` histories of at least 5 items, `mean_length` on average, split."""
    rng = np.random.default_rng(seed)
    lengths = _lengths(n_users, mean_length, rng)
    return _split(lengths, zipf(int(lengths.sum()), n_items, rng), n_items, rng, seed)


def grouped_dataset(
    n_users: int, mean_length: float, n_items: int, n_groups: int, seed: int = 0
) -> Dataset:
    """Return a log as large whose next items depend on the last ones.

    An interaction is with probability 1/2 with an item of the same group as the one before, see
    `groups`, otherwise with any item, as the first of a history; either by popularity.
    """
    rng = np.random.default_rng(seed)
    lengths = _lengths(n_users, mean_length, rng)
    items = zipf(int(lengths.sum()), n_items, rng)
    stays, points = rng.random((2, len(items)))
    group, chance = groups(n_items, n_groups, seed), popularity(n_items)
    in_order = 1 + np.argsort(group[1:], kind="stable")  # the items group by group
    upto = np.cumsum(chance[in_order])
    mass = np.bincount(group[1:], weights=chance[1:])
    below, starts = np.cumsum(mass) - mass, np.cumsum(lengths) - lengths
    for place in range(1, int(lengths.max())):
        rows = starts[lengths > place] + place
        rows = rows[stays[rows] < 0.5]
        own = group[items[rows - 1]]
        found = np.searchsorted(upto, below[own] + points[rows] * mass[own], side="right")
        items[rows] = in_order[found.clip(max=n_items - 1)]
    return _split(lengths, items, n_items, rng, seed)


def groups(n_items: int, n_groups: int, seed: int) -> np.ndarray:
    """Return each item's group by code, (V + 1,), drawn at random; that of 0, padding, is -1."""
    order = np.random.default_rng([seed, n_items]).permutation(n_items)
    return np.append(-1, order % n_groups)


def popularity(n_items: int) -> np.ndarray:
    """Return each item's chance by code in `zipf`, (V + 1,); that of 0, padding, is 0."""
    return np.append(0.0, np.log1p(1 / np.arange(1, n_items + 1)) / np.log(n_items + 1))


def zipf(n: int, n_items: int, rng: np.random.Generator) -> np.ndarray:
    """Return n items, code k with probability ``log((k + 1) / k) / log(V + 1)``."""
    # Inverse transform of a truncated 1/x density: Zipf-like popularity in one vectorised draw.
    return np.minimum(np.exp(rng.random(n) * np.log(n_items + 1)).astype(np.int32), n_items)


def _lengths(n_users: int, mean_length: float, rng: np.random.Generator) -> np.ndarray:
    return 5 + rng.geometric(1 / (mean_length - 4), n_users) - 1


def _split(
    lengths: np.ndarray, items: np.ndarray, n_items: int, rng: np.random.Generator, seed: int
) -> Dataset:
    n = len(items)
    sequences = Sequences(
        items=items,
        intensity=rng.exponential(5, n).astype(np.float32),
        timestamp=np.arange(n),
        offsets=np.append(0, np.cumsum(lengths)),
        user_ids=np.arange(len(lengths)),
        item_ids=np.arange(1, n_items + 1),
    )
    return Dataset(
        "random", CATALOGUE["synthetic"], sequences, leave_one_out(sequences), (), f"{seed}"
    )
