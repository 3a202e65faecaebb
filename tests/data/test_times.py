"""Times: the same moments in every unit and as dates, and a wrong unit named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_logs import PROPERTY, frame

from seqattn.data import Dataset, Interactions
from seqattn.data.columns import of_files
from seqattn.data.entry import Entry
from seqattn.data.preparation import Preparation
from seqattn.data.times import TIME_UNITS
from seqattn.errors import SeqattnError

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
ENTRY = Entry("mine", "Mine", None, None, licence="none", preparation=Preparation(core=1))
whole = st.integers(10**9, 2 * 10**9)


def seconds(values: object, unit: str = "s") -> list[float]:
    table = frame(timestamp=values)
    return Interactions.from_frame(table, time_unit=unit).frame["timestamp"].tolist()


def refusal(values: object, unit: str = "s") -> str:
    with pytest.raises(SeqattnError) as caught:
        seconds(values, unit)
    return str(caught.value)


def fingerprint(values: object, unit: str = "s") -> str:
    table = pd.DataFrame({"user": 1, "item": [1, 2, 3], "timestamp": values})
    log = Interactions.from_frame(table, time_unit=unit)
    return Dataset.from_interactions(log, ENTRY).fingerprint


@settings(PROPERTY, max_examples=30)  # each prepares seven datasets of three moments
@given(st.lists(whole, min_size=3, max_size=3), st.integers(-14, 14))
def test_moments_in_every_unit_and_as_dates_are_the_same_seconds(moments, hours):
    zone = f"{'-' if hours < 0 else '+'}{abs(hours):02}:00"
    local = [datetime.fromtimestamp(t + 3600 * hours, UTC).strftime("%FT%T") for t in moments]
    prints = {fingerprint([t * per for t in moments], u) for u, per in PER_SECOND.items()}
    prints |= {fingerprint([f"{one}{zone}" for one in local])}
    prints |= {fingerprint([str(t) for t in moments]), fingerprint([float(t) for t in moments])}
    assert len(prints) == 1


@PROPERTY
@given(
    st.lists(st.integers(10**18, 2 * 10**18), min_size=3, max_size=3), st.sampled_from([0, 3, 6])
)
@example([10**18 + 1, 10**18, 10**18], 0)
def test_parts_of_a_second_are_the_nearest_number_in_every_unit(moments, coarser):
    # Nanoseconds; sorted, since rows that go back by less than can be told are refused.
    moments = sorted(m // 10**coarser * 10**coarser for m in moments)
    nearest = [float(Fraction(m, 10**9)) for m in moments]
    dates = [f"{np.datetime64(m, 'ns')}Z" for m in moments]
    assert seconds(moments, "ns") == seconds([str(m) for m in moments], "ns") == nearest
    assert seconds(dates) == nearest
    assert seconds(pd.to_datetime(moments)) == nearest
    for unit, per in (("us", 10**3), ("ms", 10**6)):
        if per <= 10**coarser:
            assert seconds([m // per for m in moments], unit) == nearest


@PROPERTY
@given(
    st.sampled_from(TIME_UNITS),
    st.sampled_from(TIME_UNITS),
    st.lists(whole, min_size=3, max_size=3),
)
def test_a_wrong_unit_is_refused_and_the_right_one_named(true, said, moments):
    values = [t * PER_SECOND[true] for t in moments]
    if true == said:
        assert seconds(values, said) == moments
    else:
        message = refusal(values, said)
        assert message.endswith(f"set time_unit: {true}") and message.count("time_unit") == 1


@pytest.mark.parametrize("unit", ["s", "ms"])
@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_dates_written_as_numbers_are_refused_with_the_form_to_write(form, unit):
    days = [datetime(2019, 12, day, 23, 59, tzinfo=UTC) for day in (1, 28, 31)]
    for kind in (int, str):
        message = refusal([kind(day.strftime(form)) for day in days], unit)
        assert "row 0" in message and "write dates as 2024-01-31" in message


def test_a_clock_that_starts_at_zero_has_any_unit():
    assert seconds([0, 10, 2_000], "ms") == [0, 0.01, 2]
    assert seconds([0, 10, 2_000]) == [0, 10, 2_000]


@pytest.mark.parametrize("year", [1, 800, 1677, 1678, 1969, 2262, 4999])
def test_dates_of_years_that_pandas_does_not_hold_are_read(year):
    expected = (datetime(year, 3, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    bare = [f"{year:04}-03-01", f"{year:04}-03-01T00:00:00", f" {year:04}-03-01 00:00:00"]
    zoned = [f"{year:04}-03-01T{h}" for h in ("02:00:00+02:00", "00:00:00Z", "00:00-00")]
    assert seconds(bare) == seconds(zoned) == [expected] * 3
    assert seconds(pd.Series([datetime(year, 3, 1)] * 3, dtype=object)) == [expected] * 3


def in_zone(moment: int, hours: int | None) -> str:
    """A moment as a date in a zone; without one in UTC."""
    text = datetime.fromtimestamp(moment, timezone(timedelta(hours=hours or 0))).strftime("%FT%T%z")
    return text.removesuffix("+0000") if hours is None else text


@PROPERTY
@given(st.lists(st.tuples(whole, st.integers(-12, 14) | st.none()), min_size=3, max_size=3))
def test_zones_may_differ_and_none_stands_beside_a_time_without_one(moments):
    texts = [in_zone(*each) for each in moments]
    bare = [hours is None for _, hours in moments]
    if all(bare) or not any(bare):
        assert seconds(texts) == [t for t, _ in moments]
        return
    first, other = bare.index(True), bare.index(False)
    message = refusal(texts)
    assert f"row {first}" in message and f"{texts[first]!r} has no zone" in message
    assert f"{texts[other]!r} in row {other} has one; give a zone in all rows" in message


@pytest.mark.parametrize("bare", ["2020-01-01", " 2020-01-01 ", "2020-01-01 10:00"])
def test_a_date_has_no_zone_and_an_empty_field_none_either(bare):
    assert "row 1" in refusal(["2020-01-01T10:00Z", bare, "2020-01-01T10:00Z"])
    assert "row 0" in refusal([bare, datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01T10:00Z"])
    table = frame(timestamp=["2020-01-01T10:00Z", "", "2020-01-01T10:00Z"], order=[1, 2, 3])
    assert Interactions.from_frame(table).frame["timestamp"].isna().tolist() == [False, True, False]


def test_a_time_without_a_zone_is_named_with_its_file():
    parts = [frame(timestamp=[f"2020-01-0{n}{zone}" for n in (1, 2, 3)]) for zone in ("T01Z", "")]
    with pytest.raises(SeqattnError) as caught:
        Interactions.from_frame(of_files(parts, ["train.csv", "test.csv"]))
    message = str(caught.value)
    assert message.startswith("test.csv: column 'timestamp', row 0 (and 2 more): '2020-01-01' has")
    assert "'2020-01-01T01Z' in row 0 of train.csv has one" in message


@pytest.mark.parametrize("value", ["9999-12-31", "9999-12-31T23:59:59-05:00"])
def test_a_placeholder_date_is_one_line_with_its_row(value):
    message = refusal(["2020-01-01", value, "2020-01-02"])
    assert f"row 1: '{value}' is after the year 5000; leave the field empty" in message


@pytest.mark.parametrize("value", ["2020-01-02x03:04", "2020-02-30", "0000-01-01", "12020-01-01"])
def test_what_is_no_date_is_refused(value):
    assert "cannot be read as a time" in refusal(["2020-01-01", value, "2020-01-02"])


@pytest.mark.parametrize("odd", [".", " ", "n.a.", "1600000000", "2020-01-01", "20200101"])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("others", [["1500000000", "1500000001"], ["2019-01-01", "2019-01-02"]])
def test_the_odd_row_is_named_wherever_it_stands(odd, at, others):
    is_date = "-" in others[0]
    if odd in (("2020-01-01", "20200101") if is_date else ("1600000000", "20200101")):
        return  # of the same kind; eight digits are both
    message = refusal([*others[:at], odd, *others[at:]])
    assert f"row {at}: '{odd}' cannot be read as a time" in message


def test_a_number_above_dates_is_the_odd_row_even_if_it_is_a_date_in_digits():
    assert "row 0: '20200101' cannot be" in refusal(["20200101", "2020-01-02", "2020-01-03"])


def test_seconds_of_a_day_and_a_half_ago_are_exact():
    moment = datetime(2024, 1, 31, 12, tzinfo=UTC) - timedelta(days=1.5)
    assert seconds([moment.isoformat()] * 3) == [moment.timestamp()] * 3


@pytest.mark.parametrize("unit", TIME_UNITS)
@pytest.mark.parametrize("as_type", [int, float, str])
def test_a_placeholder_is_the_odd_row_and_no_reason_for_another_unit(unit, as_type):
    values = [as_type(t * PER_SECOND[unit]) for t in (1_500_000_000, 1_500_000_001, 253402300799)]
    message = refusal(values, unit)
    assert "row 2" in message and "after the year 5000" in message
    assert "leave the field empty if the time is unknown, and give all rows in one unit" in message
    assert "time_unit" not in message


@PROPERTY
@given(
    st.sampled_from(TIME_UNITS),
    st.sampled_from(TIME_UNITS),
    st.lists(st.integers(7 * 10**8, 2 * 10**9), min_size=3, max_size=3),
    st.integers(0, 2),
)
def test_a_row_in_another_unit_is_named(unit, odd, moments, at):
    values = [t * PER_SECOND[unit] for t in moments]
    values[at] = moments[at] * PER_SECOND[odd]
    if unit == odd:
        assert seconds(values, unit) == moments
        return
    message = refusal(values, unit)
    assert f"row {at}: {values[at]} " in message and "time_unit" not in message
    # The unit of the one row does not make all others times of 1970.
    assert refusal(values, odd).endswith(f"set time_unit: {unit}")


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_clock_that_starts_at_zero_may_run_for_years(unit):
    moments = np.geomspace(1, 2 * 10**8, 50).round().astype(np.int64)
    frames = pd.DataFrame({"user": 1, "item": 2, "timestamp": moments * PER_SECOND[unit]})
    log = Interactions.from_frame(frames, time_unit=unit)
    assert log.frame["timestamp"].tolist() == moments.tolist()


def test_zeros_for_unknown_times_do_not_hide_the_unit():
    assert refusal([0, 0, 1_500_000_000_000]).endswith("set time_unit: ms")


def test_a_unit_that_there_is_not_is_refused():
    assert "time_unit 'min' is unknown; use s, ms, us, ns" in refusal([1, 2, 3], "min")


@pytest.mark.parametrize("kind", ["int64", "object", "string", "Int64", "uint64"])
def test_an_order_of_many_digits_keeps_neighbours_apart(kind):
    order = pd.Series([2**60 + 2, 2**60 + 1, 2**60 + 1])
    order = order.map(str) if kind == "string" else order
    found = Interactions.from_frame(frame(order=order.astype(kind))).frame["order"]
    assert found.rank(method="dense").tolist() == [2, 1, 1]


@pytest.mark.parametrize("kind", ["int64", "string", "datetime64[ns]"])
def test_times_that_seconds_merge_are_in_order_or_refused(kind):
    start = 1_600_000_000 * 10**9
    close = pd.Series([start + 200, start + 100, start])  # 240 ns are seen at most
    close = close.map(str) if kind == "string" else close.astype(kind)
    table = pd.DataFrame({"user": 1, "item": [1, 2, 3], "timestamp": close})
    with pytest.raises(SeqattnError, match=r"less than a microsecond.*sort the rows by time, or"):
        Interactions.from_frame(table, time_unit="ns")
    for fine in (table[::-1], table.assign(user=[1, 2, 3]), table.assign(order=[3, 2, 1])):
        assert len(Interactions.from_frame(fine, time_unit="ns")) == 3


def test_an_order_of_many_digits_beside_an_empty_cell_keeps_neighbours_apart():
    table = frame(order=[str(2**60 + 1), "", str(2**60)])
    found = Interactions.from_frame(table).frame["order"]
    assert found[0] > found[2] and np.isnan(found[1])


def test_an_order_that_has_lost_digits_is_refused():
    with pytest.raises(SeqattnError, match=r"row 1.*read the column as text or as whole numbers"):
        Interactions.from_frame(frame(order=[1.0, 2.0**60, 3.0]))


def test_a_small_order_stays_what_it_is():
    assert Interactions.from_frame(frame(order=[2.5, 1, 7])).frame["order"].tolist() == [2.5, 1, 7]


@pytest.mark.parametrize("kind", ["float32", "Float32"])
def test_times_that_a_type_has_merged_are_refused(kind):
    table = frame(timestamp=pd.Series([10, 1_600_000_000, 1_600_000_060]).astype(kind))
    told = r"row 1 \(and 1 more\): .*has more digits .*; get the column as whole numbers"
    with pytest.raises(SeqattnError, match=told):
        Interactions.from_frame(table)
    small = frame(timestamp=pd.Series([10, 20, 2**24 - 1]).astype(kind))
    assert Interactions.from_frame(small).frame["timestamp"].tolist() == [10, 20, 2**24 - 1]
