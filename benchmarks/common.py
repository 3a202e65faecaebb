"""What every benchmark shares: interleaved rounds, a table, one JSON line, the machine's name."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

RESULTS = Path(__file__).with_name("results")


def interleave(
    contestants: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Run every contestant once a round, so that a busy minute slows all of them alike.

    Each contestant returns how many units of work it did; the result is units per second,
    one number a round. A first, unmeasured round warms caches and allocators.
    """
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            started = time.perf_counter()
            units = work()
            if number:
                rates[name].append(units / (time.perf_counter() - started))
    return rates


def ratios(rates: Mapping[str, list[float]], over: str, under: str) -> dict[str, float]:
    """Return the median, least and greatest ratio of two contestants over the rounds."""
    values = [a / b for a, b in zip(rates[over], rates[under], strict=True)]
    return {"median": median(values), "low": min(values), "high": max(values)}


def alone(work: Callable[..., Any], *arguments: object) -> Any:
    """Return what a function returns in a process of its own, whose peak memory is its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def machine() -> dict[str, object]:
    """Describe what the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def finish(
    name: str, rows: list[dict[str, object]], summary: Mapping[str, object], *, keep: bool = True
) -> None:
    """Print a table, write ``results/<name>.json``, and print the summary as the last line.

    A trial run that measures nothing worth keeping writes no file.
    """
    print(pd.DataFrame(rows).to_string(index=False, na_rep="", float_format="{:.4g}".format))
    if keep:
        RESULTS.mkdir(exist_ok=True)
        record = {"benchmark": name, **summary, "rows": rows, "machine": machine()}
        (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({"benchmark": name, **summary}))
