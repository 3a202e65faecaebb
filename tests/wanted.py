"""Runs by preset or design, as the commands fit them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seqattn.data import Dataset
from seqattn.runs.fitting import fit_runs
from seqattn.runs.store import Run, Store
from seqattn.search.record import wanted_specs


def fit_wanted(
    folder: str | Path,
    dataset: Dataset,
    wanted: Iterable[tuple[str, int]],
    name: str = "quick",
    *,
    backbone_of: str | None = None,
    **options: object,
) -> list[Run]:
    """Say which runs are wanted, then read or fit them."""
    specs = wanted_specs(folder, dataset, wanted, name, backbone_of=backbone_of)
    return fit_runs(Store(folder), dataset, specs, **options)
