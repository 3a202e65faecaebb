"""What is known of a dataset before reading it, as its YAML says.

``catalogue.yaml``, beside this module, lists the datasets of the book. A user's own log is
described by one YAML file, whose path stands wherever a dataset's name can stand::

    name: fashion
    path: fashion.csv.gz          # relative to this file; .csv, .tsv, .parquet or .inter
    columns: {user: user, item: item, intensity: rating, timestamp: time}   # or order: position
    intensity: {meaning: rating, unit: stars}                               # if it has one
    filters: {k_core: 5}
    duplicates: sum               # what becomes of repeated user-item pairs
    split: {time: quantile 0.9}   # leave-one-out if left out

A dataset of the catalogue takes other filters or another split by ``of`` in the place of ``path``
and what describes a file::

    name: fashion-in-time
    of: amazon-office
    split: {time: 2014-01-01, target: all}
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import yaml

from seqattn.config import strict
from seqattn.data.interactions import COLUMNS, TIME_UNITS
from seqattn.data.preparation import Preparation
from seqattn.data.repeats import OF_INTENSITY, POLICIES
from seqattn.data.splits import PARTS, Splitting
from seqattn.errors import SeqattnError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
_LARGEST_YAML = 2**20  # bytes
_MOST_REFERENCES = 20
_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " "}
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

    Attributes
    ----------
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
    format : str or None
        Key of the official files' reader in ``seqattn.data.readers.READERS``; None if there is
        no official file to read.
    chronological : bool
        Whether the log has a time or an order; without, it serves for diagnostics only.
    raw, core : Counts or None
        Expected size as read, and after preparation; None where not pinned.
    table2 : Counts or None
        Size published in [IA] Table 2, where it lists the dataset.
    mirror : Mirror or None
        What differs in the mirror's file.
    note : str
        What a reader must know before comparing it with a published dataset.
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
class OwnData:
    """A described log: its entry, its data files, and how to read them.

    There is one file, or one for each part of a given split, by its name. There is none for a
    dataset of the catalogue in another form. `columns` are the files' names of ours, `names` those
    of all columns where there is no header, and `missing` what stands for an unknown value, None
    where the YAML does not say.
    """

    entry: Entry
    paths: Mapping[str, Path]
    columns: Mapping[str, str]
    separator: str
    names: tuple[str, ...] = ()
    by_line: bool = False
    missing: tuple[str, ...] | None = None
    decimal: str = "."

    def in_its_words(self, message: str) -> str:
        """Return a message that names columns as the file does."""
        for theirs, ours in self.columns.items():
            if theirs != ours:
                message = message.replace(f"column {ours!r},", f"column {theirs!r} ({ours}),")
        return message


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
class DuplicatesYaml:
    """Policies, see `seqattn.data.repeats`; a single word stands for both."""

    exact: str = "latest"
    pairs: str = "latest"


@dataclass(frozen=True, kw_only=True)
class SplitYaml:
    """Where to cut, see `seqattn.data.splits.Splitting`, or what was given.

    A given split is a ``column`` of the file, or three files. ``validation`` may be left out.
    """

    time: str = ""
    target: str = ""
    validation: str = ""
    column: str = ""
    train: str = ""
    valid: str = ""
    test: str = ""

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
        chosen = {"time": self.time, "target": self.target, "validation": self.validation}
        return Splitting(**{k: v for k, v in chosen.items() if v}, given=not self.time)


@dataclass(frozen=True, kw_only=True)
class EntryYaml:
    """Keys that describe any dataset; those without a default here must be given."""

    name: str
    title: str = ""
    intensity: IntensityYaml | None = None
    filters: FiltersYaml | None = None
    split: SplitYaml | None = None
    time_unit: str = "s"
    duplicates: DuplicatesYaml | str | None = None
    ties: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnYaml(EntryYaml):
    """Further keys of a user's own file; without a header `columns` lists ours in file order."""

    path: str = ""
    columns: ColumnsYaml | list
    header: bool = True
    order: str = ""
    separator: str = ""
    decimal: str = "."
    missing: list | None = None


@dataclass(frozen=True, kw_only=True)
class OtherYaml:
    """Keys of a dataset of the catalogue in another form; what is left out stays."""

    name: str
    of: str
    title: str = ""
    filters: FiltersYaml | None = None
    split: SplitYaml | None = None
    duplicates: DuplicatesYaml | str | None = None
    ties: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class CatalogueYaml(EntryYaml, Facts):
    """Keys of an entry in the catalogue."""

    files: list = field(default_factory=list)


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
            if isinstance(values, Mapping) and "of" in values:
                other = _other(section(OtherYaml, values, "the entry"), entries)
                entries[other.name] = other
                continue
            given = section(CatalogueYaml, values, "the entry")
            facts = {each.name: getattr(given, each.name) for each in fields(Facts)}
            entries[given.name] = _entry(given, entries, files=tuple(given.files), **facts)
        except SeqattnError as error:
            name = values.get("name", number) if isinstance(values, Mapping) else number
            raise SeqattnError(f"{path}: entry {name}: {error}") from None
    return entries


