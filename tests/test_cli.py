from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fabricated import groups_of

from seqattn.cli import main
from seqattn.cli.arguments import parser
from seqattn.cli.verbs import _print_json
from seqattn.config import ModelConfig, replace
from seqattn.errors import SeqattnError
from seqattn.files import ROOT
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.presets import get_preset
from seqattn.search.record import Search, SearchConfig
from seqattn.studies import plan

CLI = "import runpy; runpy.run_module('seqattn', run_name='__main__', alter_sys=True)"
FIT = ["--preset", "smoke", "--results-dir"]


def _json(capsys) -> object:
    return json.loads(capsys.readouterr().out)


def test_datasets_lists_names_licences_and_intensities(capsys):
    assert main(["datasets", "--json"]) == 0
    entries = {entry["name"]: entry for entry in _json(capsys)}
    assert entries["ml-100k"]["unit"] == "stars, 1 to 5"
    assert main(["datasets"]) == 0
    assert "ml-100k" in capsys.readouterr().out


def test_datasets_tells_what_is_here_and_how_to_get_the_rest(capsys, tmp_path, monkeypatch):
    (tmp_path / "yelp.csv.gz").touch()
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path))
    monkeypatch.setenv("SEQATTN_CACHE", str(tmp_path / "cache"))
    assert main(["datasets", "--json"]) == 0
    entries = {entry["name"]: entry for entry in _json(capsys)}
    assert entries["yelp"]["status"] == "present (mirror)"
    assert entries["synthetic"]["status"] == "generated"
    assert entries["ml-1m"]["status"] == "missing"
    assert main(["datasets"]) == 0
    assert f"ml-1m: `seqattn prepare ml-1m` downloads {entries['ml-1m']['url']}" in (
        capsys.readouterr().out
    )


def test_prepare_reports_every_step(capsys, synthetic, tmp_path):
    assert main(["prepare", "synthetic", "--json", "-o", str(tmp_path)]) == 0
    record = _json(capsys)
    assert record["fingerprint"] == synthetic.fingerprint
    assert record["steps"][0]["name"] == "read"


