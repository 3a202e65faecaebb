"""Small logs for the tests of seqattn.data."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st

from seqattn.data import Interactions

# No deadline: a loaded machine is slow, not wrong.
PROPERTY = settings(max_examples=60, deadline=None)


def frame(**columns: object) -> pd.DataFrame:
    """Three valid rows, with columns replaced as asked."""
    valid = {
        "user": [1, 1, 2],
        "item": ["a", "b", "a"],
        "intensity": [1.0, 0.0, 3.5],
        "timestamp": [10.0, 20.0, 30.0],
    }
    return pd.DataFrame({**valid, **columns})


def log(rows: list[tuple], intensity: bool = True) -> Interactions:
    """A log of (user, item, timestamp) rows; intensity counts the rows from 1."""
    table = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    if intensity:
        table["intensity"] = np.arange(1.0, len(table) + 1)
    return Interactions.from_frame(table)


def rows(max_users: int = 8, max_items: int = 8, max_time: int = 6, max_size: int = 60):
    """Strategy of (user, item, timestamp) rows, rich in ties and duplicates."""
    row = st.tuples(st.integers(1, max_users), st.integers(1, max_items), st.integers(0, max_time))
    return st.lists(row, min_size=1, max_size=max_size)
