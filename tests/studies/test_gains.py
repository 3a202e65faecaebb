"""AR's gain over AE as printed beside ours, and over how local a dataset is."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fabricated import keep
from matplotlib.figure import Figure
from scipy import stats

from seqattn.analysis import locality
from seqattn.data import load_dataset
from seqattn.plots.ae_ar import gains_over_locality
from seqattn.presets import get_preset
from seqattn.runs.fitting import run_spec
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric
from seqattn.studies import ae_ar, gains
from seqattn.studies.maps import printed
from seqattn.studies.plan import DataFacts, Group
from seqattn.studies.study import read_study

PAIRS = read_study("ae_or_ar")
FACTS = DataFacts("d", "f" * 16, 10**6, 40)
COLUMNS = ["dataset", "arm", "metric", "k", "n_seeds", "base", "change"]
COLUMNS += ["low", "high", "robust_clustered", "direction", "margin"]


def pairs(*rows):
    """Return the table ``pairs`` of NDCG@10: dataset, arm, seeds and change of each row."""
    told = [
        (dataset, arm, "NDCG", 10, seeds, 0.05, change, change - 3, change + 3, True, 1, 9.0)
        for dataset, arm, seeds, change in rows
    ]
    return pd.DataFrame(told, columns=COLUMNS)


def test_printed_gains_are_those_of_tables_4_to_6_in_six_metrics():
    told = gains.printed_gains()
    assert len(told) == 5 * 6 * (1 + 4 + 3)
    of = told.set_index(["arm", "dataset", "metric", "k"])["gain"]
    assert of["as released", "beauty", "NDCG", 10] == pytest.approx(100 * (251 / 158 - 1))
    assert of["as released", "yelp", "Recall", 10] == pytest.approx(100 * (426 / 575 - 1))
    assert of["vanilla, no last", "ml-1m", "NDCG", 10] == pytest.approx(100 * (1638 / 1301 - 1))
    assert of["albert", "sports", "Recall", 20] == pytest.approx(
        100 * float(_ratio("albert", "sports", "R@20") - 1)
    )
    # The mean gain that [AE] prints of its Table 4.
    assert of["as released"].mean() == pytest.approx(25.35, abs=0.01)


def test_printed_metrics_lie_in_the_bands_that_ranks_impose():
    """A hit at rank r gives 1 / log2(r + 1), so NDCG per hit between two cut-offs has bounds.

    It checks our copy of a scan: each number is held by its neighbours.
    """
    told = gains.printed_gains().set_index(["arm", "dataset", "metric", "k"])[["ae", "ar"]]
    of = told.stack().unstack(["metric", "k"])
    assert len(of) == 2 * 5 * (1 + 4 + 3)
    recall, ndcg = of["Recall"], of["NDCG"]
    rounding = 1e-4  # of a printed digit, in the worst case, on each side of a difference
    for low, high in ((0, 5), (5, 10), (10, 20)):
        hits = recall[high] - (recall[low] if low else 0)
        worth = ndcg[high] - (ndcg[low] if low else 0)
        first, last = 1 / np.log2(low + 2), 1 / np.log2(high + 1)
        assert (worth <= hits * first + rounding).all()
        assert (worth >= hits * last - rounding).all()


def test_printed_recalls_on_ml_1m_are_shares_of_its_users():
    """A four-digit number is one by chance with probability 0.6: all 48 say 6,040 users."""
    told = gains.printed_gains().query("dataset == 'ml-1m' and metric == 'Recall'")
    recalls = told[["ae", "ar"]].to_numpy().ravel()
    assert len(recalls) == 48
    users = np.round(recalls * 6040)
    np.testing.assert_allclose(np.round(users / 6040, 4), recalls, atol=1e-9)


def test_printed_means_of_tables_4_to_6_are_ours():
    mean = gains.printed_gains().groupby("arm")["gain"].mean()
    assert sorted(mean.round(2)) == [14.37, 15.30, 16.21, 19.64, 24.01, 25.35, 28.04, 35.77]


def _ratio(design, dataset, column):
    rows = printed(6).set_index(["design", "dataset", "attention"])[column]
    return rows[design, dataset, "AR"] / rows[design, dataset, "AE"]


def test_what_is_printed_stands_beside_ours_of_the_same_family_and_dataset():
    study = dataclasses.replace(PAIRS, datasets=("video-one-pass", "ml-100k"))
    mine = pairs(("video-one-pass", "transformer-xl", 5, 4.0))
    told = gains.beside_printed(ae_ar.verdicts(study, mine))
    assert set(told["dataset"]) == {"video-one-pass"}  # nothing is printed of the other
    unprinted = {"vanilla", "as released", "bce", "gbce", "sampled softmax"}
    assert set(told["arm"]) == {arm.name for arm in PAIRS.arms} - unprinted
    row = told.set_index("arm").loc["transformer-xl"]
    assert row[["ae", "ar", "change", "low", "high"]].tolist() == [0.0516, 0.0569, 4.0, 1.0, 7.0]
    assert row["gain"] == pytest.approx(100 * (569 / 516 - 1))
    assert told.set_index("arm").loc["vanilla, no last", "ar"] == 0.0560  # theirs is called ce


def crossed(folder, seeds_of_ar):
    """Return the groups of a made-up pair, AE's ranks three worse than AR's, and the latter."""
    ranks_SU = np.random.default_rng(0).integers(1, 30, size=(5, 40))
    arm, groups = PAIRS.arm("vanilla"), []
    for model, seeds, worse in (("sasrec", seeds_of_ar, 0), ("bert4rec", range(5), 3)):
        preset = arm.settings.changed(get_preset("fixed"))
        specs = [run_spec(FACTS, model, seed, preset) for seed in seeds]
        for spec in specs:
            keep(folder, spec, ranks_SU[spec.seed] + worse)
        runs = tuple(Store(folder).get(spec) for spec in specs)
        groups.append(Group(FACTS, arm.name, model, tuple(specs), runs=runs))
    return groups, ranks_SU


def test_six_metrics_are_those_of_the_ranks_on_the_seeds_of_both(tmp_path):
    groups, ranks_SU = crossed(tmp_path, (0, 2, 4))
    told = gains.six(PAIRS, groups)
    assert list(zip(told["metric"], told["k"], strict=True)) == gains.SIX
    assert set(told["n_seeds"]) == {3}
    of = told.set_index(["metric", "k"])
    for (name, k), row in of.iterrows():
        ae, ar = (metric(ranks_SU[[0, 2, 4]] + worse, name, k).mean() for worse in (3, 0))
        assert row["base"] == pytest.approx(ae)
        assert row["change"] == pytest.approx(100 * (ar / ae - 1))
        assert row["low"] < row["change"] < row["high"]
    found = (ranks_SU[[0, 2, 4]] <= 5).mean(), (ranks_SU[[0, 2, 4]] <= 2).mean()
    assert of.loc[("Recall", 5), "change"] == pytest.approx(100 * (found[0] / found[1] - 1))


def test_a_pair_needs_two_seeds_of_both(tmp_path):
    groups, _ = crossed(tmp_path, (3,))
    told = gains.six(PAIRS, groups)
    assert told.empty and len(gains.six_beside_printed(told)) == 5 * 6 * 8
    assert gains.six(PAIRS, []).empty


def test_a_metric_has_what_is_printed_above_ours(tmp_path):
    groups, _ = crossed(tmp_path, range(5))
    ours = gains.six(PAIRS, groups)
    ours = pd.concat([ours, ours.assign(dataset="yelp-one-pass", arm="as released")])
    table = gains.six_table(gains.six_beside_printed(ours))
    assert list(table) == [f"{metric}@{k}" for metric, k in gains.SIX]
    own = ours.set_index(["metric", "k"]).loc[[("NDCG", 10)]].iloc[0]
    mine = f"{own['change']:+.1f} [{own['low']:+.1f}, {own['high']:+.1f}]"
    assert table.loc[("vanilla", "d"), "NDCG@10"] == mine
    assert table.loc[("as released", "yelp"), "NDCG@10"] == f"printed -35\n{mine}"
    assert table.loc[("as released", "beauty"), "NDCG@10"] == "printed +59"


LOCAL = pd.DataFrame({"dataset": ["yelp-one-pass", "ml-100k"], "locality": [1.5, 2.0]})


def test_what_is_said_of_gains_is_counted_in_its_tables_and_in_whole_pairs_of_ours():
    columns = ["arm", "dataset", "metric", "k", "change", "low", "high", "n_seeds"]
    rows = [
        *(("local", "d", m, 10, gain, 0, 9, 5) for m, gain in (("NDCG", 3.0), ("Recall", 1.0))),
        *((arm, "d", "NDCG", 10, 4.0, 0, 9, 5) for arm in ("sse-pt", "bpr", "vanilla, no last")),
        *((arm, "d", "Recall", 10, 5.0, 0, 9, 5) for arm in ("sse-pt", "bpr", "vanilla, no last")),
        ("albert", "d", "NDCG", 10, 1.0, 0, 9, 4),  # not whole
        ("albert", "d", "Recall", 10, 9.0, 0, 9, 4),
    ]
    ours = pd.DataFrame(rows, columns=columns)
    told = gains.said_of_gains(gains.six_beside_printed(ours), 5)
    assert told.loc["more in NDCG than in Recall, pairs"].tolist() == ["35 of 40", "1 of 4"]
    least = told.loc["least with a local head, datasets"]
    # Printed means: 19.64 % for Local, then 24.01, 28.04 and 35.77.
    assert least["printed"].startswith("on their mean: yes")
    assert least["ours"] == "on their mean: yes; on one alone: 1 of 1"
    sparse = told.loc["more on sparse datasets, Table 4"]
    # Sports, Beauty, Yelp, Video, ML-1M by density; 58.8, 48.3, -31.3, 16.3, 34.7 in 5.1's text.
    expected = stats.spearmanr([1, 2, 3, 4, 5], [58.8, 48.3, -31.3, 16.3, 34.7]).statistic
    assert sparse["printed"].startswith(f"rank correlation {expected:+.2f} (p = ")
    assert sparse["ours"] == "fewer than three of its datasets"


def test_gains_stand_over_the_locality_of_their_dataset():
    study = dataclasses.replace(PAIRS, datasets=("yelp-one-pass", "ml-100k"))
    mine = pairs(("ml-100k", "vanilla", 5, 20.0), ("ml-100k", "bpr", 4, 9.0))
    told = gains.over_locality(ae_ar.verdicts(study, mine), LOCAL, 5)
    theirs, ours = told[told["printed"]], told[~told["printed"]]
    assert set(theirs["dataset"]) == {"yelp-one-pass"} and set(theirs["locality"]) == {1.5}
    gain = theirs.set_index("arm")["gain"]
    assert len(gain) == 8 and gain["as released"] == pytest.approx(100 * (216 / 333 - 1))
    assert theirs[["low", "high"]].isna().all(axis=None)
    # The pair of four seeds is not judged.
    (row,) = ours.drop(columns="printed").to_numpy().tolist()
    assert row == ["vanilla", "ml-100k", 20.0, 17.0, 23.0, 2.0]
    nothing = gains.over_locality(ae_ar.verdicts(study, pd.DataFrame()), LOCAL, 5)
    assert nothing["printed"].all() and len(nothing) == 8


def test_the_table_is_that_of_the_split_and_a_dataset_not_at_hand_keeps_its_row():
    kept = pd.DataFrame([{"dataset": "no-such-log", "locality": 2.0}])
    study = SimpleNamespace(datasets=("synthetic", "no-such-log", "nor-this"), logs={})
    study.kept = lambda name, columns: kept
    told = gains.locality(study, []).set_index("dataset")
    assert list(told.index) == ["synthetic", "no-such-log"]
    own = locality.locality(load_dataset("synthetic").split)
    assert told.loc["synthetic", "locality"] == pytest.approx(own["locality"], abs=1e-7)
    assert told.loc["no-such-log", "locality"] == 2.0


def test_a_few_points_agree_by_all_their_orders():
    """Of the 120 orders of five points, two are as far from 0 as 1 and -1."""
    assert gains.rank_agreement([1, 2, 3, 4, 5], [1, 4, 9, 16, 25]) == pytest.approx((1, 2 / 120))
    assert gains.rank_agreement([1, 2, 3], [3, 2, 1]) == pytest.approx((-1, 2 / 6))
    assert np.isnan(gains.rank_agreement([1, 2], [1, 2])).all()


def test_of_more_points_the_orders_that_are_drawn_are_always_the_same():
    x, y = range(10), [3, 1, 4, 10, 5, 9, 2, 6, 8, 7]
    assert gains.rank_agreement(x, y) == gains.rank_agreement(x, y)


def test_the_figure_has_a_circle_a_printed_dataset_and_says_what_there_is_not():
    rows = [("T", True, 10.0, np.nan, np.nan, 2.0), ("T", True, 20.0, np.nan, np.nan, 2.0)]
    rows += [("U", False, 5.0, 1.0, 9.0, 3.0)]
    frame = pd.DataFrame(rows, columns=["title", "printed", "gain", "low", "high", "locality"])
    axes = gains_over_locality(frame).axes[0]
    assert [text.get_text() for text in axes.texts] == ["T", "U"]
    circles = next(line for line in axes.lines if line.get_markersize() == 9)
    assert circles.get_xydata().tolist() == [[2.0, 15.0]]
    assert isinstance(gains_over_locality(frame[frame["printed"]]), Figure)
    assert isinstance(gains_over_locality(pd.DataFrame()), Figure)
