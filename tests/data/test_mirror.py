"""The real data of the local mirror, where there is one: counts, order, time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqattn.data import CATALOGUE, Dataset, load_dataset, load_log
from seqattn.errors import SeqattnError

MIRROR = Path(os.environ.get("SEQATTN_DATA") or "no mirror")
CHRONOLOGICAL = [
    name
    for name, entry in CATALOGUE.items()
    if entry.chronological and (MIRROR / f"{name}.csv.gz").is_file()
]

pytestmark = pytest.mark.skipif(
    not (MIRROR / "ml-1m.csv.gz").is_file(),
    reason="needs the local mirror: set SEQATTN_DATA to a folder with ml-1m.csv.gz and the others",
)


@pytest.fixture(autouse=True, scope="module")
def mirror():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQATTN_DATA", str(MIRROR))
        yield


@pytest.fixture(scope="module")
def ml_1m(mirror) -> Dataset:
    return load_dataset("ml-1m")


def counts(dataset: Dataset, place: int) -> tuple[int, int, int]:
    step = dataset.steps[place]
    return step.interactions, step.users, step.items


def test_ml_1m_has_the_published_raw_and_five_core_counts(ml_1m):
    assert counts(ml_1m, 0) == (1_000_209, 6_040, 3_706)
    assert counts(ml_1m, -1) == (999_611, 6_040, 3_416)


def test_last_item_of_every_ml_1m_user_is_that_of_the_greatest_position(ml_1m):
    raw = pd.read_csv(MIRROR / "ml-1m.csv.gz").dropna(subset="seq_pos")
    last = raw.loc[raw.groupby("user")["seq_pos"].idxmax()].set_index("user")["item"]
    found = ml_1m.sequences.item_ids[ml_1m.split.targets("test") - 1]
    assert found.tolist() == last[ml_1m.sequences.user_ids].tolist()


def test_every_ml_1m_history_is_in_the_order_of_positions(ml_1m):
    raw = pd.read_csv(MIRROR / "ml-1m.csv.gz").dropna(subset="seq_pos")
    expected = raw.sort_values(["user", "seq_pos"])["item"].to_numpy()
    assert np.array_equal(ml_1m.sequences.item_ids[ml_1m.sequences.items - 1], expected)


def test_unknown_times_of_ml_1m_stay_unknown(ml_1m):
    raw = pd.read_csv(MIRROR / "ml-1m.csv.gz").dropna(subset="seq_pos")
    assert np.isnan(ml_1m.sequences.timestamp).sum() == raw["timestamp"].isna().sum()


@pytest.mark.parametrize("name", CHRONOLOGICAL)
def test_counts_are_those_of_the_catalogue(name):
    dataset = load_dataset(name)
    entry = CATALOGUE[name].mirrored()
    assert counts(dataset, 0) == (entry.raw.interactions, entry.raw.users, entry.raw.items)
    assert counts(dataset, -1) == (entry.core.interactions, entry.core.users, entry.core.items)
    assert dataset.has_intensity == (entry.intensity is not None)
    assert dataset.entry.unit == entry.unit


def test_amazon_office_is_the_published_one():
    office = load_dataset("amazon-office")
    assert counts(office, -1) == (53_258, 4_905, 2_420)
    assert CATALOGUE["amazon-office"].table2 == CATALOGUE["amazon-office"].core


def test_amazon_music_says_that_it_is_half():
    assert load_dataset("amazon-music").entry.title == "Amazon-Music (timestamped half)"


def test_milliseconds_of_last_fm_become_seconds():
    times = load_log("lastfm-tagged").frame["timestamp"]
    assert pd.Timestamp(times.median(), unit="s").year == 2009


@pytest.mark.parametrize("name", ["lastfm-listens", "steam-200k"])
def test_a_log_without_chronology_serves_for_diagnostics_only(name):
    log = load_log(name)
    entry = CATALOGUE[name]
    assert (len(log), log.when, log.has_intensity) == (entry.raw.interactions, None, True)
    with pytest.raises(SeqattnError, match=r"diagnostics only \(load_log\)"):
        load_dataset(name)


def test_published_sizes_are_copied_rightly():
    published = MIRROR.parent / "published" / "ia_sasrec_table2_datasets.csv"
    if not published.is_file():
        pytest.skip("needs the published table beside the mirror")
    table = pd.read_csv(published)
    expected = set(table[["interactions", "users", "items"]].itertuples(index=False, name=None))
    found = {
        (entry.table2.interactions, entry.table2.users, entry.table2.items)
        for entry in CATALOGUE.values()
        if entry.table2
    }
    assert found == expected
