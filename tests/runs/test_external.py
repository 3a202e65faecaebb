"""Other libraries' output, ranked as they rank it themselves, becomes a run."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from seqattn.cli import main
from seqattn.data import Dataset, Interactions, load_dataset
from seqattn.data.splits import Splitting
from seqattn.errors import SeqattnError
from seqattn.models import MODELS
from seqattn.presets import get_preset
from seqattn.runs import exchange, external
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric
from seqattn.studies.hours import seconds_taken
from seqattn.training.ranking import Ranker


@pytest.fixture
def scores(synthetic):
    """Scores that another library may give: with ties, and one user's all alike."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 30, (synthetic.n_users, synthetic.n_items)).astype(np.float32)
    values[3] = 1
    return values


def saved(path, synthetic, scores, rng=None):
    """Save scores with users and items in another order."""
    rng = rng or np.random.default_rng(1)
    users, items = rng.permutation(synthetic.n_users), rng.permutation(synthetic.n_items)
    ids = synthetic.sequences
    np.savez(
        path,
        users=ids.user_ids[users].astype(str),
        items=ids.item_ids[items].astype(str),
        scores=scores[np.ix_(users, items)],
    )
    return path


def expected(synthetic, scores):
    padded = np.concatenate([np.zeros((len(scores), 1), np.float32), scores], axis=1)
    ranker = Ranker(synthetic.split, "test")
    return ranker.rank(lambda users: torch.as_tensor(padded[users]))


def test_scores_are_ranked_by_ids_whatever_their_order(synthetic, scores, tmp_path):
    ranked = external.ranks_of_scores(saved(tmp_path / "s.npz", synthetic, scores), synthetic)
    for kind, ranks in expected(synthetic, scores).items():
        np.testing.assert_array_equal(ranked.ranks[f"test_{kind}"], ranks)


def lists(synthetic, scores, depth, order="score"):
    """Return each user's best items, as a library would print them."""
    rows = []
    for user, values in zip(synthetic.sequences.user_ids, scores, strict=True):
        best = np.lexsort([np.arange(len(values)), -values])[:depth]
        for rank, item in enumerate(best, 1):
            rows.append((user, synthetic.sequences.item_ids[item], rank, float(values[item])))
    frame = pd.DataFrame(rows, columns=["user", "item", "rank", "score"])
    return frame.drop(columns={"score": "rank", "rank": "score"}[order])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_whole_lists_with_scores_give_the_ranks_of_the_scores(synthetic, scores, tmp_path, suffix):
    frame, path = lists(synthetic, scores, None), tmp_path / f"lists.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    ranked = external.ranks_of_lists(path, synthetic)
    np.testing.assert_array_equal(
        ranked.ranks["test_unfiltered"], expected(synthetic, scores)["unfiltered"]
    )
    assert ranked.depth == synthetic.n_items


def test_spaces_around_ids_of_lists_do_not_count(synthetic, scores, tmp_path):
    frame, path = lists(synthetic, scores, 5, "rank"), tmp_path / "lists.csv"
    spaced = (frame["rank"] % 2).map({0: "", 1: " "})
    spaced = frame.assign(**{n: spaced + frame[n].astype(str) + spaced for n in ("user", "item")})
    told = []
    for each in (frame, spaced):
        each.to_csv(path, index=False)
        told.append(external.ranks_of_lists(path, synthetic).ranks["test_unfiltered"])
    np.testing.assert_array_equal(*told)
    spaced.assign(item=spaced["item"].where(frame["rank"] > 1, " ")).to_csv(path, index=False)
    with pytest.raises(SeqattnError, match=r"line 2 .*: no item; fill"):
        external.ranks_of_lists(path, synthetic)


def test_short_lists_give_the_metrics_up_to_their_length(synthetic, tmp_path):
    scores = np.random.default_rng(2).random((synthetic.n_users, synthetic.n_items))
    path = tmp_path / "lists.csv"
    lists(synthetic, scores, 10, "rank").sample(frac=1, random_state=0).to_csv(path, index=False)
    ranked = external.ranks_of_lists(path, synthetic)
    assert ranked.depth == 10
    whole = expected(synthetic, scores.astype(np.float32))["unfiltered"]
    for name in ("NDCG", "Recall", "MRR"):
        for k in (1, 5, 10):
            ours, theirs = (metric(r, name, k) for r in (ranked.ranks["test_unfiltered"], whole))
            np.testing.assert_array_equal(ours, theirs)


