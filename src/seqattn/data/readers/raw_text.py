"""A delimited file before it is a table: its bytes, its lines, and what is wrong with them."""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.common import get_handle

from seqattn.errors import SeqattnError
from seqattn.files import require_file

UNREADABLE = (pd.errors.ParserError, UnicodeError, EOFError, OSError, zlib.error)
# How files that are no text begin, and what is said of them.
_KINDS = {
    b"PK\x03\x04": "is a spreadsheet or another archive by its content; save it as CSV",
    b"\xd0\xcf\x11\xe0": "is a spreadsheet by its content; save it as CSV",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive; unpack it and give the path of the log",
    b"Rar!": "is a RAR archive; unpack it and give the path of the log",
    b"PAR1": "is a Parquet file by its content; name it .parquet",
    b"\x1f\x8b": "is compressed by its content; let its name end in .gz",
    b"BZh": "is compressed by its content; let its name end in .bz2",
    b"\xfd7zXZ": "is compressed by its content; let its name end in .xz",
    b"\x28\xb5\x2f\xfd": "is compressed by its content; let its name end in .zst",
    b"SQLite format 3": "is a database; write the table of the log as CSV",
}
_BLANK_START = re.compile(rb"(?:\xef\xbb\xbf)?[ \t]*[\r\n]\s*\S")
_ONE = "\x1f"  # stands for a separator of two characters, which pandas' fast parser cannot take
_NUMBER = re.compile(r"\s*[-+]?[.\d]")
_LONG_NUMBER = re.compile(r"[1-9][0-9]{5,}")  # a time, perhaps; hardly a count or a rating
_FAR = 5  # a digit less makes a number ten times smaller; a log's times make up some of that
_LONGEST_CELL = 2**31 - 1  # of the csv module, which by itself stops at 131,072 characters


