"""The rules on lambda: do starts meet, is the profile flat, does lambda return on thinned logs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from seqattn.config import VARIANTS
from seqattn.files import ROOT
from seqattn.plots.lambdas import lambda_ends, lambda_phase, lambda_profile, thinned
from seqattn.search.tune import space
from seqattn.studies import lambda_starts, plan, travel
from seqattn.studies.plan import wanted
from seqattn.studies.study import names, read_study

STARTS, THIN = read_study("lambda_starts"), read_study("thinning")
ONE = dataclasses.replace(STARTS, datasets=("d",))


def ended(values, n_seeds=3, model="ia-add"):
    names = list(lambda_starts.starts(STARTS))
    rows = zip(names, values, strict=True)
    return pd.DataFrame(
        [("d", arm, model, value, n_seeds) for arm, value in rows],
        columns=["dataset", "arm", "model", "lambda_mean", "n_seeds"],
    )


def changed(values, margins, robust=(), n_seeds=3):
    names = list(lambda_starts.held(STARTS))
    return pd.DataFrame(
        {
            "dataset": "d",
            "arm": names,
            "model": "ia-add",
            "metric": "NDCG",
            "k": 10,
            "n_seeds": n_seeds,
            "change": values,
            "margin": margins,
            "robust_clustered": [name in robust for name in names],
        }
    )


def told(lambdas, cells):
    found = lambda_starts.verdicts(ONE, lambdas, cells, pd.DataFrame()).set_index("model")
    return tuple(found.loc["ia-add", ["ends", "profile"]])


def test_what_meeting_takes_of_the_travel_of_the_outermost_starts():
    """Of a spread of 2, 1.8 has to go; starts 0 and 2 can go 1 and 2 in the mean of seeds."""
    travel = pd.DataFrame(
        [("d", "ia-add", arm, possible) for arm, possible in
         (("start 0", 0.8), ("start 0", 1.2), ("start 2", 2.0), ("real", 9.0))],
        columns=["dataset", "model", "arm", "possible"],
    )  # fmt: skip
    found = lambda_starts.verdicts(ONE, ended([1, 0, 0.5, 2]), pd.DataFrame(), travel)
    needed = found.set_index("model")["needed"]
    assert needed["ia-add"] == pytest.approx(1.8 / 3) and np.isnan(needed["ia-mul"])


def test_the_study_starts_and_holds_lambda_where_its_rules_say():
    assert lambda_starts.starts(STARTS) == {"real": 1.0, "start 0": 0.0, "start 0.5": 0.5,
                                         "start 2": 2.0}  # fmt: skip
    assert sorted(lambda_starts.held(STARTS).values()) == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.3, 0.3, 0.31, 0.3], "meet"),
        ([0.2, 0.4, 0.3, 0.39], "meet"),  # a tenth of 2
        ([0.2, 0.4, 0.3, 0.41], "partly"),
        ([0.0, 0.0, 0.5, 1.0], "partly"),  # a half of 2
        ([0.9, 0.0, 0.5, 1.8], "apart"),
    ],
)
def test_starts_meet_by_the_spread_that_is_left(values, expected):
    assert told(ended(values), pd.DataFrame())[0] == expected


def test_a_start_that_lacks_a_seed_was_not_run():
    assert told(ended([0.3] * 4, n_seeds=2), pd.DataFrame())[0] == "not run"
    assert told(ended([0.3] * 4)[:3], pd.DataFrame()) == ("not run", "not run")


@pytest.mark.parametrize(
    ("margins", "robust", "expected"),
    [
        ([1, 2, 3, 5], (), "flat"),
        ([1, 2, 3, 5.1], (), "can't be told"),
        ([1, 2, 3, 4], ("held at 4",), "steep"),
    ],
)
def test_a_profile_is_flat_only_if_each_value_is_equivalent(margins, robust, expected):
    cells = changed([0.1, 0.2, -0.3, 1.0], margins, robust)
    assert told(pd.DataFrame(), cells)[1] == expected
    assert told(pd.DataFrame(), cells[:3])[1] == "not run"


def travels(moved_by_share):
    names = lambda_starts.sizes(THIN)
    rows = [
        (row.dataset, "batches of 2048", "ia-add", seed, moved_by_share[row.share])
        for row in names.itertuples()
        for seed in THIN.seeds
    ]
    return pd.DataFrame(rows, columns=["dataset", "arm", "model", "seed", "moved"])


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({100: 0.8, 50: 0.6, 25: 0.3, 10: 0.1}, "returns"),
        ({100: 0.8, 50: 0.6, 25: 0.7, 10: 0.1}, "can't be told"),
        ({100: 0.8, 50: 0.6, 25: 0.7, 10: 0.8}, "stays"),
    ],
)
def test_lambda_returns_if_it_is_nearer_to_1_at_every_smaller_size(moved, expected):
    found = lambda_starts.returning(THIN, travels(moved))
    mine = found[(found["arm"] == "batches of 2048") & (found["model"] == "ia-add")]
    assert set(mine["verdict"]) == {expected} and set(mine["log"]) == {"amazon-herec", "ml-1m"}
    assert set(found.loc[found["model"] != "ia-add", "verdict"]) == {"not run"}
    shown = mine.iloc[0][[100, 50, 25, 10]].to_list()
    assert shown == pytest.approx([moved[share] for share in (100, 50, 25, 10)])


def test_a_size_that_lacks_a_seed_was_not_run():
    few = travels({100: 0.8, 50: 0.6, 25: 0.3, 10: 0.1}).query("seed != 2022")
    assert set(lambda_starts.returning(THIN, few)["verdict"]) == {"not run"}
    assert set(lambda_starts.returning(THIN, pd.DataFrame())["verdict"]) == {"not run"}


def test_thinned_logs_take_the_batches_that_their_arm_says_whatever_their_size(monkeypatch):
    facts = {"fingerprint": "f" * 64, "n_targets": 1000, "n_users": 10}
    monkeypatch.setattr(plan, "data_facts", lambda name: plan.DataFacts(name, **facts))
    sizes = {(g.arm, s.train_config.batch_targets) for g in wanted(THIN) for s in g.specs}
    assert sizes == {("batches of 2048", 2048), ("batches of 256", 256)}


def test_figures_draw_what_there_is_and_say_what_there_is_not():
    one = {"title": "T", "model": "ia-add", "low": 0.1, "high": 0.4}
    ends = pd.DataFrame([one | {"arm": "start 0", "start": 0.0, "mean": 0.3}])
    profile = pd.DataFrame([one | {"value": 1.0, "change": 0.2}])
    thin = pd.DataFrame([one | {"arm": "a", "share": s, "mean": 0.3} for s in (10, 100)])
    for drawn in (
        lambda_ends(ends, ["real", "start 0"]),
        lambda_profile(profile, 5.0),
        lambda_phase(travel.of_all_studies(), travel.published_phase()),
        thinned(thin),
        *(draw(pd.DataFrame(), *more) for draw, more in
          ((lambda_ends, ([],)), (lambda_profile, (5.0,)), (thinned, ()),
           (lambda_phase, (pd.DataFrame(),)))),
    ):  # fmt: skip
        assert isinstance(drawn, Figure)


def test_every_run_has_a_dot_in_the_phase_picture():
    runs = travel.of_all_studies()
    left, _ = lambda_phase(runs, travel.published_phase()).axes
    assert sum(len(line.get_xdata()) for line in left.lines) == len(runs)


def test_every_study_with_lambdas_and_committed_runs_is_in_the_phase_picture():
    """Calibration reads the runs of the replication."""
    of_others = {"calibration"}
    with_lambda = {
        study.name
        for study in map(read_study, names())
        if {*VARIANTS} & {model for arm in study.arms for model in arm.models}
        and study.results.is_relative_to(ROOT / "results")
    }
    keeping = {name for name in names() if "travel" in read_study(name).tables}
    assert with_lambda - of_others == keeping
    keys = ["dataset", "model", "seed", "lam"]
    searched = read_study("replication").table("travel")[keys].drop_duplicates()
    assert len(searched.merge(travel.of_all_studies()[keys])) == len(searched) > 100


def test_each_run_is_drawn_once_and_none_that_was_held():
    kept = travel.of_all_studies()
    assert not kept.duplicated(["dataset", "model", "seed", "steps", "learning_rate", "lam"]).any()
    assert set(kept["kind"]) <= set(travel.KINDS) and kept["possible"].gt(0).all()
    assert not kept["log"].str.contains("-time|-50|-25|-10$").any()
    whole = kept["lam"].sub(kept["start"]).abs()
    assert (whole <= kept["moved"] + 1e-6).all()  # the mean's way is at most the mean way


def test_the_papers_travel_is_told_as_far_as_it_can_be():
    paper, steps = travel.published_phase(), travel.published_steps()
    rates = space(intensity=False)["learning_rate"]
    assert (paper["most"] == steps["steps"] * 50 * rates.high).all()
    far = (1 - steps["lambda_mean"]).abs()
    assert paper["least"].tolist() == np.maximum(far, steps["steps"] * rates.low).tolist()
    assert (paper["least"] <= paper["most"]).all() and len(paper) == 21


def test_the_table_of_the_phase_picture_takes_only_long_runs_where_it_says_so():
    runs, paper = travel.of_all_studies(), travel.published_phase()
    short = runs.assign(possible=0.4)
    told = travel.phase_table(runs, paper)
    assert told.loc["all", "points"] == len(runs)
    assert travel.phase_table(short, paper).loc["all, long enough to count", "points"] == 0
    assert told.iloc[-1][["points", "logs"]].tolist() == [21, 7]


def test_within_a_log_only_long_runs_are_compared_and_five_are_needed():
    long = {"steps": 300, "possible": [1.0, 2.0, 3.0, 4.0, 5.0], "moved": [0.5, 0.4, 0.3, 0.2, 0.1]}
    runs = pd.DataFrame(long).assign(log="a")
    short = runs.assign(steps=travel.LEAST_STEPS - 1, moved=9.0)
    few = runs[:4].assign(log="b")
    told = travel.within_logs(pd.concat([runs, short, few]))
    assert told.to_dict() == {"a": pytest.approx(-1)}
