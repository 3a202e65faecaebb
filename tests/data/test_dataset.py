"""Loading a dataset, its counts and its fingerprint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import PROPERTY, log, rows

from seqattn.data import (
    Counts,
    Dataset,
    Entry,
    Interactions,
    Preparation,
    Sequences,
    fingerprint,
    load_dataset,
    merge_repeats,
    sort_by_time,
    synthetic_log,
)
from seqattn.errors import SeqattnError

needs_recbole = pytest.mark.skipif(
    find_spec("recbole") is None, reason="ML-100K comes out of RecBole's wheel"
)
ENTRY = Entry("mine", "Mine", "rating", "stars", licence="none")
ARRAYS = ("items", "intensity", "timestamp", "offsets", "user_ids", "item_ids")


@pytest.fixture(scope="module")
def ml_100k() -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEQATTN_DATA", raising=False)
        patch.setenv("SEQATTN_CACHE", "/nowhere")
        return load_dataset("ml-100k")


def prepared(table: list[tuple], order: Sequence[int] | None = None) -> Sequences:
    """Histories of the rows, each with its own intensity, read in the given order."""
    interactions = log(table)
    if order is not None:
        interactions = interactions.take(np.asarray(order), "reorder")
    return Sequences.from_interactions(
        sort_by_time(merge_repeats(interactions, "latest", "latest"))
    )


@needs_recbole
def test_ml_100k_has_the_published_raw_and_five_core_counts(ml_100k):
    first, last = ml_100k.steps[0], ml_100k.steps[-1]
    assert (first.name, first.interactions, first.users, first.items) == (
        *("read", 100_000, 943, 1_682),
    )
    assert (last.name, last.interactions, last.users, last.items) == ("5-core", 99_287, 943, 1_349)
    assert (len(ml_100k.sequences), ml_100k.n_users, ml_100k.n_items) == (99_287, 943, 1_349)


@needs_recbole
def test_ml_100k_fingerprint_is_the_same_everywhere(ml_100k):
    assert ml_100k.fingerprint == (
        "aedd62a8b59c668dba3ddb7516490de70205e11ade6a2f1e7d8b1475bd92da9f"
    )


def test_fingerprint_of_a_fixed_log_is_pinned():
    table = [("é", 10, 5), ("é", 9, 5), ("a", 9, 1), ("a", 10, 0.5)]
    assert fingerprint(prepared(table), {"core": 1}) == (
        "c985961e574a9a235486a6b8d52f973222557c8c61893c0329fed8a3b9fff7da"
    )


@PROPERTY
@given(rows(), st.data())
def test_fingerprint_changes_with_any_value(table, data):
    original = prepared(table)
    name = data.draw(st.sampled_from(ARRAYS))
    changed = getattr(original, name).copy()
    changed[data.draw(st.integers(0, len(changed) - 1))] += 1
    altered = replace(original, **{name: changed})
    assert fingerprint(altered, {}) != fingerprint(original, {})


def test_fingerprint_changes_with_options_dtype_and_missing_intensity():
    original = prepared([(1, 1, 0), (1, 2, 1)])
    as_text = replace(original, item_ids=original.item_ids.astype(str))
    without = replace(original, intensity=None)
    values = [
        fingerprint(original, {}),
        fingerprint(original, {"core": 5}),
        fingerprint(as_text, {}),
        fingerprint(without, {}),
    ]
    assert len(set(values)) == len(values)


def test_fingerprint_is_that_of_the_values_not_of_their_byte_order():
    original = prepared([(1, 1, 0), (1, 2, 1)])
    swapped = replace(original, user_ids=original.user_ids.astype(">i8"))
    assert fingerprint(swapped, {}) == fingerprint(original, {})


@PROPERTY
@given(rows(), st.randoms(use_true_random=False))
def test_fingerprint_survives_a_shuffle_that_keeps_the_order_of_ties(table, random):
    shuffled = list(range(len(table)))
    random.shuffle(shuffled)
    # Rows of one user and time take their places of the shuffle in file order.
    places: dict[tuple, list[int]] = {}
    for place, row in enumerate(shuffled):
        places.setdefault((table[row][0], table[row][2]), []).append(place)
    order = np.empty(len(table), dtype=int)
    for row, (user, _, time) in enumerate(table):
        order[places[user, time].pop(0)] = row
    assert fingerprint(prepared(table, order), {}) == fingerprint(prepared(table), {})


def test_fingerprint_changes_when_a_tie_is_reversed():
    table = [(1, 1, 0), (1, 2, 5), (1, 3, 5)]
    assert fingerprint(prepared(table, [0, 2, 1]), {}) != fingerprint(prepared(table), {})


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(SeqattnError, match=r"'ml-1b' is unknown; choose one of ml-100k, .*YAML"):
        load_dataset("ml-1b")


def test_options_at_their_defaults_keep_the_fingerprint_of_before_they_existed(synthetic):
    before = {"core": 5, "duplicates": "latest", "split": "leave-one-out"}
    assert synthetic.fingerprint == fingerprint(synthetic.sequences, before)


@pytest.mark.parametrize(
    "options",
    [
        {"core": 4},
        {"core": 6},
        {"iterative": False},
        {"subsample": 60},
        {"history": 3},
        {"ties": "item-id"},
    ],
)
def test_fingerprint_changes_with_every_option_even_if_the_data_do_not(synthetic, options):
    other = replace(ENTRY, preparation=Preparation(**options))
    assert Dataset.from_interactions(synthetic_log(), other).fingerprint != synthetic.fingerprint


def test_fingerprint_does_not_depend_on_the_kind_of_nan():
    original = prepared([(1, 1, 0), (1, 2, 1)])
    kinds = [
        replace(original, timestamp=np.array([0, bits], dtype=np.uint64).view(np.float64))
        for bits in (0x7FF8000000000000, 0xFFF8000000000001)
    ]
    assert np.isnan(kinds[0].timestamp[1])
    assert fingerprint(kinds[0], {}) == fingerprint(kinds[1], {}) != fingerprint(original, {})


def test_log_without_chronology_is_refused_as_a_dataset():
    frame = pd.DataFrame({"user": [1, 1, 1], "item": [1, 2, 3]})
    diagnostics = Interactions.from_frame(frame, chronological=False)
    with pytest.raises(SeqattnError, match="serves for diagnostics only"):
        Dataset.from_interactions(diagnostics, ENTRY)


def test_log_of_another_size_than_the_catalogue_says_is_refused():
    entry = replace(ENTRY, raw=Counts(10, 2, 5))
    with pytest.raises(SeqattnError, match=re.escape("the catalogue expects 10 interactions")):
        Dataset.from_interactions(synthetic_log(), entry)


def test_steps_table_has_a_row_per_step():
    dataset = Dataset.from_interactions(synthetic_log(), ENTRY)
    table = dataset.steps_table()
    assert list(table.columns) == ["step", "interactions", "users", "items"]
    assert table["step"].tolist() == [step.name for step in dataset.steps]


def test_dataset_without_intensity_says_so():
    everyone = [(user, item, item) for user in range(6) for item in range(6)]
    assert not Dataset.from_interactions(log(everyone, intensity=False), ENTRY).has_intensity


def test_description_has_a_row_for_each_fact_that_is_known():
    entry = replace(ENTRY, table2=Counts(12_345, 6, 7), note="Times are days.")
    told = Dataset.from_interactions(synthetic_log(), entry).description()[entry.title]
    assert told.tolist() == [
        f"{entry.intensity} ({entry.unit})",
        "12,345 interactions, 6 users, 7 items",
        "Times are days.",
    ]
    everyone = [(user, item, item) for user in range(6) for item in range(6)]
    bare = Dataset.from_interactions(log(everyone, intensity=False), ENTRY).description()
    assert bare[ENTRY.title].tolist() == ["none: only models that read no intensity can be fitted"]


def test_a_dataset_tells_its_size_and_not_its_log(synthetic):
    told = repr(synthetic)
    assert told.startswith("<Dataset synthetic: ") and f"{synthetic.n_items} items" in told
    assert len(told) < 100


def test_a_file_that_is_no_yaml_is_told_what_it_lacks(tmp_path):
    (tmp_path / "log.csv").write_text("user,item\n")
    with pytest.raises(SeqattnError, match=r"log\.csv says nothing of its columns; .*YAML"):
        load_dataset(str(tmp_path / "log.csv"))
