"""The generated log."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import PROPERTY

from seqattn.data import prepare, sort_by_time, synthetic_log
from seqattn.errors import SeqattnError


def test_same_seed_gives_the_same_log_and_another_seed_another():
    pd.testing.assert_frame_equal(synthetic_log(seed=3).frame, synthetic_log(seed=3).frame)
    assert not synthetic_log(seed=3).frame.equals(synthetic_log(seed=4).frame)


@PROPERTY
@given(st.integers(1, 30), st.integers(0, 99))
def test_every_user_has_five_distinct_items(n_users, seed):
    frame = synthetic_log(n_users, seed).frame
    assert not frame.duplicated(["user", "item"]).any()
    assert frame["user"].nunique() == n_users
    assert frame["user"].value_counts().min() >= 5
    assert frame["item"].between(1, 40).all()


def test_default_log_survives_the_five_core():
    log = synthetic_log()
    assert len(prepare(log)) == len(log)


def test_next_item_is_mostly_a_short_step_ahead():
    frame = sort_by_time(synthetic_log()).frame
    steps = frame.groupby("user")["item"].diff().dropna() % 40
    assert (steps <= 5).mean() > 0.7


def test_intensity_is_heavy_tailed():
    minutes = np.sort(synthetic_log().frame["intensity"])[::-1]
    assert minutes[: len(minutes) // 10].sum() > 0.4 * minutes.sum()


def test_a_log_without_users_is_refused():
    with pytest.raises(SeqattnError, match="n_users = 0 is too small"):
        synthetic_log(n_users=0)


def test_items_and_users_have_levels_of_intensity_of_their_own():
    """Log minutes: 0.7 (SD) between items and between users, 1.2 within."""
    frame = synthetic_log(1500).frame
    log_minutes = np.log(frame["intensity"])
    items = log_minutes.groupby(frame["item"]).mean()
    assert items.std() == pytest.approx(0.7, abs=0.25)
    own = log_minutes - log_minutes.groupby(frame["item"]).transform("mean")
    users = own.groupby(frame["user"])
    between = users.mean().var() - (users.var() / users.size()).mean()
    assert np.sqrt(between) == pytest.approx(0.7, abs=0.1)
    assert np.sqrt(users.var().mean()) == pytest.approx(1.2, abs=0.1)
