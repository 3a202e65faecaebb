"""The fused injections against the paper's formulas written out in full."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from seqattn.config import NORMALISATIONS, ModelConfig
from seqattn.models.attention import attend
from seqattn.models.injection import Add, Injection, Mul, Val
from seqattn.models.intensity import normalise
from seqattn.models.reference import attention, intensity_matrix

INJECTIONS = {"add": Add, "mul": Mul, "val": Val}
N_FEATURES = 3


def _history(seed: int, length: int, padding: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    t = length + padding
    q, k, v = torch.randn(3, t, N_FEATURES, dtype=torch.float64, generator=generator).unbind()
    raw = torch.empty(t, dtype=torch.float64).exponential_(0.1, generator=generator)
    raw[torch.rand(t, generator=generator) < 0.3] = 5.0  # ties and constant stretches
    return q, k, v, raw


def _fused(place: str, mode: str, q, k, v, raw, length: int, lam: float, scope: str = "causal"):
    """Return an idea's context, of one head and in double precision, and its lambda."""
    injection = INJECTIONS[place]()
    injection.complete(ModelConfig(n_heads=1))
    injection.double()
    injection.lam = torch.nn.Parameter(torch.tensor(lam, dtype=torch.float64))
    real = torch.arange(len(raw)) < length
    signal = normalise(raw[None], real[None], mode, scope)
    q, k, v = (x[None, None] for x in (q / math.sqrt(N_FEATURES), k, v))
    context = attend(*injection.before(q, k, v, signal), None, 0.0)
    return injection.after(context, signal)[0, 0], injection.lam


