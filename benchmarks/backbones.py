"""How fast an epoch of the preset `fixed` is beside one of `fixed-relative`, dataset by dataset.

The first reads windows of 50 with absolute positions, the second whole histories under a sliding
window; both score each training target once an epoch, so targets a second compare epochs.

    python -m benchmarks.backbones [DATASET ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import torch
from scipy import stats

from benchmarks.common import finish, interleave, ratios
from benchmarks.steps import training_steps
from seqattn.data import load_dataset
from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.studies.study import read_study

PRESETS = {"windows": "fixed", "sliding window": "fixed-relative"}
STEPS, ROUNDS = 10, 20


def measure(name: str, steps: int = STEPS, rounds: int = ROUNDS) -> dict[str, object]:
    """Return a dataset's row: targets a second of both, their ratio, its interval and spread."""
    dataset = load_dataset(name)
    contestants = {}
    for label, preset_name in PRESETS.items():
        preset = get_preset(preset_name).for_log(dataset.n_targets)
        contestants[label] = training_steps(dataset, steps, model=preset.model, train=preset.train)
    rates = interleave(contestants, rounds)
    found = ratios(rates, "sliding window", "windows")
    low, high = interval(rates)
    return {
        "dataset": name,
        "windows, targets/s": median(rates["windows"]),
        "sliding window, targets/s": median(rates["sliding window"]),
        "ratio": found["median"],
        "low": low,
        "high": high,
        "least": found["low"],
        "most": found["high"],
    }


def interval(rates: Mapping[str, list[float]], level: float = 0.95) -> tuple[float, float]:
    """Return the t interval of the geometric mean of the rounds' ratios."""
    logs = np.log(np.divide(rates["sliding window"], rates["windows"]))
    low, high = stats.ttest_1samp(logs, 0.0).confidence_interval(level)
    return float(np.exp(low)), float(np.exp(high))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report; a dataset that is not here is left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", default=read_study("positions").datasets)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # as fits do
    rows = []
    for name in options.datasets:
        try:
            rows.append(measure(name))
        except SeqattnError as error:
            print(f"{name} is left out: {error}")
    if rows:
        finish("backbones", rows, {"smallest_ratio": min(float(r["ratio"]) for r in rows)})


if __name__ == "__main__":
    main()
