"""What is known of a dataset before reading it, as YAML says.

``catalogue.yaml``, beside this module, lists the datasets of the book; a user's own log is
described by a file of its own, see `seqattn.data.own`, with the same keys where they fit.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from seqattn.data.columns import PARTS
from seqattn.data.preparation import Preparation
from seqattn.data.splits import Splitting
from seqattn.data.times import TIME_UNITS
from seqattn.data.yaml_files import load_yaml, section
from seqattn.errors import SeqattnError

_TAKEN = ("searches", "datasets", "done")  # folders of a campaign, beside the datasets' own


@dataclass(frozen=True)
class Counts:
    """Size of a log."""

    interactions: int
    users: int
    items: int


@dataclass(frozen=True)
class Mirror:
    """What differs in the mirror's ``<name>.csv.gz`` from the official file; None: nothing.

    `title` is the name used in prose for data of this file, `raw` and `core` are its sizes, and
    `intensity` says whether it has one.
    """

    title: str | None = None
    raw: Counts | None = None
    core: Counts | None = None
    intensity: bool = True


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Keys of the catalogue that an :class:`Entry` holds unchanged.

    The head of ``catalogue.yaml`` explains them.
    """

    licence: str
    citation: str | None = None
    url: str | None = None
    homepage: str | None = None
    sha256: str | None = None
    format: str | None = None
    chronological: bool = True
    raw: Counts | None = None
    core: Counts | None = None
    table2: Counts | None = None
    mirror: Mirror | None = None
    note: str = ""


@dataclass(frozen=True)
class Entry(Facts):
    """What is known of a dataset before reading it: :class:`Facts`, and how it is read.

    Attributes
    ----------
    name, title : str
        Key for :func:`seqattn.load_dataset`, and the name used in prose.
    intensity, unit : str or None
        Meaning and unit of the intensity; None where the log has none.
    files : tuple of str
        Official files the reader takes, with their folder inside the archive.
    time_unit : str
        Of numbers in the timestamp column: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``.
    preparation : Preparation
        How it becomes histories.
    splitting : Splitting
        How histories are split.
    of : str
        The dataset of the catalogue whose files it takes; empty: it has its own.
    """

    name: str
    title: str
    intensity: str | None
    unit: str | None
    files: tuple[str, ...] = ()
    time_unit: str = "s"
    preparation: Preparation = field(default_factory=Preparation)
    splitting: Splitting = field(default_factory=Splitting)
    of: str = ""

    def mirrored(self) -> Entry:
        """Return the entry as it applies to the mirror's file."""
        other = self.mirror or Mirror()
        return replace(
            self if other.intensity else self.without_intensity(),
            title=other.title or self.title,
            raw=other.raw or self.raw,
            core=other.core or self.core,
        )

    def without_intensity(self) -> Entry:
        """Return the entry as it applies to a file that has no intensity."""
        return replace(self, intensity=None, unit=None)


@dataclass(frozen=True)
class IntensityYaml:
    """What the intensity is, for captions and tables."""

    meaning: str
    unit: str


@dataclass(frozen=True)
class FiltersYaml:
    """Preparation, see :class:`seqattn.data.Preparation`; ``users`` draws that many at random.

    What is None is as in the dataset that another form is of, or as usual.
    """

    k_core: int | None = None
    iterative: bool | None = None
    users: int | None = None
    history: int | None = None


@dataclass(frozen=True)
class DuplicatesYaml:
    """Policies, see `seqattn.data.repeats`; a single word stands for both."""

    exact: str = "latest"
    pairs: str = "latest"


@dataclass(frozen=True, kw_only=True)
class SplitYaml:
    """Where to cut, see `seqattn.data.splits.Splitting`, or what was given.

    A given split is a ``column`` of the file, or three files. ``validation`` may be left out.
    """

    instead = "; leave `split` out for leave-one-out, or write split: {time: quantile 0.9}"

    time: str | int | float = ""  # a number is none, and told so in words
    target: str = ""
    validation: str = ""
    column: str = ""
    train: str = ""
    valid: str = ""
    test: str = ""

    def __post_init__(self) -> None:
        """Refuse a share alone, and a year."""
        if not isinstance(self.time, str):
            share = self.time if 0 < self.time < 1 else 0.9
            raise SeqattnError(
                f"time {self.time} is a number; write quantile {share}, or a date like 2018-01-31"
            )

    @property
    def files(self) -> dict[str, str]:
        """The files of a given split, by part."""
        return {part: path for part in PARTS if (path := getattr(self, part))}

    def splitting(self) -> Splitting:
        """Return what is chosen.

        Raises
        ------
        SeqattnError
            Nothing is, more than one kind of split is, or a word is unknown.
        """
        kinds = [bool(self.time), bool(self.column), bool(self.files)]
        if sum(kinds) != 1:
            raise SeqattnError(
                "split: give time: ..., or column: ..., or the files train, valid and test; "
                "without `split` it is leave-one-out"
            )
        if self.files and not {"train", "test"} <= set(self.files):
            raise SeqattnError("split: a split in files needs at least train and test; name both")
        if self.target and not self.time:
            raise SeqattnError("split: target belongs to a split in time; leave it out")
        if self.validation not in ("", "last") and not self.time:
            raise SeqattnError(
                f"split: validation {self.validation!r} belongs to a split in time; leave it out, "
                "or write last for each user's last training interaction"
            )
        chosen = {"time": str(self.time), "target": self.target, "validation": self.validation}
        return Splitting(**{k: v for k, v in chosen.items() if v}, given=not self.time)


