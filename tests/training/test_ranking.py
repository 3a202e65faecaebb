from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays

import seqattn.training.ranking as evaluation
from seqattn.data import Interactions, Sequences, leave_one_out
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.presets import get_preset
from seqattn.stats.metrics import METRICS, metric
from seqattn.training.ranking import Ranker, rank_targets


class FixedScores:
    """Stands in for a model: gives each user a row of scores."""

    def __init__(self, scores_UV: np.ndarray) -> None:
        self.scores = torch.as_tensor(scores_UV, dtype=torch.float32)
        self.config = type("Config", (), {"max_length": 50})
        self.training, self.needs_user, self.next_user = False, False, 0

    def eval(self):
        return self

    def train(self, mode):
        return self

    def next_item_hidden(self, items_BT, intensity_BT):
        return torch.zeros(len(items_BT), 1)

    def logits(self, hidden):
        first, self.next_user = self.next_user, self.next_user + len(hidden)
        return self.scores[first : self.next_user].clone()


def _naive_rank(scores: np.ndarray, target: int, hidden: set[int]) -> int:
    others = [s for item, s in enumerate(scores) if item not in (0, target) and item not in hidden]
    higher = sum(s > scores[target] for s in others)
    ties = sum(s == scores[target] for s in others)
    return 1 + higher + ties // 2


@pytest.mark.parametrize("stage", ["valid", "test"])
@given(data=st.data())
def test_ranks_equal_a_naive_loop_with_ties_and_seen_items(stage, data, synthetic):
    shape = (synthetic.n_users, synthetic.n_items + 1)
    scores = data.draw(arrays(np.float32, shape, elements=st.integers(0, 6)))
    ranks = rank_targets(FixedScores(scores), synthetic.split, stage)
    context, targets = synthetic.split.context(stage), synthetic.split.targets(stage)
    for user in range(0, synthetic.n_users, 7):
        seen = set(context.items[context.offsets[user] : context.offsets[user + 1]].tolist())
        target = int(targets[user])
        assert ranks["unfiltered"][user] == _naive_rank(scores[user], target, set())
        assert ranks["filtered"][user] == _naive_rank(scores[user], target, seen)


def test_ranks_do_not_depend_on_how_many_users_are_ranked_at_once(synthetic, monkeypatch):
    scores = np.random.default_rng(0).normal(size=(synthetic.n_users, synthetic.n_items + 1))
    whole = rank_targets(FixedScores(scores), synthetic.split, "test")
    monkeypatch.setattr(evaluation, "SCORES_AT_ONCE", 5 * (synthetic.n_items + 1))
    parts = rank_targets(FixedScores(scores), synthetic.split, "test")
    for kind in whole:
        assert np.array_equal(whole[kind], parts[kind])


@pytest.mark.parametrize("name", ["ia-val", "bert4rec"])
@pytest.mark.parametrize("positions", [1, 100, 10**6])
def test_each_user_has_the_rank_of_its_own_history(synthetic, monkeypatch, name, positions):
    monkeypatch.setattr(evaluation, "POSITIONS_AT_ONCE", positions)
    torch.manual_seed(0)
    model = build_model(name, synthetic.n_items, **vars(get_preset("smoke").model)).eval()
    ranks = rank_targets(model, synthetic.split, "test")["unfiltered"]
    context = synthetic.split.context("test")
    for user in range(0, synthetic.n_users, 7):
        seen = slice(*context.offsets[user : user + 2])
        items, intensity = context.items[seen], context.intensity[seen]
        with torch.inference_mode():
            hidden = model.next_item_hidden(
                torch.tensor(items[None, -10:]), torch.tensor(intensity[None, -10:])
            )
            scores = model.logits(hidden)[0].numpy()
        target = int(synthetic.split.targets("test")[user])
        assert abs(ranks[user] - _naive_rank(scores, target, set())) <= 1


