"""Finished work on disk: one folder a run, written whole or not at all.

A run is a training, of one of our models or of one of another engine's, on one dataset with one
seed. Its folder is addressed by a hash of all it rests on, so results of two configurations or two
versions of the data are never mistaken for each other (for edited code see `seqattn.runs.code`)::

    <root>/<dataset>/<model>/seed-<seed>-<hash>/
        cell.json            configuration, fingerprint, history, metrics, timings, versions;
                             baseline.json if RecBole fitted it, external.json if its ranks or
                             scores came from elsewhere
        ranks.npz            ranks of all targets, smallest unsigned integers, no pickle; whose they
                             are, where a split asks for several targets of a user
        model.safetensors    best weights, where the engine gives them

A folder is written under a temporary name and renamed when complete; a lock lets processes share
a store; checksums in ``cell.json`` expose truncated or edited files, which are computed again.
A run copied without its weights (`Store.adopt`) is smaller and as good for every table.

Shapes: N targets of a stage, in the order of the dataset's `Split`; one a user in leave-one-out.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock
from safetensors.torch import load_file
from torch import Tensor

from seqattn.config import ModelConfig, TrainConfig, record, require_seed, strict
from seqattn.errors import SeqattnError
from seqattn.files import checksum, make_folder, read_record, write_record
from seqattn.runs.checkpoint import packed
from seqattn.stats.metrics import metric

_WEIGHTS = "model.safetensors"
_OWNERS = "_users"  # ends the name of whose targets are whose, among ranks
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a dataset; lost+found is nobody's
_FORMAT = 1  # part of every hash: raise it when a run's meaning changes


@dataclass(frozen=True)
class _BaseSpec:
    """What every run rests on; equal specs have equal keys, on every machine."""

    dataset: str
    fingerprint: str
    model: str
    seed: int

    def __post_init__(self) -> None:
        require_seed(self.seed)

    @property
    def key(self) -> str:
        """Hash of all fields, 12 hexadecimal digits."""
        return checksum({"format": _FORMAT, **record(self)})[:12]


@dataclass(frozen=True)
class RunSpec(_BaseSpec):
    """What a run of one of our models is computed from."""

    model_config: ModelConfig
    train_config: TrainConfig

    engine: ClassVar[str] = "seqattn"


@dataclass(frozen=True)
class RecBoleSpec(_BaseSpec):
    """What a run of one of RecBole's models is computed from.

    ``settings`` holds what JSON can: RecBole's version, the grid that is searched, and how its
    members are trained.
    """

    settings: Mapping[str, Any]

    engine: ClassVar[str] = "recbole"

    def __hash__(self) -> int:  # a mapping has none
        return hash(self.key)


@dataclass(frozen=True)
class ExternalSpec(_BaseSpec):
    """What another library's output is known by; `model` is its name.

    ``source`` is the SHA-256 of its file, ``kinds`` which ranks it gives: unfiltered, filtered, or
    both.
    """

    source: str
    kinds: str

    engine: ClassVar[str] = "external"


Fittable = RunSpec | RecBoleSpec
Spec = Fittable | ExternalSpec

# Words on disk stay: what RecBole fitted was once no run.
_FACTS = {
    RunSpec.engine: "cell.json",
    RecBoleSpec.engine: "baseline.json",
    ExternalSpec.engine: "external.json",
}


@dataclass(frozen=True)
class Result:
    """What computing a run gives: facts for its JSON file, ranks of shape (N,), and weights.

    `owners` is that of `seqattn.data.splits.Split`.
    """

    facts: Mapping[str, Any]
    ranks: Mapping[str, np.ndarray]
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    owners: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder; `engine` is what fitted it."""

    folder: Path
    facts: Mapping[str, Any]
    engine: str = RunSpec.engine

    @property
    def spec(self) -> RunSpec | Any:
        """What it was computed from; another kind of spec if another program fitted it."""
        values = dict(self.facts["spec"])
        for kind in (RecBoleSpec, ExternalSpec):
            if self.engine == kind.engine:
                return kind(**values)
        values["model_config"] = strict(ModelConfig, values["model_config"])
        values["train_config"] = strict(TrainConfig, values["train_config"])
        return RunSpec(**values)

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.facts["spec"]["dataset"]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the data."""
        return self.facts["spec"]["fingerprint"]

    @property
    def model(self) -> str:
        """The model's name."""
        return self.facts["spec"]["model"]

    @property
    def seed(self) -> int:
        """The training seed; it means nothing to a model that draws no random number."""
        return self.facts["spec"]["seed"]

    def ranks(self, stage: str = "test", kind: str = "unfiltered") -> np.ndarray:
        """Return ranks, (N,) int32; `stage` valid or test, `kind` unfiltered or filtered.

        Raises
        ------
        SeqattnError
            If there are no such ranks.
        """
        with np.load(self.folder / "ranks.npz", allow_pickle=False) as stored:
            if f"{stage}_{kind}" not in stored:
                there = [name for name in stored if not name.endswith(_OWNERS)]
                raise SeqattnError(
                    f"{self.folder}: no ranks of stage {stage!r} and kind {kind!r}; "
                    f"choose one of {', '.join(there)}"
                )
            # Unsigned integers would wrap around when subtracted.
            return stored[f"{stage}_{kind}"].astype(np.int32)

    def owners(self, stage: str = "test") -> np.ndarray | None:
        """Return the number of each target's user, (N,) int64; None if each user has one target."""
        with np.load(self.folder / "ranks.npz", allow_pickle=False) as stored:
            name = f"{stage}{_OWNERS}"
            return stored[name].astype(np.int64) if name in stored else None

    def values(
        self, name: str, k: int, stage: str = "test", kind: str = "unfiltered"
    ) -> np.ndarray:
        """Return a metric for each user, (U,), see `seqattn.stats.metrics.metric`.

        Raises
        ------
        SeqattnError
            If there are no such ranks, or no such metric.
        """
        return metric(self.ranks(stage, kind), name, k, self.owners(stage))

    @property
    def has_weights(self) -> bool:
        """Whether it was kept with its model's weights."""
        return self.engine == RunSpec.engine and _WEIGHTS in self.facts["files"]

    def weights(self) -> dict[str, Tensor]:
        """Return the best weights, by parameter name.

        Raises
        ------
        SeqattnError
            If the run was copied without them, or RecBole fitted it.
        """
        if self.engine != RunSpec.engine:
            raise SeqattnError(f"{self.folder}: what other libraries fit is kept without weights")
        if not self.has_weights:
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
        make_folder(self.path)

    def folder(self, spec: Spec) -> Path:
        """Return where a run's folder is, or would be."""
        return self.path / spec.dataset / spec.model / f"seed-{spec.seed}-{spec.key}"

    def checkpoint(self, spec: Spec) -> Path:
        """Return where the state of a run under way is kept."""
        folder = self.folder(spec)
        return folder.with_name(f".{folder.name}.checkpoint")

    def get(self, spec: Spec) -> Run | None:
        """Return a finished, intact run, or None."""
        return self._own(self.folder(spec))

    def compute(self, spec: Spec, make: Callable[[], Result]) -> Run:
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
            run = self._own(folder)
            if run is None:
                result = make()
                with whole(folder) as partial:
                    _write(partial, spec, result)
                run = self._own(folder)
        assert run is not None
        return run

    def adopt(self, run: Run) -> Run:
        """Copy another store's run without its weights, and return the copy.

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
                if name != _WEIGHTS:
                    shutil.copyfile(run.folder / name, partial / name)
            write_record(partial, _FACTS[run.engine], run.facts)
        copy = _read(folder)
        assert copy is not None
        return copy

    def runs(self, dataset: str = "*", model: str = "*") -> Iterator[Run]:
        """Yield every intact run of every engine, sorted by folder name.

        A run that was copied or renamed to the place of another seed, model or dataset is none.

        Raises
        ------
        SeqattnError
            A folder may not be read: what it holds is not known, and it would seem empty.
        """
        yield from filter(None, map(self._own, self._folders(dataset, model)))

    def unusable(self, runs: Iterable[Run]) -> list[str]:
        """Return a line for each folder of a run that is not among `runs`, what `runs()` gave."""
        intact = {run.folder for run in runs}
        return [
            f"{folder}: damaged, not whole, or another run than its name says"
            for folder in self._folders()
            # One that was finished since then is intact.
            if folder not in intact and not self._own(folder)
        ]

    def _folders(self, dataset: str = "*", model: str = "*") -> list[Path]:
        """Return the folders of runs, intact or not, sorted by name."""
        datasets = [path for path in self.path.glob(dataset) if _NAME.fullmatch(path.name)]
        models = (path for folder in datasets for path in folder.glob(model))
        for folder in (self.path, *datasets, *models):
            # Searching for names passes over what may not be read without a word.
            if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
                raise SeqattnError(
                    f"the results folder {folder} may not be read; ask its owner for the "
                    "permission, or choose another results_dir"
                )
        return sorted(self.path.glob(f"{dataset}/{model}/seed-*"))

    def _own(self, folder: Path) -> Run | None:
        """Return the run of a folder if it is intact and this is the place of what it says."""
        run = _read(folder)
        try:
            return run if run and self.folder(run.spec) == folder else None
        except (SeqattnError, KeyError, TypeError, ValueError, AttributeError):
            return None  # what it rests on cannot be read: written by another version, or by hand


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
    partial, old = (folder.with_name(f".{folder.name}.{end}") for end in ("partial", "old"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        if old.exists() and not folder.exists():  # killed between the two moves below
            os.replace(old, folder)
        shutil.rmtree(old, ignore_errors=True)
        partial.mkdir()
        yield partial
        if folder.exists():  # moved before anything of it is gone: it may be in use
            os.replace(folder, old)
        os.replace(partial, folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)


def _unwritable(folder: Path, error: Exception) -> SeqattnError:
    """Return the error of a store that cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return SeqattnError(
        f"cannot write {folder}: {reason}; make room or choose another results folder. "
        "Finished runs are kept"
    )


