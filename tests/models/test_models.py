"""Properties every model of the registry has."""

from __future__ import annotations

from functools import partial

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from seqattn import build_model, models
from seqattn.config import ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, PLUGINS, SASRec
from seqattn.models.injection import Injection, IntensityInjection

OURS = [name for name in MODELS if name not in PLUGINS]

SMALL = {"max_length": 8, "hidden_size": 8, "inner_size": 16, "n_layers": 2, "n_heads": 2}
N_ITEMS = 20
# A new model of the registry is tested without being named here.
ATTENDING = [name for name in OURS if build_model(name, 1).attends]
CAUSAL = [name for name in OURS if not build_model(name, 1).looks_both_ways]
INTENSITY_AWARE = [name for name in OURS if build_model(name, 1).needs_intensity]
# Those without a lambda have their switch in test_beyond_lambda.py.
WITH_LAMBDA = [name for name in OURS if build_model(name, 1).lambdas]


def _build(name: str, seed: int = 0, **config):
    torch.manual_seed(seed)
    return build_model(name, N_ITEMS, **{**SMALL, **config}).eval()


def _batch(seed: int, lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    items = torch.randint(1, N_ITEMS + 1, (len(lengths), SMALL["max_length"]), generator=generator)
    intensity = torch.rand(items.shape, generator=generator) * 10
    padding = torch.arange(SMALL["max_length"]) >= torch.tensor(lengths)[:, None]
    return items.masked_fill(padding, 0), intensity.masked_fill(padding, 0.0)


@pytest.mark.parametrize("name", OURS)
def test_shared_weights_start_identical_for_one_seed(name):
    baseline, model = _build("sasrec", 5).state_dict(), _build(name, 5).state_dict()
    for key in baseline if name in ATTENDING else baseline.keys() & model.keys():
        assert torch.equal(baseline[key], model[key]), key


def test_the_models_tested_as_causal_and_as_intensity_aware_are_these():
    assert {"sasrec", "ia-add", "ia-mul", "ia-val", "local-ar"} <= set(CAUSAL)
    assert {"causal-bert4rec", "causal-masked", "sse-pt-ar"} <= set(CAUSAL)
    assert {"ia-add", "ia-mul", "ia-val"} <= set(WITH_LAMBDA) < set(INTENSITY_AWARE)
    assert not {"bert4rec", "local-ae", "bidirectional-next", "sse-pt-ae"} & {
        *CAUSAL,
        *INTENSITY_AWARE,
    }


@pytest.mark.parametrize("name", WITH_LAMBDA)
def test_lambda_zero_recovers_sasrec(name):
    items, intensity = _batch(1, [8, 3, 1])
    model = _build(name)
    for block in model.blocks:
        block.attention.injection.lam.data.zero_()
    with torch.no_grad():
        hidden, expected = model(items, intensity), _build("sasrec")(items)
    torch.testing.assert_close(hidden[items > 0], expected[items > 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", WITH_LAMBDA)
def test_lambda_starts_at_one_and_intensity_matters(name):
    items, intensity = _batch(2, [8, 8])
    model = _build(name)
    assert model.lambdas == [1.0, 1.0]
    with torch.no_grad():
        assert not torch.allclose(model(items, intensity), model(items, intensity.flip(1)))


@pytest.mark.parametrize("mode", ["log1p_minmax", "minmax", "zscore", "none"])
@pytest.mark.parametrize("name", CAUSAL)
@given(seed=st.integers(0, 10_000), position=st.integers(0, 6))
@settings(max_examples=10, deadline=None)
def test_the_future_changes_nothing_at_or_before_a_position(name, mode, seed, position):
    model = _build(name, normalisation=mode)
    items, intensity = _batch(seed, [8])
    other_items, other_intensity = _batch(seed + 1, [8])
    changed_items, changed_intensity = items.clone(), intensity.clone()
    changed_items[:, position + 1 :] = other_items[:, position + 1 :]
    changed_intensity[:, position + 1 :] = 100 * other_intensity[:, position + 1 :]
    with torch.no_grad():
        before, after = model(items, intensity), model(changed_items, changed_intensity)
    torch.testing.assert_close(
        before[:, : position + 1], after[:, : position + 1], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("name", OURS)
def test_padding_changes_nothing(name):
    items, intensity = _batch(4, [5, 8])
    model = _build(name)
    with torch.no_grad():
        padded = model.next_item_hidden(items, intensity)[0]
        alone = model.next_item_hidden(items[:1, :5], intensity[:1, :5])[0]
    torch.testing.assert_close(padded, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OURS)
def test_what_stands_in_the_padding_vector_changes_nothing(name):
    model, (items, intensity) = _build(name), _batch(6, [4, 8])
    with torch.no_grad():
        before = model.next_item_hidden(items, intensity)
        model.item_embedding.weight[0] = 100 * torch.randn(model.item_embedding.weight.shape[1])
        torch.testing.assert_close(model.next_item_hidden(items, intensity), before)


@pytest.mark.parametrize("name", ATTENDING)
def test_attention_maps_are_row_stochastic_and_respect_the_mask(name):
    items, intensity = _batch(5, [8, 8])
    with torch.no_grad():
        maps = _build(name).attention_maps(items, intensity)
    assert maps.shape == (2, 2, 2, 8, 8)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 2, 2, 8))
    if name in CAUSAL:
        assert torch.equal(maps, maps.tril())
    if name in ("local-ae", "local-ar"):
        far = (torch.arange(8)[:, None] - torch.arange(8)).abs() > 2
        assert (maps[:, :, 0][..., far] == 0).all()
        ahead = torch.ones(8, 8, dtype=torch.bool).triu(1) & torch.tensor(name in CAUSAL)
        assert (maps[:, :, 1][..., far & ~ahead] > 0).all()


def test_bert4rec_appends_a_mask_and_drops_the_oldest_item_of_a_full_history():
    model = _build("bert4rec")
    items = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 0, 0, 0, 0, 0, 0]])
    masked, position = model.append_mask(items)
    assert masked.tolist() == [[2, 3, 4, 5, 6, 7, 8, 21], [9, 10, 21, 0, 0, 0, 0, 0]]
    assert position.tolist() == [7, 2]