def test_fit_then_significance(capsys, tmp_path, one_process):
    models, seeds = ["sasrec", "ia-val"], ["1", "2"]
    assert (
        main(["fit", "-d", "synthetic", "-m", *models, "-s", *seeds, "--json", *FIT, str(tmp_path)])
        == 0
    )
    runs = _json(capsys)
    assert [c["spec"]["model"] for c in runs] == ["sasrec", "sasrec", "ia-val", "ia-val"]
    arguments = ["significance", "synthetic", "-m", *models, "-s", *seeds, *FIT, str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    records = _json(capsys)
    assert {r["metric"] for r in records} == {"NDCG", "Recall", "MRR"}
    assert all(isinstance(r["robust"], bool) for r in records)
    assert main(arguments) == 0
    assert "clustered_p_value" in capsys.readouterr().out


def test_a_control_is_fitted_with_what_another_models_search_found(capsys, tmp_path, synthetic):
    smoke = get_preset("smoke")
    for model, n_layers in (("sasrec", 2), ("ia-add", 1)):
        Search(
            *("synthetic", synthetic.fingerprint, model, "own_search", SearchConfig(1, 1)),
            *(replace(smoke.model, n_layers=n_layers), smoke.train, 0.1, [], {}),
        ).write(tmp_path)
    where = ["--preset", "own_search", "--results-dir", str(tmp_path)]
    fit = ["fit", "-d", "synthetic", "-m", "sasrec", "-s", "2020", "--json", *where]
    assert main([*fit, "--backbone-of", "ia-add"]) == 0
    assert _json(capsys)[0]["spec"]["model_config"]["n_layers"] == 1
    _, groups = groups_of(tmp_path, ["synthetic"], (2020,), synthetic.fingerprint)
    (add,) = (g for g in groups if (g.arm, g.model) == ("variant_backbone", "ia-add"))
    (run,) = add.base
    assert (run.model, run.seed) == ("sasrec", 2020)


def test_settings_of_ones_own_stand_where_a_preset_may(capsys, tmp_path, one_process):
    own, results = tmp_path / "wide.yaml", ["--results-dir", str(tmp_path / "results")]
    own.write_text("like: smoke\nmodel: {hidden_size: 12}\ntrain: {last_item_samples: 0.5}\n")
    fit = ["fit", "-d", "synthetic", "-m", "sasrec", "bert4rec", "-s", "1", "2", "--json"]
    assert main([*fit, "--preset", str(own), *results]) == 0
    runs, smoke = _json(capsys), get_preset("smoke")
    ar, ae = runs[0]["spec"], runs[2]["spec"]
    assert ModelConfig(**ar["model_config"]) == replace(smoke.model, hidden_size=12)
    # What the masked-item objective alone reads is left out of the other's settings.
    assert "last_item_samples" not in ar["train_config"]
    assert ae["train_config"]["last_item_samples"] == 0.5
    compare = ["compare", "sasrec:smoke", f"sasrec:{own}", "-d", "synthetic", "-s", "1", "2"]
    assert main([*compare, "--json", *results]) == 0
    assert len(_json(capsys)) > 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("like: fixd", "like is 'fixd'; choose one of quick"),
        ("model: {}", "key 'like' is missing"),
        ("like: fixed\nmodels: {}", "unknown key 'models'"),
        ("like: fixed\nmodel: {1: 2}", "unknown ModelConfig key 1"),
        ("like: fixed\ntrain: {yes: 2}", "unknown TrainConfig key True"),
        ("like: fixed\ntrain: {learning_rate: 1e-3}", "must be float, not str '1e-3'"),
        ("like: fixed-relative\nmodel: {positions: absolute}", "under a sliding_window"),
        (None, "no such file"),
    ],
)
def test_settings_that_are_none_are_refused_before_anything_runs(text, told, capsys, tmp_path):
    own = tmp_path / "own.yaml"
    if text is not None:
        own.write_text(text)
    for verb in (["fit", "-s", "1", "--preset"], ["tune", "--base"]):
        with pytest.raises(SystemExit) as stop:
            main([*verb, str(own), "-d", "nonsense", "-m", "sasrec"])
        assert stop.value.code == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert f"{verb[-1]}: {own}" in error
        assert told in error


def test_a_users_error_is_one_line_and_exit_code_2(capsys):
    assert main(["prepare", "nonsense"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("seqattn: ")
    assert "nonsense" in error
    assert error.count("\n") == 1


def test_an_unknown_model_is_refused_before_anything_runs(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "-d", "synthetic", "-m", "sasrek", "-s", "1"])
    assert stop.value.code == 2
    assert "sasrek" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["fit", "tune", "metrics", "report"])
