"""Readers of every official format, on small files written here."""

from __future__ import annotations

import gzip
import os
import sys
import tracemalloc
from ast import literal_eval

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_files import HEADER, amazon_lines, steam_lines, written
from small_logs import PROPERTY

from seqattn.data import Interactions
from seqattn.data.readers import (
    READERS,
    delimited,
    read_delimited,
    read_inter,
    read_mirror,
    read_parquet,
)
from seqattn.data.readers.json_lines import review_fields
from seqattn.data.readers.plain import read_plain
from seqattn.errors import SeqattnError

COLUMNS = {"user": "user", "item": "item", "intensity": "intensity", "timestamp": "timestamp"}


def read(path, columns=COLUMNS) -> Interactions:
    """A CSV file as load_log reads it."""
    table = read_delimited(path, ",", columns)
    return Interactions.from_frame(table.frame, source=table.source, drop_incomplete=True)


def refusal(path, columns=COLUMNS):
    with pytest.raises(SeqattnError) as caught:
        read(path, columns)
    assert str(path) in str(caught.value)
    return str(caught.value)


def rows(table) -> list[tuple]:
    """Return a table's rows; ids in categories are numbers where a log's would be."""
    frame = table.frame.copy()
    for name in ("user", "item"):
        ids = frame[name].astype(object)
        file = isinstance(frame[name].dtype, pd.CategoricalDtype)
        numbers = file and ids.dropna().str.isdecimal().all()
        frame[name] = ids.map(int, na_action="ignore") if numbers else ids
    names = [name for name in COLUMNS if name in frame]
    return list(frame[names].itertuples(index=False, name=None))


def test_empty_file_is_refused_by_name(tmp_path):
    assert "the file is empty" in refusal(written(tmp_path / "log.csv", ""))


def test_empty_archive_is_refused_by_name(tmp_path):
    path = tmp_path / "log.csv.gz"
    path.touch()
    assert "the file is empty" in refusal(path)


def test_file_with_a_header_only_is_refused(tmp_path):
    assert "no rows" in refusal(written(tmp_path / "log.csv", HEADER))


def test_absent_file_column_is_named(tmp_path):
    path = written(tmp_path / "log.csv", "user,item,timestamp\n1,2,3\n")
    assert "column 'intensity' is missing (columns present: user, item, timestamp)" in refusal(path)


@pytest.mark.parametrize("there", ["USER", "User ", "user:token"])
def test_a_column_that_differs_in_capitals_spaces_or_recboles_type_is_named(tmp_path, there):
    path = written(tmp_path / "log.csv", f"{there},item,intensity,timestamp\n1,2,3,4\n")
    assert f"{there!r} is there: rename it, or write the name as" in refusal(path)
    with pytest.raises(SeqattnError, match=f"column 'user' is missing .*; {there!r} is there"):
        read_plain(path, {"user": "user", "item": "item"})
    two = written(tmp_path / "log.csv", "USER,User,item,intensity,timestamp\n1,1,2,3,4\n")
    assert "is there" not in refusal(two)


def test_header_that_names_a_column_twice_is_refused(tmp_path):
    path = written(tmp_path / "log.csv", "user,item,item,intensity,timestamp\n1,2,3,4,5\n")
    assert "the header names column 'item' twice" in refusal(path)


def test_header_repeated_inside_the_file_is_refused_with_its_line(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "1,2,3,4\n" + HEADER + "1,3,3,4\n")
    assert "line 3 repeats the names of the columns" in refusal(path)
    path = written(tmp_path / "log.csv", HEADER + "1,2,3,4\nuser,2,3,4\n1,item,3,4\n")
    assert read_delimited(path, ",", COLUMNS).frame["user"].tolist() == ["1", "user", "1"]


