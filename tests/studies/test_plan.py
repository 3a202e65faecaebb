"""A study's YAML: what it may say, which runs it wants, and how far it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import yaml
from fabricated import fabricate, groups_of, keep

from seqattn.audit import records
from seqattn.book import pages
from seqattn.cli import main
from seqattn.config import SEEDS
from seqattn.data import find_entry
from seqattn.errors import SeqattnError
from seqattn.files import write_text
from seqattn.models import MODELS, needs_intensity
from seqattn.presets import get_preset
from seqattn.runs.store import Run, Store
from seqattn.studies import hours, plan
from seqattn.studies.study import names, read_study
from seqattn.studies.tables import TABLES, comparisons

GOOD = {
    "title": "Invented",
    "question": "Why?",
    "datasets": ["ml-100k"],
    "seeds": [1, 2],
    "results": "store",
    "arms": {
        "usual": {"settings": "quick", "models": ["sasrec", "ia-add"]},
        "bare": {
            "settings": {"like": "quick", "model": {"hidden_dropout": 0.0}},
            "models": ["sasrec"],
            "against": "usual",
        },
    },
    "tables": ["levels"],
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Read a study of some values, as if it lay among the book's."""
    monkeypatch.setattr("seqattn.studies.study.FOLDER", tmp_path)
    monkeypatch.setattr("seqattn.studies.study.ROOT", tmp_path)

    def read(**changes):
        (tmp_path / "invented.yaml").write_text(yaml.safe_dump(GOOD | changes, sort_keys=False))
        (tmp_path / "invented.ipynb").touch()
        return read_study("invented")

    return read


def arms(**changes):
    return {"arms": {"usual": GOOD["arms"]["usual"] | changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "x"}, "invented.yaml: the file: unknown key 'titel'"),
        ({"datasets": "ml-100k"}, "'datasets' must be list, not str"),
        ({"seeds": ["one"]}, "seeds must be whole numbers, not .'one'."),
        ({"seeds": [-1]}, "invented.yaml: a seed must be at least 0"),
        ({"seeds": [2020, 2020]}, "seeds has 2020 twice"),
        ({"datasets": [5]}, "datasets must be names, not .5."),
        ({"datasets": ["ml-100k", "ml-100k"]}, "datasets has 'ml-100k' twice"),
        ({"tables": [1]}, "tables must be names"),
        (arms(models=[{"x": 1}]), "models of arm usual must be names"),
        (arms(models=[]), "arm usual has no models"),
        (arms(models=["sasrek"]), "models names 'sasrek'; known: sasrec, ia-add"),
        ({"arms": {}}, "invented.yaml: no arms, and table 'levels' is made of runs; add `arms`"),
        (arms(against="usual"), "invented.yaml: arm usual: against names the arm itself"),
        (arms(against="usuel"), "against names 'usuel'; known: usual"),
        (arms(settings="quik"), "settings of arm usual: unknown settings 'quik'; choose from"),
        (arms(settings={"like": "quick", "train": {"patienc": 3}}), "unknown .* key 'patienc'"),
        (arms(settings={"model": {}}), "settings of arm usual: key 'like' is missing"),
        ({"arms": {"usual": {"settings": "quick"}}}, "arm usual: key 'models' is missing"),
    ],
)
def test_a_mistake_in_a_study_is_one_message_that_names_file_and_key(study, changes, message):
    with pytest.raises(SeqattnError, match=message):
        study(**changes)


def test_a_study_that_could_not_be_finished_is_refused_before_anything_is_fitted(
    study, tmp_path, monkeypatch
):
    monkeypatch.setattr(plan, "fit_missing", None)
    with pytest.raises(SeqattnError, match="study invented: no table 'nope'; there are: "):
        pages.make_study(study(tables=["levels", "nope"]))
    whole = study()
    whole.notebook.unlink()
    with pytest.raises(SeqattnError, match=r"invented\.ipynb is missing; write its notebook"):
        pages.make_study(whole)


