"""Position schemes: against `transformers`, one row per prefix, and what they promise."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from seqattn.config import INPUT_POSITIONS, PLACEBO_POSITIONS, SHIFT_INVARIANT, ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, PLUGINS, build_model
from seqattn.models.attention import Sight, attend
from seqattn.models.injection import Add
from seqattn.models.intensity import Signal
from seqattn.models.positions import SCHEMES, T5Bias, distances, sinusoid
from seqattn.training.batches import packed_windows, prefix_windows

OURS = [name for name in MODELS if name not in PLUGINS]

SMALL = {"max_length": 12, "hidden_size": 8, "inner_size": 16, "n_layers": 2, "n_heads": 2}
N_ITEMS = 30


def model_of(name="sasrec", seed=0, **config):
    torch.manual_seed(seed)
    model = build_model(name, N_ITEMS, **{**SMALL, **config}).double().eval()
    for parameter in model.parameters():  # far from 0, so that every term counts
        parameter.data += 0.3 * torch.randn(parameter.shape, dtype=torch.double)
    model.item_embedding.weight.data[0] = 0
    return model


def rows(lengths, seed=1, width=None):
    generator = torch.Generator().manual_seed(seed)
    width = width or max(lengths)
    items = torch.randint(1, N_ITEMS + 1, (len(lengths), width), generator=generator)
    stars = torch.randint(1, 6, items.shape, generator=generator).double()
    padding = torch.arange(width) >= torch.tensor(lengths)[:, None]
    return items.masked_fill(padding, 0), stars.masked_fill(padding, 0)


def by_prefix(model, items_T, stars_T):
    """Return the output that each prefix of one history gives at its end, (T, D)."""
    ends = []
    for n in range(1, len(items_T) + 1):
        kept = slice(max(0, n - model.config.max_length), n)
        ends.append(model.next_item_hidden(items_T[None, kept], stars_T[None, kept])[0])
    return torch.stack(ends)


def behind(model, before, items):
    """Return the states of histories that stand behind other interactions and do not see them."""
    both, n = torch.cat([before, items], dim=1), before.shape[1]
    mask = torch.ones(both.shape[1], both.shape[1], dtype=torch.bool).tril()
    mask[n:, :n] = False
    return model.read(model.embed(both), Sight(mask))[:, n:]


def test_every_scheme_of_the_configuration_has_a_class():
    assert set(SCHEMES) == {*INPUT_POSITIONS, *SHIFT_INVARIANT, *PLACEBO_POSITIONS}
    with pytest.raises(
        SeqattnError, match=r"'positions' must be one of absolute, .*, not 'learned'"
    ):
        ModelConfig(positions="learned")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_packed_row_is_one_row_per_prefix_for_all_schemes_but_reversed(scheme):
    items, stars = rows([10])
    for name in ("sasrec", "ia-add"):
        model = model_of(name, positions=scheme)
        packed, ends = model(items, stars)[0], by_prefix(model, items[0], stars[0])
        if scheme == "reversed":
            assert (packed[:-1] - ends[:-1]).abs().max() > 0.1
            torch.testing.assert_close(packed[-1], ends[-1])
        else:
            torch.testing.assert_close(packed, ends, rtol=0, atol=1e-10)


def states_of(windows, model, items_T):
    """Return the state that each window gives each target it scores, in the targets' order."""
    parts = zip(*dataclasses.astuple(windows), strict=True)
    rows = [model(items_T[None, start : start + n])[0, first:] for start, n, first in parts]
    return torch.cat(rows)


@pytest.mark.parametrize("scheme", ["absolute", *SHIFT_INVARIANT])
def test_windows_that_cut_a_history_see_what_prefixes_see_at_stride_one_alone(scheme):
    """Whatever the positions: a window's middle sees less before it than its end does."""
    length, (items, _) = SMALL["max_length"], rows([30])
    model, offsets = model_of(positions=scheme), np.array([0, 30])
    by_prefix = states_of(prefix_windows(offsets, length), model, items[0])
    exact = states_of(packed_windows(offsets, length, 1), model, items[0])
    torch.testing.assert_close(exact, by_prefix, rtol=0, atol=1e-10)
    moved = states_of(packed_windows(offsets, length, 6), model, items[0]) - by_prefix
    assert moved[:length].abs().max() < 1e-10 < 1e-3 < moved[length:].abs().max()