class _EachKeyOnce(yaml.SafeLoader):
    """Plain YAML, but dates are text, and a key given twice is an error; PyYAML takes the last.

    Only some references to other parts (``*name``) are read: many of them, each to a part that has
    others, stand for gigabytes.
    """

    references = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next part of the file, or refuse it if it is one reference too many."""
        self.references += self.check_event(yaml.AliasEvent)
        if self.references > _MOST_REFERENCES:
            told = "too many references such as *name; write the values out"
            raise yaml.composer.ComposerError(
                problem=told, problem_mark=self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping, or name the first key that comes a second time."""
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                told = f"key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(problem=told, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


yaml.add_constructor(
    "tag:yaml.org,2002:timestamp", lambda loader, node: node.value, Loader=_EachKeyOnce
)


def load_yaml(path: Path) -> Any:
    """Return what a YAML file holds; a key given twice is refused.

    Raises
    ------
    SeqattnError
        The file is absent, too large or no YAML.
    """
    if not path.is_file():  # a pipe would be waited for
        raise SeqattnError(f"{path}: no such file; give the path of a dataset's YAML")
    try:
        if path.stat().st_size > _LARGEST_YAML:
            raise SeqattnError(f"{path}: over a megabyte, so no description of a dataset")
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except RecursionError:
        raise SeqattnError(f"{path}: nested too deeply to be a description") from None
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise SeqattnError(f"{path}: cannot be read as YAML ({told})") from error


def _own_data(path: Path, loaded: object) -> OwnData:
    if isinstance(loaded, Mapping) and "of" in loaded:
        other = _other(section(OtherYaml, loaded, "the file"), CATALOGUE)
        return OwnData(other, {}, {}, "")
    given = section(OwnYaml, loaded, "the file")
    entry = _entry(given, CATALOGUE, licence="your own data")
    columns, names = _columns(given)
    _require_chronology(given, columns)
    _require_intensity(given, entry.preparation, columns)
    files = given.split.files if given.split else {}
    if bool(given.path) == bool(files):
        raise SeqattnError("the file must name the log by `path`, or its parts under `split`")
    paths = {part: path.parent / file for part, file in (files or {"": given.path}).items()}
    suffixes = {suffix for file in paths.values() for suffix in file.suffixes}
    if ".parquet" in suffixes and (names or given.separator or given.decimal != "."):
        raise SeqattnError("header, separator and decimal are of text files, not of Parquet")
    tab = not {".tsv", ".inter"}.isdisjoint(suffixes)
    return OwnData(
        entry,
        paths,
        columns,
        _separator(given) or ("\t" if tab else ","),
        names,
        given.order == "line",
        None if given.missing is None else _marks(given.missing),
        given.decimal,
    )


def _columns(given: OwnYaml) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the file's names of our columns, and the names of all in a file without a header."""
    part = given.split.column if given.split else ""
    if isinstance(given.columns, ColumnsYaml):
        if not given.header:
            raise SeqattnError(
                "without a header, columns must list ours in file order, e.g. columns: [user, "
                'item, timestamp], with "-" for one to skip'
            )
        named = [(theirs, ours) for ours, theirs in asdict(given.columns).items() if theirs]
        if part:
            named.append((part, "part"))
        if len(dict(named)) < len(named):
            raise SeqattnError("one column of the file serves twice under `columns`")
        return dict(named), ()
    if given.header:
        raise SeqattnError(
            "columns must be a mapping of our names to those in the file's header, such as {user: "
            "user_id, item: item_id}; a list is for a file without one: header: false"
        )
    listed = given.columns
    used = [name for name in listed if name != "-"]
    if unknown := [name for name in used if name not in (*COLUMNS, part)]:
        raise SeqattnError(
            f'columns: {unknown[0]!r} is unknown; list {", ".join(COLUMNS)} or "-" for one to skip'
        )
    for name in ("user", "item", *([part] if part else []), *used):
        if used.count(name) != 1:
            raise SeqattnError(f"columns: {name!r} must stand once in the list")
    names = (name if name != "-" else f"column {at}" for at, name in enumerate(listed, 1))
    return {name: "part" if name == part else name for name in used}, tuple(names)


def _require_chronology(given: OwnYaml, columns: Mapping[str, str]) -> None:
    if given.order not in ("", "line"):
        raise SeqattnError(
            f"order {given.order!r} is unknown; use line, or name a column of the file: columns: "
            "{order: ...}"
        )
    if given.order and "order" in columns.values():
        raise SeqattnError("order: line and a column order are two orders; give one of them")
    if not given.order and not {"timestamp", "order"} & {*columns.values()}:
        raise SeqattnError(
            "columns name neither a timestamp nor an order; give one of them, or order: line if "
            "the lines are in the order in which things happened"
        )


