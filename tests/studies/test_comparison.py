"""A made-up campaign beside the published tables: effects, gaps, corrections, conclusions."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fabricated import fabricate, keep, made_up_search, runs_of, tables_of
from scipy import stats
from statsmodels.stats.multitest import multipletests

from seqattn.config import MARGIN_PERCENT, SEEDS
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Store
from seqattn.stats import dual_criterion
from seqattn.stats.metrics import metric
from seqattn.studies.ia.agreement import FALLS, OPEN, STANDS, agreement, cell_outcome
from seqattn.studies.ia.conclusions import CONCLUSIONS, Evidence, evidence
from seqattn.studies.ia.tables import best_case, self_test_table
from seqattn.studies.judge import corrected, judge, ndcg_at_10
from seqattn.studies.tables import _same_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """ML-100K with one harmful variant, ML-1M without effect and cut short, half of a third."""
    folder = tmp_path_factory.mktemp("campaign")
    fabricate(folder, "ml-100k", slower={"ia-mul": 3})
    fabricate(folder, "ml-100k", design="shared_backbone", slower={"ia-mul": 0.3}, trials=4)
    fabricate(folder, "ml-1m", seeds=SEEDS[:3], trials=13)
    fabricate(folder, "steam-au", slower={"ia-val": 0.3})
    return folder


def read(folder):
    """The tables that the published ones are held against."""
    return SimpleNamespace(**tables_of(folder, "runs", "searches", "comparisons", "lambdas"))


@pytest.fixture(scope="module")
def found(folder):
    return read(folder)


def cell(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_nothing_run_gives_empty_tables(tmp_path):
    found = read(tmp_path / "none")
    assert found.runs.empty and found.comparisons.empty and found.lambdas.empty
    table = agreement(found.comparisons, "own_search")
    assert len(table) == 63 and not table["run"].any() and set(table["outcome"]) == {OPEN}
    facts = evidence(found.comparisons, found.lambdas, "shared_backbone")
    assert {c.judge(facts).verdict for c in CONCLUSIONS} == {OPEN}


def test_records_are_those_of_the_dual_criterion(folder, found):
    groups = runs_of(folder, "ml-100k", "own_search")
    pair = [metric(rank_matrix(groups[m]), "MRR", 20) for m in ("sasrec", "ia-mul")]
    expected = asdict(dual_criterion(*pair))
    row = cell(
        found.comparisons, dataset="ml-100k", arm="own_search", model="ia-mul", metric="MRR", k=20
    )
    for end in ("pooled", "clustered"):
        low_high = expected.pop(f"{end}_ci")
        expected |= dict(zip((f"{end}_low", f"{end}_high"), low_high, strict=True))
    assert row["change"] == pytest.approx(expected.pop("relative_change_percent"))
    for key, value in expected.items():
        assert row[key] == pytest.approx(value), key
    assert row["users_low"] == pytest.approx(100 * expected["clustered_low"] / pair[0].mean())
    change_S = (pair[1] - pair[0]).mean(axis=1)
    assert row["d_z"] == pytest.approx(change_S.mean() / change_S.std(ddof=1))


def test_a_known_effect_is_robust_and_none_is_not(found):
    ndcg = {"metric": "NDCG", "k": 10, "model": "ia-mul"}
    bad = cell(found.comparisons, dataset="ml-100k", arm="own_search", **ndcg)
    assert bad["robust"] and bad["robust_clustered"] and bad["direction"] == -1
    good = cell(found.comparisons, dataset="ml-100k", arm="shared_backbone", **ndcg)
    assert good["robust"] and good["direction"] == 1
    assert not cell(found.comparisons, dataset="ml-1m", arm="own_search", **ndcg)["robust"]


def test_tost_over_users_is_their_t_interval_in_the_margin(folder, found):
    groups = runs_of(folder, "ml-1m", "own_search")
    base, variant = (
        metric(rank_matrix(groups[m]), "NDCG", 10).mean(axis=0) for m in ("sasrec", "ia-val")
    )
    low, high = stats.ttest_rel(variant, base).confidence_interval(0.90)
    row = cell(
        found.comparisons, dataset="ml-1m", arm="own_search", model="ia-val", metric="NDCG", k=10
    )
    inside = 100 * max(abs(low), abs(high)) / base.mean() < MARGIN_PERCENT
    assert row["users_equivalent"] == inside
    # Over seeds as well it is wider, and holds that of users alone.
    assert row["tost_low"] <= 100 * low / base.mean() < 100 * high / base.mean() <= row["tost_high"]


@pytest.mark.parametrize(("name", "method"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_corrections_cover_every_cell_shown_that_has_all_seeds(found, name, method):
    cells = found.comparisons
    rows = cells[cells["n_seeds"] == len(SEEDS)]
    _, expected, _, _ = multipletests(rows["p"], method=method)
    np.testing.assert_allclose(rows[f"p_{name}"], expected)
    assert set(rows["family"]) == {len(rows)}
    # What was run with too few seeds.
    beside = cells.drop(rows.index)
    assert len(beside) and beside[[f"p_{name}", f"robust_{name}"]].isna().all(axis=None)
    fewer = corrected(cells, 3)  # a study that asks for no more
    assert fewer["family"].max() > len(rows)
    assert fewer.loc[fewer["n_seeds"] >= 3, f"robust_{name}"].notna().all()
    # A part of a dataset decides nothing, but it is shown, and so it counts.
    parts = corrected(cells.assign(part=True))
    assert not parts["whole"].any() and parts[f"p_{name}"].equals(cells[f"p_{name}"])


def test_a_cell_of_another_configuration_than_the_search_found_is_not_used(tmp_path):
    fabricate(tmp_path, "ml-100k", models=("sasrec", "ia-add"), seeds=SEEDS[:2])
    other = made_up_search("ml-100k", "ia-add", n_layers=3)
    keep(tmp_path, other.spec(SEEDS[2]), np.ones(60, dtype=np.int32), [0.5])
    assert len(list(Store(tmp_path).runs("ml-100k", "ia-add"))) == 3
    found = read(tmp_path)
    assert set(found.runs.loc[found.runs["model"] == "ia-add", "seed"]) == set(SEEDS[:2])
    assert set(found.comparisons["n_seeds"]) == {2}


def test_a_variant_is_compared_on_the_seeds_both_have(tmp_path):
    fabricate(tmp_path, "ml-100k", models=("sasrec",), seeds=SEEDS[:3])
    fabricate(tmp_path, "ml-100k", models=("ia-add",), seeds=SEEDS[1:])
    fabricate(tmp_path, "ml-100k", models=("ia-val",), seeds=SEEDS[2:])
    cells = read(tmp_path).comparisons
    assert set(cells["model"]) == {"ia-add"} and set(cells["n_seeds"]) == {2}


def test_seeds_fitted_together_count_their_time_once(tmp_path):
    search = made_up_search("ml-100k", "sasrec")
    search.write(tmp_path)
    for seed in SEEDS[:2]:
        keep(tmp_path, search.spec(seed), np.ones(60, dtype=np.int32))
    runs = read(tmp_path).runs
    runs = runs[runs["arm"] == "own_search"]
    assert (runs["hours"] / runs["together"]).sum() == 2.0


def test_signs_intervals_and_verdicts_are_compared(found):
    table = agreement(found.comparisons, "own_search")
    row = cell(table, dataset="ml-100k", model="ia-mul", metric="NDCG")
    assert row["sign_equal"] is True  # both lose
    assert row["verdict_equal"] is False  # ours is robust, the published one is not
    assert row["inside"] is False  # and far larger
    assert row["outcome"] == FALLS
    missing = cell(table, dataset="steam-3k", model="ia-mul", metric="NDCG")
    assert missing["sign_equal"] is None and missing["outcome"] == OPEN
    assert missing["reason"] == "not run"


def test_fewer_seeds_than_the_protocol_cannot_tell(found):
    table = agreement(found.comparisons, "own_search")
    reasons = set(table.loc[table["dataset"] == "ml-1m", "reason"])
    assert reasons == {"3 of 5 seeds were run"}


def outcome(**changes):
    row = {
        "run": True,
        "part": False,
        "n_seeds": 5,
        "published_robust": "yes",
        "robust": False,
        "change": -1.0,
        "low": -3.0,
        "high": 1.0,
        "equivalent": False,
        "cut_short": "",
    }
    return cell_outcome(pd.Series(row | changes)).verdict


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"robust": True}, STANDS),
        ({"robust": True, "change": 2.0, "low": 1.0, "high": 3.0}, FALLS),
        ({"low": 0.1, "change": 1.0}, FALLS),
        ({"robust": True, "change": 2.0, "low": -0.1, "high": 4.0}, FALLS),
        ({"equivalent": True}, FALLS),
        ({"equivalent": np.True_}, FALLS),
        ({"equivalent": np.nan}, OPEN),
        ({}, OPEN),
        ({"published_robust": "no"}, STANDS),
        ({"published_robust": "no", "robust": True}, FALLS),
        ({"published_robust": "unknown", "robust": True}, OPEN),
        ({"robust": True, "part": True}, OPEN),
        ({"robust": True, "n_seeds": 4}, OPEN),
        ({"robust": True, "run": False}, OPEN),
        ({"robust": True, "cut_short": "SASRec's search had 10 of 25 trials"}, OPEN),
    ],
)
def test_a_published_cell_stands_falls_or_cannot_be_told(changes, verdict):
    assert outcome(**changes) == verdict


def judged(found, design, claim):
    facts = evidence(found.comparisons, found.lambdas, design)
    return next(c for c in CONCLUSIONS if claim in c.claim).judge(facts)


def test_one_robust_gain_fells_the_headline_and_its_absence_in_a_part_does_not_prove_it(found):
    assert judged(found, "shared_backbone", "anywhere").verdict == FALLS
    lost = judged(found, "own_search", "anywhere")
    assert lost.verdict == OPEN and "9 of 63" in lost.reason


def test_a_significant_cell_fells_the_claim_that_movielens_has_none(found):
    result = judged(found, "own_search", "non-significant")
    assert result.verdict == FALLS and "ML-100K Mul" in result.reason


def test_the_papers_own_tables_break_no_rule_and_two_rules_cannot_be_passed():
    told = self_test_table()["the paper's own tables"]
    assert not told.eq(FALLS).any() and told.eq(STANDS).sum() == len(CONCLUSIONS) - 2
    unpassable = told.index[told.eq(OPEN)]
    assert [claim.split(" (")[0] for claim in unpassable] == [
        "Nor at 20, 50 or 100",
        "λ and NDCG@10 change do not go together positively",
    ]


def test_a_correlation_of_too_few_datasets_has_no_interval_to_decide_by():
    facts = best_case()
    order = np.arange(len(facts.lambdas), dtype=float)
    rows = facts.lambdas.assign(mean=order, change=np.roll(order, 1))
    (rule,) = (c for c in CONCLUSIONS if "do not go together" in c.claim)
    for few, verdict in ((False, FALLS), (True, OPEN)):
        mine = rows.assign(dataset="ml-100k") if few else rows
        outcome = rule.judge(Evidence(facts.cells_10, facts.cells, mine))
        assert outcome.verdict == verdict and outcome.reason.endswith("too few") == few


def test_one_small_p_of_nine_fells_no_claim_about_nine(found):
    facts = evidence(found.comparisons, found.lambdas, "own_search")
    rows = facts.cells_10.assign(t_p_value=0.5, whole=facts.cells_10["dataset"] == "ml-100k")
    (first, *_) = rows.index[rows["whole"]]
    rule = next(c for c in CONCLUSIONS if "non-significant" in c.claim)
    for p, verdict in ((0.037, OPEN), (0.05 / 9 * 1.01, OPEN), (0.05 / 9 * 0.99, FALLS)):
        rows.loc[first, "t_p_value"] = p
        assert rule.judge(Evidence(rows, facts.cells, facts.lambdas)).verdict == verdict


def test_conclusions_on_what_was_not_run_cannot_be_told(found):
    for claim in ("Steam: every", "eight robust", "λ stays large", "Amazon-Office Recall"):
        assert judged(found, "own_search", claim).verdict == OPEN


@pytest.mark.parametrize(
    ("change", "low", "p", "verdict"),
    [
        (-4.0, -9.0, 0.3, STANDS),  # numerically: a sign is enough
        (2.0, 0.5, 0.3, OPEN),  # an interval alone fells nothing
        (2.0, -0.5, 0.01, OPEN),  # nor does a t-test alone
        (2.0, 0.5, 0.01, OPEN),  # nor do both, as one p of nine
        (2.0, 0.5, 0.05 / 9 * 1.01, OPEN),
        (2.0, 0.5, 0.05 / 9 * 0.99, FALLS),
    ],
)
def test_numerical_drops_stand_by_their_signs_and_fall_by_both_tests_corrected(
    change, low, p, verdict
):
    rows = pd.DataFrame(
        {
            "dataset": "ml-100k",
            "model": [*["ia-add"] * 8, "ia-mul"],
            "metric": "NDCG",
            "k": 10,
            "whole": True,
            "change": [*[-5.0] * 8, change],
            "low": [*[-6.0] * 8, low],
            "high": [*[-4.0] * 8, change + 1],
            "t_p_value": [*[0.01] * 8, p],
        }
    )
    (rule,) = (c for c in CONCLUSIONS if "ML-100K shows" in c.claim)
    facts = Evidence(rows, rows, rows)
    assert rule.judge(facts).verdict == verdict


def headline(p_values):
    """The first rule's verdict on as many robust gains of the 63 cells as there are p-values."""
    facts = best_case()
    cells = facts.cells_10.assign(robust=False, t_p_value=0.5)
    some = cells.index[: len(p_values)]
    cells.loc[some, ["robust", "direction", "t_p_value"]] = [(True, 1, p) for p in p_values]
    return CONCLUSIONS[0].judge(Evidence(cells, facts.cells, facts.lambdas))


