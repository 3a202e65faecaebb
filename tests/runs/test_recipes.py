"""The recipes of the page "Bring a model": other libraries' output, judged as they judge it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqattn.cli import main
from seqattn.data import Dataset, Interactions, load_dataset
from seqattn.files import ROOT
from seqattn.runs.exchange import split_table
from seqattn.runs.external import ranks_of_scores
from seqattn.stats.metrics import averages_by_kind

RECIPES = ROOT / "book" / "appendix" / "recipes"
RECTOOLS = ROOT / ".venv-rectools" / "bin" / "python"


@pytest.fixture
def split(synthetic, tmp_path):
    assert main(["prepare", "synthetic", "-o", str(tmp_path), "--split", f"{tmp_path}/s.csv"]) == 0
    return tmp_path / "s.csv"


def test_a_split_is_not_written_over_the_log_it_is_made_from(tmp_path):
    rows = [(u, (3 * u + t) % 12, t) for u in range(30) for t in range(8)]
    log = tmp_path / "log.csv"
    pd.DataFrame(rows, columns=["user", "item", "timestamp"]).to_csv(log, index=False)
    columns = "{user: user, item: item, timestamp: timestamp}"
    (tmp_path / "own.yaml").write_text(f"name: own\npath: log.csv\ncolumns: {columns}\n")
    before = log.read_text()
    for taken in ("log.csv", "own.yaml"):
        arguments = [str(tmp_path / "own.yaml"), "-o", str(tmp_path / "out"), "--split"]
        assert main(["prepare", *arguments, str(tmp_path / taken)]) != 0
    assert log.read_text() == before and not (tmp_path / "out").exists()


def test_targets_with_nothing_before_them_are_counted(tmp_path, capsys):
    rows = [
        (u, (3 * u + t) % 12, t, "train" if t < 6 else "test")
        for u in range(9)
        for t in (1, 3, 5, 7)
    ]
    rows += [(u, u, 9, "test") for u in range(20, 23)]  # users who come with their test target
    log = pd.DataFrame(rows, columns=["user", "item", "timestamp", "part"])
    log.to_csv(tmp_path / "log.csv", index=False)
    columns = {name: name for name in ("user", "item", "timestamp")}
    own = {"name": "own", "path": "log.csv", "columns": columns}
    own |= {"split": {"column": "part", "validation": "last"}}
    (tmp_path / "own.yaml").write_text(json.dumps(own))
    out = ["-o", str(tmp_path / "out"), "--split", str(tmp_path / "s.csv")]
    assert main(["prepare", str(tmp_path / "own.yaml"), *out]) == 0
    told = capsys.readouterr().err
    assert "3 of 12 test targets have nothing before them" in told


def last_line(done) -> dict[str, float]:
    """Return the metrics that a recipe which was run printed last."""
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def from_recbole(tmp_path, warm):
    """Run the recipe of RecBole's models and return the metrics it prints."""
    recipe = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    script = RECIPES / "from_recbole.py"
    return lambda *arguments: last_line(warm.run(recipe, script, *arguments, folder=tmp_path))


def evaluated(folder, capsys, *options) -> dict[str, dict[str, float]]:
    """Evaluate a recipe's output and return the run's metrics by kind."""
    command = ["evaluate", "-d", "synthetic", "--name", "theirs", "--json", *map(str, options)]
    assert main([*command, "--results-dir", str(folder / "store")]) == 0
    return json.loads(capsys.readouterr().out)["metrics"]


def assert_equal(ours, theirs):
    for name, value in theirs.items():
        metric, k = name.split("@")
        metric = {"ndcg": "NDCG", "recall": "Recall", "mrr": "MRR"}[metric]
        assert ours[f"{metric}@{k}"] == pytest.approx(value, abs=1e-6)


