"""What is known of a dataset before reading it, as its YAML says.

``catalogue.yaml``, beside this module, lists the datasets of the book. A user's own log is
described by one YAML file, whose path stands wherever a dataset's name can stand::

    name: fashion
    path: fashion.csv.gz          # relative to this file; .csv, .tsv, .parquet or .inter
    columns: {user: user, item: item, intensity: rating, timestamp: time}   # or order: position
    intensity: {meaning: rating, unit: stars}                               # if it has one
    filters: {k_core: 5}
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import MISSING, asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from seqattn.config import strict
from seqattn.data.preparation import Preparation
from seqattn.errors import SeqattnError

__all__ = [
    "CATALOGUE",
    "Counts",
    "Entry",
    "Mirror",
    "OwnData",
    "is_yaml",
    "load_yaml",
    "read_catalogue",
    "read_yaml",
    "section",
]

T = TypeVar("T")
_TAKEN = ("searches", "datasets", "done")  # folders of a campaign, beside the datasets' own


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


@dataclass(frozen=True)
class OwnData:
    """A described log: its entry, the data file, and how to read it."""

    entry: Entry
    path: Path
    columns: Mapping[str, str]
    separator: str

    def in_its_words(self, message: str) -> str:
        """Return a message that names columns as the file does."""
        for theirs, ours in self.columns.items():
            if theirs != ours:
                message = message.replace(f"column {ours!r},", f"column {theirs!r} ({ours}),")
        return message


@dataclass(frozen=True, kw_only=True)
class EntryYaml:
    """Keys that describe any dataset; those without a default here must be given."""

    name: str
    title: str = ""
    intensity: dict = field(default_factory=dict)
    filters: dict = field(default_factory=dict)
    time_unit: str = "s"


@dataclass(frozen=True, kw_only=True)
class OwnYaml(EntryYaml):
    """Further keys of a user's own file."""

    path: str
    columns: dict
    separator: str = ""


@dataclass(frozen=True, kw_only=True)
class CatalogueYaml(EntryYaml):
    """Further keys of an entry in the catalogue, which mean what they do in :class:`Entry`."""

    licence: str
    citation: str = ""
    url: str = ""
    homepage: str = ""
    sha256: str = ""
    files: list = field(default_factory=list)
    format: str = ""
    chronological: bool = True
    raw: dict = field(default_factory=dict)
    core: dict = field(default_factory=dict)
    table2: dict = field(default_factory=dict)
    mirror: dict = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class ColumnsYaml:
    """The file's names of our columns; an empty name is a column the log does not have."""

    user: str
    item: str
    intensity: str = ""
    timestamp: str = ""
    order: str = ""


@dataclass(frozen=True)
class IntensityYaml:
    """What the intensity is, for captions and tables."""

    meaning: str
    unit: str


@dataclass(frozen=True)
class FiltersYaml:
    """Preparation, see :class:`seqattn.data.Preparation`; ``users`` draws that many at random."""

    k_core: int = 5
    iterative: bool = True
    users: int = 0


@dataclass(frozen=True)
class MirrorYaml:
    """Where the mirror's file differs, see :class:`Mirror`."""

    title: str = ""
    raw: dict = field(default_factory=dict)
    core: dict = field(default_factory=dict)
    intensity: bool = True


def is_yaml(name: str) -> bool:
    """Return whether a dataset's name is that of a YAML file."""
    return str(name).lower().endswith((".yaml", ".yml"))


def read_yaml(path: Path) -> OwnData:
    """Read and check the description of a user's own log; the data itself is not opened.

    Raises
    ------
    SeqattnError
        The file is absent or no YAML, or a key is unknown, missing or of the wrong type.
    """
    loaded = load_yaml(path)
    try:
        return _own_data(path, loaded)
    except SeqattnError as error:
        raise SeqattnError(f"{path}: {error}") from None


def read_catalogue(path: Path) -> dict[str, Entry]:
    """Read and check a list of entries, such as ``catalogue.yaml``; keys are their names.

    Raises
    ------
    SeqattnError
        The file is absent, no YAML or no list, a name stands twice, or a key of an entry is
        unknown, missing or of the wrong type.
    """
    loaded = load_yaml(path)
    if not isinstance(loaded, list):
        raise SeqattnError(f"{path}: the file must be a list of entries, not {loaded!r}")
    entries: dict[str, Entry] = {}
    for number, values in enumerate(loaded, 1):
        try:
            entry = _catalogue_entry(values, entries)
        except SeqattnError as error:
            name = values.get("name", number) if isinstance(values, Mapping) else number
            raise SeqattnError(f"{path}: entry {name}: {error}") from None
        entries[entry.name] = entry
    return entries


