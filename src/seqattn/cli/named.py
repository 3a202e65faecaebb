"""What the words of a command name: runs, fitted models, histories, systems to compare."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from seqattn.cli.arguments import KIND, METRIC, PRESET
from seqattn.config import SEEDS
from seqattn.data import CATALOGUE, Dataset, Sequences, load_dataset
from seqattn.errors import SeqattnError
from seqattn.files import results_folder
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.runs.store import Run

if TYPE_CHECKING:
    import numpy as np

    from seqattn.runs.compare import PerUser
    from seqattn.runs.recommender import Recommender


def runs_of(
    options: argparse.Namespace,
    models: Iterable[str] | None = None,
    seeds: Sequence[int] | None = None,
    preset: str | None = None,
) -> list[Run]:
    """Return the runs a command names, or those of other models and seeds; fit missing ones."""
    from seqattn.runs.fitting import fit_runs
    from seqattn.runs.store import Store
    from seqattn.search.record import wanted_specs

    seeds = options.seed if seeds is None else seeds
    _require_different(seeds)
    results, dataset = results_folder(options.results_dir), load_dataset(options.dataset)
    pairs = product(models or options.model, seeds)
    backbone = getattr(options, "backbone_of", None)
    specs = wanted_specs(results, dataset, pairs, preset or options.preset, backbone_of=backbone)
    progress, device = sys.stderr.isatty(), options.device or "cpu"
    return fit_runs(Store(results), dataset, specs, device=device, progress=progress)


def runs_of_any(options: argparse.Namespace, dataset: Dataset) -> list[Run]:
    """Return the runs of models by name, in the order of the names: ours, or made elsewhere."""
    ours = [name for name in options.model if name in MODELS or name in RECBOLE_MODELS]
    # First what needs no fit: a typing error is told before.
    runs = [r for n in options.model if n not in ours for r in _elsewhere(n, dataset, options)]
    if ours:
        runs += runs_of(options, ours, options.seed or SEEDS)
    return sorted(runs, key=lambda run: options.model.index(run.model))


def _require_different(seeds: Sequence[int]) -> None:
    twice = [seed for n, seed in enumerate(seeds) if seed in seeds[:n]]
    if twice:
        raise SeqattnError(f"seed {twice[0]} is given twice; a copy is no second observation")


_OF_A_FIT = ("seed", "preset", "device", "results_dir")  # says which run of a model is meant


def loaded(options: argparse.Namespace) -> Recommender:
    """Return the model that a command names: a model's run, fitted if missing, or a folder."""
    from seqattn.runs.export import load

    if options.intensity and not options.history:
        raise SeqattnError("--intensity goes with --history; a file has a column for it")
    given = {name: getattr(options, name) for name in _OF_A_FIT}
    if options.model in MODELS:
        if not options.dataset:
            raise SeqattnError("name the dataset, by -d, or a model's folder, by -m")
        seed = SEEDS[0] if options.seed is None else options.seed
        (run,) = runs_of(options, [options.model], [seed], options.preset or PRESET)
        return load(run, options.dataset)
    folder = Path(options.model).expanduser()
    if not folder.exists():
        raise SeqattnError(
            f"{options.model!r} is neither a model nor a folder; models are {', '.join(MODELS)}, "
            "and a run's folder is what `seqattn fit` prints"
        )
    if told := [name for name, value in given.items() if value is not None]:
        raise SeqattnError(
            f"--{told[0].replace('_', '-')} chooses a run of a model by its name, and {folder} is "
            "one run; leave it out"
        )
    return load(folder, options.dataset)


def histories_of(
    model: Recommender, options: argparse.Namespace
) -> tuple[Sequences, np.ndarray | None]:
    """Return the histories that a command names, in the model's codes.

    And the ids of all users of the training log, if the histories are theirs.
    """
    from seqattn.data.readers.plain import plain_names, read_plain

    if options.user is not None:
        name = options.dataset or model.about["dataset"]
        if not options.dataset and name not in CATALOGUE:
            raise SeqattnError(f"the model was fitted on your own log {name!r}; name it, by -d")
        dataset = load_dataset(name)
        if dataset.fingerprint != model.about["fingerprint"]:
            raise SeqattnError(f"the model was not fitted on {dataset.name}; name its data, by -d")
        return dataset.sequences.of_users(options.user), dataset.sequences.user_ids
    if options.file:
        extra = ["intensity"] if "intensity" in plain_names(options.file) else []
        frame = read_plain(options.file, {name: name for name in ("user", "item", *extra)})
        return model.histories(frame, str(options.file)), None
    items, intensity = map(_parts, (options.history, options.intensity))
    if not items:
        raise SeqattnError("--history is empty; give ids of items, with commas between them")
    return model.history(items, intensity), None


def _parts(text: str | None) -> list[str] | None:
    """Return what stands between the commas of an option, if anything does."""
    return [part.strip() for part in text.split(",")] if text and text.strip() else None


def systems(options: argparse.Namespace) -> list[PerUser]:
    """Return the two systems that a command compares, each from wherever it is."""
    _require_different(options.seed or ())
    asked = [options.base, options.variant]
    of_files = {name for name in asked if Path(name).expanduser().is_file()}
    for name in asked:
        if name not in of_files and Path(name).suffix in (".csv", ".parquet"):
            raise SeqattnError(f"{name}: no such file; give the path of one that is there")
    for value, name, files in (
        (options.metric, "--metric", False),
        (options.kind, "--kind", False),
        (options.column, "--column", True),
        (options.by, "--by", True),
    ):
        if value and not (of_files if files else {*asked} - of_files):
            whose = "a file" if files else "a model or a run"
            raise SeqattnError(f"{name} goes with {whose}, and none is compared; leave it out")
    # What needs no fit comes first: minutes of fits are lost on a typing error.
    first = sorted(dict.fromkeys(asked), key=_dearness)
    found: dict[str, PerUser] = {}
    for name in first:
        before = next(iter(found.values()), None)
        found[name] = _system(name, options, before)
    if options.seed and not any(system.has_seeds for system in found.values()):
        raise SeqattnError("-s chooses seeds, and neither file names any; leave it out")
    return [found[name] for name in asked]


