"""What every reader of raw files returns."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["Table"]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows as a file has them, not yet validated.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns ``user``, ``item`` and any of ``intensity``, ``timestamp`` and ``order``; the
        index is named ``line`` and numbers the lines of the file, for messages.
    source : str
        The file, for messages.
    malformed : int
        Lines that could not be read and were left out.
    """

    frame: pd.DataFrame
    source: str
    malformed: int = 0
