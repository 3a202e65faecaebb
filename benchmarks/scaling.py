"""Time per target and memory as the number of users grows.

Random logs of mean length 20: 10^3 to 10^6 users with 20,000 items, then 10^6 users with 10^5
items. Each size runs in a process of its own, so that its peak memory is its own: it makes the
log, splits it, trains some steps, and ranks the validation targets of up to 10^4 users. More users
would take minutes and no more memory, as ranking holds some users' scores at a time.

    python -m benchmarks.scaling
"""

from __future__ import annotations

import resource
import time

from benchmarks.common import alone, finish
from benchmarks.steps import training_steps
from benchmarks.synthetic import random_dataset
from seqattn.models import build_model
from seqattn.training.ranking import rank_targets

SIZES = [
    (1_000, 20_000),
    (10_000, 20_000),
    (100_000, 20_000),
    (1_000_000, 20_000),
    (1_000_000, 100_000),
]
RANKED = 10_000  # users


def measure(n_users: int, n_items: int) -> dict[str, float]:
    """Measure one size in this process."""
    started = time.perf_counter()
    dataset = random_dataset(n_users, 20, n_items)
    prepared = time.perf_counter() - started
    work = training_steps(dataset, 5)
    work()  # the first call also cuts the epoch's windows
    started = time.perf_counter()
    targets = work()
    trained = time.perf_counter() - started
    ranked = None
    if n_users <= RANKED:
        model = build_model("sasrec", n_items)
        started = time.perf_counter()
        rank_targets(model, dataset.split, "valid")
        ranked = 1e6 * (time.perf_counter() - started) / n_users
    return {
        "users": n_users,
        "items": n_items,
        "interactions": len(dataset.sequences),
        "make and split, s": prepared,
        "us/target": 1e6 * trained / targets,
        "us/user ranked": ranked,
        "peak GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    """Measure every size and report."""
    rows = [alone(measure, *size) for size in SIZES]
    same_catalogue = [row["us/target"] for row in rows if row["items"] == SIZES[0][1]]
    finish(
        "scaling",
        rows,
        {
            "time_per_target_growth": same_catalogue[-1] / same_catalogue[0],
            "peak_gib_largest": rows[-1]["peak GiB"],
        },
    )


if __name__ == "__main__":
    main()
