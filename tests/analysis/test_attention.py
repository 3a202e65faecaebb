"""Uniform attention under each model's mask, by hand."""

import numpy as np
import pytest

from seqattn import build_model
from seqattn.analysis.attention import uniform_maps


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
