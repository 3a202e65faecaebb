"""Our training rows, loss and metrics against RecBole's, on its own ML-100K sample."""

from __future__ import annotations

from itertools import pairwise

import pytest

pytest.importorskip("recbole.config")

import numpy as np
import pandas as pd
import torch
from recbole.data import create_dataset
from recbole.data.interaction import Interaction
from recbole.evaluator import Collector, Evaluator
from recbole.model.loss import BPRLoss
from recbole_logs import RecBoleSASRec, histories, recbole_config, recbole_sasrec

from seqattn.recbole import from_recbole
from seqattn.runs import external
from seqattn.stats.metrics import CUTOFFS, METRICS, metric
from seqattn.training.batches import Gatherer, next_item_plan, packed_windows, prefix_windows
from seqattn.training.fit import batch_loss
from seqattn.training.negatives import bpr
from seqattn.training.ranking import _ranks

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:recbole")
L = 50
COLUMNS = {"inter": ["user_id", "item_id", "timestamp"]}


@pytest.fixture(scope="module")
def training_rows():
    """RecBole's augmented training rows of ML-100K: one per prefix, leave-one-out."""
    config = recbole_config(RecBoleSASRec, "ml-100k", load_col=COLUMNS, MAX_ITEM_LIST_LENGTH=L)
    training, _, _ = create_dataset(config).build()
    return training.inter_feat


def test_prefix_windows_are_recboles_augmented_rows(training_rows):
    sequences = histories(training_rows)
    windows = prefix_windows(sequences.offsets, L)
    batch = Gatherer(sequences).batch(next_item_plan(windows, np.arange(len(windows.start))))
    found = np.column_stack([batch.items_BT, windows.length, batch.targets])
    expected = np.column_stack(
        [training_rows[key] for key in ("item_id_list", "item_length", "item_id")]
    )
    by_user = np.argsort(training_rows["user_id"].numpy(), kind="stable")
    assert len(found) > 90_000
    np.testing.assert_array_equal(found, expected[by_user])


def test_packed_loss_is_the_sum_of_recboles_prefix_losses(training_rows):
    theirs = recbole_sasrec(1682, hidden_size=16, inner_size=16, MAX_ITEM_LIST_LENGTH=L)
    theirs = theirs.double().eval()
    # A training history of n items has n - 1 rows; up to L inputs fit one window.
    user = training_rows["user_id"]
    short = training_rows[torch.bincount(user)[user] <= L]
    expected = 0.0
    with torch.no_grad():
        for first in range(0, len(short), 1024):
            rows = short[first : first + 1024]
            expected += float(theirs.calculate_loss(rows)) * len(rows)

    ours, sequences = from_recbole(theirs).eval(), histories(short)
    windows = packed_windows(sequences.offsets, L, stride=L)
    batch = Gatherer(sequences).batch(next_item_plan(windows, np.arange(len(windows.start))))
    with torch.no_grad():
        found = float(batch_loss(ours, batch)) * len(batch.targets)
    assert len(windows.start) == sequences.n_users > 300
    assert len(batch.targets) == len(short) > 10_000
    assert found == pytest.approx(expected, rel=1e-9)


def test_bpr_is_recboles_but_for_the_constant_that_bounds_theirs():
    """They add 1e-10 to the probability, so no pair costs more than 23 nats."""
    margin = torch.linspace(-8, 8, 41, dtype=torch.float64)
    zeros = torch.zeros_like(margin)
    assert float(bpr(margin, zeros[:, None])) == pytest.approx(
        float(BPRLoss()(margin, zeros)), rel=1e-6
    )
    far = torch.tensor([-60.0], dtype=torch.float64)
    assert float(bpr(far, zeros[:1, None])) == pytest.approx(60)
    assert float(BPRLoss()(far, zeros[:1])) == pytest.approx(-np.log(1e-10))


def _recbole_metrics(
    scores: torch.Tensor, targets: torch.Tensor, cutoffs: tuple[int, ...] = CUTOFFS
) -> dict[str, float]:
    config = recbole_config(
        RecBoleSASRec, metrics=list(METRICS), topk=list(cutoffs), metric_decimal_place=12
    )
    collector = Collector(config)
    collector.eval_batch_collect(scores.clone(), None, torch.arange(len(scores)), targets)
    return Evaluator(config).evaluate(collector.get_data_struct())


