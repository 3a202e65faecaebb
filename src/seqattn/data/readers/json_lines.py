"""Streams of one object a line, read with bounded memory: what Amazon's and Steam's files share."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from array import array
from ast import literal_eval
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqattn.data.readers.delimited import Table
from seqattn.errors import SeqattnError
from seqattn.files import require_file

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


def read_records(
    path: Path, parse: Callable[[str], object], columns: Columns
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the object of each line of a file, gzipped or not.

    Lines that hold no object are counted as malformed.

    Raises
    ------
    SeqattnError
        The file is damaged or not UTF-8.
    """
    require_file(path)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
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
    except (UnicodeError, EOFError, OSError, zlib.error) as error:
        raise SeqattnError(f"{path}: cannot be read ({error}); get it again") from error


def read_amazon(paths: Sequence[Path]) -> Table:
    """Read a file such as ``reviews_Digital_Music_5.json.gz``.

    Of each line ``reviewerID``, ``asin``, ``overall`` (stars) and ``unixReviewTime`` (seconds, of
    day resolution) are kept. Lines that are not JSON objects are counted and left out.

    Raises
    ------
    SeqattnError
        The file is damaged, not UTF-8, or none of its lines can be read.
    """
    columns, fields = Columns(), ("reviewerID", "asin", "overall", "unixReviewTime")
    for line, record in read_records(paths[0], json.loads, columns):
        columns.add(line, *map(record.get, fields))
    return columns.table(paths[0])


_FIELDS = ("username", "product_id", "hours", "date")
_STRING = r"""u?(?:'[^'\\\n]*(?:\\.[^'\\\n]*)*'|"[^"\\\n]*(?:\\.[^"\\\n]*)*")"""
_NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?"
_PAIR = re.compile(rf"({_STRING}): ({_STRING}|{_NUMBER}|True|False|None)(, |\}}\s*\Z)")
_POSTED = re.compile(r"Posted (\w+ \d{1,2}, \d{4})\.")


def read_steam_reviews(paths: Sequence[Path]) -> Table:
    """Read ``steam_reviews.json.gz``: username, product_id, hours and date of each review.

    The file is streamed; memory grows with the rows kept, not with the texts. Lines that are no
    dictionary are counted and left out. A date without a readable day is an empty field.

    Raises
    ------
    SeqattnError
        The file is damaged, not UTF-8, or none of its lines can be read.

    References
    ----------
    Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.
    """
    columns = Columns()
    for line, record in read_records(paths[0], review_fields, columns):
        user, item, hours, date = map(record.get, _FIELDS)
        columns.add(line, user, item, hours, _seconds(date, "%Y-%m-%d"))
    return columns.table(paths[0])


def read_steam_au(paths: Sequence[Path]) -> Table:
    """Read ``australian_user_reviews.json.gz`` and ``australian_users_items.json.gz``.

    The first gives each user's reviews with their day, such as "Posted November 5, 2011.", the
    second the minutes each user played each game until the crawl. A day without a year, and the
    minutes of a game that is not in the user's library, are empty fields.

    Raises
    ------
    SeqattnError
        A file is damaged, not UTF-8, or none of the reviews can be read.

    References
    ----------
    Pathak, Gupta and McAuley, "Generating and Personalizing Bundle Recommendations on Steam",
    SIGIR 2017.
    """
    reviews, libraries = paths
    rows, columns = [], Columns()
    for line, author in read_records(reviews, literal_eval, columns):
        user = author.get("user_id")
        for review in author.get("reviews") or ():
            item = review.get("item_id")
            if user is None or item is None:
                continue  # strangers would become one user of the name "None"
            posted = _POSTED.match(str(review.get("posted")))
            day = _seconds(posted.group(1), "%B %d, %Y") if posted else math.nan
            rows.append((line, str(user), str(item), day))
    minutes = _au_minutes(libraries, {(user, item) for _, user, item, _ in rows})
    for line, user, item, seconds in rows:
        columns.add(line, user, item, minutes.get((user, item)), seconds)
    return columns.table(reviews)


def _au_minutes(path: Path, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Minutes played of the pairs wanted; the libraries hold a hundred times as many."""
    minutes = {}
    for _, owner in read_records(path, literal_eval, Columns()):
        for game in owner.get("items", ()):
            pair = str(owner.get("user_id")), str(game.get("item_id"))
            if pair in wanted:
                minutes[pair] = game.get("playtime_forever")
    return minutes


def review_fields(text: str) -> object:
    """Return the needed fields of a line that holds a dictionary, as ``ast.literal_eval`` would.

    Raises
    ------
    ValueError, SyntaxError
        The line holds no literal.
    """
    found: dict[str, object] = {}
    place = 1
    while text.startswith("{") and (pair := _PAIR.match(text, place)):
        literal, value, end = pair.groups()
        if (name := str(_evaluated(literal))) in _FIELDS:
            found[name] = _evaluated(value)
        if end != ", ":
            return found
        place = pair.end()
    return literal_eval(text)


def _evaluated(literal: str) -> object:
    """Evaluate one string or number; the common kinds without a parser."""
    if "\\" not in literal:
        if literal[-1] in "'\"":
            return literal[2:-1] if literal[0] == "u" else literal[1:-1]
        if literal.isdigit():
            return int(literal)
        if "." in literal:
            return float(literal)
    return literal_eval(literal)


@lru_cache(maxsize=1 << 16)  # there are far fewer days than reviews
def _seconds(text: object, form: str) -> float:
    """Seconds since 1970 of a day; NaN if it cannot be read."""
    try:
        return datetime.strptime(str(text), form).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return math.nan
