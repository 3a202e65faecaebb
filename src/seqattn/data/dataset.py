"""A dataset ready for models: prepared, split and fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from seqattn.data.columns import of_files
from seqattn.data.entry import CATALOGUE, Counts, Entry
from seqattn.data.interactions import Interactions, Step, require_chronology
from seqattn.data.own import OwnData, is_yaml, read_yaml
from seqattn.data.preparation import prepare
from seqattn.data.readers import (
    READERS,
    Table,
    read_inter,
    read_mirror,
)
from seqattn.data.readers.own import read_own
from seqattn.data.sequences import Sequences
from seqattn.data.sources import GENERATED, opened, with_files
from seqattn.data.splits import Split, split, with_times
from seqattn.errors import SeqattnError, about
from seqattn.files import require_file


class Described(Protocol):
    """What settings depend on of a dataset; a record of it will do where its rows are not read."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def reference(self) -> str: ...  # noqa: D102
    @property
    def n_targets(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, repr=False)
class Dataset:
    """A prepared dataset with its split.

    Attributes
    ----------
    name, entry : str, Entry
        Its key, and its description in the catalogue.
    sequences : Sequences
        Full histories after preparation.
    split : Split
        Parts of the histories: what is trained on and what is asked, by default leave-one-out.
    steps : tuple of Step
        Counts after reading and after each preparation step.
    fingerprint : str
        SHA-256 of the prepared data and of the options that made it, see :func:`fingerprint`.
    source : str
        The file it was read from.
    reference : str
        What :func:`seqattn.load_dataset` takes to load it again, in another process too.
    """

    name: str
    entry: Entry
    sequences: Sequences
    split: Split
    steps: tuple[Step, ...]
    fingerprint: str
    source: str = ""
    reference: str = ""

    def __repr__(self) -> str:
        """Return name and size: a log has no place at the end of a notebook's cell."""
        rows = len(self.sequences)
        return (
            f"<Dataset {self.name}: {self.n_users:,} users, {self.n_items:,} items, "
            f"{rows:,} interactions>"
        )

    def with_histories(self, histories: Sequences) -> Dataset:
        """Return the dataset with other histories of the same shape, cut into the same parts."""
        return replace(self, sequences=histories, split=Split.of(histories, self.split.parts))

    @classmethod
    def from_interactions(
        cls, log: Interactions, entry: Entry, reference: str | None = None
    ) -> Dataset:
        """Prepare, split and fingerprint a log; `reference` is the entry's name if not given.

        Raises
        ------
        SeqattnError
            The log has no chronology, its size is not the one its catalogue entry expects, no
            user is left, or the histories do not allow the split.
        """
        require_chronology(log)
        _check_counts(log.source, entry.raw, log.steps[0])
        prepared = prepare_as(log, entry)
        _check_counts(log.source, entry.core, prepared.steps[-1])
        sequences = Sequences.from_interactions(prepared)
        options = entry.preparation.options()
        options |= {"split": entry.splitting.options()}
        parts = prepared.frame["part"].to_numpy() if entry.splitting.given else None
        with about(log.source):
            found = split(sequences, entry.splitting, parts)
        return cls(
            name=entry.name,
            entry=entry,
            sequences=sequences,
            split=found,
            steps=prepared.steps,
            fingerprint=fingerprint(sequences, options, parts),
            source=log.source,
            reference=reference or entry.name,
        )

    @property
    def n_targets(self) -> int:
        """Number of next items that training histories hold."""
        return int(np.maximum(self.split.train.lengths - 1, 0).sum())

    @property
    def n_users(self) -> int:
        """Number of users after preparation."""
        return self.sequences.n_users

    @property
    def n_items(self) -> int:
        """Number of items after preparation, padding not counted."""
        return self.sequences.n_items

    @property
    def has_intensity(self) -> bool:
        """Whether interactions carry an intensity."""
        return self.sequences.intensity is not None

    def steps_table(self) -> pd.DataFrame:
        """Return a row per preparation step: name, interactions, users, items."""
        table = pd.DataFrame([asdict(step) for step in self.steps])
        return table.rename(columns={"name": "step"})

    def description(self) -> pd.DataFrame:
        """Return what its entry says about it in words: a row per fact, one column.

        The rows are the intensity and, where there is one, the size that [IA] Table 2 gives and
        what sets the log apart from published ones.
        """
        facts = {"intensity": "none: only models that read no intensity can be fitted"}
        if self.has_intensity:
            facts["intensity"] = f"{self.entry.intensity} ({self.entry.unit})"
        if size := self.entry.table2:
            facts["size in the paper's Table 2"] = (
                f"{size.interactions:,} interactions, {size.users:,} users, {size.items:,} items"
            )
        if self.entry.note:
            facts["note"] = self.entry.note
        return pd.DataFrame({self.entry.title: facts})


def prepare_as(log: Interactions, entry: Entry) -> Interactions:
    """Prepare a log as its entry says; for a split in time it is ordered by time first.

    Raises
    ------
    SeqattnError
        As `prepare` and `with_times` do.
    """
    return prepare(with_times(log) if entry.splitting.time else log, entry.preparation)