@pytest.mark.parametrize("start", ["\n", "\n\n", "  \n", "\r\n", "\r", "\ufeff\n", "\n \n"])
def test_an_empty_line_above_the_names_is_refused_by_every_reader(tmp_path, start):
    told = "line 1 is empty; the names of the columns should stand there"
    path = written(tmp_path / "log.csv", f"{start}{HEADER}1,2,3,4\n")
    assert told in refusal(path)
    with pytest.raises(SeqattnError, match=told):
        read_plain(path, {"user": "user", "item": "item"})
    with pytest.raises(SeqattnError, match=told):
        read_mirror(written(tmp_path / "log.csv.gz", path.read_bytes()))
    atomic = "user_id:token\titem_id:token\n1\t2\n"
    with pytest.raises(SeqattnError, match=told):
        read_inter(written(tmp_path / "log.inter", start + atomic))


@pytest.mark.parametrize("blanks", ["\n", "\n\n\n", " \r\n"])
def test_a_file_of_empty_lines_alone_is_empty(tmp_path, blanks):
    assert "the file is empty" in refusal(written(tmp_path / "log.csv", blanks))


def test_an_absent_table_is_not_called_damaged(tmp_path):
    for name in ("nope.csv", "nope.csv/log.csv", "nope.parquet", "nope\0.csv"):
        with pytest.raises(SeqattnError, match=r"nope.*: no such file; check the path$"):
            read_plain(tmp_path / name, {"user": "user", "item": "item"})
    with pytest.raises(SeqattnError, match=r"is a folder; name a file$"):
        read_plain(tmp_path, {"user": "user", "item": "item"})


def test_a_forbidden_table_is_not_called_damaged(tmp_path, monkeypatch):
    path = written(tmp_path / "log.csv", HEADER + "1,2,3,4\n")
    monkeypatch.setattr(os, "access", lambda file, mode: False)
    readers = (
        lambda: read_plain(path, {"user": "user", "item": "item"}),
        lambda: read_mirror(path),
        lambda: READERS["amazon-json"]([path]),
    )
    for read in readers:
        with pytest.raises(SeqattnError, match="may not be read; ask its owner"):
            read()


def test_truncated_gzip_is_refused(tmp_path):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "1,2,3,4\n" * 5_000).encode())[:60])
    assert "cannot be read" in refusal(path)


def test_file_that_is_not_utf_8_is_refused(tmp_path):
    path = written(tmp_path / "log.csv", HEADER.encode() + "1,café,3,4\n".encode("latin-1"))
    assert "is not UTF-8 text" in refusal(path)


@pytest.mark.parametrize("wide", ["Ada,Alien, 1979,3,4", "Ada,Alien,8,2,4,x"])
def test_a_line_with_too_many_cells_is_refused_not_read_shifted(tmp_path, wide):
    path = written(tmp_path / "log.csv", HEADER + f"Ada,Alien,3,4\n{wide}\n")
    assert "line 3 has more than 4 fields" in refusal(path)


def test_every_line_with_too_many_cells_is_refused_too(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "Ada,Alien,8,2,4\n" * 3)
    assert "line 2 has more than 4 fields" in refusal(path)


def test_a_separator_at_the_end_of_each_line_is_harmless(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "1,2,3,4,\n1,3,3,4,\n")
    assert rows(read(path)) == [(1, 2, 3.0, 4.0), (1, 3, 3.0, 4.0)]


def test_columns_that_are_not_asked_for_are_ignored_whatever_they_are_called(tmp_path):
    text = "x,user,x,item,intensity,timestamp\na,1,b,2,3,4\n"
    assert rows(read(written(tmp_path / "log.csv", text))) == [(1, 2, 3.0, 4.0)]


def test_blank_lines_are_no_rows_and_do_not_shift_line_numbers(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "\n1,2,3,4\n\n1,3,3,4\n\n")
    log = read(path)
    assert len(log) == 2 and log.frame["user"].tolist() == [1, 1]
    path = written(tmp_path / "log.csv", HEADER + "\n1,2,3,4\n\n1,3,-1,4\n")
    assert "line 5: -1.0" in refusal(path)


def test_a_dataset_of_one_delimited_file_needs_one_line(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "Ada,Alien,3,4\n")
    assert rows(READERS["csv"]([path])) == [("Ada", "Alien", 3.0, 4.0)]
    path = written(tmp_path / "plays.tsv", "who\twhat\twhen\nAda\tAlien\t4\n")
    reader = delimited({"who": "user", "what": "item", "when": "timestamp"}, "\t")
    assert reader([path]).frame.to_dict("records") == [
        {"user": "Ada", "item": "Alien", "timestamp": 4}
    ]


