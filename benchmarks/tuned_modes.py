"""Packed windows and exact ones, each tuned for itself: SASRec's published search, mode by mode.

`accuracy_parity` holds the hyperparameters fixed; here each mode has a search of its own, over the
published space, and then the final fits of what it found. A mode is a stride: by how many
interactions the windows of a long history advance. The sampler's first ten trials are random and
have one seed, so they are the same configurations in every mode and compare as pairs. It takes
hours, and goes on where it stood; what is kept lies in ``benchmarks/results/modes``.

    python -m benchmarks.tuned_modes [-d ml-100k] [--strides 50 10 1] [--trials 10] [--workers 2]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from itertools import combinations
from pathlib import Path

from benchmarks.accuracy_parity import comparison
from benchmarks.common import RESULTS, finish
from seqattn import load_dataset
from seqattn.config import BASELINE, SEEDS, replace
from seqattn.presets import get_preset
from seqattn.runs.fitting import fit_runs
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Run, Store
from seqattn.search.collect import collect
from seqattn.search.record import Search, SearchConfig, read_search, wanted_specs
from seqattn.search.tune import tune
from seqattn.stats.metrics import metric

KEPT = RESULTS / "modes"
SCRATCH = Path(".seqattn") / "modes"  # with weights and unfinished studies
STRIDES = (50, 10, 1)


def run(name: str, stride: int, trials: int, workers: int) -> None:
    """Search and fit SASRec in one mode, unless that is done already, and keep the records."""
    scratch, dataset = SCRATCH / str(stride), load_dataset(name)
    paper = get_preset("paper")
    base = dataclasses.replace(paper, train=replace(paper.train, stride=stride))
    if (KEPT / str(stride)).exists():
        collect(KEPT / str(stride), scratch)
    tune(
        *(scratch, dataset, BASELINE, SearchConfig(trials=trials), base),
        on_trial=lambda n, best: print(f"stride {stride}: {n} trials, best {best:.4f}"),
    )
    specs = wanted_specs(scratch, dataset, [(BASELINE, s) for s in SEEDS], "own_search")
    fit_runs(Store(scratch), dataset, specs, workers=workers)
    collect(scratch, KEPT / str(stride))


def report() -> None:
    """Compare the modes that are done, dataset by dataset."""
    rows, comparisons, trials = [], [], []
    for dataset in sorted({path.stem for path in KEPT.glob("*/searches/*")}):
        records = {}
        for stride in STRIDES:
            search = read_search(KEPT / str(stride), dataset, BASELINE, "own_search")
            if search is None:
                continue
            mode, store = f"stride {stride}", Store(KEPT / str(stride))
            kept = (store.get(search.spec(seed)) for seed in SEEDS)
            runs = [run for run in kept if run is not None]
            rows.append(_row(dataset, mode, search, runs))
            trials.append(
                {"dataset": dataset, "mode": mode, "values": [t["value"] for t in search.trials]}
            )
            if runs:
                records[mode] = {c.spec.seed: {"test_ranks": c.ranks().tolist()} for c in runs}
        comparisons += [comparison(dataset, b, a, records) for a, b in combinations(records, 2)]
    finish("tuned_modes", rows, {"comparisons": comparisons, "trials": trials})


def _row(dataset: str, mode: str, search: Search, runs: list[Run]) -> dict[str, object]:
    return {
        "dataset": dataset,
        "mode": mode,
        "trials": search.n_complete,
        "best valid NDCG@10 of the search": search.value,
        "seeds": len(runs),
        "final valid NDCG@10": _mean(runs, "valid"),
        "final test NDCG@10": _mean(runs, "test"),
    }


def _mean(runs: list[Run], stage: str) -> float | None:
    if not runs:
        return None
    return float(metric(rank_matrix(runs, stage), "NDCG", 10).mean())


def main() -> None:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-d", "--dataset", default="ml-100k")
    parser.add_argument("--strides", type=int, nargs="*", default=list(STRIDES), choices=STRIDES)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    o = parser.parse_args()
    for stride in o.strides:
        run(o.dataset, stride, o.trials, o.workers)
    report()


if __name__ == "__main__":
    main()