def test_a_log_of_ones_own_is_fitted_by_the_path_of_its_yaml(study, tmp_path, monkeypatch):
    """Its runs have its name, which no catalogue knows."""
    rows = [(u, (3 * u + t) % 12, t, 1 + t % 5) for u in range(30) for t in range(8)]
    log = pd.DataFrame(rows, columns=["user", "item", "timestamp", "intensity"])
    log.to_csv(tmp_path / "log.csv", index=False)
    own = tmp_path / "own.yaml"
    columns = {name: name for name in log} | {"user": "user", "item": "item"}
    about = {"meaning": "stars", "unit": "stars"}
    own.write_text(
        yaml.safe_dump({"name": "own", "path": "log.csv", "columns": columns, "intensity": about})
    )
    found = study(datasets=[str(own)], seeds=[1], arms={
        "usual": {"settings": {"like": "smoke", "train": {"epochs": 1}}, "models": ["sasrec"]}
    })  # fmt: skip
    (group,) = plan.wanted(found)
    assert group.dataset.reference == str(own) != group.dataset.name
    for named in (str(own), group.dataset.name):
        assert plan.part([group], datasets=[named])
    monkeypatch.chdir(tmp_path.parent)  # as a page does, which runs in a folder of its own
    assert study(datasets=["own.yaml"]).logs == found.logs
    assert found.datasets == (group.dataset.name,)  # as tables name it, so that verdicts find it
    (tmp_path / "again.yaml").write_text(own.read_text())
    with pytest.raises(SeqattnError, match=r"invented\.yaml: two of the datasets have one name"):
        study(datasets=[str(own), str(tmp_path / "again.yaml")])
    monkeypatch.setattr(type(found), "stores", property(lambda _: (Store(tmp_path / "kept"),)))
    (run,) = plan.fit_missing(found, [group], workers=1)
    assert run.spec == group.specs[0]


def test_a_log_that_is_not_at_hand_is_refused_when_its_runs_are_asked_for(study, tmp_path):
    found = study(datasets=[str(tmp_path / "none.yaml")])
    assert found.title  # its page can still be read
    with pytest.raises(SeqattnError, match=r"none\.yaml"):
        plan.wanted(found)