def test_an_item_without_score_ranks_behind_all_others(synthetic, scores, tmp_path):
    path = tmp_path / "s.npz"
    target = synthetic.split.targets("test")[0] - 1
    ids = synthetic.sequences
    np.savez(
        path,
        users=ids.user_ids,
        items=np.delete(ids.item_ids, target),
        scores=np.delete(scores, target, axis=1),
    )
    ranked = external.ranks_of_scores(path, synthetic)
    assert ranked.ranks["test_unfiltered"][0] == synthetic.n_items


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.astype(float) * 2.0**-600,
        lambda s: s.astype(float) * 2.0**600,
        lambda s: s.astype(float) + 1e9,
        lambda s: s.astype(np.int64) + 2**40,
        lambda s: s.astype(np.uint64) + np.uint64(2**63),
        lambda s: (s * 2).astype(np.float16),
        lambda s: s.astype(">f8"),
        lambda s: s.astype(np.int8),
    ],
)
def test_scores_of_any_scale_and_type_give_the_ranks_of_their_order(
    synthetic, scores, tmp_path, change
):
    given = change(scores)
    for user in (0, 5):  # the order is the same in each user's row
        np.testing.assert_array_equal(
            np.unique(given[user], return_inverse=True)[1],
            np.unique(scores[user], return_inverse=True)[1],
        )
    ranked = external.ranks_of_scores(saved(tmp_path / "s.npz", synthetic, given), synthetic)
    for kind, ranks in expected(synthetic, scores).items():
        np.testing.assert_array_equal(ranked.ranks[f"test_{kind}"], ranks)


def test_what_must_not_be_recommended_ranks_behind_the_lowest_number(synthetic, scores, tmp_path):
    """A third of the scores -inf: ranks counted one by one, ties in the middle."""
    given = scores.astype(float) - 1e308
    given[np.random.default_rng(3).random(given.shape) < 1 / 3] = -np.inf
    ranked = external.ranks_of_scores(saved(tmp_path / "s.npz", synthetic, given), synthetic)
    targets = synthetic.split.targets("test") - 1
    for user, target in enumerate(targets):
        own = given[user].tolist()
        higher, ties = sum(v > own[target] for v in own), own.count(own[target]) - 1
        assert ranked.ranks["test_unfiltered"][user] == 1 + higher + ties // 2


def seen_by_user(synthetic):
    """Return each user's items before the test target, but for the target, as columns."""
    log = synthetic.sequences
    for begin, end in pairwise(log.offsets):
        yield np.setdiff1d(log.items[begin : end - 1], log.items[end - 1]) - 1


@pytest.mark.parametrize("hidden", [-np.inf, -1e10])
@pytest.mark.parametrize("part", ["all", "training"])
@pytest.mark.parametrize("listed", [None, 20])
def test_scores_that_hide_what_users_have_give_the_filtered_kind_alone(
    synthetic, tmp_path, hidden, part, listed
):
    """Of all items, or of the 20 that suit a user best and the lowest score for the others."""
    scores = np.random.default_rng(4).normal(size=(synthetic.n_users, synthetic.n_items))
    whole = expected(synthetic, scores.astype(np.float32))["filtered"]
    for user, seen in enumerate(seen_by_user(synthetic)):
        last = synthetic.split.targets("valid")[user] - 1
        scores[user, seen if part == "all" else np.setdiff1d(seen, last)] = hidden
        if listed:
            scores[user, np.argsort(-scores[user])[listed:]] = hidden
    ranked = external.ranks_of_scores(saved(tmp_path / "s.npz", synthetic, scores), synthetic)
    assert list(ranked.ranks) == ["test_filtered"] and ranked.looks_filtered
    near = whole <= (10 if listed else synthetic.n_items)
    np.testing.assert_array_equal(ranked.ranks["test_filtered"][near], whole[near])


