"""What CONTRIBUTING.md tells a newcomer to write and to type works as it stands there."""

from __future__ import annotations

import inspect
import linecache
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import assume
from models import test_models
from nbformat.v4 import new_code_cell, new_notebook
from stats import test_paired
from statsmodels.stats import descriptivestats
from studies import test_beyond_lambda_study

from seqattn import build_model, models
from seqattn.book import pages
from seqattn.cli import main
from seqattn.cli.arguments import parser
from seqattn.config import NORMALISATIONS, ModelConfig, TrainConfig
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, Model, SASRec, injection
from seqattn.models.attention import attend
from seqattn.models.intensity import normalise
from seqattn.models.reference import attention, intensity_matrix
from seqattn.presets import PRESETS
from seqattn.runs import fitting
from seqattn.runs.code import code_of
from seqattn.runs.fitting import fit_runs, run_spec
from seqattn.runs.store import Store
from seqattn.stats import significance
from seqattn.studies import judge, placebo, plan, study
from seqattn.studies.tables import TABLES
from seqattn.training.fit import fit

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()


def recipe(what: str) -> str:
    """Return the recipe for adding something."""
    return TEXT.partition(f"## Add {what}\n")[2].partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    """Return what stands between a language's fences."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


RECIPE = recipe("an injection")
SMALL = {"max_length": 8, "hidden_size": 8, "inner_size": 8, "n_layers": 2, "n_heads": 2}


@pytest.fixture
def query(monkeypatch) -> type[injection.IntensityInjection]:
    """The example's class as its module would hold it, under the name that the commands use."""
    source, registered = blocks(RECIPE, "python")
    module = dict(vars(injection))
    exec(source, module)
    monkeypatch.setitem(MODELS, "ia-query", MODELS["sasrec"])  # taken out again after the test
    exec(
        registered,
        module | {"MODELS": MODELS, "Model": Model, "partial": partial, "SASRec": SASRec},
    )
    return module["Query"]


@pytest.mark.parametrize("mode", NORMALISATIONS)
def test_the_example_injection_computes_its_equation(query, mode):
    q, k, v, raw = (torch.rand(6, n, dtype=torch.float64) for n in (3, 3, 3, 1))
    example = query()
    example.lam.data.fill_(0.7)
    signal = normalise(raw.T, raw.T > -1, mode)
    fused = attend(q[None, None] / math.sqrt(3), k[None, None], v[None, None], None, 0.0)
    own = intensity_matrix(raw[:, 0], mode).diagonal()
    expected = attention(q, k, v) * (1 + 0.7 * (own - 1))[:, None]
    torch.testing.assert_close(example.after(fused, signal)[0, 0], expected)


def test_the_example_injection_is_none_of_the_designs_that_the_book_asks_about(query):
    test_beyond_lambda_study.test_the_study_asks_for_every_design_and_rival_with_its_placebos()


@pytest.mark.parametrize("read_from", [3, 7])
def test_the_example_injection_computes_the_same_for_however_few_queries(query, read_from):
    torch.manual_seed(0)
    model = build_model("ia-query", 20, **SMALL).eval()
    items, intensity = torch.randint(1, 21, (3, 8)), 9 * torch.rand(3, 8)
    whole = model(items, intensity)
    assert not torch.allclose(whole, model(items, intensity.flip(1)))
    torch.testing.assert_close(model(items, intensity, read_from), whole[:, read_from:])


def test_the_example_injection_can_be_fitted(query, synthetic):
    assert synthetic.split.train.lengths.max() > SMALL["max_length"]  # some windows are read late
    train = TrainConfig(batch_targets=64, epochs=2, stride=2)
    fitted = fit(synthetic, "ia-query", 2020, ModelConfig(**SMALL), train)
    assert [epoch.epoch for epoch in fitted.history] == [1, 2]
    assert fitted.history[1].loss < fitted.history[0].loss
    assert all(lam != 1 for lam in fitted.history[1].lambdas)


def test_the_commands_fit_judge_and_report_the_same_cells(query):
    (block,) = blocks(RECIPE, "bash")
    asked = [parser().parse_args(line.split()[1:]) for line in block.splitlines()]
    assert [line.split()[1] for line in block.splitlines()] == ["fit", "significance", "report"]
    assert {(o.dataset, *o.model, *o.seed, o.preset) for o in asked} == {
        ("ml-100k", "sasrec", "ia-query", 2020, 2021, "quick")
    }


