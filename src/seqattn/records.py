"""What is kept of a dataset: counts, audit, diagnosis of intensity; never a row of it.

A folder holds ``dataset.json`` (source, options, counts after each step, fingerprint),
``audit.json`` (tables and lights, see `seqattn.data.audit`) and, where there is an intensity,
``intensity.json`` (see `seqattn.analysis.intensity`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seqattn.analysis.intensity import diagnose
from seqattn.data import Dataset, Interactions, find_entry, load_dataset, load_log
from seqattn.data.audit import Audit, audit
from seqattn.files import write_text


@dataclass(frozen=True)
class Description:
    """A dataset's counts, audit and diagnosis; the last is None where there is no intensity."""

    dataset: dict[str, object]
    audit: Audit
    intensity: pd.DataFrame | None

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
        return [write_text(folder / f"{key}.json", text + "\n") for key, text in texts.items()]


def dataset_facts(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Return what ``<name>/dataset.json`` of a folder of records says, by name."""
    paths = sorted(Path(folder).glob("*/dataset.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


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
    return Description(_facts(name, log, dataset), audit(log, dataset), intensity)


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
