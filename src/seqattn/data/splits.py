"""Leave-one-out: the last interaction of each user is the test, the second last validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqattn.data.sequences import Sequences
from seqattn.errors import SeqattnError


@dataclass(frozen=True, eq=False)
class Split:
    """Histories and held-out items of a leave-one-out split, in the same user order.

    Attributes
    ----------
    train : Sequences
        Histories without their last two interactions.
    test_context : Sequences
        Histories without their last interaction: training plus validation item.
    valid_items, test_items : (U,) int32
        Item codes held out, second last and last; read-only.

    Its methods raise a SeqattnError for a stage that is neither "valid" nor "test".
    """

    train: Sequences
    test_context: Sequences
    valid_items: np.ndarray
    test_items: np.ndarray

    def context(self, stage: str) -> Sequences:
        """Return the histories a model may see when it predicts "valid" or "test"."""
        return {"valid": self.train, "test": self.test_context}[_known(stage)]

    def targets(self, stage: str) -> np.ndarray:
        """Return the item codes to predict in "valid" or "test", (U,) int32."""
        return {"valid": self.valid_items, "test": self.test_items}[_known(stage)]


def leave_one_out(sequences: Sequences) -> Split:
    """Split each history, in time order, into training, validation and test parts.

    Users are never dropped here: a user with fewer than three interactions is an error, because
    dropping belongs to a counted preparation step (``k_core`` with k >= 3 does it).

    Raises
    ------
    SeqattnError
        A user has fewer than three interactions.

    Examples
    --------
    One user with four interactions; item codes start at 1, in the order of the items' ids:

    >>> import pandas as pd
    >>> from seqattn.data import Interactions
    >>> rows = {"user": [7, 7, 7, 7], "item": list("abca"), "timestamp": [1, 2, 3, 4]}
    >>> log = Interactions.from_frame(pd.DataFrame(rows))
    >>> split = leave_one_out(Sequences.from_interactions(log))
    >>> split.train.items.tolist(), split.valid_items.tolist(), split.test_items.tolist()
    ([1, 2], [3], [1])
    """
    sequences.require_length(3, "leave_one_out")
    last = sequences.offsets[1:] - 1
    valid_items, test_items = sequences.items[last - 1], sequences.items[last]
    for array in (valid_items, test_items):
        array.flags.writeable = False
    return Split(sequences.drop_last(2), sequences.drop_last(1), valid_items, test_items)


def _known(stage: str) -> str:
    """Refuse a stage that is neither "valid" nor "test"."""
    if stage not in ("valid", "test"):
        raise SeqattnError(f"stage {stage!r} is unknown; use 'valid' or 'test'")
    return stage