def test_another_separator_is_suspected_where_the_header_is_one_column(tmp_path):
    path = written(tmp_path / "log.csv", "user;item;intensity;timestamp\n1;2;3;4\n")
    assert "or is the separator another one: separator: ';'" in refusal(path)


@pytest.mark.parametrize("value", ["-3", "nan", "inf", "high"])
def test_unusable_intensity_is_refused_with_its_line(tmp_path, value):
    path = written(tmp_path / "log.csv", HEADER + f"1,2,3,4\n1,3,{value},4\n")
    assert "column 'intensity', line 3: " in refusal(path)


def test_line_is_right_after_rows_were_dropped(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "1,2,,4\n1,3,3,4\n1,4,-1,4\n")
    assert "line 4: -1.0" in refusal(path)


def test_milliseconds_given_as_seconds_are_refused_with_the_fix(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "1,2,3,1238536800000\n")
    assert "it looks like milliseconds: set time_unit: ms" in refusal(path)


def test_milliseconds_said_to_be_so_become_seconds():
    frame = pd.DataFrame({"user": [1], "item": [2], "timestamp": [1_238_536_800_500]})
    log = Interactions.from_frame(frame, time_unit="ms")
    assert log.frame["timestamp"].tolist() == [1_238_536_800.5]


def test_rows_with_an_empty_cell_are_dropped_and_counted(tmp_path):
    log = read(written(tmp_path / "log.csv", HEADER + ",2,3,4\n1,3,3,4\n"))
    assert [step.interactions for step in log.steps] == [2, 1]
    assert log.frame["user"].tolist() == [1]


def test_an_item_called_na_is_an_item(tmp_path):
    log = read(written(tmp_path / "log.csv", HEADER + "u,NA,3,4\nu,null,3,4\n"))
    assert log.frame["item"].tolist() == ["NA", "null"]


def test_u_data(tmp_path):
    path = written(tmp_path / "u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    assert rows(READERS["u.data"]([path])) == [
        (196, 242, 3, 881_250_949),
        (186, 302, 3, 891_717_742),
    ]


def test_ratings_dat(tmp_path):
    path = written(tmp_path / "ratings.dat", "1::1193::5::978300760\n2::661::3::978302109\n")
    assert rows(READERS["ratings.dat"]([path])) == [
        (1, 1193, 5, 978_300_760),
        (2, 661, 3, 978_302_109),
    ]


def test_amazon_json_lines(tmp_path):
    original = [("A2", "0005555991", 5.0, 1158019200), ("A1", "B000VG4AY0", 4.0, 991526400)]
    path = written(tmp_path / "reviews_X_5.json.gz", amazon_lines(original))
    assert rows(READERS["amazon-json"]([path])) == original


def test_steam_python_literals(tmp_path):
    lines = steam_lines(
        [("Chaos Syren", "725280", 0.1, "2017-12-17"), ("é", "10", 7, "2018-01-01")]
    )
    table = READERS["steam-reviews"]([written(tmp_path / "steam_reviews.json.gz", lines)])
    assert rows(table) == [
        ("Chaos Syren", 725280, 0.1, 1_513_468_800),
        ("é", 10, 7.0, 1_514_764_800),
    ]
    assert table.malformed == 0


VALUE = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["it's", 'say "hi"', "both ' and \"", "u'hours': 9.0, ", "\\\\", "a\\nb}", "é\x00"]
    ),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([True, False, None, [], ["x", 1], {"hours": 3}, (1,), b"x"]),
)
KEY = st.sampled_from(["username", "product_id", "hours", "date", "text", "it's", "early_access"])


