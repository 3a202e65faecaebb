"""RecBole is needed by the plug-in only."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from seqattn.cli import main


def test_without_recbole_the_plug_in_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("seqattn.recbole")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "recbole", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs RecBole.*--no-deps 'recbole==1.2.1'"):
        import seqattn.recbole  # noqa: F401


# Of one process, since to import all this takes seconds.
IMPORTS = """
import sys, seqattn.runs.store, seqattn.cli, seqattn.runs.fitting
seqattn.load_dataset("ml-100k")
assert "recbole" not in sys.modules

# NumPy 2 has retired names that RecBole reads; they are there only while it is imported.
import numpy as np
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


@pytest.mark.skipif(find_spec("recbole") is None, reason="ML-100K comes out of RecBole's wheel")
def test_only_the_plug_in_imports_recbole_and_numpy_gets_no_name_but_recboles_own(
    monkeypatch, warm
):
    monkeypatch.delenv("SEQATTN_DATA", raising=False)  # the log is that of the wheel
    result = warm.run(IMPORTS)
    assert result.returncode == 0, result.stderr.decode()


def test_without_recbole_the_command_says_what_to_install(monkeypatch, tmp_path, capsys):
    for name in [name for name in sys.modules if name.startswith("seqattn.recbole")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "recbole", None)
    command = ["fit", "-d", "synthetic", "-m", "pop", "-s", "1", "--results-dir", str(tmp_path)]
    assert main(command) == 2
    assert "seqattn: seqattn.recbole needs RecBole" in capsys.readouterr().err
