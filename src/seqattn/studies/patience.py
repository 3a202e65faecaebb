"""Whether the protocol stops its models too early: ``python -m seqattn.studies.patience``.

A campaign's fits as published are repeated with more patience and a higher limit of epochs. The
records are small and committed; the page "Campaign" shows them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from seqattn.config import BASELINE, SEEDS, VARIANTS
from seqattn.data import Dataset, load_dataset
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, results_folder, write_text
from seqattn.runs.fitting import fit_runs, run_spec
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Run, RunSpec, Store
from seqattn.search.record import settings
from seqattn.stats import dual_criterion
from seqattn.stats.metrics import metric
from seqattn.studies.judge import relative

CAMPAIGN = ROOT / "results" / "campaign"


RECORDS = ROOT / "results" / "patience"


PATIENCE, EPOCHS = 20, 100  # four times and twice the protocol's


def repeat(
    results_dir: str | Path,
    dataset: Dataset,
    store: Store,
    variants: Sequence[str] = VARIANTS,
    *,
    device: str = "cpu",
) -> dict[str, Any]:
    """Fit SASRec and variants once more with more patience, and compare with a campaign's fits.

    Parameters
    ----------
    results_dir : str or Path
        The campaign, with the searches as published on the dataset and their fits.
    dataset : Dataset
        The data.
    store : Store
        Where longer fits are kept; those it has are not fitted again.
    variants : sequence of str
        Names.
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    dict
        dataset, patience, limit (of epochs), environment, and

        - models: a row a model with cells (keys of the campaign's fits), usual_epochs and epochs
          (the best ones, by seed), at_the_limit (longer fits that it ended), and the longer fits'
          test NDCG@10 against the usual ones', see below;
        - verdicts: by variant, its longer fits against SASRec's longer ones, each with its own
          search (``own``), and both with what the variant's search found (``control``).

        A comparison has base and level (both means), change, low, high (percent of `base`,
        clustered by user) and robust, by the dual criterion.

    Raises
    ------
    SeqattnError
        If a search or a fit is missing from the campaign, or was of other data.
    """
    fits = partial(fit_runs, store, dataset, device=device, progress=sys.stderr.isatty())
    rows, longer, verdicts = [], {}, {}
    for model in (BASELINE, *variants):
        usual = _kept(results_dir, dataset, model)
        specs = [_more_patient(cell.spec) for cell in usual]
        longer[model] = fits(specs)
        row = {
            "model": model,
            "cells": [cell.spec.key for cell in usual],
            "usual_epochs": [cell.facts["best_epoch"] for cell in usual],
            "epochs": [cell.facts["best_epoch"] for cell in longer[model]],
            "at_the_limit": sum(len(c.facts["history"]) >= EPOCHS for c in longer[model]),
        }
        rows.append(row | _compared(usual, longer[model]))
        if model != BASELINE:
            control = fits([replace(spec, model=BASELINE) for spec in specs])
            verdicts[model] = {
                "own": _compared(longer[BASELINE], longer[model]),
                "control": _compared(control, longer[model]),
            }
    return {
        "dataset": dataset.name,
        "patience": PATIENCE,
        "limit": EPOCHS,
        "models": rows,
        "verdicts": verdicts,
        "environment": longer[BASELINE][0].facts["environment"],
    }


def _kept(results_dir: str | Path, dataset: Dataset, model: str) -> list[Run]:
    """Return a campaign's fits of a model as published, in the order of seeds."""
    preset = settings(results_dir, dataset, model, "own_search")
    kept = [Store(results_dir).get(run_spec(dataset, model, seed, preset)) for seed in SEEDS]
    cells = [cell for cell in kept if cell is not None]
    if len(cells) < len(SEEDS):
        raise SeqattnError(
            f"{results_dir} has {len(cells)} of {len(SEEDS)} fits of {model!r} on "
            f"{dataset.name!r}; fit them first (`seqattn fit --preset published`)"
        )
    return cells


def _more_patient(spec: RunSpec) -> RunSpec:
    train = replace(spec.train_config, patience=PATIENCE, epochs=EPOCHS)
    return replace(spec, train_config=train)


def _compared(base: Sequence[Run], other: Sequence[Run]) -> dict[str, Any]:
    base_SU, other_SU = (metric(rank_matrix(group), "NDCG", 10) for group in (base, other))
    levels = {"base": float(base_SU.mean()), "level": float(other_SU.mean())}
    return levels | relative(dual_criterion(base_SU, other_SU), base_SU)


def read_records(folder: str | Path = RECORDS) -> dict[str, dict[str, Any]]:
    """Return the records of a folder, by dataset."""
    records = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]
    return {record["dataset"]: record for record in records}


def main() -> int:
    """Repeat the fits of some datasets; return 0, or 2 after a user's error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-d", "--dataset", nargs="+", required=True, help="names")
    told = "variants beside SASRec, or none; default: all"
    parser.add_argument("-m", "--model", nargs="*", choices=VARIANTS, default=VARIANTS, help=told)
    parser.add_argument("--results", type=Path, default=CAMPAIGN, help="the campaign's folder")
    parser.add_argument("--store", default="", help="for longer fits; default: .seqattn/results")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("-o", "--output", type=Path, default=RECORDS, help="folder of records")
    options = parser.parse_args()
    try:
        for name in options.dataset:
            dataset, store = load_dataset(name), Store(results_folder(options.store))
            record = repeat(options.results, dataset, store, options.model, device=options.device)
            text = json.dumps(record, indent=1) + "\n"
            print(write_text(options.output / f"{dataset.name}.json", text))
    except SeqattnError as error:
        print(f"seqattn: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
