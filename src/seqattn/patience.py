"""Whether the protocol stops SASRec too early: ``python -m seqattn.patience -d ml-100k``.

Each of a campaign's SASRec fits is repeated with more patience and a higher limit of epochs. The
records are small and committed; the page "Campaign" shows them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seqattn.book import ROOT, results_folder
from seqattn.campaign import BASELINE, SEEDS, chosen
from seqattn.data import Dataset, load_dataset
from seqattn.errors import SeqattnError
from seqattn.evaluation import metric
from seqattn.files import write_text
from seqattn.results import rank_matrix
from seqattn.stats import bootstrap_means, percentile_interval
from seqattn.store import Cell, Store
from seqattn.training.cells import fit_cell

CAMPAIGN = ROOT / "results" / "campaign"
RECORDS = ROOT / "results" / "patience"
PATIENCE, EPOCHS = 20, 100  # four times and twice the protocol's


def repeat(
    results_dir: str | Path, dataset: Dataset, store: Store, *, device: str = "cpu"
) -> dict[str, Any]:
    """Fit SASRec once more with more patience, and compare with a campaign's fits.

    Parameters
    ----------
    results_dir : str or Path
        The campaign, with SASRec's search on the dataset and its fits.
    dataset : Dataset
        The data.
    store : Store
        Where longer fits are kept; those it has are not fitted again.
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    dict
        dataset, cells (keys of the campaign's fits), patience, limit (of epochs), usual_epochs and
        epochs (the best ones, by seed), at_the_limit (longer fits that it ended), usual and mean
        (test NDCG@10), change, low, high (percent of `usual`; the 95 % interval resamples users,
        averaged over seeds), environment.

    Raises
    ------
    SeqattnError
        If the search or a fit is missing from the campaign, or was of other data.
    """
    found = chosen(results_dir, dataset.name, BASELINE, "published", reference=dataset.reference)
    if found.fingerprint != dataset.fingerprint:
        raise SeqattnError(
            f"the search of {BASELINE!r} on {dataset.name!r} in {results_dir} was of another "
            "version of the data"
        )
    kept = [Store(results_dir).get(found.spec(seed)) for seed in SEEDS]
    usual = [cell for cell in kept if cell is not None]
    if len(usual) < len(SEEDS):
        raise SeqattnError(
            f"{results_dir} has {len(usual)} of {len(SEEDS)} fits of {BASELINE!r} on "
            f"{dataset.name!r}; fit them first (`seqattn fit --preset published`)"
        )
    train = replace(found.train_config, patience=PATIENCE, epochs=EPOCHS)
    specs = [replace(found.spec(seed), train_config=train) for seed in SEEDS]
    longer = [fit_cell(store, dataset, spec, device=device) for spec in specs]
    return {
        "dataset": dataset.name,
        "cells": [cell.spec.key for cell in usual],
        "patience": PATIENCE,
        "limit": EPOCHS,
        "usual_epochs": [cell.facts["best_epoch"] for cell in usual],
        "epochs": [cell.facts["best_epoch"] for cell in longer],
        "at_the_limit": sum(len(cell.facts["history"]) >= EPOCHS for cell in longer),
        **_compared(usual, longer),
        "environment": longer[0].facts["environment"],
    }


def _compared(usual: Sequence[Cell], longer: Sequence[Cell]) -> dict[str, float]:
    usual_U, longer_U = (
        metric(rank_matrix(group), "NDCG", 10).mean(axis=0) for group in (usual, longer)
    )
    percent = 100 / usual_U.mean() if usual_U.any() else np.nan
    change_B = bootstrap_means(longer_U - usual_U) * percent
    low, high = percentile_interval(change_B)
    return {
        "usual": float(usual_U.mean()),
        "mean": float(longer_U.mean()),
        "change": float((longer_U - usual_U).mean() * percent),
        "low": float(low),
        "high": float(high),
    }


def read_records(folder: str | Path = RECORDS) -> dict[str, dict[str, Any]]:
    """Return the records of a folder, by dataset."""
    records = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]
    return {record["dataset"]: record for record in records}


def main() -> int:
    """Repeat SASRec's fits of some datasets; return 0, or 2 after a user's error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-d", "--dataset", nargs="+", required=True, help="names")
    parser.add_argument("--results", type=Path, default=CAMPAIGN, help="the campaign's folder")
    parser.add_argument("--store", default="", help="for longer fits; default: .seqattn/results")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("-o", "--output", type=Path, default=RECORDS, help="folder of records")
    options = parser.parse_args()
    try:
        for name in options.dataset:
            dataset, store = load_dataset(name), Store(results_folder(options.store))
            record = repeat(options.results, dataset, store, device=options.device)
            text = json.dumps(record, indent=1) + "\n"
            print(write_text(options.output / f"{dataset.name}.json", text))
    except SeqattnError as error:
        print(f"seqattn: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
