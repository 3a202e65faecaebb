"""What an injection adds to SASRec's training step, for every variant and normalisation.

python -m benchmarks.injection_overhead
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch

from benchmarks.common import finish, interleave, ratios
from seqattn import build_model, load_dataset
from seqattn.config import NORMALISATIONS, TrainConfig
from seqattn.training.fit import backward, training_batches


def steps(name: str, normalisation: str, n_steps: int = 6):
    """Return a function that does training steps of one model on ML-100K."""
    dataset, config = load_dataset("ml-100k"), TrainConfig()
    torch.manual_seed(0)
    model = build_model(name, dataset.n_items, normalisation=normalisation).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    epoch = training_batches(model, dataset, config, "cpu")(np.random.default_rng(0))
    batches = [next(epoch) for _ in range(n_steps)]

    def work() -> float:
        for parts in batches:
            optimiser.zero_grad(set_to_none=True)
            backward(model, parts)
            optimiser.step()
        return n_steps

    return work


def main() -> None:
    """Measure and report."""
    contestants = {"sasrec": steps("sasrec", "none")}
    for name in ("ia-add", "ia-mul", "ia-val"):
        for normalisation in NORMALISATIONS:
            contestants[f"{name}, {normalisation}"] = steps(name, normalisation)
    rates = interleave(contestants, rounds=7)
    rows = []
    for name, values in rates.items():
        ratio = ratios(rates, "sasrec", name)
        rows.append({"model": name, "ms/step": 1e3 / median(values), "step ratio": ratio["median"]})
    finish("injection_overhead", rows, {"max_ratio": max(row["step ratio"] for row in rows)})


if __name__ == "__main__":
    main()
