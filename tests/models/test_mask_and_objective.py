"""Mask and objective, one changed at a time, and BERT4Rec's output layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from seqattn import build_model
from seqattn.config import ModelConfig, replace
from seqattn.errors import SeqattnError
from seqattn.models import is_masked

SMALL = {"max_length": 8, "hidden_size": 8, "inner_size": 16, "n_layers": 2, "n_heads": 2}
N_ITEMS = 20
ITEMS = torch.tensor([[3, 9, 4, 11, 2, 0, 0, 0], [7, 1, 8, 5, 6, 14, 19, 20]])
FACTORIAL = {  # model: whether it looks both ways, whether it fills in masked items
    "sasrec": (False, False),
    "causal-masked": (False, True),
    "bidirectional-next": (True, False),
    "bert4rec": (True, True),
}


def build(name, seed=0, **config):
    torch.manual_seed(seed)
    return build_model(name, N_ITEMS, **{**SMALL, **config}).eval()


@pytest.mark.parametrize("name", FACTORIAL)
def test_each_model_of_the_factorial_has_its_mask_and_objective(name):
    assert (build(name).looks_both_ways, is_masked(name)) == FACTORIAL[name]


@torch.no_grad()
def test_of_one_mask_the_hidden_states_are_the_same_whatever_the_objective():
    """On the same items: [MASK] is all that the objective adds to what is computed."""
    real = ITEMS > 0
    for one, other in (("sasrec", "causal-masked"), ("bert4rec", "bidirectional-next")):
        assert torch.equal(build(one)(ITEMS)[real], build(other)(ITEMS)[real])


@torch.no_grad()
def test_next_items_are_read_at_the_last_position_and_masked_ones_at_an_appended_mask():
    bidirectional, causal = build("bidirectional-next"), build("causal-masked")
    last = bidirectional(ITEMS)[torch.arange(2), torch.tensor([4, 7])]
    assert torch.equal(bidirectional.next_item_hidden(ITEMS), last)
    alone = causal(torch.tensor([[3, 9, 4, 11, 2, causal.mask_code]]))[:, -1]
    torch.testing.assert_close(causal.next_item_hidden(ITEMS)[:1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["bert4rec", "causal-masked", "local-ae", "sse-pt-ae"])
@torch.no_grad()
def test_an_appended_mask_scores_as_brute_force_does(name):
    """History by history, without padding, the oldest item of a full one dropped."""
    model = build(name)
    found = model.logits(model.next_item_hidden(ITEMS))
    for row, history in enumerate(ITEMS):
        kept = [code for code in history.tolist() if code][-(SMALL["max_length"] - 1) :]
        alone = model(torch.tensor([[*kept, model.mask_code]]))[0, -1]
        torch.testing.assert_close(found[row], model.logits(alone), rtol=1e-5, atol=1e-6)


def test_a_masked_item_is_filled_in_from_the_left_alone_under_a_causal_mask():
    model = build("causal-masked")
    hidden = torch.tensor([[3, 9, model.mask_code, 11, 2]])
    x = model.embed(hidden).detach().requires_grad_()
    model.read(x, model.sight(hidden, None))[0, 2, 0].backward()  # a sum of all is 0
    reached = x.grad[0].abs().sum(dim=-1) > 0
    assert reached.tolist() == [True, True, True, False, False]


# BERT4Rec's output layer ------------------------------------------------------------------------


@torch.no_grad()
def test_causal_bert4rec_is_sasrec_with_bert4recs_output_layer():
    causal, plain = build("causal-bert4rec"), build("sasrec")
    head = causal.head
    head.bias_V.data = torch.randn(N_ITEMS + 1)
    hidden = F.gelu(plain(ITEMS) @ head.dense.weight.T + head.dense.bias)
    hidden = F.layer_norm(hidden, (8,), eps=1e-12)
    scores = hidden @ plain.item_embedding.weight.T + head.bias_V
    torch.testing.assert_close(causal.logits(causal(ITEMS)), scores)
    same = build("sasrec", head="transform")
    for key, value in same.state_dict().items():
        if key != "head.bias_V":
            assert torch.equal(causal.state_dict()[key], value)


def test_the_output_layer_draws_after_what_all_share():
    plain, other = build("bert4rec").state_dict(), build("bert4rec", head="transform").state_dict()
    assert set(other) - set(plain) == {
        *("head.bias_V", "head.dense.weight", "head.dense.bias"),
        *("head.norm.weight", "head.norm.bias"),
    }
    for key, value in build("sasrec").state_dict().items():
        assert torch.equal(other[key], value), key


def test_every_part_of_the_output_layer_is_trained():
    for name in ("bert4rec", "causal-bert4rec"):
        model = build(name, head="transform")
        hidden = model(ITEMS)[ITEMS > 0]
        loss = F.cross_entropy(hidden @ model.scorers().T, ITEMS[ITEMS > 0])
        loss.backward()
        assert all(p.grad.abs().sum() > 0 for p in model.head.parameters())


def test_what_a_model_does_not_read_is_refused_by_name():
    with pytest.raises(SeqattnError, match="SASRec does not read local_window = 4"):
        build("sasrec", local_window=4)
    with pytest.raises(SeqattnError, match="BERT4Rec does not read locality = 'pure'"):
        build("bert4rec", locality="pure")
    with pytest.raises(SeqattnError, match="BidirectionalNext looks both ways, and positions"):
        build("bidirectional-next", positions="rope")
    with pytest.raises(SeqattnError, match="'head' must be one of tied, transform"):
        replace(ModelConfig(), head="bias")
