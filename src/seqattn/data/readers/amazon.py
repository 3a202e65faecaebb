"""Amazon 2014 reviews: gzipped text, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from seqattn.data.readers.lines import Columns, open_text, read_records
from seqattn.data.readers.table import Table

__all__ = ["read_amazon"]


def read_amazon(paths: Sequence[Path]) -> Table:
    """Read a file such as ``reviews_Digital_Music_5.json.gz``.

    Of each line ``reviewerID``, ``asin``, ``overall`` (stars) and ``unixReviewTime`` (seconds, of
    day resolution) are kept. Lines that are not JSON objects are counted and left out.

    Raises
    ------
    SeqattnError
        The file is damaged, not UTF-8, or none of its lines can be read.
    """
    columns = Columns()
    with open_text(paths[0]) as lines:
        for line, record in read_records(lines, json.loads, columns):
            fields = ("reviewerID", "asin", "overall", "unixReviewTime")
            columns.add(line, *map(record.get, fields))
    return columns.table(paths[0])
