"""The verdicts of the study Placebo, by its rule."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from seqattn.config import BY_ITEM, PLACEBOS, replace
from seqattn.data import load_dataset
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.presets import get_preset
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.studies import placebo
from seqattn.studies.plan import DataFacts, Group
from seqattn.studies.study import ArmSettings, read_study


def cell(arm, robust, direction, equivalent=False, n_seeds=5):
    return {
        "dataset": "d", "part": False, "arm": arm, "model": "ia-add", "metric": "NDCG", "k": 10,
        "n_seeds": n_seeds, "robust_clustered": robust, "direction": direction,
        "equivalent": equivalent,
    }  # fmt: skip


STUDY = dataclasses.replace(read_study("placebo"), datasets=("d",))


def verdict(cells, over):
    table = placebo.verdicts(STUDY, pd.DataFrame(cells), pd.DataFrame(over))
    assert table["model"].tolist() == ["ia-add", "ia-mul", "ia-val"]
    assert set(table["verdict"][1:]) == {"not run"}
    return table["verdict"].tolist()[:1]


UP, DOWN, NONE = (True, 1), (True, -1), (False, 1)


@pytest.mark.parametrize(
    ("real", "within", "across", "over_within", "over_across", "equivalent", "expected"),
    [
        (UP, NONE, NONE, UP, UP, False, "information"),
        (UP, UP, NONE, UP, UP, False, "information"),
        (UP, NONE, NONE, UP, NONE, False, "can't be told"),
        (UP, UP, NONE, NONE, UP, False, "channel"),
        (NONE, NONE, UP, NONE, NONE, True, "channel"),
        (NONE, NONE, NONE, NONE, NONE, True, "nothing"),
        (NONE, NONE, NONE, NONE, NONE, False, "can't be told"),
        (DOWN, NONE, NONE, DOWN, DOWN, False, "can't be told"),
    ],
)
def test_the_rule(real, within, across, over_within, over_across, equivalent, expected):
    cells = [
        cell("real", *real, equivalent), cell("within", *within), cell("across", *across)
    ]  # fmt: skip
    assert verdict(cells, [cell("within", *over_within), cell("across", *over_across)]) == [
        expected
    ]


def test_a_cell_without_all_seeds_or_without_a_placebo_is_not_run():
    whole = [cell("real", *UP), cell("within", *NONE), cell("across", *NONE)]
    over = [cell("within", *UP), cell("across", *UP)]
    fewer = [*whole[:2], cell("across", *NONE, n_seeds=4)]
    assert verdict(fewer, over) == ["not run"]
    assert verdict(whole, over[:1]) == ["not run"]
    assert verdict(whole[:1], []) == ["not run"]
    assert verdict([], []) == ["not run"]


def with_arms(**intensities):
    """The study with arms whose names say what they have, and which intensities they do have."""
    arms = [STUDY.arm("real")]
    for name, kind in intensities.items():
        of_kind = ArmSettings("fixed", train={"intensity": kind} if kind else {})
        arms.append(dataclasses.replace(STUDY.arm("within"), name=name, settings=of_kind))
    return dataclasses.replace(STUDY, arms=tuple(arms))


def test_a_gain_without_a_placebo_is_no_information():
    cells = pd.DataFrame([cell("real", *UP), cell("within", *NONE)])
    table = placebo.verdicts(with_arms(), cells, pd.DataFrame([cell("within", *UP)]))
    assert table["verdict"].tolist() == ["no placebo", "not run", "not run"]


@pytest.mark.parametrize(
    "arms",
    [
        {"shuffled": "within"},
        {"wihtin": "within"},
        {"across": "within"},
        {"within": ""},
        {"other within": "within"},
    ],
)
def test_an_arm_that_shuffles_without_saying_so_is_refused(arms):
    cells = pd.DataFrame([cell("real", *UP)])
    with pytest.raises(
        SeqattnError, match=f"arm '{next(iter(arms))}' has intensity '(within|real)'"
    ):
        placebo.verdicts(with_arms(**arms), cells, pd.DataFrame())


def test_a_placebo_of_a_model_that_is_not_there_is_refused():
    within = dataclasses.replace(STUDY.arm("within"), models=("ia-add", "ia-gate"))
    arms = tuple(within if arm.name == "within" else arm for arm in STUDY.arms)
    with pytest.raises(SeqattnError, match="'within' has ia-gate, and arm 'real'"):
        placebo.placebos_of(dataclasses.replace(STUDY, arms=arms))
    alone = Group(DataFacts("d", "f" * 16, 1000, 60), "within", "ia-gate")
    with pytest.raises(SeqattnError, match="has not: give both the same models"):
        placebo.over_placebo(STUDY, [alone])
    with pytest.raises(SeqattnError, match="has not: give both the same models"):
        placebo.over_arms({"within": "real"}, [alone])


@pytest.mark.parametrize(("name", "more"), [("placebo", {BY_ITEM}), ("placebo_sliding", set())])
def test_the_study_asks_for_each_placebo_that_its_preset_does_not_normalise_away(name, more):
    arms = {arm.name: arm.settings.train for arm in read_study(name).arms}
    assert arms["real"] == {}
    told = {train["intensity"] for name, train in arms.items() if name != "real"}
    assert told == set(PLACEBOS) - {"constant"} | more


@pytest.mark.parametrize("preset", ["fixed", "fixed-relative"])
@pytest.mark.parametrize("model", ["ia-add", "ia-mul", "ia-val"])
def test_a_constant_intensity_is_none_in_the_settings_of_the_studies(preset, model):
    """Why neither study has that placebo: any lambda gives the same outputs."""
    config = replace(get_preset(preset).model, hidden_size=8, inner_size=8)
    network = build_model(model, n_items=9, **dataclasses.asdict(config)).eval()
    items_BT = torch.randint(1, 10, (3, 20), generator=torch.Generator().manual_seed(1))
    ways = []
    for lam in (0.0, 1.0, -3.0):
        for injection in network.injections:
            injection.lam.data.fill_(lam)
        ways.append(network(items_BT, torch.full(items_BT.shape, 4.0)))
    torch.testing.assert_close(ways, [ways[0]] * 3, rtol=1e-5, atol=1e-6)


def test_no_changes_are_no_pairs_with_their_columns():
    nothing = pd.DataFrame(columns=["dataset", "arm", "model", "target", "kind", "change"])
    pairs = placebo.pairs(nothing, nothing)
    assert pairs.empty
    assert {"what", "against", "arm", "target", "change"} <= set(pairs)


def test_no_verdict_looks_at_intensities_that_still_tell_the_item():
    whole = [cell("real", *UP), cell("within", *NONE), cell("across", *NONE)]
    over = [cell("within", *UP), cell("across", *UP)]
    for gains in (UP, NONE):
        items = [*whole, cell("items", *gains)], [*over, cell("items", *NONE)]
        assert verdict(*items) == verdict(whole, over) == ["information"]


def test_real_intensities_are_judged_against_the_same_model_on_a_placebo(tmp_path):
    smoke, data = get_preset("smoke"), load_dataset("synthetic")
    facts = DataFacts(data.name, data.fingerprint, data.n_targets, data.n_users)

    def group(kind):
        preset = dataclasses.replace(smoke, train=replace(smoke.train, intensity=kind))
        specs = tuple(run_spec(data, "ia-mul", seed, preset) for seed in (1, 2))
        runs = tuple(fit_run(Store(tmp_path), data, spec) for spec in specs)
        return Group(facts, kind, "ia-mul", specs, runs=runs)

    real, other = group("real"), group("across")
    table = placebo.over_placebo(None, [real, other])
    row = table.query("metric == 'NDCG' and k == 10").iloc[0]
    assert (row["arm"], row["model"], row["n_seeds"]) == ("across", "ia-mul", 2)
    means = [
        np.mean([r.facts["metrics"]["test_unfiltered"]["NDCG@10"] for r in side.runs])
        for side in (other, real)
    ]
    assert row["base"] == pytest.approx(means[0])
    assert row["difference"] == pytest.approx(means[1] - means[0])


def test_lambdas_of_real_and_placebo_are_paired_by_seed_as_scipy_pairs_them():
    real, within = [0.9, 0.4, 0.7, 0.5], [0.1, 0.3, 0.2, 0.05]
    rows = [
        {"dataset": "d", "part": False, "arm": arm, "model": "ia-add", "seed": seed}
        | {"lam": lam, "steps": steps}
        for arm, values, steps in (("real", real, 10), ("within", within[:3], 30))
        for seed, lam in zip((3, 1, 2, 4), values, strict=False)
    ]
    rows += [row | {"model": "ia-mul", "seed": 1} for row in rows if row["arm"] == "real"][:1]
    [told] = placebo.lambdas(pd.DataFrame(rows[::-1])).to_dict("records")  # in any order
    ci = stats.ttest_rel(real[:3], within[:3]).confidence_interval()
    assert (told["model"], told["against"], told["seeds"]) == ("ia-add", "within", 3)
    assert told["real"] == pytest.approx(np.mean(real[:3]))  # the fourth has no placebo
    assert told["gap"] == pytest.approx(told["real"] - told["placebo"])
    assert (told["low"], told["high"]) == pytest.approx(ci)
    assert (told["steps"], told["placebo_steps"]) == (10, 30)


def test_without_a_placebo_there_are_no_lambdas_to_compare():
    assert placebo.lambdas(pd.DataFrame()).empty
    assert placebo.over_seeds(placebo.lambdas_at_one_epoch(STUDY, [])).empty


def test_lambdas_are_compared_after_the_earlier_of_two_epochs_by_hand():
    def run(seed, best, lambdas):
        history = [{"lambdas": [value, value + 0.2]} for value in lambdas]
        facts = {"best_epoch": best, "history": history, "lambdas": history[best - 1]["lambdas"]}
        spec = SimpleNamespace(train_config=SimpleNamespace(batch_targets=100))
        return SimpleNamespace(seed=seed, facts=facts, spec=spec, ranks=lambda: np.ones(10))

    real = [run(1, 3, [0.9, 0.8, 0.7]), run(2, 1, [0.95, 0.1]), run(3, 1, [0.9])]
    sham = [run(1, 2, [0.9, 0.6, 0.1]), run(2, 2, [0.8, 0.7])]
    data = DataFacts("d", "f", 250, 10)
    groups = [
        Group(data, arm, "ia-add", runs=runs, base=base)
        for arm, runs, base in (("real", real, []), ("within", sham, real))
    ]
    told = placebo.lambdas_at_one_epoch(STUDY, groups)
    assert told["epoch"].tolist() == [2, 1]  # the third seed has no placebo
    assert told["steps"].tolist() == told["placebo_steps"].tolist() == [6, 3]
    assert told["real"].tolist() == pytest.approx([0.9, 1.05])
    assert told["placebo"].tolist() == pytest.approx([0.7, 0.9])
    [mean] = placebo.over_seeds(told).to_dict("records")
    assert (mean["arm"], mean["against"], mean["seeds"]) == ("real", "within", 2)
    assert mean["gap"] == pytest.approx(0.175)


def test_lambdas_are_told_apart_where_all_seeds_leave_out_no_difference():
    row = {"dataset": "ml-1m", "part": False, "arm": "real", "model": "ia-add", "against": "across"}
    row |= {"real": 0.377, "placebo": -0.001, "gap": 0.378, "low": 0.351, "high": 0.404}
    lambdas = pd.DataFrame(
        [
            row | {"seeds": 5},
            row | {"seeds": 4},
            row | {"seeds": 5, "low": -0.1},
            row | {"seeds": 5, "gap": -0.3, "low": -0.4, "high": -0.2},
        ]
    )
    told = placebo.told_apart(lambdas, 5)
    assert list(told["gap"]) == [0.378, -0.3]
    assert told["words"].iloc[0] == (
        "Add on ML-1M: 0.38, under 'across' 0.00, difference +0.38 [+0.35, +0.40]"
    )
    assert placebo.told_apart(placebo.lambdas(pd.DataFrame()), 5).empty


@pytest.mark.parametrize("lost", [None, "sasrec", "within", "across"])
def test_information_has_to_be_above_sasrec_and_each_placebo_on_validation(lost):
    row = {"dataset": "d", "arm": "real", "model": "ia-add"}
    told = pd.DataFrame([row | {"verdict": "information"}])
    pairs = pd.DataFrame(
        [
            row | {"what": "real", "against": against, "kind": kind, "target": target}
            | {"change": -1.0 if target == "test" or kind == "filtered" or against == lost else 1.0}
            for against in ("sasrec", *PLACEBOS)
            for kind in ("unfiltered", "filtered")
            for target in ("test", "valid")
        ]
    )  # fmt: skip
    [verdict] = placebo.on_validation(told, pairs)["verdict"]
    assert verdict == ("can't be told" if lost else "information")


def test_where_nothing_has_all_seeds_validation_takes_nothing_back_but_information():
    told = pd.DataFrame(
        {"dataset": "d", "arm": "real", "model": ["ia-add", "ia-mul"]}
        | {"verdict": ["nothing", "information"]}
    )
    none = placebo.pairs(pd.DataFrame(), pd.DataFrame())
    assert list(placebo.on_validation(told, none)["verdict"]) == ["nothing", "can't be told"]
    assert placebo.on_validation(told[:0], none).empty


def test_verdicts_are_told_in_words_that_need_no_rule():
    verdicts = pd.DataFrame({"verdict": ["nothing", "not run", "can't be told", "nothing"]})
    assert placebo.in_words(verdicts) == "2 within ±5 % of SASRec, 1 can't be told"
    assert placebo.in_words(verdicts[1:2]) == "no verdict yet"


def test_variants_with_the_same_runs_in_two_arms_are_named():
    rows = [
        ("steam-au", "shared_backbone", "ia-val", None, "k1"),
        ("steam-au", "variant_backbone", "ia-val", None, "k1"),
        ("steam-au", "shared_backbone within", "ia-val", None, "k1"),  # a placebo is no real arm
        ("steam-au", "shared_backbone", "ia-add", None, "k2"),
        ("steam-au", "variant_backbone", "ia-add", None, "k3"),
        ("steam-au", "variant_backbone", "sasrec", "ia-val", "k4"),
        ("steam-au", "shared_backbone", "sasrec", None, "k4"),
    ]
    runs = pd.DataFrame(rows, columns=["dataset", "arm", "model", "base_of", "key"])
    assert placebo.twice(runs) == "Val on Steam-AU"
    assert placebo.twice(runs[3:]) == placebo.twice(pd.DataFrame()) == "none"


def test_two_arms_with_the_same_runs_are_one_comparison_over_a_placebo():
    row = {
        "dataset": "ml-1m",
        "part": False,
        "arm": "a within",
        "model": "ia-add",
        "target": "test",
    }
    row |= {"kind": "unfiltered", "change": 2.0, "low": 1.0, "high": 3.0}
    rows = pd.DataFrame([row, row | {"arm": "b within"}, row | {"arm": "b across", "change": 1.5}])
    assert placebo.told_over(rows) == "2 of 2 comparisons"
    assert placebo.told_over(rows.assign(low=-1.0)) == "0 of 2 comparisons"


def test_a_placebo_that_gains_and_is_beaten_is_no_channel():
    """Beside `test_the_rule`: real beats the placebo that gains, and not the other."""
    cells = [cell("real", *UP), cell("within", *UP), cell("across", *NONE)]
    assert verdict(cells, [cell("within", *UP), cell("across", *NONE)]) == ["can't be told"]
