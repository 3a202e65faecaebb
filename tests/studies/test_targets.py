"""Changes on two targets, their pools, and how far lambda could go, on a made-up campaign."""

from __future__ import annotations

from unittest.mock import patch

import fabricated
import numpy as np
import pandas as pd
import pytest
from fabricated import fabricate, runs_of, tables_of
from scipy import stats

from seqattn.config import MARGIN_PERCENT, SEEDS
from seqattn.config import replace as changed
from seqattn.errors import SeqattnError
from seqattn.stats.metrics import metric
from seqattn.stats.pools import random_effects, tau_interval
from seqattn.studies import targets, travel
from seqattn.studies.judge import change


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    fabricate(folder, "ml-100k", slower={"ia-mul": 3})
    fabricate(folder, "steam-au", slower={"ia-val": 0.3})
    fabricate(folder, "ml-1m", seeds=SEEDS[:3])
    return tables_of(folder, "comparisons", "changes", "travel", "luck")


def rows(**columns):
    n = len(next(iter(columns.values())))
    filled = {"dataset": "a", "arm": "own_search", "part": False, "model": "ia-add", "error": 1.0}
    filled["base"] = 0.05
    return pd.DataFrame({name: [value] * n for name, value in filled.items()} | columns)


def test_only_whole_sets_of_seeds_have_a_change(found):
    assert set(found["changes"]["dataset"]) == {"ml-100k", "steam-au"}
    own = targets.pick(found["changes"], arm="own_search")
    assert len(own) == 2 * 3 * 4  # datasets, variants, targets x rankings


def test_a_set_of_seeds_is_whole_by_the_seeds_of_its_study(tmp_path):
    fabricate(tmp_path, "ml-100k", seeds=SEEDS[:3])
    assert tables_of(tmp_path, "changes")["changes"].empty
    three = tables_of(tmp_path, "changes", seeds=SEEDS[:3])["changes"]
    assert len(targets.pick(three, arm="own_search")) == 3 * 4


def test_a_pool_in_words_needs_three_comparisons_and_says_where_it_was_not_run():
    told = rows(change=[1.0, 2.0, 3.0], arm=["x"] * 3, kind=["unfiltered"] * 3)
    told = told.assign(dataset=["a", "b", "c"], target="test")
    pool = random_effects(told["change"], told["error"])
    text = f"+2.0 % [{pool.ci[0]:+.1f}, {pool.ci[1]:+.1f}]"
    assert targets.pooled_told(told, "x") == {"test": text, "valid": "not run"}
    assert set(targets.pooled_told(told[:2], "x").values()) == {"not run"}
    assert set(targets.pooled_told(told, "y").values()) == {"not run"}
    assert set(targets.pooled_told(pd.DataFrame(), "x").values()) == {"not run"}


def test_a_change_on_test_is_that_of_the_comparison_with_its_crossed_interval(found):
    cells = found["comparisons"].query("metric == 'NDCG' and k == 10 and n_seeds == 5")
    told = targets.pick(found["changes"], target="test", kind="unfiltered")
    both = told.merge(cells, on=["dataset", "arm", "model"], suffixes=("", "_cell"))
    assert len(both[both["arm"] == "own_search"]) == 6
    for name in ("change", "low", "high", "margin"):
        assert both[name].to_numpy() == pytest.approx(both[f"{name}_cell"].to_numpy())
    assert (both["error"] >= both["users_error"] * (1 - 1e-12)).all()


def test_every_target_and_ranking_is_changed_by_its_own_ranks(tmp_path):
    fabricate(tmp_path, "ml-100k", slower={"ia-mul": 3})
    told = targets.pick(tables_of(tmp_path, "changes")["changes"], arm="own_search", model="ia-mul")
    runs = runs_of(tmp_path, "ml-100k", "own_search")
    assert len(told) == 4 == told["base"].nunique()
    for row in told.itertuples():
        base, own = (
            np.mean([metric(r.ranks(row.target, row.kind), "NDCG", 10) for r in runs[model]])
            for model in ("sasrec", "ia-mul")
        )
        assert row.base == pytest.approx(base)
        assert row.change == pytest.approx(100 * (own / base - 1))


