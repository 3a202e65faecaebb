"""The page "Datasets", from the records that are committed in ``results/datasets``.

A dataset without a record reads "not run", with the command that makes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seqattn.config import NORMALISATIONS
from seqattn.data import CATALOGUE, Entry
from seqattn.files import ROOT, write_text
from seqattn.pages.writing import GENERATED, markdown, save
from seqattn.plots import use_style
from seqattn.plots.audit import correlation_intervals, entropies, lights_grid

RECORDS = ROOT / "results" / "datasets"
_BOUNDED = ("log1p_minmax", "minmax")  # in [0, 1], so their spread compares between datasets


@dataclass(frozen=True)
class Record:
    """What is known of a dataset: its catalogue entry, and its records where it was run."""

    entry: Entry
    dataset: dict[str, Any] | None = None
    audit: dict[str, Any] | None = None
    intensity: pd.DataFrame | None = None

    @property
    def title(self) -> str:
        """Name in prose; that of the file read, where there is one."""
        return self.dataset["title"] if self.dataset else self.entry.title

    @property
    def prepared(self) -> bool:
        """Whether the log could be ordered, filtered and split."""
        return bool(self.dataset and self.dataset["fingerprint"])

    def measure(self, part: str, measure: str) -> pd.Series:
        """Return one row of the diagnosis of intensity."""
        table = self.intensity
        return table[(table["part"] == part) & (table["measure"] == measure)].iloc[0]


def read_records(folder: Path = RECORDS) -> list[Record]:
    """Return a record a dataset of the catalogue, in its order; synthetic data left out."""
    return [_read(entry, folder / name) for name, entry in CATALOGUE.items() if name != "synthetic"]


def _read(entry: Entry, folder: Path) -> Record:
    if not (folder / "dataset.json").exists():
        return Record(entry)
    dataset, found = (json.loads((folder / f"{k}.json").read_text()) for k in ("dataset", "audit"))
    path = folder / "intensity.json"
    intensity = pd.DataFrame(json.loads(path.read_text())) if path.exists() else None
    return Record(entry, dataset, found, intensity)


def counts_table(records: list[Record]) -> str:
    """Return Markdown: each dataset as published, as read, and as trained on."""
    rows = []
    for record in records:
        published = record.entry.table2
        row = {"dataset": record.title, "published": _counts(published and vars(published))}
        if record.dataset is None:
            row |= {"as read": f"not run: `{_command(record.entry)}`"}
        else:
            first, last = record.dataset["steps"][0], record.dataset["steps"][-1]
            row["as read"] = _counts(first)
            row["prepared"] = _counts(last) if record.prepared else "no chronology"
            if published and record.prepared:
                # The k-core is the last step; what lacks a time or a value goes before it.
                sizes = (vars(published), first, record.dataset["steps"][-2], last)
                row["published is"] = _which(*map(_counts, sizes))
        rows.append(row)
    return markdown(rows)


def _which(published: str, first: str, before: str, last: str) -> str:
    """Say which of our counts a published one equals: as read, before the k-core, prepared."""
    if published == last:
        return "the prepared log" if first != last else "both"
    if published != first:
        return "neither"
    return "the unfiltered log" if first == before else "the log as read, incomplete rows included"


def intensity_table(records: list[Record]) -> str:
    """Return Markdown: information, spread and confounding of each dataset's intensity."""
    rows = []
    for record in records:
        if record.intensity is None:
            continue
        read = record.measure
        rows.append(
            {
                "dataset": record.title,
                "intensity": f"{record.entry.intensity} ({record.entry.unit})",
                "distinct": f"{read('information', 'raw, distinct').value:,.0f}",
                "exact bits": f"{read('information', 'raw, exact bits').value:.2f}",
                **{
                    f"pooled bits, {mode}": f"{read('information', f'{mode}, bits').value:.2f}"
                    for mode in NORMALISATIONS
                },
                **{
                    f"spread, {mode}": f"{read('information', f'{mode}, within history').value:.2f}"
                    for mode in _BOUNDED
                },
                "constant histories": f"{read('range', 'constant histories').value:.1%}",
            }
        )
    return markdown(rows)


def notes_list(records: list[Record]) -> str:
    """Return Markdown: what a reader must know of each dataset."""
    notes = [(r.title, r.entry.note) for r in records if r.entry.note]
    return "\n".join(f"- **{title}.** {note}" for title, note in notes)


def alarms_list(records: list[Record]) -> str:
    """Return Markdown: each dataset's red findings with value and threshold."""
    lines = []
    for record in records:
        if record.audit is None:
            continue
        reds = [f for f in record.audit["findings"] if f["light"] == "red"]
        told = "; ".join(f"{f['title']} {f['value']:.3g} (red beyond {f['red']:g})" for f in reds)
        lines.append(f"- **{record.title}.** {told or 'No red light.'}")
    return "\n".join(lines)


def write_pages(records: list[Record], folder: Path = GENERATED) -> None:
    """Write every generated part of the results pages."""
    use_style()
    run = [record for record in records if record.audit]
    measured = [record for record in run if record.intensity is not None]
    for name, text in {
        "datasets_counts": counts_table(records),
        "datasets_notes": notes_list(records),
        "datasets_alarms": alarms_list(records) or "Not run.",
        "datasets_intensity": intensity_table(measured) if measured else "Not run.",
    }.items():
        write_text(folder / f"{name}.md", text + "\n")
    findings = {r.title: pd.DataFrame(r.audit["findings"]) for r in run}
    bits = {
        r.title: {m: r.measure("information", f"{m}, bits").value for m in NORMALISATIONS}
        for r in measured
    }
    spread = {
        r.title: {m: r.measure("information", f"{m}, within history").value for m in _BOUNDED}
        for r in measured
    }
    correlations = {
        r.title: r.intensity[r.intensity["part"] == "correlation"].set_index("measure")
        for r in measured
    }
    save(lights_grid(findings), folder / "datasets_lights.svg")
    save(entropies(bits, spread), folder / "datasets_bits.svg")
    save(correlation_intervals(correlations), folder / "datasets_correlations.svg")


def _counts(size: dict[str, Any] | None) -> str:
    """Return "interactions / users / items"."""
    if size is None:
        return ""
    return " / ".join(f"{size[key]:,}" for key in ("interactions", "users", "items"))


def _command(entry: Entry) -> str:
    return f"seqattn prepare {entry.name} -o results/datasets/{entry.name}"
