"""Recommendations: where the run ranked each target, whoever asks; what is no history is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import seqattn
from seqattn.analysis.attention import attention_maps
from seqattn.config import ModelConfig, TrainConfig
from seqattn.errors import SeqattnError
from seqattn.models import MODELS
from seqattn.presets import Preset
from seqattn.runs.evaluation import evaluation
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.stats.exposure import coverage, gini

SMALL = Preset(
    ModelConfig(max_length=8, hidden_size=8, inner_size=8),
    TrainConfig(batch_targets=64, epochs=1, stride=5),
    TrainConfig(batch_targets=64, epochs=1, stride=5),
)


@pytest.fixture(scope="module")
def run(synthetic, tmp_path_factory):
    """Return a model's run, fitted when first asked for."""
    store = Store(tmp_path_factory.mktemp("store"))
    return lambda model: fit_run(store, synthetic, run_spec(synthetic, model, 2020, SMALL))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_recommends_a_target_where_its_run_ranked_it(run, synthetic, model):
    fitted, contexts = seqattn.load(run(model), synthetic), synthetic.split.context("test")
    told = fitted.recommend_all(contexts, synthetic.n_items, user_ids=synthetic.sequences.user_ids)
    targets = contexts.item_ids[synthetic.split.targets("test") - 1]
    told = told.merge(pd.DataFrame({"user": contexts.user_ids, "item": targets}))
    assert len(told) == synthetic.n_users
    np.testing.assert_array_equal(told["rank"], run(model).ranks("test", "unfiltered"))


@pytest.fixture(scope="module", params=["sse-pt-ar", "sse-pt-ae"])
def with_users(run, synthetic, request):
    """Return a model whose users have large vectors, so that who asks matters."""
    fitted = seqattn.load(run(request.param), synthetic)
    with torch.no_grad():
        fitted.model.user_UF.normal_(generator=torch.Generator().manual_seed(0))
    return fitted


def test_some_users_of_the_log_in_any_order_are_who_they_are(with_users, synthetic):
    log = synthetic.sequences
    among = with_users.recommend_all(log, 5, user_ids=log.user_ids)
    asked = log.user_ids[[7, 2, 31]]
    some = with_users.recommend_all(log.of_users(asked), 5, user_ids=log.user_ids)
    assert some["user"].unique().tolist() == asked.tolist()
    expected = pd.concat([among[among["user"] == user] for user in asked], ignore_index=True)
    assert some["item"].tolist() == expected["item"].tolist()
    np.testing.assert_allclose(some["score"], expected["score"], rtol=1e-4, atol=1e-5)
    with pytest.raises(SeqattnError, match=f"user '{asked[0]}' is not among the 3 users"):
        with_users.recommend_all(log.of_users(asked), user_ids=log.user_ids[:3])


