"""From a raw file to a split, at ML-1M's size, beside RecBole's own preparation.

Both read the same file, a random log of 1,000,209 interactions of 6,040 users with 3,706 items in
RecBole's format, and end with training, validation and test parts.

    python -m benchmarks.preparation
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import patch

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import pandas as pd

from benchmarks.common import finish, interleave, ratios
from seqattn.data import Interactions, Sequences, leave_one_out, prepare

N_ROWS, N_USERS, N_ITEMS = 1_000_209, 6_040, 3_706
NAMES = ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]


def write_log(folder: Path) -> Path:
    """Write the random log; every (user, item) pair occurs once."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(N_USERS * N_ITEMS, N_ROWS, replace=False)
    frame = pd.DataFrame(
        {
            NAMES[0]: pairs // N_ITEMS + 1,
            NAMES[1]: pairs % N_ITEMS + 1,
            NAMES[2]: rng.integers(1, 6, N_ROWS),
            NAMES[3]: rng.integers(956_703_932, 1_046_454_590, N_ROWS),
        }
    )
    path = folder / "log" / "log.inter"
    path.parent.mkdir()
    frame.to_csv(path, sep="\t", index=False)
    return path


def ours(path: Path) -> Callable[[], float]:
    """Return our preparation as a unit of work."""

    def work() -> float:
        frame = pd.read_csv(
            path, sep="\t", header=0, names=["user", "item", "intensity", "timestamp"]
        )
        leave_one_out(Sequences.from_interactions(prepare(Interactions.from_frame(frame))))
        return N_ROWS

    return work


def recbole(path: Path) -> Callable[[], float]:
    """Return RecBole's preparation as a unit of work."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation

    options = {
        "data_path": str(path.parents[1]),
        "user_inter_num_interval": "[5,inf)",
        "item_inter_num_interval": "[5,inf)",
        "train_neg_sample_args": None,
        "gpu_id": "",
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    }

    def work() -> float:
        warnings.simplefilter("ignore", FutureWarning)  # RecBole's own, about pandas 3
        with patch.object(sys, "argv", sys.argv[:1]), patch.dict(os.environ):
            config = Config(model="SASRec", dataset="log", config_dict=options)
            data_preparation(config, create_dataset(config))
        return N_ROWS

    return work


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_log(Path(folder))
        rates = interleave({"RecBole": recbole(path), "seqattn": ours(path)}, rounds=2)
    rows = [
        {"contestant": name, "seconds": N_ROWS / median(values)} for name, values in rates.items()
    ]
    finish(
        "preparation",
        rows,
        {
            "seconds": N_ROWS / median(rates["seqattn"]),
            "ratio_vs_recbole": ratios(rates, "seqattn", "RecBole")["median"],
        },
    )


if __name__ == "__main__":
    main()