def test_a_robust_gain_of_63_cells_must_outlast_holms_correction():
    assert headline([0.04]).verdict == STANDS
    assert headline([0.05 / 63 * 1.01] * 5).verdict == STANDS
    found = headline([0.05 / 63 * 0.99, 0.04])
    assert found.verdict == FALLS and "corrected: 1, " in found.reason


@pytest.mark.parametrize(("p_values", "stands"), [((0.04, 0.04), True), ((0.001, 0.06), False)])
def test_where_all_drops_must_be_significant_nothing_is_corrected(p_values, stands):
    facts = best_case()
    cells = facts.cells_10
    mine = (cells["dataset"] == "amazon-music") & (cells["model"] == "ia-mul")
    cells.loc[mine & cells["metric"].isin(["NDCG", "Recall"]), "t_p_value"] = p_values
    (rule,) = (c for c in CONCLUSIONS if "Mul degrades Amazon-Music" in c.claim)
    verdict = rule.judge(Evidence(cells, facts.cells, facts.lambdas)).verdict
    assert (verdict == STANDS) == stands


def test_lambda_is_judged_by_its_interval_over_seeds(tmp_path):
    fabricate(tmp_path, "ml-100k", lambdas={"ia-mul": 0.9}, seeds=SEEDS)
    found = read(tmp_path)
    result = judged(found, "own_search", "λ can shrink")
    assert result.verdict == FALLS and "ML-100K Mul" in result.reason
    row = cell(found.lambdas, arm="own_search", model="ia-mul")
    low, high = stats.t.interval(
        0.95, 4, 0.92, np.std([0.90, 0.91, 0.92, 0.93, 0.94], ddof=1) / 5**0.5
    )
    assert (row["seed_low"], row["seed_high"]) == pytest.approx((low, high))


