"""Several queries and positional kernels: off-switches, explicit loops, and what they promise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqattn.config import POOLINGS, QUERY_SCOPES, ModelConfig
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.models.attention import Attention, Sight
from seqattn.models.kernels import PositionalKernel, filtered
from seqattn.models.queries import SeveralQueries
from seqattn.models.reference import attention as reference_attention

SMALL = {"max_length": 10, "hidden_size": 8, "inner_size": 8, "n_layers": 2, "n_heads": 2}
N_ITEMS = 30


def model_of(name="sasrec", **config):
    torch.manual_seed(0)
    model = build_model(name, N_ITEMS, **{**SMALL, **config}).double().eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, dtype=torch.double)
    return model


def history(n, seed=1):
    generator = torch.Generator().manual_seed(seed)
    items = torch.randint(1, N_ITEMS + 1, (1, n), generator=generator)
    return items, torch.randint(1, 6, (1, n), generator=generator).double()


# Several queries ------------------------------------------------------------------------------


def loop(layer, x_TD, pooling, scope):
    """[MIQ] position by position, query by query and head by head, as written on the page."""
    m, h, (t, d) = layer.m, layer.n_heads, x_TD.shape
    f = d // h
    w_q, w_k, w_v = layer.qkv.weight.view(3, d, d)
    b_q, b_k, b_v = layer.qkv.bias.view(3, d)
    w_early, b_early = layer.earlier.weight.view(m - 1, d, d), layer.earlier.bias.view(m - 1, d)
    keys, values = x_TD @ w_k.T + b_k, x_TD @ w_v.T + b_v
    rows = []
    for n in range(t):
        entries = torch.cat([layer.before_first, x_TD[: n + 1]])[-m:]
        outputs = []
        for j, entry in enumerate(entries):
            own = j == m - 1
            q = w_q @ entry + b_q if own else w_early[j] @ entry + b_early[j]
            end = n if scope == "current" else max(n - (m - 1 - j), 0)
            heads = []
            for head in range(h):
                part = slice(head * f, (head + 1) * f)
                logits = keys[: end + 1, part] @ q[part] / math.sqrt(f)
                heads.append(torch.softmax(logits, dim=0) @ values[: end + 1, part])
            outputs.append(torch.cat(heads))
        o = torch.stack(outputs)
        if pooling == "mean":
            pooled = o.mean(dim=0)
        else:
            asking = o @ layer.pool_query.weight.T
            alpha = torch.softmax(asking @ (o @ layer.pool_key.weight.T).T / math.sqrt(d), dim=-1)
            torch.testing.assert_close(alpha.sum(dim=-1), torch.ones(m, dtype=torch.double))
            pooled = alpha[-1] @ o if pooling == "current" else (alpha @ o).mean(dim=0)
        rows.append(layer.output(pooled))
    return torch.stack(rows)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("scope", QUERY_SCOPES)
@pytest.mark.parametrize("m", [2, 3, 5])
def test_several_queries_are_an_explicit_loop(m, scope, pooling):
    layer = model_of(n_queries=m, query_pooling=pooling, query_scope=scope).blocks[0].attention
    x = torch.randn(2, 7, SMALL["hidden_size"], dtype=torch.double)
    fused = layer(x, Sight())
    for row in range(2):
        expected = loop(layer, x[row], pooling, scope)
        torch.testing.assert_close(fused[row], expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(layer(x, Sight(), 4), fused[:, 4:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ["sasrec", "ia-add", "ia-mul", "ia-val"])
def test_queries_that_are_all_the_current_ones_are_the_model_without(name, pooling):
    """Whatever the pooling: their contexts are one."""
    several = model_of(name, n_queries=3, query_pooling=pooling)
    plain = model_of(name)
    plain.load_state_dict({k: several.state_dict()[k] for k in plain.state_dict()})
    items, stars = history(6)
    assert (several(items, stars) - plain(items, stars)).abs().max() > 1e-3
    for block in several.blocks:  # all queries the current position's own, which no setting gives
        layer = block.attention
        layer.earlier_queries = lambda x, layer=layer: [layer.project(x)[0]] * (layer.m - 1)
    torch.testing.assert_close(several(items, stars), plain(items, stars), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n_queries", "kind"), [(1, Attention), (2, SeveralQueries)])
def test_one_query_is_attention_as_it_is(n_queries, kind):
    blocks = model_of(n_queries=n_queries).blocks
    assert [type(block.attention) for block in blocks] == [kind] * SMALL["n_layers"]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_interactions_and_their_queries_weights_may_change_places_together(pooling):
    """Keys have no order here; a pooling that asks from the current position's context has one."""
    m, d, order = 4, SMALL["hidden_size"], [2, 0, 3, 1]
    model = model_of(n_queries=m, query_pooling=pooling, positions="none")
    layer = model.blocks[0].attention
    x = torch.randn(1, 7, d, dtype=torch.double)
    before = layer(x, Sight())[:, -1]
    with torch.no_grad():
        for name in ("weight", "bias"):
            earlier, own = getattr(layer.earlier, name), getattr(layer.qkv, name)
            each = torch.cat([earlier, own[:d]]).unflatten(0, (m, d))[order]
            earlier.copy_(each[:-1].flatten(0, 1))
            own[:d] = each[-1]
    moved = torch.cat([x[:, :-m], x[:, -m:][:, order]], dim=1)
    after = layer(moved, Sight())[:, -1]
    if pooling == "current":
        assert (after - before).abs().max() > 1e-3
    else:
        torch.testing.assert_close(after, before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_poolings_weights_sum_to_1(pooling):
    """What is 1 in all m contexts, here the first feature of each head, is their sum."""
    layer = model_of(n_queries=3, query_pooling=pooling).blocks[0].attention
    context_BHmSF = torch.randn(2, 2, 3, 6, 4, dtype=torch.double)
    context_BHmSF[..., 0] = 1
    pooled_BSHF = layer.pooled(context_BHmSF).unflatten(2, (2, 4))
    ones = torch.ones(2, 6, 2, dtype=torch.double)
    torch.testing.assert_close(pooled_BSHF[..., 0], ones, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", ["current", "all"])
def test_pooling_with_keys_of_0_is_the_mean(pooling):
    model, mean = (model_of(n_queries=3, query_pooling=name) for name in (pooling, "mean"))
    mean.load_state_dict({k: model.state_dict()[k] for k in mean.state_dict()})
    items, _ = history(6)
    assert (model(items) - mean(items)).abs().max() > 1e-3
    for block in model.blocks:
        block.attention.pool_key.weight.data.zero_()
    torch.testing.assert_close(model(items), mean(items), rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", ["absolute", "none", "alibi"])
@pytest.mark.parametrize("scope", QUERY_SCOPES)
def test_the_future_and_padding_change_nothing(scope, positions):
    model = model_of("ia-mul", n_queries=3, query_scope=scope, positions=positions)
    items, stars = history(7)
    hidden = model(items, stars)
    torch.testing.assert_close(model(items[:, :5], stars[:, :5]), hidden[:, :5], rtol=0, atol=1e-10)
    padded = [torch.nn.functional.pad(x, (0, 2)) for x in (items, stars)]
    torch.testing.assert_close(model(*padded)[:, :7], hidden, rtol=0, atol=1e-10)


def test_the_vectors_before_a_history_teach_its_first_positions_alone():
    model = model_of(n_queries=4, n_layers=1)
    layer = model.blocks[0].attention
    x = torch.randn(1, 6, SMALL["hidden_size"], dtype=torch.double)
    for n in range(6):
        (gradient,) = torch.autograd.grad(layer(x, Sight())[0, n].sum(), layer.before_first)
        reached = gradient.abs().sum(dim=1) > 1e-12
        # The first position has one key, which it reads whatever it asks.
        assert reached.tolist() == [1 <= n <= j for j in range(3)]


@given(m=st.integers(1, 6), d=st.sampled_from([4, 8, 12]))
@settings(max_examples=15, deadline=None)
def test_it_has_the_parameters_the_page_counts(m, d):
    def size(**config):
        sizes = {**SMALL, "hidden_size": d, "n_layers": 1, **config}
        return sum(p.numel() for p in build_model("sasrec", N_ITEMS, **sizes).parameters())

    more = size(n_queries=m) - size()
    # Weights and biases of m - 1 queries, the vectors before a history, W_Q and W_K.
    assert more == (0 if m == 1 else (m - 1) * (d * d + 2 * d) + 2 * d * d)
    if m > 1:
        assert size(n_queries=m, query_pooling="mean") - size() == (m - 1) * (d * d + 2 * d)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_queries": 0}, "'n_queries' must be at least 1, not 0"),
        ({"query_pooling": "max"}, "'query_pooling' must be one of current, all, mean"),
        *(
            ({"n_queries": 2, "positions": name}, f"{name!r} would count all their distances")
            for name in ("relative", "t5", "rope", "shaw", "transformer-xl")
        ),
        ({"query_pooling": "mean"}, "'n_queries' must be at least 2 where query_pooling"),
        ({"query_scope": "own"}, "'n_queries' must be at least 2 where query_pooling"),
        (
            {"n_queries": 2, "positions": "rope", "sliding_window": 5},
            "'n_queries' must be 1 under a sliding_window",
        ),
        ({"kernel": "queries"}, "'kernel' must be one of none, keys, values, both"),
    ],
)
def test_what_does_not_go_together_is_refused(config, message):
    with pytest.raises(SeqattnError, match=message):
        build_model("sasrec", N_ITEMS, **SMALL, **config)


@pytest.mark.parametrize("field", [{"n_queries": 2}, {"kernel": "both"}, {"positions": "rope"}])
def test_masked_item_models_keep_their_attention(field):
    with pytest.raises(SeqattnError, match="LocalAE looks both ways"):
        build_model("local-ae", N_ITEMS, **SMALL, **field)


# Positional kernels ---------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["keys", "values", "both"])
@pytest.mark.parametrize("name", ["sasrec", "ia-add", "ia-mul", "ia-val"])
def test_a_kernel_starts_as_the_model_without(name, kernel):
    torch.manual_seed(3)
    plain = build_model(name, N_ITEMS, **SMALL).eval()
    torch.manual_seed(3)
    model = build_model(name, N_ITEMS, **SMALL, kernel=kernel).eval()
    items, stars = history(8)
    assert torch.equal(model(items, stars.float()), plain(items, stars.float()))


def test_a_kernel_is_its_triangular_matrices():
    """``softmax(Q K' U / sqrt(F) + mask) L V`` by [IA]'s reference attention, head by head."""
    t, h, f = 9, 2, 4
    kernel = PositionalKernel(ModelConfig(**SMALL, kernel="both"))
    for taps in kernel.parameters():
        taps.data = torch.randn(taps.shape)
    q, k, v = torch.randn(3, 1, h, t, f).unbind(0)
    keys, values = kernel(k, v)
    for head in range(h):
        upper, lower = torch.zeros(t, t), torch.zeros(t, t)
        for i in range(t):
            for j in range(i, t):
                upper[i, j] = kernel.keys_HN[head, j - i]
                lower[j, i] = kernel.values_HN[head, j - i]
        logits = q[0, head] @ k[0, head].T @ upper / math.sqrt(f)
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        expected = torch.softmax(logits.masked_fill(future, -torch.inf), dim=-1)
        expected = expected @ lower @ v[0, head]
        got = reference_attention(q[0, head], keys[0, head], values[0, head])
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("back", [0, 1, 3])
def test_a_single_tap_reads_the_position_that_far_back(back):
    taps = torch.zeros(2, 5)
    taps[:, back] = 1
    x = torch.randn(1, 2, 8, 4)
    read = filtered(x, taps)
    assert torch.equal(read[:, :, back:], x[:, :, : 8 - back])
    assert not read[:, :, :back].any()
    dense = torch.nn.functional.conv1d(  # a filter as signal processing has it
        torch.nn.functional.pad(x.transpose(2, 3).reshape(8, 1, 8), (4, 0)),
        taps[0].flip(0)[None, None],
    )
    torch.testing.assert_close(read, dense.view(1, 2, 4, 8).transpose(2, 3))


@pytest.mark.parametrize("back", [0, 1, 3])
def test_attention_to_the_own_position_alone_reads_the_value_that_a_tap_fetches(back):
    layer = model_of(kernel="values", positions="relative").blocks[0].attention
    layer.positions.bias_HN.data[:, 1:] = -torch.inf
    layer.kernel.values_HN.data.zero_()[:, back] = 1
    x = torch.randn(1, 8, SMALL["hidden_size"], dtype=torch.double)
    values = layer.qkv(x).chunk(3, dim=-1)[2]
    fetched = torch.nn.functional.pad(values, (0, 0, back, 0))[:, :8]
    torch.testing.assert_close(layer(x, Sight()), layer.output(fetched), rtol=0, atol=1e-12)


def test_the_gate_is_a_relative_bias():
    """``A[t, i] c[t - i]``, renormalised, is a bias of log c on the logits."""
    t, f = 6, 4
    q, k = torch.randn(2, t, f)
    c = torch.rand(t) + 0.1
    future = torch.ones(t, t, dtype=torch.bool).triu(1)
    weights = torch.softmax((q @ k.T).masked_fill(future, -torch.inf), dim=-1)
    distance = (torch.arange(t)[:, None] - torch.arange(t)).clamp(min=0)
    gated = weights * c[distance]
    gated = gated / gated.sum(dim=-1, keepdim=True)
    scheme = build_model(
        "sasrec", N_ITEMS, max_length=t, hidden_size=f, n_heads=1, positions="relative"
    )
    layer = scheme.blocks[0].attention
    layer.positions.bias_HN.data = c.log()[None]
    bias = layer.positions(q[None, None], k[None, None])[2][0]
    torch.testing.assert_close(
        torch.softmax((q @ k.T + bias).masked_fill(future, -torch.inf), dim=-1), gated
    )


@pytest.mark.parametrize("positions", ["none", "absolute", "rope"])
def test_a_packed_row_with_a_kernel_is_one_row_per_prefix(positions):
    model = model_of("ia-add", kernel="both", positions=positions)
    items, stars = history(9)
    hidden = model(items, stars)
    for n in range(1, 10):
        alone = model(items[:, :n], stars[:, :n])[:, -1]
        torch.testing.assert_close(hidden[:, n - 1], alone, rtol=0, atol=1e-10)