def test_the_fields_the_recipe_lists_have_the_shapes_it_says():
    fields = re.findall(r"^\| (`.*?) \| \((B, [TS])\) \|", RECIPE, flags=re.MULTILINE)
    said = {name: shape for names, shape in fields for name in re.findall(r"`(\w+)`", names)}
    assert said == {"w_BT": "B, T", "a_BT": "B, S", "b_BT": "B, S", "w_BS": "B, S"}
    raw = torch.rand(2, 5)
    w, a, b = normalise(raw, raw > -1, "minmax")
    signal = type(normalise(raw, raw > -1, "minmax"))(w, a[:, 3:], b[:, 3:])
    for name, shape in said.items():
        assert getattr(signal, name).shape == (2, {"B, T": 5, "B, S": 2}[shape])
    assert torch.equal(signal.w_BS, w[:, 3:])


@pytest.fixture
def own_models(tmp_path, monkeypatch) -> Path:
    """The example's file, which `SEQATTN_MODELS` names."""
    source = blocks(recipe("a model"), "python")[0]
    path = tmp_path / "mine.py"
    path.write_text(source)
    monkeypatch.setenv("SEQATTN_MODELS", str(path))
    return path


@pytest.fixture
def gru(own_models) -> Iterator[str]:
    """The example's model, known to this process for a test."""
    models._load_own()
    yield "my-gru"
    del MODELS["my-gru"], sys.modules["own_mine"]


def test_the_example_model_keeps_to_what_every_model_does(gru):
    for read_from in (3, 7):
        for training in (False, True):
            test_models.test_reading_from_a_position_gives_the_same_hidden_states(
                gru, read_from, training
            )
    test_models.test_padding_changes_nothing(gru)
    test_models.test_what_stands_in_the_padding_vector_changes_nothing(gru)
    test_models.test_the_future_changes_nothing_at_or_before_a_position(gru, "minmax")


def test_the_example_model_that_says_so_gets_the_intensities(own_models):
    whole, says = blocks(recipe("a model"), "python")
    before = "    def read(self"
    kept = whole.replace("return self.", "self.seen = sight.signal; return self.")
    own_models.write_text(kept.replace(before, f"{says}\n{before}"))
    models._load_own()
    model = build_model("my-gru", 20, **SMALL)
    del MODELS["my-gru"], sys.modules["own_mine"]
    model(torch.ones(1, 3, dtype=torch.int64), torch.tensor([[1.0, 2.0, 4.0]]))
    assert model.seen.w_BT.shape == (1, 3)


def test_settings_that_the_example_model_does_not_read_are_refused(gru):
    with pytest.raises(SeqattnError, match="GRU has no attention for positions = 'rope'"):
        build_model(gru, 20, **SMALL, positions="rope")
    with pytest.raises(SeqattnError, match="GRU does not read head = 'transform'"):
        build_model(gru, 20, **SMALL, head="transform")
    model = build_model(gru, 20, **SMALL)
    with pytest.raises(SeqattnError, match="GRU has no attention to show"):
        model.attention_maps(torch.ones(1, 3, dtype=torch.int64))


def test_the_example_model_is_fitted_side_by_side_from_the_command_line(own_models, tmp_path):
    command = "fit -d synthetic -m sasrec my-gru -s 1 2 --preset smoke --json --results-dir"
    done = subprocess.run(
        [sys.executable, "-m", "seqattn", *command.split(), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "store" / "synthetic" / "my-gru").glob("seed-*"))) == 2


def test_a_model_named_in_a_cell_is_fitted_where_it_is_known(gru, synthetic, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "cores", lambda: 2)
    monkeypatch.setattr(fitting, "_fit_in_processes", None)  # called, it would fail
    specs = [run_spec(synthetic, gru, seed, PRESETS["smoke"]) for seed in (1, 2)]
    runs = fit_runs(Store(tmp_path), synthetic, specs, progress=False)
    assert [run.model for run in runs] == [gru, gru]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.py", r"SEQATTN_MODELS=.*absent.py is not there \(looked for /"),
        ("notes.txt", r"SEQATTN_MODELS=.*notes.txt is no Python file"),
        ("bad.py", r"bad.py, which SEQATTN_MODELS names: ModuleNotFoundError: No module.*layers"),
        ("broken.py", r"broken.py, which SEQATTN_MODELS names: SyntaxError"),
        ("bare.py", r"bare.py: MODELS\['my-x'\] is a type, not a Model: write .*injection="),
    ],
)
def test_a_file_of_models_that_cannot_be_run_is_named(tmp_path, monkeypatch, name, message):
    bare = "from seqattn.models import MODELS, SASRec\nMODELS['my-x'] = SASRec"
    texts = {"notes.txt": "x", "bad.py": "import layers", "broken.py": "def", "bare.py": bare}
    for path, text in texts.items():
        (tmp_path / path).write_text(text)
    monkeypatch.setenv("SEQATTN_MODELS", str(tmp_path / name))
    with pytest.raises(SeqattnError, match=message):
        models._load_own()
    assert "my-x" not in MODELS


