"""Measures of many users' maps: each row is the mean of its own maps, by hand or one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from seqattn.analysis import by_user
from seqattn.analysis.attention import l1_l2
from seqattn.analysis.rank import noise_floor, ranks_in_noise

USERS, LAYERS, HEADS, N = 4, 2, 3, 6


@pytest.fixture
def stacks():
    generator = np.random.default_rng(0)
    shape = (USERS, LAYERS, HEADS, N, N)
    maps = {name: generator.random(shape) for name in ("sasrec", "bert4rec")}
    return {name: stack / stack.sum(axis=-1, keepdims=True) for name, stack in maps.items()}


def test_sparsity_is_a_users_mean_over_layers_heads_and_rows(stacks):
    frame = by_user.sparsity({N: stacks, 3: {"sasrec": np.full((1, 1, 1, 3, 3), 1 / 3)}})
    assert len(frame) == 2 * USERS + 1
    row = frame[(frame["model"] == "bert4rec") & (frame["n"] == N)].iloc[2]
    maps = stacks["bert4rec"][2].reshape(-1, N, N)
    assert row["whole"] == pytest.approx(np.mean([l1_l2(one) for one in maps]))
    assert row["row"] == pytest.approx(np.mean([l1_l2(one, "row") for one in maps]))
    assert frame.loc[frame["n"] == 3, ["row", "whole"]].to_numpy() == pytest.approx(
        np.array([[3**-0.5, 1 / 3]])
    )


def test_spectra_hold_each_users_mean_singular_values(stacks):
    frame = by_user.spectra(stacks)
    assert len(frame) == 2 * USERS * N
    second_user = frame[frame["model"] == "bert4rec"].iloc[N : 2 * N]
    maps = stacks["bert4rec"][1].reshape(-1, N, N)
    expected = np.mean([np.linalg.svd(one)[1] for one in maps], axis=0)
    assert second_user["index"].tolist() == list(range(1, N + 1))
    assert second_user["value"].to_numpy() == pytest.approx(expected)


def test_ranks_are_a_users_means_and_every_model_meets_the_same_noise(stacks):
    sigmas = [0.05, 0.5]
    frame = by_user.ranks(stacks, sigmas)
    for name, stack in stacks.items():
        noise = np.random.default_rng(0).standard_normal(stack.shape)
        for sigma in sigmas:
            own = [ranks_in_noise(stack[u], sigma, noise[u][None]) for u in range(USERS)]
            published, optimal = np.mean(own, axis=(2, 3, 4)).T
            found = frame[(frame["model"] == name) & (frame["sigma"] == sigma)]
            assert found["rank"].to_numpy() == pytest.approx(published)
            assert found["optimal"].to_numpy() == pytest.approx(optimal)


def ranks(low, high):
    rows = [("ar", s, r) for s, r in zip((0.1, 0.2, 0.3), high, strict=True)]
    rows += [("ae", s, r) for s, r in zip((0.1, 0.2, 0.3), low, strict=True)]
    return pd.DataFrame(rows, columns=["model", "sigma", "rank"])


def test_a_level_is_clear_where_the_noise_moves_neither_rank():
    still = ranks([1, 1, 1], [2, 2, 2]).query("sigma == 0.1")
    table = by_user.compare_ranks(ranks([1, 1.4, 9], [2, 2.6, 1.9]), still, "ae", "ar")
    assert table.columns.tolist() == ["ar", "ae", "clear", "holds"]
    assert table["clear"].tolist() == [True, False, False]
    table = by_user.compare_ranks(ranks([1, 1.4, 1], [2, 2.4, 1.6]), still, "ae", "ar")
    assert table["clear"].tolist() == [True] * 3
    still = ranks([2, 2, 2], [1, 1, 1]).query("sigma == 0.1")
    table = by_user.compare_ranks(ranks([2, 2, 2], [1, 1, 1]), still, "ae", "ar")
    assert table["clear"].all() and not table["holds"].any()


def test_noise_that_lies_below_its_own_rank_is_counted_all_the_same():
    """An even map of rank one, in noise that is found in it but has a higher rank alone."""
    even = {"ae": np.full((3, 1, 1, 50, 50), 1 / 50), "ar": np.eye(50)[None, None, None]}
    sigmas = [0.001, 0.008]
    frame, still = by_user.ranks(even, sigmas), by_user.ranks(even, [0.0])
    told = by_user.compare_ranks(frame, still, "ae", "ar")
    assert told["clear"].tolist() == [True, False]
    assert 1.5 < told["ae"].iloc[1] < noise_floor(50, np.random.default_rng(0)).min()


def test_means_by_level_are_over_users():
    frame = pd.concat([ranks([1, 1, 1], [2, 2, 2]), ranks([2, 2, 2], [4, 4, 8])])
    means = by_user.mean_by_level(frame, "rank")
    assert means["ae"].tolist() == [1.5] * 3 and means["ar"].tolist() == [3, 3, 5]
