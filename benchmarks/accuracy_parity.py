"""Does the fast engine learn what the slow ones learn? RecBole against our modes.

All train on the same prepared data with the same hyperparameters, and each epoch's weights rank the
same validation targets. A setting is a dataset with hyperparameters: the quick preset's, or for
``ml-100k-deep`` three layers and a high learning rate, as a search may well choose. RecBole's
SASRec is its own class with its own loss, on one row a prefix; its weights are converted for the
ranking. A mode is named by how far its windows advance; with L = 200 instead of 50 nearly every
history is one window. ``prefix`` gives every target a row of its own, as RecBole does; ``sliding``
reads whole histories under a window of 50, with positions
relative to the query, and ``sliding-200`` under one of 200, with the batches and the feed-forward
of RecTools' fast network, which is ``rectools-fast``; ``sliding-200-narrow`` has the feed-forward
of RecTools' SASRecModel, which is ``rectools-native``. Setting ``ml-100k-200`` gives these four
more epochs, enough for RecTools' to learn. It all takes hours: each (setting, contestant, seed) is
kept in ``benchmarks/results/parity`` when it is done, so that a run that was stopped goes on, on
another machine too.

    python -m benchmarks.accuracy_parity [-s ml-100k] [--seeds 2020 ...] [--contestants prefix ...]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import torch

from benchmarks import rectools
from benchmarks.common import RESULTS, finish
from seqattn import load_dataset
from seqattn.config import ModelConfig, TrainConfig, replace
from seqattn.data import Dataset
from seqattn.files import write_text
from seqattn.models.backbone import Backbone
from seqattn.presets import get_preset
from seqattn.stats import tost_paired
from seqattn.stats.metrics import metric
from seqattn.training.batches import Gatherer, next_item_plan, prefix_windows, random_batches
from seqattn.training.fit import fit
from seqattn.training.ranking import rank_targets

FOLDER = RESULTS / "parity"
OF_RECTOOLS = ("rectools-fast", "rectools-native")
LONG = ("sliding-200", "sliding-200-narrow", *OF_RECTOOLS)
STRIDES = ("stride 50", "stride 10", "L = 200, stride 200", "stride 1")
CONTESTANTS = (*STRIDES, "prefix", "sliding", "recbole", *LONG)
COMPARISONS = (
    ("stride 50", "stride 1"),
    ("stride 10", "stride 1"),
    ("stride 50", "stride 10"),
    ("L = 200, stride 200", "stride 1"),
    ("stride 1", "prefix"),
    ("prefix", "recbole"),
    ("stride 1", "recbole"),
    ("stride 50", "recbole"),
    ("stride 10", "recbole"),
    ("sliding", "stride 10"),
    ("sliding", "recbole"),
    ("sliding-200", "rectools-fast"),
    ("sliding-200-narrow", "rectools-native"),
)


class Setting(NamedTuple):
    """What is the same for all contestants, who they are, and whose best the others aim at."""

    dataset: str
    epochs: int
    model: ModelConfig
    learning_rate: float
    contestants: tuple[str, ...] = CONTESTANTS
    aims: tuple[str, ...] = ("stride 1",)


QUICK = get_preset("quick")
BATCH_TARGETS = QUICK.train.batch_targets
SETTINGS = {
    name: Setting(name, epochs, QUICK.model, QUICK.train.learning_rate)
    for name, epochs in (("ml-100k", 8), ("amazon-office", 20), ("ml-1m", 8))
}
SETTINGS["ml-100k-deep"] = Setting(
    *("ml-100k", 15),
    ModelConfig(
        n_layers=3, n_heads=1, inner_size=256, hidden_dropout=0.231, attention_dropout=0.381
    ),
    4.5e-3,
)
SETTINGS["ml-100k-200"] = SETTINGS["ml-100k"]._replace(
    epochs=40, contestants=LONG, aims=OF_RECTOOLS
)
MARGIN = 0.05  # of the reference's NDCG@10: smaller differences count as none


def run(name: str, contestant: str, seed: int) -> None:
    """Train one contestant with one seed and keep its curve, unless that is done already."""
    path, setting = FOLDER / name / f"{contestant}-{seed}.json", SETTINGS[name]
    if path.exists() and _whole(json.loads(path.read_text()), setting):
        return
    torch.set_num_threads(1)
    dataset = load_dataset(setting.dataset)
    if contestant == "recbole":
        record = recbole(setting, dataset, seed)
    elif contestant in OF_RECTOOLS:
        if not rectools.available():
            return
        module = contestant.removeprefix("rectools-")
        record = rectools.fit(dataset, module, seed, setting.epochs, setting.learning_rate)
    else:
        record = ours(setting, dataset, contestant, seed)
    write_text(path, json.dumps(record) + "\n")
    best = max(record["valid"])
    print(f"{name} {contestant} seed {seed}: best validation NDCG@10 {best:.4f}", flush=True)


def ours(setting: Setting, dataset: Dataset, contestant: str, seed: int) -> dict[str, list[float]]:
    """Fit SASRec in one of our modes, every epoch of it."""
    model, config = mode(setting, dataset, contestant)
    config = replace(config, epochs=setting.epochs, patience=setting.epochs)
    return fitted(dataset, model, config, seed)


def fitted(
    dataset: Dataset, model: ModelConfig, config: TrainConfig, seed: int
) -> dict[str, list[float]]:
    """Fit SASRec; return validation NDCG@10 and seconds by epoch, and test ranks."""
    ticks = [time.process_time()]
    done = fit(
        *(dataset, "sasrec", seed, model, config),
        on_epoch=lambda _: ticks.append(time.process_time()),
    )
    return {
        "valid": [epoch.valid_ndcg for epoch in done.history],
        "seconds": [epoch.seconds for epoch in done.history],
        "cpu_seconds": np.diff(ticks).tolist(),
        "test_ranks": done.ranks["test_unfiltered"].tolist(),
    }


def mode(setting: Setting, dataset: Dataset, contestant: str) -> tuple[ModelConfig, TrainConfig]:
    """Return the settings of one of our modes."""
    train = TrainConfig(learning_rate=setting.learning_rate, batch_targets=BATCH_TARGETS)
    if contestant.startswith("sliding"):
        window = 200 if contestant in LONG else 50
        changes = {"positions": "relative", "sliding_window": window}
        model = replace(setting.model, **changes, max_length=window * setting.model.n_layers)
        if contestant in LONG:
            narrow = contestant == "sliding-200-narrow"
            inner = rectools.MODEL.inner_size if narrow else rectools.FAST_INNER
            model = replace(model, inner_size=inner)
            targets = rectools.train_config(dataset.split.train).batch_targets
            train = replace(train, batch_targets=targets)
        return model, replace(train, windows="whole")
    length, changes = {
        "stride 50": (50, {"stride": 50}),
        "stride 10": (50, {"stride": 10}),
        "L = 200, stride 200": (200, {"stride": 200}),
        "stride 1": (50, {"stride": 1}),
        "prefix": (50, {"windows": "prefix"}),
    }[contestant]
    return replace(setting.model, max_length=length), replace(train, **changes)


def recbole(setting: Setting, dataset: Dataset, seed: int) -> dict[str, list[float]]:
    """Train RecBole's SASRec on one row a prefix, as its own pipeline would make them."""
    from recbole.data.interaction import Interaction

    from seqattn.recbole import from_recbole

    torch.manual_seed(seed)
    model = recbole_model(setting.model, dataset)
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=setting.learning_rate)
    gatherer = Gatherer(dataset.split.train)
    windows = prefix_windows(dataset.split.train.offsets, setting.model.max_length)
    valid, seconds, best = [], [], None
    for _ in range(setting.epochs):
        started = time.perf_counter()
        model.train()
        for chosen in random_batches(windows, BATCH_TARGETS, rng):
            batch = gatherer.batch(next_item_plan(windows, chosen))
            width = setting.model.max_length - batch.items_BT.shape[1]
            rows = {
                "item_id_list": torch.nn.functional.pad(batch.items_BT, (0, width)),
                "item_length": torch.as_tensor(windows.length[chosen]),
                "item_id": batch.targets,
            }
            optimiser.zero_grad()
            model.calculate_loss(Interaction(rows)).backward()
            optimiser.step()
        converted: Backbone = from_recbole(model).eval()
        ranks = rank_targets(converted, dataset.split, "valid")["unfiltered"]
        valid.append(float(metric(ranks, "NDCG", 10).mean()))
        seconds.append(time.perf_counter() - started)
        if valid[-1] == max(valid):
            best = rank_targets(converted, dataset.split, "test")["unfiltered"].tolist()
    return {"valid": valid, "seconds": seconds, "test_ranks": best}