def test_unknown_names_keys_and_types_are_refused_by_name():
    with pytest.raises(SeqattnError, match="unknown model 'sasrek'"):
        build_model("sasrek", 10)
    with pytest.raises(SeqattnError, match="'hiden_size'"):
        build_model("sasrec", 10, hiden_size=8)
    with pytest.raises(SeqattnError, match="'n_layers' must be int, not str"):
        build_model("sasrec", 10, n_layers="2")
    with pytest.raises(SeqattnError, match="'hidden_size' must be a multiple of n_heads"):
        build_model("sasrec", 10, hidden_size=10, n_heads=4)
    with pytest.raises(SeqattnError, match="'normalisation' must be one of"):
        build_model("ia-add", 10, normalisation="softmax")


def test_a_model_without_its_intensity_or_with_too_long_a_history_says_so():
    items, _ = _batch(6, [8])
    with pytest.raises(SeqattnError, match="reads intensities"):
        _build("ia-val")(items)
    with pytest.raises(SeqattnError, match="exceeds max_length = 8"):
        _build("sasrec")(torch.ones(1, 9, dtype=torch.long))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("read_from", [3, 7])
@pytest.mark.parametrize("name", OURS)
def test_reading_from_a_position_gives_the_same_hidden_states(name, read_from, training):
    items, intensity = _batch(7, [8, 8, 8])
    nothing_drawn = {"hidden_dropout": 0.0}
    if build_model(name, 1).needs_user:
        nothing_drawn |= {"sse_user": 0.0, "sse_item": 0.0}
    model = _build(name, attention_dropout=1e-9 if training else 0.0, **nothing_drawn)
    model.train(training)  # in training a CPU takes the written-out attention
    torch.testing.assert_close(
        model(items, intensity, read_from), model(items, intensity)[:, read_from:]
    )


class OfTheKeys(IntensityInjection):
    """The mistake that comes first: `w` is of the T keys, the context of the S queries."""

    def after(self, context_BHTF, signal):
        return context_BHTF * signal.w_BT[:, None, :, None]


def test_an_injection_that_returns_other_queries_than_were_asked_for_is_refused():
    items, intensity = _batch(8, [8, 8])
    model = _build("ia-val")
    for block in model.blocks:
        block.attention.injection = OfTheKeys()
    assert model(items, intensity).shape == (2, 8, 8)
    with pytest.raises(SeqattnError, match=r"OfTheKeys: its context has 8 positions, and 1 quer"):
        model(items, intensity, read_from=7)