def test_several_files_of_models_are_known(own_models, tmp_path, monkeypatch):
    other = tmp_path / "there" / own_models.name  # of the same name, in another folder
    other.parent.mkdir()
    other.write_text(own_models.read_text().replace("my-gru", "my-other"))
    try:
        models._load_own()
        alone = code_of("my-gru")
        monkeypatch.setenv("SEQATTN_MODELS", f"{own_models}{os.pathsep}{other}")
        models._load_own()
        assert {"my-gru", "my-other"} <= MODELS.keys()
        sources = [inspect.getsourcefile(MODELS[name].build) for name in ("my-gru", "my-other")]
        assert sources == [str(own_models.resolve()), str(other.resolve())]
        assert code_of("my-gru") == alone
        other.write_text(own_models.read_text())
        with pytest.raises(SeqattnError, match=r"mine\.py both name a model 'my-gru'"):
            models._load_own()
    finally:
        for name in ("my-gru", "my-other"):
            MODELS.pop(name, None)


def test_a_class_of_a_cell_that_was_edited_is_other_code(monkeypatch):
    """A cell's lines are kept as IPython keeps them: of its functions, and of no class."""
    found = []
    for factor in (1, 3):
        lines = ["class Own(SASRec):\n", "    def read(self, x, sight, read_from=0):\n"]
        lines.append(f"        return {factor} * x[:, read_from:]\n")
        cell, names = f"<cell {factor}>", {"SASRec": SASRec, "__name__": "__main__"}
        monkeypatch.setitem(linecache.cache, cell, (1, None, lines, cell))
        exec(compile("".join(lines), cell, "exec"), names)
        monkeypatch.setitem(MODELS, "own", Model(names["Own"], "Own", "#000000"))
        found.append(code_of("own"))
    assert found[0] != found[1]


def test_a_model_made_by_a_lambda_has_one_code_in_every_process(own_models, warm, tmp_path):
    build = "Model(lambda n, config: GRU(n, config), "
    own_models.write_text(own_models.read_text().replace("Model(GRU, ", build))
    program = "from seqattn.runs.code import code_of; print(code_of('my-gru'))"
    done = [warm.run(program, folder=tmp_path) for _ in range(2)]
    assert done[0].returncode == 0 and done[0].stdout == done[1].stdout != b""


def test_a_network_that_training_does_not_know_is_refused(monkeypatch):
    monkeypatch.setitem(MODELS, "plain", Model(lambda n, config: torch.nn.GRU(8, 8), "x", "#000"))
    for ask in (lambda: build_model("plain", 20), lambda: models.is_stackable("plain")):
        with pytest.raises(SeqattnError, match="builds a GRU, which training does not know"):
            ask()


@pytest.mark.parametrize("name", ["gru4rec", "../evil", "team/gru"])
def test_a_model_whose_runs_could_not_be_told_is_refused(own_models, name):
    own_models.write_text(own_models.read_text().replace("my-gru", name))
    with pytest.raises(SeqattnError, match=f"a model '{name}' into MODELS"):
        models._load_own()
    assert name not in MODELS


def test_a_model_named_anew_in_a_cell_is_fitted_where_it_is_known(gru, monkeypatch):
    assert models.is_importable("sasrec") and not models.is_importable(gru)
    monkeypatch.setitem(MODELS, "sasrec", MODELS[gru])
    assert not models.is_importable("sasrec")


