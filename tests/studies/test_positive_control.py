"""The positive control: its rule, its ceiling, and its page with and without runs."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fabricated import keep
from matplotlib.figure import Figure

from seqattn import book, plots
from seqattn.config import VARIANTS, replace
from seqattn.data import load_dataset
from seqattn.data.planted import promised, with_planted
from seqattn.presets import get_preset
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.studies import plan, positive_control
from seqattn.studies.plan import DataFacts, Group
from seqattn.studies.study import Study, read_study
from seqattn.studies.tables import TABLES

STUDY = read_study("positive_control")
ONE = dataclasses.replace(STUDY, datasets=("d",))
DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
ARMS = {p: name for name, p in positive_control.doses(STUDY).items()}


def cell(p, gain, margin=20.0, direction=1, n_seeds=3):
    return {
        "dataset": "d", "part": False, "arm": ARMS[p], "model": "ia-add", "metric": "NDCG", "k": 10,
        "n_seeds": n_seeds, "robust_clustered": gain, "direction": direction, "margin": margin,
    }  # fmt: skip


def verdict(gains, beyond, margin=20.0):
    cells = [cell(p, gain) for p, gain in zip(DOSES, gains, strict=True)]
    over = [cell(p, gain, margin) for p, gain in zip(DOSES[1:], beyond, strict=True)]
    row = positive_control.verdicts(ONE, pd.DataFrame(cells), pd.DataFrame(over)).iloc[0]
    return row["verdict"], row["seen_from"], row["alarm"]


def test_the_study_asks_for_all_doses_of_all_variants_against_sasrec_on_real_intensities():
    assert tuple(sorted(ARMS)) == DOSES and len(STUDY.seeds) == 3
    planted = [arm for arm in STUDY.arms if arm.name in ARMS.values()]
    beyond = read_study("beyond_lambda").arm("real").models
    expected = (*VARIANTS, *(model for model in beyond if model not in ("sasrec", *VARIANTS)))
    assert all(arm.models == expected for arm in planted) and len(expected) == 10
    assert {arm.against for arm in STUDY.arms} == {"real"}
    real = STUDY.arm("real")
    assert real.models == ("sasrec",) and real.settings.train == {}


def test_the_other_dials_stand_beside_the_arm_with_their_p_alone():
    assert positive_control.dials(STUDY) == {
        "light tail": "p 1", "heavy tail": "p 1", "popular": "p 1", "popular, p 0": "p 0",
    }  # fmt: skip
    trains = {arm.name: arm.settings.train for arm in STUDY.arms}
    for name, usual in positive_control.dials(STUDY).items():
        (changed,) = {key for key in trains[name] if trains[name][key] != trains[usual].get(key)}
        assert changed in ("planted_tail", "planted_popularity")
        assert STUDY.arm(name).models == VARIANTS and STUDY.arm(name).against == "real"
    assert not positive_control.dials(read_study("held"))


def test_marks_of_the_very_next_item_are_judged_against_marks_that_tell_nothing(tmp_path):
    assert positive_control.next_alone(STUDY) == {"next": 1.0}
    strict = STUDY.arm("next")
    assert strict.settings.train == {"intensity": "planted", "planted_next": True}
    assert (strict.models, strict.against) == (VARIANTS, "real")
    assert "next" not in {**positive_control.dials(STUDY), **positive_control.doses(STUDY)}
    assert not positive_control.next_alone(read_study("held"))
    study, data, facts = small_study(tmp_path)
    smoke, store, groups = get_preset("smoke"), Store(tmp_path), []
    for arm, rank in (("p 0", 9), ("p 1", 7), ("next", 4)):
        train = replace(smoke.train, **study.arm(arm).settings.train)
        preset = dataclasses.replace(smoke, train=train)
        specs = tuple(run_spec(data, "ia-add", seed, preset) for seed in (1, 2))
        for spec in specs:
            keep(tmp_path, spec, np.full(data.n_users, rank), [])
        runs = tuple(filter(None, map(store.get, specs)))
        groups.append(Group(facts, arm, "ia-add", specs, runs=runs))
    table = positive_control.over_nothing(study, groups)
    rows = table.query("metric == 'NDCG' and k == 10").set_index("arm")
    assert set(rows.index) == {"p 1", "next"}
    assert rows.loc["next", "base"] == pytest.approx(1 / np.log2(10))
    told = positive_control.by_dial(
        study, table.assign(dataset="synthetic"), positive_control.next_alone(study)
    )
    told = told["change"].item()
    assert told == pytest.approx(rows.loc["next", "change"])


@pytest.mark.parametrize(
    ("gains", "beyond", "margin", "expected", "seen_from"),
    [
        ([0, 0, 0, 1, 1], [0, 0, 1, 1], 20, "reads", 0.75),
        ([0, 1, 0, 0, 1], [1, 0, 0, 1], 20, "reads", 1.0),  # a lucky dose in between does not count
        ([1, 1, 1, 1, 1], [0, 0, 0, 0], 20, "can't be told", np.nan),  # the channel's gain
        ([0, 0, 0, 0, 0], [1, 1, 1, 1], 20, "can't be told", np.nan),
        ([0, 0, 0, 0, 0], [0, 0, 0, 0], 4, "does not read", np.nan),
    ],
)
def test_the_rule(gains, beyond, margin, expected, seen_from):
    told, found, alarm = verdict(gains, beyond, margin)
    assert told == expected and alarm == bool(gains[0])
    assert found == pytest.approx(seen_from, nan_ok=True)


def test_a_robust_loss_is_no_gain():
    cells = pd.DataFrame([cell(p, True, direction=-1) for p in DOSES])
    told = positive_control.verdicts(ONE, cells, cells[1:])
    assert told["verdict"].iloc[0] == "can't be told" and not told["alarm"].iloc[0]


def test_the_generated_log_is_asked_by_the_same_rule():
    held = read_study("held")
    assert (
        sorted(positive_control.doses(held).values()) == list(DOSES) and held.seeds == STUDY.seeds
    )
    of = {arm.name: arm.models for arm in held.arms}
    variants = STUDY.arm("p 1").models
    assert of.pop("p 1") == ("sasrec", *variants) and set(of.values()) == {variants}
    assert {arm.against for arm in held.arms} == {"p 1"}


def test_a_cell_without_both_ends_of_the_dial_or_a_seed_there_is_not_run():
    cells = [cell(p, True) for p in DOSES]
    for mine, own in (
        (cells[:-1], cells[1:]),
        (cells[1:], cells[1:]),
        (cells, cells[1:-1]),
        ([*cells[:-1], cell(1.0, True, n_seeds=2)], cells[1:]),
        ([], []),
    ):
        told = positive_control.verdicts(ONE, pd.DataFrame(mine), pd.DataFrame(own))
        assert told.query("model == 'ia-add'")["verdict"].tolist() == ["not run"]
        assert told["seen_from"].isna().all() and len(told) == 10


def test_both_ends_of_the_dial_give_a_verdict_and_only_all_doses_a_smallest_one():
    ends = [cell(0.0, False), cell(1.0, True)]
    told = positive_control.verdicts(ONE, pd.DataFrame(ends), pd.DataFrame(ends[1:])).iloc[0]
    assert told["verdict"] == "reads" and np.isnan(told["seen_from"]) and not told["alarm"]


def small_study(tmp_path, name="positive_control"):
    few = ("sasrec", "ia-add", "ia-gate")  # models of an arm: two variants are enough for a page
    study = read_study(name)
    arms = tuple(
        dataclasses.replace(arm, models=tuple(m for m in few if m in arm.models))
        for arm in study.arms
    )
    study = dataclasses.replace(study, datasets=("synthetic",), results=tmp_path, arms=arms)
    data = load_dataset("synthetic")
    return study, data, DataFacts(data.name, data.fingerprint, data.n_targets, data.n_users)


def test_a_dose_is_judged_against_the_same_variant_at_zero(tmp_path):
    study, data, facts = small_study(tmp_path)
    smoke = get_preset("smoke")

    def group(p):
        train = replace(smoke.train, intensity="planted", planted_p=p)
        preset = dataclasses.replace(smoke, train=train)
        specs = tuple(run_spec(data, "ia-mul", seed, preset) for seed in (1, 2))
        runs = tuple(fit_run(Store(tmp_path), data, spec) for spec in specs)
        return Group(facts, ARMS[p], "ia-mul", specs, runs=runs)

    nothing, dose = group(0.0), group(0.5)
    table = positive_control.over_nothing(study, [nothing, dose])
    row = table.query("metric == 'NDCG' and k == 10").iloc[0]
    assert table["arm"].unique().tolist() == ["p 0.5"] and row["n_seeds"] == 2
    means = [
        np.mean([r.facts["metrics"]["test_unfiltered"]["NDCG@10"] for r in side.runs])
        for side in (nothing, dose)
    ]
    assert row["base"] == pytest.approx(means[0])
    assert row["difference"] == pytest.approx(means[1] - means[0])


def test_a_dial_is_judged_against_the_same_variant_with_the_usual_one(tmp_path):
    study, data, facts = small_study(tmp_path)
    smoke, store, groups = get_preset("smoke"), Store(tmp_path), []
    for arm, model, rank in (
        ("p 1", "ia-add", 4),
        ("p 0", "ia-add", 9),
        ("heavy tail", "ia-add", 2),
        ("p 1", "ia-gate", 7),
    ):
        train = replace(smoke.train, **study.arm(arm).settings.train)
        preset = dataclasses.replace(smoke, train=train)
        specs = tuple(run_spec(data, model, seed, preset) for seed in (1, 2))
        for spec in specs:
            keep(tmp_path, spec, np.full(data.n_users, rank), [])
        runs = tuple(filter(None, map(store.get, specs)))
        groups.append(Group(facts, arm, model, specs, runs=runs))
    table = positive_control.over_usual(study, groups)
    row = table.query("metric == 'NDCG' and k == 10").iloc[0]
    assert table[["arm", "model"]].drop_duplicates().to_numpy().tolist() == [
        ["heavy tail", "ia-add"]
    ]
    assert row["base"] == pytest.approx(1 / np.log2(5))
    assert row["difference"] == pytest.approx(1 / np.log2(3) - 1 / np.log2(5))
    told = positive_control.by_dial(
        study, table.assign(dataset="synthetic"), positive_control.dials(study)
    )
    told = told["change"].unstack("dial")
    assert told["heavy tail"].item() == pytest.approx(row["change"])
    assert told.drop(columns="heavy tail").isna().all(axis=None)


def test_the_ceiling_is_what_the_oracle_rule_would_add(tmp_path):
    _, data, facts = small_study(tmp_path)
    spec = run_spec(data, "sasrec", 1, get_preset("smoke"))
    run = fit_run(Store(tmp_path), data, spec)
    told = positive_control.ceiling(
        STUDY, [Group(facts, "real", "sasrec", (spec,), runs=(run,))]
    ).iloc[0]

    planted = with_planted(data, 1.0, 2.0, 0.0, 7).sequences.intensity
    neighbour_V = positive_control.neighbours(data.split.train)
    n_marked = round(told["marked"] * len(planted))
    marked = planted >= np.sort(planted)[-n_marked]
    ranks = run.ranks().copy()
    counts = {"marks": 0, "open": 0, "last": 0}
    strictly = run.ranks().copy()
    for user, row in enumerate(data.split.parts.test):
        rows = slice(data.sequences.offsets[user], row)
        history = data.sequences.items[rows]
        rule = promised(history, marked[rows], neighbour_V)
        ranks[user] = 1 if rule == data.sequences.items[row] else ranks[user]
        follows = neighbour_V[history[-1]] == data.sequences.items[row]
        strictly[user] = 1 if follows else strictly[user]
        for place in np.flatnonzero(marked[rows]):
            is_open = neighbour_V[history[place]] not in history
            counts["marks"] += 1
            counts["open"] += is_open
            counts["last"] += is_open and place == len(history) - 1
    own, best, best_next = (
        np.where(r <= 10, 1 / np.log2(1 + r), 0).mean() for r in (run.ranks(), ranks, strictly)
    )
    assert told["next_ceiling"] == pytest.approx(100 * (best_next / own - 1))
    assert 0 < told["next_applies"] <= told["applies"]
    assert told["base"] == pytest.approx(own)
    assert told["ceiling"] == pytest.approx(100 * (best / own - 1))
    assert told["ceiling"] > 0 and told["open"] >= 1
    assert told["still_open"] == pytest.approx(counts["open"] / counts["marks"])
    assert told["at_last"] == pytest.approx(counts["last"] / counts["open"])


def test_a_log_that_is_not_at_hand_keeps_its_ceiling():
    facts = DataFacts("no-such-log", "f" * 16, 1000, 60)
    study = SimpleNamespace(logs={}, kept=lambda name, columns: kept)
    kept = pd.DataFrame([{"dataset": "no-such-log", "ceiling": 12.5}])
    group = Group(facts, "real", "sasrec", runs=("a run",))
    assert positive_control.ceiling(study, [group]).equals(kept)


@pytest.fixture
def page(tmp_path, monkeypatch, request):
    """A function that runs the page's code on a made-up study: what it glued, and its tables."""
    study, _, _ = small_study(tmp_path / "store", request.param)
    monkeypatch.setattr(Study, "folder", property(lambda self: tmp_path))
    monkeypatch.setattr("seqattn.studies.study.read_study", lambda name: study)
    monkeypatch.setattr(plots, "use_style", lambda: None)
    # "synthetic" has another story.
    known = {"sees_minutes": np.full(60, 0.5), "sees_items": np.full(60, 0.4)}
    monkeypatch.setattr(positive_control, "_known", lambda reference: known)

    def run(gain):
        """`gain` divides ranks at p = 1; None: nothing was run."""
        groups = plan.wanted(study)
        p_of = positive_control.doses(study)
        for group in groups if gain else ():
            for spec in group.specs:
                rng = np.random.default_rng([spec.seed, len(group.model)])
                dose = 0.0 if group.model == "sasrec" else p_of.get(group.arm, 0.0)
                better = 1 + (gain - 1) * dose
                ranks = (np.arange(60) % 20 + 2 + rng.integers(0, 2, size=60)) / better
                lam = [] if group.model == "sasrec" else [0.8, 0.9]
                keep(study.results, spec, np.maximum(1, ranks).astype(np.int32), lam)
        for name in study.tables:
            table = TABLES[name](study, plan.read(groups, *study.stores))
            (tmp_path / f"{name}.csv").write_text(table.to_csv(index=False))
        return executed(study, monkeypatch)

    return run