def _our_metrics(scores: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    ranks = _ranks(scores, targets[:, None]).numpy()
    return {f"{m.lower()}@{k}": metric(ranks, m, k).mean() for m in METRICS for k in CUTOFFS}


def test_metrics_of_random_scores_are_recboles():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(500, 301, generator=generator, dtype=torch.float64)
    scores[:, 0] = -torch.inf
    targets = torch.randint(1, 301, (500,), generator=generator)
    expected = _recbole_metrics(scores, targets)
    assert expected.keys() == _our_metrics(scores, targets).keys()
    assert _our_metrics(scores, targets) == pytest.approx(expected, abs=1e-10)
    assert 0 < expected["ndcg@10"] < expected["ndcg@100"] < 1


def test_metrics_of_a_models_scores_are_recboles(training_rows):
    theirs = recbole_sasrec(1682, hidden_size=16, inner_size=16, MAX_ITEM_LIST_LENGTH=L).eval()
    ours = from_recbole(theirs).eval()
    rows = training_rows[training_rows["item_length"] == L][:2000]
    with torch.no_grad():
        scores = ours.logits(ours.next_item_hidden(rows["item_id_list"]))
    scores[:, 0] = -torch.inf
    targets = rows["item_id"]
    expected = _recbole_metrics(scores, targets)
    assert _our_metrics(scores, targets) == pytest.approx(expected, abs=1e-10)
    assert expected["recall@100"] > 0


def test_tied_items_get_the_middle_rank_where_recbole_takes_what_topk_returns():
    scores = torch.zeros(20, 21)
    scores[:, 0] = -torch.inf
    targets = torch.arange(1, 21)
    assert set(_ranks(scores, targets[:, None]).tolist()) == {10}
    # Its top 10 holds ten of the twenty tied items, whichever they are.
    assert _recbole_metrics(scores, targets, cutoffs=(10,))["recall@10"] == pytest.approx(0.5)


def test_recboles_output_is_evaluated_as_recbole_evaluates_it(synthetic, tmp_path):
    """Scores and lists of RecBole's SASRec, through `seqattn evaluate`'s functions."""
    torch.manual_seed(0)
    theirs = recbole_sasrec(synthetic.n_items, hidden_size=16, inner_size=16).eval()
    context, targets = synthetic.split.context("test"), synthetic.split.targets("test")
    items = torch.zeros(synthetic.n_users, L, dtype=torch.long)
    for user, (begin, end) in enumerate(pairwise(context.offsets)):
        last = torch.tensor(context.items[begin:end][-L:].astype(np.int64))
        items[user, : len(last)] = last
    lengths = (items > 0).sum(dim=1)
    with torch.no_grad():
        rows = Interaction({"item_id_list": items, "item_length": lengths})
        scores = theirs.full_sort_predict(rows)
    scores[:, 0] = -torch.inf
    cutoffs = (10, 20)
    expected = _recbole_metrics(scores, torch.tensor(targets.astype(np.int64)), cutoffs)
    ids = context.item_ids
    np.savez(tmp_path / "s.npz", users=context.user_ids, items=ids, scores=scores[:, 1:].numpy())
    best = scores.topk(20).indices.numpy()
    users = np.repeat(context.user_ids, 20)
    frame = pd.DataFrame({"user": users, "item": ids[best.ravel() - 1]})
    frame["rank"] = np.tile(np.arange(1, 21), synthetic.n_users)
    frame.to_csv(tmp_path / "lists.csv", index=False)
    for ranked in (
        external.ranks_of_scores(tmp_path / "s.npz", synthetic),
        external.ranks_of_lists(tmp_path / "lists.csv", synthetic),
    ):
        ranks = ranked.ranks["test_unfiltered"]
        found = {f"{m.lower()}@{k}": metric(ranks, m, k).mean() for m in METRICS for k in cutoffs}
        assert found == pytest.approx(expected, abs=1e-6)
    assert 0 < expected["ndcg@10"] < 1