def test_the_written_split_is_the_datasets(synthetic, split):
    log, parts = pd.read_csv(split), synthetic.split
    assert log["part"].value_counts()["test"] == synthetic.n_users
    codes = np.searchsorted(synthetic.sequences.item_ids, log["item"]) + 1
    np.testing.assert_array_equal(codes[log["part"] == "train"], parts.train.items)
    for stage in ("valid", "test"):
        np.testing.assert_array_equal(codes[log["part"] == stage], parts.targets(stage))
    assert log.columns.tolist() == ["user", "item", "intensity", "timestamp", "part"]
    assert split_table(synthetic)["user"].tolist() == log["user"].tolist()


def test_the_recipe_of_recbole_stops_at_another_split(split, tmp_path, warm):
    pytest.importorskip("recbole.config")
    log = pd.read_csv(split)
    log.loc[log["user"] == log["user"].iloc[0], "part"] = "train"
    log.to_csv(tmp_path / "other.csv", index=False)
    recipe = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    script = RECIPES / "from_recbole.py"
    done = warm.run(recipe, script, "other.csv", "scores.npz", "BPR", 1, folder=tmp_path)
    assert done.returncode and b"is no leave-one-out split" in done.stderr
    assert not (tmp_path / "scores.npz").exists()


@pytest.mark.parametrize("model", ["SASRec", "NARM"])
def test_a_model_fitted_by_recbole_is_judged_as_recbole_judges_it(
    split, tmp_path, capsys, from_recbole, model
):
    pytest.importorskip("recbole.config")
    theirs = from_recbole(split, "scores.npz", model, 2, "--seed=7", "--learning_rate=0.01")
    capsys.readouterr()
    ours = evaluated(tmp_path, capsys, "--scores", tmp_path / "scores.npz")
    assert len(theirs) == 6
    assert_equal(ours["test_unfiltered"], theirs)
    assert 0 < theirs["ndcg@10"] < theirs["recall@10"] < 1
    assert not (tmp_path / "log").exists() and not (tmp_path / "log_tensorboard").exists()


@pytest.mark.parametrize("model", ["BPR", "LightGCN"])
def test_scores_of_recboles_general_models_hide_nothing_and_give_both_kinds(
    tmp_path, from_recbole, model
):
    """On a log where nobody has all items, among which RecBole draws negatives."""
    pytest.importorskip("recbole.config")
    rng = np.random.default_rng(0)
    rows = [(u, i, t) for u in range(50) for t, i in enumerate(rng.choice(60, 12, replace=False))]
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    entry = load_dataset("synthetic").entry
    entry = replace(entry, raw=None, core=None, preparation=replace(entry.preparation, core=1))
    dataset = Dataset.from_interactions(Interactions.from_frame(frame), entry)
    split_table(dataset).to_csv(tmp_path / "s.csv", index=False)
    theirs = from_recbole("s.csv", "scores.npz", model, 2)
    ranked = ranks_of_scores(tmp_path / "scores.npz", dataset)
    ours = averages_by_kind(ranked.ranks, {})
    assert len(theirs) == 6 and not ranked.looks_filtered
    assert_equal(ours["test_filtered"], theirs)
    # What a user already has takes places of its own.
    assert (ranked.ranks["test_unfiltered"] >= ranked.ranks["test_filtered"]).all()
    assert (ranked.ranks["test_unfiltered"] > ranked.ranks["test_filtered"]).mean() > 0.5


@pytest.mark.slow
@pytest.mark.skipif(
    not RECTOOLS.exists(),
    reason="no RecTools: `tools/make_rectools_venv.sh .venv-rectools` makes its environment",
)
def test_a_model_fitted_by_rectools_is_judged_as_rectools_judges_it(split, tmp_path, capsys):
    script = RECIPES / "from_rectools.py"
    command = [RECTOOLS, "-I", script, split, tmp_path / "lists.csv"]
    theirs = last_line(subprocess.run(command, cwd=tmp_path, capture_output=True, check=False))
    capsys.readouterr()
    ours = evaluated(tmp_path, capsys, "--lists", tmp_path / "lists.csv", "--kind", "filtered")
    assert_equal(ours["test_filtered"], theirs)
    assert 0 < theirs["ndcg@10"] < 1
