"""Evaluation with noise: rates against the binomial, ceilings by hand, and nothing left behind."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqattn import build_model, load_dataset
from seqattn.analysis.noise import PUBLISHED, Noise, drawn_anew, noisy_ranks
from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.training.ranking import rank_targets

DATA = load_dataset("synthetic")
CONTEXT, TARGETS = DATA.split.context("test"), DATA.split.targets("test")


def model_of(name):
    torch.manual_seed(0)
    model = build_model(name, DATA.n_items, **asdict(get_preset("smoke").model))
    model.add_users(DATA.split.train.n_users)
    with torch.no_grad():  # as drawn, all scores are near 0
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model.eval()


@pytest.mark.parametrize("name", ["sasrec", "sse-pt-ar", "sse-pt-ae"])
def test_without_noise_ranks_are_the_usual_ones(name):
    model = model_of(name)
    usual = rank_targets(model, DATA.split, "test")["unfiltered"]
    for noise in (Noise(0.0), Noise(1.0)):  # in a sample that is hit for sure no place is drawn
        assert (noisy_ranks(model, DATA.split, noise, np.random.default_rng(0)) == usual).all()


@pytest.mark.parametrize("item", PUBLISHED)
@pytest.mark.parametrize("place", ["last item", "mask"])
def test_as_many_places_and_targets_are_drawn_anew_as_the_released_code_draws(item, place):
    """Against [AE]'s loop: ``if random() < p: for each place: if random() > p: draw anew``."""
    rng, noise = np.random.default_rng(1), Noise(item)
    draws = 200
    read, targets = zip(
        *(drawn_anew(CONTEXT, TARGETS, noise, rng, place) for _ in range(draws)), strict=True
    )
    same = 1 / CONTEXT.n_items  # a draw can be what stood there
    expected = item * (1 - item) * (1 - same)
    changed_DN = np.array(targets) != TARGETS
    # Targets are drawn one by one, so their number is binomial; places of a sample come together.
    test = stats.binomtest(int(changed_DN.sum()), changed_DN.size, expected)
    assert test.pvalue > 1e-3
    changed_Dn = np.array(read) != CONTEXT.items
    assert changed_Dn.mean() == pytest.approx(expected, rel=0.1)
    in_hit_DN = np.array([np.add.reduceat(each, CONTEXT.offsets[:-1]) for each in changed_Dn])
    untouched = (1 - item) + item * (1 - (1 - item) * (1 - same)) ** CONTEXT.lengths
    assert (in_hit_DN == 0).mean() == pytest.approx(untouched.mean(), abs=0.02)


def test_a_target_is_noise_with_the_last_item_or_by_itself():
    rng = np.random.default_rng(2)
    last_n = CONTEXT.offsets[1:] - 1
    for place, together in (("last item", True), ("mask", False)):
        read, targets = drawn_anew(CONTEXT, TARGETS, Noise(0.5), rng, place)
        moved_N = (read != CONTEXT.items)[last_n]
        # Two draws can be what stood there before, so a few of either may look alike.
        assert ((moved_N != (targets != TARGETS)).mean() < 0.1) == together


def test_noise_in_targets_alone_leaves_the_rest_and_what_chance_hits():
    rng, noise = np.random.default_rng(3), Noise(0.4)
    places_NV = rng.permuted(np.tile(np.arange(DATA.n_items), (len(TARGETS), 1)), axis=1)
    first_ten_NV = places_NV < 10
    users = np.arange(len(TARGETS))
    own = first_ten_NV[users, TARGETS - 1].mean()
    draws = [drawn_anew(CONTEXT, TARGETS, noise, rng, "mask")[1] for _ in range(1000)]
    hits = [first_ten_NV[users, targets - 1].mean() for targets in draws]
    expected = (1 - noise.rate) * own + noise.rate * 10 / DATA.n_items
    assert np.mean(hits) == pytest.approx(expected, abs=4 * np.std(hits) / np.sqrt(len(hits)))


def test_another_user_changes_only_models_that_know_users():
    noise = Noise(0.0, user=1.0)
    for name, asks in (("sasrec", False), ("sse-pt-ar", True)):
        model = model_of(name)
        usual = rank_targets(model, DATA.split, "test")["unfiltered"]
        told = noisy_ranks(model, DATA.split, noise, np.random.default_rng(0))
        assert (told != usual).any() == asks


@given(item=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_noise_keeps_codes_and_shapes(item, seed):
    read, targets = drawn_anew(CONTEXT, TARGETS, Noise(item), np.random.default_rng(seed), "mask")
    assert read.shape == CONTEXT.items.shape
    assert targets.shape == TARGETS.shape
    for codes in (read, targets):
        assert codes.min() >= 1
        assert codes.max() <= CONTEXT.n_items


def test_what_is_no_probability_is_refused():
    with pytest.raises(SeqattnError, match=r"item = 1\.5 is no probability"):
        Noise(1.5)
