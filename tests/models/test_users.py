"""Users' vectors and stochastic shared embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from seqattn import build_model
from seqattn.config import ModelConfig, record
from seqattn.data.splits import Splitting, split
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone
from seqattn.models.users import replaced
from seqattn.training.ranking import Ranker

SMALL = {"max_length": 8, "hidden_size": 8, "inner_size": 16, "n_layers": 2, "n_heads": 2}
N_ITEMS, N_USERS = 20, 6
ITEMS = torch.tensor([[3, 9, 4, 11, 2, 0, 0, 0], [7, 1, 8, 5, 6, 14, 19, 20]])
USERS = torch.tensor([2, 5])
PLAIN = {"sse-pt-ar": "sasrec", "sse-pt-ae": "bert4rec"}
QUIET = {"sse_item": 0.0, "sse_user": 0.0, "hidden_dropout": 0.0, "attention_dropout": 0.0}


def build(name, seed=0, **config):
    torch.manual_seed(seed)
    model = build_model(name, N_ITEMS, **{**SMALL, **config})
    model.add_users(N_USERS)
    return model.eval()


def scores(model, *users):
    return model.logits(model.next_item_hidden(ITEMS, None, *users))


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_without_features_for_users_it_is_the_model_that_knows_none(name):
    model = build(name, user_share=0.0)
    assert torch.equal(scores(model, USERS), scores(build(PLAIN[name])))


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_with_empty_users_it_is_that_model_with_items_padded_by_zeros(name):
    model, plain = build(name), build(PLAIN[name])
    model.user_UF.zero_()
    plain.item_embedding.weight[:, 4:] = 0
    if name == "sse-pt-ae":
        plain.mask_embedding[4:] = 0
    torch.testing.assert_close(scores(model, USERS), scores(plain))


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_the_user_changes_the_scores_through_the_input_alone(name):
    """The published layout has the user's vector on the output side as well: <h, [e_j ; e_u]>."""
    model = build(name)
    found = scores(model, USERS)
    assert found.shape == (2, N_ITEMS + 1)
    assert not torch.allclose(scores(model, USERS.flip(0)), found)
    items, last = ITEMS, (ITEMS > 0).sum(dim=1) - 1
    if name == "sse-pt-ae":
        items, last = model.append_mask(ITEMS)
    whole = Backbone.read(model, model.embed(items, USERS), model.sight(items, None))
    h_BD = whole[torch.arange(2), last]  # all features, the users' among them
    e_j = model.item_embedding.weight[: N_ITEMS + 1, :4]
    for row, e_u in enumerate(model.user_vectors(USERS)):
        published = torch.cat([e_j, e_u.expand(len(e_j), -1)], dim=1) @ h_BD[row]
        assert not torch.allclose(published[1:], found[row, 1:])
        assert torch.equal(published[1:].argsort(), found[row, 1:].argsort())


@pytest.mark.parametrize("name", PLAIN)
def test_only_the_items_own_features_are_trained(name):
    model = build(name).train()
    hidden = model(ITEMS, None, 0, USERS)[ITEMS > 0]
    F.cross_entropy(hidden @ model.scorers().T, ITEMS[ITEMS > 0]).backward()
    gradient = model.item_embedding.weight.grad
    assert gradient[1:, :4].abs().sum() > 0 and not gradient[:, 4:].any()
    assert model.user_UF.grad.abs().sum() > 0


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_nobody_known_has_the_mean_of_the_users(name):
    model = build(name)
    nobody = torch.zeros(2, dtype=torch.long)
    assert torch.equal(scores(model), scores(model, nobody))
    torch.testing.assert_close(model.user_vectors(nobody)[0], model.user_UF.mean(dim=0))


def test_whom_training_never_saw_is_nobody_known(synthetic):
    later = split(synthetic.sequences, Splitting(time="quantile 0.8", validation="user"))
    known_U = later.train.lengths > 0
    for stage in ("valid", "test"):
        ranker = Ranker(later, stage)
        codes_N = ranker.gatherer.users_of(ranker.context.start).numpy()
        users_N = later.users(stage)
        assert (codes_N == np.where(known_U[users_N], 1 + users_N, 0)).all()
    assert not known_U[later.users("valid")].any()


