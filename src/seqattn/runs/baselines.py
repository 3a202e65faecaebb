"""Baselines of other libraries on seqattn's splits: their ranks on disk.

A record needs only this module to be read; `seqattn.recbole.baselines` makes it. It is a folder::

    <root>/<dataset>/<model>/seed-<seed>-<hash>/
        baseline.json    spec, hyperparameters and their grid, history, metrics, timings, versions
        ranks.npz        per-user ranks, smallest unsigned integers, no pickle

A folder is written whole or not at all, as a run's is; checksums in ``baseline.json`` expose
truncated or edited files, which are computed again. A `Baseline` has the
attributes of `seqattn.runs.store.Run` that `seqattn.runs.results.summary` and ``histories`` need.

Shapes: U users, in the order of the dataset's `Sequences`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqattn.errors import SeqattnError
from seqattn.files import checksum, read_record, write_record
from seqattn.runs.store import locked, whole
from seqattn.stats.metrics import CUTOFFS, METRICS, metric

_FACTS = "baseline.json"


_FORMAT = 1  # part of every hash: raise it when a record's meaning changes


@dataclass(frozen=True)
class BaselineSpec:
    """What a baseline is computed from; equal specs have equal keys, on every machine.

    ``settings`` holds what JSON can: the grid searched, and how its members are trained.
    """

    dataset: str
    fingerprint: str
    model: str
    seed: int
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Hash of everything above, 12 hexadecimal digits."""
        return checksum({"format": _FORMAT, **dataclasses.asdict(self)})[:12]

    def folder(self, root: str | Path) -> Path:
        """Return where the record is, or would be."""
        return Path(root) / self.dataset / self.model / f"seed-{self.seed}-{self.key}"


@dataclass(frozen=True)
class Baseline:
    """A finished baseline, read from its folder."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def model(self) -> str:
        """The model's name."""
        return self.facts["spec"]["model"]

    @property
    def seed(self) -> int:
        """The training seed; it means nothing to a model that draws no random number."""
        return self.facts["spec"]["seed"]

    def ranks(self, stage: str = "test", kind: str = "unfiltered") -> np.ndarray:
        """Return per-user ranks, (U,) int32.

        Parameters
        ----------
        stage : str
            ``valid`` or ``test``.
        kind : str
            ``unfiltered`` or ``filtered``.

        Raises
        ------
        SeqattnError
            If there are no such ranks.
        """
        with np.load(self.folder / "ranks.npz", allow_pickle=False) as stored:
            if f"{stage}_{kind}" not in stored:
                raise SeqattnError(
                    f"{self.folder}: no ranks of stage {stage!r} and kind {kind!r}; "
                    f"choose one of {', '.join(stored)}"
                )
            # Unsigned integers would wrap around when subtracted.
            return stored[f"{stage}_{kind}"].astype(np.int32)


def read_baselines(root: str | Path, dataset: str) -> list[Baseline]:
    """Return a dataset's intact records, sorted by model and seed; damaged ones are left out.

    Parameters
    ----------
    root : str or Path
        The records' folder, such as ``results/baselines``.
    dataset : str
        Name of the dataset.
    """
    paths = (Path(root) / dataset).glob(f"*/seed-*/{_FACTS}")
    found = (_read(path.parent) for path in paths)
    return sorted((b for b in found if b is not None), key=lambda b: (b.model, b.seed))


def compute_baseline(
    root: str | Path,
    spec: BaselineSpec,
    run: Callable[[], tuple[Mapping[str, Any], Mapping[str, np.ndarray]]],
) -> Baseline:
    """Return the record of a spec, computing it with `run` unless it is there and intact.

    Of several processes asking for one record, one computes and the others wait for it. A failure
    leaves nothing behind.

    Parameters
    ----------
    root : str or Path
        The records' folder, made when missing.
    spec : BaselineSpec
        What is computed.
    run : callable
        Returns the facts to keep as JSON, and ranks ``{stage}_{kind}`` of shape (U,); metrics
        are computed from them.

    Raises
    ------
    SeqattnError
        If the folder can't be written.
    """
    folder = spec.folder(root)
    baseline = _read(folder)
    if baseline is not None:
        return baseline
    with locked(folder):
        baseline = _read(folder)
        if baseline is None:
            facts, ranks = run()
            with whole(folder) as partial:
                _write(partial, spec, facts, ranks)
            baseline = _read(folder)
    assert baseline is not None
    return baseline


def _write(
    folder: Path, spec: BaselineSpec, facts: Mapping[str, Any], ranks: Mapping[str, np.ndarray]
) -> None:
    small = {kind: r.astype(np.min_scalar_type(int(r.max()))) for kind, r in ranks.items()}
    np.savez_compressed(folder / "ranks.npz", **small)
    metrics = {kind: _metrics(values) for kind, values in ranks.items()}
    write_record(folder, _FACTS, {"spec": dataclasses.asdict(spec), **facts, "metrics": metrics})


def _read(folder: Path) -> Baseline | None:
    facts = read_record(folder, _FACTS)
    return None if facts is None else Baseline(folder, facts)


def _metrics(ranks: np.ndarray) -> dict[str, float]:
    return {
        f"{name}@{k}": float(metric(ranks, name, k).mean()) for name in METRICS for k in CUTOFFS
    }
