"""Files as others write them: read, with a YAML that says what is unusual."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from bad_input import GOOD, ROWS, TEXT
from hypothesis import given
from hypothesis import strategies as st
from small_logs import PROPERTY, frame

from seqattn.data import Interactions, load_dataset, load_log
from seqattn.data.readers import read_delimited
from seqattn.errors import SeqattnError


@pytest.fixture
def described(tmp_path):
    """Write a log and its YAML, the good one with changes; return the YAML's path."""

    def make(content: str | bytes = TEXT, **changes: object) -> str:
        values = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
        data = content.encode() if isinstance(content, str) else content
        if values["path"]:
            (tmp_path / values["path"]).write_bytes(data)
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
        return str(tmp_path / "mine.yaml")

    return make


@pytest.fixture
def usual(described):
    return load_dataset(described()).fingerprint


def test_the_ml_1m_txt_that_everybody_has_needs_six_lines(tmp_path):
    rows = [(user, item) for user in range(1, 8) for item in (3661, 914, 3408, 2355, 1197)]
    (tmp_path / "ml-1m.txt").write_text("".join(f"{user} {item}\n" for user, item in rows))
    six = 'name: mine\npath: ml-1m.txt\nseparator: " "\nheader: false\ncolumns: [user, item]\n'
    (tmp_path / "mine.yaml").write_text(six + "order: line\n")
    data = load_dataset(str(tmp_path / "mine.yaml"))
    codes = data.sequences.items[:5]
    assert data.sequences.item_ids[codes - 1].tolist() == [3661, 914, 3408, 2355, 1197]
    assert np.isnan(data.sequences.timestamp).all() and not data.has_intensity


def test_blank_lines_between_lines_in_order_are_no_rows(described):
    rows = "".join(f"{u} {i}\n\n" for u, i, _, _ in ROWS)
    plain = {"header": False, "columns": ["user", "item"], "separator": "space", "order": "line"}
    log = load_log(described(rows, intensity=None, **plain))
    assert log.frame["order"].tolist() == list(range(len(ROWS)))


def test_a_catalogues_dataset_takes_another_order_of_ties(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\nof: synthetic\nties: item-id\n")
    found = load_dataset(str(tmp_path / "mine.yaml"))
    assert found.entry.preparation.ties == "item-id"
    assert found.fingerprint != load_dataset("synthetic").fingerprint


@pytest.mark.parametrize("header", [True, False])
def test_a_split_by_a_column_with_and_without_a_header(described, header):
    parts = ["train"] * 4 + ["valid", "test"]
    rows = "".join(f"{u} {i} {parts[n % 6]}\n" for n, (u, i, _, _) in enumerate(ROWS))
    usual = {"user": "user", "item": "item"}
    columns = usual if header else ["user", "item", "fold"]
    made = described(
        ("user item fold\n" if header else "") + rows,
        **{"columns": columns, "header": header, "intensity": None, "filters": {"k_core": 1}},
        **{"separator": "space", "order": "line", "split": {"column": "fold"}},
    )
    assert [step.interactions for step in load_dataset(made).steps][-1] == len(ROWS)


def test_lines_in_order_of_a_split_in_files_go_on_from_file_to_file(described, tmp_path):
    for name, places in (("train", range(4)), ("valid", [4]), ("test", [5])):
        lines = [f"{u} {i}\n" for n, (u, i, _, _) in enumerate(ROWS) if n % 6 in places]
        (tmp_path / f"{name}.txt").write_text("".join(lines))
    files = {name: f"{name}.txt" for name in ("train", "valid", "test")}
    plain = {"header": False, "columns": ["user", "item"], "separator": "space", "order": "line"}
    data = load_dataset(
        described(path="", intensity=None, filters={"k_core": 1}, split=files, **plain)
    )
    ids = data.sequences.item_ids[data.sequences.items[:6] - 1]
    assert ids.tolist() == [f"i{n}" for n in range(6)]


def test_a_list_of_columns_names_any_of_ours_and_skips_others(described, usual):
    rows = "".join(f"x\t{t}\t{u}\ty\t{i}\t{n}\n" for u, i, n, t in ROWS)
    columns = ["-", "timestamp", "user", "-", "item", "intensity"]
    for tab in ("\t", "tab", r"\t"):
        found = load_dataset(described(rows, header=False, columns=columns, separator=tab))
        assert found.fingerprint == usual


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
        lambda data: data.rstrip(),
    ],
    ids=["BOM", "CRLF", "CR", "BOM and CRLF", "no last line end"],
)
def test_marks_of_other_systems_change_nothing(described, usual, change):
    assert load_dataset(described(change(TEXT.encode()))).fingerprint == usual
    listed = {"header": False, "columns": ["user", "item", "intensity", "timestamp"]}
    rows = change(TEXT.partition("\n")[2].encode())
    assert load_dataset(described(rows, **listed)).fingerprint == usual


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_archives_of_one_file_are_read(described, usual, suffix):
    opened = io.BytesIO()
    with zipfile.ZipFile(opened, "w") as archive:
        archive.writestr("log.csv", TEXT)
    plain = TEXT.encode()
    packed = {
        "gz": gzip.compress(plain),
        "bz2": bz2.compress(plain),
        "xz": lzma.compress(plain),
        "zip": opened.getvalue(),
    }
    path = f"log.csv.{suffix}"
    assert load_dataset(described(packed[suffix], path=path)).fingerprint == usual


