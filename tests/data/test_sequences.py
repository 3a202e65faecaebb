"""Jagged histories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import PROPERTY, log, rows

from seqattn.data import Sequences, leave_one_out, sort_by_time
from seqattn.errors import SeqattnError


def sequences(table: list[tuple], intensity: bool = True) -> Sequences:
    return Sequences.from_interactions(sort_by_time(log(table, intensity)))


@PROPERTY
@given(rows())
def test_histories_equal_a_loop_over_rows(table):
    found = sequences(table)
    for u, user in enumerate(found.user_ids):
        span = slice(found.offsets[u], found.offsets[u + 1])
        expected = sorted(
            (row for row in range(len(table)) if table[row][0] == user),
            key=lambda row: table[row][2],
        )
        assert found.item_ids[found.items[span] - 1].tolist() == [table[r][1] for r in expected]
        assert found.timestamp[span].tolist() == [table[r][2] for r in expected]
        assert found.intensity[span].tolist() == [r + 1 for r in expected]


def test_item_codes_run_from_one_and_leave_zero_to_padding():
    found = sequences([(7, 30, 0), (7, 4, 1), (5, 100, 0)])
    assert found.items.tolist() == [3, 2, 1]
    assert found.item_ids.tolist() == [4, 30, 100]
    assert found.user_ids.tolist() == [5, 7]


def test_sizes():
    found = sequences([(7, 30, 0), (7, 4, 1), (5, 100, 0)])
    assert (len(found), found.n_users, found.n_items) == (3, 2, 3)
    assert found.lengths.tolist() == [1, 2]


def test_dtypes_are_fixed():
    found = sequences([("x", "y", 0)])
    assert found.items.dtype == np.int32
    assert found.intensity.dtype == np.float32
    assert found.timestamp.dtype == np.float64
    assert found.offsets.dtype == np.int64
    assert found.user_ids.dtype.kind == "U"


def test_arrays_are_read_only():
    found = sequences([(1, 1, 0), (1, 2, 1)])
    for name in ("items", "intensity", "timestamp", "offsets", "user_ids", "item_ids"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, name)[0] = 0


def test_callers_array_stays_writable():
    items = np.array([1, 1], dtype=np.int32)
    Sequences(items, None, np.zeros(2), np.array([0, 2]), np.array([1]), np.array([1]))
    items[0] = 2


def test_log_without_intensity_gives_none():
    assert (
        sequences([(1, 1, 0), (1, 2, 1)], intensity=False).before(np.array([1])).intensity is None
    )


def test_log_out_of_time_order_is_refused():
    with pytest.raises(SeqattnError, match="user 3 are not in time order"):
        Sequences.from_interactions(log([(2, 1, 9), (3, 1, 5), (3, 2, 4)]))


@PROPERTY
@given(rows(), st.data())
def test_histories_before_some_rows_are_the_heads_of_their_users(table, data):
    full = sequences(table)
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, len(full) - 1), min_size=1))))
    heads = full.before(chosen)
    for n, row in enumerate(chosen):
        user = full.user_of_row[row]
        assert heads.user_ids[n] == full.user_ids[user]
        head = full.items[full.offsets[user] : row]
        assert heads.items[heads.offsets[n] : heads.offsets[n + 1]].tolist() == head.tolist()


@PROPERTY
@given(rows(), st.randoms())
def test_kept_rows_stay_in_their_histories_and_nobody_vanishes(table, random):
    full = sequences(table)
    mask = np.array([random.random() < 0.5 for _ in range(len(full))])
    kept = full.keep(mask)
    assert kept.n_users == full.n_users
    assert kept.items.tolist() == full.items[mask].tolist()
    assert kept.user_of_row.tolist() == full.user_of_row[mask].tolist()


def test_parts_of_histories_keep_each_rows_own_time():
    rows = [(user, 1 + t, 100 * user + 7 * t) for user in range(3) for t in range(5)]
    s = Sequences.from_interactions(sort_by_time(log(rows)))
    split = leave_one_out(s)
    assert split.train.timestamp.tolist() == s.timestamp[split.parts.train].tolist()
    assert split.context("test").timestamp.tolist() == [
        100 * user + 7 * t for user in range(3) for t in range(4)
    ]
    assert s.of_users([2, 0]).timestamp.tolist() == [*s.timestamp[10:], *s.timestamp[:5]]