class _EachKeyOnce(yaml.SafeLoader):
    """Plain YAML, but a key given twice is an error; PyYAML takes the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping, or name the first key that comes a second time."""
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                told = f"key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(problem=told, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> Any:
    """Return what a YAML file holds; a key given twice is refused.

    Raises
    ------
    SeqattnError
        The file is absent or no YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except FileNotFoundError:
        raise SeqattnError(f"{path}: no such file; give the path of a dataset's YAML") from None
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise SeqattnError(f"{path}: cannot be read as YAML ({error})") from error


def _own_data(path: Path, loaded: object) -> OwnData:
    given = section(OwnYaml, loaded, "the file")
    columns = section(ColumnsYaml, given.columns, "columns")
    preparation = _preparation(given, CATALOGUE)
    if len(given.separator) > 1:
        raise SeqattnError(f"separator {given.separator!r} must be one character")
    _check_time_unit(given.time_unit)
    if not columns.timestamp and not columns.order:
        raise SeqattnError("columns name neither a timestamp nor an order; give one of them")
    if bool(columns.intensity) != bool(given.intensity):
        raise SeqattnError(
            "an intensity needs its column, columns: {intensity: ...}, and its description, "
            "intensity: {meaning: ..., unit: ...}; give both, or neither for a log without one"
        )
    entry = _entry(given, preparation, licence="your own data")
    mapping = {theirs: ours for ours, theirs in asdict(columns).items() if theirs}
    if len(mapping) < sum(map(bool, asdict(columns).values())):
        raise SeqattnError("one column of the file serves twice under `columns`")
    file = path.parent / given.path
    tab = not {".tsv", ".inter"}.isdisjoint(file.suffixes)
    return OwnData(entry, file, mapping, given.separator or ("\t" if tab else ","))


def _catalogue_entry(loaded: object, taken: Container[str]) -> Entry:
    given = section(CatalogueYaml, loaded, "the entry")
    preparation = _preparation(given, taken)
    _check_time_unit(given.time_unit)
    return _entry(
        given,
        preparation,
        licence=given.licence,
        citation=given.citation or None,
        url=given.url or None,
        homepage=given.homepage or None,
        sha256=given.sha256 or None,
        files=tuple(given.files),
        format=given.format or None,
        chronological=given.chronological,
        raw=_counts(given.raw, "raw"),
        core=_counts(given.core, "core"),
        table2=_counts(given.table2, "table2"),
        mirror=_mirror(given.mirror),
        note=given.note,
    )


def _entry(given: EntryYaml, preparation: Preparation, **more: Any) -> Entry:
    """Build an entry from the keys that both kinds of file have, and from `more` fields."""
    about = section(IntensityYaml, given.intensity, "intensity") if given.intensity else None
    return Entry(
        name=given.name,
        title=given.title or given.name,
        intensity=about.meaning if about else None,
        unit=about.unit if about else None,
        time_unit=given.time_unit,
        preparation=preparation,
        **more,
    )


def _preparation(given: EntryYaml, taken: Container[str]) -> Preparation:
    """Check name and filters; return how the log becomes histories."""
    filters = section(FiltersYaml, given.filters, "filters")
    _check_name(given.name, taken)
    if filters.k_core < 1 or filters.users < 0:
        raise SeqattnError(
            "filters: k_core must be at least 1, which keeps everything, and users at least 0"
        )
    return Preparation(filters.k_core, filters.iterative, filters.users or None)


def _counts(values: dict, name: str) -> Counts | None:
    return section(Counts, values, name) if values else None


def _mirror(values: dict) -> Mirror | None:
    if not values:
        return None
    given = section(MirrorYaml, values, "mirror")
    raw, core = _counts(given.raw, "mirror: raw"), _counts(given.core, "mirror: core")
    return Mirror(given.title or None, raw, core, given.intensity)


def section(cls: type[T], values: Any, name: str) -> T:
    """Build one section of a YAML file as a dataclass.

    Raises
    ------
    SeqattnError
        A key is unknown, missing or of the wrong type; the message names `name` and the key.
    """
    if not isinstance(values, Mapping):
        raise SeqattnError(f"{name} must be a mapping of keys to values, not {values!r}")
    try:
        return strict(cls, values)
    except TypeError:
        missing = [n for n, f in cls.__dataclass_fields__.items() if n not in values and _needed(f)]
        raise SeqattnError(f"{name}: key {missing[0]!r} is missing; add it") from None
    except SeqattnError as error:
        raise SeqattnError(f"{name}: {str(error).replace(cls.__name__ + ' ', '', 1)}") from None


def _needed(field_: Any) -> bool:
    return field_.default is MISSING and field_.default_factory is MISSING


def _check_name(name: str, taken: Container[str]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise SeqattnError(
            f"name {name!r} serves as a folder: use letters, digits, '-', '_' and '.' only"
        )
    if name in _TAKEN:
        raise SeqattnError(f"name {name!r} is a folder of every campaign's; choose another")
    if name in taken:
        raise SeqattnError(f"name {name!r} is one of the book's own datasets; choose another")


def _check_time_unit(unit: str) -> None:
    if unit not in ("s", "ms"):
        raise SeqattnError(f"time_unit {unit!r} is unknown; use s or ms")


CATALOGUE = read_catalogue(Path(__file__).with_name("catalogue.yaml"))