def test_a_search_cut_short_cannot_decide_a_published_cell(tmp_path):
    fabricate(tmp_path, "ml-100k", trials=10, slower={"ia-add": 4})
    found = read(tmp_path)
    rows = agreement(found.comparisons, "own_search")
    add = rows[(rows["dataset"] == "ml-100k") & (rows["model"] == "ia-add")]
    assert set(add["outcome"]) == {OPEN}
    assert add["reason"].str.contains("SASRec's search had 10 of 25 trials").all()


def kept(folder, model, ranks_SU):
    for seed, ranks_U in zip(SEEDS, ranks_SU, strict=True):
        keep(folder, made_up_search("ml-100k", model).spec(seed), ranks_U)
    return list(Store(folder).runs("ml-100k", model))


def test_p_is_the_larger_of_that_over_seeds_and_that_over_users(tmp_path):
    """One change is sure over seeds and not over users, the other the other way about."""
    rng = np.random.default_rng(0)
    base = rng.integers(1, 20, size=(5, 40))
    few, one_seed = base.copy(), base.copy()
    few[:, :2] = 1  # two users gain much, with every seed
    one_seed[0] = 1  # all users gain, with one seed
    own = kept(tmp_path, "sasrec", base)
    others = {"ia-add": kept(tmp_path, "ia-add", few), "ia-mul": kept(tmp_path, "ia-mul", one_seed)}
    rows = ndcg_at_10(judge(own, others)).set_index("model")
    for model, ranks in (("ia-add", few), ("ia-mul", one_seed)):
        d_SU = metric(ranks, "NDCG", 10) - metric(base, "NDCG", 10)
        t = stats.ttest_1samp(d_SU.mean(axis=1), 0).pvalue
        drawn = np.random.default_rng(1).integers(40, size=(20_000, 40))
        tail = (d_SU.mean(axis=0)[drawn].mean(axis=1) <= 0).mean()
        assert rows.loc[model, "p"] == pytest.approx(max(t, 2 * tail), abs=0.02)
        assert abs(t - 2 * tail) > 0.1
    assert rows.loc["ia-add", "t_p_value"] < 0.05 < rows.loc["ia-mul", "t_p_value"]


