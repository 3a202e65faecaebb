"""A placebo keeps everything but the signal."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqattn.config import ModelConfig, replace
from seqattn.data import load_dataset
from seqattn.data.intensities import with_placebo
from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.runs.export import dataset_of
from seqattn.runs.fitting import _fit_on_gpu, fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.training.fit import fit
from seqattn.training.ranking import rank_targets
from seqattn.training.stacked import fit_stacked

SMOKE = get_preset("smoke")
KINDS = ("constant", "within", "across", "items")


# The smoke preset's few small steps rank alike whatever intensities say; with these they matter.
KEEN = dataclasses.replace(
    SMOKE,
    model=replace(SMOKE.model, normalisation="none"),
    train=replace(SMOKE.train, learning_rate=3e-2, batch_targets=128),
)


def with_train(preset=SMOKE, **changed):
    return dataclasses.replace(preset, train=replace(preset.train, **changed))


def of_other_rank(fitted, split):
    """The share of users whose test target ranks elsewhere under a split's intensities."""
    ranks = rank_targets(fitted.model, split, "test")["unfiltered"]
    return (ranks != fitted.ranks["test_unfiltered"]).mean()


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**31))
def test_only_intensities_change_and_each_is_one_of_the_logs(kind, seed):
    data = load_dataset("synthetic")
    told = with_placebo(data, kind, seed)
    for name in ("items", "offsets", "timestamp", "user_ids", "item_ids"):
        before, after = getattr(data.sequences, name), getattr(told.sequences, name)
        assert np.array_equal(before, after)
    assert np.array_equal(told.split.targets("test"), data.split.targets("test"))
    real, placebo = data.sequences.intensity, told.sequences.intensity
    assert placebo.dtype == real.dtype
    if kind == "constant":
        assert (placebo == np.median(real)).all()
    else:
        assert np.array_equal(np.sort(placebo), np.sort(real))
        assert not np.array_equal(placebo, real)
    # What models train on is cut from the same histories.
    assert np.array_equal(told.split.train.intensity, placebo[told.split.parts.train])


