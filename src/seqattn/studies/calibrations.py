"""Calibrate the verdicts of a campaign: ``python -m seqattn.studies.calibrations``.

For each dataset and design whose cells are complete, the dual criterion is put on trial on each
variant's differences from SASRec, see `seqattn.stats.calibration`. The records are small and
committed; the page "Calibration" is made from them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from seqattn.config import BASELINE, DESIGNS, SEEDS, VARIANTS
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, write_text
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Run
from seqattn.search.record import ON_DISK, searches
from seqattn.stats.calibration import calibrate
from seqattn.stats.metrics import metric
from seqattn.stats.variance import pooling_levels
from seqattn.studies.tables import finished_runs

RESULTS = ROOT / "results" / "campaign"


RECORDS = ROOT / "results" / "calibration"


METRIC, CUTOFF = "NDCG", 10


RHOS = (-0.15, -0.05, 0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


def calibrate_campaign(
    results_dir: str | Path, folder: str | Path, *, replicates: int = 1000
) -> list[Path]:
    """Calibrate every complete pair that has no record of these very cells yet; return new files.

    Parameters
    ----------
    results_dir : str or Path
        The campaign.
    folder : str or Path
        Where records lie, ``<dataset>-<variant>-<design>.json`` and ``pooling.json``.
    replicates : int
        Studies simulated in each world.

    Raises
    ------
    SeqattnError
        If a record can't be written.
    """
    new, pooling = [], Path(folder) / "pooling.json"
    if [row["rho"] for row in _read(pooling, [])] != list(RHOS):
        levels = pooling_levels(RHOS, replicates=2 * replicates)
        new.append(write_text(pooling, json.dumps(levels, indent=1) + "\n"))
    datasets = sorted({search.dataset for search in searches(results_dir)})
    for dataset, design in product(datasets, DESIGNS):
        cells = finished_runs(results_dir, dataset, design)
        for variant in VARIANTS:
            pair = [cells.get(model, []) for model in (BASELINE, variant)]
            if any(len(group) < len(SEEDS) for group in pair):
                continue
            path = Path(folder) / f"{dataset}-{variant}-{ON_DISK[design]}.json"
            keys = [cell.spec.key for group in pair for cell in group]
            identity = {"cells": keys, "replicates": replicates}
            if identity.items() <= _read(path, {}).items():
                continue
            record = {
                "dataset": _title(dataset),
                "variant": variant,
                "design": ON_DISK[design],
                "metric": f"{METRIC}@{CUTOFF}",
                "cells": keys,
                **_calibrated(pair, replicates),
            }
            new.append(write_text(path, json.dumps(record, indent=1) + "\n"))
    return new


def _calibrated(pair: Sequence[Sequence[Run]], replicates: int) -> dict[str, Any]:
    """Return the calibration of baseline and variant as plain values."""
    base, changed = (metric(rank_matrix(group), METRIC, CUTOFF) for group in pair)
    return calibrate(base, changed, replicates=replicates).to_dict()


def _read(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else otherwise


def _title(dataset: str) -> str:
    """Return the name of the file that was read, which may hold a part of the dataset only."""
    record = ROOT / "results" / "datasets" / dataset / "dataset.json"
    return json.loads(record.read_text())["title"] if record.exists() else dataset


def read_calibrations(folder: str | Path = RECORDS) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the records of cells, by dataset, design and variant, and that of pooling.

    Records that name no design, as an older version wrote them, are left out.
    """
    records = [json.loads(path.read_text()) for path in Path(folder).glob("*-*.json")]
    named = {word: design for design, word in ON_DISK.items()}
    records = [r | {"design": named[r["design"]]} for r in records if r.get("design") in named]
    records.sort(
        key=lambda r: (
            r["dataset"].casefold(),
            DESIGNS.index(r["design"]),
            VARIANTS.index(r["variant"]),
        )
    )
    return records, _read(Path(folder) / "pooling.json", [])


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
