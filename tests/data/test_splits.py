"""Leave-one-out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import PROPERTY, log

from seqattn.data import Sequences, leave_one_out, sort_by_time
from seqattn.errors import SeqattnError

HISTORIES = st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=12), min_size=1, max_size=8)


def sequences(histories: list[list[int]]) -> Sequences:
    table = [(u, i, t) for u, history in enumerate(histories) for t, i in enumerate(history)]
    return Sequences.from_interactions(sort_by_time(log(table)))


@PROPERTY
@given(HISTORIES)
def test_parts_are_disjoint_cover_everything_and_keep_order(histories):
    full = sequences(histories)
    split = leave_one_out(full)
    train = np.split(split.train.items, split.train.offsets[1:-1])
    joined = [
        np.append(part, [valid, test])
        for part, valid, test in zip(train, split.valid_items, split.test_items, strict=True)
    ]
    assert np.concatenate(joined).tolist() == full.items.tolist()


@PROPERTY
@given(HISTORIES)
def test_test_context_is_training_plus_validation_item(histories):
    split = leave_one_out(sequences(histories))
    context = split.test_context
    assert context.items[context.offsets[1:] - 1].tolist() == split.valid_items.tolist()
    assert context.drop_last(1).items.tolist() == split.train.items.tolist()


def test_stage_selects_context_and_targets():
    split = leave_one_out(sequences([[1, 2, 3, 4]]))
    assert split.context("valid") is split.train
    assert split.context("test") is split.test_context
    assert (split.targets("valid").tolist(), split.targets("test").tolist()) == ([3], [4])


@pytest.mark.parametrize("method", ["context", "targets"])
def test_unknown_stage_is_refused(method):
    with pytest.raises(SeqattnError, match="'train' is unknown"):
        getattr(leave_one_out(sequences([[1, 2, 3]])), method)("train")


def test_history_too_short_to_split_is_refused_by_name():
    with pytest.raises(SeqattnError, match="user 1 has 2 interactions, at least 3"):
        leave_one_out(sequences([[1, 2, 3], [1, 2]]))


def test_targets_are_read_only():
    split = leave_one_out(sequences([[1, 2, 3]]))
    assert not split.valid_items.flags.writeable
    assert not split.test_items.flags.writeable
