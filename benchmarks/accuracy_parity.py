"""Does the fast engine learn what the slow ones learn? RecBole against our exact and packed modes.

All train on the same prepared ML-100K with the quick preset's hyperparameters, and each epoch's
weights rank the same validation targets. RecBole's SASRec is its own class with its own loss, on
one row a prefix; its weights are converted for the ranking. Long: each (contestant, seed) is kept
in ``.seqattn/parity`` when it is done, so an interrupted run goes on where it stopped.

    python -m benchmarks.accuracy_parity [--seeds 2020 ...] [--contestants packed exact ...]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch

from benchmarks.common import finish
from seqattn import load_dataset
from seqattn.book import ROOT
from seqattn.config import get_preset, replace
from seqattn.data import Dataset
from seqattn.evaluation import metric, rank_targets
from seqattn.models.backbone import Backbone
from seqattn.stats import tost_paired
from seqattn.training.batches import Gatherer, prefix_windows, random_batches
from seqattn.training.fit import fit

FOLDER = ROOT / ".seqattn" / "parity"
CONTESTANTS = ("packed", "exact", "recbole")
QUICK = get_preset("quick")
MARGIN = 0.05  # of the reference's NDCG@10: smaller differences count as none


def run(contestant: str, seed: int) -> None:
    """Train one contestant with one seed and keep its curve, unless that is done already."""
    path = FOLDER / f"{contestant}-{seed}.json"
    if path.exists():
        return
    torch.set_num_threads(1)
    dataset = load_dataset("ml-100k")
    record = recbole(dataset, seed) if contestant == "recbole" else ours(dataset, contestant, seed)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record))
    partial.replace(path)
    print(
        f"{contestant} seed {seed}: best validation NDCG@10 {max(record['valid']):.4f}", flush=True
    )


def ours(dataset: Dataset, contestant: str, seed: int) -> dict[str, list[float]]:
    """Fit SASRec in one of our modes."""
    stride = {"packed": QUICK.train.stride, "exact": 1}[contestant]
    config = replace(QUICK.train, stride=stride, patience=QUICK.train.epochs)
    fitted = fit(dataset, "sasrec", seed, QUICK.model, config)
    return {
        "valid": [epoch.valid_ndcg for epoch in fitted.history],
        "seconds": [epoch.seconds for epoch in fitted.history],
        "test_ranks": fitted.ranks["test_unfiltered"].tolist(),
    }


def recbole(dataset: Dataset, seed: int) -> dict[str, list[float]]:
    """Train RecBole's SASRec on one row a prefix, as its own pipeline would make them."""
    from recbole.data.interaction import Interaction

    from seqattn.recbole import from_recbole

    torch.manual_seed(seed)
    model = recbole_model(dataset)
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=QUICK.train.learning_rate)
    gatherer = Gatherer(dataset.split.train)
    windows = prefix_windows(dataset.split.train.offsets, QUICK.model.max_length)
    valid, seconds, best = [], [], None
    for _ in range(QUICK.train.epochs):
        started = time.perf_counter()
        model.train()
        for chosen in random_batches(windows, QUICK.train.batch_targets, rng):
            batch = gatherer.next_item_batch(windows, chosen)
            width = QUICK.model.max_length - batch.items_BT.shape[1]
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


def recbole_model(dataset: Dataset) -> torch.nn.Module:
    """Return RecBole's SASRec with the quick preset's widths."""
    from recbole.config import Config

    # Importing RecBole's models turns anomaly detection on for the whole process.
    with torch.autograd.set_detect_anomaly(False):
        from recbole.model.sequential_recommender import SASRec

    settings = QUICK.model
    options = {
        "n_layers": settings.n_layers,
        "n_heads": settings.n_heads,
        "hidden_size": settings.hidden_size,
        "inner_size": settings.inner_size,
        "hidden_dropout_prob": settings.hidden_dropout,
        "attn_dropout_prob": settings.attention_dropout,
        "MAX_ITEM_LIST_LENGTH": settings.max_length,
        "train_neg_sample_args": None,
        "gpu_id": "",
    }
    with patch.object(sys, "argv", sys.argv[:1]), patch.dict(os.environ):
        config = Config(model=SASRec, dataset="none", config_dict=options)
    return SASRec(config, SimpleNamespace(num=lambda field: dataset.n_items + 1))


def report() -> None:
    """Summarise whatever is done."""
    done = {
        name: {
            int(p.stem.split("-")[1]): json.loads(p.read_text())
            for p in sorted(FOLDER.glob(f"{name}-*.json"))
        }
        for name in CONTESTANTS
    }
    rows = []
    for name, records in done.items():
        if not records:
            continue
        test = [metric(np.array(r["test_ranks"]), "NDCG", 10).mean() for r in records.values()]
        rows.append(
            {
                "contestant": name,
                "seeds": len(records),
                "best validation NDCG@10": float(
                    np.mean([max(r["valid"]) for r in records.values()])
                ),
                "test NDCG@10": float(np.mean(test)),
                "seconds an epoch": float(
                    np.median([s for r in records.values() for s in r["seconds"]])
                ),
            }
        )
    summary: dict[str, object] = {}
    for reference in ("exact", "recbole"):
        seeds = sorted(done["packed"].keys() & done[reference].keys())
        if seeds:
            packed, other = (
                np.mean(
                    [metric(np.array(done[n][s]["test_ranks"]), "NDCG", 10) for s in seeds], axis=0
                )
                for n in ("packed", reference)
            )
            tost = tost_paired(other, packed, MARGIN * other.mean())
            summary[f"packed_minus_{reference}"] = tost.difference
            summary[f"packed_minus_{reference}_ci90"] = list(tost.ci)
            summary[f"packed_equivalent_to_{reference}"] = bool(tost.equivalent)
            summary[f"packed_vs_{reference}_seeds"] = len(seeds)
    finish("accuracy_parity", rows, summary)


def main() -> None:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(2020, 2025)))
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=CONTESTANTS)
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        jobs = [pool.submit(run, name, s) for s in options.seeds for name in options.contestants]
        for job in jobs:
            job.result()
    report()


if __name__ == "__main__":
    main()