def test_where_no_seed_differs_from_another_there_is_no_t_statistic(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.permuted(np.tile(np.arange(2, 42), (5, 1)), axis=1)
    own, better = kept(tmp_path, "sasrec", base), kept(tmp_path, "ia-add", base - 1)
    row = ndcg_at_10(judge(own, {"ia-add": better})).iloc[0]
    assert row["t_p_value"] == 0 and np.isnan(row["t_statistic"])


def test_verdicts_are_about_ndcg_at_10_alone():
    cells = pd.DataFrame({"metric": ["NDCG", "NDCG", "MRR"], "k": [10, 20, 10]})
    assert ndcg_at_10(cells).index.tolist() == [0]


@pytest.mark.parametrize(("p", "survives"), [([0.024, 0.9], True), ([0.03, 0.9], False)])
def test_a_corrected_verdict_is_of_the_adjusted_p_at_five_percent(p, survives):
    """Holm and Benjamini-Hochberg both double the smaller of two."""
    cells = pd.DataFrame({"p": p, "n_seeds": 5, "robust_clustered": True})
    found = corrected(cells.assign(part=False, cut_short=""))
    for name in ("holm", "bh"):
        assert found[f"robust_{name}"].tolist() == [survives, False]


def test_models_fitted_on_two_versions_of_the_data_are_not_compared():
    def group(*prints):
        own, base = ([SimpleNamespace(spec=SimpleNamespace(fingerprint=p))] for p in prints)
        return SimpleNamespace(runs=own, base=base)

    assert _same_data(group("a", "a")) and not _same_data(group("a", "b"))
