"""Does a results folder hold what it claims? ``python -m seqattn.check results/campaign``.

Every cell is read again: its checksums, its name, its metrics from its ranks, the search it rests
on, its data's fingerprint. So are the records beside the cells: a baseline must be intact and of
this data, a calibration of cells that are there. Then a random sample is fitted again for a few
epochs, and losses and validation NDCG@10 are compared with the recorded ones. On the kind of
processor and the version of PyTorch that fitted the cell they are equal to the last bit; elsewhere
rounding differs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from seqattn.baselines import read_baselines
from seqattn.campaign import BASELINE, DESIGNS, searches
from seqattn.config import replace
from seqattn.data import Dataset, find_entry, load_dataset
from seqattn.data.sources import status
from seqattn.errors import SeqattnError
from seqattn.evaluation import CUTOFFS, METRICS, metric
from seqattn.store import Cell, Store
from seqattn.training.device import one_thread
from seqattn.training.fit import fit

# Rounding that differs by processor, after an epoch of some hundred steps.
LOSS_TOLERANCE = 1e-3  # relative
NDCG_TOLERANCE = 3e-3  # absolute
KINDS = tuple(
    f"{stage}_{kind}" for stage in ("valid", "test") for kind in ("unfiltered", "filtered")
)


def check_records(results_dir: str | Path, datasets: str | Path) -> list[str]:
    """Return what is wrong with the cells and searches of a results folder; nothing is fitted.

    Parameters
    ----------
    results_dir : str or Path
        Results folder with searches and cells.
    datasets : str or Path
        Folder of the datasets' records, ``<name>/dataset.json``.
    """
    problems, prints = [], _fingerprints(datasets)
    found = list(searches(results_dir))
    # A control is the baseline with what a variant's own search found.
    wanted = {
        (s.dataset, model, json.dumps(_settings(s.spec(0))))
        for s in found
        for model in ((s.model, BASELINE) if s.design == "published" else (s.model,))
    }
    for search in found:
        if prints.get(search.dataset) != search.fingerprint:
            problems.append(
                f"{search.design} search of {search.model} on {search.dataset}: fingerprint "
                f"{search.fingerprint[:8]} is not that of {datasets}/{search.dataset}"
            )
    cells = {cell.folder for cell in Store(results_dir).cells()}
    for path in sorted(Path(results_dir).glob("*/*/seed-*")):
        if path not in cells:
            problems.append(f"{path}: damaged, or not a whole cell")
    for cell in Store(results_dir).cells():
        problems += [f"{cell.folder}: {what}" for what in _cell_problems(cell, prints, wanted)]
    return problems


def _cell_problems(
    cell: Cell, prints: dict[str, str], wanted: set[tuple[str, str, str]]
) -> Iterable[str]:
    spec = cell.spec
    if not cell.folder.name.endswith(spec.key):
        yield "is not named after its settings"
    if prints.get(spec.dataset) != spec.fingerprint:
        yield f"fingerprint {spec.fingerprint[:8]} is not that of the dataset's record"
    if (spec.dataset, spec.model, json.dumps(_settings(spec))) not in wanted:
        yield "no search found these settings"
    for kind in KINDS:
        ranks = cell.ranks(*kind.split("_"))
        for name in METRICS:
            for k in CUTOFFS:
                again = float(metric(ranks, name, k).mean())
                if again != cell.facts["metrics"][kind][f"{name}@{k}"]:
                    yield f"{kind} {name}@{k} is {again:.6f} by its ranks"


def _fingerprints(datasets: str | Path) -> dict[str, str]:
    return {
        path.parent.name: json.loads(path.read_text())["fingerprint"]
        for path in Path(datasets).glob("*/dataset.json")
    }


def check_baselines(baselines: str | Path, datasets: str | Path) -> list[str]:
    """Return what is wrong with the records of baselines: damage, or other data.

    Parameters
    ----------
    baselines : str or Path
        Their folder, see `seqattn.baselines`.
    datasets : str or Path
        As of `check_records`.
    """
    problems, prints = [], _fingerprints(datasets)
    for dataset in sorted(Path(baselines).glob("*")):
        intact = {b.folder: b for b in read_baselines(baselines, dataset.name)}
        for folder in sorted(dataset.glob("*/seed-*")):
            if folder not in intact:
                problems.append(f"{folder}: damaged, or not a whole record")
            elif intact[folder].facts["spec"]["fingerprint"] != prints.get(dataset.name):
                problems.append(f"{folder}: not of the data of {datasets}/{dataset.name}")
    return problems


def check_calibrations(calibrations: str | Path, results_dir: str | Path) -> list[str]:
    """Return which records of calibrations rest on cells that the results folder lacks.

    Parameters
    ----------
    calibrations : str or Path
        Their folder, see `seqattn.calibrations`.
    results_dir : str or Path
        Results folder.
    """
    keys = {cell.spec.key for cell in Store(results_dir).cells()}
    return [
        f"{path}: rests on cells that {results_dir} lacks; run `python -m seqattn.calibrations`"
        for path in sorted(Path(calibrations).glob("*-*.json"))
        if not keys.issuperset(json.loads(path.read_text())["cells"])
    ]


def _settings(spec: Any) -> dict[str, Any]:
    return {"model": vars(spec.model_config), "train": vars(spec.train_config)}


def refit(cell: Cell, dataset: Dataset, epochs: int) -> tuple[str, bool]:
    """Fit a cell's first epochs again; return what was seen, and whether it agrees.

    Raises
    ------
    SeqattnError
        If the model can't be fitted.
    """
    spec = cell.spec
    if dataset.fingerprint != spec.fingerprint:
        return f"data has fingerprint {dataset.fingerprint[:8]}, not {spec.fingerprint[:8]}", False
    train = replace(spec.train_config, epochs=min(epochs, len(cell.facts["history"])))
    with one_thread("cpu"):
        fitted = fit(dataset, spec.model, spec.seed, spec.model_config, train)
    recorded = cell.facts["history"][: len(fitted.history)]
    pairs = list(zip(fitted.history, recorded, strict=True))
    loss = max(abs(now.loss / then["loss"] - 1) for now, then in pairs)
    ndcg = max(abs(now.valid_ndcg - then["valid_ndcg"]) for now, then in pairs)
    if loss == ndcg == 0:
        return f"{len(pairs)} epochs, equal to the last bit", True
    seen = f"{len(pairs)} epochs, loss off by {loss:.1e} relative, NDCG@10 by {ndcg:.1e}"
    return seen, loss < LOSS_TOLERANCE and ndcg < NDCG_TOLERANCE


def check_sample(
    results_dir: str | Path,
    *,
    sample: int,
    epochs: int,
    seed: int,
    tell: Callable[[str], None] = print,
) -> list[str]:
    """Fit a random sample of the cells again, those whose data is at hand; return what disagrees.

    Parameters
    ----------
    results_dir : str or Path
        Results folder.
    sample, epochs : int
        How many cells, and how many epochs of each.
    seed : int
        Of the sample.
    tell : callable
        Called with a line a cell.
    """
    cells = [c for c in Store(results_dir).cells() if _at_hand(c.spec.dataset)]
    problems: list[str] = []
    for cell in random.Random(seed).sample(cells, min(sample, len(cells))):
        seen, agrees = refit(cell, load_dataset(cell.spec.dataset), epochs)
        line = f"{cell.spec.dataset} {cell.model} seed {cell.seed}: {seen}"
        tell(line)
        problems += [] if agrees else [line]
    return problems


def _at_hand(dataset: str) -> bool:
    return status(find_entry(dataset))[0] != "missing"


def main(arguments: list[str] | None = None) -> int:
    """Check a results folder; return 0, or 1 if something is wrong, 2 after a user's error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="results folder")
    for name in ("datasets", "baselines", "calibration"):
        parser.add_argument(f"--{name}", type=Path, default=Path("results", name))
    parser.add_argument("--sample", type=int, default=4, help="cells to fit again; default: 4")
    parser.add_argument("--epochs", type=int, default=2, help="of each; default: 2")
    parser.add_argument("--seed", type=int, help="of the sample; default: another each time")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    try:
        n_searches, n_cells = (
            sum(1 for _ in found(options.results)) for found in (searches, _all_cells)
        )
        print(f"{options.results}: {n_searches} searches, {n_cells} cells, {len(DESIGNS)} designs")
        problems = check_records(options.results, options.datasets)
        problems += check_baselines(options.baselines, options.datasets)
        problems += check_calibrations(options.calibration, options.results)
        print(f"a sample of {options.sample} cells, --seed {seed}:")
        problems += check_sample(
            options.results, sample=options.sample, epochs=options.epochs, seed=seed
        )
    except SeqattnError as error:
        print(f"seqattn: {error}", file=sys.stderr)
        return 2
    print(*problems, sep="\n")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


def _all_cells(results_dir: Path) -> Iterable[Cell]:
    return Store(results_dir).cells()


if __name__ == "__main__":
    sys.exit(main())
