"""A user's own log by YAML, in every place that takes a dataset's name."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml
from raw_files import written
from wanted import fit_wanted

from seqattn import book
from seqattn.book import reports
from seqattn.cli import main
from seqattn.data import entry, find_entry, load_dataset, load_log, own, repeats, times
from seqattn.errors import SeqattnError

GOOD = {
    "name": "fashion",
    "path": "log.csv.gz",
    "columns": {"user": "who", "item": "what", "intensity": "stars", "timestamp": "at"},
    "intensity": {"meaning": "rating", "unit": "stars"},
    "filters": {"k_core": 5},
}


def log_text(n_users: int = 8, n_items: int = 8) -> str:
    rng = np.random.default_rng(0)
    lines = ["at,who,what,stars"]
    for user in range(n_users):
        for place, item in enumerate(rng.permutation(n_items)):
            lines.append(f"{1_600_000_000 + 60 * place},u{user},i{item},{1 + item % 5}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def described(tmp_path):
    """Write the log and a YAML with changes; return the YAML's path."""

    def make(text: str | None = None, **changes: object) -> str:
        written(tmp_path / "log.csv.gz", log_text() if text is None else text)
        content = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
        return str(written(tmp_path / "my.yaml", yaml.safe_dump(content)))

    return make


def test_a_yaml_makes_a_dataset(described):
    dataset = load_dataset(described())
    assert (dataset.name, dataset.n_users, dataset.n_items) == ("fashion", 8, 8)
    assert (dataset.entry.intensity, dataset.entry.unit) == ("rating", "stars")
    assert dataset.sequences.user_ids[0] == "u0"


def test_the_path_is_relative_to_the_yaml_not_to_the_working_folder(described, monkeypatch):
    path = described()
    monkeypatch.chdir("/")
    assert len(load_log(path)) == 64


def test_filters_are_applied_and_enter_the_fingerprint(described):
    default = load_dataset(described())
    same = load_dataset(described(filters=None))
    other = load_dataset(described(filters={"k_core": 4}))
    once = load_dataset(described(filters={"k_core": 5, "iterative": False}))
    drawn = load_dataset(described(filters={"users": 6, "k_core": 3}))
    assert default.fingerprint == same.fingerprint
    assert len({default.fingerprint, other.fingerprint, once.fingerprint}) == 3
    assert once.steps[-1].name == "5-core, one pass"
    assert drawn.n_users == 6


def test_an_explicit_order_takes_the_place_of_time(described):
    reversed_order = described(
        "who,what,place\n" + "".join(f"u{u},i{i},{9 - i}\n" for u in range(5) for i in range(5)),
        columns={"user": "who", "item": "what", "order": "place"},
        intensity=None,
    )
    dataset = load_dataset(reversed_order)
    assert not dataset.has_intensity
    assert set(dataset.sequences.item_ids[dataset.split.targets("test") - 1]) == {"i0"}
    assert np.isnan(dataset.sequences.timestamp).all()


def test_milliseconds_are_a_unit_of_time(described):
    text = log_text().replace(",u", "000,u")
    with pytest.raises(SeqattnError, match="time_unit: ms"):
        load_dataset(described(text))
    dataset = load_dataset(described(text, time_unit="ms"))
    assert dataset.fingerprint == load_dataset(described()).fingerprint