def test_help_lists_the_models_once_and_breaks_no_name(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    told = capsys.readouterr().out
    known = [*MODELS, *RECBOLE_MODELS] if verb in ("fit", "metrics") else MODELS
    of_models = told.split("--model MODEL [MODEL ...]")[-1]
    listed = re.split(r";|\n  -", of_models)[0]
    assert " ".join(listed.split()) == ", ".join(known)
    assert not re.search(r"\w-\n", told)


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "seqattn fit -d ml-100k" in capsys.readouterr().out


def test_tune_prints_what_it_found_and_keeps_it(capsys, tmp_path):
    arguments = ["tune", "-d", "synthetic", "-m", "sasrec", "--trials", "1", "--epochs", "1"]
    arguments += ["--base", "smoke", "--results-dir", str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    found = _json(capsys)
    assert (found["model"], found["design"], len(found["trials"])) == ("sasrec", "own_search", 1)
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("sasrec: best of 1 trials, validation NDCG@10 ")
    kept = json.loads((tmp_path / "searches/synthetic/published/sasrec.json").read_text())
    assert kept["trials"] == found["trials"]


def test_tune_prints_the_best_whole_trial_not_a_pruned_one(capsys, tmp_path, monkeypatch):
    trials = [
        {"number": 0, "state": "COMPLETE", "value": 0.1, "params": {"n_layers": 1}},
        {"number": 1, "state": "PRUNED", "value": 0.9, "params": {"n_layers": 3}},
        {"number": 2, "state": "FAIL", "value": None, "params": {"n_layers": 2}},
    ]
    found = SimpleNamespace(trials=trials, n_complete=1, value=0.1)
    monkeypatch.setattr("seqattn.search.tune.tune", lambda *a, **o: found)
    arguments = ["tune", "-d", "synthetic", "-m", "sasrec", "--results-dir", str(tmp_path)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == (
        "sasrec: best of 1 trials, validation NDCG@10 0.1000: n_layers 1\n"
    )


def test_a_search_on_no_device_or_with_no_seed_is_refused(capsys, tmp_path):
    search = ["tune", "-d", "synthetic", "-m", "sasrec", "--results-dir", str(tmp_path)]
    assert main([*search, "--device", "gpu"]) == 2
    assert main([*search, "--search-seed", "-1"]) == 2
    device, seed = capsys.readouterr().err.splitlines()
    assert "no device 'gpu' here" in device and "at least 0 and less than 2**63, not -1" in seed


def test_a_search_of_no_trials_is_refused(capsys):
    assert main(["tune", "-d", "synthetic", "-m", "sasrec", "--trials", "0"]) == 2
    assert capsys.readouterr().err == "seqattn: trials must be at least 1, not 0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-s", "1", "--device", "gpu"], "no device 'gpu' here; this machine has cpu"),
        (["-s", "1", "--device", "cuda:99"], "no device 'cuda:99' here"),
        (["-s", "1", "--device", "meta"], "no device 'meta' here"),
        (["-s", "1", "--device", "cpu:0"], "no device 'cpu:0' here"),
        (["-s", "-1"], "a seed must be at least 0 and less than 2**63, not -1"),
        (["-s", str(2**63)], "a seed must be at least 0 and less than 2**63, not 9223"),
    ],
)
def test_a_seed_or_device_that_cannot_be_is_a_users_error(arguments, message, capsys, tmp_path):
    where = ["--preset", "smoke", "--results-dir", str(tmp_path / "store")]
    assert main(["fit", "-d", "synthetic", "-m", "sasrec", *arguments, *where]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"seqattn: {message}") and error.count("\n") == 1
    assert not list(tmp_path.glob("store/*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "-m", "sasrec", "-s", "1", "--preset", "own_search"],
        ["fit", "-m", "sasrec", "-s", "1", "--preset", "shared_backbone"],
        ["tune", "-m", "ia-add", "--design", "shared_backbone"],
    ],
)
def test_a_missing_search_is_named_with_the_command_that_makes_it(arguments, capsys, tmp_path):
    assert main([*arguments, "-d", "synthetic", "--results-dir", str(tmp_path)]) == 2
    assert "run `seqattn tune -d synthetic -m sasrec" in capsys.readouterr().err


def test_collect_says_what_is_new_and_a_second_time_nothing(capsys, tmp_path):
    source, target = str(tmp_path / "one"), str(tmp_path / "all")
    what = ["-d", "synthetic", "-m", "sasrec", "--results-dir", source]
    assert main(["tune", *what, "--trials", "1", "--epochs", "1", "--base", "smoke"]) == 0
    assert main(["fit", *what, "-s", "1", "--preset", "own_search"]) == 0
    capsys.readouterr()
    assert main(["collect", source, "-o", target]) == 0
    first = capsys.readouterr()
    assert (first.out.count("seed-1"), first.err) == (1, f"2 new in {target}\n")
    assert main(["collect", source, "-o", target]) == 0
    assert capsys.readouterr().err == f"0 new in {target}\n"


def test_collecting_from_no_folder_is_a_users_error(capsys, tmp_path):
    assert main(["collect", str(tmp_path / "typo"), "-o", str(tmp_path / "all")]) == 2
    assert "typo is no folder" in capsys.readouterr().err


