from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from scipy import stats

from seqattn.config import replace
from seqattn.data import Sequences
from seqattn.presets import get_preset
from seqattn.training.batches import (
    Gatherer,
    last_item_windows,
    length_buckets,
    masked_item_plan,
    next_item_plan,
    packed_windows,
    prefix_windows,
    random_batches,
)
from seqattn.training.fit import seeded_model, training_plans


def _offsets(lengths: list[int]) -> np.ndarray:
    return np.append(0, np.cumsum(lengths))


def _sequences(lengths: list[int]) -> Sequences:
    n = sum(lengths)
    return Sequences(
        items=np.arange(1, n + 1),
        intensity=np.arange(n) / 10,
        timestamp=np.arange(n),
        offsets=_offsets(lengths),
        user_ids=np.arange(len(lengths)),
        item_ids=np.arange(n),
    )


def _scored(windows) -> list[int]:
    """Flat indices of the targets the windows score."""
    return sorted(
        int(index) + 1
        for start, length, first in zip(
            windows.start, windows.length, windows.first_scored, strict=True
        )
        for index in range(start + first, start + length)
    )


histories = st.lists(st.integers(2, 40), min_size=1, max_size=8)


@given(lengths=histories, max_length=st.integers(1, 12), data=st.data())
def test_every_target_is_scored_exactly_once(lengths, max_length, data):
    stride = data.draw(st.integers(1, max_length))
    rng = data.draw(st.sampled_from([None, 0, 1, 2]))
    rng = None if rng is None else np.random.default_rng(rng)
    offsets = _offsets(lengths)
    targets = [i for a, b in itertools.pairwise(offsets) for i in range(a + 1, b)]
    for windows in (
        packed_windows(offsets, max_length, stride, rng),
        prefix_windows(offsets, max_length),
    ):
        assert _scored(windows) == targets
        assert (windows.length <= max_length).all()
        assert (windows.first_scored >= 0).all()


@given(lengths=histories, max_length=st.integers(1, 12))
def test_stride_one_gives_late_targets_the_same_rows_as_one_row_per_prefix(lengths, max_length):
    offsets = _offsets(lengths)
    packed = packed_windows(offsets, max_length, 1, np.random.default_rng(0))
    prefix = prefix_windows(offsets, max_length)
    late = packed.n_scored == 1
    rows = set(zip(packed.start[late], packed.length[late], strict=True))
    assert rows <= set(zip(prefix.start, prefix.length, strict=True))


@given(lengths=histories, max_length=st.integers(1, 12), data=st.data())
def test_windows_never_cross_users(lengths, max_length, data):
    stride = data.draw(st.integers(1, max_length))
    offsets = _offsets(lengths)
    windows = packed_windows(
        offsets,
        max_length,
        stride,
        np.random.default_rng(0),
        inputs_end=data.draw(st.sampled_from([0, 1])),
    )
    user = np.searchsorted(offsets, windows.start, side="right") - 1
    assert (windows.start + windows.length <= offsets[user + 1]).all()


def test_a_history_of_up_to_max_length_is_one_window():
    windows = packed_windows(_offsets([6, 3]), 5, 5, np.random.default_rng(0))
    assert windows.start.tolist() == [0, 6]
    assert windows.length.tolist() == [5, 2]
    assert windows.first_scored.tolist() == [0, 0]


def test_phases_move_a_late_target_through_positions():
    positions = set()
    for seed in range(50):
        windows = packed_windows(_offsets([30]), 10, 10, np.random.default_rng(seed))
        row = np.flatnonzero(
            (windows.start + windows.first_scored <= 19) & (windows.start + windows.length > 19)
        )
        positions.add(int(19 - windows.start[row[0]]))
    assert len(positions) >= 8, "a late target should meet nearly every position of the window"


