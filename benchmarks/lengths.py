"""Whether short histories cost only what their tokens cost.

Targets per second on random logs of mean length 11 and 100, with one width and one catalogue; and,
for the short ones, what it is worth to compute rows of similar length together.

    python -m benchmarks.lengths
"""

from __future__ import annotations

from statistics import median
from unittest.mock import patch

from benchmarks.common import finish, interleave, ratios
from benchmarks.steps import training_steps
from benchmarks.synthetic import random_dataset
from seqattn.training import batches

N_ITEMS = 2_000
MEANS = (11, 25, 100)
RECTANGLE = "mean length 11, one rectangle a batch"


def main() -> None:
    """Measure and report."""
    contestants = {
        f"mean length {mean}": training_steps(random_dataset(200_000 // mean, mean, N_ITEMS), 10)
        for mean in MEANS
    }
    short = random_dataset(200_000 // MEANS[0], MEANS[0], N_ITEMS)
    with patch.object(batches, "BUCKET_OVERHEAD", 2**40):
        contestants[RECTANGLE] = training_steps(short, 10)
    rates = interleave(contestants, rounds=7)
    rows = [{"log": name, "targets/s": median(values)} for name, values in rates.items()]
    ratio = ratios(rates, "mean length 11", "mean length 100")
    finish(
        "lengths",
        rows,
        {
            "short_over_long": ratio["median"],
            "spread": [ratio["low"], ratio["high"]],
            "buckets_over_rectangle": ratios(rates, "mean length 11", RECTANGLE)["median"],
        },
    )


if __name__ == "__main__":
    main()
