"""Uniform attention under each model's mask, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from seqattn import build_model
from seqattn.analysis.attention import (
    dirichlet_maps,
    l1_l2,
    map_sizes,
    uniform_maps,
    visible_keys,
)
from seqattn.errors import SeqattnError


def uniform(name, n, n_heads=2):
    sizes = {"max_length": 8, "hidden_size": 4, "inner_size": 4, "n_heads": n_heads}
    return uniform_maps(build_model(name, 5, **sizes), n)


def test_causal_rows_are_even_over_the_past():
    causal = [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]]
    for name in ("sasrec", "ia-val"):
        assert uniform(name, 3) == pytest.approx(np.array([causal, causal]))


def test_bidirectional_rows_are_even_over_all():
    assert uniform("bert4rec", 4, n_heads=1) == pytest.approx(np.full((1, 4, 4), 1 / 4))


def test_the_local_head_is_even_over_its_neighbourhood():
    local, other = uniform("local-ae", 4)
    third, quarter = 1 / 3, 1 / 4
    assert local == pytest.approx(
        np.array([[third] * 3 + [0], [quarter] * 4, [quarter] * 4, [0] + [third] * 3])
    )
    assert other == pytest.approx(np.full((4, 4), quarter))


def histories(*lengths):
    train = SimpleNamespace(lengths=np.array(lengths))
    return SimpleNamespace(name="short", split=SimpleNamespace(train=train))


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([60] * 3 + [9], [10, 25, 50]),  # no map is larger than 50
        ([60, 5, 5, 3], [2, 5]),  # three users have five
        ([3, 4], [2, 3]),  # fewer users than asked for: all of them
        ([3, 1, 1], [2]),  # a single user has two
    ],
)
def test_maps_are_as_large_as_enough_users_have_interactions(lengths, expected):
    assert map_sizes(histories(*lengths), max_length=100, n_users=3) == expected
    assert map_sizes(histories(*lengths), max_length=2, n_users=3) == [2]


def test_histories_of_one_interaction_have_no_maps():
    with pytest.raises(SeqattnError, match="'short' are too short for attention maps"):
        map_sizes(histories(1, 1, 1), max_length=50, n_users=3)


@pytest.mark.parametrize("name", ["sasrec", "local-ae", "bert4rec"])
def test_random_attention_keeps_to_the_mask_and_is_uniform_on_average(name):
    sizes = {"max_length": 8, "hidden_size": 4, "inner_size": 4, "n_heads": 2}
    model, rng = build_model(name, 5, **sizes), np.random.default_rng(0)
    maps = dirichlet_maps(model, 6, 4000, rng)
    assert maps.shape == (4000, 2, 6, 6)
    assert maps.sum(axis=-1) == pytest.approx(np.ones((4000, 2, 6)))
    assert (maps[:, visible_keys(model, 6) == 0] == 0).all()
    assert maps.mean(axis=0) == pytest.approx(uniform_maps(model, 6), abs=0.02)
    assert (l1_l2(maps, "row") <= l1_l2(uniform_maps(model, 6), "row") + 1e-12).all()


def test_a_flat_dirichlet_row_is_scipys():
    model = build_model("bert4rec", 5, max_length=8, hidden_size=4, inner_size=4, n_heads=1)
    found = dirichlet_maps(model, 5, 3000, np.random.default_rng(1))[:, 0, 0]
    assert found.var(axis=0) == pytest.approx(stats.dirichlet.var(np.ones(5)), abs=2e-3)
