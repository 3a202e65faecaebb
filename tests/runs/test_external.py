"""Other libraries' output, ranked as they rank it themselves, becomes a run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from seqattn.cli import main
from seqattn.errors import SeqattnError
from seqattn.runs import external
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric
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
    ("change", "message"),
    [
        ({"scores": None}, "no array 'scores' .there are: users, items."),
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


def test_nan_among_scores_and_a_file_that_is_none_are_one_line(synthetic, scores, tmp_path):
    scores[2, 2] = np.nan
    with pytest.raises(SeqattnError, match="a score is NaN"):
        external.ranks_of_scores(saved(tmp_path / "s.npz", synthetic, scores), synthetic)
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 junk")
    for name in ("junk.npz", "missing.npz"):
        with pytest.raises(SeqattnError, match="no readable"):
            external.ranks_of_scores(tmp_path / name, synthetic)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.drop(columns="rank"), "column 'score' is missing"),
        (lambda f: f.assign(rank=f["rank"] - 1), "line 2: '0' is no rank; ranks start at 1"),
        (lambda f: f.assign(rank="first"), "line 2: 'first' is no rank"),
        (lambda f: pd.concat([f, f.head(1)]), "the pair of user and item is twice"),
        (lambda f: f[f["user"] != f["user"].iloc[0]], "1 users of synthetic are missing"),
        (lambda f: f.assign(item="x"), "item 'x' is not among the"),
        (lambda f: f.assign(user=f["user"].astype(str) + "x"), "users of synthetic are missing"),
    ],
)
def test_lists_that_do_not_fit_are_one_line(synthetic, scores, tmp_path, edit, message):
    path = tmp_path / "lists.csv"
    edit(lists(synthetic, scores, 5, "rank")).to_csv(path, index=False)
    with pytest.raises(SeqattnError, match=message):
        external.ranks_of_lists(path, synthetic)


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
    rows = json.loads(capsys.readouterr().out)
    runs = list(Store(tmp_path / "store").runs("synthetic", "theirs"))
    mean = np.mean([metric(run.ranks(), "NDCG", 10) for run in runs])
    assert rows[1]["estimate"] == pytest.approx(mean)
    before = list(Store(tmp_path / "store").runs())
    assert main(["compare", "sasrec", "others", "-d", "synthetic", *store]) == 2
    assert "no run of that name on synthetic" in capsys.readouterr().err
    assert list(Store(tmp_path / "store").runs()) == before  # nothing is fitted for a name's sake