def test_a_report_takes_models_and_seeds(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        "seqattn.book.reports.report",
        lambda dataset, parameters, output: asked.append((dataset, parameters)) or [],
    )
    assert main(["report", "synthetic", "-m", "sasrec", "ia-add", "-s", "1", "2"]) == 0
    assert main(["report", "synthetic"]) == 0
    assert asked[0][1]["models"] == ["sasrec", "ia-add"]
    assert asked[0][1]["seeds"] == [1, 2]
    assert not {"models", "seeds"} & set(asked[1][1])


@pytest.mark.parametrize(
    ("columns", "models"),
    [
        ("", ["sasrec", "local-ae", "bert4rec"]),
        ("intensity: rating", ["sasrec", "ia-add", "ia-mul", "ia-val"]),
    ],
)
def test_significance_compares_what_the_log_allows(tmp_path, monkeypatch, columns, models):
    rows = [f"{u},{(u + n) % 6},{n},{n % 3 + 1}" for u in range(6) for n in range(5)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time,rating", *rows]))
    about = "intensity: {meaning: rating, unit: stars}\n" if columns else ""
    (tmp_path / "log.yaml").write_text(
        "name: own\npath: log.csv\n"
        f"columns: {{user: user, item: item, timestamp: time, {columns}}}\n{about}"
    )
    asked = []

    def runs(options):
        asked.extend(options.model)
        raise SeqattnError("enough")

    monkeypatch.setattr("seqattn.cli.verbs.runs_of", runs)
    assert main(["significance", str(tmp_path / "log.yaml")]) == 2
    assert asked == models


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (["sasrec", "sasrec"], "only 'sasrec' runs: nothing to compare; name a variant, too"),
        (["ia-add", "ia-mul"], "no 'sasrec' runs: nothing to compare with"),
    ],
)
def test_what_significance_cannot_compare_is_told_before_any_fit(capsys, monkeypatch, models, told):
    monkeypatch.setattr("seqattn.cli.verbs.runs_of", lambda options: pytest.fail("fits"))
    assert main(["significance", "synthetic", "-m", *models, "-s", "1", "2"]) == 2
    assert told in capsys.readouterr().err


def test_json_has_every_digit_and_null_for_what_is_no_number(capsys):
    _print_json(pd.DataFrame({"p": [1.2345678901234e-12, np.nan, np.inf], "n": [1, 2, 3]}))
    told = json.loads(capsys.readouterr().out)
    assert [row["p"] for row in told] == [1.2345678901234e-12, None, None]
    assert [row["n"] for row in told] == [1, 2, 3]


def test_pages_writes_the_table_of_contents(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("seqattn.book.contents.write_toc", lambda: tmp_path / "_toc.yml")
    monkeypatch.setattr("seqattn.book.pages.study_pages", lambda: [tmp_path / "levels.ipynb"])
    assert main(["pages"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'levels.ipynb'}\n{tmp_path / '_toc.yml'}\n"


def test_a_check_that_finds_problems_ends_with_1(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "seqattn.studies.check.check_records", lambda *folders, tell: ["a run is damaged"]
    )
    assert main(["check", str(tmp_path), f"--datasets={tmp_path}", "--sample", "0"]) == 1
    assert capsys.readouterr().out.endswith("a run is damaged\n1 problems\n")


def test_a_check_of_no_folder_is_a_users_error(capsys, tmp_path):
    assert main(["check", str(tmp_path / "typo")]) == 2
    assert "typo is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["baselines", "calibration"])
def test_a_folder_beside_the_checked_one_that_is_not_there_is_told(capsys, tmp_path, name):
    (tmp_path / "results").mkdir()
    asked = ["check", str(tmp_path / "results"), f"--{name}", str(tmp_path / "typo")]
    assert main([*asked, f"--datasets={tmp_path}", "--sample", "0"]) == 2
    assert "typo is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("compare sasrec ia-add -d synthetic --margin -5", "'-5' is no positive number"),
        ("compare sasrec ia-add -d synthetic --margin five", "'five' is no positive number"),
        ("recommend -d synthetic -m sasrec --user u1 -k 0", "'0' is no whole number of at least 1"),
        ("attention -d synthetic -m sasrec --user u1 --csv -o a.svg", "not allowed with"),
    ],
)
def test_a_typing_error_is_told_before_any_fit(capsys, monkeypatch, asked, told):
    monkeypatch.setattr("seqattn.cli.named.runs_of", lambda *options: pytest.fail("fits"))
    with pytest.raises(SystemExit):
        main(asked.split())
    assert told in capsys.readouterr().err