def test_scores_that_are_all_alike_or_few_hide_nothing(tmp_path):
    """Each of 100 users has four items of 400; two others have a score, as after a Markov chain."""
    dataset = prepared([(u, 4 * u + n, n) for u in range(100) for n in range(4)])
    log = dataset.sequences
    scores = np.full((100, 400), -np.inf)
    scores[np.arange(100), (4 * np.arange(100) + 9) % 400] = 1
    scores[np.arange(100), (4 * np.arange(100) + 13) % 400] = 2
    for given in (scores, np.zeros_like(scores)):
        np.savez(tmp_path / "s.npz", users=log.user_ids, items=log.item_ids, scores=given)
        ranked = external.ranks_of_scores(tmp_path / "s.npz", dataset)
        assert len(ranked.ranks) == 2 and not ranked.looks_filtered


def prepared(rows, **changes):
    """Prepare rows of user, item and time without any filter."""
    entry = load_dataset("synthetic").entry
    entry = replace(entry, raw=None, core=None, preparation=replace(entry.preparation, core=1))
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    return Dataset.from_interactions(Interactions.from_frame(frame), replace(entry, **changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": None}, "no array 'scores' .there are: users, items."),
        ({"scores": np.array([["high"]])}, "scores are <U4 of shape .*; save real numbers"),
        ({"scores": np.ones((60, 1), complex)}, "scores are complex128 of shape"),
        ({"scores": np.ones((60, 1), bool)}, "scores are bool of shape"),
        ({"scores": np.zeros((0, 0))}, r"scores are float64 of shape \(0, 0\)"),
        ({"users": np.array(7)}, r"users are int64 of shape \(\); save them as one row"),
        ({"items": np.array([[1, 2]])}, r"items are int64 of shape \(1, 2\)"),
        ({"users": np.arange(60.0)}, "users are float64 of shape"),
        ({"users": np.array([b"1"])}, r"users are \|S1 of shape"),
        ({"scores": np.zeros((3, 3))}, r"scores have shape \(3, 3\) for 60 users"),
        ({"scores": np.full((60, 1), np.nan)}, "for 60 users and"),
        ({"users": np.array(["u"] * 60)}, "user 'u' occurs twice"),
        ({"users": np.arange(1000, 1060)}, "60 users of synthetic are missing, the first is"),
        ({"items": np.array(["?"])}, "for 60 users and 1 items"),
        ({"users": np.array([{}] * 60)}, "no readable .npz of plain arrays"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(synthetic, scores, tmp_path, change, message):
    ids = synthetic.sequences
    arrays = {"users": ids.user_ids, "items": ids.item_ids, "scores": scores} | change
    np.savez(tmp_path / "s.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(SeqattnError, match=message):
        external.ranks_of_scores(tmp_path / "s.npz", synthetic)


@pytest.mark.parametrize(("value", "told"), [(np.nan, "NaN"), (np.inf, r"\+inf")])
def test_a_score_that_is_none_is_one_line(synthetic, scores, tmp_path, value, told):
    scores[2, 2] = value
    user, item = synthetic.sequences.user_ids[2], synthetic.sequences.item_ids[2]
    with pytest.raises(SeqattnError, match=rf"a score is {told} \(user {user}, item {item}\)"):
        external.ranks_of_scores(saved(tmp_path / "s.npz", synthetic, scores), synthetic)


def test_an_item_twice_among_scores_is_one_line(synthetic, scores, tmp_path):
    ids, twice = synthetic.sequences, synthetic.sequences.item_ids.copy()
    twice[4] = twice[0]
    np.savez(tmp_path / "s.npz", users=ids.user_ids, items=twice, scores=scores)
    with pytest.raises(SeqattnError, match=f"item '{twice[0]}' occurs twice; give each item once"):
        external.ranks_of_scores(tmp_path / "s.npz", synthetic)


def test_absent_and_forbidden_scores_are_not_called_damaged(synthetic, tmp_path, monkeypatch):
    with pytest.raises(SeqattnError, match=r"none\.npz: no such file; check the path$"):
        external.ranks_of_scores(tmp_path / "none.npz", synthetic)
    with pytest.raises(SeqattnError, match=r"is a folder; name a file$"):
        external.ranks_of_scores(tmp_path, synthetic)
    (tmp_path / "s.npz").touch()
    monkeypatch.setattr(os, "access", lambda file, mode: False)
    with pytest.raises(SeqattnError, match=r"s\.npz: may not be read; ask its owner"):
        external.ranks_of_scores(tmp_path / "s.npz", synthetic)


def test_a_file_of_scores_that_is_none_is_one_line(synthetic, tmp_path):
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 junk")
    (tmp_path / "text.npz").write_text("user,item,score\n1,2,3\n")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "one.npy", np.ones(3))
    for name in ("junk.npz", "text.npz", "empty.npz", "one.npy"):
        with pytest.raises(SeqattnError, match=r"no readable|holds one array") as told:
            external.ranks_of_scores(tmp_path / name, synthetic)
        assert "\n" not in str(told.value) and str(tmp_path) in str(told.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.drop(columns="rank"), "neither a column 'rank' nor 'score'"),
        (
            lambda f: f.assign(rank=f["rank"] - 1),
            r"line 2 \(user '.*'\): '0' is no rank; ranks are",
        ),
        (lambda f: f.assign(rank=f["rank"] + 0.5), r"line 2 \(user '.*'\): '1.5' is no rank"),
        (lambda f: f.assign(rank="first"), r"line 2 \(user '.*'\): 'first' is no rank"),
        (lambda f: f.assign(rank="3,3"), "'3,3' is no rank; give a finite number, with a point"),
        (lambda f: f.assign(rank=f["rank"] > 2), "'False' is no rank"),
        (lambda f: f.assign(rank=np.inf), "'inf' is no rank"),
        (lambda f: f.assign(rank=f["rank"].replace(3, 2)), "line 4 .*: rank 2 occurs twice"),
        (
            lambda f: f.assign(rank=f["rank"].replace(3, 9)),
            "line 4 .*: rank 9 lacks the one before it",
        ),
        (lambda f: f[f["rank"] != 2], "line 3 .*: rank 3 lacks the one before it"),
        (
            lambda f: f.assign(rank=f["rank"] + 10**6),
            "line 2 .*: rank 1000001 lacks the one before it",
        ),
        (lambda f: f.assign(rank=f["rank"].where(f["rank"] > 1)), "line 2 .*: no rank; fill"),
        (lambda f: f.assign(item=f["item"].where(f["rank"] > 1)), "line 2 .*: no item; fill"),
        (lambda f: f.assign(user=f["user"].where(f["rank"] > 1)), "line 2 .*: no user; fill"),
        (lambda f: scored(f, "abc"), r"line 2 .*: 'abc' is no score; give a finite number"),
        (lambda f: scored(f, "3,3"), r"'3,3' is no score"),
        (lambda f: scored(f, None), r"line 2 .*: no score; fill the field in"),
        (lambda f: scored(f, -np.inf), "'-inf' is no score"),
        (lambda f: scored(f, "2024-01-31"), "'2024-01-31' is no score"),
        (lambda f: pd.concat([f, f.head(1)]), "line 302 .*: item .* is twice in the list"),
        (lambda f: f[f["user"] != f["user"].iloc[0]], "1 users of synthetic are missing"),
        (lambda f: f.assign(item="x"), "item 'x' is not among the"),
        (lambda f: f.assign(user=f["user"].astype(str) + "x"), "users of synthetic are missing"),
    ],
)
def test_lists_that_do_not_fit_are_one_line(synthetic, scores, tmp_path, edit, message):
    path = tmp_path / "lists.csv"
    edit(lists(synthetic, scores, 5, "rank")).to_csv(path, index=False)
    with pytest.raises(SeqattnError, match=message) as told:
        external.ranks_of_lists(path, synthetic)
    assert "\n" not in str(told.value) and str(path) in str(told.value)


def scored(frame, first):
    """Return lists with scores instead of ranks, the first one of them given."""
    column = (-frame["rank"]).astype(object)
    column.iloc[0] = first
    return frame.drop(columns="rank").assign(score=column)


def test_an_unknown_kind_and_two_columns_of_ranks_are_one_line(synthetic, scores, tmp_path):
    path, frame = tmp_path / "lists.csv", lists(synthetic, scores, 5, "rank")
    frame.to_csv(path, index=False)
    with pytest.raises(SeqattnError, match="kind 'all' is unknown; use unfiltered or filtered"):
        external.ranks_of_lists(path, synthetic, "all")
    frame = frame.assign(score=1.0, again=1)
    frame.columns = [name.replace("again", "rank") for name in frame.columns]
    frame.to_csv(path, index=False)
    with pytest.raises(SeqattnError, match="column 'rank' twice"):
        external.ranks_of_lists(path, synthetic)


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600, 2**53 + 1])
def test_scores_of_lists_are_compared_as_they_are(synthetic, scores, tmp_path, scale):
    """A whole number adds itself, anything else multiplies: neither changes an order."""
    frame = lists(synthetic, scores, None)
    whole = isinstance(scale, int)
    changed = frame["score"].astype(int) + scale if whole else frame["score"] * scale
    frame.assign(score=changed).to_csv(tmp_path / "lists.csv", index=False)
    ranked = external.ranks_of_lists(tmp_path / "lists.csv", synthetic)
    np.testing.assert_array_equal(
        ranked.ranks["test_unfiltered"], expected(synthetic, scores)["unfiltered"]
    )