def test_equivalence_is_the_90_percent_interval_inside_the_margin(found):
    cells = found["comparisons"]
    ends = cells[["tost_low", "tost_high"]]
    assert ends.mean(axis=1).to_numpy() == pytest.approx(cells["change"])
    inside = (ends["tost_low"] > -MARGIN_PERCENT) & (ends["tost_high"] < MARGIN_PERCENT)
    assert cells["equivalent"].tolist() == inside.tolist() and inside.any() and not inside.all()
    assert (cells["low"] <= ends["tost_low"] + 1e-9).all()  # of 95 %


def test_weights_are_those_of_the_pooled_mean(found):
    rows = targets.pick(found["changes"], target="test", kind="unfiltered", arm="own_search")
    share, of = targets.weights(rows), rows.groupby("dataset")["change"].mean()
    assert share.sum() == pytest.approx(1) and len(share) == 2
    assert (share * of).sum() == pytest.approx(targets.pool(rows).estimate)


def test_the_margin_is_the_smallest_band_that_holds_the_90_percent_interval():
    rng = np.random.default_rng(0)
    base_SU = rng.random((5, 200))
    told = change(base_SU, base_SU + 0.02 + 0.1 * rng.standard_normal((5, 200)))
    assert told["low"] < told["tost_low"] < told["margin"] == told["tost_high"] < told["high"]
    same = change(base_SU, base_SU)
    assert same["margin"] == 0 and same["p"] == 1


def test_pools_are_those_of_each_group():
    found = rows(change=[1.0, 3.0, 2.0, 9.0, 4.0], dataset=["a", "a", "b", "b", "c"])
    found = found.assign(target="test", kind="filtered", error=[1.0, 3.0, 1.0, 1.0, 2.0])
    (told,) = targets.pools(found).to_dict("records")
    of = [2.0, 5.5, 4.0], [2.0, 1.0, 2.0]  # each dataset's mean change, and mean error
    pool = random_effects(*of)
    assert (told["estimate"], told["low"], told["high"]) == (pool.estimate, *pool.ci)
    assert (told["tau_low"], told["tau_high"]) == tau_interval(*of)
    assert told["units"] == pytest.approx((2 + 5.5 + 4) / 3)  # datasets count once
    alone = random_effects(found["change"], found["error"])
    assert (told["alone_low"], told["alone_high"]) == alone.ci
    assert (told["n"], told["datasets"]) == (5, 3)
    assert targets.pools(found[:2]).empty
    assert targets.pools(found.assign(dataset="a")).empty  # three rows of one dataset are no pool


@pytest.mark.parametrize("correlation", [-0.4, 0.0, 0.5, 0.99])
@pytest.mark.parametrize(("n", "tau"), [(3, 0), (3, 2), (8, 0.5), (8, 5)])
def test_a_pool_covers_its_mean_however_errors_of_a_dataset_go_together(n, tau, correlation):
    rng, inside = np.random.default_rng(0), 0
    together = np.linalg.cholesky(np.full((3, 3), correlation) + (1 - correlation) * np.eye(3))
    for _ in range(200):
        s_U3 = rng.uniform(0.2, 3, (n, 3))
        y_U3 = 0.5 + tau * rng.standard_normal((n, 1))  # alike for the variants of a dataset
        y_U3 = y_U3 + s_U3 * (rng.standard_normal((n, 3)) @ together.T)
        found = rows(change=y_U3.ravel(), error=s_U3.ravel(), dataset=np.repeat(np.arange(n), 3))
        low, high = targets.pool(found).ci
        inside += low <= 0.5 <= high
    assert inside >= 0.92 * 200


def test_replicated_is_what_leaves_out_zero_on_both_targets_on_one_side():
    found = rows(
        change=[2.0, 2.0, 2.0, -2.0, 2.0, 2.0],
        low=[1.0, 1.0, 1.0, -3.0, 1.0, -1.0],
        high=[3.0, 3.0, 3.0, -1.0, 3.0, 3.0],
        target=["test", "valid"] * 3,
        model=["ia-add"] * 2 + ["ia-mul"] * 2 + ["ia-val"] * 2,
    ).assign(kind="unfiltered")
    assert list(targets.replicated(found, "unfiltered")["model"]) == ["ia-add"]