def _write(folder: Path, spec: Spec, result: Result) -> None:
    owners = {f"{stage}{_OWNERS}": users for stage, users in result.owners.items()}
    small: dict[str, Any] = {
        kind: r.astype(np.min_scalar_type(int(r.max())))
        for kind, r in {**result.ranks, **owners}.items()
    }
    # By way of memory: on a full disk numpy's own file would complain once more.
    np.savez_compressed(ranks := io.BytesIO(), **small)
    (folder / "ranks.npz").write_bytes(ranks.getvalue())
    if result.weights:
        (folder / _WEIGHTS).write_bytes(packed(result.weights))
    facts = {"spec": record(spec), **result.facts}
    write_record(folder, _FACTS[spec.engine], facts)


def read_run(folder: Path) -> Run:
    """Return the run that a folder holds.

    Raises
    ------
    SeqattnError
        It holds none, a damaged one, or another than its name says.
    """
    folder = folder.resolve()
    if not (run := _read(folder)):
        raise SeqattnError(
            f"{folder}: no finished run, or a damaged one; name a folder as `seqattn fit` prints it"
        )
    try:
        name = f"seed-{run.seed}-{run.spec.key}"
    except (SeqattnError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SeqattnError(f"{folder} was written by another version, or by hand") from error
    if folder.name != name:
        raise SeqattnError(f"{folder} holds the run {name}; give the folder that name again")
    return run


def _read(folder: Path) -> Run | None:
    for engine, name in _FACTS.items():
        if facts := read_record(folder, name):
            return Run(folder, facts, engine)
    return None