def _require_intensity(given: OwnYaml, how: Preparation, columns: Mapping[str, str]) -> None:
    """Refuse a column without its description, and a description of nothing."""
    column = "intensity" in columns.values()
    needing = [each for each in (how.exact, how.pairs) if each in OF_INTENSITY]
    if needing and not (column or how.exact == "count"):
        raise SeqattnError(
            f"duplicates: {needing[0]} is of the intensity, and columns name none; use count, "
            "which makes one, or latest"
        )
    if how.counts and not given.intensity:
        raise SeqattnError(
            "duplicates: count makes an intensity, which needs its description: intensity: "
            "{meaning: plays, unit: plays}"
        )
    if (column or how.counts) != bool(given.intensity):
        raise SeqattnError(
            "an intensity needs its column, columns: {intensity: ...}, and its description, "
            "intensity: {meaning: ..., unit: ...}; give both, or neither for a log without one"
        )


def _separator(given: OwnYaml) -> str:
    mark = _SEPARATORS.get(given.separator, given.separator)
    usable = len(mark) == 1 and mark.isascii() and not mark.isalnum() and mark not in '\n\r\0".'
    if mark and not usable:
        raise SeqattnError(
            f"separator {mark!r} must be one character of ASCII and no letter, digit, point, quote "
            'or end of a line; use "," ";" "|" tab or space'
        )
    if given.decimal not in (".", ","):
        raise SeqattnError(f'decimal {given.decimal!r} is unknown; use "." or ","')
    if given.decimal == "," and mark in ("", ","):
        raise SeqattnError('decimal: "," needs another separator, e.g. separator: ";"')
    return mark


def _marks(missing: list) -> tuple[str, ...]:
    """Return what stands for a missing value, as text."""
    for mark in missing:
        if isinstance(mark, bool) or not isinstance(mark, (str, int, float)):
            raise SeqattnError(
                f"missing: {mark!r} must be text or a number; put it into quotes, e.g. missing: "
                '["NULL"], for YAML has a meaning of its own for some words'
            )
    return tuple(map(str, missing))


def _other(given: OtherYaml, known: Mapping[str, Entry]) -> Entry:
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


def _entry(given: EntryYaml, taken: Container[str], **more: Any) -> Entry:
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


def _preparation(given: EntryYaml | OtherYaml, default: Preparation) -> Preparation:
    """Return the default with what is given."""
    filters, both = given.filters, given.duplicates
    if filters and (filters.k_core < 1 or filters.users < 0):
        raise SeqattnError(
            "filters: k_core must be at least 1, which keeps everything, and users at least 0"
        )
    if given.ties not in ("", "file", "item-id"):
        raise SeqattnError(f"ties {given.ties!r} is unknown; use file or item-id")
    if filters:
        subsample = filters.users or None
        default = replace(
            default, core=filters.k_core, iterative=filters.iterative, subsample=subsample
        )
    if both is not None:
        both = DuplicatesYaml(both, both) if isinstance(both, str) else both
        for policy in (both.exact, both.pairs):
            if policy not in POLICIES:
                raise SeqattnError(
                    f"duplicates: {policy!r} is unknown; choose one of {', '.join(POLICIES)}"
                )
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


def section(cls: type[T], values: Any, name: str) -> T:
    """Build a section of a YAML file as a dataclass, and the dataclasses among its fields.

    Raises
    ------
    SeqattnError
        A key is unknown, missing or of the wrong type; the message names `name` and the key. A
        section inside the whole, whose name starts with "the", is called by its key alone.
    """
    if not isinstance(values, Mapping):
        raise SeqattnError(f"{name} must be a mapping of keys to values, not {values!r}")
    inside, hints = "" if name.startswith("the ") else f"{name}: ", get_type_hints(cls)
    built = dict(values)
    for key, value in values.items():
        hint = hints.get(key)
        kinds = [kind for kind in get_args(hint) or (hint,) if isinstance(kind, type)]
        inner = next(filter(is_dataclass, kinds), None)
        if inner and not isinstance(value, tuple(kind for kind in kinds if kind is not inner)):
            built[key] = section(inner, value, f"{inside}{key}")
    try:
        return strict(cls, built)
    except TypeError:
        needed = [n for n, p in signature(cls).parameters.items() if p.default is p.empty]
        missing = next(key for key in needed if key not in values)
        raise SeqattnError(f"{name}: key {missing!r} is missing; add it") from None
    except SeqattnError as error:
        raise SeqattnError(f"{name}: {str(error).replace(cls.__name__ + ' ', '', 1)}") from None


CATALOGUE = read_catalogue(Path(__file__).with_name("catalogue.yaml"))
