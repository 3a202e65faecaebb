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

A caller first says which runs it wants (`wanted`, a `part` of them), then reads what is there
(`read`), then fits what is missing (`fit_missing`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.audit.records import dataset_record
from seqattn.config import BASELINE, DESIGNS, SEEDS, require_seed
from seqattn.data import find_entry, load_dataset
from seqattn.data.own import is_yaml
from seqattn.data.yaml_files import load_yaml, section
from seqattn.errors import SeqattnError, about
from seqattn.files import ROOT, results_folder
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.presets import PRESETS, Settings
from seqattn.runs.code import require_same_code
from seqattn.runs.fitting import fit_runs, recbole_spec, run_spec
from seqattn.runs.store import Fittable, Run, Store
from seqattn.search.record import settings
from seqattn.studies.ia.published import is_part

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
        _require_known("models", known, {model for arm in arms for model in arm.models})
        _require_known("against", [a.name for a in arms], {a.against for a in arms})
        _require_list("datasets", given.datasets, str)
        _require_list("seeds", given.seeds, int)
        _require_list("tables", given.tables, str)
        _require_arms(given)
        for seed in given.seeds:
            require_seed(seed)
    seeds, tables = tuple(given.seeds), tuple(given.tables)
    logs = {_name_of(dataset): dataset for dataset in map(_from_root, given.datasets)}
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


def _name_of(dataset: str) -> str:
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


def _require_known(what: str, known: Iterable[str], given: set[str]) -> None:
    strange = sorted(given - set(known))
    if strange:
        raise SeqattnError(f"{what} names {strange[0]!r}; known: {', '.join(known)}")


@dataclass(frozen=True)
class DataFacts:
    """What resolving settings needs of a dataset, without its rows."""

    name: str
    fingerprint: str
    n_targets: int
    n_users: int
    given: str = ""  # as the study names it, where that is the path of a YAML

    @property
    def reference(self) -> str:
        """How a command names the dataset."""
        return self.given or self.name


def data_facts(dataset: str) -> DataFacts:
    """Return a dataset's facts from its committed record, else from the data themselves.

    Raises
    ------
    SeqattnError
        If there is no record and the data are not at hand.
    """
    if record := dataset_record(dataset):
        size = record["steps"][-1]
        n_targets, n_users = size["interactions"] - 3 * size["users"], size["users"]
        if split := record.get("split"):  # none: leave-one-out
            n_targets, n_users = split["n_targets"], split["n_users"]
        return DataFacts(dataset, record["fingerprint"], n_targets, n_users)
    data = load_dataset(dataset)
    n_users = len(np.unique(data.split.users("test")))
    return DataFacts(data.name, data.fingerprint, data.n_targets, n_users, data.reference)


@dataclass(frozen=True)
class Group:
    """The runs of one model in one arm on one dataset, and those that they are compared with.

    `specs` and `base_specs` say what is wanted, one a seed; both are empty where `lacking` says
    why that is not known yet. `runs` and `base` are those that were there, in the order of seeds;
    `base` is empty for SASRec in its own arm.
    """

    dataset: DataFacts
    arm: str
    model: str
    specs: tuple[Fittable, ...] = ()
    base_specs: tuple[Fittable, ...] = ()
    lacking: str = ""
    runs: tuple[Run, ...] = ()
    base: tuple[Run, ...] = ()

    @property
    def part(self) -> bool:
        """Whether its runs are of a part of the dataset, see `is_part`."""
        n_users = len(self.runs[0].ranks()) if self.runs else self.dataset.n_users
        return is_part(self.dataset.name, n_users)

    @property
    def key(self) -> dict[str, object]:
        """The columns that name its dataset and arm in tables: dataset, arm and part."""
        return {"dataset": self.dataset.name, "arm": self.arm, "part": self.part}

    @property
    def whole(self) -> bool:
        """Whether both sides have all seeds of the protocol."""
        return len(self.base) == len(self.runs) == len(SEEDS)


def wanted(study: Study) -> list[Group]:
    """Return which runs a study wants, a group for each (dataset, arm, model).

    Raises
    ------
    SeqattnError
        If a dataset is unknown. A search that is missing is no error: its group says so.
    """
    with about(FOLDER / f"{study.name}.yaml"):
        datasets = [data_facts(study.logs.get(name, name)) for name in study.datasets]
    return [
        _group(study, dataset, arm, model)
        for dataset in datasets
        for arm in study.arms
        for model in arm.models
    ]


def _group(study: Study, dataset: DataFacts, arm: Arm, model: str) -> Group:
    try:
        specs = _specs(study, dataset, arm, model, model)
        base = study.arm(arm.against)
        of = model if arm.settings.like == VARIANT_BACKBONE else BASELINE
        compared = (arm.name, model) != (base.name, BASELINE)
        base_specs = _specs(study, dataset, base, of, BASELINE) if compared else ()
    except SeqattnError as error:
        return Group(dataset, arm.name, model, lacking=str(error))
    return Group(dataset, arm.name, model, specs, base_specs)


def _specs(study: Study, dataset: DataFacts, arm: Arm, of: str, model: str) -> tuple[Fittable, ...]:
    """Return the specs of `model` with the settings that the arm gives the model `of`.

    RecBole's models search a grid of their own, and those without chance are wanted once.
    """
    if model in RECBOLE_MODELS:
        return tuple(dict.fromkeys(recbole_spec(dataset, model, seed) for seed in study.seeds))
    like = DESIGNS[0] if arm.settings.like == VARIANT_BACKBONE else arm.settings.like
    preset = arm.settings.changed(settings(study.searches(arm), dataset, of, like))
    return tuple(run_spec(dataset, model, seed, preset) for seed in study.seeds)


def read(groups: Sequence[Group], *stores: Store) -> list[Group]:
    """Return the groups with each run from the first store that has it; a folder is opened once.

    Raises
    ------
    SeqattnError
        A run was fitted with other code of its model.
    """
    specs = {spec for group in groups for spec in (*group.specs, *group.base_specs)}
    kept = {spec: next(filter(None, (s.get(spec) for s in stores)), None) for spec in specs}
    for run in filter(None, kept.values()):
        require_same_code(run)

    def there(specs: Sequence[Fittable]) -> tuple[Run, ...]:
        return tuple(run for run in map(kept.get, specs) if run is not None)

    return [
        dataclasses.replace(group, runs=there(group.specs), base=there(group.base_specs))
        for group in groups
    ]


def missing(groups: Sequence[Group]) -> list[Fittable]:
    """Return the specs that groups, as `read` returned them, want and no store had."""
    have = {run.spec for group in groups for run in (*group.runs, *group.base)}
    specs = [spec for group in groups for spec in (*group.base_specs, *group.specs)]
    return [spec for spec in dict.fromkeys(specs) if spec not in have]


def wanted_in(folder: str | Path) -> set[Fittable]:
    """Return the runs that studies want in a results folder.

    A dataset that has no record and is not at hand has none: no run of it can be named.
    """
    specs: set[Fittable] = set()
    for study in map(read_study, names()):
        if study.results.resolve() != Path(folder).resolve():
            continue
        for dataset in study.datasets:
            with contextlib.suppress(SeqattnError):
                groups = wanted(dataclasses.replace(study, datasets=(dataset,)))
                specs.update(spec for group in groups for spec in (*group.specs, *group.base_specs))
    return specs


def part(
    groups: Sequence[Group],
    *,
    datasets: Sequence[str] | None = None,
    arms: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Group]:
    """Return the groups of some datasets, arms and models, with the runs of some seeds only.

    What they are compared with is left out, unless it is a group of the part itself.

    Raises
    ------
    SeqattnError
        If a name or a seed is none of the study's.
    """
    logs = set(map(_name_of, datasets or ()))  # one's own may be named by its YAML, too
    _require_known("--dataset", dict.fromkeys(g.dataset.name for g in groups), logs)
    _require_known("--arm", dict.fromkeys(g.arm for g in groups), set(arms or ()))
    _require_known("--model", dict.fromkeys(g.model for g in groups), set(models or ()))
    of_seeds = dict.fromkeys(str(spec.seed) for group in groups for spec in group.specs)
    _require_known("--seed", of_seeds, {str(seed) for seed in seeds or ()})
    return [
        dataclasses.replace(
            group,
            specs=tuple(spec for spec in group.specs if not seeds or spec.seed in seeds),
            runs=tuple(run for run in group.runs if not seeds or run.spec.seed in seeds),
            base_specs=(),
            base=(),
        )
        for group in groups
        if group.dataset.name in (logs or [group.dataset.name])
        and group.arm in (arms or [group.arm])
        and group.model in (models or [group.model])
    ]


def fit_missing(
    study: Study, groups: Sequence[Group], *, device: str = "cpu", workers: int | None = None
) -> list[Run]:
    """Fit what no store had, dataset by dataset, and return it.

    Parameters
    ----------
    groups : sequence of Group
        As `read` returned them.
    device : str
        ``cpu`` or ``cuda``.
    workers : int, optional
        Fits side by side, see `seqattn.runs.fitting.fit_runs`.

    Raises
    ------
    SeqattnError
        If a model can't be fitted, or there is no such device. Finished runs stay in the store.
    """
    lacking = missing(groups)
    reference = {group.dataset.name: group.dataset.reference for group in groups}
    runs = []
    for dataset in dict.fromkeys(spec.dataset for spec in lacking):
        specs = [spec for spec in lacking if spec.dataset == dataset]
        data = load_dataset(reference[dataset])
        runs += fit_runs(study.stores[-1], data, specs, device=device, workers=workers)
    return runs
