"""Check that a results folder is complete and unaltered (``seqattn check results/campaign``).

Every run is read again: its checksums, its name, its metrics from its ranks, the search it rests
on, its data's fingerprint. So are the records beside the runs: a baseline must be intact and of
this data, a calibration of runs that are there. Then a random sample is fitted again for a few
epochs, and losses, validation NDCG@10 and lambdas are compared with the recorded ones. On the kind
of processor and the version of PyTorch that fitted the run they must be equal to the last bit;
elsewhere rounding differs, and how far that carries a fit is measured.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqattn.audit.records import dataset_facts
from seqattn.config import replace
from seqattn.data import CATALOGUE, Dataset, load_dataset
from seqattn.data.sources import GENERATED, status
from seqattn.errors import SeqattnError
from seqattn.runs.store import Run, RunSpec, Store
from seqattn.search.collect import asked
from seqattn.search.record import searches
from seqattn.stats.metrics import averages
from seqattn.studies.plan import wanted_in
from seqattn.training.device import environment, one_thread
from seqattn.training.fit import fit

# The logarithm in NDCG is rounded differently on processors with and without AVX512.
METRIC_TOLERANCE = 1e-12  # relative
# Where kind of processor or PyTorch differ from those that fitted a run, rounding does, too. How
# far that carries a fit depends on its settings (losses of two epochs on ML-100K: 1e-7 with a width
# of 32, 3e-4 with 128), so the fit is repeated with learning rates that differ by as little.
NUDGES = (-1e-7, 1e-7)  # relative, about the last bit of single precision
TIMES = 5  # what they do may be this much less than what another processor does
# Relative for losses, absolute for NDCG@10 and λ: what may differ where no nudge shows.
LEAST = {"loss": 1e-6, "ndcg": 3e-4, "lambda": 1e-5}


def check_records(
    results_dir: str | Path,
    datasets: str | Path,
    *,
    tell: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Return what is wrong with the runs and searches of a results folder; nothing is fitted.

    A run of RecBole's models, which holds its own search, needs none beside it; nor does one that a
    study asks for by settings that no search chose.

    `datasets` is the folder of their records, ``<name>/dataset.json``; `tell` is called with a line
    on what was read.

    Raises
    ------
    SeqattnError
        If there is no such results folder, or none of records.
    """
    if not Path(results_dir).is_dir():
        raise SeqattnError(f"{results_dir} is no folder; name the results folder of a campaign")
    if not Path(datasets).is_dir():
        raise SeqattnError(
            f"{datasets} is no folder; name that of the datasets' records (--datasets)"
        )
    problems, prints = [], _fingerprints(datasets)
    found = list(searches(results_dir))
    wanted, studied = asked(results_dir), wanted_in(results_dir)
    for search in found:
        what = f"{search.design} search of {search.model} on {search.dataset}"
        told = _data_problems(search.dataset, search.fingerprint, prints)
        problems += [f"{what}: {problem}" for problem in told]
    store = Store(results_dir)
    runs = list(store.runs())
    tell(f"{results_dir}: {len(found)} searches, {len(runs)} runs")
    problems += store.unusable(runs)
    for run in runs:
        known = run.engine != RunSpec.engine or run.spec in studied
        known = known or dataclasses.replace(run.spec, seed=0) in wanted
        problems += [f"{run.folder}: {what}" for what in _run_problems(run, prints, known)]
    return problems


def _run_problems(run: Run, prints: dict[str, str | None], known: bool) -> Iterable[str]:
    spec = run.spec
    yield from _data_problems(spec.dataset, spec.fingerprint, prints)
    if not known:
        yield "no search found these settings, and no study asks for them here"
    yield from _metric_problems(run)


def _data_problems(name: str, fingerprint: str, prints: dict[str, str | None]) -> Iterable[str]:
    if name not in prints and name in GENERATED:  # what anybody can make needs no record
        prints[name] = load_dataset(name).fingerprint
    if name not in prints:
        yield f"no record of {name!r} is at hand to hold its data against; make one, `prepare -o`"
    elif prints[name] != fingerprint:
        yield f"fingerprint {fingerprint[:8]} is not that of the dataset's record"


def _metric_problems(run: Run) -> Iterable[str]:
    for kind, told in run.facts["metrics"].items():
        stage, of = kind.split("_")
        for name, value in averages(run.ranks(stage, of), run.owners(stage)).items():
            if not math.isclose(value, told[name], rel_tol=METRIC_TOLERANCE):
                yield f"{kind} {name} is {value:.6f} by its ranks"


def _fingerprints(datasets: str | Path) -> dict[str, str | None]:
    return {name: facts.get("fingerprint") for name, facts in dataset_facts(datasets).items()}


