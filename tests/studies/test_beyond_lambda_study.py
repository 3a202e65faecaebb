"""The study Beyond lambda: rivals as variants, what gates learned, and its page."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fabricated import ENVIRONMENT, four
from matplotlib.figure import Figure

from seqattn import book, plots
from seqattn.analysis.attention import load_model
from seqattn.config import PLACEBOS
from seqattn.data import load_dataset
from seqattn.models import MODELS
from seqattn.models.key_bias import LEVELS
from seqattn.presets import get_preset
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Result, Store
from seqattn.studies import beyond_lambda, placebo, plan
from seqattn.studies.plan import DataFacts, Group
from seqattn.studies.study import Study, read_study
from seqattn.studies.tables import TABLES
from seqattn.training.ranking import rank_targets

STUDY = read_study("beyond_lambda")
ONE = dataclasses.replace(STUDY, datasets=("d",))
RIVALS = ["confidence", "positives", "contrast"]
DESIGNS = [name for name in STUDY.arm("real").models if name != "sasrec"]


def test_the_study_asks_for_every_design_and_rival_with_its_placebos():
    assert beyond_lambda.rivals(STUDY) == RIVALS
    rooms = ("seqattn.models.key_bias", "seqattn.models.side_information")
    injections = {
        m: model.build.keywords.get("injection")
        for m, model in MODELS.items()
        if isinstance(model.build, partial)
    }
    freer = {m for m, found in injections.items() if found.__module__ in rooms}
    assert set(DESIGNS) == {"ia-add", *freer}  # not those that a reader adds
    by_name = {arm.name: arm for arm in STUDY.arms}
    assert len(by_name) == 13 and {arm.against for arm in STUDY.arms} == {"real"}
    for name, arm in by_name.items():
        told = arm.settings.train.get("intensity", "real")
        assert (placebo.real_arm(name) is None) == (told == "real")
        if told != "real":
            assert name.split()[-1] == told and placebo.real_arm(name) in by_name
            own = {k: v for k, v in arm.settings.train.items() if k != "intensity"}
            real = by_name[placebo.real_arm(name)]
            assert own == real.settings.train
            kept = {"ia-nova", "ia-side-keys"}  # a constant changes no other design
            wanted = kept if told == "constant" else {*real.models} - {"sasrec"}
            assert {*arm.models} - {"sasrec"} == wanted


def cell(arm, model, robust, direction=1, equivalent=False, n_seeds=5):
    return {
        "dataset": "d", "part": False, "arm": arm, "model": model, "metric": "NDCG", "k": 10,
        "n_seeds": n_seeds, "robust_clustered": robust, "direction": direction,
        "equivalent": equivalent,
    }  # fmt: skip


def test_a_rival_is_judged_by_the_rule_of_the_placebo_like_any_design():
    cells = [
        cell("confidence", "sasrec", True),
        cell("confidence within", "sasrec", False),
        cell("confidence across", "sasrec", False),
        cell("positives", "sasrec", False),
        cell("positives within", "sasrec", True),
        cell("positives across", "sasrec", False),
        cell("real", "ia-gate", False, equivalent=True),
        cell("within", "ia-gate", False),
        cell("across", "ia-gate", False),
        cell("real", "ia-nova", True),
    ]
    over = [
        cell("confidence within", "sasrec", True),
        cell("confidence across", "sasrec", True),
        cell("positives within", "sasrec", False),
        cell("positives across", "sasrec", False),
        cell("within", "ia-gate", False),
        cell("across", "ia-gate", False),
    ]
    told = beyond_lambda.verdicts(ONE, pd.DataFrame(cells), pd.DataFrame(over))
    assert told["model"].tolist() == [*DESIGNS, *RIVALS]
    found = told.set_index("model")["verdict"]
    assert found["confidence"] == "information"
    assert found["positives"] == "channel"
    assert found["ia-gate"] == "nothing"
    assert found["ia-nova"] == "not run"


def test_a_design_that_a_constant_changes_has_that_placebo_too():
    """NOVA is judged with three placebos, the gate with two, for it has no runs of the third."""
    gains = {"real": True, "within": False, "across": False}
    cells = [cell(arm, model, up) for model in ("ia-nova", "ia-gate") for arm, up in gains.items()]
    over = [
        cell(arm, model, True) for model in ("ia-nova", "ia-gate") for arm in ("within", "across")
    ]

    def found(cells, over):
        told = beyond_lambda.verdicts(ONE, pd.DataFrame(cells), pd.DataFrame(over))
        return told.set_index("model")["verdict"][["ia-nova", "ia-gate"]].tolist()

    assert found(cells, over) == ["not run", "information"]
    cells.append(cell("constant", "ia-nova", True))
    assert found(cells, [*over, cell("constant", "ia-nova", False)]) == ["channel", "information"]
    assert found(cells, [*over, cell("constant", "ia-nova", True)])[0] == "information"


def test_without_runs_everything_is_not_run():
    told = beyond_lambda.verdicts(STUDY, pd.DataFrame(), pd.DataFrame())
    assert len(told) == 3 * 11 and set(told["verdict"]) == {"not run"}


def test_what_a_fit_learned_is_kept_and_becomes_rows(tmp_path):
    smoke, data = get_preset("smoke"), load_dataset("synthetic")
    facts = DataFacts(data.name, data.fingerprint, data.n_targets, data.n_users)
    groups = []
    for name in ("sasrec", "ia-add-per-head", "ia-gate", "ia-add-learned", "ia-dif-sr", "ia-nova"):
        spec = run_spec(data, name, 1, smoke)
        run = fit_run(Store(tmp_path), data, spec)
        again = Store(tmp_path).get(spec)
        assert again.facts.get("learned") == run.facts.get("learned")
        assert ("learned" in run.facts) == (name not in ("sasrec", "ia-nova"))
        ranks = rank_targets(load_model(again, data), data.split, "test")["unfiltered"]
        assert np.array_equal(ranks, run.ranks())  # weights know the log's quantiles
        groups.append(Group(facts, "real", name, (spec,), runs=(again,)))
    curves = beyond_lambda.gates(STUDY, groups)
    n_heads = curves.groupby("model", sort=False)["head"].unique().map(sorted).to_dict()
    assert n_heads == {"ia-gate": [1, 2], "ia-add-learned": [0], "ia-dif-sr": [1, 2]}
    by_curve = curves.groupby(["model", "layer", "head"])["bias"]
    np.testing.assert_allclose(by_curve.mean(), 0, atol=1e-12)
    assert (by_curve.size() == len(LEVELS)).all()
    weights = groups[2].runs[0].weights()["blocks.1.attention.injection.theta_HM"].numpy()
    own = curves.query("model == 'ia-gate' and layer == 2 and head == 1")["bias"].to_numpy()
    expected = np.interp(LEVELS, np.linspace(0, 1, 5), weights[0])
    np.testing.assert_allclose(own, expected - expected.mean(), atol=1e-6)
    lams = beyond_lambda.head_lambdas(STUDY, groups)
    assert len(lams) == 4 and (lams["lam"] != 1).all()


def test_a_bias_of_an_own_design_that_is_no_curve_is_no_row():
    facts = DataFacts("d", "f" * 16, 10**6, 40)
    learned = [{"bias": [0.1, 0.2]}, {"bias": [list(LEVELS)]}]
    run = SimpleNamespace(seed=1, facts={"learned": learned})
    curves = beyond_lambda.gates(STUDY, [Group(facts, "real", "ia-mine", (), runs=(run,))])
    assert set(curves["layer"]) == {2} and len(curves) == len(LEVELS)


def test_a_band_is_over_seeds_and_not_over_heads():
    def curve(seed, head, bias):
        key = {"dataset": "d", "arm": "real", "model": "ia-gate", "layer": 1}
        return key | {"seed": seed, "head": head, "level": 0.5, "bias": bias}

    values = {1: (1.0, -1.0), 2: (0.5, 0.5), 3: (2.0, 0.0)}
    rows = [curve(s, h, b) for s, both in values.items() for h, b in enumerate(both, 1)]
    band = beyond_lambda.bands(pd.DataFrame(rows)).iloc[0]
    by_seed = np.array([0.0, 0.5, 1.0])
    half = 4.302653 * by_seed.std(ddof=1) / np.sqrt(3)
    assert (band["mean"], band["n_seeds"]) == (0.5, 3)
    assert (band["low"], band["high"]) == pytest.approx((0.5 - half, 0.5 + half))


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A function that runs the page's code on a made-up study: what it glued, figures, tables."""
    datasets = ("synthetic", "ml-100k")  # not the order of titles; the second is never run
    study = dataclasses.replace(STUDY, datasets=datasets, results=tmp_path / "store")
    monkeypatch.setattr(Study, "folder", property(lambda self: tmp_path))
    monkeypatch.setattr("seqattn.studies.study.read_study", lambda name: study)
    monkeypatch.setattr(plots, "use_style", lambda: None)

    def run(gains):
        """`gains` divides the ranks of (arm, model); None: nothing was run."""
        groups = plan.wanted(study)
        mine = [group for group in groups if group.dataset.name == "synthetic"]
        for group in mine if gains is not None else ():
            for spec in group.specs:
                keep(study.results, spec, group, gains.get((group.arm, group.model), 1))
        for name in study.tables:
            table = TABLES[name](study, plan.read(groups, *study.stores))
            (tmp_path / f"{name}.csv").write_text(table.to_csv(index=False))
        return executed(study, monkeypatch)

    return run


