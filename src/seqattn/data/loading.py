"""From a dataset's name to its log and its prepared histories."""

from __future__ import annotations

from dataclasses import replace

from seqattn.data.catalogue import CATALOGUE
from seqattn.data.dataset import Dataset
from seqattn.data.entry import Entry
from seqattn.data.interactions import Interactions
from seqattn.data.readers import READERS, Table, read_mirror
from seqattn.data.readers.atomic import read_inter
from seqattn.data.sources import find
from seqattn.data.synthetic import synthetic_log
from seqattn.errors import SeqattnError

__all__ = ["load_dataset", "load_log"]


def load_log(name: str, /) -> Interactions:
    """Read a dataset's log, incomplete rows dropped as a counted step, and nothing else done.

    Parameters
    ----------
    name : str
        Name in the catalogue.

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
        Name in the catalogue, such as "ml-100k" or "synthetic".

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
    entry, log = _open(name)
    return Dataset.from_interactions(log, entry)


def _open(name: str) -> tuple[Entry, Interactions]:
    """Return a dataset's log, and its entry as it applies to the files found."""
    if name not in CATALOGUE:
        raise SeqattnError(f"dataset {name!r} is unknown; choose one of {', '.join(CATALOGUE)}")
    entry = CATALOGUE[name]
    if name == "synthetic":
        return entry, synthetic_log()
    source = find(entry)
    if source is None:
        raise SeqattnError(f"{name}: not found; set SEQATTN_DATA")
    if source.kind == "mirror":
        entry, table = _mirrored(entry), read_mirror(source.paths[0])
    elif source.kind == "recbole":
        table = read_inter(source.paths[0])
    else:
        table = READERS[entry.format](source.paths)
    return _validated(entry, table)


def _mirrored(entry: Entry) -> Entry:
    """Return an entry as it applies to the mirror's file."""
    if entry.mirror is None:
        return entry
    other = {name: value for name, value in vars(entry.mirror).items() if value is not None}
    return replace(entry, **other)


def _validated(entry: Entry, table: Table) -> tuple[Entry, Interactions]:
    frame = table.frame
    if entry.intensity is None and "intensity" in frame.columns:
        frame = frame.drop(columns="intensity")
    log = Interactions.from_frame(
        frame,
        source=table.source,
        drop_incomplete=True,
        chronological=entry.chronological,
        time_unit=entry.time_unit,
    )
    if not log.has_intensity:
        entry = replace(entry, intensity=None, unit=None)
    return entry, log
