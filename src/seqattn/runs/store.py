"""Finished work on disk: one folder a run, written whole or not at all.

A run is (dataset, model, seed, config). Its folder is addressed by a hash of all that, so
results of two configurations or two versions of the data are never mistaken for each other (for
edited code see `seqattn.runs.code`):

    <root>/<dataset>/<model>/seed-<seed>-<hash>/
        cell.json            configuration, fingerprint, history, metrics, timings, versions
        ranks.npz            per-user ranks, compressed integers, no pickle
        model.safetensors    best weights

A folder is written under a temporary name and renamed when complete; a lock lets processes share
a store; checksums in ``cell.json`` expose truncated or edited files, which are computed again.
A run copied without its weights (`Store.adopt`) is smaller and as good for every table.
"""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqattn.config import ModelConfig, TrainConfig, require_seed, strict
from seqattn.errors import SeqattnError
from seqattn.files import checksum, read_record, write_record

_FACTS, _WEIGHTS = "cell.json", "model.safetensors"


_FORMAT = 1  # part of every hash: raise it when a run's meaning changes


@dataclass(frozen=True)
class RunSpec:
    """What a run is computed from; equal specs have equal keys, on every machine."""

    dataset: str
    fingerprint: str
    model: str
    seed: int
    model_config: ModelConfig
    train_config: TrainConfig

    def __post_init__(self) -> None:
        require_seed(self.seed)

    @property
    def key(self) -> str:
        """Hash of everything above, 12 hexadecimal digits."""
        return checksum({"format": _FORMAT, **dataclasses.asdict(self)})[:12]


@dataclass(frozen=True)
class Result:
    """What computing a run gives: facts for ``cell.json``, ranks of shape (U,), and weights."""

    facts: Mapping[str, Any]
    ranks: Mapping[str, np.ndarray]
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def spec(self) -> RunSpec:
        """What it was computed from."""
        values = dict(self.facts["spec"])
        values["model_config"] = strict(ModelConfig, values["model_config"])
        values["train_config"] = strict(TrainConfig, values["train_config"])
        return RunSpec(**values)

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
        """Return the best weights, by parameter name.

        Raises
        ------
        SeqattnError
            If the run was copied without them.
        """
        if _WEIGHTS not in self.facts["files"]:
            raise SeqattnError(
                f"{self.folder} was kept without weights, as `seqattn collect` keeps runs: remove "
                "it and run again to fit it anew, or choose another results folder"
            )
        return load_file(self.folder / _WEIGHTS)


class Store:
    """A folder of runs that several processes may share.

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

    def folder(self, spec: RunSpec) -> Path:
        """Return where a run's folder is, or would be."""
        return self.path / spec.dataset / spec.model / f"seed-{spec.seed}-{spec.key}"

    def get(self, spec: RunSpec) -> Run | None:
        """Return a finished, intact run, or None."""
        return _read(self.folder(spec))

    def compute(self, spec: RunSpec, make: Callable[[], Result]) -> Run:
        """Return the run, computing it with `make` unless it is already there and intact.

        Of several processes asking for one run, one computes and the others wait for it. An
        interrupted computation leaves nothing behind but its temporary folder, which the next
        one removes.

        Raises
        ------
        SeqattnError
            If the run is missing and cannot be written. What was finished before stays.
        """
        run = self.get(spec)  # first without the lock, which a read-only store refuses
        if run is not None:
            return run
        folder = self.folder(spec)
        with locked(folder):
            run = _read(folder)
            if run is None:
                result = make()
                with whole(folder) as partial:
                    # By way of memory: on a full disk numpy's own file would complain once more.
                    np.savez_compressed(ranks := io.BytesIO(), **result.ranks)
                    (partial / "ranks.npz").write_bytes(ranks.getvalue())
                    weights = {name: value.contiguous() for name, value in result.weights.items()}
                    save_file(weights, partial / _WEIGHTS)
                    write_record(
                        partial, _FACTS, {"spec": dataclasses.asdict(spec), **result.facts}
                    )
                run = _read(folder)
        assert run is not None
        return run

    def adopt(self, run: Run, *, weights: bool = True) -> Run:
        """Copy another store's run, by default all of it, and return the copy.

        Raises
        ------
        SeqattnError
            If it cannot be written, or is none of this version.
        """
        folder = self.folder(run.spec)
        if folder.name != run.folder.name:
            raise SeqattnError(
                f"{run.folder} is not named after what it holds: it was edited, or written by "
                "another version"
            )
        with locked(folder), whole(folder) as partial:
            for name in run.facts["files"]:
                if weights or name != _WEIGHTS:
                    shutil.copyfile(run.folder / name, partial / name)
            write_record(partial, _FACTS, run.facts)
        copy = _read(folder)
        assert copy is not None
        return copy

    def runs(self, dataset: str = "*", model: str = "*") -> Iterator[Run]:
        """Yield every intact run, sorted by folder name."""
        for path in sorted(self.path.glob(f"{dataset}/{model}/seed-*/{_FACTS}")):
            run = _read(path.parent)
            if run is not None:
                yield run


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a file or folder, such as a run's; other processes wait for it.

    Raises
    ------
    SeqattnError
        If the lock cannot be made where the folder is.
    """
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that takes another's place when the block ends well.

    Whoever uses it holds the folder's lock.

    Raises
    ------
    SeqattnError
        If it cannot be written.
    """
    partial = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unwritable(folder: Path, error: Exception) -> SeqattnError:
    reason = getattr(error, "strerror", None) or error
    return SeqattnError(
        f"cannot write {folder}: {reason}; make room or choose another results folder. "
        "Finished runs are kept"
    )


def _read(folder: Path) -> Run | None:
    facts = read_record(folder, _FACTS)
    return None if facts is None else Run(folder, facts)