def fingerprint(
    sequences: Sequences, options: Mapping[str, object], parts: np.ndarray | None = None
) -> str:
    """Return the SHA-256, in hex, of prepared histories and of the options that made them.

    Every array enters with its name, dtype, shape and little-endian bytes, original ids included,
    so equal data gives an equal value on every platform. The split is a function of the
    histories and enters through the options; a given one, `parts` of (n,), is none and enters
    itself.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for name in ("items", "intensity", "timestamp", "offsets", "user_ids", "item_ids"):
        array = getattr(sequences, name)
        if array is None:
            digest.update(f"\n{name} none\n".encode())
            continue
        if name == "timestamp":
            array = np.where(np.isnan(array), np.nan, array)  # one bit pattern for NaN
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    if parts is not None:
        digest.update(b"\nparts\n" + parts.astype(np.int8).tobytes())
    return digest.hexdigest()


def _check_counts(source: str, expected: Counts | None, step: Step) -> None:
    found = Counts(step.interactions, step.users, step.items)
    if expected is not None and found != expected:
        raise SeqattnError(
            f"{source}: {_phrase(found)} after step {step.name!r}, where the catalogue expects "
            f"{_phrase(expected)}; the file is incomplete or altered: get it again"
        )


def _phrase(counts: Counts) -> str:
    return f"{counts.interactions} interactions / {counts.users} users / {counts.items} items"


def find_entry(name: str, /) -> Entry:
    """Return what is known of a dataset, as for :func:`load_dataset`, without reading its data.

    Raises
    ------
    SeqattnError
        The name is unknown, or the YAML file cannot be used.
    """
    if is_yaml(name):
        return read_yaml(Path(name)).entry
    if name not in CATALOGUE:
        if Path(name).is_file():
            raise SeqattnError(
                f"{name} says nothing of its columns; describe it in a YAML file, and give the "
                'path of that (page "Your own data")'
            )
        raise SeqattnError(
            f"dataset {name!r} is unknown; choose one of {', '.join(CATALOGUE)}, or give the path "
            "of a YAML file that describes your own log"
        )
    return CATALOGUE[name]


def load_log(name: str, /) -> Interactions:
    """Read the log of a dataset, named as for :func:`load_dataset`, and do nothing else.

    Incomplete rows are dropped, as a counted step.

    Raises
    ------
    SeqattnError
        The name is unknown, or the data is absent or damaged.
    """
    return _open(name)[1]


def load_dataset(name: str, /) -> Dataset:
    """Read, prepare and split a dataset.

    Parameters
    ----------
    name : str
        Name in the catalogue, such as "ml-100k" or "synthetic", or the path of one's own YAML
        file.

    Raises
    ------
    SeqattnError
        The name is unknown, the data is absent, damaged or incomplete, or it has no chronology
        and serves for diagnostics only.

    Examples
    --------
    >>> dataset = load_dataset("synthetic")
    >>> dataset.n_users, dataset.has_intensity
    (60, True)
    """
    return _prepared(name, *_open(name))


def load_both(name: str, /) -> tuple[Interactions, Dataset | None]:
    """Read a log once; return it and the dataset it becomes, None where it has no chronology.

    Raises
    ------
    SeqattnError
        As :func:`load_dataset` does, but for a missing chronology.
    """
    entry, log = _open(name)
    return log, None if log.when is None else _prepared(name, entry, log)


def _prepared(name: str, entry: Entry, log: Interactions) -> Dataset:
    reference = str(Path(name).resolve()) if is_yaml(name) else name
    return Dataset.from_interactions(log, entry, reference)


def _open(name: str) -> tuple[Entry, Interactions]:
    """Return a dataset's log, and its entry as it applies to the file found."""
    if is_yaml(name):
        return _open_own(Path(name))
    return _open_entry(find_entry(name))


def _open_entry(entry: Entry) -> tuple[Entry, Interactions]:
    """Read the files of an entry of the catalogue, or of the one that it is another form of."""
    files = with_files(entry)
    if files.name in GENERATED:
        return entry, GENERATED[files.name]()
    with opened(files) as source:
        if source.kind == "mirror":
            return _validated(entry.mirrored(), read_mirror(source.paths[0]))
        if source.kind == "inter":
            return _validated(entry, read_inter(source.paths[0]))
        return _validated(entry, READERS[str(entry.format)](source.paths))


def _open_own(description: Path) -> tuple[Entry, Interactions]:
    """Read the log that a user's own YAML describes; errors name columns as the file does."""
    own = read_yaml(description)
    if own.entry.of:
        return _open_entry(own.entry)
    try:
        tables = [_read_own(own, path, part) for part, path in own.paths.items()]
        files, frames = [t.source for t in tables], [t.frame for t in tables]
        frame = of_files(frames, files) if len(files) > 1 else frames[0]
        if own.by_line:
            frame = frame.assign(order=range(len(frame)))
        source = ", ".join(files)
        return _validated(own.entry, Table(frame, source, sum(t.malformed for t in tables)))
    except SeqattnError as error:
        raise SeqattnError(own.in_its_words(str(error))) from error


def _read_own(own: OwnData, path: Path, part: str) -> Table:
    require_file(path, "paths in the YAML are relative to the YAML's own folder")
    table = read_own(own, path)
    return replace(table, frame=table.frame.assign(part=part)) if part else table


def _validated(entry: Entry, table: Table) -> tuple[Entry, Interactions]:
    log = Interactions.from_frame(
        table.frame,
        source=table.source,
        drop_incomplete=True,
        chronological=entry.chronological,
        time_unit=entry.time_unit,
        malformed=table.malformed,
    )
    if log.when is None:  # any other is counted where it is prepared
        _check_counts(log.source, entry.raw, log.steps[0])
    known = log.has_intensity or entry.preparation.counts
    return (entry if known else entry.without_intensity()), log
