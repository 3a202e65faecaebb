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
            i.lstrip("-").isdecimal() and i.isascii() and abs(int(i)) < 2**63 for i in ids
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