@PROPERTY
@given(st.dictionaries(KEY, VALUE, max_size=7), st.sampled_from(["", "u"]), st.booleans())
def test_fields_of_a_steam_line_are_those_of_literal_eval(record, prefix, reversed_order):
    pairs = list(record.items())[:: -1 if reversed_order else 1]
    # A u before each string, as Python 2 wrote them.
    line = ", ".join(
        f"{prefix}{key!r}: {prefix if isinstance(value, str) else ''}{value!r}"
        for key, value in pairs
    )
    found, expected = review_fields(f"{{{line}}}\n"), literal_eval(f"{{{line}}}")
    names = ("username", "product_id", "hours", "date")
    assert [found.get(n) for n in names] == [expected.get(n) for n in names]
    assert [type(found.get(n)) for n in names] == [type(expected.get(n)) for n in names]


@pytest.mark.parametrize(
    "line",
    [
        "{u'hours': 1.0, }}",
        "{u'hours': 1.0} extra",
        "{u'hours': f()}",
        "{u'hours': 007}",
        "{u'hours' 1.0}",
        "{u'hours': 1.0",
        "{u'hours': 'a}",
        "x{u'hours': 1.0}",
    ],
)
def test_a_line_that_is_no_literal_is_refused_like_literal_eval_does(line):
    for parse in (literal_eval, review_fields):
        with pytest.raises((ValueError, SyntaxError)):
            parse(line)


def test_malformed_lines_of_steam_are_counted_as_a_step(tmp_path):
    good = steam_lines([("a", "1", 2.0, "2017-12-17"), ("b", "2", 3.0, "2017-12-18")])
    bad = "{u'username': u'c'\n[1, 2]\n__import__('os').getcwd()\n" + "(" * 9_000 + "\n"
    path = written(tmp_path / "steam_reviews.json.gz", good + bad + "\n")
    table = READERS["steam-reviews"]([path])
    log = Interactions.from_frame(table.frame, malformed=table.malformed)
    assert [(step.name, step.interactions) for step in log.steps] == [
        ("read", 6),
        ("drop malformed lines", 2),
    ]


def test_steam_reviews_without_hours_or_day_are_dropped_as_incomplete(tmp_path):
    lines = steam_lines([("a", "1", 2.0, "2017-12-17"), ("a", "2", 2.0, "soon")])
    lines += "{u'username': u'a', u'product_id': u'3', u'date': u'2017-12-17'}\n"
    table = READERS["steam-reviews"]([written(tmp_path / "steam_reviews.json.gz", lines)])
    log = Interactions.from_frame(table.frame, drop_incomplete=True)
    assert [step.interactions for step in log.steps] == [3, 1]


def test_steam_reader_keeps_rows_not_texts(tmp_path):
    text = "x" * 20_000
    line = steam_lines([("a", "1", 2.0, "2017-12-17")]).replace("fine", text)
    path = written(tmp_path / "steam_reviews.json.gz", line * 500)
    tracemalloc.start()
    READERS["steam-reviews"]([path])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.25 * 500 * len(text)


def test_a_file_of_another_kind_is_refused_by_the_line_readers(tmp_path):
    path = written(tmp_path / "steam_reviews.json.gz", "hello\nworld\n")
    with pytest.raises(SeqattnError, match=r"none of its lines can be read \(2 malformed\)"):
        READERS["steam-reviews"]([path])


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"plain" + b])
@pytest.mark.parametrize("name", ["amazon-json", "steam-reviews"])
def test_a_damaged_archive_is_refused_by_the_line_readers(tmp_path, name, damage):
    path = written(
        tmp_path / "lines.json.gz", amazon_lines([("A", "B", 1.0, i) for i in range(99)])
    )
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SeqattnError, match="cannot be read"):
        READERS[name]([path])


def test_line_readers_refuse_what_is_not_utf_8(tmp_path):
    path = written(tmp_path / "lines.json.gz", b'{"reviewerID": "\xff"}\n')
    with pytest.raises(SeqattnError, match="cannot be read"):
        READERS["amazon-json"]([path])


