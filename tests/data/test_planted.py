"""Planted intensities tell of the items to come as much as the dial says, and of nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqattn.config import LATER, PLANTED, ModelConfig, TrainConfig, record, replace
from seqattn.data import Dataset, Interactions, load_dataset
from seqattn.data.intensities import with_intensities
from seqattn.data.planted import (
    comes_later,
    comes_next,
    neighbours,
    promised,
    with_planted,
)
from seqattn.data.sequences import Sequences
from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.runs.export import dataset_of
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.training.fit import fit
from seqattn.training.ranking import rank_targets

SMOKE = get_preset("smoke")
TAIL = PLANTED["planted_tail"]


def promises(n_users: int, n_items: int = 30, length: int = 10) -> Dataset:
    """A log of which half the items keep a promise: the neighbour of any earlier item comes.

    Which one is drawn at random, so that items alone do not tell. The last item keeps one always.
    """
    rng = np.random.default_rng(0)
    ring = rng.permutation(n_items)
    neighbour = dict(zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True))
    rows = []
    for user in range(n_users):
        history = [int(rng.integers(n_items))]
        while len(history) < length:
            open_ = [neighbour[item] for item in history if neighbour[item] not in history]
            others = [item for item in range(n_items) if item not in history]
            keeps = open_ and (rng.random() < 0.5 or len(history) == length - 1)
            history.append(int(rng.choice(open_ if keeps else others)))
        rows += [(user, item, 1.0, time) for time, item in enumerate(history)]
    frame = pd.DataFrame(rows, columns=["user", "item", "intensity", "timestamp"])
    log = Interactions.from_frame(frame.astype({"timestamp": float}), source="promises")
    return Dataset.from_interactions(log, load_dataset("synthetic").entry)


@pytest.fixture(scope="module")
def data():
    return promises(300)


def marks(told: Dataset, n_marked: int) -> np.ndarray:
    """The interactions with the highest intensities, (n,) bool."""
    intensity = told.sequences.intensity
    return intensity >= np.sort(intensity)[-n_marked]


def come(data: Dataset) -> np.ndarray:
    return comes_later(data.sequences, neighbours(data.split.train))


def sequences(histories: list[list[int]], n_items: int) -> Sequences:
    lengths = [len(history) for history in histories]
    return Sequences(
        items=np.concatenate(histories),
        intensity=None,
        timestamp=np.arange(sum(lengths)),
        offsets=np.append(0, np.cumsum(lengths)),
        user_ids=np.arange(len(histories)),
        item_ids=np.arange(1, n_items + 1),
    )


def test_a_neighbour_is_what_follows_most_often_in_training_and_at_least_twice():
    train = sequences([[1, 2, 3], [1, 2, 4], [1, 3, 4], [5, 3, 2], [1, 3, 2], [5, 1]], 6)
    # 1: 2 and 3 twice each, the first code; 2 and 5: twice nothing; 3: 2 twice, 4 once.
    assert neighbours(train).tolist() == [0, 2, 0, 2, 0, 0, 0]


def test_a_neighbour_comes_if_the_same_user_has_it_later():
    histories = sequences([[1, 5, 2], [2, 1], [2], [3, 2, 1]], 5)
    comes = comes_later(histories, np.array([0, 2, 0, 2, 0, 0]))
    assert np.flatnonzero(comes).tolist() == [0, 6]  # 1 before 2; 3 before 2
    assert not comes_later(histories, np.zeros(6, dtype=int)).any()


def test_in_the_stricter_story_a_neighbour_comes_only_as_the_very_next_item():
    histories = sequences([[1, 5, 2], [1, 2, 1], [2], [3, 1, 2], [3], [2]], 5)
    comes = comes_next(histories, np.array([0, 2, 0, 2, 0, 0]))
    assert np.flatnonzero(comes).tolist() == [3, 8]  # not across users, as 3 and 2 at the end
    later = comes_later(histories, np.array([0, 2, 0, 2, 0, 0]))
    assert (later >= comes).all()


def test_neighbours_do_not_depend_on_what_is_asked_for(data):
    rows = np.append(data.split.parts.valid, data.split.parts.test)
    items = data.sequences.items.copy()
    items[rows] = np.random.default_rng(0).permutation(items[rows])
    other = dataclasses.replace(data.sequences, items=items).keep(data.split.parts.train)
    assert np.array_equal(neighbours(other), neighbours(data.split.train))


@given(
    p=st.floats(0, 1), tail=st.floats(0.1, 3), confound=st.floats(-1, 1), seed=st.integers(0, 2**31)
)
def test_histories_are_untouched_and_intensities_are_valid(p, tail, confound, seed):
    data = load_dataset("synthetic")
    told = with_planted(data, p, tail, confound, seed)
    for name in ("items", "offsets", "timestamp", "user_ids", "item_ids"):
        before, after = getattr(data.sequences, name), getattr(told.sequences, name)
        assert np.array_equal(before, after)
    assert np.array_equal(told.split.targets("test"), data.split.targets("test"))
    intensity = told.sequences.intensity
    assert intensity.dtype == np.float32 and np.isfinite(intensity).all() and (intensity > 0).all()
    # What models train on is cut from the same histories.
    assert np.array_equal(told.split.train.intensity, intensity[told.split.parts.train])


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("tail", [0.5, 2.0])
def test_the_marginal_is_log_normal_with_the_asked_tail_at_every_p(data, p, tail):
    told = with_planted(data, p, tail, 0.3, 1)
    assert stats.kstest(np.log(told.sequences.intensity) / tail, "norm").pvalue > 0.01


def test_marks_follow_what_comes_as_far_as_p_says(data):
    """Of interactions whose neighbour comes, a share of p + (1 - p) q is marked."""
    comes = come(data)
    q = comes.mean()
    for p in (0.0, 0.25, 0.75, 1.0):
        expected = p * q + (1 - p) * q  # of all
        told = marks(with_planted(data, p, TAIL, 0.0, 1), round(expected * len(comes)))
        assert told[comes].mean() == pytest.approx(p + (1 - p) * q, abs=0.05)
        assert told[~comes].mean() == pytest.approx((1 - p) * q, abs=0.05)


@pytest.mark.parametrize("next_only", [False, True])
@pytest.mark.parametrize("confound", [0.0, 0.8])
def test_without_p_intensities_are_independent_of_what_comes_given_items(data, confound, next_only):
    """A permutation within items keeps what intensity owes to the item itself."""
    rng = np.random.default_rng(3)
    items = data.sequences.items
    comes = (comes_next if next_only else comes_later)(data.sequences, neighbours(data.split.train))

    def p_value(p):
        planted = with_planted(data, p, TAIL, confound, 5, next_only)
        rank = stats.rankdata(planted.sequences.intensity)
        by_item = np.argsort(items, kind="stable")
        found = rank[comes].mean()
        null = []
        for _ in range(199):
            drawn = np.empty_like(rank)
            drawn[by_item] = rank[np.lexsort((rng.random(len(rank)), items))]
            null.append(drawn[comes].mean())
        return (1 + (np.array(null) >= found).sum()) / 200

    assert 0.05 < p_value(0.0) < 0.95
    assert p_value(0.5) == 1 / 200


@pytest.mark.parametrize("name", ["promises", "synthetic"])
def test_at_full_p_the_open_mark_is_the_target_wherever_it_applies(data, name):
    """And where no mark is open, the target is no neighbour of anything in the history."""
    data = data if name == "promises" else load_dataset("synthetic")
    told = with_planted(data, 1.0, TAIL, 0.5, 2)
    neighbour, comes = neighbours(data.split.train), come(data)
    marked = marks(told, comes.sum())
    assert np.array_equal(marked, comes)  # the intensities themselves, not the story behind them
    hits, applies = 0, 0
    for start, row in zip(data.sequences.offsets, data.split.parts.test, strict=False):
        history, target = data.sequences.items[start:row], data.sequences.items[row]
        rule = promised(history, marked[start:row], neighbour)
        assert rule == (target if target in neighbour[history] else 0)
        hits, applies = hits + (rule == target), applies + (target in neighbour[history])
    assert hits == applies > 0.3 * data.n_users
    if name == "promises":  # what items alone would have to choose from
        open_ = [
            len(set(neighbour[h].tolist()) - set(h.tolist()) - {0})
            for h in (data.sequences.items[s : s + 9] for s in data.sequences.offsets[:-1])
        ]
        assert np.mean(open_) > 3


@pytest.mark.parametrize("name", ["promises", "synthetic"])
def test_at_full_p_a_marked_last_item_names_the_target_and_an_unmarked_one_excludes_it(data, name):
    data = data if name == "promises" else load_dataset("synthetic")
    told = with_planted(data, 1.0, TAIL, 0.5, 2, next_only=True)
    neighbour = neighbours(data.split.train)
    comes = comes_next(data.sequences, neighbour)
    marked = marks(told, comes.sum())
    assert np.array_equal(marked, comes)
    hits = 0
    for start, row in zip(data.sequences.offsets, data.split.parts.test, strict=False):
        history, target = data.sequences.items[start:row], data.sequences.items[row]
        rule = int(neighbour[history[-1]]) if marked[row - 1] else 0
        assert rule == (target if neighbour[history[-1]] == target else 0)
        hits += rule == target
    assert hits > 0.02 * data.n_users


@pytest.mark.parametrize(("confound", "sign"), [(-0.7, -1), (0.7, 1)])
def test_the_popularity_confound_has_the_asked_sign_and_moves_no_mark(confound, sign):
    data = load_dataset("synthetic")
    popularity = np.bincount(data.split.train.items, minlength=data.n_items + 1)
    of_row = popularity[data.sequences.items]

    def correlation(c):
        told = with_planted(data, 0.0, TAIL, c, 1).sequences.intensity
        return stats.spearmanr(told, of_row).statistic

    assert sign * correlation(confound) > 0.3 and abs(correlation(0.0)) < 0.1
    n_marked = come(data).sum()
    plain, confounded = (
        marks(with_planted(data, 1.0, TAIL, c, 1), n_marked) for c in (0, confound)
    )
    assert np.array_equal(plain, confounded)


def test_each_seed_draws_its_own_and_real_intensities_are_not_read():
    data = load_dataset("synthetic")
    bare = dataclasses.replace(data, sequences=dataclasses.replace(data.sequences, intensity=None))
    first, again, other = (
        with_planted(of, 0.5, TAIL, 0.0, seed).sequences.intensity
        for of, seed in ((data, 1), (bare, 1), (data, 2))
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def planted(**changed):
    return dataclasses.replace(SMOKE, train=replace(SMOKE.train, intensity="planted", **changed))


def test_keys_of_runs_without_planted_intensities_are_as_they_were():
    data = load_dataset("synthetic")
    assert not set(record(SMOKE.train)) & {*PLANTED, "intensity"}
    assert set(PLANTED) <= set(LATER)
    # As computed before there were such fields.
    known = {"sasrec": "9561bb7a1f96", "ia-mul": "32581529810d"}
    assert {name: run_spec(data, name, 2020, SMOKE).key for name in known} == known
    keys = {
        run_spec(data, "ia-mul", 2020, preset).key
        for preset in (
            *(SMOKE, planted(), planted(planted_p=0.0), planted(planted_p=0.5)),
            planted(planted_next=True),
        )
    }
    assert len(keys) == 5


def test_a_run_is_evaluated_on_the_intensities_it_was_trained_on(tmp_path):
    data = load_dataset("synthetic")
    # The smoke preset's few small steps rank alike whatever intensities say; here they matter.
    keen = {"learning_rate": 3e-2, "batch_targets": 128}
    dials = {"planted_tail": 1.0, "planted_popularity": -0.5, "planted_next": True}
    preset = dataclasses.replace(
        planted(planted_p=0.5, **dials, **keen), model=replace(SMOKE.model, normalisation="none")
    )
    run = fit_run(Store(tmp_path), data, run_spec(data, "ia-val", 3, preset))
    told = with_planted(data, 0.5, 1.0, -0.5, 3, next_only=True)
    assert np.array_equal(dataset_of(run, data).sequences.intensity, told.sequences.intensity)
    by_hand = fit(told, "ia-val", 3, preset.model, replace(SMOKE.train, **keen))
    assert np.array_equal(run.ranks(), by_hand.ranks["test_unfiltered"])
    on_real = rank_targets(by_hand.model, data.split, "test")["unfiltered"]
    assert (run.ranks() != on_real).mean() > 0.3


def test_dials_out_of_range_or_without_planted_intensities_are_refused():
    for dial, value in (("planted_p", 1.5), ("planted_tail", 0.0), ("planted_popularity", -2.0)):
        with pytest.raises(SeqattnError, match=f"config key '{dial}' must be in"):
            planted(**{dial: value})
    for dial in ({"planted_p": 0.5}, {"planted_next": True}):
        with pytest.raises(SeqattnError, match="must be left out without intensity"):
            TrainConfig(**dial)
    data = load_dataset("synthetic")
    assert with_intensities(data, SMOKE.train, 1) is data


@pytest.mark.slow
def test_a_variant_that_reads_marks_beats_sasrec_where_they_tell():
    """Items alone leave open which promise is kept. The rule that reads marks would reach 1."""
    data = promises(1500)
    model = ModelConfig(10, 32, 32, hidden_dropout=0.1, attention_dropout=0.1)
    config = TrainConfig(learning_rate=3e-3, epochs=60, batch_targets=256)
    config = replace(config, intensity="planted", planted_p=1.0)

    def ndcg(name):
        ranks = fit(data, name, 1, model, config).ranks["test_unfiltered"]
        return np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean()

    assert ndcg("ia-mul") > ndcg("sasrec") + 0.02


def test_what_begins_the_next_users_history_is_no_neighbour():
    assert neighbours(sequences([[1, 2]] * 3, 2)).tolist() == [0, 2, 0]  # (2, 1) twice between


def test_an_item_that_is_its_own_neighbour_does_not_come_after_its_last_time():
    histories = sequences([[1, 1, 2], [1]], 2)
    assert comes_later(histories, np.array([0, 1, 0])).tolist() == [True, False, False, False]


def test_of_several_open_promises_the_last_is_meant():
    neighbour_V = np.array([0, 4, 5, 0, 0, 0])
    history = np.array([1, 2, 3])
    assert promised(history, np.array([True, True, True]), neighbour_V) == 5
    assert promised(history, np.array([True, False, True]), neighbour_V) == 4
    assert promised(history, np.array([False, False, True]), neighbour_V) == 0


@pytest.mark.parametrize("p", [0.25, 0.75])
def test_marks_are_as_many_as_neighbours_that_come(p):
    """Among as many of the highest intensities a neighbour comes with p + (1 - p) q, q small."""
    rng = np.random.default_rng(0)
    rows = [
        (user, int(item), float(time))
        for user in range(200)
        for time, item in enumerate(rng.permutation(40)[:10])
    ]
    log = Interactions.from_frame(pd.DataFrame(rows, columns=["user", "item", "timestamp"]))
    data = Dataset.from_interactions(log, load_dataset("synthetic").entry)
    comes = comes_next(data.sequences, neighbours(data.split.train))
    q, shares = comes.mean(), []
    assert 0.02 < q < 0.3
    for seed in range(30):
        told = with_planted(data, p, 1.0, 0.0, seed, next_only=True).sequences.intensity
        shares.append(comes[np.argsort(told)[-comes.sum() :]].mean())
    assert np.mean(shares) == pytest.approx(p + (1 - p) * q, abs=0.03)


def test_among_equally_marked_intensity_follows_the_training_counts_alone():
    data = load_dataset("synthetic")
    told = with_planted(data, 1.0, 1.0, 1.0, 3).sequences
    comes = comes_later(told, neighbours(data.split.train))
    counts = np.bincount(data.split.train.items, minlength=data.n_items + 1)[told.items]
    for group in (comes, ~comes):
        assert (np.diff(counts[group][np.argsort(told.intensity[group])]) >= 0).all()
