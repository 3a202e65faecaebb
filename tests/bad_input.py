"""Inputs that cannot be used, as data: a title, how the files are written, what the message says.

Each case is tried on the command line by `test_bad_input.py`: one line, exit code 2, and nothing
is written.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import yaml

START = 1_600_000_000
ROWS = [(f"u{u}", f"i{i}", 1 + i % 3, START + 60 * i) for u in range(6) for i in range(6)]
TEXT = "user,item,plays,at\n" + "".join(f"{u},{i},{n},{t}\n" for u, i, n, t in ROWS)
GOOD = {
    "name": "mine",
    "path": "log.csv",
    "columns": {"user": "user", "item": "item", "intensity": "plays", "timestamp": "at"},
    "intensity": {"meaning": "plays", "unit": "plays"},
}
NO_INTENSITY = {
    "columns": {"user": "user", "item": "item", "timestamp": "at"},
    "intensity": None,
}


@dataclass(frozen=True)
class Case:
    """A bad input.

    Attributes
    ----------
    title : str
        What is wrong, in a few words.
    says : tuple of str
        Parts of the message: the file, the row, the fix.
    content : str, bytes or callable
        The log file, or what writes it, given its path.
    changes : dict
        Keys of the YAML that differ from `GOOD`; None leaves one out.
    description : str or None
        The YAML's text, where it is no YAML of such keys.
    """

    title: str
    says: tuple[str, ...]
    content: str | bytes | Callable[[Path], object] = TEXT
    changes: dict[str, object] = field(default_factory=dict)
    description: str | None = None

    def write(self, folder: Path) -> list[str]:
        """Write the files of the case; return the command's arguments."""
        values = {k: v for k, v in {**GOOD, **self.changes}.items() if v is not None}
        log, path = folder / str(values.get("path", "log.csv")), folder / "mine.yaml"
        content = self.content
        if callable(content):
            content(log)
        else:
            log.write_bytes(content.encode() if isinstance(content, str) else content)
        path.write_text(self.description or yaml.safe_dump(values, allow_unicode=True))
        return ["prepare", str(path)]


def more(*lines: str) -> str:
    """The good log with further lines; the first of them is line 38."""
    return TEXT + "".join(f"{line}\n" for line in lines)


def times(per_second: int) -> str:
    """The good log with its times in another unit."""
    return (
        TEXT.splitlines()[0]
        + "\n"
        + "".join(f"{u},{i},{n},{t * per_second}\n" for u, i, n, t in ROWS)
    )


