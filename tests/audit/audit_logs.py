"""Logs whose flaws are known by construction, for the tests of the audit."""

from __future__ import annotations

import pandas as pd

from seqattn.data import Dataset, Entry, Interactions, Preparation

START = 1_000_000_000  # 2001-09-09, seconds

# (user, item, seconds after START). Worked out by hand:
#   user 3 meets "a" twice; the later counts, so (a, 5) goes in preparation.
#   held out: user 1 c@20, d@30; user 2 c@120, e@120 (tied); user 3 a@200, f@300.
#   training: a@0 b@10 | d@100 a@110 | b@5 c@15.
TOY = [
    *((1, item, time) for item, time in (("a", 0), ("b", 10), ("c", 20), ("d", 30))),
    *((2, item, time) for item, time in (("d", 100), ("a", 110), ("c", 120), ("e", 120))),
    *((3, item, time) for item, time in (("a", 5), ("b", 5), ("c", 15), ("a", 200), ("f", 300))),
]


def entry(core: int = 1) -> Entry:
    return Entry(
        "toy", "Toy", "rating", "stars", licence="none", preparation=Preparation(core=core)
    )


def table(rows: list[tuple] = TOY) -> pd.DataFrame:
    """Rows as a frame; the intensity is 1, 2, 3, ... in file order."""
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    frame["timestamp"] += START
    return frame.assign(intensity=range(1, len(frame) + 1))


def prepared(frame: pd.DataFrame, core: int = 1) -> tuple[Interactions, Dataset]:
    log = Interactions.from_frame(frame, source="toy.csv")
    return log, Dataset.from_interactions(log, entry(core))