def check_calibrations(calibrations: str | Path, results_dir: str | Path) -> list[str]:
    """Return which calibrated comparisons rest on runs that the results folder lacks.

    `calibrations` is the folder of their tables, see `seqattn.studies.calibration.cells`.
    """
    path = Path(calibrations) / "cells.csv"
    if not path.parent.is_dir():
        raise SeqattnError(f"{calibrations} is no folder; name that of a calibration's tables")
    if not path.exists():
        return []
    keys = {run.spec.key for run in Store(results_dir).runs()}
    try:
        rows = pd.read_csv(path, dtype={"base_runs": str, "runs": str}).itertuples()
        return [
            f"{path}: {row.model} on {row.dataset}, {row.arm}, rests on runs that {results_dir} "
            "lacks; collect them there, or run `seqattn study calibration`"
            for row in rows
            if not keys.issuperset([*row.base_runs.split(), *row.runs.split()])
        ]
    except (ValueError, AttributeError):
        return [f"{path} is damaged; remove it and run `seqattn study calibration`"]


def refit(run: Run, dataset: Dataset, epochs: int) -> tuple[str, bool]:
    """Fit a run's first epochs again; return what was seen, and whether it agrees.

    Raises
    ------
    SeqattnError
        If the model can't be fitted.
    """
    spec = run.spec
    if dataset.fingerprint != spec.fingerprint:
        return f"data has fingerprint {dataset.fingerprint[:8]}, not {spec.fingerprint[:8]}", False
    recorded = run.facts["history"][:epochs]
    n = len(recorded)

    def again(nudge: float = 0.0) -> list[dict[str, Any]]:
        rate = spec.train_config.learning_rate * (1 + nudge)
        train = replace(spec.train_config, epochs=n, patience=n, learning_rate=rate)
        with one_thread("cpu"):
            fitted = fit(dataset, spec.model, spec.seed, spec.model_config, train)
        return [dataclasses.asdict(epoch) for epoch in fitted.history]

    mine = again()
    apart = _apart(mine, recorded)
    if (apart == 0).all(axis=None):
        return f"{n} epochs, equal to the last bit", True
    loss, ndcg, lam = apart.max()
    seen = f"{n} epochs, loss off by {loss:.1e} relative, NDCG@10 by {ndcg:.1e}, λ by {lam:.1e}"
    there, here = _kinds(run)
    if there == here:
        return f"{seen}; processor and PyTorch are of the kind that fitted it: none may", False
    # Differences grow from epoch to epoch, so each is judged by its own.
    nudged = pd.concat([_apart(again(nudge), mine) for nudge in NUDGES])
    allowed = (TIMES * nudged.groupby(level=0).max()).clip(lower=pd.Series(LEAST), axis=1)
    seen += f"; fitted with {there}, and here with {here}"
    return seen, bool((apart <= allowed).all(axis=None))


def _apart(now: Sequence[dict[str, Any]], then: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return how far two courses of a fit are from each other, an epoch a row."""
    rows = [
        (
            abs(a["loss"] / b["loss"] - 1),
            abs(a["valid_ndcg"] - b["valid_ndcg"]),
            _apart_lambdas(a["lambdas"], b["lambdas"]),
        )
        for a, b in zip(now, then, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(LEAST))


def _apart_lambdas(now: Sequence[float], then: Sequence[float]) -> float:
    """Return the largest difference; infinite where one model has lambdas and the other none."""
    if len(now) != len(then):
        return math.inf
    return max((abs(a - b) for a, b in zip(now, then, strict=True)), default=0.0)


def _kinds(run: Run) -> tuple[str, str]:
    """Return processor and PyTorch that fitted the run, and those here, in words."""
    there, here = (
        f"{known.get('device')}, PyTorch {known.get('torch')}"
        for known in (run.facts.get("environment", {}), environment("cpu"))
    )
    return there, here


def check_sample(
    results_dir: str | Path,
    *,
    sample: int,
    epochs: int,
    seed: int,
    tell: Callable[[str], None] = print,
) -> list[str]:
    """Fit a random sample of the runs again, those whose data is at hand; return what disagrees.

    `sample` runs, drawn with `seed`, are fitted for `epochs` each; `tell` is called with a line on
    how many are, and with one for each.
    """
    ours = [run for run in Store(results_dir).runs() if run.engine == RunSpec.engine]
    lacking = sorted({run.dataset for run in ours if not _at_hand(run.dataset)})
    runs = [run for run in ours if run.dataset not in lacking]
    drawn = random.Random(seed).sample(runs, min(sample, len(runs)))
    lacks = f"; the data of {', '.join(lacking)} is not at hand" if lacking else ""
    tell(f"{len(drawn)} of {len(ours)} runs are fitted again (--sample-seed {seed}){lacks}")
    return check_runs(drawn, epochs=epochs, tell=tell)


def check_runs(
    runs: Iterable[Run], *, epochs: int, tell: Callable[[str], None] = print
) -> list[str]:
    """Fit runs again for some epochs each; return what disagrees. `tell` gets a line for each."""
    problems: list[str] = []
    for run in runs:
        if not _at_hand(run.dataset):
            problems.append(f"{run.folder}: the data of {run.dataset} is not at hand")
            continue
        seen, agrees = refit(run, load_dataset(run.spec.dataset), epochs)
        line = f"{run.spec.dataset} {run.model} seed {run.seed}: {seen}"
        tell(line)
        problems += [] if agrees else [line]
    return problems


def _at_hand(dataset: str) -> bool:
    """Whether a run's data can be read; a log of one's own cannot be found by its name."""
    return dataset in CATALOGUE and status(CATALOGUE[dataset])[0] != "missing"