# Stochastic shared embeddings -------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.92])
def test_as_many_are_replaced_as_a_binomial_says(p):
    """One in V draws gives the same item again."""
    torch.manual_seed(0)
    codes = torch.randint(1, 51, (40_000,))
    n_other = int((replaced(codes, p, 50) != codes).sum())
    assert stats.binomtest(n_other, len(codes), p * 49 / 50).pvalue > 1e-3
    drawn = replaced(torch.zeros(40_000, dtype=torch.long), 1.0, 50).numpy()
    assert stats.chisquare(np.bincount(drawn, minlength=51)[1:]).pvalue > 1e-3


def test_a_linear_models_embedding_is_right_on_average():
    """``E = (1 - p) e + p mean(e)``"""
    torch.manual_seed(0)
    table, p = torch.randn(10, 3, dtype=torch.float64), 0.3
    drawn = replaced(torch.full((200_000,), 4), p, 10)
    expected = (1 - p) * table[3] + p * table.mean(dim=0)
    torch.testing.assert_close(table[drawn - 1].mean(dim=0), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_in_training_items_and_users_are_replaced_and_padding_and_masks_are_not(name):
    model = build(name, **{**QUIET, "sse_item": 1.0})
    seen = []
    original = model.embed_items
    model.embed_items = lambda items: seen.append(items) or original(items)
    items = ITEMS.clone()
    if name == "sse-pt-ae":
        items[:, 2] = model.mask_code
    model.train()(items, None, 0, USERS)
    item = (items > 0) & (items <= N_ITEMS)
    assert torch.equal(seen[0][~item], items[~item])
    assert (seen[0][item] != items[item]).float().mean() > 0.7
    seen.clear()
    model.eval()(items, None, 0, USERS)
    assert torch.equal(seen[0], items)


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_with_every_user_replaced_nothing_is_left_of_who_it_was(name):
    model = build(name, **{**QUIET, "sse_user": 1.0}).train()
    outputs = []
    for users in (USERS, USERS.flip(0)):
        torch.manual_seed(3)
        outputs.append(model(ITEMS, None, 0, users))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_evaluation_is_the_same_under_any_seed_and_reads_what_was_given(name):
    told = {}
    for kind in ("quiet", "usual", "wrong"):
        own = QUIET if kind == "quiet" else {"sse_item": 0.5, "sse_evaluation": kind == "wrong"}
        model = build(name, **own)
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            found.append(scores(model, USERS))
        assert torch.equal(*found)
        told[kind] = found[0]
    assert torch.equal(told["quiet"], told["usual"])
    assert not torch.allclose(told["wrong"], told["usual"])


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_wrong_evaluation_draws_the_same_whatever_stands_beside(name):
    model = build(name, sse_user=0.5, sse_item=0.5, sse_evaluation=True)
    together = scores(model, USERS)
    rows = (model.next_item_hidden(ITEMS[[n]], None, USERS[[n]]) for n in range(len(USERS)))
    alone = model.logits(torch.cat([*rows]))
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("probability", [0.1, 0.92])
def test_draws_that_follow_from_numbers_look_random(probability):
    codes = torch.arange(1, 20_001)
    drawn = replaced(codes, probability, 10, codes, 0 * codes)
    assert torch.equal(drawn, replaced(codes, probability, 10, codes, 0 * codes))
    changed = drawn[10:] != codes[10:]  # whose own code can not be drawn
    assert stats.binomtest(int(changed.sum()), len(changed), probability).pvalue > 1e-3
    counts = torch.bincount(drawn[10:][changed], minlength=11)[1:]
    assert len(counts) == 10 and stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_weights_are_read_whatever_number_of_users_they_are_of():
    fitted = build("sse-pt-ar")
    model = build_model("sse-pt-ar", N_ITEMS, **SMALL).eval()
    model.load_state_dict(fitted.state_dict())
    with torch.no_grad():
        assert torch.equal(scores(model, USERS), scores(fitted, USERS))


def test_the_fields_are_refused_where_nobody_reads_them_and_left_out_of_records():
    assert not {"user_share", "sse_user", "sse_item", "sse_evaluation"} & set(record(ModelConfig()))
    with pytest.raises(SeqattnError, match=r"SASRec does not read sse_item = 0\.5"):
        build_model("sasrec", N_ITEMS, **SMALL, sse_item=0.5)
    with pytest.raises(SeqattnError, match=r"'user_share' must be in \[0, 1\)"):
        ModelConfig(user_share=1.0)
