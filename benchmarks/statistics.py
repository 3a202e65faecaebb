"""The dual criterion for a whole campaign against a loop of scipy.stats.bootstrap.

63 cells of 5 seeds x 6,040 users (30,200 pooled), B = 2,000. Both sides compute what the
criterion needs: the pooled, the clustered and five per-seed bootstraps. scipy is timed on a few
cells and scaled to 63; its bootstrap is given the vectorised mean.

    python -m benchmarks.statistics
"""

from __future__ import annotations

import resource
import time

import numpy as np
from scipy import stats

from benchmarks.common import finish
from seqattn.stats import dual_criterion_table

CELLS, SEEDS, USERS, RESAMPLES = 63, 5, 6040, 2000
SCIPY_CELLS = 2


def cells() -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Simulate per-user metrics with a shared user effect."""
    rng = np.random.default_rng(0)
    user = rng.random(USERS)
    return {
        cell: tuple(user + rng.normal(0, 0.1, (SEEDS, USERS)) for _ in range(2))
        for cell in range(CELLS)
    }


def scipy_cell(base: np.ndarray, variant: np.ndarray) -> None:
    """Bootstrap one cell the way one would with scipy alone."""
    difference = variant - base
    for values in (difference.ravel(), difference.mean(axis=0), *difference):
        stats.bootstrap(
            (values,), np.mean, n_resamples=RESAMPLES, method="percentile", batch=50, rng=0
        )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and report."""
    data = cells()
    before = _peak_mib()
    dual_criterion_table(data, n_resamples=RESAMPLES)
    peak = _peak_mib()  # before scipy adds its own
    ours, theirs = [], []
    for number in range(SCIPY_CELLS):
        started = time.perf_counter()
        dual_criterion_table(data, n_resamples=RESAMPLES)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        scipy_cell(*data[number])
        theirs.append(CELLS * (time.perf_counter() - started))
    rows = [
        {"contestant": "seqattn, 63 cells", "seconds": float(np.median(ours))},
        {"contestant": "scipy, scaled to 63 cells", "seconds": float(np.median(theirs))},
    ]
    ratio = float(np.median(np.array(theirs) / np.array(ours)))
    finish(
        "statistics",
        rows,
        {"ratio_vs_scipy": ratio, "peak_added_mib": peak - before, "peak_mib": peak},
    )


if __name__ == "__main__":
    main()
