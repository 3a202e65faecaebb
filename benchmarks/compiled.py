"""Does torch.compile pay? The default step, eager and compiled, and the seconds of warming up.

Needs a C++ compiler, and minutes when many shapes are met; where compiling fails, the result says
"not run". A benchmark of its own, so that the short ladder stays short.

    python -m benchmarks.compiled
"""

from __future__ import annotations

import sys
import time
from statistics import median
from unittest.mock import patch

import torch

from benchmarks import steps
from benchmarks.common import finish, interleave, ratios
from benchmarks.training import MODEL, TRAIN, all_of_ml_100k
from seqattn.models import build_model

STEPS, ROUNDS = 8, 5


def compiled_model(*arguments: object, **options: object) -> torch.nn.Module:
    """Build a model whose forward and backward are compiled, for any shape."""
    model = build_model(*arguments, **options)
    model.compile(dynamic=True)
    return model


def main() -> None:
    """Measure and report."""
    dataset = all_of_ml_100k()
    eager = steps.training_steps(dataset, STEPS, model=MODEL, train=TRAIN)
    with patch.object(steps, "build_model", compiled_model):
        compiled = steps.training_steps(dataset, STEPS, model=MODEL, train=TRAIN)
    started = time.perf_counter()
    try:
        compiled()
    except Exception as error:  # no compiler, or one that this PyTorch cannot use
        print(f"torch.compile failed: {error}", file=sys.stderr)
        summary = {"effect": None, "effect_spread": None, "warm_up_seconds": None}
        finish("compiled", [{"contestant": "compiled", "targets/s": None}], summary)
        return
    warm_up = time.perf_counter() - started
    rates = interleave({"eager": eager, "compiled": compiled}, ROUNDS)
    rows = [{"contestant": name, "targets/s": median(values)} for name, values in rates.items()]
    effect = ratios(rates, "compiled", "eager")
    finish(
        "compiled",
        rows,
        {
            "effect": effect["median"],
            "effect_spread": [effect["low"], effect["high"]],
            "warm_up_seconds": warm_up,
        },
    )


if __name__ == "__main__":
    main()
