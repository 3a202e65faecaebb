"""Intensity diagnostics against scipy, the model's own normalisation and hand cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seqattn.audit import intensity as bits
from seqattn.audit import intensity as diagnostics
from seqattn.audit.intensity import Histories
from seqattn.config import NORMALISATIONS
from seqattn.data import Dataset, Interactions
from seqattn.errors import SeqattnError
from seqattn.models.reference import intensity_matrix

HISTORIES = st.lists(
    st.lists(st.floats(0, 1e4, width=32), min_size=1, max_size=9), min_size=1, max_size=8
)


def histories(*users: list[float], items: list[int] | None = None, ordered: bool = True):
    flat = np.array([w for user in users for w in user], dtype=float)
    item = np.zeros(len(flat), dtype=int) if items is None else np.array(items)
    offsets = np.append(0, np.cumsum([len(user) for user in users]))
    return Histories(flat, item, offsets, int(item.max()) + 1, ordered)


def plays(rows: list[tuple]) -> Interactions:
    """A log of (user, item, intensity) without chronology."""
    frame = pd.DataFrame(rows, columns=["user", "item", "intensity"])
    return Interactions.from_frame(frame, source="plays.csv", chronological=False)


@settings(max_examples=40)
@given(HISTORIES, st.sampled_from(NORMALISATIONS), st.sampled_from([1, 7, 1 << 22]))
def test_normalised_is_the_last_row_of_the_reference_matrix(users, mode, chunk):
    past = histories(*users)
    expected = [intensity_matrix(torch.tensor(u, dtype=torch.float64), mode)[-1] for u in users]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnostics, "_CHUNK", chunk)
        found = diagnostics.normalised(past, mode)
    np.testing.assert_allclose(found, torch.cat(expected).numpy(), rtol=1e-6, atol=1e-6)


def test_windows_keep_the_last_interactions_where_there_is_an_order():
    past = histories([1, 2, 3], [4], [5, 6])
    kept = diagnostics.windows(past, 2)
    assert kept.intensity.tolist() == [2, 3, 4, 5, 6]
    assert kept.offsets.tolist() == [0, 2, 3, 5]
    unordered = past._replace(ordered=False)
    assert diagnostics.windows(unordered, 2) is unordered


def test_bins_hold_their_lower_edge_and_the_ends_what_lies_outside():
    places = bits.places(np.array([-9, 0, 0.1, 1 / 32, 0.999, 1, 9]), 0, 1)
    assert places.tolist() == [0, 0, 3, 1, 31, 31, 31]


def test_bits_of_a_history_are_its_own_by_hand():
    # Halves in two bins; quarters and a half; all in one bin; an empty history is left out.
    values = np.array([0.1, 0.9, 0.1, 0.9, 0.5, 0.9, 0.3, 0.31])
    found = bits.history_bits(values, np.array([0, 2, 6, 6, 8]), 0, 1)
    assert found == pytest.approx([1, 1.5, 0])


def test_pooled_bits_grow_where_normalisation_tells_users_apart_and_those_inside_do_not():
    # Two values a user: z-scores of (1, 1, 5) and (1, 5, 5) are four numbers, raw ones two.
    log = plays([(0, 0, 1), (0, 1, 1), (0, 2, 5), (1, 0, 1), (1, 1, 5), (1, 2, 5)])
    table = diagnostics.bits_table(log)
    pooled, inside = table["32 bins, pooled"], table["32 bins, in a history"]
    assert pooled["raw"] == pytest.approx(1)
    assert pooled["zscore"] > 1.9
    expected = stats.entropy([1, 2], base=2)  # one of three apart, before and after
    assert inside[["raw", "minmax", "zscore"]].tolist() == pytest.approx([expected] * 3)


def test_information_of_stars_equals_scipy_before_and_collapses_for_a_heavy_tail():
    stars = plays([(u, i, 1 + (u + i) % 5) for u in range(20) for i in range(7)])
    table = diagnostics.information(stars)
    values = stars.frame["intensity"]
    expected = stats.entropy(values.value_counts(), base=2)
    assert table.loc["raw", "exact bits"] == pytest.approx(expected)
    assert table.loc["raw", "bits"] == pytest.approx(expected)  # 32 bins part five stars
    assert table.loc["none"].drop("from").tolist() == table.loc["raw"].drop("from").tolist()
    assert table.loc["raw", "within history"] == pytest.approx(
        values.groupby(stars.frame["user"]).std(ddof=0).mean()
    )
    rng = np.random.default_rng(0)
    hours = plays([(u, i, rng.lognormal(2, 2.5)) for u in range(60) for i in range(20)])
    heavy = diagnostics.information(hours)
    assert heavy.loc["raw", "exact bits"] == pytest.approx(np.log2(1_200))
    assert heavy.loc["raw", "bits"] < 1.5 < 3 < heavy.loc["log1p", "bits"]
    assert heavy.loc["raw", "narrowest 80 %"] < 0.1 < heavy.loc["log1p", "narrowest 80 %"]


def test_bits_table_puts_pooled_bits_beside_those_in_a_history_and_the_most_there_could_be():
    stars = plays([(u, i, 1 + u % 5) for u in range(20) for i in range(7)])
    raw = diagnostics.bits_table(stars).loc["raw"]
    assert raw["distinct values"] == 5
    assert raw["bits"] == raw["32 bins, pooled"] == pytest.approx(np.log2(5))
    assert raw["bits if equally frequent"] == pytest.approx(np.log2(5))
    assert raw["32 bins, in a history"] == 0  # each user always gives the same


def test_information_of_an_intensity_that_is_always_zero_is_zero_bits():
    table = diagnostics.information(plays([(u, i, 0) for u in (1, 2) for i in (1, 2)]))
    assert table["bits"].tolist() == [0] * 6
    assert table["distinct"].tolist() == [1] * 6


def test_ranges_of_histories_known_by_hand():
    rows = [
        (1, "a", 2),
        (1, "b", 8),
        (2, "a", 3),
        (2, "b", 3),
        (3, "a", 0),
        (3, "b", 5),
        (4, "a", 1),
    ]
    value = diagnostics.ranges(plays(rows))["value"]
    assert value["histories"] == 4
    assert value["constant histories"] == 2 / 4
    assert value["histories with a zero"] == 1 / 4
    assert value["max - min, 50% of histories"] == np.median([6, 0, 5, 0])
    assert value["max / min, 50% of histories"] == np.median([4, 1, 1])


def test_spearman_of_perfect_agreement_is_one():
    # Items a, b and c have 3, 2 and 1 interactions, and intensity falls with popularity.
    rows = [(1, "a", 1), (1, "b", 2), (1, "c", 3), (2, "a", 1), (2, "b", 2), (3, "a", 1)]
    found = diagnostics.correlations(plays(rows), n_resamples=50)["value"]
    assert found["popularity"] == pytest.approx(-1)
    assert found["popularity, item means"] == pytest.approx(-1)
    assert found["popularity, within history"] == pytest.approx(-1)  # user 3 does not vary


def test_correlations_equal_scipy_and_a_loop_over_users(synthetic: Dataset):
    train = synthetic.split.train
    found = diagnostics.correlations(synthetic, n_resamples=100)
    strength = train.intensity.astype(float)
    count = np.bincount(train.items)[train.items]
    expected = stats.spearmanr(strength, count).statistic
    assert found.loc["popularity", "value"] == pytest.approx(expected)
    parts = np.split(np.arange(len(train)), train.offsets[1:-1])
    recency = np.concatenate([np.arange(len(part)) - len(part) for part in parts])
    expected = stats.spearmanr(strength, recency).statistic
    assert found.loc["recency", "value"] == pytest.approx(expected)
    inside = [stats.spearmanr(strength[part], recency[part]).statistic for part in parts]
    assert found.loc["recency, within history", "value"] == pytest.approx(np.mean(inside))
    frame = pd.DataFrame({"item": train.items, "w": strength})
    items = frame.groupby("item")["w"].agg(["mean", "size"])
    expected = stats.spearmanr(items["mean"], items["size"]).statistic
    assert found.loc["popularity, item means", "value"] == pytest.approx(expected)


def test_interval_is_close_to_a_bootstrap_that_ranks_every_resample_anew(synthetic: Dataset):
    train = synthetic.split.train
    found = diagnostics.correlations(synthetic, n_resamples=400).loc["recency"]
    users = np.split(np.arange(len(train)), train.offsets[1:-1])
    recency = np.concatenate([np.arange(len(rows)) - len(rows) for rows in users])
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([users[u] for u in rng.integers(len(users), size=len(users))])
        drawn.append(stats.spearmanr(train.intensity[rows], recency[rows]).statistic)
    low, high = np.quantile(drawn, (0.025, 0.975))
    width = high - low
    assert found["low"] == pytest.approx(low, abs=width / 4)
    assert found["high"] == pytest.approx(high, abs=width / 4)


def test_recency_is_not_available_without_chronology():
    found = diagnostics.correlations(plays([(1, "a", 1), (1, "b", 2), (2, "a", 5)]), n_resamples=9)
    assert found.loc[["recency", "recency, within history"], "value"].isna().all()
    assert found["value"].notna().sum() == 3


def test_constant_intensity_has_no_correlation():
    found = diagnostics.correlations(plays([(1, "a", 1), (1, "b", 1), (2, "a", 1)]), n_resamples=9)
    assert found["value"].isna().all()


def test_diagnosis_is_one_table_and_the_same_again(synthetic: Dataset):
    table = diagnostics.diagnose(synthetic)
    assert table.columns.tolist() == ["part", "measure", "value", "low", "high"]
    assert table["part"].unique().tolist() == ["information", "range", "correlation"]
    bits = table.set_index("measure")["value"]["log1p_minmax, bits"]
    assert bits == diagnostics.information(synthetic).loc["log1p_minmax", "bits"]
    pd.testing.assert_frame_equal(table, diagnostics.diagnose(synthetic))


def test_log_without_intensity_is_refused():
    frame = pd.DataFrame({"user": [1, 1], "item": [1, 2], "timestamp": [1, 2]})
    with pytest.raises(SeqattnError, match=r"views\.csv: no intensity"):
        diagnostics.diagnose(Interactions.from_frame(frame, source="views.csv"))