def test_steam_au_joins_reviews_with_minutes_played(tmp_path):
    reviews = (
        "{'user_id': '76', 'reviews': ["
        "{'posted': 'Posted November 5, 2011.', 'item_id': '1250', 'recommend': True}, "
        "{'posted': 'Posted July 24.', 'item_id': '10', 'recommend': False}]}\n"
    )
    items = "{'user_id': '76', 'items': [{'item_id': '1250', 'playtime_forever': 10006}]}\n"
    table = READERS["steam-au"](
        [
            written(tmp_path / "australian_user_reviews.json.gz", reviews),
            written(tmp_path / "australian_users_items.json.gz", items),
        ]
    )
    assert rows(table)[0] == (76, 1250, 10_006.0, 1_320_451_200)
    assert np.isnan(table.frame[["intensity", "timestamp"]].iloc[1]).all()


def test_steam_au_merges_no_strangers_and_reads_on_without_reviews(tmp_path):
    reviews = (
        "{'user_id': '76', 'reviews': None}\n"
        "{'reviews': [{'posted': 'Posted November 5, 2011.', 'item_id': '1250'}]}\n"
        "{'user_id': '7', 'reviews': [{'posted': 'Posted November 5, 2011.', 'item_id': '1250'}, "
        "{'posted': 'Posted November 6, 2011.'}]}\n"
    )
    paths = [tmp_path / "reviews.json.gz", tmp_path / "items.json.gz"]
    table = READERS["steam-au"]([written(paths[0], reviews), written(paths[1], "{'items': []}\n")])
    assert table.frame[["user", "item"]].astype(str).values.tolist() == [["7", "1250"]]


def test_hetrec_takes_the_first_tag_of_a_played_artist(tmp_path):
    listens = "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11690\n3\t51\t7\n"
    tags = (
        "userID\tartistID\ttagID\ttimestamp\n"
        "2\t52\t13\t1238536800000\n2\t52\t15\t1238536700000\n2\t99\t1\t1238536600000\n"
        "3\t51\t1\t-428720400000\n"
    )
    paths = [
        written(tmp_path / "user_artists.dat", listens),
        written(tmp_path / "user_taggedartists-timestamps.dat", tags),
    ]
    assert rows(READERS["hetrec-tagged"](paths)) == [
        ("2", "52", 11_690, 1_238_536_700_000),
        ("3", "51", 7, -428_720_400_000),
    ]
    assert rows(READERS["hetrec-listens"](paths[:1])) == [
        (2, 51, 13_883),
        (2, 52, 11_690),
        (3, 51, 7),
    ]


def test_inter_file_of_recbole(tmp_path):
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    lines = 'a\t1\t0.1\t1.5\n"b\tc"\t2\t3.0\t2e9\n'
    table = read_inter(written(tmp_path / "log.inter", header + lines))
    assert rows(table) == [("a", 1, 0.1, 1.5), ("b\tc", 2, 3.0, 2e9)]


def test_mirror_file_with_an_order_keeps_it_and_drops_empty_columns(tmp_path):
    text = "user,item,intensity,timestamp,seq_pos,note\n1,5,,,1,x\n1,6,,,0,y\n"
    table = read_mirror(written(tmp_path / "x.csv.gz", text))
    assert list(table.frame.columns) == ["user", "item", "order"]
    log = Interactions.from_frame(table.frame, drop_incomplete=True)
    assert log.when.tolist() == [1, 0]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SeqattnError, match="pip install 'pyarrow<22'"):
        read_parquet(tmp_path / "log.parquet", COLUMNS)


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    frame = pd.DataFrame(
        {"who": ["a", "b"], "what": [1, 2], "at": pd.to_datetime(["2020", "2021"])}
    )
    frame.to_parquet(tmp_path / "log.parquet")
    table = read_parquet(
        tmp_path / "log.parquet", {"who": "user", "what": "item", "at": "timestamp"}
    )
    log = Interactions.from_frame(table.frame)
    assert log.frame["timestamp"].tolist() == [1_577_836_800.0, 1_609_459_200.0]
    with pytest.raises(SeqattnError, match="column 'when' is missing"):
        read_parquet(tmp_path / "log.parquet", {"when": "timestamp"})
    (tmp_path / "log.parquet").write_bytes(b"PAR1 no parquet")
    with pytest.raises(SeqattnError, match="cannot be read"):
        read_parquet(tmp_path / "log.parquet", {"who": "user"})
