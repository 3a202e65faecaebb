"""Files as others write them: read, with a YAML that says what is unusual."""

from __future__ import annotations

import bz2
import dataclasses
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

from seqattn.data import Interactions, find_entry, load_dataset, load_log
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


def test_other_filters_of_a_catalogues_dataset_leave_the_rest_as_it_was(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nof: steam-3k\nfilters: {k_core: 10}\n")
    base, found = find_entry("steam-3k").preparation, find_entry(str(path)).preparation
    assert base.subsample == 3_000
    assert found == dataclasses.replace(base, core=10)
    path.write_text("name: mine\nof: steam-3k\nfilters: {users: 0}\n")
    assert find_entry(str(path)).preparation == dataclasses.replace(base, subsample=None)


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


@pytest.mark.parametrize("mark", ["NULL", "\\N", "-", "nan", "None", "-1", "?", ".", "n.a.", " "])
def test_marks_of_missing_values_drop_their_rows_as_a_counted_step(described, usual, mark):
    rows = f"u1,i1,{mark},1600000000\nu1,i1,1,{mark}\n{mark},i1,1,1600000000\nu1,{mark},1,1600000\n"
    marks = [int(mark)] if mark == "-1" else [mark]
    found = load_dataset(described(TEXT + rows, missing=marks))
    assert found.fingerprint == usual
    assert [step.interactions for step in found.steps[:2]] == [len(ROWS) + 4, len(ROWS)]


@pytest.mark.parametrize("mark", [".", " ", "  ", "n.a.", "N.A."])
@pytest.mark.parametrize("name", ["plays", "at"])
@pytest.mark.parametrize("line", [2, 5])
def test_marks_that_the_yaml_does_not_know_are_named_with_the_key(described, mark, name, line):
    table = pd.DataFrame(ROWS, columns=["user", "item", "plays", "at"]).astype(str)
    table.loc[line - 2, name] = mark
    with pytest.raises(SeqattnError) as caught:
        load_log(described(table.to_csv(index=False)))
    told = str(caught.value)
    assert f"line {line}: '{mark}' is not a number" in told and f'missing: ["{mark}"]' in told
    kept = load_log(described(table.to_csv(index=False), missing=[mark]))
    assert len(kept) == len(ROWS) - 1


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
def test_lines_are_those_on_which_rows_start(tmp_path_factory, fields):
    path = tmp_path_factory.mktemp("lines") / "log.csv"
    table = pd.DataFrame({"note": fields, "user": "u", "item": "i"})
    text = table.to_csv(index=False, lineterminator="\n")
    path.write_bytes(text.encode())
    found = read_delimited(path, ",", {"user": "user", "item": "item"}).frame
    before = [table.iloc[:n].to_csv(index=False, lineterminator="\n") for n in range(len(fields))]
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


@pytest.mark.parametrize(
    ("rows", "whole"),
    [
        ("1,10,1600000000,\n2,11,1600000060,good\n3,12,16000000", False),
        ('1,10,1600000000,\n2,11,1600000060,"a\nb"\n3,12', False),
        ("1,10,1600000000,\n2,11,1600000060,good\n3,12,1600000090,", True),
        ('1,10,1600000000,\n2,11,1600000060,good\n3,12,1600000090,"a\nb"', True),
        ("1,10,1600000000\n2,11,1600000060,good\n3,12,1600000090", True),  # others are as short
        ("1,10,1600000000\n2,11,1600000060,good\n3,12,160000009", False),
        ("1,10,1600000000,\n2,11,1600000060,good\n ", True),  # blanks are no row
        ("1,10,1600000000,good\n2,11,1600000060,good\n ", True),
        ("1,10,1600000000,good\n2,11,1600000060,good\n3,12,1600000090,NA", True),
    ],
)
def test_a_last_line_with_fewer_cells_is_cut_off_where_no_other_has_as_few(tmp_path, rows, whole):
    path = tmp_path / "log.csv"
    path.write_text("user,item,at,note\n" + rows)
    columns = {"user": "user", "item": "item", "at": "timestamp"}
    if whole:
        assert read_delimited(path, ",", columns).frame["timestamp"].min() == 1_600_000_000
    else:
        with pytest.raises(SeqattnError, match="the file ends inside line"):
            read_delimited(path, ",", columns)


@pytest.mark.parametrize(
    ("last", "whole"),
    [('"1"', True), ('"1', False), ('"', False), ('""', False), ("1", False)],
)
def test_a_last_field_is_whole_where_its_quote_is_closed(tmp_path, last, whole):
    path = tmp_path / "log.csv"
    path.write_text(f'"user";"item";"at"\n"u";"i";"10"\n"u";"j";{last}')
    columns = {"user": "user", "item": "item", "at": "timestamp"}
    if whole:
        assert len(read_delimited(path, ";", columns).frame) == 2
    else:
        with pytest.raises(SeqattnError, match=r"line 3|cannot be read"):
            read_delimited(path, ";", columns)


def test_a_surplus_field_is_named_whatever_it_holds(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,at\n1,10,1600000000,NA\n2,11,1600000060\n")
    with pytest.raises(SeqattnError, match="line 2 has more than 3 fields"):
        read_delimited(path, ",", {"user": "user", "item": "item", "at": "timestamp"})


@pytest.mark.parametrize(
    ("times", "whole"),
    [
        ("999999970 1000000000 100000003", False),  # of 1000000030
        ("999999970 0 1000000000 10000000", False),  # 0: unknown
        ("999999970 1000000000 1000000030", True),
        ("999999970 1000000000 999999990", True),
        ("90 100 10", True),  # a count
        ("123456 1000000000 234567", True),  # another is as small
        ("999999970 never 100000003", True),
    ],
)
def test_a_last_time_far_below_all_others_is_cut_off(tmp_path, times, whole):
    path = tmp_path / "log.csv"
    path.write_text("user,item,at\n" + "\n".join(f"u,i,{at}" for at in times.split()))
    columns = {"user": "user", "item": "item", "at": "timestamp"}
    if whole:
        assert len(read_delimited(path, ",", columns).frame) == len(times.split())
    else:
        with pytest.raises(SeqattnError, match=r"as if it were cut off: .*far smaller"):
            read_delimited(path, ",", columns)


TABLE = pd.DataFrame(ROWS, columns=["user", "item", "plays", "at"])


@pytest.mark.parametrize("kind", ["int64", "float64", "object", "string"])
@pytest.mark.parametrize("mark", [999, 999.0, "999"])
@pytest.mark.parametrize("suffix", ["parquet", "pq"])
def test_marks_in_numbers_of_parquet_are_compared_as_numbers(
    described, tmp_path, kind, mark, suffix
):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    plays = TABLE["plays"].astype("int64").where(TABLE.index != 3, 999)
    plays = plays.map(str) if kind == "string" else plays
    path = described(path=f"log.{suffix}", missing=[mark])
    TABLE.assign(plays=plays.astype(kind)).to_parquet(tmp_path / f"log.{suffix}")
    assert [step.interactions for step in load_log(path).steps] == [len(ROWS), len(ROWS) - 1]


@pytest.mark.parametrize("form", ["csv", "parquet", "csv without a header"])
@pytest.mark.parametrize(
    ("marks", "left"), [([7], ["7.0", "07", "8"]), (["7.0"], ["7", "07", "8"])]
)
def test_marks_in_ids_are_compared_as_text(described, tmp_path, form, marks, left):
    table = pd.DataFrame({"user": ["7", "7.0", "07", "8", " 7 "], "item": "i", "plays": 1, "at": 5})
    table = table if marks == [7] else table.iloc[:4]
    if form == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
        path = described(path="log.parquet", missing=marks)
        table.to_parquet(tmp_path / "log.parquet")
    else:
        text, header = table.to_csv(index=False), form == "csv"
        listed = (
            {}
            if header
            else {"header": False, "columns": ["user", "item", "intensity", "timestamp"]}
        )
        text = text if header else text.partition("\n")[2]
        path = described(text, missing=marks, **listed)
    log = load_log(path)
    assert log.frame["user"].tolist() == left
    assert [step.interactions for step in log.steps] == [len(table), 3]


def test_a_mark_does_not_take_its_neighbour_among_large_ids(described, tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    path = described(path="log.parquet", missing=[2**60])
    TABLE.assign(user=2**60 + TABLE.index).to_parquet(tmp_path / "log.parquet")
    assert load_log(path).frame["user"].tolist() == [2**60 + n for n in range(1, len(ROWS))]


WORDS = ["NULL", "Null", "NA", "na", "(null)", "NaT", "#N/A", "N/A", "None", "nan", "NaN", "<NA>"]


@pytest.mark.parametrize("word", [*WORDS, "\\n", "-", " null "])
@pytest.mark.parametrize("column", ["user", "item"])
def test_words_for_unknown_ids_are_refused_unless_the_yaml_says_what_they_are(
    described, word, column
):
    row = {"user": "u1", "item": "i1", column: word}
    text = TEXT + f"{row['user']},{row['item']},1,1600000000\n"
    with pytest.raises(SeqattnError, match=r"line 38: .* is not an id, it seems; say missing: \["):
        load_log(described(text))
    assert load_log(described(text, missing=[])).frame[column].iloc[-1] == word.strip()
    assert len(load_log(described(text, missing=[word.strip()]))) == len(ROWS)


QUOTED = TEXT.replace(",", "\t")
STRAY = QUOTED.replace("i1\t", '"Heroes\t').replace("i4\t", '"Zorro\t')


def test_quotes_that_are_text_are_kept_and_otherwise_refused_with_the_line(described):
    with pytest.raises(
        SeqattnError, match=r"line 3: a quote opens a field that ends on line 6.*quote: none"
    ):
        load_log(described(STRAY, path="log.tsv"))
    log = load_log(described(STRAY, path="log.tsv", quote="none"))
    expected = [{"i1": '"Heroes', "i4": '"Zorro'}.get(item, item) for _, item, _, _ in ROWS]
    assert log.frame["item"].tolist() == expected


def test_a_quote_may_swallow_more_than_the_csv_module_takes_by_itself(described):
    rows = "".join(f"u{n}\ti{n}\t1\t{1_600_000_000 + n}\n" for n in range(8_000))
    head = QUOTED.partition("\n")[0] + "\n"
    text = head + 'u\t"Heroes\t1\t1600000000\n' + rows + 'u\t"Zorro\t1\t1600000000\n'
    with pytest.raises(SeqattnError, match="line 2: a quote opens a field that ends on line 8003"):
        load_log(described(text, path="log.tsv"))


@PROPERTY
@given(st.lists(st.sampled_from(["a", "b\nc", "d,\ne", 'f"g\n,,,', "h\n1,2", "\n"]), min_size=1))
def test_proper_quotes_are_never_taken_for_stray_ones(tmp_path_factory, notes):
    path = tmp_path_factory.mktemp("quotes") / "log.csv"
    table = pd.DataFrame({"user": "u", "item": "i", "note": notes, "at": 5, "more": notes})
    table.to_csv(path, index=False, lineterminator="\n")
    assert len(read_delimited(path, ",", {"user": "user", "item": "item"}).frame) == len(notes)


def test_a_quoted_decimal_comma_needs_no_other_separator(described):
    halves = TEXT.replace(",1,", ",1.5,")
    commas = TEXT.replace(",1,", ',"1,5",')
    with pytest.raises(SeqattnError, match='say decimal: ","'):
        load_log(described(commas))
    found = load_dataset(described(commas, decimal=","))
    assert found.fingerprint == load_dataset(described(halves)).fingerprint


@pytest.mark.parametrize("field", ["1.234", "1.234,5", "1.234.567", "-1.5"])
@pytest.mark.parametrize("place", [0, 5])
def test_a_point_beside_a_decimal_comma_is_refused_as_it_stands(described, field, place):
    lines = TEXT.replace(",", ";").splitlines()
    user, item, _, at = lines[place + 1].split(";")
    lines[place + 1] = f"{user};{item};{field};{at}"
    text = "\n".join(lines) + "\n"
    message = rf"'plays' \(intensity\), line {place + 2}: '{field}' has a point"
    with pytest.raises(SeqattnError, match=message):
        load_log(described(text, separator=";", decimal=","))


def test_words_beside_a_decimal_comma_are_quoted_as_they_stand(described):
    text = TEXT.replace(",", ";") + "u1;i1;a,b;1600000000\n"
    with pytest.raises(SeqattnError, match="'a,b' is not a number"):
        load_log(described(text, separator=";", decimal=","))


@pytest.mark.parametrize("header", [True, False])
def test_two_colons_separate_and_one_may_stand_in_an_id(described, header):
    text = TEXT.replace("i1,", "i:1,").replace(",", "::")
    text = text if header else text.partition("\n")[2]
    columns = GOOD["columns"] if header else ["user", "item", "intensity", "timestamp"]
    log = load_log(described(text, separator="::", header=header, columns=columns))
    expected = load_log(described(TEXT.replace("i1,", "i:1,")))
    pd.testing.assert_frame_equal(log.frame, expected.frame)


def test_a_surplus_cell_between_two_colons_is_named_by_its_line(described):
    text = TEXT.replace(",", "::") + "u1::i1::1::1600000000::9\n"
    with pytest.raises(SeqattnError, match="line 38 has more than 4 fields; quote fields that"):
        load_log(described(text, separator="::"))


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        ("user,item,plays,at", True),
        ("userId,movieId,rating,timestamp", True),
        ("who,what,plays,when", True),  # others have numbers in the third column
        ("u9,i9,3,1600000000", False),
    ],
)
def test_a_line_of_names_is_no_row(described, names, refused):
    text = names + "\n" + TEXT.partition("\n")[2]
    columns = ["user", "item", "intensity", "timestamp"]
    path = described(text, header=False, columns=columns)
    if refused:
        with pytest.raises(SeqattnError, match=r"line 1: .*leave header: false out"):
            load_log(path)
    else:
        assert len(load_log(path)) == len(ROWS) + 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("u1,i9,1,1600000000000", "after the year 5000"),
        ("u1,i9,-1,1600000900", "is negative"),
        ("u1,i9,1,yesterday", "cannot be read as a time"),
        ("u1," + "x" * 2_000 + ",1,1600000900", "more than 1,000 characters"),
    ],
)
@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_a_fault_in_one_of_three_files_names_that_file_alone(
    described, tmp_path, part, fields, says
):
    files = {name: f"{name}.csv" for name in ("train", "valid", "test")}
    for name in files:
        (tmp_path / f"{name}.csv").write_text(TEXT + (fields + "\n") * (name == part))
    with pytest.raises(SeqattnError, match=says) as caught:
        load_log(described(path="", split=files))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / f"{part}.csv: ")) and "line 38" in message
    assert not any(f"{name}.csv" in message for name in files if name != part)


