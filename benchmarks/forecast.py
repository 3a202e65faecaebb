"""What `make book` will do, and about how long that will take on this machine.

Minutes are those of a reference machine, scaled by how long one training step takes here and took
there: an order of magnitude, and other work on the machine counts.

    python -m benchmarks.forecast [--preset quick] [--seeds 2020 2021]
    python -m benchmarks.forecast --keep [--preset quick]   # after `make book`, on a new reference
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import run_times
from benchmarks.common import interleave, machine
from benchmarks.steps import training_steps
from seqattn.book.reports import default_parameters
from seqattn.data import load_dataset
from seqattn.files import ROOT
from seqattn.presets import get_preset
from seqattn.training.device import cores

RECORD = Path(__file__).with_name("forecast.json")
STEPS, ROUNDS = 5, 5


def step_seconds() -> float:
    """Return the median seconds of a training step of the preset ``quick``, on synthetic data."""
    quick = get_preset("quick")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as fits do
    steps = training_steps(load_dataset("synthetic"), STEPS, model=quick.model, train=quick.train)
    rates = interleave({"steps": lambda: steps() and STEPS}, ROUNDS)
    torch.set_num_threads(threads)
    return 1 / median(rates["steps"])


def lines(
    parameters: dict[str, Any], reference: dict[str, Any], step: float, cores: int
) -> list[str]:
    """Return what `make book` will do, a line each, with minutes where they are known.

    `reference` is a record of `keep`, `step` the seconds of `step_seconds` here.
    """
    specs, runs = run_times.wanted(parameters)
    missing = sum(run is None for run in runs)
    known = reference["presets"].get(parameters["preset"])
    slower = step / reference["step_seconds"]
    side_by_side = min(cores, max(missing, 1))
    told = [
        (
            f"train {missing} small models on ML-100K, {side_by_side} at a time "
            f"({len(specs) - missing} are there already)",
            known and known["fits"] * missing / len(specs) / side_by_side,
        ),
        ("run the six notebooks", known and known["notebooks"]),
        ("run the studies' notebooks and build all pages", known and known["pages"]),
    ]
    return [
        f"{number}. {what}: {_minutes(value, slower)}"
        for number, (what, value) in enumerate(told, 1)
    ]


def _minutes(value: float | None, slower: float) -> str:
    if value is None:
        return "time not measured for this preset"
    return f"about {max(1, round(value * slower))} min" if value else "nothing to do"


def keep(parameters: dict[str, Any]) -> None:
    """Measure this machine, which has just finished `make book`, as the reference."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {"presets": {}}
    if record.get("machine") != machine():
        record = {"presets": {}}  # another machine's minutes say nothing beside these
    _, runs = run_times.wanted(parameters)
    (ROOT / "_build" / "_toc.yml").unlink(missing_ok=True)  # its pages are built anew
    began = time.perf_counter()
    subprocess.run(["make", "pages"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    record["presets"][parameters["preset"]] = {
        "fits": sum(run.facts["seconds"] for run in runs if run) / 60,
        "notebooks": sum(run_times.notebook_minutes()),
        "pages": (time.perf_counter() - began) / 60,
    }
    record |= {"step_seconds": step_seconds(), "machine": machine()}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Say it, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--seeds", type=int, nargs="*")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args(arguments)
    parameters = default_parameters() | {"dataset": "ml-100k", "preset": options.preset}
    if options.seeds:
        parameters["seeds"] = options.seeds
    if options.keep:
        keep(parameters)
        return
    reference = json.loads(RECORD.read_text())
    print(f"`make book` (preset {options.preset}) on this machine of {cores()} cores will")
    print(*lines(parameters, reference, step_seconds(), cores()), sep="\n")
    print("Finished training is kept: stopped with Ctrl-C, it goes on where it stood.", flush=True)


if __name__ == "__main__":
    main()