def zipped(*names: str, encrypted: bool = False) -> bytes:
    """A zip of that many logs; `encrypted` only says that it is."""
    opened = io.BytesIO()
    with zipfile.ZipFile(opened, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    data = bytearray(opened.getvalue())
    if encrypted:  # the flag of the member, in its two headers
        data[6] |= 1
        data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def tarred(*names: str) -> bytes:
    opened = io.BytesIO()
    with tarfile.open(fileobj=opened, mode="w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(TEXT)
            archive.addfile(info, io.BytesIO(TEXT.encode()))
    return opened.getvalue()


def parquet(damage: Callable[[bytes], bytes] = bytes, **columns: Sequence[object]):
    """Return what writes the good log as Parquet, with columns replaced."""

    def write(path: Path) -> None:
        frame = pd.DataFrame(ROWS, columns=["user", "item", "plays", "at"])
        frame.assign(**{k: list(v) for k, v in columns.items()}).to_parquet(path)
        path.write_bytes(damage(path.read_bytes()))

    return write


def named(suffix: str, **changes: object) -> dict[str, object]:
    return {"path": f"log.{suffix}", **changes}


DATED = "user,item,plays,at\n" + "".join(f"{u},{i},{n},2020-01-0{n}\n" for u, i, n, _ in ROWS)
SEMICOLONS = TEXT.replace(",", ";")
SPACED = "".join(f"{u} {i}\n" for u, i, _, _ in ROWS)
LISTED = {"header": False, "separator": " ", "order": "line", "columns": ["user", "item"]}
PLAIN = {**LISTED, "intensity": None}
N = len(ROWS)

TIME = [
    Case(
        f"A time in {unit} read as seconds",
        ("log.csv", "line 2", f"set time_unit: {key}"),
        times(per),
    )
    for unit, key, per in (
        ("milliseconds", "ms", 10**3),
        ("microseconds", "us", 10**6),
        ("nanoseconds", "ns", 10**9),
    )
] + [
    Case(
        "A time without a zone among others with one",
        ("log.csv", "line 2", "'2020-01-01' has no zone", "'2020-01-02T00:00Z' in line 3 has one"),
        DATED.replace("-02\n", "-02T00:00Z\n"),
    ),
    Case(
        "A time in seconds read as milliseconds",
        ("log.csv", "line 7", "set time_unit: s"),
        changes={"time_unit": "ms"},
    ),
    Case(
        "A time in nanoseconds read as microseconds",
        ("log.csv", "line 2", "set time_unit: ns"),
        times(10**9),
        {"time_unit": "us"},
    ),
    Case(
        "A placeholder among times in seconds",
        ("log.csv", "line 38", "253402300799 seconds", "leave the field empty"),
        more("u1,i1,3,253402300799"),
    ),
    Case(
        "A time in milliseconds among times in seconds",
        ("log.csv", "line 38", "give all rows in one unit"),
        more(f"u1,i1,3,{START}000"),
    ),
    Case(
        "A time in seconds among times in milliseconds",
        ("log.csv", "line 38", "most rows are much later", "give all rows in one unit"),
        times(10**3) + f"u1,i1,3,{START}\n",
        {"time_unit": "ms"},
    ),
    Case(
        "Nanoseconds too close to be told apart, the later one first",
        ("log.csv", "line 39", "less than a microsecond", "sort the rows by time"),
        times(10**9) + f"u1,i1,3,{START + 9}000000100\nu1,i2,3,{START + 9}000000000\n",
        {"time_unit": "ns"},
    ),
    Case("A unit of time that there is not", ("time_unit 'h'",), changes={"time_unit": "h"}),
    Case(
        "A placeholder for an unknown date",
        ("log.csv", "line 38", "after the year 5000", "leave the field empty"),
        DATED + "u1,i1,3,9999-12-31\n",
    ),
    Case(
        "A date written as a number",
        ("log.csv", "line 2", "20200101 is a date", "write dates as 2024-01-31"),
        DATED.replace("-", ""),
    ),
    Case("A date in words", ("log.csv", "line 38", "ISO 8601"), more("u1,i1,3,yesterday")),
    Case(
        "A day before the month",
        ("log.csv", "line 2", "ISO 8601"),
        TEXT.replace(f"{START}\n", "31/12/2020\n"),
    ),
]
FORM = [
    Case(
        "A file without a header",
        ("log.csv", "column 'user' is missing", "header: false"),
        TEXT.partition("\n")[2],
        {"name": "headless"},
    ),
    Case(
        "A header where the YAML says there is none",
        ("log.txt", "line 1: 'user'", "leave header: false out"),
        "user item\n" + SPACED.replace("u", "1").replace("i", "2"),
        named("txt", **PLAIN),
    ),
    Case(
        "A header above ids of text where the YAML says there is none",
        ("log.txt", "line 1: 'user_id' and 'item_id' look like names", "leave header: false out"),
        "user_id item_id\n" + SPACED,
        named("txt", **PLAIN),
    ),
    Case(
        "More fields than columns are listed",
        ("log.txt", "line 1 has more than 2 fields"),
        SPACED.replace("\n", " 3\n"),
        named("txt", **PLAIN),
    ),
    Case(
        "Two spaces where one separates",
        ("log.txt", "line 2 has more than 2 fields", "write its double space once"),
        SPACED.replace("u0 i1", "u0  i1"),
        named("txt", **PLAIN),
    ),
    Case(
        "A space at the start of a line where spaces separate",
        ("log.txt", "line 1 has more than 2 fields", "remove the space at its start"),
        " " + SPACED,
        named("txt", **PLAIN),
    ),
    Case(
        "A space in the header and a column without a name",
        ("log.csv", "column 'user' is missing (columns present: '', ' user', item, plays, at)"),
        ", " + TEXT.replace("\n", "\n0,"),
    ),
    Case(
        "Fewer fields than columns are listed",
        ("log.txt", "line 1 has 2 fields", "columns lists 3"),
        SPACED,
        named("txt", **PLAIN | {"columns": ["user", "-", "item"]}),
    ),
    Case(
        "A list of columns for a file with a header",
        ("mine.yaml", "header: false"),
        changes={"columns": ["user", "item", "timestamp"], "intensity": None},
    ),
    Case(
        "Names of columns for a file without a header",
        ("mine.yaml", "list ours in file order"),
        changes={"header": False},
    ),
    Case(
        "An unknown name in the list of columns",
        ("mine.yaml", "'rating' is unknown"),
        SPACED,
        named("txt", **PLAIN | {"columns": ["user", "item", "rating"]}),
    ),
    Case(
        "A name twice in the list of columns",
        ("mine.yaml", "'item' must stand once"),
        SPACED,
        named("txt", **PLAIN | {"columns": ["user", "item", "item"]}),
    ),
    Case(
        "No order at all",
        ("mine.yaml", "order: line"),
        SPACED,
        named("txt", **PLAIN | {"order": None}),
    ),
    Case("An unknown order", ("mine.yaml", "use line"), changes={"order": "rows"}),
    Case(
        "Two orders at once",
        ("mine.yaml", "two orders"),
        changes={"order": "line", **NO_INTENSITY, "columns": GOOD["columns"] | {"order": "place"}},
    ),
    Case(
        "Semicolons where commas are expected",
        ("log.csv", "separator: ';'"),
        SEMICOLONS,
    ),
    Case(
        "A decimal comma",
        ("log.csv", "line 2", "'1,5' is not a number", 'decimal: ","'),
        SEMICOLONS.replace(";1;", ";1,5;"),
        {"separator": ";"},
    ),
    Case(
        "A decimal comma between commas",
        ("log.csv", "line 2 has more than 4 fields", "quote fields that hold the separator"),
        TEXT.replace(",1,", ",1,5,"),
        {"decimal": ","},
    ),
    Case(
        "A mark of thousands beside a decimal comma",
        ("log.csv", "line 38", "'1.234,5' has a point", "leave marks of thousands out"),
        SEMICOLONS + "u1;i1;1.234,5;1600000000\n",
        {"separator": ";", "decimal": ","},
    ),
    Case(
        "A title with a quote that nothing closes",
        ("log.tsv", "line 2: a quote opens a field that ends on line 3", "set quote: none"),
        TEXT.replace(",", "\t").replace("\ti0\t", '\t"Heroes\t', 1).replace("\ti1\t", '\ti"1\t', 1),
        named("tsv"),
    ),
    Case("An unknown kind of quote", ("mine.yaml", "use none"), changes={"quote": "single"}),
    Case("An unknown decimal mark", ("mine.yaml", "decimal"), changes={"decimal": "'"}),
    Case("A separator that ends lines", ("mine.yaml", "separator"), changes={"separator": "\n"}),
    Case("A separator beyond ASCII", ("mine.yaml", "'‖'"), changes={"separator": "‖"}),
    Case("A separator of two characters", ("mine.yaml", "';;'"), changes={"separator": ";;"}),
    Case("A separator that is a digit", ("mine.yaml", "'1'"), changes={"separator": "1"}),
    Case("UTF-16 text", ("log.csv", "is not UTF-8"), TEXT.encode("utf-16")),
    Case("Latin-1 text", ("log.csv", "is not UTF-8"), more("é,i1,1,1600000000").encode("latin-1")),
]
FIELDS = [
    Case(
        "NULL as an item",
        ("log.csv", "line 38", "'NULL' is not an id", 'missing: ["NULL"]', "missing: []"),
        more("u1,NULL,1,1600000000"),
    ),
    Case(
        "NA as a user",
        ("log.csv", "line 38", "'NA' is not an id", 'missing: ["NA"]', "missing: []"),
        more("NA,i1,1,1600000000"),
    ),
    Case(
        "\\N as a time",
        ("log.csv", "line 38", 'missing: ["\\\\N"]'),
        more("u1,i1,1,\\N"),
    ),
    Case(
        "A dash as a number", ("log.csv", "line 38", 'missing: ["-"]'), more("u1,i1,-,1600000000")
    ),
    Case(
        "nan as a number", ("log.csv", "line 38", 'missing: ["nan"]'), more("u1,i1,nan,1600000000")
    ),
    Case(
        "A point as the first time",
        ("log.csv", "line 2: '.' is not a number", 'missing: ["."]'),
        TEXT.replace(f",{START}\n", ",.\n", 1),
    ),
    Case(
        "A word as the first time that is not listed as missing",
        ("log.csv", "line 2: 'x' cannot be read as a time"),
        TEXT.replace(f",{START}\n", ",x\n", 1),
    ),
    Case(
        "A blank as a number",
        ("log.csv", "line 38: ' ' is not a number", 'missing: [" "]'),
        more("u1,i1, ,1600000000"),
    ),
    Case(
        "NULL without quotes in the YAML",
        ("mine.yaml", "put it into quotes"),
        changes={"missing": [None]},
    ),
    Case(
        "A word as a number that is not listed as missing",
        ("log.csv", "line 38", "'many' is not a number"),
        more("u1,i1,many,1600000000", "u1,i2,NULL,1600000000"),
        {"missing": ["NULL"]},
    ),
    Case("A negative intensity", ("log.csv", "line 38", "-1"), more("u1,i1,-1,1600000000")),
    Case("An infinite intensity", ("log.csv", "line 38", "infinite"), more("u1,i1,inf,1600000000")),
    Case(
        "A fault below a field of three lines",
        ("log.csv", "line 41", "-1"),
        more('u1,"a\nb\nc",1,1600000000', "u1,i1,-1,1600000000"),
    ),
    Case(
        "A surplus field below a field of two lines",
        ("log.csv", "line 40 has more than 4 fields"),
        more('u1,"a\nb",1,1600000000', "u1,i1,1,1600000000,9"),
    ),
    Case(
        "An id of a million letters",
        ("log.csv", "line 38", "(1,000,000 characters)", "more than 1,000 characters"),
        more(f"u1,{'x' * 10**6},1,1600000000"),
    ),
    Case(
        "A number of a million letters",
        ("log.csv", "line 38", "is not a number"),
        more(f"u1,i1,{'x' * 10**6},1600000000"),
    ),
    Case(
        "A header of a million letters",
        ("log.csv", "is missing"),
        "x" * 10**6 + "\n1\n",
    ),
    Case("A NUL byte", ("log.csv", "line 3 holds a NUL byte"), TEXT.replace("u0,i1", "u\0,i1")),
]
DAMAGE = [
    Case("A file cut off in its last time", ("log.csv", f"line {N + 1}", "cut off"), TEXT[:-3]),
    Case("A file cut off before its last time", ("log.csv", f"line {N + 1}"), TEXT[:-11]),
    Case(
        "A file cut off in its last date",
        ("log.csv", "cut off"),
        DATED[:-2],
    ),
    Case(
        "A file cut off in its last time, above it empty notes",
        ("log.csv", f"line {N + 1}", "cut off"),
        TEXT.replace("\n", ",\n").replace("at,\n", "at,note\n")[:-4],
    ),
    Case(
        "A file cut off in a last time of ten digits, among others of nine",
        ("log.csv", f"line {N + 1}", "cut off", "far smaller"),
        "user,item,plays,at\n"
        + "\n".join(f"{u},{i},{n},{t - START + 10**9 - 120}" for u, i, n, t in ROWS)[:-1],
    ),
    Case("A file cut off inside quotes", ("log.csv", "cannot be read"), TEXT + '"u1'),
    Case(
        "A broken gzip file",
        ("log.csv.gz", "cannot be read"),
        gzip.compress(TEXT.encode())[:60],
        named("csv.gz"),
    ),
    Case(
        "A broken bzip2 file",
        ("log.csv.bz2", "cannot be read"),
        bz2.compress(TEXT.encode())[:60],
        named("csv.bz2"),
    ),
    Case(
        "A broken xz file",
        ("log.csv.xz", "cannot be read"),
        lzma.compress(TEXT.encode())[:60],
        named("csv.xz"),
    ),
    Case("An xz file that is none", ("log.csv.xz", "cannot be read"), TEXT, named("csv.xz")),
    Case("A zstd file that is none", ("log.csv.zst",), TEXT, named("csv.zst")),
    Case("A zip file that is none", ("log.zip", "cannot be read"), TEXT, named("zip")),
    Case(
        "A zip file of two logs",
        ("log.zip", "one file that holds the log"),
        zipped("a.csv", "b.csv"),
        named("zip"),
    ),
    Case("A zip file of nothing", ("log.zip", "cannot be read"), zipped(), named("zip")),
    Case(
        "An encrypted zip file",
        ("log.zip", "encrypted"),
        zipped("a.csv", encrypted=True),
        named("zip"),
    ),
    Case(
        "A tar file of two logs",
        ("log.tar.gz", "one file that holds the log"),
        tarred("a.csv", "b.csv"),
        named("tar.gz"),
    ),
    Case(
        "A broken tar file", ("log.tar.gz", "cannot be read"), tarred("a.csv")[:90], named("tar.gz")
    ),
    Case(
        "Two files joined, each with its names",
        ("log.csv", f"line {N + 2} repeats the names of the columns"),
        TEXT + TEXT,
    ),
    Case("An empty line above the names", ("log.csv", "line"), "\n" + TEXT),
    Case("An empty file", ("log.csv", "the file is empty"), ""),
    Case("A header and nothing else", ("log.csv", "no rows"), "user,item,plays,at\n"),
]
PARQUET = [
    Case(
        "A NUL character in a user",
        ("log.parquet", "row 2", "holds a NUL character"),
        parquet(user=["u", "u\0x"] * (N // 2)),
        named("parquet"),
    ),
    Case(
        "Lists as items",
        ("log.parquet", "'item', row 1: holds list"),
        parquet(item=[[1]] * N),
        named("parquet"),
    ),
    Case(
        "Structs as users",
        ("log.parquet", "'user', row 1: holds struct"),
        parquet(user=[{"id": 1}] * N),
        named("parquet"),
    ),
    Case(
        "Bytes as items",
        ("log.parquet", "'item'", "row 1"),
        parquet(item=[b"i"] * N),
        named("parquet"),
    ),
    Case(
        "The year 9999",
        ("log.parquet", "row 1", "after the year 5000"),
        parquet(at=pd.Series(["9999-12-31"] * N, dtype="datetime64[us]")),
        named("parquet"),
    ),
    Case(
        "A damaged footer",
        ("log.parquet", "cannot be read"),
        parquet(lambda data: data[:-40] + b"\xff" * 32 + data[-8:]),
        named("parquet"),
    ),
    Case(
        "A Parquet file cut in half",
        ("log.parquet", "cannot be read"),
        parquet(lambda data: data[: len(data) // 2]),
        named("parquet"),
    ),
    Case(
        "A separator for Parquet",
        ("mine.yaml", "not of Parquet"),
        parquet(),
        named("parquet", separator=";"),
    ),
    Case(
        "NULL as an item of a Parquet file",
        ("log.parquet", "row 1", 'missing: ["NULL"]'),
        parquet(item=["NULL"] * N),
        named("parquet"),
    ),
]
REPEATS = [
    Case(
        "An unknown policy for repeats",
        ("mine.yaml", "'add' is unknown"),
        changes={"duplicates": "add"},
    ),
    Case(
        "An unknown kind of repeats",
        ("mine.yaml", "unknown key 'copies'"),
        changes={"duplicates": {"copies": "sum"}},
    ),
    Case(
        "A truth value as a policy for repeats",
        ("mine.yaml", "duplicates must be a word or a mapping of keys to values, not True"),
        changes={"duplicates": True},
    ),
    Case(
        "Repeats where none may be",
        ("log.csv", "user u1 with item i1, 2 times"),
        more("u1,i1,9,1600009999"),
        {"duplicates": "error"},
    ),
    Case(
        "Copies where none may be",
        ("log.csv", "exact copies", "user u0 with item i0"),
        more(TEXT.splitlines()[1]),
        {"duplicates": {"exact": "error", "pairs": "sum"}},
    ),
    Case(
        "A sum that overflows",
        ("log.csv", "user u1 with item i1 sum to 6e+38", "use a larger unit"),
        more("u1,i1,3e38,1600009999", "u1,i1,3e38,1600009998"),
        {"duplicates": "sum"},
    ),
    Case(
        "A sum of nothing",
        ("mine.yaml", "duplicates: sum"),
        changes={**NO_INTENSITY, "duplicates": "sum"},
    ),
    Case(
        "A count that is not described",
        ("mine.yaml", "intensity: {meaning: plays"),
        changes={**NO_INTENSITY, "duplicates": "count"},
    ),
    Case("An unknown order of ties", ("mine.yaml", "use file or item-id"), changes={"ties": "id"}),
]
YAML = [
    Case("A key that is misspelt", ("mine.yaml", "unknown key 'nmae'"), changes={"nmae": "x"}),
    Case(
        "A key that is given twice", ("mine.yaml", "given twice"), description="name: a\nname: b\n"
    ),
    Case(
        "A YAML that is none",
        ("mine.yaml", "cannot be read as YAML", "'<stream end>', line 2"),
        description="name: [\n",
    ),
    Case("An absent log", ("none.csv", "no such file"), lambda path: None, {"path": "none.csv"}),
    Case(
        "A name that leads out of the folder",
        ("mine.yaml", "serves as a folder"),
        changes={"name": "a/../b"},
    ),
]
PART = {"split": {"column": "part"}}
PARTS = {"u": "train", "v": "valid", "t": "test"}


def parted(letters: str, *, user: str = "u1") -> str:
    """A log of one user with a part for each row, such as "uuvt", a minute apart."""
    rows = (f"{user},i{n},1,{START + 60 * n},{PARTS[c]}\n" for n, c in enumerate(letters))
    return "user,item,plays,at,part\n" + "".join(rows)


SPLITS = [
    Case(
        "A cut that is none", ("neither like 'quantile 0.9'",), changes={"split": {"time": "0.9"}}
    ),
    Case(
        "A share alone as a cut",
        ("mine.yaml", "split: time 0.8 is a number; write quantile 0.8"),
        changes={"split": {"time": 0.8}},
    ),
    Case(
        "A year as a cut",
        ("mine.yaml", "split: time 2020 is a number", "a date like 2018-01-31"),
        changes={"split": {"time": 2020}},
    ),
    Case(
        "A cut at the moment of reading",
        ("time 'now' is neither like 'quantile 0.9'", "nor a date"),
        changes={"split": {"time": "now"}},
    ),
    Case(
        "A cut after everything",
        (
            "time '2031-01-01'",
            "no interaction is after it; the first is of 2020-09-13 and the last of 2020-09-13",
        ),
        changes={"split": {"time": "2031-01-01"}},
    ),
    Case(
        "A cut before everything",
        (
            "time '1999-01-01'",
            "no interaction is before it; the first is of 2020-09-13 and the last of 2020-09-13",
        ),
        changes={"split": {"time": "1999-01-01"}},
    ),
    Case(
        "A validation by a tenth of too few users",
        ("validation: user draws a tenth", "of these 6", "set validation: time or last"),
        changes={"split": {"time": "quantile 0.8", "validation": "user"}},
    ),
    Case(
        "An unknown target",
        ("split: target 'middle' is unknown; use last, first, random, all",),
        changes={"split": {"time": "quantile 0.9", "target": "middle"}},
    ),
    Case(
        "A split in time without times",
        ("no timestamp is known",),
        "user,item,place\n" + "".join(f"{u},{i},{n}\n" for n, (u, i, *_) in enumerate(ROWS)),
        {
            "columns": {"user": "user", "item": "item", "order": "place"},
            "intensity": None,
            "split": {"time": "quantile 0.9"},
        },
    ),
    Case(
        "Two kinds of split",
        ("split: give time",),
        changes={"split": {"time": "quantile 0.9", "column": "part"}},
    ),
    Case(
        "A target for a given split",
        ("target belongs to a split in time",),
        changes={"split": {"column": "part", "target": "all"}},
    ),
    Case(
        "A split of one file",
        ("needs at least train and test",),
        changes={"path": None, "split": {"train": "a.csv"}},
    ),
    Case(
        "A log and its parts",
        ("by `path`, or its parts under `split`",),
        changes={"split": {"train": "a.csv", "test": "b.csv"}},
    ),
    Case(
        "A part that is none",
        ("line 3", "'dev' is no part of a split", "write train"),
        parted("uuuvt").replace("i1,1,1600000060,train", "i1,1,1600000060,dev"),
        PART,
    ),
    Case("A column of parts that is not there", ("column 'part' is missing",), changes=PART),
    Case(
        "Training after test",
        ("user u1 has an interaction in 'train' after one in 'test'",),
        parted("uutuv"),
        PART,
    ),
    Case(
        "A part in capitals",
        ("'TEST' is no part", "lower case"),
        parted("uuvt").replace("test", "TEST"),
        PART,
    ),
    Case("No validation", ("set `validation: last`",), parted("uuut"), PART),
    Case("No test", ("no interaction is in the part 'test'",), parted("uuuv"), PART),
    Case("No training", ("no interaction is in the part 'train'",), parted("vvt"), PART),
]

SECTIONS = {
    "Times": TIME,
    "Headers, columns and separators": FORM,
    "Fields": FIELDS,
    "Damaged files": DAMAGE,
    "Parquet": PARQUET,
    "Repeats and ties": REPEATS,
    "Splits": SPLITS,
    "The YAML itself": YAML,
}
CASES = [case for cases in SECTIONS.values() for case in cases]
