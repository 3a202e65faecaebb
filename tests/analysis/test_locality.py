"""How local a log is: by hand, and where it must be known."""

from __future__ import annotations

import numpy as np
import pytest

from seqattn.analysis.locality import chances, locality
from seqattn.data import Sequences, leave_one_out
from seqattn.errors import SeqattnError


def split_of(histories, n_items):
    items, n_users = np.concatenate(histories), len(histories)
    offsets = np.cumsum([0, *map(len, histories)])
    time = np.arange(len(items), dtype=float)
    ids = np.arange(n_users), np.arange(n_items)
    return leave_one_out(Sequences(items, None, time, offsets, *ids))


def test_chances_and_locality_by_hand():
    """Training saw 1 2 1 2, 3 1 2 and 3 1 1; then come an item of validation, and the target."""
    split = split_of([[1, 2, 1, 2, 3, 1], [3, 1, 2, 1, 2], [3, 1, 1, 2, 1]], 3)
    found = chances(split, (1, 2))
    # One back, 3: 1 and 1 came next; 1: 2, 2, 2 and 1; 2: 1. Two back, 2: 2; 2: 2; 1: 1.
    assert found.tolist() == [[1, 3 / 4, 1], [0, 1, 1]]
    told = locality(split, (1, 2))
    assert told["targets"] == 3
    assert (told["back_1"], told["back_2"]) == pytest.approx((2.75 / 3, 2 / 3))
    assert told["locality"] == pytest.approx(2.75 / 2)
    assert told["low"] < told["locality"] < told["high"]
    # Nor does the order of the users matter, but for the draws of the interval.
    other = locality(split_of([[3, 1, 1, 2, 1], [1, 2, 1, 2, 3, 1], [3, 1, 2, 1, 2]], 3), (1, 2))
    assert other["locality"] == pytest.approx(told["locality"])


def test_where_any_item_tells_the_next_one_nothing_is_local():
    """In a circle of items one knows what comes, however far back one looks."""
    split = split_of([(np.arange(start, start + 9) % 7) + 1 for start in range(7)], 7)
    assert (chances(split) == 1).all()
    told = locality(split)
    assert (told["locality"], told["low"], told["high"]) == (1, 1, 1)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_chain_is_local_and_the_same_histories_in_another_order_are_not(shuffled):
    rng, n_items, histories = np.random.default_rng(0), 20, []
    for _ in range(400):
        steps = rng.integers(0, 4, size=30)  # each item tells its next one up to a step of three
        histories.append(np.cumsum(steps) % n_items + 1)
    if shuffled:
        histories = [rng.permutation(history) for history in histories]
    told = locality(split_of(histories, n_items))
    if shuffled:
        assert told["low"] < 1 < told["high"]
    else:
        assert told["back_1"] > told["back_2"] > told["back_3"] > told["back_4"]
        assert told["low"] > 1.5


def test_short_histories_are_left_out_and_nothing_else_is_refused():
    split = split_of([[1, 2, 3], [1, 2, 1, 2, 1]], 3)
    assert chances(split).shape == (4, 1)
    with pytest.raises(SeqattnError, match="no test target has 5 interactions before it"):
        chances(split, (1, 5))
    assert np.isnan(locality(split)["locality"])  # nobody's training is four apart
