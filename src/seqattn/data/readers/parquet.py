"""Parquet files, through pandas and pyarrow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from seqattn.data.readers.delimited import require_names
from seqattn.data.readers.table import Table
from seqattn.errors import SeqattnError

__all__ = ["read_parquet"]


def read_parquet(path: Path, columns: Mapping[str, str]) -> Table:
    """Read some columns of a Parquet file, renamed as `columns` says.

    Raises
    ------
    SeqattnError
        pyarrow is not installed or too new for numpy 1, or the file is damaged or lacks a column.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        # Newer ones refuse numpy 1, which RecBole needs.
        raise SeqattnError(
            f"{path}: reading Parquet needs pyarrow ({error}); run: pip install 'pyarrow<22'"
        ) from None
    try:
        require_names(path, parquet.read_schema(path).names, list(columns))
        frame = pd.read_parquet(path, columns=list(columns), engine="pyarrow")
    except (pyarrow.ArrowException, OSError) as error:
        raise SeqattnError(f"{path}: cannot be read ({error}); get it again") from error
    frame = frame.reset_index(drop=True).rename(columns=dict(columns))
    frame.index = pd.RangeIndex(1, 1 + len(frame), name="row")
    return Table(frame, str(path))
