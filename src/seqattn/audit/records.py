"""What is kept of a dataset: counts, audit, diagnosis of intensity; never a row of it.

A folder holds ``dataset.json`` (source, options, counts after each step, fingerprint),
``audit.json`` (tables and lights, see `seqattn.audit`), where there is an intensity
``intensity.json`` (see `seqattn.audit.intensity`), and where there is a chronology
``ties.json``: a bit a user, in the order of ranks, for a test target that a tie decides.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqattn.audit import Audit, audit, tied_tests
from seqattn.audit.intensity import diagnose
from seqattn.data import Dataset, Interactions, find_entry, load_dataset, load_log
from seqattn.errors import SeqattnError
from seqattn.files import write_text


@dataclass(frozen=True)
class Description:
    """A dataset's counts, audit, diagnosis (None without an intensity) and ties.

    `tied_tests` is (U,) bool, see `seqattn.audit.tied_tests`; None without a chronology.
    """

    dataset: dict[str, object]
    audit: Audit
    intensity: pd.DataFrame | None
    tied_tests: np.ndarray | None

    @property
    def steps(self) -> pd.DataFrame:
        """A row a preparation step: name, interactions, users, items."""
        return pd.DataFrame(self.dataset["steps"]).rename(columns={"name": "step"})

    def write(self, folder: Path) -> list[Path]:
        """Write the files named above and return their paths.

        Raises
        ------
        SeqattnError
            The folder cannot be made or written.
        """
        texts = {"dataset": json.dumps(self.dataset, indent=1), "audit": self.audit.json()}
        if self.intensity is not None:
            texts["intensity"] = self.intensity.to_json(
                orient="records", indent=1, double_precision=10
            )
        if self.tied_tests is not None:
            bits = np.packbits(self.tied_tests).tobytes().hex()
            told = {"fingerprint": self.dataset["fingerprint"], "users": len(self.tied_tests)}
            texts["ties"] = json.dumps(told | {"tied_tests": bits}, indent=1)
        return [write_text(folder / f"{key}.json", text + "\n") for key, text in texts.items()]


def dataset_facts(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Return what ``<name>/dataset.json`` of a folder of records says, by name."""
    paths = sorted(Path(folder).glob("*/dataset.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def read_tied_tests(folder: str | Path, name: str, fingerprint: str) -> np.ndarray | None:
    """Return which users' test target a tie decides, (U,) bool; None without a record.

    Nor is there one of other data: `fingerprint` is that of the cells.

    Raises
    ------
    SeqattnError
        If the file was cut short or edited.
    """
    path = Path(folder) / name / "ties.json"
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())
        bits = np.frombuffer(bytes.fromhex(values["tied_tests"]), dtype=np.uint8)
        tied = np.unpackbits(bits)[: values["users"]].astype(bool)
        if len(tied) == values["users"]:
            return tied if values["fingerprint"] == fingerprint else None
    except (ValueError, KeyError, TypeError):
        pass
    raise SeqattnError(
        f"{path} is damaged; remove it and run `seqattn prepare {name} -o {path.parent}`"
    )


def describe(name: str) -> Description:
    """Read, prepare, audit and diagnose a dataset.

    A log without chronology is audited and diagnosed as read; it cannot be prepared.

    Parameters
    ----------
    name : str
        A name of the catalogue, or the path of one's own YAML file.

    Raises
    ------
    SeqattnError
        The data cannot be had or used.
    """
    log = load_log(name)
    dataset = None if log.when is None else load_dataset(name)
    intensity = diagnose(dataset or log) if log.has_intensity else None
    tied = None if dataset is None else tied_tests(log, dataset.sequences)
    return Description(_facts(name, log, dataset), audit(log, dataset), intensity, tied)


def _facts(name: str, log: Interactions, dataset: Dataset | None) -> dict[str, object]:
    entry = find_entry(name) if dataset is None else dataset.entry
    return {
        "dataset": entry.name,
        "title": entry.title,
        "source": Path(log.source).name,
        "intensity": entry.intensity,
        "unit": entry.unit,
        "note": entry.note,
        "options": None if dataset is None else asdict(entry.preparation),
        "steps": [asdict(step) for step in (dataset or log).steps],
        "fingerprint": None if dataset is None else dataset.fingerprint,
    }