@dataclass(frozen=True, eq=False)
class RawText:
    """The bytes of a delimited file, and how they are cut into fields.

    Attributes
    ----------
    path : Path
        The file, for messages.
    content : bytes
        What it holds.
    separator : str
        Between fields, one character.
    columns : int
        Fields of a row.
    header : bool
        Whether the first line names the columns.
    quoted : bool
        Whether quotes go round a field; else they are text.
    """

    path: Path
    content: bytes
    separator: str
    columns: int
    header: bool
    quoted: bool = True

    def lines(self, rows: int) -> pd.Index:
        """Return the line on which each row starts; a quoted field may hold the end of a line."""
        physical = self.content.count(b"\n") + (not self.content.endswith(b"\n"))
        if physical != rows + self.header:
            starts = self._starts[0][:-1]
            if len(starts) == rows + self.header:
                return pd.Index(starts[self.header :], name="line")
        return pd.RangeIndex(1 + self.header, 1 + self.header + rows, name="line")

    def refuse_swallowed(self) -> None:
        """Refuse a quoted field over several lines each of which is a row by itself.

        A quote that is part of a title opens a field, which goes on until the next quote.

        Raises
        ------
        SeqattnError
            There is one; the message names its first line.
        """
        if not self.quoted or b'"' not in self.content:
            return
        starts, text = self._starts
        for start, after in pairwise(starts):
            if after - start > 1 and self._are_rows(text[start - 1 : after - 1]):
                raise SeqattnError(
                    f"{self.path}: line {start}: a quote opens a field that ends on line "
                    f"{after - 1}, and each of these lines would be a row; set quote: none if "
                    "quotes are part of the text, or double the quote"
                )

    def _are_rows(self, lines: list[str]) -> bool:
        """Whether each line has the fields of a row, with numbers where the first one has them."""
        first = lines[0].rstrip("\r\n").split(self.separator)
        numbers = [at for at, field in enumerate(first) if _NUMBER.match(field)]
        if len(first) != self.columns:
            return False
        for line in lines[1:]:
            ways = (line.rstrip("\r\n").split(self.separator), *self._reader([line]))
            fields = next((way for way in ways if len(way) == self.columns), None)
            if fields is None or not all(_NUMBER.match(fields[at]) for at in numbers):
                return False
        return True

    def refuse_surplus(self) -> None:
        """Refuse a line with more fields than there are columns, of which pandas would say nothing.

        Raises
        ------
        SeqattnError
            There is one; the message names it.
        """
        try:
            fields = self._column(self.columns, self.columns + 1)
        except (pd.errors.EmptyDataError, *UNREADABLE):
            return  # no line is that long, or the file has other faults, which reading will tell
        surplus = np.flatnonzero(fields.notna())
        if len(surplus):
            line = self.lines(len(fields))[surplus[0]]
            raise SeqattnError(
                f"{self.path}: line {line} has more than {self.columns} fields; "
                f"{self._fix_of_surplus(surplus[0])}"
            )

    def _fix_of_surplus(self, row: int) -> str:
        """Return what mends a row with too many fields; spaces are easily doubled."""
        if self.separator == " " and "" in (fields := self._row(row)[:-1]):
            return (
                "remove the space at its start" if not fields[0] else "write its double space once"
            )
        comma = ", such as decimals with a comma, or write those with a point"
        return f"quote fields that hold the separator{comma if self.separator == ',' else ''}"

    def _row(self, row: int) -> list[str]:
        """Return the fields of a row as they stand."""
        text = io.StringIO(self.content.decode("utf-8-sig"), newline="")
        with _cells_of_any_length():
            return next(islice(self._reader(text), row + self.header, None))

    def refuse_cut(self) -> None:
        """Refuse a last line that ends early, where no end of line says that it is whole.

        It has fewer fields than any other, or its last one, a number or a date, is shorter than all
        others or a number far below them.

        Raises
        ------
        SeqattnError
            It does.
        """
        if self.content.endswith((b"\n", b"\r")):
            return
        try:
            last = self._last()
            if not "".join(last).strip():
                return  # blanks below the last row are no row
            full = len(last) >= self.columns
            if full and self._ends_closed(last[-1]):
                return
            fields = self._column((self.columns if full else len(last)) - 1, self.columns)
            if len(fields) < 2:
                return
            ends_early = _is_shorter(fields) if full else not self._has_short(len(last))
        except (pd.errors.EmptyDataError, csv.Error, *UNREADABLE):
            return
        if ends_early or _is_far_below(fields):
            line = self.lines(len(fields))[-1]
            raise SeqattnError(
                f"{self.path}: the file ends inside line {line}, as if it were cut off: its last "
                "field is absent, shorter or far smaller than all others and no end of line "
                "follows; get the file again, or end the line if it is whole"
            )

    def _last(self) -> list[str]:
        """Return the fields of the last record, which may begin on an earlier line."""
        if self.quoted and b'"' in self.content:
            starts, text = self._starts
            lines = text[starts[-2] - 1 :] if text else []
        else:
            tail = self.content.rpartition(b"\n")[2].rpartition(b"\r")[2]
            lines = [tail.decode(errors="replace")]
        with _cells_of_any_length():
            return next(self._reader(lines), [])

    def _ends_closed(self, field: str) -> bool:
        """Whether the last field stands in quotes of which the second closes it."""
        return self.quoted and field != "" and self.content.endswith(f'"{field}"'.encode())

    def _has_short(self, fields: int) -> bool:
        """Whether a record before the last one has at most that many fields, too."""
        text = io.StringIO(self.content.decode("utf-8-sig", errors="replace"), newline="")
        with _cells_of_any_length():
            counts = [len(row) for row in self._reader(text) if "".join(row).strip()]
        return min(counts[self.header : -1], default=0) <= fields

    @cached_property
    def _starts(self) -> tuple[list[int], list[str]]:
        """The line on which each record starts, and the one after the last; and all lines."""
        try:
            text = list(io.StringIO(self.content.decode("utf-8-sig"), newline=""))
            with _cells_of_any_length():
                records = self._reader(text)
                return [1, *(records.line_num + 1 for _ in records)], text
        except (csv.Error, UnicodeError):  # reading the file will tell
            return [1], []

    def _reader(self, lines: Iterable[str]) -> Any:
        form: dict[str, Any] = {"delimiter": self.separator, "quoting": quoting(self.quoted)}
        return csv.reader(lines, **form)

    def _column(self, place: int, fields: int) -> pd.Series:
        """Fields of one column as they stand, of lines read as if they had that many fields."""
        return pd.read_csv(
            io.BytesIO(self.content),
            sep=self.separator,
            quoting=quoting(self.quoted),
            header=None,
            skiprows=int(self.header),
            names=range(fields),
            usecols=[place],
            index_col=False,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,
        )[place]