def executed(study, monkeypatch):
    glued, shown, names = {}, [], {}
    monkeypatch.setattr(book, "glue", lambda **values: glued.update(values))
    cells = json.loads(study.notebook.read_text())["cells"]
    for one in (cell for cell in cells if cell["cell_type"] == "code"):
        *statements, last = ast.parse("".join(one["source"])).body
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(statements, []), "page", "exec"), names)
            shown.append(eval(compile(ast.Expression(last.value), "page", "eval"), names))
        else:
            exec(compile(ast.Module([*statements, last], []), "page", "exec"), names)
    prose = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    assert set(re.findall(r"\{glue:text\}`(\w+)", prose)) == set(glued)
    figures = [one for one in shown if isinstance(one, Figure)]
    tables = [one.to_html() for one in shown if hasattr(one, "to_html")]
    assert not any(re.search(r"\bnan\b", table) for table in [*tables, *map(str, glued.values())])
    return glued, figures, tables


@pytest.mark.parametrize("page", ["positive_control", "held"], indirect=True)
def test_without_runs_the_page_says_so_everywhere(page):
    glued, figures, tables = page(None)
    assert (glued["cells"], glued["judged"], glued["earliest"]) == (2, 0, "none so far")
    assert glued["told"] == "no verdict yet"
    assert {glued.get("applies", "not run"), glued.get("share", "not run")} == {"not run"}
    assert [one.axes[0].texts[0].get_text() for one in figures] == ["not run"] * 2
    # Tables of what was run are empty, and the one below them lists all of it.
    assert all("not run" in table for table in tables[1:] if "<td" in table)
    assert tables[-1].count("not run") > 2 or "not run" in tables[-2]


