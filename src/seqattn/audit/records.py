"""What is kept of a dataset: counts, audit, diagnosis of intensity; never a row of it.

A folder holds ``dataset.json`` (source, options, counts after each step, fingerprint; of an own
log the path of its YAML),
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
from seqattn.config import NORMALISATIONS
from seqattn.data import CATALOGUE, Dataset, Entry, find_entry
from seqattn.data.dataset import load_both
from seqattn.data.own import is_yaml
from seqattn.data.sources import GENERATED
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, write_text

RECORDS = ROOT / "results" / "datasets"
# What each file begins with, whatever its blanks; one that was cut short ends before.
_BEGINS = {
    "dataset": '{"dataset":',
    "audit": '{"format":',
    "intensity": '[{"part":',
    "ties": '{"fingerprint":',
}
BOUNDED = ("log1p_minmax", "minmax")  # in [0, 1], so their spread compares between datasets


@dataclass(frozen=True)
class Description:
    """A dataset's counts, audit, diagnosis (None without an intensity) and ties.

    `tied_tests` is (U,) bool, see `seqattn.audit.tied_tests`, and `prepared` what was prepared;
    both are None without a chronology.
    """

    dataset: dict[str, Any]
    audit: Audit
    intensity: pd.DataFrame | None
    tied_tests: np.ndarray | None
    prepared: Dataset | None

    @property
    def steps(self) -> pd.DataFrame:
        """A row a preparation step: name, interactions, users, items."""
        return pd.DataFrame(self.dataset["steps"]).rename(columns={"name": "step"})

    def write(self, folder: Path) -> list[Path]:
        """Write the files named above and return their paths.

        Raises
        ------
        SeqattnError
            The folder cannot be made or written, or holds the records of another log, or another
            program's file of one of these names.
        """
        _refuse_foreign(folder)
        self._refuse_another(folder / "dataset.json")
        texts = {"audit": self.audit.json()}
        if self.intensity is not None:
            texts["intensity"] = self.intensity.to_json(
                orient="records", indent=1, double_precision=10
            )
        if self.tied_tests is not None:
            bits = np.packbits(self.tied_tests).tobytes().hex()
            told = {"fingerprint": self.dataset["fingerprint"], "users": len(self.tied_tests)}
            texts["ties"] = json.dumps(told | {"tied_tests": bits}, indent=1)
        # A folder without dataset.json is no record: until all is there, old and new parts beside
        # each other are none.
        texts["dataset"] = json.dumps(self.dataset, indent=1)
        for key in ("dataset", "intensity", "ties"):
            (folder / f"{key}.json").unlink(missing_ok=True)
        *others, last = (
            write_text(folder / f"{key}.json", text + "\n") for key, text in texts.items()
        )
        return [last, *others]

    def _refuse_another(self, path: Path) -> None:
        """Refuse to write over the records of another log, which an edited one is not."""
        try:
            held = _load(path)
        except SeqattnError:  # there are none, or none that anybody could use
            return
        same = "yaml" if {"yaml"} <= held.keys() & self.dataset.keys() else "dataset"
        found = self.dataset["fingerprint"]  # None without a chronology, which no two logs share
        equal = found is not None and held.get("fingerprint") == found
        if equal or held.get(same) == self.dataset[same]:
            return
        other = held.get("yaml", f"dataset {held.get('dataset')!r}")
        raise SeqattnError(
            f"{path} is the record of another log, of {other}; give "
            + ("this one another name in its YAML, " if same == "yaml" else "")
            + f"another folder with -o, or remove {path.parent} if it is not needed"
        )


def _refuse_foreign(folder: Path) -> None:
    """Refuse to write over what is no record, or part of one, and only has the name of one.

    So is a file where the folder should be.
    """
    for key, ours in _BEGINS.items():
        path = folder / f"{key}.json"
        try:
            begin = "".join(path.read_text(encoding="utf-8").split())[: len(ours)]
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            above = (folder, *folder.parents)
            file = next(each for each in above if each.exists() and not each.is_dir())
            raise SeqattnError(f"{file} is a file; name a folder with -o") from None
        except (OSError, ValueError):
            begin = "unreadable"
        if not ours.startswith(begin):
            raise SeqattnError(
                f"{path} is there and was not written by seqattn; move it away, or give another "
                "folder with -o"
            )


def dataset_facts(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Return what ``<name>/dataset.json`` of a folder of records says, by name."""
    paths = sorted(Path(folder).glob("*/dataset.json"))
    return {path.parent.name: _load(path) for path in paths}