@pytest.mark.parametrize("scheme", [*INPUT_POSITIONS, *SHIFT_INVARIANT])
def test_how_far_into_a_row_a_history_stands_matters_to_absolute_positions_alone(scheme):
    model = model_of(positions=scheme)
    (items, _), (before, _) = rows([7]), rows([4], seed=2)
    moved, own = behind(model, before, items), model(items)
    if scheme == "absolute":
        assert (moved - own).abs().max() > 0.1
    else:
        torch.testing.assert_close(moved, own, rtol=0, atol=1e-10)


def test_reversed_positions_are_absolute_ones_behind_padding_with_the_table_turned_round():
    """One row per prefix, as codes read it that pad on the left."""
    reverse, absolute = model_of(positions="reversed"), model_of()
    absolute.load_state_dict(reverse.state_dict())
    absolute.position_embedding.weight.data = reverse.position_embedding.weight.data.flip(0)
    items, _ = rows([9])
    for n in range(1, 10):
        padding = items.new_zeros(1, SMALL["max_length"] - n)
        found = behind(absolute, padding, items[:, :n])
        torch.testing.assert_close(found, reverse(items[:, :n]), rtol=0, atol=1e-10)


def test_reversed_positions_of_a_single_interaction_are_absolute():
    reverse, absolute = model_of(positions="reversed"), model_of()
    absolute.load_state_dict(reverse.state_dict())
    items, _ = rows([2])
    assert torch.equal(reverse(items[:, :1]), absolute(items[:, :1]))
    assert (reverse(items) - absolute(items)).abs().max() > 0.1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_the_schemes_own_weights_attention_has_no_positions(scheme):
    if scheme in (*INPUT_POSITIONS, "rope", "alibi"):
        pytest.skip("its term has no weight that could be 0, or is not in attention")
    model, bare = model_of(positions=scheme), model_of(positions="none")
    for block in model.blocks:
        for parameter in block.attention.positions.parameters():
            parameter.data.zero_()
    own = {k: v for k, v in model.state_dict().items() if ".positions." not in k}
    bare.load_state_dict(own)
    items, _ = rows([9, 5])
    torch.testing.assert_close(model(items), bare(items), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scheme", "rate"), [("rope", "rate_F"), ("alibi", "slope_H11")])
def test_with_rates_of_0_attention_has_no_positions(scheme, rate):
    model, bare = model_of(positions=scheme), model_of(positions="none")
    bare.load_state_dict(model.state_dict())
    items, _ = rows([9, 5])
    assert (model(items) - bare(items)).abs().max() > 0.01
    for block in model.blocks:
        getattr(block.attention.positions, rate).zero_()
    torch.testing.assert_close(model(items), bare(items), rtol=0, atol=1e-12)


def test_t5_buckets_are_those_of_transformers():
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    theirs = t5.T5Attention._relative_position_bucket(
        -distances(40, 400), bidirectional=False, num_buckets=32, max_distance=128
    )
    ours = T5Bias(ModelConfig(**SMALL)).entry(distances(40, 400))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("n_heads", [1, 2, 4, 8])
def test_alibi_is_that_of_transformers(n_heads):
    bloom = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    t, f = 9, 4
    scheme = SCHEMES["alibi"](ModelConfig(hidden_size=f * n_heads, n_heads=n_heads))
    q, k = torch.randn(2, 1, n_heads, t, f).unbind(0)
    _, _, bias = scheme(q, k)
    theirs = bloom.build_alibi_tensor(torch.ones(1, t), n_heads, torch.float32)  # s i, not -s (t-i)
    ours = attend(q, k, k, None, 0.0, bias)
    mask = torch.full((t, t), -torch.inf).triu(1)
    torch.testing.assert_close(
        ours, torch.softmax(q @ k.mT + theirs.view(1, n_heads, 1, t) + mask, dim=-1) @ k
    )


def test_alibi_is_the_packages_additive_injection_of_the_position():
    t, f = 7, 4
    scheme = SCHEMES["alibi"](ModelConfig(hidden_size=f, n_heads=1))
    q, k, v = torch.randn(3, 1, 1, t, f).unbind(0)
    add, position_BT = Add(), torch.arange(t)[None].float()
    add.lam.data = scheme.slope_H11[0, 0, 0]
    signal = Signal(position_BT, torch.ones(1, t), torch.zeros(1, t))
    torch.testing.assert_close(
        attend(*add.before(q, k, v, signal), None, 0.0), attend(q, k, v, None, 0.0, scheme(q, k)[2])
    )


def test_rope_is_that_of_transformers_and_keeps_lengths():
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    t, h, f = 11, 2, 6
    scheme = SCHEMES["rope"](ModelConfig(hidden_size=h * f, n_heads=h))
    q, k = torch.randn(2, 1, h, t, f).unbind(0)
    config = llama.LlamaConfig(hidden_size=h * f, num_attention_heads=h, rope_theta=10_000.0)
    cos, sin = llama.LlamaRotaryEmbedding(config)(q, torch.arange(t)[None])
    theirs_q, theirs_k = llama.apply_rotary_pos_emb(q, k, cos, sin)
    ours_q, ours_k, bias = scheme(q[:, :, 4:], k)
    torch.testing.assert_close(ours_q, theirs_q[:, :, 4:])
    torch.testing.assert_close(ours_k, theirs_k)
    torch.testing.assert_close(ours_k.norm(dim=-1), k.norm(dim=-1))
    assert bias is None
    with pytest.raises(SeqattnError, match="turns pairs of features, and a head has 3"):
        SCHEMES["rope"](ModelConfig(hidden_size=6, n_heads=2))


def test_rope_with_a_base_of_infinity_turns_the_first_pair_of_features_alone(monkeypatch):
    """By a radian a position, the base to the power of 0: no base gives attention no positions."""
    monkeypatch.setattr("seqattn.models.positions.ROPE_BASE", math.inf)
    t, f, first, others = 9, 6, [0, 3], [1, 2, 4, 5]
    scheme = SCHEMES["rope"](ModelConfig(hidden_size=f, n_heads=1))
    given_qk = torch.randn(2, 1, 1, t, f).unbind(0)
    a_radian_each = torch.polar(torch.ones(t), torch.arange(t).float())
    for given_x, turned_x in zip(given_qk, scheme(*given_qk)[:2], strict=True):
        assert torch.equal(turned_x[..., others], given_x[..., others])
        pair = torch.view_as_complex(given_x[..., first].contiguous())
        torch.testing.assert_close(
            turned_x[..., first], torch.view_as_real(pair * a_radian_each), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("slots", [0, 3])
def test_transformer_xl_is_that_of_transformers(slots):
    """With memory slots, that of a memory which nothing has filled."""
    xl = pytest.importorskip("transformers.models.deprecated.transfo_xl.modeling_transfo_xl")
    d, h, t = 8, 2, 6
    config = {"positions": "transformer-xl", "n_layers": 1, "memory_slots": slots}
    ours = model_of(**config).float().blocks[0].attention
    theirs = xl.RelPartialLearnableMultiHeadAttn(h, d, d // h, 0.0, dropatt=0.0).eval()
    scheme = ours.positions
    theirs.qkv_net.weight.data = ours.qkv.weight.data
    ours.qkv.bias.data.zero_(), ours.output.bias.data.zero_()
    theirs.o_net.weight.data, theirs.r_net.weight.data = (
        ours.output.weight.data,
        scheme.project.weight.data,
    )
    theirs.r_w_bias.data = scheme.content_H1F.data[:, 0]
    theirs.r_r_bias.data = scheme.distance_H1F.data[:, 0]
    x, r = torch.randn(1, t, d), xl.PositionalEmbedding(d)(torch.arange(t + slots - 1, -1, -1.0))
    future = torch.ones(t, t + slots, dtype=torch.uint8).triu(1 + slots)[:, :, None]
    memory = torch.zeros(slots, 1, d) if slots else None
    expected = theirs(x.transpose(0, 1), r, attn_mask=future, mems=memory)[0].transpose(0, 1)
    torch.testing.assert_close(theirs.layer_norm(x + ours(x, Sight())), expected)


def test_transformer_xl_both_ways_is_its_equation_written_out():
    t, h, d = 5, 2, 8
    model = model_of("bert4rec", positions="transformer-xl", n_layers=1, max_length=7)
    attention = model.blocks[0].attention
    scheme, f = attention.positions, d // h
    x = torch.randn(1, t, d, dtype=torch.double)
    q, k, _ = attention.project(x)
    expected = torch.zeros(1, h, t, t, dtype=torch.double)
    for head in range(h):
        u, v = scheme.content_H1F[head, 0], scheme.distance_H1F[head, 0]
        for n in range(t):
            for i in range(t):
                r = scheme.project(sinusoid(torch.tensor([n - i]), d).double())[0].view(h, f)[head]
                asked = q[0, head, n] * f**0.5
                logit = (asked + u) @ k[0, head, i] + (asked + v) @ r
                expected[0, head, n, i] = logit / f**0.5
    seen = Sight(torch.ones(1, 1, 1, t, dtype=torch.bool))
    torch.testing.assert_close(attention.weights(x, seen), torch.softmax(expected, dim=-1))
    # The order of what lies ahead counts, and padding does not.
    items, _ = rows([6])
    swapped = items[:, [0, 1, 2, 4, 3, 5]]
    assert (model(items)[0, 0] - model(swapped)[0, 0]).abs().max() > 1e-3
    padded = torch.nn.functional.pad(items, (0, 1))
    torch.testing.assert_close(model(padded)[:, :6], model(items))


def test_transformers_own_shift_does_not_look_both_ways():
    """[AE] takes the mask off; the shift that follows gives a key just ahead no distance at all."""
    xl = pytest.importorskip("transformers.models.deprecated.transfo_xl.modeling_transfo_xl")
    d, h, t = 8, 2, 6
    theirs = xl.RelPartialLearnableMultiHeadAttn(h, d, d // h, 0.0, dropatt=0.0).eval()
    far = torch.arange(t - 1, -1, -1.0)[:, None, None, None].expand(t, t, 1, 1).transpose(0, 1)
    shifted = theirs._rel_shift(far.contiguous())[:, :, 0, 0]
    told = distances(t, t).float()
    assert torch.equal(shifted.tril(), told.tril())  # what lies behind has its distance
    assert (shifted.diagonal(1) == 0).all()
    assert (shifted.triu(2) > 0).sum() == (t - 1) * (t - 2) / 2  # as if it lay behind, far away


@pytest.mark.parametrize("slots", [1, 5, 30])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_memory_slots_are_zeros_before_the_history(slots, mode):
    """[AE]'s code puts hidden states of zeros before every window, and asks nothing of them."""
    ours = model_of(positions="transformer-xl", memory_slots=slots, attention_dropout=0.0)
    t, d = 9, SMALL["hidden_size"]
    theirs = model_of(positions="transformer-xl", max_length=12 + slots).blocks[0].attention
    ours = ours.train(mode == "train").blocks[0].attention
    theirs.qkv.bias.data.zero_()  # or a state of zeros would have a key
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, t, d, dtype=torch.double)
    before = torch.cat([x.new_zeros(2, slots, d), x], dim=1)
    expected = theirs(before, Sight())[:, slots:]
    torch.testing.assert_close(ours(x, Sight()), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours(x, Sight(), read_from=4), expected[:, 4:], rtol=0, atol=1e-12)
    map_BHTT = ours.weights(x, Sight())
    assert map_BHTT.shape == (2, 2, t, t)
    torch.testing.assert_close(map_BHTT, theirs.weights(before, Sight())[..., slots:, slots:])
    assert (map_BHTT.sum(-1) < 1).all()


def test_memory_slots_with_other_settings_are_refused_by_name():
    with pytest.raises(SeqattnError, match=r"'positions' must be transformer-xl with memory_slots"):
        ModelConfig(memory_slots=3)
    with pytest.raises(
        SeqattnError, match=r"'memory_slots' must be at least 0, and 0 under a slid"
    ):
        ModelConfig(memory_slots=3, positions="transformer-xl", sliding_window=4)
    with pytest.raises(SeqattnError, match=r"Add has no intensity for memory slots; set memory_sl"):
        build_model("ia-add", N_ITEMS, **SMALL, positions="transformer-xl", memory_slots=3)
    both = build_model("bert4rec", N_ITEMS, **SMALL, positions="transformer-xl", memory_slots=3)
    assert both.eval()(rows([5])[0]).shape == (1, 5, 8)
    maps = both.attention_maps(rows([5])[0])
    assert maps.shape[-2:] == (5, 5) and (maps.sum(-1) < 1).all()


def test_shaw_is_its_equation_written_out():
    t, h, f = 6, 2, 4
    scheme = SCHEMES["shaw"](ModelConfig(max_length=4, hidden_size=h * f, n_heads=h))
    q, k, v = torch.randn(3, 1, h, t, f).unbind(0)
    _, _, bias = scheme(q, k)
    expected = torch.zeros(1, h, t, f)
    for head in range(h):
        for n in range(t):
            far = [min(n - i, 3) for i in range(n + 1)]
            keys, values = (
                x[0, head, : n + 1] + table[far]
                for x, table in ((k, scheme.key_NF), (v, scheme.value_NF))
            )
            expected[0, head, n] = torch.softmax(keys @ q[0, head, n], dim=0) @ values
    causal = torch.full((t, t), -torch.inf).triu(1)
    weights = torch.softmax(q @ k.mT + bias + causal, dim=-1)
    torch.testing.assert_close(weights @ v + scheme.values(weights), expected)
    with pytest.raises(SeqattnError, match="Shaw and Val both change the values"):
        model_of("ia-val", positions="shaw")(*rows([5]))


def test_one_layer_of_reversed_positions_is_shaw_up_to_the_querys_own():
    """[REV]'s scheme, one row per prefix: W_k p and W_v p in the place of Shaw's vectors."""
    sizes = {"n_layers": 1, "n_heads": 1}
    reverse, shaw = model_of(positions="reversed", **sizes), model_of(positions="shaw", **sizes)
    d, own = SMALL["hidden_size"], shaw.blocks[0].attention
    shaw.load_state_dict(
        {k: v for k, v in reverse.state_dict().items() if k in shaw.state_dict()}, strict=False
    )
    for model in (reverse, shaw):
        model.norm = torch.nn.Identity()  # the sum of item and position must stay a sum
    p, (w_q, w_k, w_v) = reverse.position_embedding.weight, own.qkv.weight.view(3, d, d)
    own.positions.key_NF.data, own.positions.value_NF.data = p @ w_k.T, p @ w_v.T
    b_q = own.qkv.bias.data.view(3, d)[0]
    b_q += w_q @ p[0]  # the query's own position is the same everywhere
    items, _ = rows([8])
    x = shaw.embed_items(items)
    packed = shaw.blocks[0].attention(x, Sight())[0]
    for n in range(1, 9):
        prefix = reverse.embed_items(items[:, :n]) + reverse.add_positions(items[:, :n])
        alone = reverse.blocks[0].attention(prefix, Sight())[0, -1]
        torch.testing.assert_close(packed[n - 1], alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [n for n in OURS if not build_model(n, 1).looks_both_ways])
def test_shared_weights_start_alike_under_every_scheme(name):
    def shared(scheme):
        torch.manual_seed(7)
        state = build_model(name, N_ITEMS, **SMALL, positions=scheme).state_dict()
        return {k: v for k, v in state.items() if "position" not in k and k != "mask_embedding"}

    injection, absolute = build_model(name, 1).injections[0], shared("absolute")
    for scheme in SCHEMES:
        refused = {"shaw": injection.adds_keys, "rope": injection.adds_vectors}
        if refused.get(scheme):
            continue
        found = shared(scheme)
        for key, value in absolute.items():
            assert torch.equal(found[key], value), (scheme, key)


def test_masked_item_models_keep_absolute_positions():
    with pytest.raises(
        SeqattnError, match=r"BERT4Rec looks both ways, and positions = 'rope' looks"
    ):
        build_model("bert4rec", N_ITEMS, **SMALL, positions="rope")


def test_sinusoid_of_transformer_xl_spans_the_rates():
    r = sinusoid(torch.arange(3), 4)
    assert r[2].tolist() == pytest.approx(
        [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)], abs=1e-6
    )


def test_the_placebo_has_relative_biases_weights_and_loses_what_they_tell():
    torch.manual_seed(3)
    real, placebo = (
        SCHEMES[name](ModelConfig(**SMALL)).double() for name in ("relative", "shuffled")
    )
    real.bias_HN.data = torch.randn(real.bias_HN.shape, dtype=torch.double)
    assert [p.shape for p in placebo.parameters()] == [p.shape for p in real.parameters()]
    placebo.load_state_dict(real.state_dict())
    q = torch.zeros(1, 2, 9, 4, dtype=torch.double)
    kept = real(q, q)[2]
    first, second = placebo(q, q)[2], placebo(q, q)[2]
    assert not torch.equal(first, second)
    for t in range(9):  # each query sees the biases of its distances, in an order of its own
        for drawn in (first, second):
            assert torch.equal(
                drawn[:, t, : t + 1].sort().values, kept[:, t, : t + 1].sort().values
            )
    orders = {tuple(first[0, t, :5].argsort().tolist()) for t in range(4, 9)}
    assert len(orders) > 1


def test_the_placebo_draws_every_order_of_distances_as_often():
    torch.manual_seed(0)
    placebo = SCHEMES["shuffled"](ModelConfig(**SMALL))
    draws = torch.stack([placebo.entry(distances(3, 3))[2] for _ in range(3000)])
    _, counts = draws.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_the_placebos_evaluation_depends_on_no_other_row_and_on_no_earlier_pass():
    model = model_of(positions="shuffled")
    items, _ = rows([9, 4])
    both = model.next_item_hidden(items, None)
    torch.manual_seed(99)
    alone = model.next_item_hidden(items[1:, :4], None)
    torch.testing.assert_close(alone[0], both[1], rtol=0, atol=1e-12)
    with pytest.raises(SeqattnError, match=r"a history of 13 positions exceeds max_length = 12"):
        model(torch.ones(1, 13, dtype=torch.int64))