@pytest.mark.parametrize("mode", NORMALISATIONS)
@pytest.mark.parametrize("place", INJECTIONS)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(1, 12),
    padding=st.integers(0, 4),
    lam=st.floats(-2, 2),
)
@settings(max_examples=25, deadline=None)
def test_fused_form_equals_the_published_formula(place, mode, seed, length, padding, lam):
    q, k, v, raw = _history(seed, length, padding)
    fused, _ = _fused(place, mode, q, k, v, raw, length, lam)
    matrix = intensity_matrix(raw[:length], mode)
    expected = attention(q[:length], k[:length], v[:length], matrix, lam, place)
    torch.testing.assert_close(fused[:length], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", NORMALISATIONS)
@pytest.mark.parametrize("place", INJECTIONS)
def test_fused_gradients_equal_the_published_formulas(place, mode):
    q, k, v, raw = _history(7, 9, 2)
    inputs = [x.clone().requires_grad_() for x in (q, k, v)]
    fused, lam = _fused(place, mode, *inputs, raw, 9, 0.7)
    direction = torch.randn(9, N_FEATURES, dtype=torch.float64)
    gradients = torch.autograd.grad((fused[:9] * direction).sum(), [*inputs, lam])

    plain = [x.clone().requires_grad_() for x in (q, k, v)]
    plain_lam = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    context = attention(*(x[:9] for x in plain), intensity_matrix(raw[:9], mode), plain_lam, place)
    expected = torch.autograd.grad((context * direction).sum(), [*plain, plain_lam])
    for found, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("place", INJECTIONS)
def test_reference_formula_at_lambda_zero_is_sasrec_bit_for_bit(place):
    q, k, v, raw = _history(3, 8, 0)
    matrix = intensity_matrix(raw, "zscore")
    assert torch.equal(attention(q, k, v, matrix, 0.0, place), attention(q, k, v))


@pytest.mark.parametrize("place", INJECTIONS)
def test_fused_form_at_lambda_zero_is_sasrec(place):
    q, k, v, raw = _history(4, 8, 0)
    fused, _ = _fused(place, "log1p_minmax", q, k, v, raw, 8, 0.0)
    torch.testing.assert_close(fused, attention(q, k, v), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", NORMALISATIONS)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 12), padding=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_causal_and_prefix_scope_agree_at_the_last_query(mode, seed, length, padding):
    *_, raw = _history(seed, length, padding)
    real = (torch.arange(len(raw)) < length)[None]
    causal, prefix = (normalise(raw[None], real, mode, scope) for scope in ("causal", "prefix"))
    last = length - 1
    for signal in (causal, prefix):
        row = signal.a_BT[0, last] * signal.w_BT[0, :length] + signal.b_BT[0, last]
        expected = intensity_matrix(raw[:length], mode)[last]
        torch.testing.assert_close(row, expected, rtol=1e-9, atol=1e-9)


def test_normalisation_matches_hand_computed_values():
    raw, real = torch.tensor([[1.0, 3.0, 5.0, 0.0]]), torch.tensor([[True, True, True, False]])
    expected = {
        "log1p_minmax": [math.log(2) / math.log(6), math.log(4) / math.log(6), 1.0],
        "minmax": [0.1, 0.55, 1.0],
        "zscore": list((np.array([1, 3, 5]) - 3) / np.std([1, 3, 5])),
        "none": [1.0, 3.0, 5.0],
    }
    for mode, values in expected.items():
        signal = normalise(raw, real, mode)
        row = signal.a_BT[0, 2] * signal.w_BT[0, :3] + signal.b_BT[0, 2]
        np.testing.assert_allclose(row, values, rtol=1e-6, atol=1e-6)
        assert signal.w_BT[0, 3] == 0, "padding carries no intensity"


def test_a_constant_history_maps_to_one_under_minmax_and_to_zero_under_zscore():
    raw, real = torch.full((1, 3), 4.0), torch.ones(1, 3, dtype=torch.bool)
    for mode, constant in (("minmax", 1.0), ("zscore", 0.0)):
        signal = normalise(raw, real, mode)
        torch.testing.assert_close(
            signal.a_BT * signal.w_BT + signal.b_BT, torch.full((1, 3), constant)
        )


def test_an_idea_with_parameters_of_its_own_is_held_against_its_formula(monkeypatch):
    class Gated(Add):
        def complete(self, config):
            self.gate_H = torch.nn.Parameter(torch.full((config.n_heads,), 1 / 3))

        def before(self, q, k, v, signal):
            gate_H11 = self.gate_H[:, None, None]
            q = torch.cat([q, gate_H11 * self.lam * signal.a_BT[:, None, :, None]], dim=-1)
            return q, torch.cat([k, signal.w_BT[:, None, :, None]], dim=-1), v

    monkeypatch.setitem(INJECTIONS, "gated", Gated)
    q, k, v, raw = _history(5, 8, 0)
    fused, _ = _fused("gated", "minmax", q, k, v, raw, 8, 0.7)
    third = torch.tensor(1 / 3).double()  # as single precision has it
    expected = attention(q, k, v, intensity_matrix(raw, "minmax"), 0.7 * third, "add")
    torch.testing.assert_close(fused, expected, rtol=1e-10, atol=1e-10)


def test_identity_injection_changes_nothing():
    q = torch.randn(1, 1, 4, 3)
    injection = Injection()
    assert injection.before(q, q, q, None) == (q, q, q)
    assert injection.after(q, None) is q


@pytest.mark.parametrize("mode", ["minmax", "zscore"])
@pytest.mark.parametrize(("near", "least", "most"), [(5_000.0, 5e-5, 3e-4), (3.5e5, 5e-3, 3e-2)])
def test_values_large_beside_their_spread_lose_the_digits_that_the_docstring_says(
    mode, near, least, most
):
    w_T = near + torch.arange(8.0)
    signal = normalise(w_T[None], torch.ones(1, 8, dtype=torch.bool), mode)
    found_TT = (signal.a_BT[0][:, None] * w_T + signal.b_BT[0][:, None]).double()
    off = (found_TT - intensity_matrix(w_T.double(), mode)).tril().abs().max()
    assert least < off < most
