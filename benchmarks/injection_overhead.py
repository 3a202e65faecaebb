"""What an injection adds to SASRec's training step, for every variant and normalisation.

python -m benchmarks.injection_overhead
"""

from __future__ import annotations

from statistics import median

from benchmarks.common import finish, interleave, ratios
from benchmarks.steps import training_steps
from seqattn import load_dataset
from seqattn.config import NORMALISATIONS, ModelConfig

STEPS = 6


def main() -> None:
    """Measure and report."""
    dataset = load_dataset("ml-100k")
    contestants = {"sasrec": training_steps(dataset, STEPS)}
    for name in ("ia-add", "ia-mul", "ia-val"):
        for normalisation in NORMALISATIONS:
            config = ModelConfig(normalisation=normalisation)
            contestants[f"{name}, {normalisation}"] = training_steps(
                dataset, STEPS, name=name, model=config
            )
    rates = interleave(contestants, rounds=5)
    rows = []
    for name, values in rates.items():
        ratio = ratios(rates, "sasrec", name)
        rows.append({"model": name, "targets/s": median(values), "step ratio": ratio["median"]})
    finish("injection_overhead", rows, {"max_ratio": max(row["step ratio"] for row in rows)})


if __name__ == "__main__":
    main()
