"""Large random logs, made in a second: history lengths as asked, items by Zipf's law."""

from __future__ import annotations

import numpy as np

from seqattn.data import CATALOGUE, Dataset, Sequences, leave_one_out


def random_dataset(n_users: int, mean_length: float, n_items: int, seed: int = 0) -> Dataset:
    """Return `n_users` histories of at least 5 items, `mean_length` on average, split."""
    rng = np.random.default_rng(seed)
    lengths = _lengths(n_users, mean_length, rng)
    return _split(lengths, zipf(int(lengths.sum()), n_items, rng), n_items, rng, seed)


def successor_dataset(n_users: int, mean_length: float, n_items: int, seed: int = 0) -> Dataset:
    """Return a log as large whose items follow each other.

    An interaction is with probability 1/2 with the successor of the item before, see `successors`,
    and otherwise with an item drawn by Zipf's law, as the first of a history.
    """
    rng = np.random.default_rng(seed)
    lengths = _lengths(n_users, mean_length, rng)
    items = zipf(int(lengths.sum()), n_items, rng)
    follows, after = rng.random(len(items)) < 0.5, successors(n_items, seed)
    starts = np.cumsum(lengths) - lengths
    for place in range(1, int(lengths.max())):
        rows = starts[lengths > place] + place
        rows = rows[follows[rows]]
        items[rows] = after[items[rows - 1]]
    return _split(lengths, items, n_items, rng, seed)


def successors(n_items: int, seed: int) -> np.ndarray:
    """Return each item's successor by code, (V + 1,): a random order of all items; 0 keeps 0."""
    return np.append(0, 1 + np.random.default_rng([seed, n_items]).permutation(n_items))


def zipf(n: int, n_items: int, rng: np.random.Generator) -> np.ndarray:
    """Return n items, code k with probability ``log((k + 1) / k) / log(V + 1)``, about 1/k."""
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