def test_the_package_itself_is_the_command():
    asked = [sys.executable, "-m", "seqattn", "prepare", "nonsense"]
    told = subprocess.run(asked, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("seqattn: ") and "nonsense" in told.stderr


def test_a_reader_of_the_output_may_stop_reading():
    """As in `seqattn datasets | head -1`."""
    command = f"{sys.executable} -m seqattn datasets | head -1; echo ${{PIPESTATUS[0]}}"
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert told.stderr == "" and told.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [("/dev/full", 2, b"seqattn: output: No space left on device\n"), (None, 0, b"")],
)
def test_output_that_nobody_can_take_is_no_traceback(output, code, message, warm):
    """As in `seqattn datasets >/dev/full` and `seqattn datasets >&-`."""
    with open(output or os.devnull, "wb") as file:
        told = warm.run(CLI, "datasets", stdout=file.fileno(), closed=output is None)
    assert (told.returncode, told.stderr) == (code, message)


def test_a_terminal_without_a_sign_shows_the_rest(tmp_path, warm):
    for name, values in (("a", "1 2"), ("b", "2 4")):
        rows = "".join(f"u{n},{value}\n" for n, value in enumerate(values.split()))
        (tmp_path / f"{name}.csv").write_text(f"user,v\n{rows}")
    of_ascii = {"PYTHONIOENCODING": "ascii"}
    told = warm.run(CLI, "compare", "a.csv", "b.csv", folder=tmp_path, environment=of_ascii)
    told.check_returncode()
    assert b"within ?5 %" in told.stdout


INTERRUPTED = """
import runpy, signal, sys
class Busy:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "numpy", "pandas", "scipy", "yaml"):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:  # as NumPy's compiled parts do
                raise ImportError("failed to import") from None
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background ignores it
sys.meta_path.insert(0, Busy())
runpy.run_module("seqattn", run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_while_the_program_still_imports_is_one_line():
    told = subprocess.run([sys.executable, "-c", INTERRUPTED, "datasets"], capture_output=True)
    assert told.stderr == b"seqattn: interrupted; finished runs and trials are kept\n"
    assert (told.returncode, told.stdout) == (130, b"")


def test_the_package_has_its_names_and_rooms_before_any_is_imported(warm):
    program = """
import sys, seqattn
assert not [name for name in sys.modules if name.startswith("seqattn.models")]
assert {*seqattn.__all__, "__version__"} <= {*dir(seqattn)}
from seqattn import build_model, stats
assert stats is sys.modules["seqattn.stats"]
assert seqattn.store is sys.modules["seqattn.runs.store"]
assert seqattn.load_dataset is sys.modules["seqattn.data"].load_dataset
assert build_model is seqattn.models.build_model and callable(seqattn.load)
assert seqattn.SeqattnError is seqattn.errors.SeqattnError
assert not hasattr(seqattn, "nothing")
"""
    assert warm.run(program).stderr == b""


@pytest.fixture
def own_log(tmp_path):
    """A log of one's own, its YAML, and the folder of a run fitted on it."""
    rows = [f"{u},{(u + n) % 6},{n}" for u in range(6) for n in range(5)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows, ""]))
    about = "name: own\npath: log.csv\ncolumns: {user: user, item: item, timestamp: time}\n"
    (tmp_path / "log.yaml").write_text(about)
    fit = ["fit", "-d", str(tmp_path / "log.yaml"), "-m", "sasrec", "-s", "1"]
    assert main([*fit, "--preset", "smoke", "--results-dir", str(tmp_path / "store")]) == 0
    (run,) = (tmp_path / "store").glob("own/sasrec/seed-1-*")
    return tmp_path, run


