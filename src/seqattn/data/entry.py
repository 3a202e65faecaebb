"""What is known of a dataset before reading it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from seqattn.data.preparation import Preparation

__all__ = ["Counts", "Entry", "Mirror"]


@dataclass(frozen=True)
class Counts:
    """Size of a log."""

    interactions: int
    users: int
    items: int


@dataclass(frozen=True)
class Mirror:
    """What differs in the mirror's ``<name>.csv.gz`` from the official file.

    Attributes
    ----------
    title : str or None
        Name used in prose for data of this file; None if that of the entry.
    raw, core : Counts or None
        Expected sizes; None if those of the entry.
    intensity : bool
        Whether the file has one.
    """

    title: str | None = None
    raw: Counts | None = None
    core: Counts | None = None
    intensity: bool = True


@dataclass(frozen=True)
class Entry:
    """What is known of a dataset before reading it.

    Attributes
    ----------
    name, title : str
        Key for :func:`seqattn.load_dataset`, and the name used in prose.
    intensity, unit : str or None
        Meaning and unit of the intensity; None where the log has none.
    licence : str
        Terms of use.
    citation : str or None
        Key in the book's ``references.bib``.
    url : str or None
        Official archive or file; None for generated data and where there is no direct link.
    homepage : str or None
        Page that leads to the data, where there is no direct link.
    sha256 : str or None
        Its published checksum. Where none is published, the one of the first download is kept.
    raw, core : Counts or None
        Expected size as read, and after preparation; None where not pinned.
    format : str or None
        Key of the official files' reader in ``seqattn.data.readers.READERS``; None if there is
        no official file to read.
    files : tuple of str
        Official files the reader takes, with their folder inside the archive.
    time_unit : str
        ``"s"`` or ``"ms"``, of numbers in the timestamp column.
    chronological : bool
        Whether the log has a time or an order; without, it serves for diagnostics only.
    preparation : Preparation
        How it becomes histories.
    table2 : Counts or None
        Size published in [IA] Table 2, where it lists the dataset.
    mirror : Mirror or None
        What differs in the mirror's file.
    note : str
        What a reader must know before comparing it with a published dataset.
    """

    name: str
    title: str
    intensity: str | None
    unit: str | None
    licence: str
    citation: str | None = None
    url: str | None = None
    sha256: str | None = None
    raw: Counts | None = None
    core: Counts | None = None
    homepage: str | None = None
    format: str | None = None
    files: tuple[str, ...] = ()
    time_unit: str = "s"
    chronological: bool = True
    preparation: Preparation = field(default_factory=Preparation)
    table2: Counts | None = None
    mirror: Mirror | None = None
    note: str = ""

    def mirrored(self) -> Entry:
        """Return the entry as it applies to the mirror's file."""
        other = self.mirror or Mirror()
        return replace(
            self,
            title=other.title or self.title,
            raw=other.raw or self.raw,
            core=other.core or self.core,
            intensity=self.intensity if other.intensity else None,
            unit=self.unit if other.intensity else None,
        )