def recbole_model(settings: ModelConfig, dataset: Dataset) -> torch.nn.Module:
    """Return RecBole's SASRec with our settings."""
    from seqattn.recbole.subjects import configured  # first: it lets RecBole's models be imported

    from recbole.model.sequential_recommender import SASRec  # isort: skip

    options = {
        "n_layers": settings.n_layers,
        "n_heads": settings.n_heads,
        "hidden_size": settings.hidden_size,
        "inner_size": settings.inner_size,
        "hidden_dropout_prob": settings.hidden_dropout,
        "attn_dropout_prob": settings.attention_dropout,
        "MAX_ITEM_LIST_LENGTH": settings.max_length,
        "train_neg_sample_args": None,
    }
    return configured(SASRec, dataset, options)[0]


def report() -> None:
    """Summarise whatever is done, of every setting."""
    done = {name: {c: records(name, c) for c in CONTESTANTS} for name in SETTINGS}
    rows = [
        contestant_row(setting, name, contestants)
        for setting, contestants in done.items()
        for name in CONTESTANTS
        if contestants[name]
    ]
    rows += [
        {"setting": name, "contestant": ", ".join(SETTINGS[name].contestants), "seeds": "not run"}
        for name, contestants in done.items()
        if not any(contestants.values())
    ]
    comparisons = [
        comparison(setting, name, reference, contestants)
        for setting, contestants in done.items()
        for name, reference in COMPARISONS
        if contestants[name].keys() & contestants[reference].keys()
    ]
    curves = [
        {"setting": setting, "contestant": name, "seed": seed, "seconds": r["seconds"],
         "valid": r["valid"]}
        for setting, contestants in done.items()
        for name, records in contestants.items()
        for seed, r in records.items()
    ]  # fmt: skip
    finish("accuracy_parity", rows, {"comparisons": comparisons, "curves": curves})