def test_tabs_and_other_separators(described, tmp_path):
    written(tmp_path / "log.tsv", log_text().replace(",", "\t"))
    written(tmp_path / "log.txt", log_text().replace(",", "|"))
    header, rows = "timestamp:float\tuser_id:token\titem_id:token\trating:float", log_text()
    written(tmp_path / "log.inter", "\n".join([header, *rows.replace(",", "\t").split("\n")[1:]]))
    names = {"user": "user_id", "item": "item_id", "intensity": "rating", "timestamp": "timestamp"}
    kinds = dict.fromkeys(("user", "item"), "token")
    atomic = {ours: f"{name}:{kinds.get(ours, 'float')}" for ours, name in names.items()}
    same = load_dataset(described()).fingerprint
    assert load_dataset(described(path="log.tsv")).fingerprint == same
    assert load_dataset(described(path="log.txt", separator="|")).fingerprint == same
    assert load_dataset(described(path="log.inter", columns=atomic)).fingerprint == same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nmae": "x"}, "the file: unknown key 'nmae'"),
        ({"licence": "mine"}, "the file: unknown key 'licence'"),
        ({"name": None}, "the file: key 'name' is missing"),
        ({"name": "a/../b"}, "name 'a/../b' serves as a folder"),
        ({"name": "ml-1m"}, "one of the book's own datasets"),
        ({"name": "searches"}, "'searches' is a folder or a database of every campaign's"),
        ({"name": 7}, "'name' must be str, not int 7; put it in quotes, as \"7\""),
        ({"name": True}, "'name' must be str, not bool True; put it in quotes: YAML reads yes"),
        ({"columns": {**GOOD["columns"], "user": 0}}, "columns: key 'user' .*, as \"0\""),
        ({"header": "no"}, "'header' must be bool, not str 'no'; write it without quotes, as no"),
        ({"duplicate": "sum"}, r"key 'duplicate' \(did you mean 'duplicates'\?\); known keys"),
        ({"split": "leave-one-out"}, "split must be .*, not .*; leave `split` out for leave-one-"),
        ({"split": "quantile 0.9"}, "write split: {time: quantile 0.9}"),
        ({"columns": {"user": "who", "timestamp": "at"}}, "columns: key 'item' is missing"),
        ({"columns": {"user": "who", "item": "what"}}, "neither a timestamp nor an order"),
        ({"columns": {**GOOD["columns"], "time": "at"}}, "columns: unknown key 'time'"),
        ({"columns": {**GOOD["columns"], "order": "at"}}, "one column of the file serves twice"),
        ({"columns": ["user", ""], "header": False}, "columns: '' is unknown; list user, item"),
        ({"columns": ["who", "what"]}, "a list is for a file without one: header: false"),
        ({"intensity": None}, "give both, or neither"),
        ({"intensity": {"meaning": "rating"}}, "intensity: key 'unit' is missing"),
        ({"filters": {"k_core": -1}}, "filters: k_core must be at least 1"),
        ({"filters": {"k_cor": 5}}, "filters: unknown key 'k_cor'"),
        ({"filters": {"k_core": "5"}}, "not str '5'; write it without quotes, as 5"),
        ({"filters": {"k_core": "five"}}, "'k_core' must be int, not str 'five'$"),
        ({"filters": {"k_core": 0}}, "filters: k_core must be at least 1"),
        ({"filters": {"users": -3}}, "and users and history at least 0"),
        ({"split": {"column": "at", "validation": "user"}}, "'user' belongs to a split in time"),
        ({"separator": ";;"}, "separator ';;' must be one character"),
        ({"time_unit": "h"}, "time_unit 'h' is unknown; use s, ms, us or ns"),
        ({"path": "none.csv"}, r"none\.csv: no such file; paths in the YAML are relative"),
        ({"columns": {**GOOD["columns"], "item": "which"}}, "column 'which' is missing"),
    ],
)
def test_an_unusable_yaml_is_refused_with_what_is_wrong(described, changes, message):
    path = described(**changes)
    with pytest.raises(SeqattnError, match=message):
        load_dataset(path)


@pytest.mark.parametrize("text", ["", "- a\n", "name: [", "\xff"])
def test_a_file_that_is_no_mapping_is_refused_by_its_path(tmp_path, text):
    path = written(tmp_path / "my.yaml", text.encode("latin-1"))
    with pytest.raises(SeqattnError, match=r"my\.yaml"):
        load_dataset(str(path))


def test_a_key_given_twice_is_refused_by_name(described):
    path = Path(described())
    path.write_text(path.read_text() + "filters:\n  k_core: 3\n")
    with pytest.raises(SeqattnError, match=r"my\.yaml.*key 'filters' is given twice(?s:.*)line"):
        load_dataset(str(path))
    nested = (
        path.read_text()
        .replace("filters:\n  k_core: 3\n", "")
        .replace("  k_core: 5\n", "  k_core: 5\n  k_core: 3\n")
    )
    path.write_text(nested)
    with pytest.raises(SeqattnError, match="key 'k_core' is given twice"):
        load_dataset(str(path))


def test_an_absent_yaml_is_refused():
    with pytest.raises(SeqattnError, match=r"nowhere\.yaml: no such file"):
        find_entry("nowhere.yaml")