@pytest.mark.parametrize("page", ["positive_control", "held"], indirect=True)
def test_with_runs_of_a_strong_effect_the_page_says_that_variants_read(page):
    glued, (forest, curves), tables = page(6)
    assert (glued["judged"], glued["alarms"]) == (2, 0)
    assert glued["told"] in ("2 where the variant reads them", "2 that read it")
    assert glued["earliest"].startswith("p = 0.")
    assert len(forest.axes) == 2
    left, right = curves.axes
    stars = [line for line in left.lines if line.get_marker() == "*" and len(line.get_xdata())]
    assert len(stars) == 1 and right.get_ylabel() == "λ"
    assert not any("not run" in table for table in tables)


@pytest.mark.parametrize("page", ["positive_control", "held"], indirect=True)
def test_with_runs_without_effect_no_variant_reads(page):
    glued, _, _ = page(1)
    assert (glued["judged"], glued["alarms"]) == (2, 0)
    assert not re.search(r"the variant reads them|that read it", glued["told"])


def test_how_far_lambda_went_stands_beside_every_dose(monkeypatch):
    columns = ["dataset", "arm", "model", "seed", "steps", "lam", "possible", "used"]
    rows = [
        ("amazon-office", arm, "ia-add", seed, 100 * seed, 0.5, 0.1 * seed, 0.5)
        for arm in ("p 0", "p 1")
        for seed in (1, 3)
    ]
    table = pd.DataFrame(rows, columns=columns)
    monkeypatch.setattr(type(STUDY), "table", lambda self, name: table)
    verdicts = pd.DataFrame(
        [("amazon-office", False, m) for m in ("ia-add", "ia-gate")],
        columns=["dataset", "part", "model"],
    )
    told = positive_control.travelled(STUDY, verdicts)
    assert set(told.index.get_level_values("variant")) == {"Add"}  # the gate has no one lambda
    row = told.loc[("Amazon-Office", "Add", 1.0)]
    assert (row["steps"], row["possible travel"]) == (200, pytest.approx(0.2))
    assert told.loc[("Amazon-Office", "Add", 0.5)].isna().all()  # not run, and there