@given(lengths=histories, batch_targets=st.integers(1, 60), seed=st.integers(0, 99))
def test_batches_partition_the_windows_and_hold_about_as_many_targets(lengths, batch_targets, seed):
    windows = packed_windows(_offsets(lengths), 10, 5)
    batches = list(random_batches(windows, batch_targets, np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches)) == list(range(len(windows.start)))
    sizes = [windows.n_scored[batch].sum() for batch in batches]
    assert max(sizes) <= batch_targets + windows.n_scored.max()
    if windows.n_scored.max(initial=0) <= batch_targets:
        assert len(batches) == -(-sum(sizes) // batch_targets)


def test_batches_are_not_composed_by_length():
    windows = packed_windows(_offsets([3] * 200 + [11] * 200), 10, 10)
    batches = list(random_batches(windows, 300, np.random.default_rng(0)))
    for batch in batches[:-1]:
        assert len(set(windows.length[batch])) > 1


def test_next_item_batch_pairs_each_position_with_the_item_that_follows():
    gatherer = Gatherer(_sequences([4, 3]))
    windows = packed_windows(_offsets([4, 3]), 5, 5)
    batch = gatherer.batch(next_item_plan(windows, np.array([1, 0])))
    assert batch.items_BT.tolist() == [[5, 6, 0], [1, 2, 3]]
    assert batch.targets.tolist() == [6, 7, 2, 3, 4]
    torch.testing.assert_close(batch.intensity_BT, torch.tensor([[0.4, 0.5, 0.0], [0.0, 0.1, 0.2]]))


@given(lengths=histories, seed=st.integers(0, 99), probability=st.floats(0.05, 0.9))
def test_masked_batches_hide_only_real_scorable_items_and_at_least_one_a_row(
    lengths, seed, probability
):
    sequences = _sequences(lengths)
    windows = packed_windows(sequences.offsets, 6, 3, inputs_end=0)
    chosen = np.arange(len(windows.start))
    rng = np.random.default_rng(seed)
    plan = masked_item_plan(windows, chosen, probability, rng)
    batch = Gatherer(sequences).batch(plan, mask_code=9999)
    masked = batch.items_BT == 9999
    assert masked.any(dim=1).all()
    assert (masked.nonzero() == torch.stack([batch.rows, batch.columns], 1)).all()
    assert (batch.targets > 0).all()
    assert (batch.columns.numpy() >= windows.first_scored[batch.rows.numpy()]).all()


@pytest.mark.parametrize("length", [2, 5, 9])
def test_a_row_that_would_hide_nothing_hides_any_place_alike(length):
    """So the last item is hidden alone as often as any other: none are last-item samples."""
    windows = packed_windows(_offsets([length] * 20_000), 9, 9, inputs_end=0)
    rng = np.random.default_rng(0)
    plan = masked_item_plan(windows, np.arange(len(windows.start)), 0.2, rng)
    hidden = np.bincount(plan.rows)
    assert (hidden >= 1).all()
    alone = hidden[plan.rows] == 1
    places = np.bincount(plan.columns[alone], minlength=length)
    assert stats.chisquare(places).pvalue > 1e-3
    by_chance = 0.2 * 0.8 ** (length - 1) + 0.8**length / length
    n_last = int(places[-1])
    assert stats.binomtest(n_last, len(windows.start), by_chance).pvalue > 1e-3


def test_masked_items_of_a_preset_are_hidden_all_over_long_histories():
    """With windows that overlap only what they end on would be hidden, and hardly a tenth of it."""
    for name in ("quick", "fixed", "paper", "fixed-long"):
        preset = get_preset(name)
        length, n = preset.model.max_length, 4 * preset.model.max_length
        windows = packed_windows(_offsets([n] * 50), length, preset.train_ae.stride, inputs_end=0)
        rng, p = np.random.default_rng(0), preset.train_ae.mask_probability
        plan = masked_item_plan(windows, np.arange(len(windows.start)), p, rng)
        assert len(plan.targets) / windows.length.sum() == pytest.approx(p, rel=0.1), name


@pytest.mark.parametrize("inputs_end", [0, 1])
def test_the_masked_objective_sees_the_last_item_and_the_next_item_objective_does_not(inputs_end):
    windows = packed_windows(_offsets([4]), 10, 10, inputs_end=inputs_end)
    assert windows.length.tolist() == [4 - inputs_end]


@given(lengths=histories, seed=st.integers(0, 99), chance=st.sampled_from([0.3, 1.0]))
def test_last_item_samples_hide_the_last_item_alone_under_all_that_fits(lengths, seed, chance):
    sequences = _sequences(lengths)
    rng = np.random.default_rng(seed)
    windows = last_item_windows(sequences.offsets, 6, chance, rng)
    assert len(windows.start) <= sum(n > 1 for n in lengths)
    if chance == 1:
        assert len(windows.start) == sum(n > 1 for n in lengths)
    if not len(windows.start):
        return
    plan = masked_item_plan(windows, np.arange(len(windows.start)), 0.5, rng)
    batch = Gatherer(sequences).batch(plan, mask_code=9999)
    assert (batch.items_BT == 9999).sum(dim=1).tolist() == [1] * len(windows.start)
    length = (batch.items_BT > 0).sum(dim=1)
    assert batch.columns.tolist() == (length - 1).tolist()
    last = sequences.offsets[1:] - 1
    assert np.isin(plan.targets, last).all() and len(set(plan.targets)) == len(plan.targets)
    whole = np.minimum(sequences.lengths[np.searchsorted(last, plan.targets)], 6)
    assert plan.length.tolist() == whole.tolist()


@pytest.mark.parametrize(("length", "n_windows"), [(5, 1), (30, 5)])
def test_a_tenth_of_a_row_a_history_is_one_sample_in_eleven_of_histories_of_one_row(
    length, n_windows
):
    """BERT4Rec makes ten samples with random masks of a history, and one with its last hidden.

    A history that is cut makes more rows with random masks, and still one with its last hidden.
    """
    offsets = _offsets([length] * 20_000)
    random = packed_windows(offsets, 6, 6, inputs_end=0)
    last = last_item_windows(offsets, 6, 0.1, np.random.default_rng(0))
    both = random + last
    assert len(both.start) == len(random.start) + len(last.start)
    assert len(random.start) == n_windows * 20_000
    assert len(last.start) / len(both.start) == pytest.approx(1 / (10 * n_windows + 1), rel=0.05)


@pytest.mark.parametrize("batch_targets", [1, 256])
def test_each_epoch_hides_other_items_and_each_as_often_as_chance_has_it(synthetic, batch_targets):
    """Over epochs, how often an item is hidden is binomial; the same masks would hide some always.

    Of rows so long that hardly any would hide nothing, as what such a row hides comes on top.
    """
    smoke, p, n_epochs = get_preset("smoke"), 0.5, 30
    config = replace(smoke.train_ae, mask_probability=p, batch_targets=batch_targets)
    whole = replace(smoke.model, max_length=40)
    model = seeded_model(synthetic, "bert4rec", 0, whole, "cpu")
    epoch, rng = training_plans(model, synthetic, config, "cpu"), np.random.default_rng(0)
    train = synthetic.split.train
    hidden = np.zeros((n_epochs, len(train.items)), dtype=int)
    for number in range(n_epochs):
        for plan in itertools.chain.from_iterable(epoch(rng)):
            hidden[number, plan.targets] += 1
    assert hidden.max() == 1
    assert len({row.tobytes() for row in hidden}) == n_epochs
    counts = hidden.sum(axis=0)[np.repeat(train.lengths >= 12, train.lengths)]
    edges = np.array([-1, 10, 12, 13, 14, 15, 16, 17, 19, n_epochs])
    found, _ = np.histogram(counts, edges + 0.5)
    expected = len(counts) * np.diff(stats.binom.cdf(edges, n_epochs, p))
    assert expected.min() > 5
    assert stats.chisquare(found, expected).pvalue > 1e-3


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_each_epoch_cuts_long_histories_elsewhere_and_scores_the_same_targets(synthetic, name):
    smoke = get_preset("smoke")
    model = seeded_model(synthetic, name, 0, smoke.model, "cpu")
    epoch, rng = training_plans(model, synthetic, smoke.train, "cpu"), np.random.default_rng(0)
    epochs = [list(itertools.chain.from_iterable(epoch(rng))) for _ in range(20)]
    starts = [np.concatenate([plan.start for plan in plans]) for plans in epochs]
    train = synthetic.split.train
    for user in np.flatnonzero(train.lengths > smoke.model.max_length + smoke.train.stride):
        first, stop = train.offsets[user : user + 2]
        of_user = [frozenset(start[(start > first) & (start < stop)]) for start in starts]
        assert len(set(of_user)) >= 3, "one of five phases an epoch, over twenty epochs"
    if name != "bert4rec":
        targets = [np.sort(np.concatenate([plan.targets for plan in plans])) for plans in epochs]
        assert len(targets[0]) == synthetic.n_targets
        assert all(np.array_equal(one, targets[0]) for one in targets)


def _cost(buckets, lengths, overhead: int) -> int:
    return sum(len(rows) * lengths[rows].max() + overhead for rows in buckets)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=7), overhead=st.integers(0, 20))
