"""RecBole is needed by the plug-in only."""

from __future__ import annotations

import subprocess
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


@pytest.mark.skipif(find_spec("recbole") is None, reason="ML-100K comes out of RecBole's wheel")
def test_neither_the_rest_of_the_package_nor_loading_ml_100k_imports_recbole(monkeypatch):
    monkeypatch.delenv("SEQATTN_DATA", raising=False)  # the log is that of the wheel
    program = (
        "import sys, seqattn.runs.store, seqattn.cli, seqattn.runs.fitting; "
        "seqattn.load_dataset('ml-100k'); sys.exit('recbole' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_recbole_the_command_says_what_to_install(monkeypatch, tmp_path, capsys):
    for name in [name for name in sys.modules if name.startswith("seqattn.recbole")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "recbole", None)
    command = ["fit", "-d", "synthetic", "-m", "pop", "-s", "1", "--results-dir", str(tmp_path)]
    assert main(command) == 2
    assert "seqattn: seqattn.recbole needs RecBole" in capsys.readouterr().err
