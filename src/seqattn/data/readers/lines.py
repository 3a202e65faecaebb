"""Streams of one object a line, read with bounded memory: what Amazon's and Steam's files share."""

from __future__ import annotations

import gzip
import math
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from seqattn.data.readers.table import Table
from seqattn.errors import SeqattnError

__all__ = ["Columns", "open_text", "read_records"]

# What json.loads and ast.literal_eval raise on text they cannot read; deep nesting ends in the
# last two.
_MALFORMED = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


class Columns:
    """Columns that grow row by row in 24 bytes a row, and each distinct id once.

    An empty or absent value is NaN, an empty id -1, so that preparation can drop and count them.
    """

    def __init__(self) -> None:
        self._ids: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._codes = (array("i"), array("i"))
        self._values = (array("d"), array("d"))
        self._lines = array("q")
        self.malformed = 0

    def add(self, line: int, user: object, item: object, intensity: Any, seconds: Any) -> None:
        """Append a row; a number that is none makes the line a malformed one."""
        try:
            values = [math.nan if v is None or v == "" else float(v) for v in (intensity, seconds)]
        except (TypeError, ValueError):
            self.malformed += 1
            return
        for value, ids, codes in zip((user, item), self._ids, self._codes, strict=True):
            empty = value is None or value == ""
            codes.append(-1 if empty else ids.setdefault(str(value), len(ids)))
        for value, column in zip(values, self._values, strict=True):
            column.append(value)
        self._lines.append(line)

    def table(self, path: Path) -> Table:
        """Return the rows.

        Raises
        ------
        SeqattnError
            There is none.
        """
        if not self._lines:
            raise SeqattnError(
                f"{path}: none of its lines can be read ({self.malformed} malformed); this is not "
                "the official file: get it again"
            )
        frame = pd.DataFrame(
            {
                name: pd.Categorical.from_codes(np.asarray(codes), list(ids))
                for name, ids, codes in zip(("user", "item"), self._ids, self._codes, strict=True)
            }
        )
        frame["intensity"], frame["timestamp"] = map(np.asarray, self._values)
        frame.index = pd.Index(np.asarray(self._lines), name="line")
        return Table(frame, str(path), self.malformed)


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file, gzipped or not; damage met while reading is one clear error.

    Raises
    ------
    SeqattnError
        The file is damaged or not UTF-8.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            yield lines
    except (UnicodeError, EOFError, OSError, zlib.error) as error:
        raise SeqattnError(f"{path}: cannot be read ({error}); get it again") from error


def read_records(
    lines: IO[str], parse: Callable[[str], object], columns: Columns
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the object of each line; lines that hold none are counted."""
    for number, text in enumerate(lines, 1):
        if text.isspace():
            continue
        try:
            record = parse(text)
        except _MALFORMED:
            record = None
        if isinstance(record, dict):
            yield number, record
        else:
            columns.malformed += 1