def _dearness(name: str) -> int:
    """Return 0 for what needs no fit, 1 for RecBole's models, some of which have one run only."""
    model = _model_of(name)
    return 0 if model is None else 2 - (model[0] in RECBOLE_MODELS)


def _model_of(name: str) -> tuple[str, str | None] | None:
    """Return the model and, if it is named, the preset of ``MODEL`` or ``MODEL:PRESET``."""
    model, _, preset = name.partition(":")
    return (model, preset or None) if model in MODELS or model in RECBOLE_MODELS else None


def _system(name: str, options: argparse.Namespace, before: PerUser | None) -> PerUser:
    """Return what one argument of `compare` names: a file, a run, a model, or another library's.

    `before` is the system that it is compared with, if that is known: a model is then fitted with
    as many seeds, and gives the metric that a file's column says.
    """
    from seqattn.runs.compare import of_file, of_runs
    from seqattn.runs.export import dataset_of
    from seqattn.runs.store import read_run
    from seqattn.stats.metrics import parse_metric

    path, model = Path(name).expanduser(), _model_of(name)
    if path.is_file():
        system = of_file(path, options.column, _users_of(path, options))
        chosen = options.seed and system.has_seeds
        return system.of_seeds(options.seed) if chosen else system
    of_file_metric, _, of_file_kind = (before.metric if before else "").partition("_")
    metric_name, k = parse_metric(options.metric or of_file_metric or METRIC)
    kind, about = options.kind or of_file_kind or KIND, name
    if path.is_dir() and model is None:
        runs = [read_run(path)]
        if options.seed and runs[0].seed not in options.seed:
            raise SeqattnError(f"{name} is of seed {runs[0].seed}, which -s does not name")
        dataset = dataset_of(runs[0], options.dataset)
    elif not options.dataset:
        raise SeqattnError(f"{name}: no such file; for the runs of a model, name its dataset by -d")
    else:
        dataset = load_dataset(options.dataset)
        if model:
            if model[1] and model[0] in RECBOLE_MODELS:
                raise SeqattnError(f"{name}: RecBole's models have a small grid each and no preset")
            preset = model[1] or options.preset
            about = (
                f"{model[0]}, preset {preset}" if model[0] in MODELS else f"{model[0]}, RecBole's"
            )
            runs = runs_of(options, [model[0]], options.seed or _seeds(before), preset)
        else:
            about = f"{name}, evaluated"
            runs = _elsewhere(name, dataset, options, kind)
    return of_runs(name, runs, dataset, metric_name, k, kind, about)


def _users_of(path: Path, options: argparse.Namespace) -> str:
    """Return a file's column of users: what `--by` names, if not the other file alone has that."""
    from seqattn.data.readers.plain import plain_names

    files = {Path(name).expanduser() for name in (options.base, options.variant)}
    have = [file for file in files if file.is_file() and options.by in plain_names(file)]
    return "user" if have and path not in have else options.by or "user"


def _seeds(before: PerUser | None) -> list[int]:
    """Return the seeds to fit a model with: of one run each, the number tells nothing."""
    if before is None:
        return list(SEEDS)
    paired = [*before.values.columns]
    return paired if len(paired) > 1 else [SEEDS[0]]


def _elsewhere(
    name: str, dataset: Dataset, options: argparse.Namespace, kind: str = ""
) -> list[Run]:
    """Return the runs of a model made elsewhere, one for each seed."""
    from seqattn.runs.store import RunSpec, Store

    store, kind = Store(results_folder(options.results_dir)), kind or options.kind or KIND
    named = [
        r
        for r in store.runs(dataset.name)
        if r.model == name and r.fingerprint == dataset.fingerprint
    ]
    # A model of one's own has settings, by which its runs are chosen: not any of them will do.
    found = [r for r in named if not isinstance(r.spec, RunSpec)]
    if named and not found:
        raise SeqattnError(
            f"{name!r} is a model of one's own, which {named[0].folder} was fitted with; let "
            "SEQATTN_MODELS name its file"
        )
    if not found:
        raise SeqattnError(
            f"{name!r} is no file, no model of seqattn ({', '.join(MODELS)}), and {store.path} has "
            f"no run of that name on {dataset.name}; `seqattn evaluate` makes one"
        )
    # Lists of one kind tell nothing of the other, and may stand beside lists of the other.
    alike = [r for r in found if f"test_{kind}" in r.facts["metrics"]]
    if not alike:
        other = "filtered" if kind == "unfiltered" else "unfiltered"
        raise SeqattnError(f"{name} has {other} ranks only; compare those, by --kind {other}")
    by_seed: dict[int, Run] = {}
    for run in alike:
        if options.seed and run.seed not in options.seed:
            continue
        if run.seed in by_seed:
            raise SeqattnError(
                f"two files were evaluated as {name} with seed {run.seed}: remove "
                f"{by_seed[run.seed].folder} or {run.folder}"
            )
        by_seed[run.seed] = run
    lacking = sorted({*(options.seed or ())} - {*by_seed})
    if lacking:
        damaged = [told for told in store.unusable(found) if f"{os.sep}{name}{os.sep}" in told]
        raise SeqattnError(
            f"{name} was not evaluated with seed {lacking[0]}; see `evaluate --seed`"
            + "".join(f"; {told}" for told in damaged)
        )
    return list(by_seed.values())
