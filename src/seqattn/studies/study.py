"""A study: one question put to many runs. A YAML says which runs, a notebook says what came out.

::

    title: Replication
    question: Does an injected intensity change what SASRec recommends?
    datasets: [ml-100k, amazon-office]
    arms:
      own_search: {settings: own_search, models: [sasrec, ia-add]}
      patient:
        settings: {like: own_search, train: {patience: 20, epochs: 100}}
        models: [sasrec, ia-add]
        against: own_search
    tables: [levels, comparisons]

An arm is a set of models under one kind of settings: a preset, a design, or one of them with some
values changed. Each model is compared with SASRec of the same arm, or of the arm named by
`against`. In an arm of ``variant_backbone`` each variant is the one of its own search, compared
with SASRec fitted with that variant's settings. RecBole's baselines search a grid of their own, so
an arm's settings are not theirs.

Searches and runs are read from `results`, by default ``results/campaign``. What is missing is
fitted there as well, unless that is a committed folder, one in ``results``: then into the usual
store, from where `seqattn collect` takes it. The usual store is ``.seqattn/results``, also as a
study names it, or what ``SEQATTN_RESULTS`` names in its place.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from seqattn.config import DESIGNS, SEEDS, require_seed
from seqattn.data import find_entry
from seqattn.data.own import is_yaml
from seqattn.data.yaml_files import load_yaml, section
from seqattn.errors import SeqattnError, about
from seqattn.files import ROOT, results_folder
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.presets import PRESETS, Settings
from seqattn.runs.store import Store

FOLDER = ROOT / "notebooks" / "studies"
VARIANT_BACKBONE = "variant_backbone"
SETTINGS = (*DESIGNS, VARIANT_BACKBONE, *PRESETS)
_OF_DATASETS = {"filters"}  # tables that are made of no run


@dataclass(frozen=True)
class ArmSettings(Settings):
    """How the models of an arm are set.

    `searches` is the folder whose searches a design reads; by default it is the study's.
    """

    searches: str = ""

    def __post_init__(self) -> None:
        if self.like not in SETTINGS:
            raise SeqattnError(f"unknown settings {self.like!r}; choose from {', '.join(SETTINGS)}")
        if self.searches and self.like in PRESETS:
            raise SeqattnError(f"settings like {self.like!r} read no searches; leave the key out")
        super().__post_init__()


@dataclass(frozen=True)
class Arm:
    """Models under one kind of settings, and the arm whose SASRec they are compared with."""

    name: str
    settings: ArmSettings
    models: tuple[str, ...]
    against: str


@dataclass(frozen=True)
class Study:
    """What a study's YAML says; `results` is the folder of its searches and runs.

    `datasets` are names, also of logs of one's own; `logs` has the YAML files of those, by name.
    """

    name: str
    title: str
    question: str
    datasets: tuple[str, ...]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    tables: tuple[str, ...]
    results: Path
    logs: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its tables are kept."""
        return ROOT / "results" / self.name.replace("_", "-")

    @property
    def stores(self) -> tuple[Store, ...]:
        """Where its runs may lie, beside the searches that ask for them too.

        The last takes what is fitted: no committed folder does.
        """
        committed = self.results.is_relative_to(ROOT / "results")
        own = results_folder("") if committed else self.results
        folders = dict.fromkeys((self.results, *map(self.searches, self.arms)))
        folders.pop(own, None)
        return tuple(map(Store, (*folders, own)))

    @property
    def yaml(self) -> Path:
        """The file that says all this."""
        return FOLDER / f"{self.name}.yaml"

    @property
    def notebook(self) -> Path:
        """Its notebook's template."""
        return FOLDER / f"{self.name}.ipynb"

    def searches(self, arm: Arm) -> Path:
        """Return the folder whose searches an arm of a design reads."""
        return ROOT / arm.settings.searches if arm.settings.searches else self.results

    def arm(self, name: str) -> Arm:
        """Return an arm by name."""
        return next(arm for arm in self.arms if arm.name == name)

    def path(self, table: str) -> Path:
        """Return where one of its tables is kept."""
        return self.folder / f"{table}.csv"

    def kept(self, name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
        """Return `table`, or one without rows, with these columns, if it was not written yet."""
        there = self.path(name).exists()
        return self.table(name) if there else pd.DataFrame(columns=list(columns))

    def table(self, name: str) -> pd.DataFrame:
        """Return one of its tables as it is kept.

        Raises
        ------
        SeqattnError
            If it was not written yet, or was cut short.
        """
        path = self.path(name)
        try:
            text = path.read_text(encoding="utf-8")
            if text.endswith("\n"):  # as every whole table does
                return pd.read_csv(io.StringIO(text), float_precision="round_trip")
        except pd.errors.EmptyDataError:
            return pd.DataFrame()
        except OSError as error:
            raise SeqattnError(
                f"cannot read {path}: {error.strerror}; run `seqattn study {self.name}`"
            ) from error
        except ValueError:
            pass
        raise SeqattnError(
            f"{path} is damaged; remove it and run `seqattn study {self.name}`, which writes it "
            "from the runs"
        )


@dataclass(frozen=True)
class _StudyYaml:
    title: str
    question: str
    datasets: list
    arms: dict = field(default_factory=dict)
    seeds: list = field(default_factory=lambda: list(SEEDS))
    tables: list = field(default_factory=list)
    results: str = "results/campaign"


@dataclass(frozen=True)
class _ArmYaml:
    settings: object
    models: list
    against: str = ""


def names() -> list[str]:
    """Return the names of all studies."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_study(name: str) -> Study:
    """Return a study by its name.

    Raises
    ------
    SeqattnError
        If there is none, or its YAML has a key or a value that is not known.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.exists():
        raise SeqattnError(f"no study {name!r}; there are: {', '.join(names())}")
    loaded = load_yaml(path)
    with about(path):
        given = section(_StudyYaml, loaded, "the file")
        arms = tuple(_arm(arm, values) for arm, values in given.arms.items())
        known = (*MODELS, *RECBOLE_MODELS)
        require_known("models", known, {model for arm in arms for model in arm.models})
        require_known("against", [a.name for a in arms], {a.against for a in arms})
        _require_list("datasets", given.datasets, str)
        _require_list("seeds", given.seeds, int)
        _require_list("tables", given.tables, str)
        _require_arms(given)
        for seed in given.seeds:
            require_seed(seed)
    seeds, tables = tuple(given.seeds), tuple(given.tables)
    logs = {dataset_name(dataset): dataset for dataset in map(_from_root, given.datasets)}
    if len(logs) < len(given.datasets):
        raise SeqattnError(f"{path}: two of the datasets have one name; give each its own")
    results = ROOT / given.results
    if results == ROOT / ".seqattn" / "results" and os.environ.get("SEQATTN_RESULTS"):
        results = results_folder("")
    return Study(name, given.title, given.question, tuple(logs), arms, seeds, tables, results, logs)


def _from_root(dataset: str) -> str:
    """Return a dataset's name as it is, and the path of a YAML from the project's root.

    A study's command runs there, and its page in a folder of its own.
    """
    return str(ROOT / Path(dataset).expanduser()) if is_yaml(dataset) else dataset


def dataset_name(dataset: str) -> str:
    """Return a dataset's name, which tables have; of a YAML file that is not at hand, its path."""
    with contextlib.suppress(SeqattnError):
        return find_entry(dataset).name if is_yaml(dataset) else dataset
    return dataset


def _arm(name: str, values: object) -> Arm:
    given = section(_ArmYaml, values, f"arm {name}")
    like = given.settings if isinstance(given.settings, Mapping) else {"like": given.settings}
    settings_ = section(ArmSettings, like, f"settings of arm {name}")
    _require_list(f"models of arm {name}", given.models, str)
    if not given.models:
        raise SeqattnError(f"arm {name} has no models")
    if given.against == name:
        raise SeqattnError(
            f"arm {name}: against names the arm itself, as it is without the key; leave it out, or "
            "name another arm"
        )
    return Arm(name, settings_, tuple(given.models), given.against or name)


def _require_arms(given: _StudyYaml) -> None:
    """Refuse a study that wants no run and asks for tables that are made of runs."""
    if not given.arms and (of_runs := sorted(set(given.tables) - _OF_DATASETS)):
        raise SeqattnError(
            f"no arms, and table {of_runs[0]!r} is made of runs; add `arms`, or leave the table out"
        )


def _require_list(what: str, values: list, kind: type) -> None:
    """Refuse a list with a value of another kind, or with one twice."""
    words = {str: "names", int: "whole numbers"}[kind]
    strange = [v for v in values if not isinstance(v, kind) or isinstance(v, bool)]
    if strange:
        raise SeqattnError(f"{what} must be {words}, not {strange}")
    if twice := [value for n, value in enumerate(values) if value in values[:n]]:
        raise SeqattnError(f"{what} has {twice[0]!r} twice")


def require_known(what: str, known: Iterable[str], given: set[str]) -> None:
    """Refuse names that are not known.

    Raises
    ------
    SeqattnError
        The message says `what` gave the name, and which are known.
    """
    strange = sorted(given - set(known))
    if strange:
        raise SeqattnError(f"{what} names {strange[0]!r}; known: {', '.join(known)}")