def test_length_buckets_partition_the_rows_at_least_cost(lengths, overhead):
    lengths = np.array(lengths)
    buckets = length_buckets(lengths, overhead)
    assert sorted(np.concatenate(buckets)) == list(range(len(lengths)))
    order = np.argsort(lengths)
    cuts = itertools.product([False, True], repeat=len(lengths) - 1)
    splits = (np.split(order, np.flatnonzero(cut) + 1) for cut in cuts)
    cheapest = min(_cost(split, lengths, overhead) for split in splits)
    assert _cost(buckets, lengths, overhead) == cheapest


@pytest.mark.parametrize("stride", [1, 3])
def test_a_phase_shortens_a_first_window_by_less_than_the_stride(stride):
    """So with stride 1 it is full, whatever is drawn."""
    offsets = np.array([0, 30])
    first = [
        int(packed_windows(offsets, 10, stride, np.random.default_rng(seed)).length[0])
        for seed in range(60)
    ]
    assert set(first) == set(range(10 - stride + 1, 11))


def test_a_history_of_one_item_has_no_last_item_sample():
    windows = last_item_windows(np.array([0, 1, 4, 4, 5]), 6, 1.0, np.random.default_rng(0))
    assert (windows.start.tolist(), windows.length.tolist()) == ([1], [3])
