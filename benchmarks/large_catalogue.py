"""Among 100,000 items, does a sampled loss learn what the full cross-entropy learns?

The log is generated, so that what can be known is known: 3,000 histories, 20 interactions long on
average. Items are popular by Zipf's law, and each is in one of 200 groups at random. The next
interaction is with probability 1/2 with an item of the last one's group, otherwise with any item,
either by popularity: `benchmarks.synthetic.grouped_dataset`. The *oracle* knows all probabilities;
*popularity* counts the training interactions.

All losses train SASRec at its default sizes, with the same batches, learning rate and epochs, on
one thread. Test ranks are among all items, with the weights of the best epoch on validation.
Seconds are the processor's, so that other work on the machine counts less.

The rule was written before the runs: a loss learns as much where the 90 % interval over users of
the difference in test NDCG@10 from the full cross-entropy lies within 5 % of the latter's. Learning
rate and epochs were chosen on a log of another seed, with the sampled softmax of popular negatives
alone, which may favour it. Each (loss, seed) is kept in ``benchmarks/results/large_catalogue`` when
it is done.

    python -m benchmarks.large_catalogue [--seeds 2020 ...] [--losses cross-entropy ...]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy_parity import MARGIN, comparison, fitted, ndcg
from benchmarks.common import RESULTS, finish
from benchmarks.synthetic import grouped_dataset, groups, popularity
from seqattn.config import ModelConfig, TrainConfig, replace
from seqattn.data import Dataset
from seqattn.files import write_text
from seqattn.training.ranking import Ranker

FOLDER = RESULTS / "large_catalogue"
N_ITEMS, N_USERS, MEAN_LENGTH, N_GROUPS, LOG_SEED = 100_000, 3_000, 20, 200, 0
FULL = "cross-entropy"
TRAIN = TrainConfig(learning_rate=3e-3, batch_targets=256, epochs=6, patience=6)
LOSSES = {
    FULL: TRAIN,
    "sampled softmax, uniform": replace(TRAIN, loss="sampled-softmax"),
    "sampled softmax, popular": replace(TRAIN, loss="sampled-softmax", negatives="popularity"),
    "sampled softmax, in-batch": replace(TRAIN, loss="sampled-softmax", negatives="batch"),
    "gBCE": replace(TRAIN, loss="gbce"),
    "gBCE, from its prior": replace(TRAIN, loss="gbce", score_offset="prior"),
}
SEEDS = (2020, 2021, 2022)
Records = dict[int, dict[str, list[float]]]


def log() -> Dataset:
    """Return the log that all losses train on."""
    return grouped_dataset(N_USERS, MEAN_LENGTH, N_ITEMS, N_GROUPS, LOG_SEED)


def run(dataset: Dataset, loss: str, seed: int) -> None:
    """Fit with one loss and one seed and keep its curve, unless that is done already."""
    path = _path(loss, seed)
    if path.exists():
        return
    record = fitted(dataset, ModelConfig(), LOSSES[loss], seed)
    write_text(path, json.dumps(record) + "\n")
    print(f"{loss} seed {seed}: best validation NDCG@10 {max(record['valid']):.4f}", flush=True)


def oracle_ranks(dataset: Dataset, group: np.ndarray) -> np.ndarray:
    """Return the rank of each test item by its true probability given the item before."""
    histories = dataset.split.context("test")
    last = histories.items[histories.offsets[1:] - 1]
    return _ranks(dataset, lambda users: chances(last[users], group))


def chances(last: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return each item's true probability after each of B items, (B, V + 1)."""
    chance = popularity(len(group) - 1)
    same_BV = group == group[last][:, None]
    return 0.5 * chance + 0.5 * same_BV * chance / (same_BV @ chance)[:, None]


def popularity_ranks(dataset: Dataset) -> np.ndarray:
    """Return the rank of each test item by its number of training interactions."""
    counts = np.bincount(dataset.split.train.items, minlength=dataset.n_items + 1)
    return _ranks(dataset, lambda users: np.tile(counts, (len(users), 1)))


def _ranks(dataset: Dataset, scores: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    ranker = Ranker(dataset.split, "test")
    return ranker.rank(lambda users: torch.tensor(scores(users)), filtered=False)["unfiltered"]


def records(loss: str) -> Records:
    """Return what was kept of a loss, by seed."""
    paths = {seed: _path(loss, seed) for seed in SEEDS}
    return {seed: json.loads(path.read_text()) for seed, path in paths.items() if path.exists()}


def _path(loss: str, seed: int) -> Path:
    return FOLDER / f"{loss.replace(', ', '-').replace(' ', '-')}-{seed}.json"


def report(dataset: Dataset) -> None:
    """Summarise whatever is done."""
    found = {loss: records(loss) for loss in LOSSES}
    scale = {
        "oracle": oracle_ranks(dataset, groups(dataset.n_items, N_GROUPS, LOG_SEED)),
        "popularity": popularity_ranks(dataset),
    }
    rows = [row(loss, own, found[FULL]) for loss, own in found.items()]
    rows += [{"loss": name, "test NDCG@10": float(ndcg(r).mean())} for name, r in scale.items()]
    others = [loss for loss in LOSSES if loss != FULL and found[loss].keys() & found[FULL].keys()]
    compared = [comparison("large catalogue", loss, FULL, found) for loss in others]
    curves = [
        {"loss": loss, "seed": seed, "valid": r["valid"], "cpu_seconds": r["cpu_seconds"]}
        for loss, own in found.items()
        for seed, r in own.items()
    ]
    finish("large_catalogue", rows, {"comparisons": compared, "curves": curves})


def row(loss: str, own: Records, full: Records) -> dict[str, object]:
    """Return one loss's accuracy, cost, and time to within the margin of the full one's best."""
    if not own:
        return {"loss": loss, "seeds": "not run"}
    missing = [str(seed) for seed in SEEDS if seed not in own]
    curve, seconds = (_mean(own, name) for name in ("valid", "cpu_seconds"))
    told: dict[str, object] = {
        "loss": loss,
        "seeds": f"{len(own)}; not run: {', '.join(missing)}" if missing else f"{len(own)}",
        "best valid NDCG@10": float(np.mean([max(record["valid"]) for record in own.values()])),
        "test NDCG@10": float(np.mean([ndcg(r["test_ranks"]).mean() for r in own.values()])),
        "processor s/epoch": float(np.median(seconds)),
    }
    if full:
        rising = ", still rising" if curve.argmax() + 1 == len(curve) else ""
        reached = np.flatnonzero(curve >= (1 - MARGIN) * _mean(full, "valid").max())
        told[f"to within 5 % of {FULL}'s best"] = (
            f"epoch {reached[0] + 1}, {seconds[: reached[0] + 1].sum():,.0f} s"
            if len(reached)
            else f"not in {len(curve)} epochs" + rising
        )
    return told


def _mean(own: Records, name: str) -> np.ndarray:
    return np.mean([record[name] for record in own.values()], axis=0)


def main() -> None:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), choices=SEEDS)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    o = parser.parse_args()
    torch.set_num_threads(1)
    dataset = log()
    for seed in o.seeds:
        for loss in o.losses:
            run(dataset, loss, seed)
    report(dataset)


if __name__ == "__main__":
    main()