def test_a_folder_in_the_place_of_a_file_is_called_one(described, tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(SeqattnError, match=r"folder\.yaml: is a folder; name a file"):
        find_entry(str(tmp_path / "folder.yaml"))
    with pytest.raises(SeqattnError, match=r"folder\.yaml: is a folder; name a file"):
        load_log(described(path="folder.yaml"))


def test_a_yaml_and_a_log_that_may_not_be_read_are_not_called_damaged(described, monkeypatch):
    path, forbidden = described(), []
    monkeypatch.setattr(os, "access", lambda file, mode: Path(file).name not in forbidden)
    for name in ("log.csv.gz", "my.yaml"):
        forbidden.append(name)
        with pytest.raises(SeqattnError, match=rf"{name}: may not be read; ask its owner") as error:
            load_dataset(path)
        assert "again" not in str(error.value)


def test_the_end_of_a_files_name_may_be_in_capitals(described, tmp_path):
    written(tmp_path / "LOG.TSV", log_text().replace(",", "\t"))
    same = load_dataset(described()).fingerprint
    assert load_dataset(described(path="LOG.TSV")).fingerprint == same


BAD_LOGS = {
    "empty": ("", "the file is empty"),
    "missing column": ("at,who,stars\n1,u,3\n", "column 'what' is missing"),
    "duplicated header": ("at,who,what,what,stars\n1,u,i,j,3\n", "names column 'what' twice"),
    "mixed intensity": (log_text() + "1600000000,u1,i99,many\n", "'many' is not a number"),
    "mixed times": (
        log_text() + "yesterday,u1,i99,3\n",
        "column 'at' (timestamp), line 66: 'yesterday' cannot be read as a time",
    ),
    "negative": (
        log_text() + "1600000000,u1,i99,-1\n",
        "column 'stars' (intensity), line 66: -1 is negative",
    ),
    "nan": (log_text() + "1600000000,u1,i99,nan\n", "line 66: 'nan' is not a number"),
}


@pytest.mark.parametrize("case", BAD_LOGS)
def test_a_bad_log_is_one_line_on_the_command_line_and_nothing_is_written(
    described, tmp_path, capsys, case
):
    text, message = BAD_LOGS[case]
    before = sorted(tmp_path.iterdir()), described(text)
    code = main(["prepare", before[1], "--output", str(tmp_path / "out")])
    assert code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_user_with_two_interactions_is_named_if_no_filter_drops_her(described):
    text = log_text() + "1600000000,rare,i1,3\n1600000001,rare,i2,3\n"
    with pytest.raises(SeqattnError, match="user rare has 2 interactions, at least 3"):
        load_dataset(described(text, filters={"k_core": 1}))
    assert "rare" not in load_dataset(described(text)).sequences.user_ids


def test_prepare_writes_a_record_of_what_was_done(described, tmp_path, capsys):
    path = described()
    assert main(["prepare", path, "--output", str(tmp_path / "out")]) == 0
    assert "keep latest duplicate" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert record["dataset"] == "fashion"
    assert record["options"] == {
        **{"core": 5, "iterative": True, "subsample": None},
        **{"exact": "latest", "pairs": "latest", "ties": "file"},
    }
    assert record["source"] == "log.csv.gz"
    assert record["steps"][-1] == {"name": "5-core", "interactions": 64, "users": 8, "items": 8}
    assert record["fingerprint"] == load_dataset(path).fingerprint


@pytest.mark.parametrize("name", ["my.yaml", "log.csv.gz", "link.csv"])
def test_prepare_writes_no_split_over_what_it_reads(described, tmp_path, capsys, name):
    path = described()
    (tmp_path / "link.csv").symlink_to("log.csv.gz")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    out, split = str(tmp_path / "out"), str(tmp_path / "." / name)
    assert main(["prepare", path, "-o", out, "--split", split]) == 2
    assert f"{name} would replace what the dataset is read from" in capsys.readouterr().err
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_runs_of_own_data_fitted_in_worker_processes_equal_those_fitted_one_by_one(
    described, tmp_path, monkeypatch
):
    path = described()
    monkeypatch.chdir(tmp_path)  # workers must not depend on the folder
    dataset = load_dataset("my.yaml")
    assert dataset.reference == path
    wanted = [("ia-val", 1), ("sasrec", 2), ("ia-val", 2)]
    wanted += [("pop", 2020)] if find_spec("recbole") else []
    together = fit_wanted(tmp_path / "a", dataset, wanted, "smoke", workers=2, progress=False)
    assert [(run.model, run.seed) for run in together] == wanted
    assert {run.folder.parents[1].name for run in together} == {"fashion"}
    alone = fit_wanted(tmp_path / "b", dataset, wanted, "smoke", workers=1, progress=False)
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.ranks(), other.ranks())
        assert one.facts["spec"] == other.facts["spec"]