def test_constant_scores_are_never_favourable(synthetic):
    scores = np.zeros((synthetic.n_users, synthetic.n_items + 1))
    ranks = rank_targets(FixedScores(scores), synthetic.split, "test")["unfiltered"]
    assert set(ranks) == {1 + (synthetic.n_items - 1) // 2}


def test_padding_is_never_ranked(synthetic):
    scores = np.zeros((synthetic.n_users, synthetic.n_items + 1))
    scores[:, 0] = 100
    scores[np.arange(synthetic.n_users), synthetic.split.targets("test")] = 1
    assert (rank_targets(FixedScores(scores), synthetic.split, "test")["unfiltered"] == 1).all()


def test_scores_that_are_not_finite_are_refused(synthetic):
    scores = np.full((synthetic.n_users, synthetic.n_items + 1), np.nan)
    with pytest.raises(SeqattnError, match="not finite"):
        rank_targets(FixedScores(scores), synthetic.split, "valid")


def test_metrics_match_hand_computed_values():
    ranks = np.array([1, 2, 10, 11])
    np.testing.assert_allclose(metric(ranks, "Recall", 10), [1, 1, 1, 0])
    np.testing.assert_allclose(metric(ranks, "NDCG", 10), [1, 0.63093, 0.28906, 0], atol=1e-5)
    np.testing.assert_allclose(metric(ranks, "MRR", 10), [1, 0.5, 0.1, 0])


@given(ranks=arrays(np.int32, 20, elements=st.integers(1, 500)), k=st.integers(1, 100))
def test_metrics_lie_in_order(ranks, k):
    recall, ndcg, mrr = (metric(ranks, name, k) for name in ("Recall", "NDCG", "MRR"))
    assert ((mrr <= ndcg + 1e-12) & (ndcg <= recall)).all()
    assert all((metric(ranks, name, k) <= metric(ranks, name, k + 1)).all() for name in METRICS)


def test_bad_metric_requests_are_refused():
    with pytest.raises(SeqattnError, match="unknown metric 'ndcg'"):
        metric(np.array([1]), "ndcg", 10)
    with pytest.raises(SeqattnError, match="start at 1"):
        metric(np.array([0]), "NDCG", 10)


@pytest.mark.parametrize("at_once", [1, 200, 2**24])
def test_targets_of_one_history_share_it_and_are_ranked_alike_however_many_at_once(
    several, monkeypatch, at_once
):
    """By hand: a target is predicted from all before it, which filtered ranks leave out."""
    monkeypatch.setattr(evaluation, "SCORES_AT_ONCE", at_once)
    ranker, split = evaluation.Ranker(several.split, "test"), several.split
    assert len(ranker.gatherer.items) == len(split.histories)
    scores_NV = np.random.default_rng(0).permuted(
        np.tile(np.arange(several.n_items + 1.0), (len(split.rows("test")), 1)), axis=1
    )
    told = ranker.rank(lambda rows: torch.tensor(scores_NV[rows]))
    context, targets_N = split.context("test"), split.targets("test")
    for number, (scores_V, target) in enumerate(zip(scores_NV, targets_N, strict=True)):
        seen = context.items[context.offsets[number] : context.offsets[number + 1]]
        higher = {v for v in range(1, several.n_items + 1) if scores_V[v] > scores_V[target]}
        assert told["unfiltered"][number] == 1 + len(higher)
        assert told["filtered"][number] == 1 + len(higher - set(seen))


def test_a_target_that_its_user_has_already_stays_among_the_filtered_items():
    """With `duplicates: keep` an item may come again; by hand: only the others are left out."""
    rows = {"user": [1] * 5, "item": list("abcda"), "timestamp": range(5)}
    log = Interactions.from_frame(pd.DataFrame(rows))
    ranker = Ranker(leave_one_out(Sequences.from_interactions(log)), "test")
    told = ranker.rank(lambda users: torch.tensor([[9.0, 1.0, 2.0, 0.0, 3.0]]))
    assert (told["unfiltered"].item(), told["filtered"].item()) == (3, 1)


def test_scores_that_differ_by_little_are_not_ties(synthetic):
    shape = (synthetic.n_users, synthetic.n_items + 1)
    scores = 1000 + torch.arange(shape[1]) * 2.0**-10
    told = Ranker(synthetic.split, "test").rank(lambda users: scores.expand(len(users), -1).clone())
    assert (told["unfiltered"] == 1 + synthetic.n_items - synthetic.split.targets("test")).all()


@pytest.mark.parametrize("name", ["sse-pt-ar", "sse-pt-ae"])
@pytest.mark.parametrize("positions", [1, 100, 10**6])
def test_each_user_is_ranked_by_its_own_vector(synthetic, monkeypatch, name, positions):
    monkeypatch.setattr(evaluation, "POSITIONS_AT_ONCE", positions)
    torch.manual_seed(0)
    model = build_model(name, synthetic.n_items, **vars(get_preset("smoke").model)).eval()
    model.add_users(synthetic.n_users)
    with torch.no_grad():
        model.user_UF.mul_(100)
    ranks = rank_targets(model, synthetic.split, "test")["unfiltered"]
    context, targets = synthetic.split.context("test"), synthetic.split.targets("test")
    for user in range(0, synthetic.n_users, 3):
        items = context.items[slice(*context.offsets[user : user + 2])]
        with torch.inference_mode():
            hidden = model.next_item_hidden(
                torch.tensor(items[None, -10:]).long(), None, torch.tensor([1 + user])
            )
            scores = model.logits(hidden)[0].numpy()
        assert abs(ranks[user] - _naive_rank(scores, int(targets[user]), set())) <= 1
