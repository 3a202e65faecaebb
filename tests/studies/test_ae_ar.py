"""AE against AR: pairs, the factorial against its cells, the dial, and their rules."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from fabricated import keep
from matplotlib.figure import Figure

from seqattn.models import is_masked
from seqattn.plots.ae_ar import dial_curves, effects_forest
from seqattn.presets import get_preset
from seqattn.runs.fitting import run_spec
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric
from seqattn.studies import ae_ar, plan
from seqattn.studies.maps import printed
from seqattn.studies.plan import DataFacts, Group, wanted
from seqattn.studies.study import read_study

PAIRS, WHY = read_study("ae_or_ar"), read_study("why_ar")
FACTS = DataFacts("d", "f" * 16, 10**6, 40)
# By how much each cell's ranks are worse than the same ones.
CELLS = {
    ("next", "sasrec"): 0, ("next", "bidirectional-next"): 2, ("masked", "causal-masked"): 3,
    ("masked", "bert4rec"): 5, ("last", "causal-masked"): 1, ("last", "bert4rec"): 4,
}  # fmt: skip


@pytest.fixture
def facts(monkeypatch):
    """Datasets of which nothing but their facts is known."""
    monkeypatch.setattr(plan, "data_facts", lambda name: dataclasses.replace(FACTS, name=name))


def crossed_groups(folder, cells=CELLS, seeds=range(5), study=WHY):
    """Return groups of the factorial with made-up ranks, and the NDCG@10 of each cell."""
    usual_SU = np.random.default_rng(0).integers(1, 6, size=(5, 40))
    groups = []
    for (arm, model), worse in cells.items():
        preset = study.arm(arm).settings.changed(get_preset("fixed"))
        for seed in seeds:
            keep(folder, run_spec(FACTS, model, seed, preset), usual_SU[seed] + worse)
        specs = {run_spec(FACTS, model, seed, preset) for seed in seeds}
        runs = [run for run in Store(folder).runs() if run.spec in specs]
        groups.append(Group(FACTS, arm, model, runs=tuple(sorted(runs, key=lambda r: r.seed))))
    values = {cell: metric(usual_SU + worse, "NDCG", 10).mean() for cell, worse in cells.items()}
    return groups, values


def test_mask_and_objective_are_the_two_by_two_of_cell_means_and_add_up_to_the_gap(tmp_path):
    groups, of = crossed_groups(tmp_path)
    study = dataclasses.replace(WHY, datasets=("d",))
    found = ae_ar.factorial(study, groups).set_index("effect")
    a, b, c, d = (of[cell] for cell in list(CELLS)[:4])
    c_last, d_last = (of[cell] for cell in list(CELLS)[4:])
    expected = {
        "gap": a - d,
        "mask": (a - b + c - d) / 2,
        "objective": (a - c + b - d) / 2,
        "mask x objective": ((a - b) - (c - d)) / 2,
        "samples": (d_last - d + c_last - c) / 2,
        "objective beyond samples": (a - c_last + b - d_last) / 2,
        "samples, BERT4Rec": d_last - d,
        "samples, causal": c_last - c,
        "mask x samples": ((c_last - c) - (d_last - d)) / 2,
        "gap left": a - d_last,
    }
    assert found["change"].to_dict() == pytest.approx({k: 100 * v / a for k, v in expected.items()})
    assert found.loc["mask", "change"] + found.loc["objective", "change"] == pytest.approx(
        found.loc["gap", "change"]
    )
    assert found.loc[list(ae_ar.FACTORS), "change"].sum() == pytest.approx(
        found.loc["gap", "change"]
    )
    assert (found["low"] < found["change"]).all() and (found["change"] < found["high"]).all()
    assert set(found["n_seeds"]) == {5}


def test_an_effect_needs_all_its_cells_with_two_seeds(tmp_path):
    groups, _ = crossed_groups(tmp_path)
    study = dataclasses.replace(WHY, datasets=("d",))
    without = [g for g in groups if g.model != "bidirectional-next"]
    assert set(ae_ar.factorial(study, without)["effect"]) == {
        *("gap", "samples", "samples, BERT4Rec", "samples, causal", "mask x samples", "gap left")
    }
    one_seed = [
        dataclasses.replace(g, runs=g.runs[:1]) if g.model == "sasrec" else g for g in groups
    ]
    assert ae_ar.factorial(study, one_seed).empty and ae_ar.factorial(study, []).empty


def test_each_arm_is_a_pair_of_one_ar_and_one_ae_model():
    for arm in PAIRS.arms:
        assert sorted(is_masked(model) for model in arm.models) == [False, True]


def test_what_only_masked_items_read_leaves_the_runs_of_next_items_alone(facts):
    of = {(g.arm, g.model): g.specs for g in wanted(dataclasses.replace(PAIRS, datasets=("d",)))}
    assert of["vanilla", "sasrec"] == of["vanilla, no last", "sasrec"]
    assert of["vanilla", "bert4rec"] != of["vanilla, no last", "bert4rec"]
    assert {s.train_config.last_item_samples for s in of["vanilla", "bert4rec"]} == {0.1}
    of_why = {(g.arm, g.model): g.specs for g in wanted(dataclasses.replace(WHY, datasets=("d",)))}
    assert of_why["last", "bert4rec"] == of["vanilla", "bert4rec"]  # one run for both studies
    assert of_why["next", "sasrec"] == of["vanilla", "sasrec"]


def test_a_pair_is_judged_with_ae_as_the_baseline(tmp_path):
    groups, of = crossed_groups(tmp_path, {("next", "sasrec"): 0, ("masked", "bert4rec"): 4})
    study = dataclasses.replace(PAIRS, datasets=("d",), arms=PAIRS.arms[:1])
    groups = [dataclasses.replace(g, arm=study.arms[0].name) for g in groups]
    found = ae_ar.pairs(study, groups)
    row = found[(found["metric"] == "NDCG") & (found["k"] == 10)].iloc[0]
    sasrec, bert = of.values()
    assert (row["model"], row["ae"]) == ("sasrec", "bert4rec")
    assert row["base"] == pytest.approx(bert)
    assert row["change"] == pytest.approx(100 * (sasrec / bert - 1))
    told = ae_ar.verdicts(study, found)
    assert list(told["verdict"]) == ["AR"]
    assert list(ae_ar.verdicts(study, pd.DataFrame())["verdict"]) == ["not run"]


def test_local_ae_is_a_rung_between_ae_and_ar(tmp_path):
    worse = dict(zip(ae_ar.ladder(PAIRS).values(), (4, 2, 0), strict=True))
    groups, of = crossed_groups(tmp_path, worse, study=PAIRS)
    study = dataclasses.replace(PAIRS, datasets=("d",))
    steps = ae_ar.between(study, groups)
    ae, local, ar = of.values()
    assert list(steps["step"]) == ["Local-AE over AE", "AR over Local-AE"]
    assert list(steps["change"]) == pytest.approx([100 * (local / ae - 1), 100 * (ar / local - 1)])
    assert (steps["low"] < steps["change"]).all() and (steps["change"] < steps["high"]).all()
    assert ae_ar.stands_between(steps, ["d", "e"], 5).to_dict() == {"d": "yes", "e": "not run"}
    assert list(ae_ar.stands_between(steps, ["d"], 6)) == ["not run"]
    without = ae_ar.between(study, groups[:1] + groups[2:])
    assert without.empty and list(ae_ar.stands_between(without, ["d"], 5)) == ["not run"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ((1, 1), (9, 9), "yes"),
        ((1, -9), (9, -1), "no"),
        ((-9, 1), (-1, 9), "no"),
        ((1, -1), (9, 9), "can't be told"),
    ],
)
def test_the_rule_of_local_ae(low, high, expected):
    steps = pd.DataFrame({"dataset": "d", "low": low, "high": high, "n_seeds": 5})
    assert list(ae_ar.stands_between(steps, ["d"], 5)) == [expected]


def judged(n_seeds=5, robust=False, direction=1, margin=9.0):
    return {
        "dataset": "d", "arm": PAIRS.arms[0].name, "metric": "NDCG", "k": 10, "n_seeds": n_seeds,
        "robust_clustered": robust, "direction": direction, "margin": margin,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"robust": True}, "AR"),
        ({"robust": True, "direction": -1, "margin": 1.0}, "AE"),
        ({"margin": 5.0}, "alike"),
        ({"margin": 5.1}, "can't be told"),
        ({"robust": True, "n_seeds": 4}, "not run"),
    ],
)
def test_the_rule_of_a_pair(values, expected):
    study = dataclasses.replace(PAIRS, datasets=("d",), arms=PAIRS.arms[:1])
    assert list(ae_ar.verdicts(study, pd.DataFrame([judged(**values)]))["verdict"]) == [expected]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["AR", "AR", "AR", "not run"], "yes"),
        (["AR", "AR", "alike"], "no"),
        (["AR", "can't be told", "AE"], "no"),
        (["AR", "AR", "can't be told"], "can't be told"),
        (["AR", "AR", "not run"], "not run"),
        (["AR", "AR", "AR", "AR", "AE"], "yes"),
        (["AR", "AR", "AR", "AR", "can't be told"], "yes"),
        (["AR", "AR", "AR", "AE", "AE"], "no"),
        (["AR", "AR", "AR", "can't be told", "AE"], "can't be told"),
    ],
)
def test_a_claim_needs_four_fifths_of_the_datasets_that_were_run_and_three_of_them(
    verdicts, expected
):
    rows = pd.DataFrame({"dataset": range(len(verdicts)), "arm": "vanilla", "verdict": verdicts})
    assert ae_ar.claimed(rows).to_dict() == {"vanilla": expected}


def test_most_families_of_the_papers_own_tables_pass_its_claim():
    """Signs of the printed NDCG@10, single runs: AR is ahead on four of five, and AE on Yelp."""
    told = pd.concat([printed(5), printed(6)])
    told = told.pivot(index=["design", "dataset"], columns="attention", values="N@10")
    signs = told.assign(verdict=["AR" if ar > ae else "AE" for ae, ar in told.to_numpy()])
    rows = signs.reset_index().rename(columns={"design": "arm"})
    claims = ae_ar.claimed(rows)
    of_yelp = rows[rows["verdict"] == "AE"].groupby("arm")["dataset"].agg(set)
    assert claims["ce"] == "yes" and of_yelp["ce"] == {"yelp"}
    assert (claims == "yes").sum() > len(claims) / 2


@pytest.mark.parametrize(
    ("gap", "mask", "expected"),
    [
        (10, (6, 1, 11), True),
        (10, (6, -1, 13), False),  # the interval holds 0
        (10, (4, 3, 5), False),  # less than half
        (-10, (-6, -8, -4), True),  # AE ahead, by its mask
        (-10, (6, 4, 8), False),  # against the gap
    ],
)
def test_a_factor_explains_more_than_half_of_the_gap_in_its_direction(gap, mask, expected):
    effects = pd.DataFrame(
        [("d", "gap", gap, gap - 1, gap + 1, 5), ("d", "mask", *mask, 5)],
        columns=["dataset", "effect", "change", "low", "high", "n_seeds"],
    )
    assert list(ae_ar.explained(effects, 5)["explains"]) == [expected]
    assert ae_ar.explained(effects, 6).empty


def test_nothing_is_explained_where_there_may_be_no_gap():
    rows = [("d", "gap", 10, -1, 21, 5), ("d", "mask", 6, 1, 11, 5), ("e", "mask", 6, 1, 11, 5)]
    columns = ["dataset", "effect", "change", "low", "high", "n_seeds"]
    told = ae_ar.explained(pd.DataFrame(rows, columns=columns), 5)
    assert list(told["explains"]) == [False, False]  # nor where the gap was not run


def test_causes_are_told_of_datasets_that_have_them_all():
    columns = ["dataset", "effect", "change", "low", "high", "n_seeds"]
    rows = [("ml-100k", name, 2.0, 1.0, 3.0, 5) for name in ("gap", *ae_ar.FACTORS)]
    rows += [("ml-1m", "gap", 2.0, 1.0, 3.0, 5)]
    rows += [("video", name, 2.0, 1.0, 3.0, 2) for name in ("gap", *ae_ar.FACTORS)]
    told = ae_ar.causes(pd.DataFrame(rows, columns=columns), 5)
    assert told.to_dict() == {
        "ML-100K": "SASRec less BERT4Rec is +2.0 [+1.0, +3.0]; mask +2.0 [+1.0, +3.0], "
        "objective beyond samples +2.0 [+1.0, +3.0], samples +2.0 [+1.0, +3.0]"
    }


@pytest.mark.parametrize(
    ("changes", "robust", "p", "expected"),
    [
        ({0: -9, 2: 3, 8: 1}, True, 0.01, ("holds", 2)),
        ({0: -9, 2: 3, 8: 1}, True, 0.02, ("can't be told", 2)),  # one of three tries
        ({0: -9, 2: 3, 8: 1}, False, 0.01, ("can't be told", 2)),
        ({0: -9, 2: 1, 8: 3}, True, 0.01, ("does not", 8)),  # 1 is equivalent
        ({0: -9, 2: 2, 8: 3}, True, 0.01, ("can't be told", 8)),
        ({0: -9, 2: -3, 8: -1}, True, 0.01, ("does not", ae_ar.ALL)),
        ({0: -9, 2: -3, 8: -1}, False, 0.01, ("can't be told", ae_ar.ALL)),
    ],
)
def test_locality_holds_if_aes_best_window_is_small_and_robustly_above_all(
    changes, robust, p, expected
):
    rows = [
        {"dataset": "d", "model": "local-ae", "metric": "NDCG", "k": 10, "n_seeds": 5,
         "window": w, "change": change, "robust_clustered": robust,
         "direction": np.sign(change), "p": p, "locality": locality, "equivalent": abs(change) < 2}
        for w, change in changes.items() for locality in ("pure", "mixed")
    ]  # fmt: skip
    for row in rows[1::2]:  # of which the rule says nothing
        row["change"] = 50
    found = ae_ar.local_holds(pd.DataFrame(rows), 5, [0, 2, 8, ae_ar.ALL]).iloc[0]
    assert (found["verdict"], found["window"]) == expected
    assert ae_ar.local_holds(pd.DataFrame(rows), 5, [0, 1, 2, 8]).empty  # one is not run
    assert ae_ar.local_holds(pd.DataFrame(), 5, [0]).empty


def test_the_dial_compares_each_window_with_as_far_as_any_of_the_same_model(tmp_path, facts):
    study = dataclasses.replace(WHY, datasets=("d",))
    usual_SU = np.random.default_rng(0).integers(1, 6, size=(5, 40))
    groups = []
    for g in wanted(study):
        if g.model not in ("local-ae", "local-ar"):
            continue
        w, mixed = ae_ar.windows(study)[g.arm], g.arm.startswith("mixed")
        for number, spec in enumerate(g.specs):
            factor = 2 if w == ae_ar.ALL else 3 if mixed else 1
            keep(tmp_path, spec, usual_SU[number] * factor + (w == 2))
        groups.append(g)
    found = ae_ar.dial(study, plan.read(groups, Store(tmp_path)))
    rows = found[(found["metric"] == "NDCG") & (found["k"] == 10)]
    assert set(rows["window"]) == {0, 1, 2, 4, 8} and set(rows["model"]) == {"local-ar", "local-ae"}
    base, *others = (metric(usual_SU * f, "NDCG", 10).mean() for f in (2, 1, 3))
    for locality, level in zip(("pure", "mixed"), others, strict=True):
        near = rows[(rows["window"] != 2) & (rows["locality"] == locality)]
        assert len(near) == 2 * 4
        changes = near["change"].to_numpy()
        assert changes == pytest.approx(100 * (level / base - 1))


def test_each_kind_of_locality_has_every_window_and_the_whole_in_common(facts):
    both = [ae_ar.windows(WHY, kind) for kind in ("pure", "mixed")]
    assert [sorted(of.values()) for of in both] == [[-1, 0, 1, 2, 4, 8]] * 2
    assert set(both[0]) & set(both[1]) == {"w all"} and both[0] | both[1] == ae_ar.windows(WHY)
    of = {}
    for study in (WHY, PAIRS):
        groups = wanted(dataclasses.replace(study, datasets=("d",)))
        of |= {(g.arm, g.model): g.specs for g in groups}
    for model in ("local-ar", "local-ae"):  # one run for both studies
        assert of["mixed 2", model] == of["local", model] != of["w 2", model]


def test_figures_draw_what_there_is_and_say_what_there_is_not():
    effects = pd.DataFrame([("T", "mask", 1.0, 0.5, 2.0), ("T", "gap", 1.0, -0.5, 2.0)],
                           columns=["title", "effect", "change", "low", "high"])  # fmt: skip
    dials = pd.DataFrame([("T", "local-ae", w, 0.1, 0.05, 0.2) for w in (-1, 0, 2)],
                         columns=["title", "model", "window", "mean", "low", "high"])  # fmt: skip
    for draw, frame, *more in ((effects_forest, effects, ("gap",)), (dial_curves, dials)):
        assert isinstance(draw(frame, *more), Figure)
        assert isinstance(draw(pd.DataFrame(), *more), Figure)
    ticks = dial_curves(dials).axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["0", "2", "all"]


def test_one_effect_is_told_by_dataset_where_it_has_its_seeds():
    columns = ["dataset", "effect", "change", "low", "high", "n_seeds"]
    rows = [("amazon-office", "gap", 29.25, 21.3, 37.2, 5), ("ml-100k", "gap", 1.0, 0.0, 2.0, 4)]
    effects = pd.DataFrame(rows, columns=columns)
    assert ae_ar.in_words(effects, "gap", 5) == "+29.2 [+21.3, +37.2] on Amazon-Office"
    assert ae_ar.in_words(effects, "mask", 5) == "not run"


def test_fits_that_the_limit_of_epochs_ended_are_named_with_their_best_epoch():
    columns = ["dataset", "arm", "model", "best_epoch", "epochs", "limit", "patience"]
    rows = [
        ("amazon-office", "patient", "bert4rec", 155, 200, 200, 50),
        ("amazon-office", "patient", "bert4rec", 150, 200, 200, 50),
        ("amazon-office", "masked", "bert4rec", 199, 200, 200, 10),
    ]
    runs = pd.DataFrame(rows, columns=columns)
    told = "1 of 2 fits (BERT4Rec (AE) on Amazon-Office, best epoch 155 of 200)"
    assert ae_ar.cut_in_words(runs, "patient") == told
    assert ae_ar.cut_in_words(runs.iloc[1:2], "patient") == "0 of 1 fits"
    assert ae_ar.cut_in_words(pd.DataFrame(), "patient") == "not run"


def test_no_claim_counts_a_dataset_whose_pairs_had_been_seen():
    verdicts = ["AR", "AR", "AR", "AE"]
    names = ["ml-1m", "beauty", "sports", "amazon-office"]
    rows = pd.DataFrame({"dataset": names, "arm": "vanilla", "verdict": verdicts})
    assert ae_ar.claimed(rows)["vanilla"] == "yes"  # with the last one, three of four are too few
    assert ae_ar.claimed(rows.iloc[1:])["vanilla"] == "not run"


def test_no_line_is_drawn_over_a_window_that_was_not_run():
    rows = [("D", "local-ar", w, 0.05, 0.04, 0.06) for w in (0, 2, -1)]
    rows += [("D", "local-ae", w, 0.03, 0.02, 0.04) for w in (0, -1)]
    frame = pd.DataFrame(rows, columns=["title", "model", "window", "mean", "low", "high"])
    _, ae = dial_curves(frame).axes[0].containers
    assert pd.isna(ae.lines[0].get_ydata()).tolist() == [False, True, False]
