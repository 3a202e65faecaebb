"""RecBole under NumPy 2, which has retired three names that RecBole reads."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("recbole.config")

PROGRAM = """
import numpy as np
import pandas, scipy.sparse, torch

known = set(dir(np))
import seqattn.recbole.baselines
assert set(dir(np)) == known, set(dir(np)) - known

from recbole.config import Config
Config(model="SASRec", dataset="none", config_dict={"gpu_id": "", "train_neg_sample_args": None})
assert np.float is np.float64
retired = ["float_", "complex_", "unicode_", "bool8"]
assert np.__version__ < "2" or not [name for name in retired if hasattr(np, name)]
assert "ray" not in sys.modules
"""


def test_numpy_gets_no_name_but_those_recbole_itself_gives_it():
    command = [sys.executable, "-c", f"import sys{PROGRAM}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