@dataclass(frozen=True, kw_only=True)
class FormYaml:
    """Keys that say how a log becomes histories, and what these are called."""

    name: str
    title: str = ""
    filters: FiltersYaml | None = None
    split: SplitYaml | None = None
    duplicates: DuplicatesYaml | str | None = None
    ties: str = ""


@dataclass(frozen=True, kw_only=True)
class EntryYaml(FormYaml):
    """Keys that describe any dataset; those without a default here must be given."""

    intensity: IntensityYaml | None = None
    time_unit: str = "s"


@dataclass(frozen=True, kw_only=True)
class OtherYaml(FormYaml):
    """Keys of a dataset of the catalogue in another form; what is left out stays."""

    of: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class CatalogueYaml(EntryYaml, Facts):
    """Keys of an entry in the catalogue."""

    files: list = field(default_factory=list)


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
            if isinstance(values, Mapping) and "of" in values:
                other = another_form(section(OtherYaml, values, "the entry"), entries)
                entries[other.name] = other
                continue
            given = section(CatalogueYaml, values, "the entry")
            facts = {each.name: getattr(given, each.name) for each in fields(Facts)}
            entries[given.name] = entry_of(given, entries, files=tuple(given.files), **facts)
        except SeqattnError as error:
            name = values.get("name", number) if isinstance(values, Mapping) else number
            raise SeqattnError(f"{path}: entry {name}: {error}") from None
    return entries


def another_form(given: OtherYaml, known: Mapping[str, Entry]) -> Entry:
    """Return a dataset of the catalogue in another form: other filters, or another split."""
    if given.of not in known or known[given.of].of:
        raise SeqattnError(f"of: {given.of!r} is no dataset of the catalogue with files of its own")
    base = known[given.of]
    _require_name(given.name, known)
    if given.split and not given.split.time:
        raise SeqattnError("split: only a split in time fits a dataset of the catalogue")
    splitting = given.split.splitting() if given.split else Splitting()
    preparation = _preparation(given, base.preparation)
    if preparation.counts:
        raise SeqattnError("duplicates: count makes another intensity; describe a log by `path`")
    return replace(
        base,
        name=given.name,
        of=given.of,
        title=given.title or f"{base.title}, {splitting.words}",
        splitting=splitting,
        preparation=preparation,
        note=given.note or base.note,
        core=None,
        table2=None,
        mirror=replace(base.mirror, title=None, core=None) if base.mirror else None,
    )


def entry_of(given: EntryYaml, taken: Container[str], **more: Any) -> Entry:
    """Check the keys that both kinds of file have; return an entry of them and `more` fields."""
    name, about = given.name, given.intensity
    _require_name(name, taken)
    if given.time_unit not in TIME_UNITS:
        raise SeqattnError(f"time_unit {given.time_unit!r} is unknown; use s, ms, us or ns")
    splitting = given.split.splitting() if given.split else Splitting()
    # A given split is taken as it is, unless the YAML says otherwise.
    default = Preparation(1, exact="keep", pairs="keep") if splitting.given else Preparation()
    return Entry(
        name=name,
        title=given.title or name,
        intensity=about.meaning if about else None,
        unit=about.unit if about else None,
        time_unit=given.time_unit,
        preparation=_preparation(given, default),
        splitting=splitting,
        **more,
    )


def _preparation(given: FormYaml, default: Preparation) -> Preparation:
    """Return the default with what is given."""
    filters, both = given.filters, given.duplicates
    if filters:
        told = {name: value for name, value in vars(filters).items() if value is not None}
        usual = default if isinstance(given, OtherYaml) else Preparation()
        default = replace(
            default,
            core=told.get("k_core", usual.core),
            iterative=told.get("iterative", usual.iterative),
            subsample=told.get("users", usual.subsample) or None,
            history=told.get("history", usual.history),
        )
    if both is not None:
        both = DuplicatesYaml(both, both) if isinstance(both, str) else both
        default = replace(default, exact=both.exact, pairs=both.pairs)
    return replace(default, ties=given.ties) if given.ties else default


def _require_name(name: str, taken: Container[str]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise SeqattnError(
            f"name {name!r} serves as a folder: use letters, digits, '-', '_' and '.' only"
        )
    if name in _TAKEN or name.endswith(".sqlite3"):
        raise SeqattnError(
            f"name {name!r} is a folder or a database of every campaign's; choose another"
        )
    if name in taken:
        raise SeqattnError(f"name {name!r} is one of the book's own datasets; choose another")


CATALOGUE = read_catalogue(Path(__file__).with_name("catalogue.yaml"))


def log_of(name: str) -> str:
    """Return the catalogue's name of the log that a dataset is a part of, or its own name."""
    entry = CATALOGUE.get(name)
    return entry.of if entry and entry.of else name
