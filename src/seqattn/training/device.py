"""Where a fit runs: its device, its one thread, and what a record says of both.

A fit on a CPU runs on one thread, so that its bits do not depend on how many cores there are.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version

import torch
from torch import nn

from seqattn.errors import SeqattnError
from seqattn.files import ROOT


def require_device(device: str) -> None:
    """Refuse a device that is neither ``cpu`` nor ``cuda``, or that this machine lacks.

    Others would be fitted on, and recorded, as something else: ``cpu:0`` is the CPU for PyTorch,
    but not with the one thread that makes a run's bits what they are.

    Raises
    ------
    SeqattnError
        The message names the devices there are.
    """
    try:
        if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", device):
            raise RuntimeError("neither cpu nor cuda")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        there = "cpu and cuda" if torch.cuda.is_available() else "cpu"
        raise SeqattnError(f"no device {device!r} here; this machine has {there}") from error


def cores() -> int:
    """Return how many cores this process may use: of a container or a job, not of the machine."""
    if hasattr(os, "sched_getaffinity"):  # Linux has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_of(model: nn.Module) -> torch.device:
    """Return where a model's weights lie."""
    return next(model.parameters()).device


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Fit on one thread, so that the bits do not depend on how many cores there are."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def environment(device: str) -> dict[str, str]:
    """Return what a result was computed with: device, versions, git commit."""
    cpu = f"CPU, {torch.backends.cpu.get_cpu_capability()}, 1 thread"
    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else cpu,
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "numpy", "pandas")},
        "commit": _commit(),
    }


@lru_cache
def _commit() -> str:
    """Return the checkout's commit, or "unknown" for an installed package."""
    if not (ROOT / ".git").exists():  # git would look in the folders above
        return "unknown"
    try:
        command = ["git", "rev-parse", "HEAD"]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return found.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
