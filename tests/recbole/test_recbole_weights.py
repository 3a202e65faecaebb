"""RecBole's SASRec, converted, is the same function."""

from __future__ import annotations

import pytest

pytest.importorskip("recbole.config")

import numpy as np
import torch
import torch.nn.functional as F
from recbole_logs import padded_batch, recbole_sasrec

from seqattn.errors import SeqattnError
from seqattn.recbole import from_recbole

N_ITEMS = 30
CONFIGURATIONS = [
    {"n_layers": 1, "n_heads": 1, "hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 5},
    {"n_layers": 2, "n_heads": 2, "hidden_size": 16, "inner_size": 24, "MAX_ITEM_LIST_LENGTH": 9},
    {"n_layers": 3, "n_heads": 4, "hidden_size": 32, "inner_size": 64, "MAX_ITEM_LIST_LENGTH": 50},
]


def _batch(options: dict[str, int], seed: int):
    width = options["MAX_ITEM_LIST_LENGTH"]
    lengths = np.random.default_rng(seed).integers(1, width + 1, size=6).tolist()
    return padded_batch(N_ITEMS, [1, width, *lengths], width, seed)


def _recbole_batch(model, items, length, targets):
    return {model.ITEM_SEQ: items, model.ITEM_SEQ_LEN: length, model.POS_ITEM_ID: targets}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", CONFIGURATIONS)
def test_copied_weights_give_the_same_scores(options, seed):
    theirs = recbole_sasrec(N_ITEMS, seed, **options).eval()
    ours = from_recbole(theirs).eval()
    items, length, _ = _batch(options, seed)
    with torch.no_grad():
        expected = theirs.full_sort_predict(_recbole_batch(theirs, items, length, None))
        found = ours.logits(ours.next_item_hidden(items))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", CONFIGURATIONS)
def test_copied_weights_give_the_same_loss_and_gradients(options):
    theirs = recbole_sasrec(N_ITEMS, 5, **options).double()
    ours = from_recbole(theirs)
    items, length, _ = _batch(options, 5)
    targets = torch.randint(1, N_ITEMS + 1, (len(items),))
    expected = theirs.calculate_loss(_recbole_batch(theirs, items, length, targets))
    found = F.cross_entropy(ours.logits(ours.next_item_hidden(items)), targets)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)

    found.backward()
    expected.backward()
    theirs_by_name = {name: value.grad for name, value in theirs.named_parameters()}
    gradients = from_recbole(theirs_by_name, n_heads=options["n_heads"]).state_dict()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-7, atol=1e-12)


def test_a_state_dict_converts_like_its_model():
    theirs = recbole_sasrec(N_ITEMS, **CONFIGURATIONS[1])
    by_model, by_state = from_recbole(theirs), from_recbole(theirs.state_dict(), n_heads=2)
    for name, value in by_model.state_dict().items():
        assert torch.equal(value, by_state.state_dict()[name])


def test_conversion_copies_and_draws_no_random_number():
    theirs = recbole_sasrec(N_ITEMS, **CONFIGURATIONS[0])
    before = torch.get_rng_state()
    ours = from_recbole(theirs)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
    assert all(parameter.requires_grad for parameter in ours.parameters())
    assert all(parameter.abs().sum() > 0 for parameter in theirs.parameters())


def test_a_models_dropouts_are_kept():
    options = {"hidden_dropout_prob": 0.3, "attn_dropout_prob": 0.4}
    config = from_recbole(recbole_sasrec(N_ITEMS, **CONFIGURATIONS[0], **options)).config
    assert (config.hidden_dropout, config.attention_dropout) == (0.3, 0.4)


def test_missing_unknown_and_misshapen_weights_are_named():
    state = recbole_sasrec(N_ITEMS, **CONFIGURATIONS[1]).state_dict()
    key = "trm_encoder.layer.1.multi_head_attention.key.weight"
    cases = [
        ({k: v for k, v in state.items() if k != key}, f"lacks the key '{key}'"),
        ({}, r"lacks the key 'item_embedding.weight' and \d+ more"),
        ({**state, "gru.weight_ih_l0": torch.ones(1)}, "'gru.weight_ih_l0'"),
        ({**state, key: torch.ones(16, 3)}, rf"{key}: expected shape \(16, 16\), found \(16, 3\)"),
        ({**state, key: torch.ones(())}, rf"{key}: expected shape"),
        (
            {**state, "item_embedding.weight": torch.ones(4)},
            "item_embedding.weight: expected a mat",
        ),
    ]
    for bad, message in cases:
        with pytest.raises(SeqattnError, match=message):
            from_recbole(bad, n_heads=2)


def test_what_a_state_dict_cannot_tell_is_asked_for():
    theirs = recbole_sasrec(N_ITEMS, **CONFIGURATIONS[1])
    with pytest.raises(SeqattnError, match="give n_heads"):
        from_recbole(theirs.state_dict())
    with pytest.raises(SeqattnError, match="multiple of n_heads = 3"):
        from_recbole(theirs.state_dict(), n_heads=3)
    with pytest.raises(SeqattnError, match="n_heads = 4 contradicts the model's 2"):
        from_recbole(theirs, n_heads=4)
    with pytest.raises(SeqattnError, match="hidden_act is 'relu'"):
        from_recbole(recbole_sasrec(N_ITEMS, **CONFIGURATIONS[1], hidden_act="relu"))
