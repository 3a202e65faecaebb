"""Ids are text, unless all of a column are integers as a computer writes them."""

from __future__ import annotations

import string

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqattn.data import Interactions
from seqattn.data.readers import read_delimited, read_inter, read_parquet
from seqattn.errors import SeqattnError

NAMES = {name: name for name in ("user", "item", "timestamp")}
TRICKY = ["007", "7", "0007", "1E5", "100000", "1.0", "1", "0", "-0", "12e3", "+5", "5", "0x1F"]
texts = st.one_of(
    st.sampled_from([*TRICKY, "NA", "NULL", "nan", "None", "inf", "9" * 30, "-9", "true"]),
    st.integers(-(2**70), 2**70).map(str),
    st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=6),
)


def written(path, ids, form):
    """Write a log in which each id is a user's and an item's."""
    frame = pd.DataFrame({"user": ids, "item": ids, "timestamp": range(len(ids))})
    if form == "parquet":
        frame.to_parquet(path)
        return read_parquet(path, NAMES).frame
    if form == "inter":
        kinds = {"user": "user_id:token", "item": "item_id:token", "timestamp": "timestamp:float"}
        frame.rename(columns=kinds).to_csv(path, sep="\t", index=False)
        return read_inter(path).frame
    frame.to_csv(path, index=False)
    return read_delimited(path, ",", NAMES).frame


@settings(max_examples=60)
@given(ids=st.lists(texts, min_size=1, max_size=8))
@pytest.mark.parametrize("form", ["csv", "inter", "parquet"])
def test_each_id_stays_what_it_is_in_every_kind_of_file(tmp_path_factory, ids, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path_factory.mktemp("ids") / f"log.{form}"
    log = Interactions.from_frame(written(path, ids, form))
    for name in ("user", "item"):
        assert [str(one) for one in log.frame[name]] == ids
        numbers = all(str(int(i)) == i for i in ids if i.lstrip("-").isdecimal()) and all(
            i.lstrip("-").isdecimal() and i.isascii() and -(2**63) <= int(i) < 2**63 for i in ids
        )
        assert (log.frame[name].dtype == np.int64) == numbers


@pytest.mark.parametrize("pair", [("007", "7"), ("1E5", "100000"), ("1.0", "1"), ("0", "-0")])
def test_two_ids_that_a_number_would_merge_stay_two(tmp_path, pair):
    log = Interactions.from_frame(written(tmp_path / "log.csv", [*pair], "csv"))
    assert log.frame["user"].nunique() == log.frame["item"].nunique() == 2


def test_large_ids_beside_an_empty_cell_keep_every_digit(tmp_path):
    ids = [str(2**60 + n) for n in range(3)]
    (tmp_path / "log.csv").write_text(
        "user,item,timestamp\n" + "".join(f"{i},{i},1\n" for i in ids) + ",5,1\n"
    )
    frame = read_delimited(tmp_path / "log.csv", ",", NAMES).frame
    log = Interactions.from_frame(frame, drop_incomplete=True)
    assert log.frame["user"].tolist() == [int(i) for i in ids]
    assert [(step.name, step.interactions) for step in log.steps] == [
        ("read", 4),
        ("drop missing", 3),
    ]


def test_a_comment_that_is_dropped_does_not_turn_ids_to_text(tmp_path):
    rows = "user,item,timestamp\n# exported yesterday,,\n1,2,3\n"
    (tmp_path / "log.csv").write_text(rows)
    frame = read_delimited(tmp_path / "log.csv", ",", NAMES).frame
    log = Interactions.from_frame(frame, drop_incomplete=True)
    assert log.frame["user"].tolist() == [1] and log.frame["user"].dtype == np.int64


def test_a_column_that_pandas_kept_as_the_index_of_a_parquet_file_is_read(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"user": ["a", "b"], "item": [1, 2], "timestamp": [3, 4]})
    frame.set_index("user").to_parquet(tmp_path / "log.parquet")
    read = read_parquet(tmp_path / "log.parquet", NAMES).frame
    assert read["user"].tolist() == ["a", "b"]


