"""Finished work on disk: one folder a cell, written whole or not at all.

A cell is (dataset, model, seed, config). Its folder is addressed by a hash of all that, so a
result can never be mistaken for another's:

    <root>/<dataset>/<model>/seed-<seed>-<hash>/
        cell.json            configuration, fingerprint, history, metrics, timings, versions
        ranks.npz            per-user ranks, compressed integers, no pickle
        model.safetensors    best weights

A folder is written under a temporary name and renamed when complete; a lock lets processes share
a store; checksums in ``cell.json`` expose truncated or edited files, which are computed again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqattn.config import ModelConfig, TrainConfig
from seqattn.errors import SeqattnError

_FORMAT = 1  # part of every hash: raise it when a cell's meaning changes


@dataclass(frozen=True)
class CellSpec:
    """What a cell is computed from; equal specs have equal keys, on every machine."""

    dataset: str
    fingerprint: str
    model: str
    seed: int
    model_config: ModelConfig
    train_config: TrainConfig

    @property
    def key(self) -> str:
        """Hash of everything above, 12 hexadecimal digits."""
        text = json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Result:
    """What computing a cell gives: facts for ``cell.json``, ranks of shape (U,), and weights."""

    facts: Mapping[str, Any]
    ranks: Mapping[str, np.ndarray]
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Cell:
    """A finished cell, read from its folder."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def model(self) -> str:
        """The model's name."""
        return self.facts["spec"]["model"]

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.facts["spec"]["seed"]

    def ranks(self, stage: str = "test", kind: str = "unfiltered") -> np.ndarray:
        """Return per-user ranks, (U,); `stage` valid or test, `kind` unfiltered or filtered."""
        with np.load(self.folder / "ranks.npz", allow_pickle=False) as stored:
            return stored[f"{stage}_{kind}"]

    def weights(self) -> dict[str, Tensor]:
        """Return the best weights, by parameter name."""
        return load_file(self.folder / "model.safetensors")


class Store:
    """A folder of cells that several processes may share.

    Parameters
    ----------
    path : str or Path
        Created when missing.

    Raises
    ------
    SeqattnError
        If the folder can't be created or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SeqattnError(
                f"cannot make the results folder {self.path}: {error.strerror}; "
                "choose another results_dir"
            ) from error

    def folder(self, spec: CellSpec) -> Path:
        """Return where a cell's folder is, or would be."""
        return self.path / spec.dataset / spec.model / f"seed-{spec.seed}-{spec.key}"

    def get(self, spec: CellSpec) -> Cell | None:
        """Return a finished, intact cell, or None."""
        return _read(self.folder(spec))

    def compute(self, spec: CellSpec, run: Callable[[], Result]) -> Cell:
        """Return the cell, computing it with `run` unless it is already there and intact.

        Of several processes asking for one cell, one computes and the others wait for it. An
        interrupted computation leaves nothing behind but its temporary folder, which the next
        one removes.
        """
        folder = self.folder(spec)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            cell = _read(folder)
            if cell is None:
                partial = folder.parent / f".{folder.name}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                result = run()
                try:
                    _write(partial, spec, result)
                    shutil.rmtree(folder, ignore_errors=True)
                    os.replace(partial, folder)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
                cell = _read(folder)
        assert cell is not None
        return cell

    def cells(self, dataset: str = "*", model: str = "*") -> Iterator[Cell]:
        """Yield every intact cell, sorted by folder name."""
        for path in sorted(self.path.glob(f"{dataset}/{model}/seed-*/cell.json")):
            cell = _read(path.parent)
            if cell is not None:
                yield cell


def _write(folder: Path, spec: CellSpec, result: Result) -> None:
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "ranks.npz", **result.ranks)
    save_file({k: v.contiguous() for k, v in result.weights.items()}, folder / "model.safetensors")
    facts = {
        "spec": dataclasses.asdict(spec),
        **result.facts,
        "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
    }
    facts["checksum"] = _checksum(facts)
    (folder / "cell.json").write_text(json.dumps(facts, indent=1))


def _read(folder: Path) -> Cell | None:
    try:
        facts = json.loads((folder / "cell.json").read_text())
        intact = facts["checksum"] == _checksum(facts) and all(
            _sha256(folder / name) == digest for name, digest in facts["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Cell(folder, facts) if intact else None


def _checksum(facts: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in facts.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
