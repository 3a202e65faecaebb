"""Baselines to place SASRec: RecBole's Pop, ItemKNN, BPR and GRU4Rec on the identical split.

Hyperparameters are RecBole's defaults, but for a small grid (`GRIDS`) that is searched with
`SEARCH_SEED` and chosen by validation NDCG@10 (see `seqattn.recbole.fitting.CHOSEN_BY`); other
seeds take what it chose, as the searches of our own models do. Pop and ItemKNN draw no random
number and are fitted once.

    python -m seqattn.recbole.baselines -d ml-100k amazon-office -o results/baselines

Each (dataset, model, seed) is kept when it is done (see `seqattn.runs.baselines`), so that a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path

import torch

from seqattn.data import Dataset, load_dataset
from seqattn.errors import SeqattnError
from seqattn.recbole.fitting import CHOSEN_BY, MAX_EPOCHS, PATIENCE, Fitted, fit
from seqattn.recbole.subjects import BATCH, MAX_LENGTH
from seqattn.runs.baselines import Baseline, BaselineSpec, compute_baseline
from seqattn.training.device import environment

# RecBole's key: the values tried. Its defaults are k = 100, shrink = 0, learning_rate = 0.001.
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "pop": {},
    "itemknn": {"k": (20, 50, 100, 200), "shrink": (0.0, 10.0, 100.0)},
    "bpr": {"learning_rate": (0.0003, 0.001, 0.003, 0.01)},
    "gru4rec": {"learning_rate": (0.001, 0.005)},
}
TRAINED = ("bpr", "gru4rec")
SEARCH_SEED = 2020
EXAMPLE = "example:\n  python -m seqattn.recbole.baselines -d ml-100k amazon-office -m pop itemknn"


def baseline_spec(dataset: Dataset, model: str, seed: int) -> BaselineSpec:
    """Return what a record rests on: data, model, seed, grid, training and RecBole's version.

    Raises
    ------
    SeqattnError
        If the model is unknown.
    """
    if model not in GRIDS:
        raise SeqattnError(f"baseline {model!r} is unknown; choose one of {', '.join(GRIDS)}")
    settings = {
        "recbole": version("recbole"),
        "grid": {key: list(values) for key, values in GRIDS[model].items()},
        "chosen_by": f"valid_{CHOSEN_BY[model]} NDCG@10",
    }
    if model in TRAINED:
        settings |= {
            "search_seed": SEARCH_SEED,
            "batch": BATCH,
            "max_epochs": MAX_EPOCHS,
            "patience": PATIENCE,
        }
    if model == "itemknn":
        settings["asks_with"] = "the history up to the target"
    if model == "gru4rec":
        settings["max_length"] = MAX_LENGTH
    return BaselineSpec(dataset.name, dataset.fingerprint, model, seed, settings)


def fit_baseline(root: str | Path, dataset: Dataset, model: str, seed: int) -> Baseline:
    """Return one baseline, fitting it only if there is no intact record of it.

    Parameters
    ----------
    root : str or Path
        The records' folder.
    dataset : Dataset
        Prepared and split.
    model : str
        A key of `GRIDS`.
    seed : int
        Training seed. A trained model's grid is searched first, with `SEARCH_SEED`.

    Raises
    ------
    SeqattnError
        If the model is unknown or can't be fitted, or the record can't be written.
    """
    spec = baseline_spec(dataset, model, seed)

    def run() -> tuple[dict[str, object], Mapping[str, object]]:
        if model in TRAINED and seed != SEARCH_SEED:
            search = fit_baseline(root, dataset, model, SEARCH_SEED).facts
            chosen, tried = search["hyperparameters"], search["grid"]
            best = _fit(dataset, model, seed, chosen)
        else:
            chosen, best, tried = _search(dataset, model, seed)
        facts = {
            "hyperparameters": chosen,
            "grid": tried,
            "history": best.history,
            "best_epoch": best.best_epoch,
            "seconds": best.seconds,
            "environment": {
                **environment("cpu"),
                **{package: version(package) for package in ("recbole", "scipy")},
            },
        }
        return facts, best.ranks

    return compute_baseline(root, spec, run)


def _search(
    dataset: Dataset, model: str, seed: int
) -> tuple[dict[str, float], Fitted, list[dict[str, object]]]:
    """Fit every member of the grid; return the best one's options, its fit, and the record."""
    grid, kind = GRIDS[model], CHOSEN_BY[model]
    best, tried = None, []
    for values in product(*grid.values()):
        options = dict(zip(grid, values, strict=True))
        fitted = _fit(dataset, model, seed, options)
        tried.append(
            {
                "hyperparameters": options,
                "seed": seed,
                **{f"valid_{k}": fitted.valid_ndcg(k) for k in ("unfiltered", "filtered")},
                "best_epoch": fitted.best_epoch,
                "epochs": len(fitted.history),
                "seconds": fitted.seconds,
            }
        )
        if best is None or fitted.valid_ndcg(kind) > best[1].valid_ndcg(kind):
            best = options, fitted
    return *best, tried


def _fit(dataset: Dataset, model: str, seed: int, options: Mapping[str, float]) -> Fitted:
    label = " ".join(
        [dataset.name, model, f"seed {seed}", *(f"{k}={v}" for k, v in options.items())]
    )

    def report(epoch: Mapping[str, float]) -> None:
        _log(
            f"{label} epoch {epoch['epoch']}: loss {epoch['loss']:.3f}, NDCG@10 "
            f"{epoch['valid_ndcg']:.4f}, {epoch['seconds']:.1f} s"
        )

    fitted = fit(model, dataset, seed, options, report)
    ndcg = fitted.valid_ndcg(CHOSEN_BY[model])
    _log(f"{label}: validation NDCG@10 {ndcg:.4f}, {fitted.seconds:.1f} s")
    return fitted


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _wanted(models: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
    for model in models:
        yield from product([model], seeds if model in TRAINED else [SEARCH_SEED])


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing and print every test NDCG@10; return 0, or 2 after a user's error."""
    options = _parser().parse_args(arguments)
    # As for our own fits: the bits don't depend on how many cores the machine has.
    torch.set_num_threads(1)
    try:
        for name in options.dataset:
            dataset = load_dataset(name)
            for model, seed in _wanted(options.model, options.seed):
                baseline = fit_baseline(options.output, dataset, model, seed)
                ndcg = baseline.facts["metrics"]["test_unfiltered"]["NDCG@10"]
                print(f"{name} {model} seed {seed}: test NDCG@10 {ndcg:.4f}", flush=True)
    except SeqattnError as error:
        _log(f"seqattn: {error}")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m seqattn.recbole.baselines",
        description=__doc__.partition("\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-d", "--dataset", nargs="+", required=True, help="names or YAML files")
    parser.add_argument("-m", "--model", nargs="+", choices=list(GRIDS), default=list(GRIDS))
    parser.add_argument("-s", "--seed", nargs="+", type=int, default=[2020, 2021, 2022])
    parser.add_argument("-o", "--output", type=Path, default=Path("results/baselines"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
