"""ALBERT and LLaMA of `transformers` as encoders of item sequences."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from seqattn import build_model
from seqattn.config import replace
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, PLUGINS, is_masked, is_stackable, needs_intensity
from seqattn.presets import get_preset
from seqattn.runs.code import code_of
from seqattn.training.fit import backward, fit, seeded_model, training_batches

SMALL = {"max_length": 8, "hidden_size": 8, "inner_size": 16, "n_layers": 2, "n_heads": 2}
N_ITEMS = 20
ITEMS = torch.tensor([[3, 9, 4, 11, 2, 0, 0, 0], [7, 1, 8, 5, 6, 14, 19, 20]])
SMOKE = get_preset("smoke")
CAUSAL = [name for name in PLUGINS if name.endswith("-ar")]


def test_without_the_library_a_plugin_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SeqattnError, match=r"need the library transformers.*seqattn\[hf\]"):
        build_model("hf-albert-ar", N_ITEMS, **SMALL)
    # Its runs can be named and judged all the same.
    assert [is_masked(name) for name in PLUGINS] == [name.endswith("-ae") for name in PLUGINS]


@pytest.fixture(autouse=True)
def library(request):
    """Skip all but the first test where `transformers` is not installed."""
    if "without_the_library" not in request.node.name:
        pytest.importorskip("transformers", reason="the extra `hf` is not installed")


def build(name, seed=0, **config):
    torch.manual_seed(seed)
    return build_model(name, N_ITEMS, **{**SMALL, **config}).eval()


def test_the_plugins_are_these_and_train_as_their_names_say():
    assert set(PLUGINS) == {f"hf-{n}-{kind}" for n in ("albert", "llama") for kind in ("ae", "ar")}
    for name in PLUGINS:
        assert is_masked(name) == name.endswith("-ae") and not is_stackable(name)
    assert len({code_of(name) for name in PLUGINS} | {code_of("bert4rec")}) == len(PLUGINS) + 1
    beside = [name for name in MODELS if not needs_intensity(name)]  # in figures of AE and AR
    assert len({MODELS[name].colour for name in beside}) == len(beside)


@pytest.mark.parametrize("family", ["albert", "llama"])
@torch.no_grad()
def test_both_sides_read_a_single_item_alike(family):
    """With one item there is no future to hide, and the weights of a seed are the same."""
    ar, ae = (build(f"hf-{family}-{side}") for side in ("ar", "ae"))
    ae.load_state_dict(ar.state_dict(), strict=False)
    torch.testing.assert_close(ar(ITEMS[:, :1]), ae(ITEMS[:, :1]))


@pytest.mark.parametrize("name", PLUGINS)
@torch.no_grad()
def test_padding_changes_nothing(name):
    model = build(name)
    padded = model.next_item_hidden(ITEMS)[0]
    torch.testing.assert_close(padded, model.next_item_hidden(ITEMS[:1, :5])[0])
    more = torch.nn.functional.pad(ITEMS[:1, :5], (0, 2))
    torch.testing.assert_close(padded, model.next_item_hidden(more)[0])


@pytest.mark.parametrize("name", PLUGINS)
@torch.no_grad()
def test_maps_are_row_stochastic_and_look_where_the_mask_lets_them(name):
    maps = build(name).attention_maps(ITEMS)
    assert maps.shape == (2, 2, 2, 8, 8)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 2, 2, 8))
    assert not maps[:, 0, :, :, 5:].any()  # padding
    assert torch.equal(maps, maps.tril()) == (name in CAUSAL)


@pytest.mark.parametrize("name", PLUGINS)
@torch.no_grad()
def test_reading_from_a_position_gives_the_same_hidden_states(name):
    model = build(name)
    torch.testing.assert_close(model(ITEMS, None, 3), model(ITEMS)[:, 3:])


@pytest.mark.parametrize("name", PLUGINS)
@torch.no_grad()
def test_an_appended_mask_or_the_last_position_scores_as_brute_force_does(name):
    model = build(name)
    found = model.logits(model.next_item_hidden(ITEMS))
    for row, history in enumerate(ITEMS):
        items = [code for code in history.tolist() if code]
        if name not in CAUSAL:
            items = [*items[-7:], model.mask_code]
        alone = model.logits(model(torch.tensor([items]))[0, -1])
        torch.testing.assert_close(found[row], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "ours"), [("hf-albert-ar", "sasrec"), ("hf-albert-ae", "bert4rec")]
)
@torch.no_grad()
def test_one_layer_of_albert_is_our_block(name, ours):
    """A block against another library's: the same numbers from the same weights."""
    plain, albert = build(ours, 1, n_layers=1), build(name, 2, n_layers=1)
    for parameter in plain.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    block, network = plain.blocks[0], albert.network
    layer = network.encoder.albert_layer_groups[0].albert_layers[0]
    albert.item_embedding.weight.copy_(plain.item_embedding.weight)
    if name == "hf-albert-ae":
        albert.mask_embedding.copy_(plain.mask_embedding)
    network.embeddings.token_type_embeddings.weight.zero_()
    network.embeddings.position_embeddings.weight.copy_(plain.position_embedding.weight)
    network.encoder.embedding_hidden_mapping_in.weight.copy_(torch.eye(8))
    network.encoder.embedding_hidden_mapping_in.bias.zero_()
    qkv, attention = block.attention.qkv, layer.attention
    for part, linear in enumerate((attention.query, attention.key, attention.value)):
        linear.weight.copy_(qkv.weight[8 * part : 8 * part + 8])
        linear.bias.copy_(qkv.bias[8 * part : 8 * part + 8])
    for mine, its in (
        (plain.norm, network.embeddings.LayerNorm),
        (block.attention.output, attention.dense),
        (block.attention_norm, attention.LayerNorm),
        (block.feed_forward.inner, layer.ffn),
        (block.feed_forward.output, layer.ffn_output),
        (block.feed_forward_norm, layer.full_layer_layer_norm),
    ):
        its.weight.copy_(mine.weight)
        its.bias.copy_(mine.bias)
    found = albert.logits(albert.next_item_hidden(ITEMS))
    expected = plain.logits(plain.next_item_hidden(ITEMS))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PLUGINS)
