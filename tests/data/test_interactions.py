"""Validation of a log: what is refused, and what the message names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_logs import frame

from seqattn.data import Interactions, drop_missing, encode
from seqattn.errors import SeqattnError


def as_object(*values: object) -> pd.Series:
    return pd.Series(values, dtype=object)


def refusal(table: pd.DataFrame) -> str:
    with pytest.raises(SeqattnError) as caught:
        Interactions.from_frame(table, source="plays.csv")
    return str(caught.value)


@pytest.mark.parametrize("name", ["user", "item", "timestamp"])
def test_missing_column_is_named_with_the_columns_present(name):
    message = refusal(frame().drop(columns=name))
    assert f"'{name}' is missing" in message
    assert "intensity" in message


def test_column_given_twice_is_refused():
    table = pd.concat([frame(), frame()[["item"]]], axis=1)
    assert "'item' appears twice" in refusal(table)


def test_empty_log_is_refused():
    assert "no rows" in refusal(frame().iloc[:0])


@pytest.mark.parametrize(
    ("values", "row", "problem"),
    [
        (["4", "high", "low"], 1, "'high' is not a number"),
        ([4.0, 1.0, np.nan], 2, "nan is not a number"),
        ([4.0, np.inf, 1.0], 1, "inf is infinite"),
        ([4.0, 1.0, -2.5], 2, "-2.5 is negative"),
        ([1e300, 1.0, 1.0], 0, "1e+300 overflows"),
        (pd.to_datetime(["2020", "2021", "2022"]), 0, "is not a number"),
    ],
)
def test_unusable_intensity_is_refused_with_its_first_row(values, row, problem):
    message = refusal(frame(intensity=values))
    assert message.startswith("plays.csv: column 'intensity', row " + str(row))
    assert problem in message


def test_message_counts_the_other_offending_rows():
    assert "row 1 (and 1 more): -1.0" in refusal(frame(intensity=[1.0, -1.0, -2.0]))


@pytest.mark.parametrize(
    ("values", "row"),
    [
        (["10", "yesterday", "30"], 1),
        (["2020-01-01", "2020-13-45", "2020-01-02"], 1),
        (["2020-01-01", "now", "today"], 1),
        (["10", "20", "2020-01-01"], 2),
        ([10.0, 20.0, np.nan], 2),
        ([np.inf, 20.0, 30.0], 0),
        (["31/12/2020", "01/01/2021", "02/01/2021"], 0),
        (pd.to_timedelta([1, 2, 3], unit="s"), 0),
        (pd.period_range("2020", periods=3, freq="D"), 0),
        ([1j, 2j, 3j], 0),
    ],
)
def test_unparsable_timestamp_is_refused_with_its_first_row(values, row):
    message = refusal(frame(timestamp=values))
    assert f"column 'timestamp', row {row}" in message
    assert "ISO 8601" in message


@pytest.mark.parametrize(
    "values",
    [
        ["86400", "86401.5", " 86402 "],
        ["1970-01-02", "1970-01-02T00:00:01.5", "1970-01-02 00:00:02"],
        ["1970-01-02T00Z", "1970-01-02T00:00:01.5Z", "1970-01-02T02:00:02+02:00"],
        pd.to_datetime([86_400_000, 86_401_500, 86_402_000], unit="ms"),
        pd.Series([86400.0, 86401.5, 86402.0], dtype="Float64"),
    ],
)
def test_times_in_any_accepted_form_become_seconds(values):
    seconds = Interactions.from_frame(frame(timestamp=values)).frame["timestamp"]
    assert seconds.tolist() == [86400.0, 86401.5, 86402.0]


@pytest.mark.parametrize("name", ["user", "item"])
def test_one_id_in_two_types_is_refused_with_both_rows(name):
    message = refusal(frame(**{name: as_object(7, np.int64(1), "1")}))
    assert f"column '{name}': id 1 is of type int in row 1 and str in row 2" in message


def test_ids_of_two_types_are_refused_even_if_none_coincides():
    assert "type int in row 0 and str in row 1" in refusal(frame(user=as_object(1, "x", 2)))


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.5, 3.0],
        [True, False, True],
        as_object((1,), (2,), (3,)),
        as_object([1], [2], [3]),
        as_object(1, {"id": 2}, 3),
        np.array([1, 2, 2**63 + 1], dtype=np.uint64),
        as_object(1, 2, 2**70),
    ],
)
def test_ids_that_are_neither_integers_nor_strings_are_refused(values):
    assert "column 'user'" in refusal(frame(user=values))


@pytest.mark.parametrize("empty", [np.nan, None, "", pd.NA])
def test_missing_id_is_refused_with_its_row(empty):
    assert "column 'item', row 1" in refusal(frame(item=as_object("a", empty, "b")))


@pytest.mark.parametrize(
    "values",
    [
        [3.0, 4.0, 3.0],
        as_object(3, np.int64(4), 3),
        pd.Series([3, 4, 3], dtype="Int64"),
        pd.Categorical([3, 4, 3]),
        np.array([3, 4, 3], dtype=np.uint8),
    ],
)
def test_whole_number_ids_of_any_dtype_become_int64(values):
    users = Interactions.from_frame(frame(user=values)).frame["user"]
    assert users.dtype == np.int64
    assert users.tolist() == [3, 4, 3]


def test_intensities_below_what_32_bits_hold_are_refused():
    tiny = [0.0, 1e-40, 1e-39]
    told = "row 1 (and 1 more): 1e-40 is too small for 32-bit floats, as all others are; use a smal"
    assert told in refusal(frame(intensity=tiny))
    for kept in ([0.0, 0.0, 0.0], [1.2e-38, 0.0, 1.2e-38], [0.0, 1e-40, 1.0]):
        assert Interactions.from_frame(frame(intensity=kept)).frame["intensity"].tolist() == kept


def test_row_is_named_by_the_frames_index():
    table = frame(intensity=[1.0, np.nan, 1.0])
    table.index = pd.Index([2, 3, 4], name="line")
    assert "line 3:" in refusal(table)


def test_log_without_intensity_is_accepted():
    log = Interactions.from_frame(frame().drop(columns="intensity"))
    assert not log.has_intensity
    assert list(log.frame) == ["user", "item", "timestamp"]


def test_valid_log_keeps_values_and_file_order():
    log = Interactions.from_frame(frame(extra=[0, 0, 0]))
    pd.testing.assert_frame_equal(log.frame, frame())


def test_incomplete_rows_are_dropped_and_counted_on_request():
    table = frame(user=[1, np.nan, 2], intensity=[1.0, 2.0, np.nan])
    log = Interactions.from_frame(table, drop_incomplete=True)
    assert log.frame["user"].tolist() == [1]
    assert [(step.name, step.interactions, step.users) for step in log.steps] == [
        ("read", 3, 2),
        ("drop missing", 1, 1),
    ]


def test_log_of_incomplete_rows_only_is_refused():
    with pytest.raises(SeqattnError, match="every row has an empty field"):
        Interactions.from_frame(frame(user=[np.nan] * 3), drop_incomplete=True)


def test_drop_missing_ignores_other_columns_and_keeps_row_labels():
    table = frame(item=["a", "", "b"], note=[None, None, None])
    assert drop_missing(table).index.tolist() == [0, 2]


def test_from_frame_leaves_its_argument_alone():
    table = frame(timestamp=["10", "20", "30"])
    before = table.copy()
    Interactions.from_frame(table)
    pd.testing.assert_frame_equal(table, before)


def test_integer_ids_sort_numerically_and_string_ids_by_code_point():
    assert encode(np.array([10, 9, 100]))[1].tolist() == [9, 10, 100]
    assert encode(np.array(["b", "10", "9", "B"], dtype=object))[1].tolist() == [
        *("10", "9", "B", "b")
    ]


def test_where_an_order_is_given_a_missing_time_is_no_empty_field():
    frame = pd.DataFrame(
        {
            "user": [1, 1, 1],
            "item": ["a", "b", ""],
            "timestamp": [5.0, None, 7.0],
            "order": [1, 2, 3],
        }
    )
    assert drop_missing(frame).index.tolist() == [0, 1]
    assert drop_missing(frame.drop(columns="order")).index.tolist() == [0]
