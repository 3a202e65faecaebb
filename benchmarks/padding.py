"""How many positions each way of training computes for a target, and how many are padding.

Counted from one epoch's batches of the preset `fixed`, or of `fixed-relative` for whole histories;
nothing is trained or timed. RecBole's rows are one a target, each padded to L.

    python -m benchmarks.padding [DATASET ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np

from benchmarks.common import finish
from seqattn.config import replace
from seqattn.data import Dataset, load_dataset
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.presets import Preset, get_preset
from seqattn.studies.study import read_study
from seqattn.training import batches
from seqattn.training.batches import Batch, prefix_windows
from seqattn.training.fit import training_batches
from seqattn.training.whole import WholeBatch

WINDOWS = {"stride 1": 1, "stride 10": 10, "stride 50": 50}
RECTANGLE = "stride 10, a batch one rectangle"


def measure(dataset: Dataset) -> list[dict[str, object]]:
    """Return a dataset's rows: positions computed for each target, and percent of padding."""
    fixed = get_preset("fixed").for_log(dataset.n_targets)
    counted = {"RecBole's rows": recbole_rows(dataset, fixed.model.max_length)}
    for way, stride in WINDOWS.items():
        counted[way] = count(dataset, fixed, stride=stride)
    with patch.object(batches, "BUCKET_OVERHEAD", 2**40):
        counted[RECTANGLE] = count(dataset, fixed, stride=10)
    counted["whole histories"] = count(dataset, get_preset("fixed-relative"))
    return [
        {
            "dataset": dataset.name,
            "way": way,
            "positions per target": computed / targets,
            "padding, %": 100 * (1 - real / computed),
        }
        for way, (computed, real, targets) in counted.items()
    ]


def recbole_rows(dataset: Dataset, length: int) -> tuple[int, int, int]:
    """Return positions computed, real ones, and targets, of one padded row a target."""
    read = prefix_windows(dataset.split.train.offsets, length).length
    return length * len(read), int(read.sum()), len(read)


def count(dataset: Dataset, preset: Preset, **train: object) -> tuple[int, int, int]:
    """Return positions computed in an epoch, real ones, and targets."""
    model = build_model("sasrec", dataset.n_items, **vars(preset.model))
    config = replace(preset.train, **train)
    epoch = training_batches(model, dataset, config, "cpu")(np.random.default_rng(0))
    parts = np.array([sizes(part) for batch in epoch for part in batch])
    computed, real, targets = parts.sum(0).tolist()
    return computed, real, targets


def sizes(part: Batch | WholeBatch) -> tuple[int, int, int]:
    """Return a part's positions, those that hold an item, and its targets."""
    items = part.blocks.items_BW if isinstance(part, WholeBatch) else part.items_BT
    return items.numel(), int((items > 0).sum()), len(part.targets)


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and report; a dataset that is not here is left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", default=read_study("positions").datasets)
    rows = []
    for name in parser.parse_args(arguments).datasets:
        try:
            rows += measure(load_dataset(name))
        except SeqattnError as error:
            print(f"{name} is left out: {error}")
    if rows:
        finish("padding", rows, {})


if __name__ == "__main__":
    main()
