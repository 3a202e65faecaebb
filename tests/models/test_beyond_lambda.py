"""Designs beyond one lambda: against their formulas in full, their switches and their kin."""

from __future__ import annotations

import dataclasses
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.stats import rankdata

from seqattn import build_model, load
from seqattn.config import ModelConfig, replace
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, PLUGINS
from seqattn.models.attention import attend
from seqattn.models.intensity import normalise
from seqattn.models.key_bias import (
    GRID,
    BinExperts,
    LearnedScale,
    PerHead,
    Quantiles,
    TokenGate,
    bins,
    hats,
)
from seqattn.models.side_information import DifSr, Nova, SideKeys
from seqattn.presets import get_preset
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.training.fit import seeded_model

SMOKE = get_preset("smoke")

SMALL = {"max_length": 8, "hidden_size": 8, "inner_size": 16, "n_layers": 2, "n_heads": 2}
H, F, N_ITEMS = 2, 4, 20
NAMES = {
    "ia-add-per-head": PerHead,
    "ia-gate": TokenGate,
    "ia-bins": BinExperts,
    "ia-add-learned": LearnedScale,
    "ia-side-keys": SideKeys,
    "ia-nova": Nova,
    "ia-dif-sr": DifSr,
}
OF_THE_KEY = [n for n in NAMES if n not in ("ia-side-keys", "ia-nova", "ia-dif-sr")]
PLACING = [  # designs that read places in the log; a new one is found by itself
    name
    for name in MODELS
    if name not in PLUGINS
    and any(isinstance(module, Quantiles) for module in build_model(name, 1).modules())
]
LOG = torch.tensor([1.0, 1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 5.0, 9.0])


def build(name, seed=0, drawn=True, **config):
    """A model in float64 that knows `LOG`; `drawn`: its injection has learned something."""
    torch.manual_seed(seed)
    model = build_model(name, N_ITEMS, **{**SMALL, **config}).double().eval()
    if model.needs_intensity:
        model.tell(LOG)
    if drawn:
        for parameter in own(model):
            parameter.data = torch.randn(parameter.shape, dtype=torch.double)
    return model


def own(model):
    return [p for injection in model.injections for p in injection.parameters()]


def switch_off(model):
    for injection in model.injections:
        if isinstance(injection, LearnedScale):
            injection.lam.data.zero_()
        elif isinstance(injection, SideKeys):
            injection.log_odds.data.fill_(-math.inf)
        else:
            for parameter in injection.parameters():
                parameter.data.zero_()


def batch(seed, lengths=(8, 8, 5, 1)):
    generator = torch.Generator().manual_seed(seed)
    items = torch.randint(1, N_ITEMS + 1, (len(lengths), 8), generator=generator)
    stars = LOG[torch.randint(len(LOG), items.shape, generator=generator)].double()
    padding = torch.arange(8) >= torch.tensor(lengths)[:, None]
    return items.masked_fill(padding, 0), stars.masked_fill(padding, 0.0)


