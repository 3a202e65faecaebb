"""Large random logs, made in a second: history lengths as asked, items by Zipf's law."""

from __future__ import annotations

import numpy as np

from seqattn.data import CATALOGUE, Dataset, Sequences, leave_one_out


def random_dataset(n_users: int, mean_length: float, n_items: int, seed: int = 0) -> Dataset:
    """Return `n_users` histories of at least 5 items, `mean_length` on average, split."""
    rng = np.random.default_rng(seed)
    lengths = 5 + rng.geometric(1 / (mean_length - 4), n_users) - 1
    n = int(lengths.sum())
    # Inverse transform of a truncated 1/x density: Zipf-like popularity in one vectorised draw.
    items = np.minimum(np.exp(rng.random(n) * np.log(n_items + 1)).astype(np.int32), n_items)
    sequences = Sequences(
        items=items,
        intensity=rng.exponential(5, n).astype(np.float32),
        timestamp=np.arange(n),
        offsets=np.append(0, np.cumsum(lengths)),
        user_ids=np.arange(n_users),
        item_ids=np.arange(1, n_items + 1),
    )
    return Dataset(
        "random", CATALOGUE["synthetic"], sequences, leave_one_out(sequences), (), f"{seed}"
    )
