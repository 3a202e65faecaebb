"""Measures by layer and head: means over users, in any order, and within what can be reached."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from seqattn.analysis import by_head
from seqattn.analysis.attention import bounds, l1_l2
from seqattn.analysis.rank import common_noise, low_rank, singular_values

USERS, LAYERS, HEADS, N = 7, 2, 3, 9


@pytest.fixture(scope="module")
def maps():
    weights = np.random.default_rng(0).gamma(0.3, size=(USERS, LAYERS, HEADS, N, N))
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("table", ["measures", "ranks", "spectra", "mean_maps"])
def test_no_table_depends_on_the_order_of_the_users(maps, table):
    make, order = getattr(by_head, table), np.random.default_rng(1).permutation(USERS)
    pd.testing.assert_frame_equal(make(maps), make(maps[order]))
    other = make(maps[1:])
    assert not np.allclose(other.to_numpy(), make(maps).to_numpy())  # but on who they are


def test_a_row_is_the_mean_over_users_of_one_head(maps):
    table = by_head.measures(maps).set_index(["layer", "head"])
    assert len(table) == LAYERS * HEADS
    own = maps[:, 1, 2]
    assert table.loc[(2, 3), "whole"] == pytest.approx(l1_l2(own).mean())
    assert table.loc[(2, 3), "row"] == pytest.approx(l1_l2(own, "row").mean())
    rest = np.linalg.norm(own - low_rank(own, 5), axis=(1, 2)) / np.linalg.norm(own, axis=(1, 2))
    assert table.loc[(2, 3), "missed"] == pytest.approx(rest.mean())


def test_values_lie_within_what_maps_of_their_size_can_reach(maps):
    table = by_head.measures(maps)
    for column, axis in (("row", "row"), ("whole", None)):
        least, most = bounds(N, axis)
        assert table[column].between(least, most).all()
    assert table["near"].between(0, 1).all() and table["missed"].between(0, 1).all()
    ranks = by_head.ranks(maps)
    assert ranks[["published", "optimal"]].stack().between(0, N).all()
    assert ranks["held"].between(0, 1).all() and (ranks["left"] >= 0).all()


def test_ranks_are_numpys_for_a_head(maps):
    sigma = 0.1
    table = by_head.ranks(maps, [sigma], draws=3, seed=5).set_index(["layer", "head"])
    noise, counts = common_noise(N, 3, seed=5), []
    for a in maps[:, 0, 1]:
        for draw in noise:
            noisy = a + sigma * draw
            tau = np.sqrt(2 * (sigma**2 + (noisy**2).sum() / N**2) * np.log(2 * N))
            counts.append((np.linalg.svd(noisy)[1] > tau).sum())
    assert table.loc[(1, 2), "published"] == pytest.approx(np.mean(counts))
    # Tall noise is no signal: at a large sigma the optimal rank is that of nothing.
    assert by_head.ranks(maps, [50.0])["optimal"].max() < 0.5


def test_the_bound_holds_without_a_price_only_where_nothing_is_left_out(maps):
    table = by_head.ranks(maps, [1e-6, 10.0])
    small, large = (table[table["sigma"] == sigma] for sigma in (1e-6, 10.0))
    assert (
        small["held"] == 0
    ).all()  # the threshold does not vanish with sigma, the right side does
    assert (large["held"] == 1).all()  # sigma exceeds every singular value: the right side is all


def test_spectra_and_mean_maps_are_means_over_users(maps):
    spectra = by_head.spectra(maps)
    own = spectra[(spectra["layer"] == 2) & (spectra["head"] == 1)]["value"].to_numpy()
    assert own == pytest.approx(singular_values(maps[:, 1, 0]).mean(axis=0))
    shown = by_head.mean_maps(maps)
    own = shown[(shown["layer"] == 1) & (shown["head"] == 2)]
    weight = own.pivot(index="query", columns="at", values="weight").to_numpy()
    rank_5 = own.pivot(index="query", columns="at", values="rank_5").to_numpy()
    assert weight == pytest.approx(maps[:, 0, 1].mean(axis=0))
    assert rank_5 == pytest.approx(low_rank(maps[:, 0, 1], 5).mean(axis=0))
