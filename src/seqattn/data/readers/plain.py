"""Tables that a command is given beside a log: CSV with commas and names of columns, or Parquet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from seqattn.data.own import is_parquet
from seqattn.data.readers.delimited import (
    header_of,
    parquet_names,
    read_delimited,
    read_parquet,
)
from seqattn.data.readers.raw_text import content_of
from seqattn.errors import SeqattnError

# What pandas calls an index without a name in Parquet: rows' numbers, as a CSV has below no name.
_INDEX = re.compile(r"__index_level_\d+__")
_OTHER_MARKS = {";": "';'", "\t": "tabs", "|": "'|'"}


def plain_names(path: Path) -> list[str]:
    """Return the names of a table's columns, without those of an index that has no name.

    Raises
    ------
    SeqattnError
        It cannot be read, or has other marks than commas between its fields.
    """
    if is_parquet(path):
        return [name for name in parquet_names(path) if not _INDEX.fullmatch(name)]
    names = header_of(path, ",", content_of(path))
    for mark, told in _OTHER_MARKS.items():
        if len(names) == 1 and mark in names[0]:
            raise SeqattnError(
                f"{path}: {told} between the fields of its first line; save the table with commas, "
                "and a point for decimals"
            )
    return names


def read_plain(
    path: Path, columns: Mapping[str, str], *, texts: Sequence[str] = ()
) -> pd.DataFrame:
    """Read some columns of a table, renamed as `columns` says; ids stay as they stand.

    Parameters
    ----------
    texts : sequence of str, optional
        Our columns whose fields are kept as they stand, in a CSV.

    Returns
    -------
    DataFrame
        Its index, ``line`` or ``row``, says where a row is in the file.

    Raises
    ------
    SeqattnError
        It cannot be read, or a column is missing or there twice.
    """
    if is_parquet(path):
        return read_parquet(path, columns).frame
    return read_delimited(path, ",", columns, texts=texts).frame