def test_filtered_lists_hold_nothing_that_a_user_already_has(synthetic, tmp_path):
    scores = np.random.default_rng(5).random((synthetic.n_users, synthetic.n_items))
    path, whole = tmp_path / "lists.csv", expected(synthetic, scores.astype(np.float32))
    lists(synthetic, scores, 20, "rank").to_csv(path, index=False)
    assert not external.ranks_of_lists(path, synthetic).looks_filtered
    told = r"line \d+ \(user '.*'\): this user already has item '.*'; leave out `--kind filtered`"
    with pytest.raises(SeqattnError, match=told):
        external.ranks_of_lists(path, synthetic, "filtered")
    for user, seen in enumerate(seen_by_user(synthetic)):
        scores[user, seen] = -1
    for depth in (9, 20):
        frame = lists(synthetic, scores, depth)
        frame[frame["score"] >= 0].to_csv(path, index=False)
        # Of short lists none may hold such an item by chance.
        assert external.ranks_of_lists(path, synthetic).looks_filtered == (depth == 20)
        ranked = external.ranks_of_lists(path, synthetic, "filtered")
        assert not ranked.looks_filtered  # it was said
        near = whole["filtered"] <= depth
        found = ranked.ranks["test_filtered"]
        np.testing.assert_array_equal(found[near], whole["filtered"][near])
        assert (found[~near] == synthetic.n_items).all()