def _bytes(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_export_replaces_no_file_of_the_log_and_none_of_the_run(own_log, capsys):
    folder, run = own_log
    (folder / "link").symlink_to(run)
    before = _bytes(folder)
    capsys.readouterr()
    for target, message in (
        (folder / "log.csv", "log.csv would replace what the dataset is read from"),
        (folder / "log.yaml", "log.yaml would replace what the dataset is read from"),
        (run / "cell.json", "cell.json lies in the run's own folder"),
        (folder / "link" / "new.csv", "new.csv lies in the run's own folder"),
    ):
        asked = ["export", str(run), "-d", str(folder / "log.yaml"), "--per-user", str(target)]
        assert main(asked) == 2
        told = capsys.readouterr().err
        assert told.startswith("seqattn: --per-user ") and told.count("\n") == 1
        assert message in told
    assert _bytes(folder) == before


def test_a_split_replaces_no_record_written_with_it(own_log, capsys):
    folder, _ = own_log
    records = folder / "r"
    for name in ("dataset", "audit", "ties"):
        asked = ["prepare", str(folder / "log.yaml"), "-o", str(records)]
        assert main([*asked, "--split", str(records / f"{name}.json")]) == 2
        told = capsys.readouterr().err
        assert f"{name}.json would replace a record of the dataset" in told
        assert not records.exists()
    assert main([*asked, "--split", str(records / "split.csv")]) == 0


def test_one_seed_is_refused_before_it_is_fitted(tmp_path, capsys):
    asked = ["significance", "synthetic", "-s", "1", "--results-dir", str(tmp_path / "store")]
    assert main(asked) == 2
    assert "give at least two, by -s" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_an_empty_path_is_refused_and_nothing_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["prepare", "synthetic", "-o", ""])
    assert "an empty path" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["fit -d synthetic -m sasrec", "significance synthetic"])
def test_a_seed_given_twice_is_refused(verb, tmp_path, capsys):
    asked = [
        *verb.split(),
        "-s",
        "1",
        "2",
        "1",
        "--preset",
        "smoke",
        "--results-dir",
        str(tmp_path),
    ]
    assert main(asked) == 2
    assert "seed 1 is given twice" in capsys.readouterr().err


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "book").glob("*/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_commands_of_a_page_can_be_typed(page):
    blocks = re.findall(r"```(?:bash)?\n(.*?)```", page.read_text(), re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    for line in lines:
        if line.startswith("seqattn "):
            parser().parse_args(shlex.split(line, comments=True)[1:])


def test_a_part_of_a_study_whose_search_is_missing_says_so(capsys, monkeypatch):
    lacking = plan.Group(plan.DataFacts("toy", "", 1, 1), "a", "sasrec", lacking="no search of it")
    study = SimpleNamespace(name="toy", stores=[SimpleNamespace(path="kept")])
    monkeypatch.setattr("seqattn.studies.study.read_study", lambda name: study)
    monkeypatch.setattr(plan, "wanted", lambda study: [lacking, lacking])
    monkeypatch.setattr(plan, "fit_missing", lambda *_, **__: [])
    assert main(["study", "levels", "-a", "a"]) == 0
    assert capsys.readouterr().err == "seqattn: left out: no search of it\n"


def test_a_command_whose_package_is_missing_names_the_extra(capsys, monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "optuna"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", "-d", "synthetic", "-m", "sasrec", "--trials", "1"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "optuna is not installed" in line and "pip install -e '.[book]'" in line


def test_a_path_that_is_mistyped_is_one_line(capsys, tmp_path):
    for name in ("/tmp/typo.csv", "no/such/folder", str(tmp_path)):
        assert main(["compare", name, "sasrec", "-d", "synthetic"]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("asked", [["--sample", "-1"], ["--epochs", "0"], ["--sample", "x"]])
def test_numbers_out_of_range_are_refused_with_the_usage(capsys, asked):
    with pytest.raises(SystemExit):
        parser().parse_args(["check", "results/campaign", *asked])
    assert "is no whole number of at least" in capsys.readouterr().err