def test_a_change_of_sign_between_rankings_is_seen():
    found = rows(
        change=[1.0, -1.0, 1.0, 2.0],
        kind=["unfiltered", "filtered"] * 2,
        model=["ia-add"] * 2 + ["ia-mul"] * 2,
    ).assign(target="test")
    assert list(targets.flipped(found)["model"]) == ["ia-add"]


def test_travel_is_steps_times_learning_rate(found):
    told = found["travel"]
    # 1,000 training targets in batches of 2,048: a step an epoch, and epoch 1 is kept.
    assert set(told["steps"]) == {1}
    assert told["possible"].to_numpy() == pytest.approx(told["learning_rate"].to_numpy())
    assert told["moved"].to_numpy() == pytest.approx(np.abs(1 - told["lam"].to_numpy()))
    cells = travel.by_cell(told)
    assert not cells["counted"].any()
    assert not travel.counted(found["changes"], cells).any()


@pytest.mark.parametrize(
    ("steps", "possible", "counted"),
    [(200, 0.5, True), (199, 0.5, False), (200, 0.49, False), (5000, 3.0, True)],
)
def test_a_cell_counts_from_200_steps_and_half_of_the_way(steps, possible, counted):
    found = rows(steps=[steps] * 3, possible=[possible] * 3).assign(
        learning_rate=0.1, lam=0.5, moved=0.5, used=1.0
    )
    cells = travel.by_cell(found)
    assert cells["counted"].item() is counted
    assert travel.counted(rows(change=[0.0]), cells).item() is counted
    points = {"own_search": rows(change=[0.0]).assign(whole=True)}
    assert travel.only_counted(points, cells)["own_search"]["whole"].item() is counted


def test_the_papers_steps_are_those_of_its_table_2():
    steps = travel.published_steps().groupby("dataset")["steps"].first()
    assert steps["steam-3k"] == 15 and steps["ml-1m"] == 480  # as the review counted by hand
    assert len(steps) == 7


def test_one_comparison_has_no_pool():
    with pytest.raises(SeqattnError, match="at least two effects"):
        targets.pool(rows(change=[1.0]))


def test_luck_is_told_of_whole_sets_of_seeds_alone(tmp_path):
    fabricate(tmp_path, "ml-100k", seeds=SEEDS[:3])
    fabricate(tmp_path, "steam-au")
    assert set(tables_of(tmp_path, "luck")["luck"]["dataset"]) == {"steam-au"}


def test_the_error_over_users_is_that_of_their_means_over_seeds(tmp_path):
    fabricate(tmp_path, "ml-100k", slower={"ia-mul": 3})
    runs = runs_of(tmp_path, "ml-100k", "own_search")
    base, own = (
        np.stack([metric(r.ranks("test"), "NDCG", 10) for r in runs[model]])
        for model in ("sasrec", "ia-mul")
    )
    rows = tables_of(tmp_path, "changes")["changes"].query(
        "arm == 'own_search' and model == 'ia-mul' and target == 'test' and kind == 'unfiltered'"
    )
    error = 100 * stats.sem((own - base).mean(axis=0)) / base.mean()
    assert rows["users_error"].tolist() == pytest.approx([error])


def test_lambda_travels_from_its_own_start_at_its_own_rate(tmp_path):
    train = changed(fabricated.TRAIN, lambda_start=0.5, lambda_rate=10.0)
    with patch.object(fabricated, "TRAIN", train):
        fabricate(tmp_path, "ml-100k", models=("sasrec", "ia-add"))
        found = tables_of(tmp_path, "travel")["travel"]
    assert len(found)
    assert found["possible"].tolist() == pytest.approx(
        (found["steps"] * train.learning_rate * 10).tolist()
    )
    assert found["moved"].tolist() == pytest.approx((0.5 - found["lam"]).abs().tolist())