CUT_OFF = [["a", "a\0x"], ["a\0x", "a"], ["a", "b", "a\0"], ["a", "a\ud800"], ["\ud800", "\udfff"]]


@pytest.mark.parametrize("kind", ["object", "category", "string"])
@pytest.mark.parametrize("name", ["user", "item"])
@pytest.mark.parametrize("cut", CUT_OFF)
def test_texts_that_would_be_cut_and_merged_are_refused_in_any_order(cut, name, kind):
    frame = pd.DataFrame({"user": "u", "item": "i", "timestamp": range(len(cut))})
    try:
        frame[name] = pd.Series(cut, dtype=kind)
    except (ValueError, UnicodeError):
        pytest.skip("pandas itself cannot hold it")
    if frame[name].astype(object).tolist() != cut:
        pytest.skip("pandas has merged it already")
    at = next(n for n, text in enumerate(cut) if "\0" in text or not text.isprintable())
    with pytest.raises(SeqattnError, match=f"column '{name}', row {at}.*remove it, or get"):
        Interactions.from_frame(frame)


def test_a_nul_character_of_parquet_is_refused_though_a_clean_id_comes_first(tmp_path):
    pytest.importorskip("pyarrow")
    frame = written(tmp_path / "log.parquet", ["a", "a\0x"], "parquet")
    with pytest.raises(SeqattnError, match=r"row 2.*holds a NUL character"):
        Interactions.from_frame(frame)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["7", "8", "a b", "x"]), *[st.integers(0, 2)] * 2)),
    st.sampled_from([None, "category"]),
)
def test_spaces_around_ids_never_count(padded, kind):
    padded = [("7", 0, 0), *padded]
    plain = [text for text, _, _ in padded]
    texts = [" " * before + text + "\t" * after for text, before, after in padded]
    frame = pd.DataFrame({"user": texts, "item": texts, "timestamp": range(len(texts))})
    frame = frame.astype({"user": kind, "item": kind}) if kind else frame
    log = Interactions.from_frame(frame)
    assert [str(one) for one in log.frame["user"]] == plain
    assert {step.users for step in log.steps} == {len(set(plain))}


@pytest.mark.parametrize("kind", [None, "category"])
def test_ids_of_spaces_are_blank_and_dropped_as_a_counted_step(kind):
    frame = pd.DataFrame({"user": ["7", "  ", "", None], "item": "i", "timestamp": range(4)})
    frame = frame.astype({"user": kind}) if kind else frame
    log = Interactions.from_frame(frame, drop_incomplete=True)
    assert log.frame["user"].tolist() == [7]
    assert [(step.interactions, step.users) for step in log.steps] == [(4, 1), (1, 1)]
    with pytest.raises(SeqattnError, match="row 1"):
        Interactions.from_frame(frame)


@pytest.mark.parametrize(
    ("kind", "largest"), [("float16", 2**11), ("float32", 2**24), ("float64", 2**53)]
)
def test_ids_and_orders_that_a_type_has_merged_are_refused(kind, largest):
    for name, fix in (("user", "read these ids as text"), ("order", "read the column as text")):
        table = pd.DataFrame({"user": [1, 2], "item": [1, 2], "order": [1, 2]})
        told = rf"column '{name}', row 0 \(and 1 more\): .* has more digits .*{fix}"
        with pytest.raises(SeqattnError, match=told):
            merged = pd.Series([largest, largest + 1]).astype(kind)
            Interactions.from_frame(table.assign(**{name: merged}))
        kept = pd.Series([largest - 2, largest - 1]).astype(kind)
        found = Interactions.from_frame(table.assign(**{name: kept})).frame[name]
        assert found.tolist() == [largest - 2, largest - 1]