def test_a_stranger_with_a_users_number_is_nobody_known(with_users, synthetic):
    """`histories` names users as a file does, and 7 in a file is not the log's user 7."""
    log = synthetic.sequences
    user = log.user_ids[7]
    items = log.item_ids[log.of_users([user]).items - 1]
    stranger = with_users.histories(pd.DataFrame({"user": user, "item": items}))
    told = with_users.recommend_all(stranger, 5)
    mean = with_users.model.user_UF.mean(dim=0)
    with torch.no_grad():
        kept = with_users.model.user_UF.clone()
        with_users.model.user_UF[:] = mean  # whoever asks is the mean
    same = with_users.recommend_all(log.of_users([user]), 5, user_ids=log.user_ids)
    with torch.no_grad():
        with_users.model.user_UF.copy_(kept)
    own = with_users.recommend_all(log.of_users([user]), 5, user_ids=log.user_ids)
    np.testing.assert_allclose(told["score"], same["score"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(told["score"], own["score"], rtol=1e-2)


def test_attention_of_a_user_of_the_log_is_their_own(with_users, synthetic):
    log, model = synthetic.sequences, with_users.model
    user = log.user_ids[7]
    history = log.of_users([user])
    n = min(len(history), model.config.max_length)
    told = with_users.attention(history, user_ids=log.user_ids)
    items = torch.from_numpy(history.items[-n:].astype(np.int64))[None]
    with torch.no_grad():
        x = model.embed(items, torch.tensor([8]))
        sight = model.sight(items, None)
        first = model.blocks[0].attention.weights(x, sight)[0]
    own = told[told["layer"] == 1]["weight"].to_numpy()
    np.testing.assert_allclose(own, first.numpy().ravel(), rtol=1e-5, atol=0)
    nobody = with_users.attention(history)  # as of somebody the log does not have
    assert not np.allclose(told["weight"], nobody["weight"], rtol=1e-4, atol=0)
    maps = attention_maps(model, synthetic, 5)  # of training's last five, each user's own
    place = np.flatnonzero(synthetic.split.train.lengths >= 5).tolist().index(7)
    rows = synthetic.split.train.of_users([user]).items[-5:].astype(np.int64)
    with torch.no_grad():
        expected = model.attention_maps(torch.from_numpy(rows)[None], None, torch.tensor([8]))
    np.testing.assert_allclose(maps[place], expected[:, 0], rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ["unfiltered", "filtered"])
def test_exposure_is_that_of_the_users_own_lists(run, with_users, synthetic, kind, monkeypatch):
    fitted, contexts = with_users, synthetic.split.context("test")
    with torch.no_grad():
        codes = torch.arange(1, synthetic.n_users + 1)
        lists = []
        for user in range(synthetic.n_users):
            items = contexts.items[slice(*contexts.offsets[[user, user + 1]])].astype(np.int64)
            hidden = fitted.model.next_item_hidden(
                torch.tensor(items[None, -SMALL.model.max_length :]), None, codes[user : user + 1]
            )
            scores = fitted.model.logits(hidden)[0, 1:]
            if kind == "filtered":
                scores[items - 1] = -torch.inf
            best = scores.argsort(descending=True)[:10]
            lists.append(best[torch.isfinite(scores[best])].numpy())
    exposure_V = np.bincount(np.concatenate(lists), minlength=synthetic.n_items)
    monkeypatch.setattr("seqattn.runs.evaluation.load", lambda *_: fitted)
    found = evaluation([run(fitted.about["model"])], synthetic, kind=kind).iloc[0]
    assert found["coverage"] == pytest.approx(coverage(exposure_V))
    assert found["Gini"] == pytest.approx(gini(exposure_V), abs=1e-4)


NO_LIST = "give a list of item ids, oldest first"


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ("12", f"a history of type str; {NO_LIST}"),
        (b"12", f"a history of type bytes; {NO_LIST}"),
        ({1, 2}, f"a history of type set; {NO_LIST}"),
        ({1: 2}, f"a history of type dict; {NO_LIST}"),
        (None, f"a history of type NoneType; {NO_LIST}"),
        (12, f"a history of type int; {NO_LIST}"),
        ((one for one in (1, 2)), f"a history of type generator; {NO_LIST}"),
        (np.array([[1, 2]]), f"a history of type ndarray; {NO_LIST}"),
        ([1, None], "history: column 'item', row 1: the field is blank"),
        ([1, ""], "history: column 'item', row 1: the field is blank"),
        ([[1, 2]], r"column 'item', row 0: \[1, 2\] is not an id"),
        (["1", " none of it "], "item 'none of it' is not among"),  # spaces round it do not count
    ],
)
def test_what_is_no_history_is_one_line(run, history, message):
    model = seqattn.load(run("sasrec"))
    with pytest.raises(SeqattnError, match=message) as told:
        model.recommend(history)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, pd.Index])
def test_a_history_of_any_sequence_is_the_same(run, kind):
    model = seqattn.load(run("ia-val"))
    ids, given = model.item_ids[[3, 0, 5]].tolist(), [1.0, 5.0, 2.0]
    told = model.recommend(kind(ids), kind(given), np.int64(4))
    pd.testing.assert_frame_equal(told, model.recommend(ids, given, 4))


@pytest.mark.parametrize("intensity", ["51", {5, 1}, 5, {5: 1, 1: 5}])
def test_intensities_without_an_order_are_one_line(run, intensity):
    model = seqattn.load(run("ia-val"))
    with pytest.raises(SeqattnError, match=r"intensities of type \w+; give a list of numbers"):
        model.recommend(model.item_ids[:2], intensity)


@pytest.mark.parametrize("k", [2.5, 3.0, "3", True, None, 0, -1])
def test_k_is_a_whole_number_of_at_least_one(run, k):
    model = seqattn.load(run("sasrec"))
    with pytest.raises(SeqattnError, match=r"k = .* give a whole number of at least 1"):
        model.recommend(model.item_ids[:2], k=k)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": [1]}, r"h.csv: no column 'user' \(columns present: item\)"),
        ({"user": [1]}, r"h.csv: no column 'item' \(columns present: user\)"),
        (
            {"User": [1], "item": [1]},
            r"no column 'user' \(columns present: User, item\); rename 'U",
        ),
        (
            {"user;item": ["1;2"]},
            r"no column 'user' \(columns present: user;item\).* commas between",
        ),
        ({}, "no column 'user'"),
        ({"user": [1, None], "item": [1, 1]}, "h.csv: column 'user', line 3: the field is blank"),
        ({"user": ["a", ""], "item": [1, 1]}, "h.csv: column 'user', line 3: the field is blank"),
        ({"user": [1, 1], "item": [1, None]}, "h.csv: column 'item', line 3: the field is blank"),
        ({"user": [[1], 1], "item": [1, 1]}, r"h.csv: column 'user', line 2.*\[1\] is not an id"),
        ({"user": [], "item": []}, "an empty history"),
    ],
)
def test_histories_that_lack_something_are_one_line(run, columns, message):
    frame = pd.DataFrame(columns)
    frame.index = pd.RangeIndex(2, 2 + len(frame), name="line")
    with pytest.raises(SeqattnError, match=message) as told:
        seqattn.load(run("sasrec")).histories(frame, "h.csv")
    assert "\n" not in str(told.value)
