"""A dataset ready for models: prepared, split and fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from seqattn.data.entry import Counts, Entry
from seqattn.data.interactions import Interactions, Step, require_chronology
from seqattn.data.preparation import prepare
from seqattn.data.sequences import Sequences
from seqattn.data.splits import Split, leave_one_out
from seqattn.errors import SeqattnError

__all__ = ["Dataset", "fingerprint"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared dataset with its split.

    Attributes
    ----------
    name : str
        Key of the dataset.
    entry : Entry
        Its description in the catalogue.
    sequences : Sequences
        Full histories after preparation.
    split : Split
        Leave-one-out parts of the histories.
    steps : tuple of Step
        Counts after reading and after each preparation step.
    fingerprint : str
        SHA-256 of the prepared data and of the options that made it, see :func:`fingerprint`.
    source : str
        The file it was read from.
    reference : str
        What :func:`seqattn.load_dataset` takes to load it again, in another process too.
    """

    name: str
    entry: Entry
    sequences: Sequences
    split: Split
    steps: tuple[Step, ...]
    fingerprint: str
    source: str = ""
    reference: str = ""

    @classmethod
    def from_interactions(
        cls, log: Interactions, entry: Entry, reference: str | None = None
    ) -> Dataset:
        """Prepare, split and fingerprint a log; `reference` is the entry's name if not given.

        Raises
        ------
        SeqattnError
            The log has no chronology, its size is not the one its catalogue entry expects, or no
            user is left.
        """
        require_chronology(log)
        _check_counts(log.source, entry.raw, log.steps[0])
        prepared = prepare(log, **asdict(entry.preparation))
        _check_counts(log.source, entry.core, prepared.steps[-1])
        sequences = Sequences.from_interactions(prepared)
        options = {
            **entry.preparation.options(),
            "duplicates": "latest",
            "split": "leave-one-out",
        }
        return cls(
            name=entry.name,
            entry=entry,
            sequences=sequences,
            split=leave_one_out(sequences),
            steps=prepared.steps,
            fingerprint=fingerprint(sequences, options),
            source=log.source,
            reference=reference or entry.name,
        )

    @property
    def n_users(self) -> int:
        """Number of users after preparation."""
        return self.sequences.n_users

    @property
    def n_items(self) -> int:
        """Number of items after preparation, padding not counted."""
        return self.sequences.n_items

    @property
    def has_intensity(self) -> bool:
        """Whether interactions carry an intensity."""
        return self.sequences.intensity is not None

    def steps_table(self) -> pd.DataFrame:
        """Return a row per preparation step: name, interactions, users, items."""
        table = pd.DataFrame([asdict(step) for step in self.steps])
        return table.rename(columns={"name": "step"})


def fingerprint(sequences: Sequences, options: Mapping[str, object]) -> str:
    """Return the SHA-256, in hex, of prepared histories and of the options that made them.

    Every array enters with its name, dtype, shape and little-endian bytes, original ids included,
    so equal data gives an equal value on every platform. The split is a function of the
    histories and enters through the options.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for name in ("items", "intensity", "timestamp", "offsets", "user_ids", "item_ids"):
        array = getattr(sequences, name)
        if array is None:
            digest.update(f"\n{name} none\n".encode())
            continue
        if name == "timestamp":
            array = np.where(np.isnan(array), np.nan, array)  # one bit pattern for NaN
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _check_counts(source: str, expected: Counts | None, step: Step) -> None:
    found = Counts(step.interactions, step.users, step.items)
    if expected is not None and found != expected:
        raise SeqattnError(
            f"{source}: {_phrase(found)} after step {step.name!r}, where the catalogue expects "
            f"{_phrase(expected)}; the file is incomplete or altered: get it again"
        )


def _phrase(counts: Counts) -> str:
    return f"{counts.interactions} interactions / {counts.users} users / {counts.items} items"