def keep(folder, spec, group, gain):
    rng = np.random.default_rng([spec.seed, len(group.model), len(group.arm)])
    ranks = (np.arange(60) % 20 + 2 + rng.integers(0, 2, size=60)) / gain
    ranks = np.maximum(1, ranks).astype(np.int32)
    facts = {
        "lambdas": [0.8, 0.9] if group.model in ("ia-add", "ia-add-learned") else [],
        "history": [{"epoch": 1, "valid_ndcg": 0.1, "lambdas": [0.8, 0.9]}],
        "best_epoch": 1, "seconds": 3600.0, "environment": ENVIRONMENT,
    }  # fmt: skip
    if group.model in ("ia-gate", "ia-bins", "ia-add-learned", "ia-dif-sr"):
        lines = [[spec.seed % 5 + 1.0], [0.5]]
        facts["learned"] = [{"bias": (np.array(lines) * LEVELS).tolist()}] * 2
    if group.model == "ia-add-per-head":
        facts["learned"] = [{"lambda": [0.5, 1.5]}] * 2
    Store(folder).compute(spec, lambda: Result(facts, four(ranks)))


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


def test_without_runs_the_page_says_so(page):
    glued, figures, tables = page(None)
    assert (glued["cells"], glued["judged"], glued["claimed"]) == (22, 0, "none yet")
    assert glued["told"] == "no verdict yet"
    assert len(figures) == 3
    assert all(figure.axes[0].texts[0].get_text() == "not run" for figure in figures)
    assert all("not run" in table for table in tables[:3])


def test_with_runs_the_page_tells_information_from_a_channel(page):
    gains = {("real", "ia-gate"): 3, ("confidence", "sasrec"): 3}
    gains |= {(arm, "ia-nova"): 3 for arm in ("real", *PLACEBOS)}
    glued, (forest, _, curves), tables = page(gains)
    assert glued["judged"] == 11
    assert "2 information" in glued["told"] and "1 channel" in glued["told"]
    assert (glued["eligible"], glued["claimed"]) == (0, "none yet")  # of one dataset
    assert "Loss weight" in tables[0] and tables[0].count("not run") == 11
    labels = [label.get_text() for label in forest.axes[0].get_yticklabels()]
    assert labels[-3:] == ["Loss weight", "Strong targets", "Contrast"]
    assert len(curves.axes) == 2
    rising = curves.axes[0].lines[0].get_ydata()
    assert rising[0] < 0 < rising[-1]
    for table in tables[1:3]:
        run, not_run = table[table.index("<tbody>") :].split("ML-100K")
        assert "not run" not in run and not re.search(r"\d\.\d\d<", not_run)
    assert "Learned scale" in tables[1] and "1.50" in tables[2]