@pytest.mark.parametrize("content", ['{"fingerp', "[]"])
def test_a_damaged_record_of_a_dataset_is_one_error(content, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RECORDS", tmp_path)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "dataset.json").write_text(content)
    with pytest.raises(SeqattnError, match=r"dataset\.json is damaged; remove it"):
        plan.data_facts("toy")


def test_a_key_given_twice_is_refused_with_its_line(study, tmp_path):
    study()
    path = tmp_path / "invented.yaml"
    path.write_text(path.read_text() + "title: Another\n")
    with pytest.raises(SeqattnError, match="'title' is given twice"):
        read_study("invented")


def test_an_unknown_study_names_those_there_are(study):
    study()
    with pytest.raises(SeqattnError, match="no study 'other'; there are: invented"):
        read_study("other")


def test_every_studys_tables_are_committed_so_that_its_page_is_built():
    for study_name in names():
        found = read_study(study_name)
        lacking = [name for name in found.tables if not (found.folder / f"{name}.csv").exists()]
        assert not lacking, f"`seqattn study {study_name} --tables` writes {lacking}"


@pytest.mark.parametrize("told", [{"tables": ["filters"]}, {"tables": []}])
def test_a_study_that_reads_no_run_needs_no_arms(study, told):
    assert study(arms={}, **told).arms == ()


def test_every_study_of_the_book_can_be_read_and_asks_for_tables_there_are():
    for name in names():
        found = read_study(name)
        assert found.notebook.exists(), found.notebook
        assert set(found.tables) <= set(TABLES)


def test_values_that_an_arm_changes_are_in_its_specs_and_nothing_else_is(study):
    groups = plan.wanted(study())
    usual, add, bare = groups
    assert [spec.seed for spec in usual.specs] == [1, 2]
    assert not usual.base_specs  # SASRec of its own arm is compared with nothing
    assert add.base_specs == bare.base_specs == usual.specs
    quick = get_preset("quick").model
    changed = dataclasses.replace(quick, hidden_dropout=0.0)
    assert {spec.model_config for spec in usual.specs} == {quick}
    assert {spec.model_config for spec in bare.specs} == {changed}
    assert bare.specs[0].train_config == usual.specs[0].train_config


def test_progress_counts_each_run_once_and_estimates_by_the_stores_own_records(study):
    found = study()
    store, groups = Store(found.results), plan.wanted(found)
    for spec in groups[0].specs:
        keep(found.results, spec, np.arange(1, 944), [])
    groups = plan.read(groups, store)
    table = hours.progress(found, groups).set_index("arm")
    assert table.loc["usual", ["done", "missing"]].tolist() == [2, 2]
    assert table.loc["bare", ["done", "missing"]].tolist() == [2, 2]  # its baseline is there
    seconds = next(store.runs()).facts["seconds"]
    assert table.loc["usual", "hours"] == pytest.approx(2 * seconds / 3600)
    assert len(plan.missing(groups)) == 4
    # Hours on a CPU say nothing of a GPU. Of settings without a run, an epoch's are taken.
    assert table.loc["bare", "hours"] == pytest.approx(2 * seconds / 3600)
    assert np.isnan(hours.progress(found, groups, "cuda").set_index("arm").loc["usual", "hours"])
    slow = groups[2].specs[0]
    keep(found.results, slow, np.arange(1, 944), [], seconds=50 * seconds)
    table = hours.progress(found, plan.read(groups, store)).set_index("arm")
    assert table.loc["usual", "hours"] == pytest.approx(2 * seconds / 3600)
    assert table.loc["bare", "hours"] == pytest.approx(50 * seconds / 3600)


def test_what_studies_have_and_took_counts_a_run_once(study):
    columns = ["dataset", "arm", "model", "base_of", "seed", "key", "hours", "together", "device"]
    rows = [
        ("ml-100k", "usual", "sasrec", np.nan, 1, "a", 1.0, 1, "CPU, AVX2, 1 thread"),
        ("ml-100k", "bare", "sasrec", np.nan, 1, "a", 1.0, 1, "CPU, AVX2, 1 thread"),
        *(
            ("ml-100k", "bare", "sasrec", "ia-add", s, f"b{s}", 1.0, 2, "NVIDIA H100")
            for s in (1, 2)
        ),
    ]
    found = study(tables=["runs"])
    assert hours.by_study([found]).empty  # its table is not written yet
    found.folder.mkdir(parents=True)
    pd.DataFrame(rows, columns=columns).to_csv(found.path("runs"), index=False)
    (own, total) = hours.by_study([found, study(tables=["levels"])]).to_numpy().tolist()
    n_wanted = len(found.datasets) * sum(len(a.models) for a in found.arms) * len(found.seeds)
    assert own == [found.title, n_wanted, 2, 1.0, 1.0]  # two seeds as one took one hour
    assert total[0] == "all together" and np.isnan(total[1]) and total[2:] == [3, 1.0, 1.0]


def test_hours_of_settings_without_a_run_are_an_epochs_times_no_more_epochs_than_there_may_be(
    study,
):
    found = study()
    groups = plan.wanted(found)
    for spec, epochs in zip(groups[0].specs, (20, 40), strict=True):
        keep(found.results, spec, np.arange(1, 944), [], epochs=epochs, seconds=3600.0 * epochs)
    table = hours.progress(found, plan.read(groups, Store(found.results))).set_index("arm")
    limit = groups[2].specs[0].train_config.epochs
    assert limit < 30  # epochs, the median of what was run
    assert table.loc["bare", "hours"] == pytest.approx(2 * limit)


def test_hours_of_a_log_without_a_run_are_those_of_the_log_it_was_made_of(study):
    found = study()
    for spec in plan.wanted(found)[0].specs:
        keep(found.results, spec, np.arange(1, 944), [], seconds=720.0)
    of_time = dataclasses.replace(found, datasets=("ml-100k-time",))
    table = hours.progress(of_time, plan.wanted(of_time)).set_index("arm")
    assert table.loc["usual", "hours"] == pytest.approx(4 * 720 / 3600)


def test_hours_of_other_windows_are_by_the_positions_an_epoch_computes(study):
    found = study()
    groups = plan.wanted(found)
    for spec in groups[0].specs:
        keep(found.results, spec, np.arange(1, 944), [], epochs=4, seconds=40.0)
    usual = groups[0].specs[0]
    long, stride = usual.model_config.max_length, usual.train_config.stride
    (both_ways, by_prefix) = (
        dataclasses.replace(usual, model="bidirectional-next"),
        dataclasses.replace(
            usual, train_config=dataclasses.replace(usual.train_config, windows="prefix")
        ),
    )
    taken = hours.seconds_taken(Store(found.results).runs(), "cpu")
    # ML-100K: 99,287 interactions of 943 users, so 103 without the last two; the last is no input.
    assert long == 50
    n_prefix = sum(min(n, long) for n in range(1, 103))
    n_packed = long + -(-(102 - long) // stride) * long
    expected = pytest.approx(40.0 * n_prefix / n_packed)
    assert hours.estimate(taken, both_ways) == expected
    assert hours.estimate(taken, by_prefix) == expected
    # Once there is such a run, it tells more than any other.
    keep(found.results, by_prefix, np.arange(1, 944), [], epochs=4, seconds=100.0)
    taken = hours.seconds_taken(Store(found.results).runs(), "cpu")
    assert hours.estimate(taken, both_ways) == pytest.approx(100.0)


def test_a_part_of_a_study_wants_some_runs_only(study):
    wanted = plan.wanted(study())
    (add,) = plan.part(wanted, arms=["usual"], models=["ia-add"], seeds=[2])
    assert [(s.model, s.seed) for s in plan.missing([add])] == [("ia-add", 2)]
    assert plan.part(wanted, datasets=["ml-100k"])[0].specs == wanted[0].specs


def test_a_part_of_a_study_is_fitted_alone(monkeypatch, capsys):
    fitted = []
    monkeypatch.setattr(plan, "load_dataset", lambda name: name)
    monkeypatch.setattr(plan, "fit_runs", lambda *args, **_: fitted.extend(args[2]) or args[2])
    assert main(["study", "dropout", "-a", "no dropout", "-m", "sasrec", "-s", "2021"]) == 0
    assert {(spec.model, spec.seed) for spec in fitted} <= {("sasrec", 2021)}
    assert capsys.readouterr().out.startswith(f"dropout: {len(fitted)} runs fitted, kept in ")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("-d", "ml-1m"), "--dataset names 'ml-1m'; known: ml-100k"),
        (("-a", "wet"), "--arm names 'wet'; known: "),
        (("-m", "gru4rec"), "--model names 'gru4rec'; known: sasrec"),
        (("-s", "7"), "--seed names '7'; known: 2020"),
        (("-s", "2020", "--tables"), "--tables writes those of the whole study; leave out -d"),
    ],
)
def test_a_part_that_a_study_lacks_is_one_line(capsys, option, message):
    assert main(["study", "dropout", *option]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_search_is_no_error_and_its_command_is_told(tmp_path):
    fabricate(tmp_path, "ml-100k", models=("sasrec",))
    _, groups = groups_of(tmp_path)
    lacking = {(g.arm, g.model): g.lacking for g in groups}
    assert lacking["own_search", "sasrec"] == ""
    assert "run `seqattn tune -d ml-100k -m ia-add" in lacking["own_search", "ia-add"]


def test_an_arm_is_compared_with_the_arm_it_names(tmp_path):
    fabricate(tmp_path, "ml-100k", models=("sasrec", "ia-add"), slower={"ia-add": 3})
    study_, groups = groups_of(tmp_path)
    (sasrec, add) = (g for g in groups if g.arm == "own_search" and g.runs)
    against = dataclasses.replace(sasrec, arm="shared_backbone", base=add.runs)
    row = comparisons(study_, [against]).query("metric == 'NDCG' and k == 10").iloc[0]
    assert row["direction"] == 1 and row["n_seeds"] == len(SEEDS)


def test_a_study_never_replaces_a_table_by_one_with_fewer_rows(study, tmp_path, monkeypatch):
    found = study(tables=["levels"])
    monkeypatch.setattr(plan, "fit_runs", lambda *_, **__: [])  # nothing can be fitted
    monkeypatch.setattr(pages, "study_page", lambda study: study.folder / "page")
    found.folder.mkdir(parents=True)
    (found.folder / "levels.csv").write_text("dataset,mean\nml-100k,0.1\n")
    with pytest.raises(SeqattnError, match=r"levels.csv has 1 rows, and the runs in .* give 0"):
        pages.make_study(found)
    assert "0.1" in (found.folder / "levels.csv").read_text()
    (found.folder / "levels.csv").unlink()
    assert pages.make_study(found) == [found.folder / "levels.csv", found.folder / "page"]


def test_tables_alone_are_written_from_what_is_there(study, monkeypatch):
    monkeypatch.setattr(plan, "fit_runs", lambda *_, **__: pytest.fail("it was to fit nothing"))
    monkeypatch.setattr(pages, "study_page", lambda study: study.folder / "page")
    found = study(tables=["runs"])
    spec = plan.wanted(found)[0].specs[0]
    keep(found.results, spec, np.arange(1, 944), [])
    pages.make_study(found, missing=False)
    assert found.table("runs")["key"].tolist() == [spec.key]


def test_a_baseline_of_recbole_is_wanted_once_per_seed_that_changes_it(study):
    pytest.importorskip("recbole")
    models = ["sasrec", "pop", "bpr"]
    found = study(arms={"usual": {"settings": "quick", "models": models}}, tables=["runs"])
    _, pop, bpr = groups = plan.wanted(found)
    assert [len(group.specs) for group in groups] == [2, 1, 2]
    assert {spec.engine for spec in (*pop.specs, *bpr.specs)} == {"recbole"}
    for spec in plan.missing(groups):
        keep(found.results, spec, np.roll(np.arange(1, 944), spec.seed), [])
    groups = plan.read(groups, *found.stores)
    assert plan.missing(groups) == []
    for name in ("runs", "levels", "comparisons"):
        assert "bpr" in set(TABLES[name](found, groups)["model"])
    assert TABLES["lambdas"](found, groups).empty and TABLES["searches"](found, groups).empty


def test_missing_runs_are_never_fitted_into_a_committed_folder(study, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQATTN_RESULTS", str(tmp_path / "own"))
    monkeypatch.setattr(pages, "study_page", lambda study: study.folder / "page")
    into = []
    monkeypatch.setattr(plan, "fit_runs", lambda store, *_, **__: into.append(store.path) or [])
    committed, own = study(results="results/campaign", tables=[]), study(tables=[])
    for found in (committed, own):
        pages.make_study(found)
    assert into == [tmp_path / "own", tmp_path / "store"]
    spec = plan.wanted(committed)[0].specs[0]
    keep(tmp_path / "own", spec, np.arange(1, 944), [])
    assert spec not in plan.missing(plan.read(plan.wanted(committed), *committed.stores))


@pytest.mark.parametrize("content", ["model,metric\nsasrec,ND", "a,b\n1\n2,3,4,5\n"])
def test_a_table_that_was_cut_short_is_one_line(study, content):
    found = study(tables=["levels"])
    write_text(found.folder / "levels.csv", content)
    for read in (found.table, found.kept):
        with pytest.raises(SeqattnError, match=r"levels.csv is damaged; remove it and run"):
            read("levels")


def test_a_table_that_was_not_written_yet_has_no_rows(study):
    found = study(tables=["levels"])
    assert found.kept("levels", ["mean"]).columns.tolist() == ["mean"]
    assert found.kept("levels").empty
    with pytest.raises(SeqattnError, match=r"cannot read .*levels.csv"):
        found.table("levels")


def test_runs_a_study_wants_are_collected_and_others_named(study, tmp_path, monkeypatch, capsys):
    found = study(tables=[])
    spec = plan.wanted(found)[0].specs[0]
    stranger = dataclasses.replace(spec, seed=99)
    for one in (spec, stranger):
        keep(tmp_path / "elsewhere", one, np.arange(1, 944), [])
    assert plan.wanted_in(tmp_path) == set()
    assert main(["collect", str(tmp_path / "elsewhere"), "-o", str(found.results)]) == 0
    assert [run.spec for run in Store(found.results).runs()] == [spec]
    assert "1 runs of" in capsys.readouterr().err
    assert main(["collect", str(tmp_path / "elsewhere"), "-o", str(found.results)]) == 0
    assert capsys.readouterr().out.strip() == ""


@pytest.mark.parametrize("name", names())
def test_a_study_of_intensity_names_logs_that_have_one(name):
    found = read_study(name)
    if any(needs_intensity(model) for arm in found.arms for model in arm.models if model in MODELS):
        without = [d for d in found.datasets if not find_entry(found.logs.get(d, d)).intensity]
        assert without == []


@pytest.mark.parametrize("name", [n for n in names() if "runs" in read_study(n).tables])
def test_every_run_that_a_table_names_is_in_the_repository(name):
    study = read_study(name)
    named = set(study.table("runs").get("key", pd.Series(dtype=str)))
    folders = {study.results, *map(study.searches, study.arms)}
    kept = {path.parent.name.rsplit("-", 1)[1] for f in folders for path in f.glob("*/*/*/*.npz")}
    assert named <= kept


def test_hours_of_another_program_say_nothing_of_ours():
    assert hours.seconds_taken([Run(None, {"metrics": {}}, "external")], "cpu").empty


def test_a_study_that_names_the_usual_store_reads_where_fits_of_the_command_line_lie(
    study, tmp_path, monkeypatch
):
    monkeypatch.setenv("SEQATTN_RESULTS", str(tmp_path / "own"))
    found = study(results=".seqattn/results")
    assert found.results == tmp_path / "own"
    assert [store.path for store in found.stores] == [tmp_path / "own"]
