"""The runs that a study wants: which they are, which are there, and fitting those that are not.

A caller first says which runs it wants (`wanted`, a `part` of them), then reads what is there
(`read`), then fits what is missing (`fit_missing`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqattn.audit.records import dataset_record
from seqattn.config import BASELINE, DESIGNS, SEEDS
from seqattn.data import load_dataset
from seqattn.errors import SeqattnError, about
from seqattn.models import RECBOLE_MODELS
from seqattn.runs.code import require_same_code
from seqattn.runs.fitting import fit_runs, recbole_spec, run_spec
from seqattn.runs.store import Fittable, Run, Store
from seqattn.search.record import settings
from seqattn.studies.ia.published import is_part
from seqattn.studies.study import (
    VARIANT_BACKBONE,
    Arm,
    Study,
    dataset_name,
    names,
    read_study,
    require_known,
)


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

    def whole(self, n_seeds: int = len(SEEDS)) -> bool:
        """Whether both sides have all seeds, by default those of the protocol."""
        return len(self.base) == len(self.runs) == n_seeds


def wanted(study: Study) -> list[Group]:
    """Return which runs a study wants, a group for each (dataset, arm, model).

    Raises
    ------
    SeqattnError
        If a dataset is unknown. A search that is missing is no error: its group says so.
    """
    with about(study.yaml):
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


def counterpart(groups: Sequence[Group], group: Group, arm: str) -> Group:
    """Return the group of the same dataset and model in another arm.

    Raises
    ------
    SeqattnError
        The study does not have the model in that arm.
    """
    for other in groups:
        if (other.dataset, other.arm, other.model) == (group.dataset, arm, group.model):
            return other
    raise SeqattnError(
        f"arm {group.arm!r} has {group.model}, and arm {arm!r}, which it is compared with, has "
        "not: give both the same models"
    )


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
    logs = set(map(dataset_name, datasets or ()))  # one's own may be named by its YAML, too
    require_known("--dataset", dict.fromkeys(g.dataset.name for g in groups), logs)
    require_known("--arm", dict.fromkeys(g.arm for g in groups), set(arms or ()))
    require_known("--model", dict.fromkeys(g.model for g in groups), set(models or ()))
    of_seeds = dict.fromkeys(str(spec.seed) for group in groups for spec in group.specs)
    require_known("--seed", of_seeds, {str(seed) for seed in seeds or ()})
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