def test_the_loss_on_one_batch_falls(name, synthetic):
    model = seeded_model(synthetic, name, 1, SMOKE.model, "cpu")
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    parts = next(training_batches(model, synthetic, SMOKE.train, "cpu")(np.random.default_rng(0)))
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        total, n = backward(model, parts)
        optimiser.step()
        losses.append(float(total) / n)
    assert losses[-1] < 0.8 * losses[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", PLUGINS)
def test_a_fit_is_deterministic_given_its_seed(name, synthetic):
    first, second = (fit(synthetic, name, 1, SMOKE.model, SMOKE.train) for _ in range(2))
    assert [e.loss for e in first.history] == [e.loss for e in second.history]
    assert np.array_equal(first.ranks["test_unfiltered"], second.ranks["test_unfiltered"])


@torch.no_grad()
def test_the_activation_of_both_networks_is_the_exact_gelu():
    """In LLaMA it is [AE]'s; the library's own is SiLU."""
    x = 3 * torch.randn(50, 8, generator=torch.manual_seed(0))
    llama, albert = build("hf-llama-ar").network, build("hf-albert-ar").network
    assert llama.config.hidden_act == albert.config.hidden_act == "gelu"
    for layer in llama.layers:
        mlp = layer.mlp
        gated = F.gelu(x @ (50 * mlp.gate_proj.weight).T) * (x @ mlp.up_proj.weight.T)
        mlp.gate_proj.weight.mul_(50)  # so that the activation is far from a line
        torch.testing.assert_close(mlp(x), gated @ mlp.down_proj.weight.T)
    torch.testing.assert_close(
        albert.encoder.albert_layer_groups[0].albert_layers[0].activation(x), F.gelu(x)
    )


@pytest.mark.parametrize("name", PLUGINS)
def test_albert_drops_nothing_of_its_feed_forward_and_llama_only_weights(name, monkeypatch):
    """As the page "Deviations" says; `seqattn.models.attention` drops of all four."""
    calls = []

    def drop(x, p=0.5, training=True, inplace=False):
        calls.append((tuple(x.shape), p if training else 0.0))
        return x

    monkeypatch.setattr(F, "dropout", drop)
    model = build(name, n_layers=1, hidden_dropout=0.25, attention_dropout=0.4)
    model.train()(ITEMS)
    states, weights = ((2, 8, 8), 0.25), ((2, 2, 8, 8), 0.4)
    assert calls == ([states, weights, states] if "albert" in name else [weights])
    calls.clear()
    model.eval()(ITEMS)
    assert not any(p for _, p in calls)


def test_what_the_network_does_not_read_is_refused():
    with pytest.raises(SeqattnError, match="AlbertAR has an attention of its own"):
        build("hf-albert-ar", positions="rope")
    with pytest.raises(SeqattnError, match="LlamaAE does not read head = 'transform'"):
        build("hf-llama-ae", head="transform")
    short = replace(SMOKE.model, max_length=4)
    model = build_model("hf-llama-ar", N_ITEMS, **vars(short))
    assert model(ITEMS[:, :4]).shape == (2, 4, 8)
    with pytest.raises(SeqattnError, match="a history of 5 positions exceeds max_length = 4"):
        model(ITEMS[:, :5])
    with pytest.raises(SeqattnError, match="a head has 3"):
        build("hf-llama-ar", hidden_size=6, n_heads=2)
