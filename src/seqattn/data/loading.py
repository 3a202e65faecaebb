"""From a dataset's name to its log and its prepared histories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seqattn.data.catalogue import CATALOGUE
from seqattn.data.dataset import Dataset
from seqattn.data.entry import Entry
from seqattn.data.interactions import Interactions
from seqattn.data.own import is_yaml, read_own, read_yaml
from seqattn.data.readers import READERS, Table, read_inter, read_mirror
from seqattn.data.sources import locate
from seqattn.data.synthetic import synthetic_log
from seqattn.errors import SeqattnError

__all__ = ["find_entry", "load_dataset", "load_log"]


def find_entry(name: str, /) -> Entry:
    """Return what is known of a dataset without reading its data.

    Parameters
    ----------
    name : str
        Name in the catalogue, or the path of one's own YAML file.

    Raises
    ------
    SeqattnError
        The name is unknown, or the YAML file cannot be used.
    """
    if is_yaml(name):
        return read_yaml(Path(name)).entry
    if name not in CATALOGUE:
        raise SeqattnError(
            f"dataset {name!r} is unknown; choose one of {', '.join(CATALOGUE)}, or give the path "
            "of a YAML file that describes your own log"
        )
    return CATALOGUE[name]


def load_log(name: str, /) -> Interactions:
    """Read a dataset's log, incomplete rows dropped as a counted step, and nothing else done.

    Parameters
    ----------
    name : str
        Name in the catalogue, or the path of one's own YAML file.

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
    entry, log = _open(name)
    reference = str(Path(name).resolve()) if is_yaml(name) else name
    return Dataset.from_interactions(log, entry, reference)


def _open(name: str) -> tuple[Entry, Interactions]:
    """Return a dataset's log, and its entry as it applies to the file found."""
    entry = find_entry(name)
    if name == "synthetic":
        return entry, synthetic_log()
    if is_yaml(name):
        own = read_yaml(Path(name))
        try:
            return _validated(entry, read_own(own))
        except SeqattnError as error:
            raise SeqattnError(own.in_its_words(str(error))) from error
    source = locate(entry)
    if source.kind == "mirror":
        return _validated(entry.mirrored(), read_mirror(source.paths[0]))
    if source.kind == "inter":
        return _validated(entry, read_inter(source.paths[0]))
    return _validated(entry, READERS[entry.format](source.paths))


def _validated(entry: Entry, table: Table) -> tuple[Entry, Interactions]:
    log = Interactions.from_frame(
        table.frame,
        source=table.source,
        drop_incomplete=True,
        chronological=entry.chronological,
        time_unit=entry.time_unit,
        malformed=table.malformed,
    )
    return (entry if log.has_intensity else replace(entry, intensity=None, unit=None)), log