@given(seed=st.integers(0, 2**31))
def test_within_users_keep_their_own_and_across_they_do_not(seed):
    data = load_dataset("synthetic")

    def by_user(told):
        histories = told.sequences
        return [np.sort(x) for x in np.split(histories.intensity, histories.offsets[1:-1])]

    own = by_user(data)
    within, across = (by_user(with_placebo(data, kind, seed)) for kind in ("within", "across"))
    assert all(np.array_equal(a, b) for a, b in zip(own, within, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(own, across, strict=True))


@given(seed=st.integers(0, 2**31))
def test_items_keep_their_own_and_users_do_not(seed):
    data = load_dataset("synthetic")

    def by(told, group_n):
        """Intensities by user or item, in order of size."""
        values = told.sequences.intensity
        return values[np.lexsort((values, group_n))]

    told = with_placebo(data, "items", seed)
    items, users = data.sequences.items, data.sequences.user_of_row
    assert np.array_equal(by(told, items), by(data, items))
    assert not np.array_equal(by(told, users), by(data, users))


@given(seed=st.integers(0, 2**31), kept=st.floats(0, 0.99))
def test_a_dial_keeps_a_share_in_place_and_more_at_a_larger_one(seed, kept):
    data = load_dataset("synthetic")
    real = data.sequences.intensity
    told = with_placebo(data, "across", seed, kept=kept).sequences.intensity
    more = with_placebo(data, "across", seed, kept=(1 + kept) / 2).sequences.intensity
    assert np.array_equal(np.sort(told), np.sort(real))
    stays, stays_more = told == real, more == real
    by_chance = (real[:, None] == real).mean()  # equal values that change places
    expected = kept + (1 - kept) * by_chance
    assert abs(stays.mean() - expected) < 4 * np.sqrt(0.25 / len(real)) + by_chance
    assert (stays & ~stays_more).mean() < 0.1 + by_chance  # those stayed by chance
    none = with_placebo(data, "across", seed, kept=0.0).sequences.intensity
    assert np.array_equal(none, with_placebo(data, "across", seed).sequences.intensity)


def test_a_run_reads_the_kept_share_and_a_dial_without_its_placebo_is_refused(tmp_path):
    data, whole = load_dataset("synthetic"), with_train(KEEN, intensity="across")
    preset = with_train(whole, kept_intensity=0.5)
    assert len({run_spec(data, "ia-val", 3, p).key for p in (preset, whole)}) == 2
    run = fit_run(Store(tmp_path), data, run_spec(data, "ia-val", 3, preset))
    told = with_placebo(data, "across", 3, kept=0.5)
    assert np.array_equal(dataset_of(run, data).sequences.intensity, told.sequences.intensity)
    by_hand = fit(told, "ia-val", 3, KEEN.model, KEEN.train)
    assert np.array_equal(run.ranks(), by_hand.ranks["test_unfiltered"])
    for other in (data, with_placebo(data, "across", 3)):
        assert of_other_rank(by_hand, other.split) > 0.3
    with pytest.raises(SeqattnError, match="'kept_intensity' must be left out without intensity"):
        with_train(kept_intensity=0.5)
    with pytest.raises(SeqattnError, match="'kept_intensity' must be in"):
        with_train(intensity="across", kept_intensity=1.0)


def test_every_order_of_a_users_intensities_is_as_likely():
    data = load_dataset("synthetic")
    user = int(np.argmax(data.sequences.lengths >= 5))
    rows = slice(*data.sequences.offsets[user : user + 2])
    real = data.sequences.intensity[rows]
    largest = int(np.argmax(real))
    places = [
        int(np.argmax(with_placebo(data, "within", seed).sequences.intensity[rows]))
        for seed in range(400)
    ]
    counts = np.bincount(places, minlength=len(real))
    expected = 400 / len(real)
    assert (real == real[largest]).sum() == 1
    # 99.9 % point of chi-squared with n - 1 degrees of freedom, n below 40.
    assert ((counts - expected) ** 2 / expected).sum() < 73


def test_real_intensities_are_left_alone_and_seeds_draw_their_own():
    data = load_dataset("synthetic")
    assert with_placebo(data, "real", 1) is data
    first, again, other = (with_placebo(data, "within", s).sequences.intensity for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_sasrec_reads_no_placebo(tmp_path):
    data = load_dataset("synthetic")
    real, placebo = (
        fit(data, "sasrec", 1, SMOKE.model, with_train(intensity=kind).train)
        for kind in ("real", "across")
    )
    assert np.array_equal(real.ranks["test_unfiltered"], placebo.ranks["test_unfiltered"])


def test_a_constant_is_normalised_away_by_the_largest_of_a_history():
    """log1p over the largest is 1 for all: Add, Mul and Val are then SASRec."""
    data = load_dataset("synthetic")
    config = with_train(intensity="constant").train
    sasrec = fit(data, "sasrec", 1, SMOKE.model, config)
    for name in ("ia-add", "ia-mul", "ia-val"):
        told = fit(data, name, 1, SMOKE.model, config)
        losses = [epoch.loss for epoch in told.history]
        assert losses == pytest.approx([epoch.loss for epoch in sasrec.history], abs=1e-5)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_run_is_evaluated_on_the_placebo_it_was_trained_on(tmp_path, kind):
    data = load_dataset("synthetic")
    spec = run_spec(data, "ia-val", 3, with_train(KEEN, intensity=kind))
    assert spec.key != run_spec(data, "ia-val", 3, KEEN).key
    run = fit_run(Store(tmp_path), data, spec)
    own = dataset_of(run, data)
    assert np.array_equal(own.sequences.intensity, with_placebo(data, kind, 3).sequences.intensity)
    by_hand = fit(own, "ia-val", 3, KEEN.model, KEEN.train)
    assert np.array_equal(run.ranks(), by_hand.ranks["test_unfiltered"])
    assert of_other_rank(by_hand, data.split) > 0.3
    assert torch.equal(
        run.weights()["item_embedding.weight"], by_hand.model.item_embedding.weight.detach()
    )


def test_a_placebo_is_drawn_for_each_seed_so_seeds_are_not_stacked(tmp_path):
    data, preset = load_dataset("synthetic"), with_train(intensity="within")
    with pytest.raises(SeqattnError, match="intensities of its own"):
        fit_stacked(data, "ia-add", [1, 2], ModelConfig(), preset.train, device="cpu")
    specs = [run_spec(data, "ia-add", seed, preset) for seed in (1, 2)]
    runs = _fit_on_gpu(Store(tmp_path), data, specs, "cpu", print)
    assert [run.seed for run in runs] == [1, 2]


def test_a_log_without_intensity_and_an_unknown_placebo_are_refused():
    data = load_dataset("synthetic")
    with pytest.raises(SeqattnError, match="config key 'intensity' must be one of real, constant"):
        with_train(intensity="none")
    import dataclasses

    bare = dataclasses.replace(data, sequences=dataclasses.replace(data.sequences, intensity=None))
    with pytest.raises(SeqattnError, match="no intensity that a placebo could replace"):
        with_placebo(bare, "within", 1)


def test_each_seed_keeps_other_intensities_in_place():
    real = load_dataset("synthetic")
    n = len(real.sequences)
    own = dataclasses.replace(real.sequences, intensity=np.arange(1, n + 1))
    real = real.with_histories(own)
    one, other = (
        with_placebo(real, "across", seed, kept=0.5).sequences.intensity == own.intensity
        for seed in (1, 2)
    )
    assert (one & other).mean() == pytest.approx(0.25, abs=0.08)