@pytest.mark.parametrize("mode", ["log1p_minmax", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_switched_off_it_is_sasrec(name, mode):
    items, stars = batch(1)
    model, plain = build(name, normalisation=mode), build("sasrec")
    assert not torch.allclose(model(items, stars)[items > 0], plain(items)[items > 0], atol=1e-4)
    switch_off(model)
    hidden = model(items, stars)[items > 0]
    torch.testing.assert_close(hidden, plain(items)[items > 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["ia-gate", "ia-bins", "ia-nova", "ia-dif-sr"])
def test_it_starts_as_sasrec(name):
    items, stars = batch(2)
    hidden, plain = build(name, drawn=False)(items, stars), build("sasrec")(items)
    torch.testing.assert_close(hidden[items > 0], plain[items > 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_reaches_every_new_number_from_the_start(name):
    items, stars = batch(3, [8] * 40)
    model = build(name, drawn=False)
    direction = torch.randn(40, 8, 8, generator=torch.manual_seed(1)).double()
    (model(items, stars) * direction).sum().backward()
    for parameter in own(model):
        assert (parameter.grad != 0).all()
    assert len(own(model)) >= 2


@pytest.mark.parametrize("mode", ["log1p_minmax", "minmax", "zscore", "none"])
@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), position=st.integers(0, 6))
@settings(max_examples=10, deadline=None)
def test_the_future_changes_nothing_at_or_before_a_position(name, mode, seed, position):
    model = build(name, seed=seed, normalisation=mode)
    (items, stars), (others, louder) = batch(seed, [8]), batch(seed + 1, [8])
    past = torch.arange(8) <= position
    changed = torch.where(past, items, others), torch.where(past, stars, 7 * louder)
    before, after = model(items, stars), model(*changed)
    torch.testing.assert_close(before[:, past], after[:, past], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OF_THE_KEY)
@given(value=st.floats(0.5, 12), length=st.integers(1, 8))
@settings(max_examples=15, deadline=None)
def test_equal_intensities_are_sasrec_whatever_was_learned(name, value, length):
    items, _ = batch(4, [length])
    hidden = build(name)(items, torch.where(items > 0, value, 0.0).double())
    plain = build("sasrec")(items)
    torch.testing.assert_close(hidden[items > 0], plain[items > 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["ia-side-keys", "ia-nova", "ia-dif-sr"])
def test_of_side_information_equal_intensities_are_a_channel_of_their_own(name):
    items, _ = batch(4, [8])
    hidden, plain = build(name)(items, torch.full((1, 8), 3.0).double()), build("sasrec")(items)
    same = torch.allclose(hidden, plain, atol=1e-6)
    assert same == (name == "ia-dif-sr")  # one constant logit for all keys cancels


@pytest.mark.parametrize("name", NAMES)
def test_reading_from_a_position_and_padding_change_nothing(name):
    items, stars = batch(5, [8, 5])
    model = build(name)
    whole = model(items, stars)
    torch.testing.assert_close(model(items, stars, 6), whole[:, 6:], rtol=0, atol=1e-12)
    alone = model(items[1:, :5], stars[1:, :5])
    torch.testing.assert_close(alone, whole[1:, :5], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_attention_maps_are_of_positions(name):
    items, stars = batch(6, [8, 8])
    maps = build(name).attention_maps(items, stars)
    assert maps.shape == (2, 2, 2, 8, 8) and torch.equal(maps, maps.tril())
    torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps[..., 0]))


# Kin.


def test_equal_lambdas_by_head_are_add():
    items, stars = batch(7)
    heads, add = build("ia-add-per-head", drawn=False), build("ia-add", drawn=False)
    torch.testing.assert_close(heads(items, stars), add(items, stars), rtol=0, atol=1e-12)
    heads.injections[0].lam_H.data[1] = 0.3
    assert not torch.allclose(heads(items, stars), add(items, stars))


def test_lambdas_by_head_of_the_position_are_alibi():
    items, _ = batch(14)
    heads = build("ia-add-per-head", normalisation="none", positions="none")
    alibi = build("sasrec", positions="alibi")
    for injection, block in zip(heads.injections, alibi.blocks, strict=True):
        injection.lam_H.data = block.attention.positions.slope_H11.flatten()
    places = torch.arange(8).expand_as(items).double()
    found, expected = heads(items, places), alibi(items)
    torch.testing.assert_close(found[items > 0], expected[items > 0], rtol=0, atol=1e-12)


def test_hats_on_a_line_are_a_lambda_by_head_and_learned_even_slopes_one_for_all():
    """Where intensities are taken for quantiles: no log is told, and none is normalised."""
    items, _ = batch(8, [8])
    places = torch.rand(1, 8, generator=torch.manual_seed(2)).double()
    models = {}
    for name in ("ia-add-per-head", "ia-gate", "ia-add-learned"):
        torch.manual_seed(0)
        config = {**SMALL, "normalisation": "none"}
        models[name] = build_model(name, N_ITEMS, **config).double().eval()
    for layer, lam in enumerate(torch.tensor([[0.7, -1.3], [2.0, 0.4]])):
        models["ia-add-per-head"].injections[layer].lam_H.data[:] = lam
        line = lam[:, None] * torch.linspace(0, 1, TokenGate.n)
        models["ia-gate"].injections[layer].theta_HM.data[:] = line
    of_heads, gate = (models[n](items, places) for n in ("ia-add-per-head", "ia-gate"))
    torch.testing.assert_close(gate, of_heads, rtol=0, atol=1e-6)
    for layer in range(2):
        models["ia-add-per-head"].injections[layer].lam_H.data[:] = 1
    even, ones = (models[n](items, places) for n in ("ia-add-learned", "ia-add-per-head"))
    torch.testing.assert_close(even, ones, rtol=0, atol=1e-6)


@pytest.mark.parametrize("base", [TokenGate, BinExperts])
def test_one_function_in_the_basis_changes_nothing(base, monkeypatch):
    monkeypatch.setattr(base, "n", 1)
    items, stars = batch(9)
    name = next(name for name, kind in NAMES.items() if kind is base)
    torch.testing.assert_close(build(name)(items, stars), build("sasrec")(items), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["ia-bins", "ia-side-keys"])
@given(order=st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_bins_and_their_rows_may_change_places_together(name, order):
    items, _ = batch(10, [8, 8])
    bin_of = torch.randint(4, (2, 8), generator=torch.manual_seed(3))
    model = build(name, normalisation="none")
    model.tell(torch.linspace(0, 1, GRID))  # an intensity is its place, nearly
    expected = model(items, (bin_of + 0.5).double() / 4)
    moved = torch.tensor(order)[bin_of]
    with torch.no_grad():
        for injection in model.injections:
            for table, dim in (("theta_HM", 1), ("keys_HMF", 1), ("values_HMF", 1)):
                if hasattr(injection, table):
                    parameter = getattr(injection, table)
                    parameter.copy_(parameter.index_select(dim, torch.tensor(order).argsort()))
    found = model(items, (moved + 0.5).double() / 4)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_a_matrix_of_equal_rows_is_the_token_gate():
    items, stars = batch(11)
    dif, gate = build("ia-dif-sr"), build("ia-gate")
    for matrix, line in zip(dif.injections, gate.injections, strict=True):
        matrix.matrix_HMM.data = line.theta_HM.data[:, None].expand(H, 5, 5).clone()
    torch.testing.assert_close(dif(items, stars), gate(items, stars), rtol=0, atol=1e-12)
    for mine, theirs in zip(dif.injections, gate.injections, strict=True):
        np.testing.assert_allclose(mine.learned()["bias"], theirs.learned()["bias"])


# Against the formulas, one head at a time, every T x T matrix in full.


def injected(kind, seed=0, t=7):
    """A drawn injection, its inputs (H, T, F), places u (T,), normalised M (T, T), and context."""
    torch.manual_seed(seed)
    injection = kind()
    injection.complete(ModelConfig(hidden_size=H * F, inner_size=8, n_heads=H))
    injection = injection.double()
    for parameter in injection.parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.double)
    q, k, v = torch.randn(3, H, t, F, dtype=torch.double).unbind()
    raw = LOG[torch.randint(len(LOG), (t,))].double()
    real = torch.ones(1, t, dtype=torch.bool)
    injection.tell(torch.log1p(LOG.double()))
    signal = normalise(raw[None], real, "log1p_minmax")
    before = injection.before(q[None] / math.sqrt(F), k[None], v[None], signal)
    mask, bias = injection.seen(*before[:2], None, None)
    context = injection.after(attend(*before, mask, 0.0, bias), signal)[0]
    u = (rankdata(LOG) - 0.5)[[LOG.tolist().index(x) for x in raw.tolist()]] / len(LOG)
    matrix = signal.a_BT[0, :, None] * signal.w_BT[0]
    return injection, q, k, v, torch.tensor(u), matrix, context.detach()


def attention(logits_TT, v_TF, more=0.0):
    t = len(v_TF)
    future = torch.ones(t, t, dtype=torch.bool).triu(1)
    return torch.softmax((logits_TT + more).masked_fill(future, -torch.inf), dim=-1) @ v_TF


@pytest.mark.parametrize("kind", [PerHead, TokenGate, BinExperts, LearnedScale])
def test_fused_biases_equal_their_formulas(kind):
    injection, q, k, v, u, matrix, context = injected(kind)
    for h in range(H):
        if kind is PerHead:
            more = injection.lam_H[h] * matrix
        elif kind is TokenGate:
            knots = np.linspace(0, 1, injection.n)
            more = torch.tensor(np.interp(u, knots, injection.theta_HM[h].detach()))
        elif kind is BinExperts:
            more = injection.theta_HM[h][(u * injection.n).long().clamp(max=injection.n - 1)]
        else:
            at_knots = np.append(0, torch.softmax(injection.slope_M, 0).detach().cumsum(0))
            f = np.interp(u, np.linspace(0, 1, len(at_knots)), at_knots)
            more = injection.lam * torch.tensor(f)
        expected = attention(q[h] @ k[h].T / math.sqrt(F), v[h], more)
        torch.testing.assert_close(context[h], expected.detach(), rtol=0, atol=1e-10)


def test_nova_and_dif_sr_equal_their_formulas():
    for kind in (Nova, DifSr):
        injection, q, k, v, u, _, context = injected(kind)
        phi = hats(u, 5)
        for h in range(H):
            if kind is Nova:
                a, c = phi @ injection.queries_HMF[h], phi @ injection.keys_HMF[h]
                logits = (q[h] + a) @ (k[h] + c).T / math.sqrt(F)
            else:
                logits = q[h] @ k[h].T / math.sqrt(F) + phi @ injection.matrix_HMM[h] @ phi.T
            expected = attention(logits, v[h]).detach()
            torch.testing.assert_close(context[h], expected, rtol=0, atol=1e-10)


def test_side_keys_are_attention_over_items_and_intensities():
    injection, q, k, v, u, _, context = injected(SideKeys)
    row = bins(u, 4).argmax(-1)
    for h in range(H):
        side_k, side_v = injection.keys_HMF[h][row], injection.values_HMF[h][row]
        for t in range(len(u)):
            seen = slice(t + 1)
            own_logit = k[h][seen] @ q[h][t] / math.sqrt(F)
            side_logit = side_k[seen] @ q[h][t] / math.sqrt(F) + injection.log_odds
            weights = torch.softmax(torch.cat([own_logit, side_logit]), dim=0)
            expected = weights @ torch.cat([v[h][seen], side_v[seen]])
            torch.testing.assert_close(context[h][t], expected.detach(), rtol=0, atol=1e-10)


# Places.


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200))
def test_a_place_is_the_share_below_and_half_of_the_ties(raw):
    w, quantiles = torch.tensor(raw, dtype=torch.float32), Quantiles()
    quantiles.tell(w)
    expected = (rankdata(raw) - 0.5) / len(raw)
    np.testing.assert_allclose(quantiles(w[None])[0], expected, atol=1e-6)


def test_places_of_a_log_of_many_values_are_near_and_keep_the_order():
    w = torch.empty(5000).exponential_(generator=torch.manual_seed(0))
    quantiles = Quantiles()
    quantiles.tell(torch.log1p(w))
    found = quantiles(torch.log1p(w)[None])[0].numpy()
    assert np.abs(found - (rankdata(w) - 0.5) / 5000).max() < 1 / GRID
    assert (np.diff(found[np.argsort(w.numpy())]) >= 0).all()
    assert quantiles(torch.tensor([[1e9]])) == quantiles.level_G[-1] < 1


def test_a_place_does_not_depend_on_how_intensities_are_normalised():
    items, stars = batch(12)
    hidden = [build("ia-gate", normalisation=mode)(items, stars) for mode in ("none", "minmax")]
    hidden.append(build("ia-gate")(items, stars))
    for one in hidden[1:]:
        torch.testing.assert_close(one, hidden[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PLACING)
def test_before_a_fit_every_layer_is_told_the_places_in_the_training_log(
    name, synthetic, monkeypatch
):
    monkeypatch.setattr("seqattn.models.key_bias.GRID", 1000)  # keeps every value of the log
    model = seeded_model(synthetic, name, 1, SMOKE.model, "cpu")
    train = synthetic.split.train
    items, minutes = (torch.tensor(x)[None] for x in (train.items, train.intensity))
    w = model.signal(items, minutes).w_BT
    expected = (rankdata(train.intensity) - 0.5) / len(train.intensity)
    assert len(model.injections) == SMOKE.model.n_layers
    for injection in model.injections:
        np.testing.assert_allclose(injection.quantiles(w)[0], expected, atol=1e-6)


@pytest.mark.parametrize("name", PLACING)
def test_a_kept_run_places_intensities_as_its_fit_did(name, synthetic, tmp_path):
    short = dataclasses.replace(SMOKE, train=replace(SMOKE.train, epochs=1))
    run = fit_run(Store(tmp_path), synthetic, run_spec(synthetic, name, 1, short))
    quantiles = Quantiles()
    quantiles.tell(torch.log1p(torch.tensor(synthetic.split.train.intensity)))
    expected = dict(quantiles.named_buffers())
    assert not torch.equal(expected["value_G"], Quantiles().value_G)
    for injection in load(run, synthetic).model.injections:
        found = dict(injection.quantiles.named_buffers())
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.equal(found[key], value), key


@given(u=st.floats(0, 1), n=st.integers(1, 9))
def test_bases_add_up_to_one(u, n):
    place = torch.tensor([u], dtype=torch.double)
    for basis in (hats, bins):
        assert basis(place, n).sum().item() == pytest.approx(1) and (basis(place, n) >= 0).all()


def test_a_learned_scale_is_monotone_from_0_to_1():
    learned = LearnedScale()
    learned.slope_M.data = torch.tensor([3.0, -2.0, 0.0, 1.0])
    curve = learned.scale(torch.linspace(0, 1, 50)).detach()
    assert curve[0] == 0 and curve[-1] == pytest.approx(1) and (curve.diff() >= 0).all()


# What is refused.


def test_what_does_not_go_together_is_refused():
    for name, positions in (
        ("ia-side-keys", "shaw"),
        ("ia-side-keys", "rope"),
        ("ia-nova", "rope"),
    ):
        with pytest.raises(SeqattnError, match=f"have no position, and positions '{positions}'"):
            build(name, positions=positions)
    for name in ("ia-nova", "ia-dif-sr"):
        with pytest.raises(SeqattnError, match="several queries stand at several"):
            build(name, n_queries=2)


@pytest.mark.parametrize("name", [*OF_THE_KEY, "ia-side-keys"])
def test_several_queries_read_the_same_keys(name):
    items, stars = batch(13)
    model = build(name, n_queries=3)
    switched = build(name, n_queries=3)
    switch_off(switched)
    assert not torch.allclose(model(items, stars), switched(items, stars))
    plain = build("sasrec", n_queries=3)(items)
    torch.testing.assert_close(switched(items, stars)[items > 0], plain[items > 0])


def test_side_keys_are_seen_with_their_item_and_have_no_bias_by_position():
    q, k, bias = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 6, 4), torch.ones(2, 3, 3)
    mask, biased = SideKeys().seen(q, k, None, bias)
    assert torch.equal(mask, torch.ones(3, 3).tril().bool().repeat(1, 2))
    assert torch.equal(biased, torch.cat([torch.ones(2, 3, 3), torch.zeros(2, 3, 3)], dim=-1))
