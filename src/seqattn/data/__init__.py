"""From raw files to prepared, split, fingerprinted histories.

``raw file -> Interactions -> Sequences -> Split``, gathered in a ``Dataset``.
"""

from seqattn.data.dataset import Dataset, find_entry, fingerprint, load_dataset, load_log
from seqattn.data.entry import CATALOGUE, Counts, Entry
from seqattn.data.held import held_log
from seqattn.data.interactions import Interactions, Step, drop_missing, encode
from seqattn.data.preparation import (
    Preparation,
    k_core,
    prepare,
    sample_users,
    sort_by_time,
)
from seqattn.data.repeats import merge_repeats
from seqattn.data.sequences import Sequences
from seqattn.data.splits import Split, leave_one_out
from seqattn.data.synthetic import synthetic_log

__all__ = [
    "CATALOGUE",
    "Counts",
    "Dataset",
    "Entry",
    "Interactions",
    "Preparation",
    "Sequences",
    "Split",
    "Step",
    "drop_missing",
    "encode",
    "find_entry",
    "fingerprint",
    "held_log",
    "k_core",
    "leave_one_out",
    "load_dataset",
    "load_log",
    "merge_repeats",
    "prepare",
    "sample_users",
    "sort_by_time",
    "synthetic_log",
]