def test_models_that_need_an_intensity_say_so_for_a_log_without(described, tmp_path):
    columns = {k: v for k, v in GOOD["columns"].items() if k != "intensity"}
    dataset = load_dataset(described(columns=columns, intensity=None))
    fit_wanted(tmp_path / "store", dataset, [("sasrec", 1)], "smoke", progress=False)
    with pytest.raises(SeqattnError, match="reads intensities and dataset 'fashion' has none"):
        fit_wanted(tmp_path / "store", dataset, [("ia-add", 1)], "smoke", progress=False)


def test_report_goes_to_a_folder_of_the_yamls_name(described, tmp_path, monkeypatch):
    pytest.importorskip("papermill")
    path = described()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").symlink_to(book.ROOT / "notebooks")
    monkeypatch.setattr(reports, "ROOT", tmp_path)
    monkeypatch.setattr(reports, "NOTEBOOKS", ("01_data",))
    calls = []

    def run_notebook(*arguments, kernel):
        calls.append(arguments)
        arguments[1].write_text("{}")

    monkeypatch.setattr(reports, "run_notebook", run_notebook)
    monkeypatch.setattr(book.Chapter, "all_runs", lambda self: [])
    (written_to,) = reports.report("my.yaml", {"preset": "smoke"})
    assert written_to == tmp_path / "book" / "runs" / "fashion" / "01_data.ipynb"
    assert calls[0][2]["dataset"] == path


def test_the_example_of_the_tutorial_is_a_dataset():
    path = book.ROOT / "notebooks" / "params" / "own" / "fashion.yaml"
    dataset = load_dataset(str(path))
    assert (dataset.name, dataset.entry.unit) == ("fashion", "seconds")
    assert dataset.steps[0].interactions > dataset.steps[-1].interactions


def test_the_tutorial_lists_every_key():
    page = (book.ROOT / "book" / "appendix" / "your_own_data.md").read_text()
    filters = (entry.FiltersYaml, entry.IntensityYaml, entry.DuplicatesYaml)
    for section in (own.OwnYaml, own.ColumnsYaml, *filters):
        for field in dataclasses.fields(section):
            assert f"`{field.name}" in page
    for word in (*repeats.POLICIES, *times.TIME_UNITS):
        assert f"`{word}`" in page


def test_the_tutorials_yaml_is_read(tmp_path):
    examples = re.findall(r"```yaml\n(.*?)```", page(), flags=re.DOTALL)
    assert len(examples) > 5
    for example in examples:
        keys = yaml.safe_load(example)
        whole = keys if {"path", "of"} & {*keys} else {"separator": ";"} | GOOD | keys
        if "train" in whole.get("split", {}):  # its files stand in the place of the path
            del whole["path"]
        found = own.read_yaml(written(tmp_path / "my.yaml", yaml.safe_dump(whole)))
        assert found.entry.of or all(path.parent == tmp_path for path in found.paths.values())


def page() -> str:
    return (book.ROOT / "book" / "appendix" / "your_own_data.md").read_text()


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_the_pages_python_works_from_the_checkout_and_from_a_notebook(folder, monkeypatch):
    monkeypatch.chdir(book.ROOT / folder)
    (code,) = re.findall(r"```python\n(.*?)```", page(), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["data"].name == "fashion"


def hostile(kind, path):
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text(
            {
                "bomb": "a0: &a0 x\n"
                + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(64)),
                "deep": "name: " + "[" * 20_000 + "]" * 20_000,
                "large": "name: " + "x" * 2**21,
            }[kind]
        )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pipe", "is no file but a pipe or a device; save it as a file"),
        ("bomb", r"too many references such as \*name"),
        ("deep", "nested too deeply"),
        ("large", "over a megabyte"),
    ],
)
def test_a_yaml_that_would_hang_or_fill_the_memory_is_one_short_line(tmp_path, kind, message):
    path = tmp_path / "own.yaml"
    hostile(kind, path)
    with pytest.raises(SeqattnError, match=message) as error:
        load_dataset(str(path))
    assert len(str(error.value)) < 1000


def test_a_very_long_value_gives_a_short_message_that_keeps_its_end(tmp_path):
    (tmp_path / "own.yaml").write_text(f"name: {'x y' * 100_000}\npath: log.csv\ncolumns: {{}}\n")
    with pytest.raises(SeqattnError) as error:
        load_dataset(str(tmp_path / "own.yaml"))
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize("name", ["studies.sqlite3", "searches"])
def test_a_name_that_a_results_folder_needs_itself_is_refused(described, name):
    with pytest.raises(SeqattnError, match="of every campaign's; choose another"):
        load_dataset(described(name=name))