def records(name: str, contestant: str) -> dict[int, dict]:
    """Return what a contestant learned, by seed; what has another number of epochs is left out."""
    named = ((path, path.stem.rpartition("-")) for path in sorted((FOLDER / name).glob("*.json")))
    found = {
        int(seed): json.loads(path.read_text())
        for path, (who, _, seed) in named
        if who == contestant
    }
    return {seed: record for seed, record in found.items() if _whole(record, SETTINGS[name])}


def _whole(record: dict, setting: Setting) -> bool:
    return len(record["valid"]) == setting.epochs


def contestant_row(
    setting: str, name: str, contestants: dict[str, dict[int, dict]]
) -> dict[str, object]:
    """Return one contestant's accuracy, cost an epoch, and time to the bests aimed at."""
    own = list(contestants[name].values())
    row = {
        "setting": setting,
        "contestant": name,
        "seeds": len(own),
        "epochs": SETTINGS[setting].epochs,
        "best valid NDCG@10": float(np.mean([max(record["valid"]) for record in own])),
        "test NDCG@10": float(np.mean([ndcg(r["test_ranks"]).mean() for r in own])),
        "s/epoch": float(np.median([s for r in own for s in r["seconds"]])),
    }
    if all("cpu_seconds" in record for record in own):
        cpu = [s for record in own for s in record["cpu_seconds"]]
        row["processor s/epoch"] = float(np.median(cpu))
    curve = _curve(own)
    for aim in SETTINGS[setting].aims:
        if contestants[aim]:
            best = _curve(contestants[aim].values()).max()
            row[f"to {aim}'s best"] = _reached(curve, best, row)
    return row


def _curve(records: Iterable[dict]) -> np.ndarray:
    return np.mean([record["valid"] for record in records], axis=0)


def _reached(curve: np.ndarray, aim: float, row: dict[str, object]) -> str:
    """Return the first epoch at an aim and the time until then, the processor's where known."""
    at = np.flatnonzero(curve >= aim) + 1
    if not len(at):
        return "never"
    if "processor s/epoch" in row:
        return f"epoch {at[0]}, {at[0] * row['processor s/epoch'] / 60:.1f} processor minutes"
    return f"epoch {at[0]}, {at[0] * row['s/epoch']:,.0f} s"


def comparison(
    setting: str, name: str, reference: str, contestants: dict[str, dict[int, dict]]
) -> dict[str, object]:
    """Compare a mode with a reference on the users of the seeds both have."""
    sides = contestants[name], contestants[reference]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    ours, theirs = (np.mean([ndcg(side[s]["test_ranks"]) for s in seeds], axis=0) for side in sides)
    tost = tost_paired(theirs, ours, MARGIN * theirs.mean())
    return {
        "setting": setting,
        "comparison": f"{name} minus {reference}",
        "seeds": len(seeds),
        "users": len(ours),
        "NDCG@10": tost.difference,
        "90 % interval": list(tost.ci),
        "margin": MARGIN * float(theirs.mean()),
        "reads": reading(bool(tost.equivalent), *tost.ci),
    }


def reading(equivalent: bool, low: float, high: float) -> str:
    """Return in a word what a 90 % interval of the difference shows."""
    if equivalent:
        return "equivalent"
    return "higher" if low > 0 else "lower" if high < 0 else "can't be told"


def ndcg(ranks: list[int] | np.ndarray) -> np.ndarray:
    """Return each target's NDCG@10."""
    return metric(np.asarray(ranks), "NDCG", 10)


def main() -> None:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-s", "--setting", default="ml-100k", choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(2020, 2025)))
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    o = parser.parse_args()
    contestants = o.contestants or SETTINGS[o.setting].contestants
    with ProcessPoolExecutor(o.workers, get_context("spawn")) as pool:
        jobs = [pool.submit(run, o.setting, name, s) for s in o.seeds for name in contestants]
        for job in jobs:
            job.result()
    report()


if __name__ == "__main__":
    main()