def test_the_depth_is_that_of_users_whom_the_test_asks(tmp_path):
    """User 3 is gone before the cut, and has no list or a short one."""
    rows = [(u, i, t) for u in (1, 2) for t, i in enumerate("abcdef")] + [(3, "a", 0), (3, "b", 1)]
    cut = Splitting(time="1970-01-01T00:00:05", validation="last")
    dataset = prepared(rows, splitting=cut)
    assert dataset.split.users("test").tolist() == [0, 1]
    told = [(1, "f", 1), (1, "a", 2), (2, "f", 1), (2, "b", 2), (2, "c", 3)]
    for more in ([], [(3, "a", 1)]):
        path = tmp_path / "lists.csv"
        given = pd.DataFrame([*told, *more], columns=["user", "item", "rank"])
        given.to_csv(path, index=False)
        assert external.ranks_of_lists(path, dataset).depth == 2


def test_the_command_keeps_a_run_that_says_what_it_is(synthetic, scores, tmp_path, capsys):
    path = tmp_path / "lists.csv"
    lists(synthetic, scores, 10).to_csv(path, index=False)
    store = tmp_path / "store"
    asked = ["evaluate", "-d", "synthetic", "--lists", str(path), "--results-dir", str(store)]
    assert main([*asked, "--name", "theirs", "-s", "7", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    (run,) = Store(store).runs()
    assert str(run.folder) == facts["folder"] and (run.engine, run.seed) == ("external", 7)
    assert run.spec.fingerprint == synthetic.fingerprint
    assert Store(store).get(run.spec) == run
    assert main([*asked, "--name", "theirs", "-s", "7"]) == 0
    assert "lower bounds" in capsys.readouterr().err
    assert len(list(Store(store).runs())) == 1
    for name in ("sasrec", "pop", "a/b", "..", ""):
        assert main([*asked, "--name", name]) == 2


def test_a_model_made_elsewhere_is_compared_by_name(
    synthetic, scores, tmp_path, capsys, one_process
):
    store = ["--results-dir", str(tmp_path / "store")]
    for seed in (1, 2):
        path = tmp_path / f"{seed}.csv"
        noise = np.random.default_rng(seed).random(scores.shape)
        lists(synthetic, scores + noise, None, "rank").to_csv(path, index=False)
        asked = ["evaluate", "-d", "synthetic", "--lists", str(path), "--name", "theirs"]
        assert main([*asked, *store, "-s", str(seed)]) == 0
    told = ["compare", "sasrec", "theirs", "-d", "synthetic", "-s", "1", "2", "--json", *store]
    capsys.readouterr()
    assert main([*told, "--preset", "smoke"]) == 0
    rows = {row["question"]: row for row in json.loads(capsys.readouterr().out)}
    runs = list(Store(tmp_path / "store").runs("synthetic", "theirs"))
    mean = np.mean([metric(run.ranks(), "NDCG", 10) for run in runs])
    assert rows["mean of the variant"]["estimate"] == pytest.approx(mean)
    before = list(Store(tmp_path / "store").runs())
    assert main(["compare", "sasrec", "others", "-d", "synthetic", *store]) == 2
    assert "no run of that name on synthetic" in capsys.readouterr().err
    assert list(Store(tmp_path / "store").runs()) == before  # nothing is fitted for a name's sake


def test_a_run_of_a_model_that_is_not_here_is_no_other_librarys(
    synthetic, tmp_path, monkeypatch, capsys
):
    """Its preset chooses a run, and none is known without its file."""
    store = Store(tmp_path)
    with monkeypatch.context() as here:
        here.setitem(MODELS, "my-model", MODELS["sasrec"])
        spec = run_spec(synthetic, "my-model", 1, get_preset("smoke"))
        fit_run(store, synthetic, spec)
        assert len(seconds_taken(store.runs(), "cpu")) == 1
    assert seconds_taken(store.runs(), "cpu").empty  # and `study --plan` goes on without it
    asked = ["-d", "synthetic", "-s", "1", "--results-dir", str(tmp_path)]
    for command in (["compare", "my-model", "sasrec"], ["metrics", "-m", "my-model"]):
        assert main([*command, *asked]) == 2
        told = capsys.readouterr().err
        assert "'my-model' is a model of one's own" in told and "SEQATTN_MODELS" in told


def test_beyond_the_end_of_short_lists_nothing_is_compared(synthetic, scores, tmp_path, capsys):
    store = ["--results-dir", str(tmp_path / "store")]
    for name, n in (("whole", None), ("short", 10)):
        lists(synthetic, scores, n).to_csv(tmp_path / f"{name}.csv", index=False)
        path = str(tmp_path / f"{name}.csv")
        assert main(["evaluate", "-d", "synthetic", "--lists", path, "--name", name, *store]) == 0
    told = ["compare", "whole", "short", "-d", "synthetic", "--json", *store]
    capsys.readouterr()
    assert main([*told, "--metric", "NDCG@10"]) == 0
    capsys.readouterr()
    assert main([*told, "--metric", "NDCG@20"]) == 2
    assert "short.csv holds 10 items, so NDCG@20 is not known" in capsys.readouterr().err
    told = ["compare", "whole", "whole", "-d", "synthetic", "--json", *store]
    assert synthetic.n_items < 1000
    assert main([*told, "--metric", "NDCG@1000"]) == 0  # nothing is behind the end of whole lists


def test_a_model_is_fitted_with_as_many_seeds_as_it_is_compared_with(
    synthetic, scores, tmp_path, capsys, one_process
):
    store = ["--results-dir", str(tmp_path / "store")]
    path = saved(tmp_path / "theirs.npz", synthetic, scores)
    asked = ["evaluate", "-d", "synthetic", "--scores", str(path), "--name", "theirs"]
    assert main([*asked, *store]) == 0
    told = ["compare", "sasrec", "theirs", "-d", "synthetic", "--preset", "smoke", *store]
    assert main(told) == 0  # the command that the book gives
    assert len(list(Store(tmp_path / "store").runs("synthetic", "sasrec"))) == 1
    assert capsys.readouterr().err == ""


def test_a_second_file_of_one_name_and_a_damaged_run_are_told(synthetic, scores, tmp_path, capsys):
    store, path = tmp_path / "store", tmp_path / "s.npz"
    asked = ["evaluate", "-d", "synthetic", "--scores", str(path), "--name", "theirs"]
    asked += ["--results-dir", str(store), "--seed"]
    for seed, changed in ((1, 0), (2, 1), (2, 2)):
        saved(path, synthetic, scores + changed * scores[::-1])
        assert main([*asked, str(seed)]) == 0
    told = capsys.readouterr().err
    folders = sorted((store / "synthetic" / "theirs").glob("seed-2-*"))
    assert "another file was evaluated as theirs with seed 2" in told
    assert sum(f"remove {folder}, or this one" in told for folder in folders) == 1
    (damaged,) = (store / "synthetic" / "theirs").glob("seed-1-*")
    (damaged / "ranks.npz").write_bytes(b"PK")
    compared = ["compare", "theirs", "theirs", "-d", "synthetic", "-s", "1"]
    assert main([*compared, "--results-dir", str(store)]) != 0
    assert f"seed 1; see `evaluate --seed`; {damaged}: damaged" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["--scores", "--lists"])
def test_one_file_is_no_second_seed(synthetic, scores, tmp_path, capsys, asked):
    path, store = tmp_path / ("s.npz" if asked == "--scores" else "l.csv"), tmp_path / "store"
    told = ["evaluate", "-d", "synthetic", asked, str(path), "--results-dir", str(store)]

    def made(values, name, seed):
        if asked == "--scores":
            saved(path, synthetic, values)
        else:
            lists(synthetic, values, None).to_csv(path, index=False)
        return main([*told, "--name", name, "--seed", seed])

    assert made(scores, "theirs", "1") == made(scores, "theirs", "1") == 0
    (kept,) = Store(store).runs()
    capsys.readouterr()
    assert made(scores, "theirs", "4") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{path}: the same file is kept as theirs with seed 1" in error
    assert f"give what seed 4 made, or remove {kept.folder}" in error
    assert list(Store(store).runs()) == [kept]
    assert made(scores, "others", "4") == made(scores + scores[::-1], "theirs", "4") == 0


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_items_without_scores_are_counted_and_the_targets_among_them(
    synthetic, scores, tmp_path, capsys, more
):
    ids, path, targets = synthetic.sequences, tmp_path / "s.npz", synthetic.split.targets("test")
    popular = np.bincount(targets).argmax() - 1
    for left_out in ([], [popular], np.delete(np.arange(synthetic.n_items), targets - 1)[:3]):
        kept = np.delete(np.arange(synthetic.n_items), left_out)
        np.savez(path, users=ids.user_ids, items=ids.item_ids[kept], scores=scores[:, kept])
        asked = ["evaluate", "-d", "synthetic", "--scores", str(path), "--name", f"n{len(kept)}"]
        assert main([*asked, "--results-dir", str(tmp_path / "store"), *more]) == 0
        lost = np.isin(targets - 1, left_out).sum()
        told = (
            f"seqattn: {len(left_out)} of {synthetic.n_items} items have no scores and come last, "
            f"and {lost} of {len(targets)} test targets are among them\n"
        )
        assert capsys.readouterr().err == (told if len(left_out) else "")


def test_what_has_no_weights_does_not_recommend(synthetic, scores, tmp_path, capsys):
    store = ["--results-dir", str(tmp_path / "store")]
    path = saved(tmp_path / "theirs.npz", synthetic, scores)
    asked = ["evaluate", "-d", "synthetic", "--scores", str(path), "--name", "theirs"]
    assert main([*asked, *store]) == 0
    (run,) = Store(tmp_path / "store").runs()
    for verb in ("recommend", "attention"):
        capsys.readouterr()
        assert main([verb, "-m", str(run.folder), "--history", "1,2"]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "without weights" in line


def test_several_targets_a_user_are_said_to_be_ranked_by_one_list(tmp_path, capsys):
    times = 1_600_000_000 + 86_400 * np.arange(12)
    rows = [(u, (u + n) % 9, t) for u in range(8) for n, t in enumerate(times)]
    pd.DataFrame(rows, columns=["user", "item", "time"]).to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "own.yaml").write_text(
        "name: own\npath: log.csv\ncolumns: {user: user, item: item, timestamp: time}\n"
        "filters: {k_core: 1}\nsplit: {time: quantile 0.7, target: all}\n"
    )
    scores = pd.DataFrame([(u, i, i) for u in range(8) for i in range(9)])
    scores.columns = ["user", "item", "score"]
    scores.to_csv(tmp_path / "lists.csv", index=False)
    asked = ["evaluate", "-d", str(tmp_path / "own.yaml"), "--lists", str(tmp_path / "lists.csv")]
    assert main([*asked, "--name", "x", "--results-dir", str(tmp_path / "store")]) == 0
    assert "several test targets" in capsys.readouterr().err


def numbered(several):
    """User ids and numbers of the test targets, as `prepare --split` writes them."""
    table = exchange.split_table(several)
    asked = table[table["part"] == "test"].dropna(subset="target")
    assert len(asked) == len(several.split.rows("test")) >= 2 * several.n_users
    return asked["user"].to_numpy(), asked["target"].to_numpy(dtype=np.int64)


def test_each_of_a_users_targets_may_have_scores_of_its_own(several, tmp_path):
    users, numbers = numbered(several)
    scores = np.random.default_rng(0).integers(0, 5, (len(users), several.n_items)).astype(float)
    order = np.random.default_rng(1).permutation(len(users))
    np.savez(
        tmp_path / "s.npz",
        users=users[order],
        targets=numbers[order],
        items=several.sequences.item_ids,
        scores=scores[order],
    )
    ranked = external.ranks_of_scores(tmp_path / "s.npz", several)
    padded = np.concatenate([np.zeros((len(scores), 1)), scores], axis=1)
    expected = Ranker(several.split, "test").rank(lambda rows: torch.as_tensor(padded[rows]))
    assert ranked.by_target
    for kind in ("unfiltered", "filtered"):
        np.testing.assert_array_equal(ranked.ranks[f"test_{kind}"], expected[kind])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_each_of_a_users_targets_may_have_a_list_of_its_own(several, tmp_path, suffix):
    users, numbers = numbered(several)
    rng, ids = np.random.default_rng(0), several.sequences.item_ids
    orders = [rng.permutation(several.n_items) for _ in users]
    rows = [
        (user, number, ids[item], rank)
        for user, number, order in zip(users, numbers, orders, strict=True)
        for rank, item in enumerate(order[:7], start=1)
    ]
    frame = pd.DataFrame(rows, columns=["user", "target", "item", "rank"])
    path = tmp_path / f"l.{suffix}"
    written = frame.sample(frac=1, random_state=0)
    written.to_csv(path, index=False) if suffix == "csv" else written.to_parquet(path)
    ranked = external.ranks_of_lists(path, several)
    targets = several.split.targets("test") - 1
    places = [order.tolist().index(t) + 1 for order, t in zip(orders, targets, strict=True)]
    expected = [place if place <= 7 else several.n_items for place in places]
    assert ranked.ranks["test_unfiltered"].tolist() == expected
    assert (ranked.depth, ranked.by_target) == (7, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[~((f["user"] == 3) & (f["target"] == 2))], "target 2 of user 3 is missing"),
        (
            lambda f: f.assign(target=f["target"] + 1),
            "user [0-7] has no test target [3-9]; .*--split",
        ),
        (lambda f: f.assign(target=f["target"] - 0.5), "user 0 has no test target 0.5"),
        (lambda f: f.assign(target="first"), "line 2 .*'first' is no target"),
    ],
)
def test_targets_that_are_not_numbered_as_in_the_split_are_one_line(
    several, tmp_path, change, message
):
    users, numbers = numbered(several)
    item = several.sequences.item_ids[0]
    frame = pd.DataFrame({"user": users, "target": numbers, "item": item, "rank": 1})
    change(frame).to_csv(tmp_path / "l.csv", index=False)
    with pytest.raises(SeqattnError, match=message):
        external.ranks_of_lists(tmp_path / "l.csv", several)


def test_one_list_a_user_serves_all_targets(several, tmp_path):
    """Without numbers, as before: the same list for each of a user's targets."""
    users, numbers = numbered(several)
    ids = several.sequences.item_ids
    rows = [(u, item, rank) for u in np.unique(users) for rank, item in enumerate(ids, start=1)]
    frame = pd.DataFrame(rows, columns=["user", "item", "rank"])
    frame.to_csv(tmp_path / "one.csv", index=False)
    ranked = external.ranks_of_lists(tmp_path / "one.csv", several)
    expected = several.split.targets("test")  # the list is in the order of the items' codes
    np.testing.assert_array_equal(ranked.ranks["test_unfiltered"], expected)
    assert not ranked.by_target
    whole = pd.DataFrame({"user": users, "target": numbers}).merge(frame, on="user")
    whole.to_csv(tmp_path / "each.csv", index=False)
    each = external.ranks_of_lists(tmp_path / "each.csv", several)
    np.testing.assert_array_equal(each.ranks["test_unfiltered"], expected)
