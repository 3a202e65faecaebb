"""Raw file to split: at ML-1M's size beside RecBole, at ten million rows, and Steam's text.

The first two read the same file, a random log of 1,000,209 interactions of 6,040 users with 3,706
items in RecBole's format, and end with training, validation and test parts. Where the machine has
MovieLens 1M (``SEQATTN_DATA``), the real one is loaded as well. The large log is one's own data by
YAML, in a process of its own whose peak memory is reported. Steam's reviews are made up in the
official format, gzipped Python literals.

    python -m benchmarks.preparation
"""

from __future__ import annotations

import gzip
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.common import alone, finish, interleave, ratios
from seqattn.data import CATALOGUE, Interactions, Sequences, leave_one_out, load_dataset, prepare
from seqattn.data.readers import READERS
from seqattn.data.sources import find

N_ROWS, N_USERS, N_ITEMS = 1_000_209, 6_040, 3_706
LARGE = 10_000_000, 500_000, 100_000  # rows, users, items
STEAM_LINES = 100_000
YAML = """name: large
path: large.csv
columns: {user: user, item: item, intensity: intensity, timestamp: timestamp}
intensity: {meaning: minutes, unit: minutes}
"""
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

    import seqattn.recbole  # noqa: F401  # RecBole's Config under NumPy 2

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


def ml_1m_seconds() -> float | None:
    """Return how long MovieLens 1M takes from its file to the split; None where it is not."""
    if find(CATALOGUE["ml-1m"]) is None:
        return None

    def work() -> float:
        load_dataset("ml-1m")
        return 1.0

    return 1 / median(interleave({"ml-1m": work}, rounds=3)["ml-1m"])


def write_large(folder: Path) -> Path:
    """Write ten million rows as CSV, items by a Zipf-like law, and the YAML that describes it."""
    rng = np.random.default_rng(0)
    n, n_users, n_items = LARGE
    items = np.minimum(np.exp(rng.random(n) * np.log(n_items + 1)).astype(np.int64), n_items)
    frame = pd.DataFrame(
        {
            "user": rng.integers(1, n_users + 1, n),
            "item": items,
            "intensity": rng.exponential(30, n).round(1),
            "timestamp": rng.integers(1_500_000_000, 1_700_000_000, n),
        }
    )
    frame.to_csv(folder / "large.csv", index=False)
    (folder / "large.yaml").write_text(YAML)
    return folder / "large.yaml"


def load(path: Path) -> dict[str, float]:
    """Load one dataset; return seconds and peak GiB of this process."""
    started = time.perf_counter()
    load_dataset(str(path))
    seconds = time.perf_counter() - started
    # Kilobytes on Linux, bytes on macOS.
    unit = 2**30 if sys.platform == "darwin" else 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {"seconds": seconds, "peak_gib": peak}


def steam_rate(folder: Path) -> float:
    """Return how many megabytes of Steam's text, unpacked, the reader takes a second."""
    rng = np.random.default_rng(0)
    text = "a game like no other, it\\'s worth every hour " * 8
    lines = "".join(
        f"{{u'username': u'player {user}', u'hours': {hours}, u'products': 41, u'product_id': "
        f"u'{item}', u'page_order': 0, u'date': u'2017-{1 + item % 12:02}-{1 + user % 28:02}', "
        f"u'text': u'{text}', u'early_access': False, u'page': 1}}\n"
        for user, item, hours in zip(
            rng.integers(0, 30_000, STEAM_LINES).tolist(),
            rng.integers(10, 9_000, STEAM_LINES).tolist(),
            rng.exponential(30, STEAM_LINES).round(1).tolist(),
            strict=True,
        )
    ).encode()
    path = folder / "steam_reviews.json.gz"
    path.write_bytes(gzip.compress(lines, compresslevel=6))

    def work() -> float:
        table = READERS["steam-reviews"]([path])
        assert len(table.frame) == STEAM_LINES and not table.malformed
        return len(lines) / 1e6

    return median(interleave({"steam": work}, rounds=3)["steam"])


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_log(folder)
        rates = interleave({"RecBole": recbole(path), "seqattn": ours(path)}, rounds=1)
        big = alone(load, write_large(folder))
        steam = steam_rate(folder)
    real = ml_1m_seconds()
    rows = [
        {"contestant": name, "seconds": N_ROWS / median(values)} for name, values in rates.items()
    ]
    if real is not None:
        rows.append({"contestant": "seqattn, MovieLens 1M itself", "seconds": real})
    rows.append({"contestant": f"seqattn, {LARGE[0]:,} rows", "seconds": big["seconds"]})
    finish(
        "preparation",
        rows,
        {
            "seconds": N_ROWS / median(rates["seqattn"]),
            "ratio_vs_recbole": ratios(rates, "seqattn", "RecBole")["median"],
            "seconds_ml_1m": real,
            "seconds_large": big["seconds"],
            "peak_gib_large": big["peak_gib"],
            "steam_mb_per_second": steam,
        },
    )


if __name__ == "__main__":
    main()