def test_decimal_commas_between_semicolons(described):
    halves = TEXT.replace(",1,", ",1.5,").replace(",2,", ",1e-1,")
    commas = halves.replace(",", ";").replace(".", ",")
    found = load_dataset(described(commas, separator=";", decimal=","))
    assert found.fingerprint == load_dataset(described(halves)).fingerprint
    missing = commas + "u1;i1;NULL;1600000000\n"
    again = described(missing, separator=";", decimal=",", missing=["NULL"])
    assert load_dataset(again).fingerprint == found.fingerprint


@pytest.mark.parametrize("mark", ["NULL", "\\N", "-", "nan", "None", "-1", "?"])
def test_marks_of_missing_values_drop_their_rows_as_a_counted_step(described, usual, mark):
    rows = f"u1,i1,{mark},1600000000\nu1,i1,1,{mark}\n{mark},i1,1,1600000000\nu1,{mark},1,1600000\n"
    marks = [int(mark)] if mark == "-1" else [mark]
    found = load_dataset(described(TEXT + rows, missing=marks))
    assert found.fingerprint == usual
    assert [step.interactions for step in found.steps[:2]] == [len(ROWS) + 4, len(ROWS)]


def test_an_item_may_be_called_null_if_the_yaml_says_so(described):
    log = load_log(described(TEXT + "u1,NULL,1,1600000000\n", missing=[]))
    assert log.frame["item"].iloc[-1] == "NULL"


def test_marks_of_missing_values_in_parquet(described, tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    table = pd.DataFrame([*ROWS, ("u1", "NULL", 1, 5)], columns=["user", "item", "plays", "at"])
    path = described(path="log.parquet", missing=["NULL"])
    table.to_parquet(tmp_path / "log.parquet")
    assert [step.interactions for step in load_log(path).steps] == [len(ROWS) + 1, len(ROWS)]


def test_whole_numbers_beside_an_empty_cell_of_parquet_keep_every_digit(described, tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    ids = pd.array([76561198000000001 + n for n in range(len(ROWS))], dtype="Int64")
    ids[3] = pd.NA
    table = pd.DataFrame(ROWS, columns=["user", "item", "plays", "at"]).assign(user=ids)
    path = described(path="log.parquet")
    table.to_parquet(tmp_path / "log.parquet")
    users = load_log(path).frame["user"]
    assert users.dtype == np.int64 and users.tolist() == [int(i) for i in ids if i is not pd.NA]


def test_large_ids_that_pandas_made_inexact_are_refused_with_the_fix():
    with pytest.raises(SeqattnError, match=r"has more digits .* read these ids as text"):
        Interactions.from_frame(frame(user=[76561198000000001.0, 2, 3]))


@pytest.mark.parametrize(("unit", "per"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("more", ["", "u9,i9,1,\n"])
def test_a_file_in_any_unit_is_the_same_dataset(described, unit, per, more):
    parts = [(u, i, n, t + (u == "u1") / 8) for u, i, n, t in ROWS]
    if per == 1:
        rows = "".join(f"{u},{i},{n},{t}\n" for u, i, n, t in parts)
    else:
        rows = "".join(f"{u},{i},{n},{int(t * per)}\n" for u, i, n, t in parts)
    head = TEXT.partition("\n")[0] + "\n"
    dates = "".join(f"{u},{i},{n},{pd.Timestamp(t, unit='s')}Z\n" for u, i, n, t in parts)
    found = load_dataset(described(head + rows + more, time_unit=unit))
    assert found.fingerprint == load_dataset(described(head + dates)).fingerprint


@PROPERTY
@given(st.lists(st.sampled_from(["a", "", "b\nc", "d\r\ne", "\n", 'f"g', "h,i"]), min_size=1))
def test_lines_are_those_on_which_rows_start(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("lines") / "log.csv"
    table = pd.DataFrame({"note": cells, "user": "u", "item": "i"})
    text = table.to_csv(index=False, lineterminator="\n")
    path.write_bytes(text.encode())
    found = read_delimited(path, ",", {"user": "user", "item": "item"}).frame
    before = [table.iloc[:n].to_csv(index=False, lineterminator="\n") for n in range(len(cells))]
    assert found.index.tolist() == [1 + one.count("\n") for one in before]
    assert found.index.name == "line"


@pytest.mark.parametrize(
    ("rows", "whole"),
    [
        ("u,i,10\nu,j,5\n", True),  # the line has its end
        ("u,i,10\nu,j,9\nu,k,5", True),  # others are as short
        ("u,i,10\nu,j,", False),
        ("u,i,10\nu,j", False),
        ("u,i,\nu,j,", True),  # others are empty
        ("u,i,10\nu,j,5", False),
        ("u,i,word\nu,j,w", True),  # words have any length
        ("u,i,10", True),
    ],
)
def test_a_last_line_without_its_end_is_whole_or_refused(tmp_path, rows, whole):
    path = tmp_path / "log.csv"
    path.write_text("user,item,at\n" + rows)
    columns = {"user": "user", "item": "item", "at": "timestamp"}
    if whole:
        assert len(read_delimited(path, ",", columns).frame) == len(rows.split())
    else:
        with pytest.raises(SeqattnError, match="the file ends inside line 3, as if it were cut"):
            read_delimited(path, ",", columns)
