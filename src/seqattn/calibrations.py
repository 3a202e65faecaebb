"""Calibrate the verdicts of a campaign: ``python -m seqattn.calibrations``.

For each dataset whose cells are complete in the matched design, the dual criterion is put on trial
on each variant's differences from SASRec, see `seqattn.stats.calibration`. The records are small
and committed; the page "Calibration" is made from them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from seqattn.book import ROOT
from seqattn.campaign import BASELINE, SEEDS, VARIANTS, finished_cells, searches
from seqattn.errors import SeqattnError
from seqattn.evaluation import metric
from seqattn.files import write_text
from seqattn.results import rank_matrix
from seqattn.stats.calibration import calibrate
from seqattn.stats.variance import pooling_levels

RESULTS = ROOT / "results" / "campaign"
RECORDS = ROOT / "results" / "calibration"
DESIGN, METRIC, CUTOFF = "matched", "NDCG", 10
RHOS = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


def calibrate_campaign(
    results_dir: str | Path, folder: str | Path, *, replicates: int = 1000
) -> list[Path]:
    """Calibrate every complete pair that has no record of these very cells yet; return new files.

    Parameters
    ----------
    results_dir : str or Path
        The campaign.
    folder : str or Path
        Where records lie, ``<dataset>-<variant>.json`` and ``pooling.json``.
    replicates : int
        Studies simulated in each world.

    Raises
    ------
    SeqattnError
        If a record can't be written.
    """
    new, pooling = [], Path(folder) / "pooling.json"
    if not pooling.exists():
        levels = pooling_levels(RHOS, replicates=2 * replicates)
        new.append(write_text(pooling, json.dumps(levels, indent=1) + "\n"))
    for dataset in sorted({search.dataset for search in searches(results_dir)}):
        cells = finished_cells(results_dir, dataset, DESIGN)
        for variant in VARIANTS:
            pair = [cells.get(model, []) for model in (BASELINE, variant)]
            if any(len(group) < len(SEEDS) for group in pair):
                continue
            path = Path(folder) / f"{dataset}-{variant}.json"
            keys = [cell.spec.key for group in pair for cell in group]
            identity = {"cells": keys, "replicates": replicates}
            if path.exists() and identity.items() <= json.loads(path.read_text()).items():
                continue
            base, changed = (metric(rank_matrix(group), METRIC, CUTOFF) for group in pair)
            record = {
                "dataset": _title(dataset),
                "variant": variant,
                "metric": f"{METRIC}@{CUTOFF}",
                "cells": keys,
                **calibrate(base, changed, replicates=replicates).to_dict(),
            }
            new.append(write_text(path, json.dumps(record, indent=1) + "\n"))
    return new


def _title(dataset: str) -> str:
    """Return the name of the file that was read, which may hold a part of the dataset only."""
    record = ROOT / "results" / "datasets" / dataset / "dataset.json"
    return json.loads(record.read_text())["title"] if record.exists() else dataset


def read_calibrations(folder: str | Path = RECORDS) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the records of cells, sorted by file, and that of the pooled bootstrap."""
    paths = sorted(Path(folder).glob("*-*.json"))
    pooling = Path(folder) / "pooling.json"
    levels = json.loads(pooling.read_text()) if pooling.exists() else []
    return [json.loads(path.read_text()) for path in paths], levels


def main() -> int:
    """Calibrate what is complete; return 0, or 2 after a user's error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="results folder")
    parser.add_argument("-o", "--output", type=Path, default=RECORDS, help="folder of records")
    parser.add_argument("--replicates", type=int, default=1000, help="studies a world")
    options = parser.parse_args()
    try:
        new = calibrate_campaign(options.results, options.output, replicates=options.replicates)
    except SeqattnError as error:
        print(f"seqattn: {error}", file=sys.stderr)
        return 2
    print(*new, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