def dataset_record(name: str) -> dict[str, Any] | None:
    """Return the committed record of a dataset; None without one."""
    path = RECORDS / name / "dataset.json"
    return _load(path) if path.exists() else None


def _load(path: Path) -> Any:
    """Return what a record holds.

    Raises
    ------
    SeqattnError
        The file was cut short or edited.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(values, list if path.name == "intensity.json" else dict):
            return values
    except (OSError, ValueError, RecursionError):
        pass
    raise _damaged(path)


def _damaged(path: Path) -> SeqattnError:
    name = path.parent.name
    return SeqattnError(
        f"{path} is damaged; remove it and run `seqattn prepare {name} -o {path.parent}`"
    )


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
    values = _load(path)
    try:
        bits = np.frombuffer(bytes.fromhex(values["tied_tests"]), dtype=np.uint8)
        tied = np.unpackbits(bits)[: values["users"]].reshape(values["users"]).astype(bool)
        return tied if values["fingerprint"] == fingerprint else None
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None


def describe(name: str) -> Description:
    """Read, prepare, audit and diagnose a dataset.

    A log without chronology is audited and diagnosed as read; it cannot be prepared. `name` is
    one of the catalogue, or the path of one's own YAML file.

    Raises
    ------
    SeqattnError
        The data cannot be had or used.
    """
    log, dataset = load_both(name)
    intensity = diagnose(dataset or log) if (dataset or log).has_intensity else None
    tied = None if dataset is None else tied_tests(log, dataset)
    entry = find_entry(name) if dataset is None else dataset.entry
    # `history` came later: recorded where it is set.
    how = {k: v for k, v in asdict(entry.preparation).items() if k != "history" or v}
    facts: dict[str, Any] = {
        "dataset": entry.name,
        "title": entry.title,
        "source": Path(log.source).name,
        "intensity": entry.intensity,
        "unit": entry.unit,
        "note": entry.note,
        "options": None if dataset is None else how,
        "steps": [asdict(step) for step in (dataset or log).steps],
        "fingerprint": None if dataset is None else dataset.fingerprint,
    }
    if is_yaml(name):
        facts["yaml"] = str(Path(name).resolve())
    if dataset and not isinstance(options := dataset.entry.splitting.options(), str):
        users = len(np.unique(dataset.split.users("test")))
        facts["split"] = {"options": options, "n_targets": dataset.n_targets, "n_users": users}
    return Description(facts, audit(log, dataset, reference=name), intensity, tied, dataset)


@dataclass(frozen=True)
class Record:
    """What is kept of a dataset: its catalogue entry, and its records where it was run."""

    entry: Entry
    dataset: dict[str, Any] | None = None
    findings: pd.DataFrame | None = None
    intensity: pd.DataFrame | None = None

    @property
    def title(self) -> str:
        """Name in prose; that of the file read, where there is one."""
        return self.dataset["title"] if self.dataset else self.entry.title


def read_records(folder: str | Path = RECORDS) -> list[Record]:
    """Return one record per dataset of the catalogue, in its order; generated data left out."""
    named = ((Path(folder) / name, entry) for name, entry in CATALOGUE.items())
    # Another form of a dataset is the same data.
    named = ((path, entry) for path, entry in named if not entry.of)
    return [_read(entry, path) for path, entry in named if path.name not in GENERATED]


def _read(entry: Entry, folder: Path) -> Record:
    if not (folder / "dataset.json").exists():
        return Record(entry)
    dataset, found = (_load(folder / f"{key}.json") for key in ("dataset", "audit"))
    path = folder / "intensity.json"
    intensity = pd.DataFrame(_load(path)) if path.exists() else None
    return Record(entry, dataset, pd.DataFrame(found["findings"]), intensity)


def sizes(records: list[Record]) -> pd.DataFrame:
    """Return each dataset's size as published, as read and as prepared.

    Returns
    -------
    DataFrame
        One row per dataset: title, run, published, as_read and prepared ("interactions / users /
        items"; NaN where there is none), published_is (which of our sizes the published one
        equals), command (that prepares it) and note.
    """
    return pd.DataFrame([_sizes(record) for record in records])


def _sizes(record: Record) -> dict[str, object]:
    published, name = record.entry.table2, record.entry.name
    row: dict[str, object] = {"title": record.title, "run": record.dataset is not None}
    row |= dict.fromkeys(("published", "as_read", "prepared", "published_is"), np.nan)
    row["command"] = f"seqattn prepare {name} -o results/datasets/{name}"
    row["note"] = record.entry.note
    if published:
        row["published"] = _counts(vars(published))
    if record.dataset is None:
        return row
    steps = record.dataset["steps"]
    row["as_read"], row["prepared"] = _counts(steps[0]), "no chronology"
    if record.dataset["fingerprint"]:
        row["prepared"] = _counts(steps[-1])
        if published:
            # The k-core is the last step; what lacks a time or a value goes before it.
            ours = (_counts(steps[at]) for at in (0, -2, -1))
            row["published_is"] = _which(str(row["published"]), *ours)
    return row


def _counts(size: dict[str, Any]) -> str:
    return " / ".join(f"{size[key]:,}" for key in ("interactions", "users", "items"))


def _which(published: str, first: str, before: str, last: str) -> str:
    """Say which of our counts a published one equals: as read, before the k-core, prepared."""
    if published == last:
        return "the prepared log" if first != last else "both"
    if published != first:
        return "neither"
    return "the unfiltered log" if first == before else "the log as read, incomplete rows included"


def alarms(records: list[Record]) -> pd.DataFrame:
    """Return the red findings of every audited dataset: dataset, check, value, red (threshold)."""
    columns = ["dataset", "title", "value", "red"]
    found = [r.findings.assign(dataset=r.title) for r in records if r.findings is not None]
    reds = [findings.loc[findings["light"] == "red", columns] for findings in found]
    table = pd.concat(reds, ignore_index=True) if reds else pd.DataFrame(columns=columns)
    return table.rename(columns={"title": "check"})


def diagnoses(records: list[Record]) -> pd.DataFrame:
    """Return what each dataset's intensity could tell: one row per dataset that has one.

    Returns
    -------
    DataFrame
        dataset, intensity (meaning and unit), distinct (values), exact (bits), constant (share of
        histories whose intensity does not vary), ``bits MODE`` (pooled over users, binned, after
        each normalisation) and ``spread MODE`` (mean standard deviation inside a history, for the
        normalisations that keep within 0 and 1).
    """
    rows = []
    for record in records:
        if record.intensity is not None:
            value = record.intensity.set_index("measure")["value"].astype(float)
            rows.append(
                {
                    "dataset": record.title,
                    "intensity": f"{record.entry.intensity} ({record.entry.unit})",
                    "distinct": value["raw, distinct"],
                    "exact": value["raw, exact bits"],
                    "constant": value["constant histories"],
                    **{f"bits {mode}": value[f"{mode}, bits"] for mode in NORMALISATIONS},
                    **{f"spread {mode}": value[f"{mode}, within history"] for mode in BOUNDED},
                }
            )
    return pd.DataFrame(rows)
