"""What is kept of a dataset: counts, audit, diagnosis of intensity; never a row of it.

<folder>/dataset.json      source, options, counts after each step, fingerprint
<folder>/audit.json        tables and lights, see `seqattn.data.audit`
<folder>/intensity.json    see `seqattn.analysis.intensity`; only where there is an intensity
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from seqattn.analysis.intensity import diagnose
from seqattn.data import Dataset, Interactions, find_entry, load_dataset, load_log
from seqattn.data.audit import audit
from seqattn.files import write_text


def write_records(name: str, folder: Path) -> list[Path]:
    """Prepare and audit a dataset, and write its records; return their paths.

    A log without chronology is read and diagnosed, not prepared.

    Parameters
    ----------
    name : str
        A name of the catalogue, or the path of one's own YAML file.
    folder : Path
        Made if missing.

    Raises
    ------
    SeqattnError
        The data cannot be had or used, or the folder cannot be written.
    """
    log = load_log(name)
    dataset = None if log.when is None else load_dataset(name)
    records = {
        "dataset": json.dumps(_record(name, log, dataset), indent=1),
        "audit": audit(log, dataset).json(),
    }
    if log.has_intensity:
        table = diagnose(dataset or log)
        records["intensity"] = table.to_json(orient="records", indent=1, double_precision=10)
    return [write_text(folder / f"{key}.json", text + "\n") for key, text in records.items()]


def _record(name: str, log: Interactions, dataset: Dataset | None) -> dict[str, object]:
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