def test_a_file_in_another_unit_is_named(described, tmp_path):
    files = {"train": "train.csv", "test": "test.csv"}
    (tmp_path / "train.csv").write_text(TEXT)
    (tmp_path / "test.csv").write_text(TEXT.partition("\n")[0] + "\nu1,i9,1,1600009999000\n")
    with pytest.raises(SeqattnError, match=r"/test\.csv: .*line 2: .*all rows in one unit"):
        load_log(described(path="", split={**files, "validation": "last"}))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("empty", ["train", "valid", "test"])
def test_an_empty_file_of_three_is_named_unless_validation_needs_none(described, tmp_path, empty):
    head = "user,item,at\n"
    texts = {
        "train": head + "".join(f"7,{i},{1_600_000_000 + i}\n" for i in range(3)),
        "valid": head + "7,8,1600000100\n",
        "test": head + "7,9,1600000200\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(head if name == empty else text)
    path = described(
        path="",
        intensity=None,
        columns={"user": "user", "item": "item", "timestamp": "at"},
        split={name: f"{name}.csv" for name in texts} | {"validation": "last"},
    )
    if empty == "valid":
        assert load_dataset(path).split.targets("valid").tolist() == [3]
        return
    with pytest.raises(SeqattnError, match=rf"/{empty}\.csv: no rows; the part '{empty}'"):
        load_dataset(path)


@pytest.mark.parametrize("gap", ["", "u9,i9,1,\n"])
def test_an_order_of_snowflake_ids_has_no_ties(described, gap):
    rows = "".join(f"{u},{i},1,{2**60 - n}\n" for n, (u, i, _, _) in enumerate(ROWS))
    columns = {"user": "user", "item": "item", "order": "at"}
    log = load_log(
        described(TEXT.partition("\n")[0] + "\n" + rows + gap, columns=columns, intensity=None)
    )
    assert np.all(np.diff(log.frame["order"][: len(ROWS)]) < 0)


def test_a_path_may_begin_with_the_home_folder(described, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = described()
    (tmp_path / "mine.yaml").write_text(
        (tmp_path / "mine.yaml").read_text().replace("log.csv", "~/log.csv")
    )
    assert len(load_log(path)) == len(ROWS)


def test_a_second_file_joined_below_the_first_is_refused_by_its_line(described):
    second = "\ufeff" + TEXT
    bare = {"columns": {"user": "user", "item": "item"}, "order": "line", "intensity": None}
    told = rf"column 'user', line {len(ROWS) + 2}\b.*'\\ufeffuser' holds the mark U\+FEFF .* joined"
    with pytest.raises(SeqattnError, match=told):
        load_log(described(TEXT + second, **bare))
    with pytest.raises(
        SeqattnError, match=f"line {len(ROWS) + 2} repeats the names of the columns"
    ):
        load_log(described(TEXT + TEXT, **bare))


def test_a_second_file_without_names_is_refused_as_well(described):
    rows = TEXT.partition("\n")[2]
    listed = {"header": False, "columns": ["user", "item", "intensity", "timestamp"]}
    with pytest.raises(SeqattnError, match=rf"line {len(ROWS) + 1}: '\\ufeffu0' holds the mark"):
        load_log(described(rows + "\ufeff" + rows, **listed))
    assert len(load_log(described("\ufeff" + rows, **listed))) == len(ROWS)


@pytest.mark.parametrize("start", ["\n", "\n\n\n", " \n", "\r\n\r\n"])
def test_empty_lines_above_rows_without_names_are_no_rows(described, start):
    listed = {"header": False, "columns": ["user", "item", "intensity", "timestamp"]}
    made = described(start + TEXT.partition("\n")[2], **listed)
    assert load_log(made).frame["user"].tolist() == [user for user, *_ in ROWS]