class _Gates(IntensityInjection):
    """Has a parameter a head, and a record of it as `how` says."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def complete(self, config):
        gate_H = torch.nn.Parameter(torch.ones(config.n_heads))
        setattr(self, "lam" if self.how == "lambdas" else "gate_H", gate_H)

    def learned(self):
        return {
            "tensor": lambda: {"gate": self.gate_H},
            "list": lambda: self.gate_H.tolist(),
            "kept": lambda: {"gate": self.gate_H.tolist()},
        }.get(self.how, dict)()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("lambdas", r"_Gates: its `lam` has the shape \(2,\), and a layer's lambda is one number"),
        ("tensor", r"_Gates: its `learned` must return lists of numbers by name, as by tolist\(\)"),
        ("list", "_Gates: its `learned` must return lists of numbers by name"),
    ],
)
def test_what_no_record_can_keep_of_an_injection_is_refused_before_a_fit(how, message):
    with pytest.raises(SeqattnError, match=message):
        SASRec(N_ITEMS, ModelConfig(**SMALL), injection=partial(_Gates, how))
    SASRec(N_ITEMS, ModelConfig(**SMALL), injection=partial(_Gates, "kept"))


class _Silent(Injection):
    """Reads an intensity, and its class does not say so."""

    def before(self, q, k, v, signal):
        return q, k, v * signal.w_BT[:, None, :, None]


def test_an_injection_that_reads_an_intensity_must_say_so():
    with pytest.raises(SeqattnError, match="_Silent needs an intensity and does not say so"):
        SASRec(N_ITEMS, ModelConfig(**SMALL), injection=_Silent)
    outspoken = type("_Outspoken", (_Silent,), {"reads_intensity": True})
    assert SASRec(N_ITEMS, ModelConfig(**SMALL), injection=outspoken).needs_intensity


class _Wrong(IntensityInjection):
    """Returns what `how` says from `before` or `after`."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def before(self, q, k, v, signal):
        return {
            "two": (q, k),
            "fewer keys": (q, k[:, :, 1:], v),
            "wider keys": (q, torch.cat([k, k], dim=-1), v),
        }.get(self.how, (q, k, v))

    def after(self, context, signal):
        wider = torch.cat([context, context], dim=-1)
        told = {"nothing": None, "wider": wider, "double": context.double()}
        return told.get(self.how, context)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("two", "_Wrong: its `before` must return queries, keys and values"),
        ("fewer keys", r"_Wrong: its `before` gives .* shapes .*; a key needs a value"),
        ("wider keys", r"_Wrong: its `before` gives .* as many features as a query"),
        ("nothing", "_Wrong: its `after` must return the context"),
        ("double", "_Wrong: its context is in float64"),
        ("wider", r"_Wrong: its context has the shape \(1, 2, 4, 8\) and not \(1, 2, 4, 4\)"),
    ],
)
def test_an_injection_of_ones_own_with_a_wrong_shape_is_named(how, message):
    config = ModelConfig(max_length=4, hidden_size=8, inner_size=8)
    model = SASRec(9, config, injection=partial(_Wrong, how))
    items = torch.tensor([[1, 2, 3, 4]])
    with pytest.raises(SeqattnError, match=message):
        model(items, torch.ones(1, 4))


class _Gated(Injection):
    """Has a layer with random weights, made when `early` says."""

    def __init__(self, early):
        super().__init__()
        self.gate = torch.nn.Linear(1, 1) if early else None

    def complete(self, config):
        self.gate = self.gate or torch.nn.Linear(config.hidden_size, 1)


def test_random_weights_of_an_injection_come_after_those_that_all_models_share():
    def built(injection):
        torch.manual_seed(0)
        return SASRec(N_ITEMS, ModelConfig(**SMALL), injection=injection)

    with pytest.raises(SeqattnError, match=r"_Gated draws random numbers in `__init__`.*complete"):
        built(partial(_Gated, True))
    shared, gated = built(Injection).state_dict(), built(partial(_Gated, False)).state_dict()
    assert len(gated) == len(shared) + 2 * SMALL["n_layers"]
    assert all(torch.equal(gated[name], value) for name, value in shared.items())


def test_scores_that_training_would_not_use_are_refused():
    class Louder(SASRec):
        def logits(self, hidden_ND):
            return 2 * super().logits(hidden_ND)

    with pytest.raises(SeqattnError, match=r"Louder has its own logits.*override that"):
        Louder(N_ITEMS, ModelConfig(**SMALL))


def test_asking_what_a_model_is_draws_nothing():
    models._example_of.cache_clear()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert models.is_masked("bert4rec") and models.needs_intensity("ia-add")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("normalisation", ["minmax", "zscore", "none"])
@pytest.mark.parametrize("name", INTENSITY_AWARE)
@torch.no_grad()
def test_reading_from_a_position_keeps_each_querys_own_normalisation(name, normalisation):
    """The usual one, by the largest, has no offset b; others have one for each query."""
    model = _build(name, normalisation=normalisation)
    items, intensity = _batch(1, [8, 8, 6])
    torch.testing.assert_close(
        model(items, intensity, 5)[:2], model(items, intensity)[:2, 5:], rtol=0, atol=1e-5
    )
