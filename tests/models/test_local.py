"""Local heads: where they look, how far layers reach, and what the dial's ends are."""

from __future__ import annotations

import pytest
import torch

from seqattn import build_model
from seqattn.config import ModelConfig, record, replace
from seqattn.errors import SeqattnError
from seqattn.models.backbone import LocalAE
from seqattn.models.local import EVERYWHERE, WindowedAE

SMALL = {"max_length": 12, "hidden_size": 8, "inner_size": 16, "n_layers": 2, "n_heads": 2}
N_ITEMS, T = 30, 12
DIAL = [0, 1, 2, 4, 8, EVERYWHERE]
GLOBAL = {"local-ae": "bert4rec", "local-ar": "sasrec"}
HISTORY = torch.arange(1, T + 1)[None]


def build(name, seed=0, **config):
    torch.manual_seed(seed)
    return build_model(name, N_ITEMS, **{**SMALL, **config}).eval()


@pytest.mark.parametrize("locality", ["mixed", "pure"])
@pytest.mark.parametrize("w", DIAL)
@pytest.mark.parametrize("name", GLOBAL)
@torch.no_grad()
def test_local_heads_look_exactly_as_far_as_the_window(name, w, locality):
    maps = build(name, local_window=w, locality=locality).attention_maps(HISTORY)
    for head in range(2):
        for i in range(T):
            is_local = w != EVERYWHERE and (head == 0 or locality == "pure")
            reach = w if is_local else T
            last = i if name == "local-ar" else min(i + reach, T - 1)
            seen = range(max(i - reach, 0), last + 1)
            for layer in range(2):
                assert maps[layer, 0, head, i].nonzero().flatten().tolist() == list(seen)


def dependence(name, n_layers, w, length):
    """Return which items of a history its prediction depends on, to the last bit."""
    model = build(name, local_window=w, locality="pure", n_layers=n_layers).double()
    for block in model.blocks:
        block.attention.output.weight.mul_(20)  # or a far item's share is lost in rounding
    before = model.next_item_hidden(HISTORY[:, :length])
    changed = []
    for place in range(length):
        other = HISTORY[:, :length].clone()
        other[:, place] = N_ITEMS
        if not torch.equal(model.next_item_hidden(other), before):
            changed.append(place)
    return changed


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("w", [0, 1, 2, 4])
@torch.no_grad()
def test_layers_reach_their_number_of_windows(w, n_layers):
    """AR reads that many items beside the last; [MASK] takes the last one's place in AE."""
    length = T - 1  # no item has to make room for [MASK]
    reach = n_layers * w
    seen = dependence("local-ar", n_layers, w, length)
    assert seen == list(range(max(length - reach - 1, 0), length))
    seen = dependence("local-ae", n_layers, w, length)
    assert seen == list(range(max(length - reach, 0), length))


@torch.no_grad()
def test_without_a_window_only_the_last_item_matters_to_ar_and_only_the_length_to_ae():
    ar, ae = (build(name, local_window=0, locality="pure") for name in ("local-ar", "local-ae"))
    other = HISTORY.flip(1).clone()
    other[:, 6] = HISTORY[:, 6]
    for length in (3, 7):
        one, two = HISTORY[:, :length], other[:, :length]
        same = torch.equal(ar.next_item_hidden(one), ar.next_item_hidden(two))
        assert same == (length == 7)
        assert torch.equal(ae.next_item_hidden(one), ae.next_item_hidden(two))
    assert not torch.equal(ae.next_item_hidden(one), ae.next_item_hidden(one[:, :3]))


@pytest.mark.parametrize("locality", ["mixed", "pure"])
@pytest.mark.parametrize("name", GLOBAL)
@torch.no_grad()
def test_a_window_of_everything_is_the_model_without_one(name, locality):
    items = torch.tensor([[4, 9, 2, 0, 0], [1, 2, 3, 4, 5]])
    plain = build(GLOBAL[name])(items)
    assert torch.equal(build(name, local_window=EVERYWHERE, locality=locality)(items), plain)
    wide = build(name, local_window=T, locality=locality)(items)
    real = items > 0
    torch.testing.assert_close(wide[real], plain[real])


@pytest.mark.parametrize("scheme", ["relative", "t5"])
@pytest.mark.parametrize(("locality", "local_heads"), [("mixed", [0]), ("pure", [0, 1])])
@torch.no_grad()
def test_a_window_is_a_bias_by_distance_that_is_minus_infinity_beyond_it(
    scheme, locality, local_heads
):
    local = build("local-ar", local_window=2, locality=locality, positions="none")
    for parameter in local.parameters():
        parameter += 0.3 * torch.randn_like(parameter)
    biased = build("sasrec", positions=scheme)
    biased.load_state_dict(local.state_dict(), strict=False)  # which has no biases: they are 0
    for block in biased.blocks:
        block.attention.positions.bias_HN[local_heads, 3:] = -torch.inf
    torch.testing.assert_close(local(HISTORY), biased(HISTORY), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_dials_usual_place_is_local_ae_as_it_was():
    config = ModelConfig(**SMALL)
    assert (config.local_window, config.locality) == (2, "mixed")
    assert not {"local_window", "locality", "head"} & set(record(config))
    usual, dialled = build("local-ae"), build("local-ae", local_window=1)
    assert type(usual) is LocalAE and type(dialled) is WindowedAE
    torch.manual_seed(0)
    same = WindowedAE(N_ITEMS, config).eval()
    items = torch.tensor([[4, 9, 2, 0, 0, 0], [1, 2, 3, 4, 5, 6]])
    assert torch.equal(usual(items), same(items))
    for key, value in usual.state_dict().items():
        assert torch.equal(dialled.state_dict()[key], value)


def test_what_would_reach_beyond_a_window_is_refused():
    for changed in (
        {"sliding_window": 5, "positions": "relative"},
        {"kernel": "keys"},
        {"n_queries": 2},
    ):
        with pytest.raises(SeqattnError, match="local-ar has a window of its own"):
            build("local-ar", **changed)
    assert build("local-ar", positions="relative")(HISTORY).shape == (1, T, 8)
    with pytest.raises(SeqattnError, match="'local_window' must be at least 0, or -1 for all"):
        replace(ModelConfig(), local_window=-2)
    with pytest.raises(SeqattnError, match="'locality' must be one of mixed, pure"):
        replace(ModelConfig(), locality="half")