def test_the_file_is_found_from_another_folder(own_models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQATTN_MODELS", own_models.name)
    models._load_own()
    del MODELS["my-gru"], sys.modules["own_mine"]
    assert os.environ["SEQATTN_MODELS"] == str(own_models.resolve())


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """An empty checkout in which studies, their tables and pages are looked for."""
    for module in (study, pages):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(study, "FOLDER", tmp_path / "notebooks" / "studies")
    monkeypatch.setattr(pages, "STUDIES", tmp_path / "book" / "studies")
    study.FOLDER.mkdir(parents=True)
    return tmp_path


@pytest.mark.smoke
def test_the_example_study_is_planned_fitted_and_shown_without_any_python_in_src(
    checkout, capsys, one_process
):
    """Its two files as they stand, but on data and a preset that take seconds."""
    yaml_text, _ = blocks(recipe("a study"), "yaml")
    small = yaml_text.replace("ml-100k", "synthetic").replace("quick", "smoke")
    (study.FOLDER / "depth.yaml").write_text(small.replace(", 2022]", "]"))
    cells = blocks(recipe("a study"), "python")[:2]
    cells = [c.replace("NAME", "depth").replace("ml-100k", "synthetic") for c in cells]
    here = f"from seqattn.studies import study\nstudy.ROOT = study.Path({str(checkout)!r})\n"
    here += f"study.FOLDER = study.Path({str(study.FOLDER)!r})"
    notebook = new_notebook(cells=[new_code_cell(source) for source in (here, *cells)])
    nbformat.write(notebook, study.FOLDER / "depth.ipynb")
    assert main(["study", "depth", "--plan"]) == 0
    told = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[2:5] for line in told] == [["0", "4", "unknown"]] * 2  # nothing was timed
    assert main(["study", "depth"]) == 0
    written = ["results/depth/levels.csv", "results/depth/comparisons.csv"]
    page = checkout / "book" / "studies" / "depth.ipynb"
    expected = [str(checkout / name) for name in written] + [str(page)]
    assert capsys.readouterr().out.splitlines() == expected
    table = nbformat.read(page, as_version=4).cells[-1].outputs[-1]["data"]["text/html"]
    assert "deeper" in table and "ia-add" in table


@pytest.mark.smoke
def test_the_example_of_a_study_with_placebos_gives_a_verdict(checkout, query, one_process):
    _, yaml_text = blocks(recipe("a study"), "yaml")
    small = yaml_text.replace("ml-100k", "synthetic").replace("fixed", "smoke")
    (study.FOLDER / "query.yaml").write_text(small + "seeds: [1, 2]\n")
    (study.FOLDER / "query.ipynb").write_text("{}")
    found = study.read_study("query")
    groups = plan.wanted(found)
    plan.fit_missing(found, plan.read(groups, *found.stores))
    groups = plan.read(groups, *found.stores)
    found.folder.mkdir(parents=True)
    for name in found.tables:
        table = TABLES[name](found, groups)
        (found.folder / f"{name}.csv").write_text(table.to_csv(index=False))
    source = blocks(recipe("a study"), "python")[2]
    *_, last = source.strip().splitlines()
    assert last.startswith("placebo.of_study(study)")
    (verdict,) = placebo.of_study(found).itertuples()
    assert (verdict.model, verdict.seeds) == ("ia-query", 2)
    assert verdict.verdict in placebo.VERDICTS


@pytest.fixture
def sign_test():
    """The example's function as its module would hold it."""
    source, _, _ = blocks(recipe("a statistic"), "python")
    module = dict(vars(significance))
    exec(source, module)
    return module["sign_test"]


def test_the_example_statistic_passes_the_test_that_the_recipe_shows(sign_test):
    _, source, _ = blocks(recipe("a statistic"), "python")
    module = dict(vars(test_paired)) | {"sign_test": sign_test}
    module |= {"assume": assume, "descriptivestats": descriptivestats}
    exec(source, module)
    module["test_sign_test_equals_statsmodels"]()


def test_the_example_statistic_becomes_a_column_of_every_comparison(sign_test):
    line = blocks(recipe("a statistic"), "python")[2].strip()
    code = inspect.getsource(judge._beyond)
    first = "**told,"
    assert code.count(first) == 1
    module = dict(vars(judge)) | {"sign_test": sign_test}
    exec(code.replace(first, f"{first} {line}"), module)
    generator = np.random.default_rng(0)
    pairs = {"a": (generator.random((2, 30)), generator.random((2, 30)))}
    records = judge.dual_criterion_table(pairs)
    row = module["_beyond"](records, pairs).iloc[0]
    base, variant = (values.mean(axis=0) for values in pairs["a"])
    assert row["sign_p"] == sign_test(base, variant) < 1