def _is_shorter(fields: pd.Series) -> bool:
    """Whether the last field is empty and no other is, or shorter than all others, all numbers."""
    others, last = fields.iloc[:-1], fields.iloc[-1]
    if pd.isna(last):
        return bool(others.notna().all())
    numbers = others.str.match(r"[-+.\d]", na=False).all()
    return bool(numbers and len(last) < others.str.len().min())


def _is_far_below(fields: pd.Series) -> bool:
    """Whether the last field is a long number with a gap to all others, as if digits were cut off.

    Of times about 10^9 some have a digit less than others, so that its length tells nothing. Zero
    stands for an unknown time, and is not compared.
    """
    others, last = fields.iloc[:-1].dropna(), str(fields.iloc[-1])
    others = others[~others.str.fullmatch(r"0+")]
    whole = not others.empty and others.str.fullmatch(r"[0-9]+").all()
    if not (whole and _LONG_NUMBER.fullmatch(last) and len(last) < others.str.len().max()):
        return False
    return bool(float(last) * _FAR <= others.astype(float).min())


def quoting(quoted: bool) -> int:
    """Return what the csv module and pandas call it whether quotes go round a field."""
    return csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def with_one(path: Path, content: bytes, separator: str) -> tuple[bytes, str]:
    """Return bytes in which the separator is one character, and this character.

    Raises
    ------
    SeqattnError
        The separator has two, and the file holds the character that would stand for them.
    """
    if len(separator) == 1:
        return content, separator
    if _ONE.encode() in content:
        raise SeqattnError(f"{path}: holds the control character 0x1f; remove it")
    return content.replace(separator.encode(), _ONE.encode()), _ONE


def content_of(path: Path) -> bytes:
    """Return the bytes of a text file, unpacked if its name says that it is compressed.

    Raises
    ------
    SeqattnError
        There is no such file, or it may not be read; the archive is damaged, encrypted or not of
        one file, or the text holds NUL bytes.
    """
    require_file(path, pipes=True)
    try:
        with get_handle(path, "rb", is_text=False, compression="infer") as opened:
            content: bytes = opened.handle.read()
    except ImportError as error:
        raise SeqattnError(f"{path}: {one_line(error)} Or unpack the file first.") from None
    except Exception as error:  # each kind of archive has errors of its own
        raise SeqattnError(
            f"{path}: cannot be read ({one_line(error)}); get it again, or unpack it and give the "
            "path of the one file that holds the log"
        ) from error
    no_text = b"\0" in content or not content[:64].isascii()
    for begins, told in _KINDS.items():
        if no_text and content.startswith(begins):  # a column may be called PAR1
            raise SeqattnError(f"{path}: {told}")
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):  # of UTF-16
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise SeqattnError(
            f"{path}: line {line} holds a NUL byte, so the file is damaged or no text; get it again"
        )
    return content


def require_names_first(path: Path, content: bytes) -> None:
    """Refuse a text whose first line is empty, where the names of the columns should stand.

    Raises
    ------
    SeqattnError
        It is, and a later one is not.
    """
    if _BLANK_START.match(content):
        raise SeqattnError(
            f"{path}: line 1 is empty; the names of the columns should stand there: remove the "
            "empty lines above them"
        )


def one_line(error: Exception) -> str:
    """Return what an error says, on one line of some length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
