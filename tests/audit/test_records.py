"""What is kept of a dataset."""

import json
import os
from dataclasses import replace

import pandas as pd
import pytest

from seqattn.audit import records
from seqattn.audit.intensity import diagnose
from seqattn.audit.records import (
    alarms,
    describe,
    diagnoses,
    read_records,
    read_tied_tests,
    sizes,
)
from seqattn.data import CATALOGUE
from seqattn.data import dataset as loading
from seqattn.data.sources import GENERATED
from seqattn.errors import SeqattnError

FILES = ("dataset", "audit", "intensity", "ties")
NO_INTENSITY = ("dataset", "audit", "ties")


def test_the_records_of_a_dataset_are_its_counts_audit_and_diagnosis(synthetic, tmp_path):
    paths = describe("synthetic").write(tmp_path)
    assert [path.name for path in paths] == [f"{name}.json" for name in FILES]
    dataset, audit, intensity, ties = (json.loads(path.read_text()) for path in paths)
    prints = {record["fingerprint"] for record in (dataset, audit, ties)}
    assert prints == {synthetic.fingerprint}
    assert dataset["steps"][-1]["interactions"] == len(synthetic.sequences)
    told = pd.DataFrame(intensity)["value"].astype(float)
    pd.testing.assert_series_equal(told, diagnose(synthetic)["value"], rtol=1e-8)


def test_equal_data_gives_equal_bytes(tmp_path):
    first, second = (describe("synthetic").write(tmp_path / name) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_a_log_without_chronology_is_diagnosed_and_not_prepared(tmp_path, monkeypatch):
    rows = "".join(f"u{i % 4},i{i % 7},{1 + i % 3},\n" for i in range(28))
    (tmp_path / "steam-200k.csv").write_text("user,item,intensity,timestamp\n" + rows)
    frame = pd.read_csv(tmp_path / "steam-200k.csv")
    frame.to_csv(tmp_path / "steam-200k.csv.gz", index=False)
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path))
    with pytest.raises(SeqattnError, match=r"the catalogue expects 70489 .* get it again"):
        describe("steam-200k")  # a part is not the whole under its name
    monkeypatch.setattr(loading, "_check_counts", lambda *facts: None)
    found = describe("steam-200k")
    assert found.dataset["fingerprint"] is None
    assert [step["name"] for step in found.dataset["steps"]] == ["read", "drop missing"]
    recency = found.intensity.query("measure == 'recency'")["value"]
    assert recency.isna().all()


def test_a_dataset_without_intensity_has_no_diagnosis(tmp_path, monkeypatch):
    rows = "".join(f"{u},{i},,{1_600_000_000 + 7 * i + u}\n" for u in range(6) for i in range(6))
    frame_path = tmp_path / "yelp.csv"
    frame_path.write_text("user,item,intensity,timestamp\n" + rows)
    text = "name: plain\npath: yelp.csv\ncolumns: {user: user, item: item, timestamp: timestamp}\n"
    (tmp_path / "plain.yaml").write_text(text)
    found = describe(str(tmp_path / "plain.yaml"))
    assert found.intensity is None
    assert [path.name for path in found.write(tmp_path / "out")] == [
        "dataset.json",
        "audit.json",
        "ties.json",
    ]


def test_ties_are_kept_a_bit_a_user_and_damage_is_named(tmp_path):
    times = [[1, 2, 2], [1, 2, 3], [5, 5, 6], [4, 4, 4], [1, 9, 9]]
    rows = [f"u{u},i{i},{t}" for u, row in enumerate(times) for i, t in enumerate(row)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,timestamp", *rows]) + "\n")
    (tmp_path / "own.yaml").write_text(
        "name: own\npath: log.csv\nfilters: {k_core: 1}\n"
        "columns: {user: user, item: item, timestamp: timestamp}\n"
    )
    found = describe(str(tmp_path / "own.yaml"))
    found.write(tmp_path / "own")
    data = found.dataset["fingerprint"]
    tied = read_tied_tests(tmp_path, "own", data)
    assert tied.tolist() == [True, False, False, True, True]
    changes = found.audit.ties.loc["test target changes", "by timestamp"]
    assert tied.mean() == pytest.approx(changes)
    assert read_tied_tests(tmp_path, "own", "another") is None
    assert read_tied_tests(tmp_path, "absent", data) is None
    path = tmp_path / "own" / "ties.json"
    path.write_text(path.read_text().replace('"users": 5', '"users": 50'))
    with pytest.raises(SeqattnError, match=r"ties\.json is damaged.*seqattn prepare own"):
        read_tied_tests(tmp_path, "own", data)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Records of one dataset, filed under the name of one of the paper's."""
    folder = tmp_path_factory.mktemp("records")
    describe("synthetic").write(folder / "ml-100k")
    return read_records(folder)


def test_without_records_every_dataset_was_not_run_and_has_its_command(tmp_path):
    table = sizes(read_records(tmp_path))
    assert not table["run"].any() and table["as_read"].isna().all()
    names = [n for n, entry in CATALOGUE.items() if n not in GENERATED and not entry.of]
    assert list(table["command"]) == [f"seqattn prepare {n} -o results/datasets/{n}" for n in names]
    assert alarms(read_records(tmp_path)).empty and diagnoses(read_records(tmp_path)).empty


def test_counts_stand_beside_the_published_ones(kept):
    row = sizes(kept).iloc[0]
    steps = kept[0].dataset["steps"]
    ours = [
        " / ".join(f"{step[k]:,}" for k in ("interactions", "users", "items"))
        for step in (steps[0], steps[-1])
    ]
    assert [row["published"], row["as_read"], row["prepared"]] == [
        "100,000 / 943 / 1,682",
        *ours,
    ]
    assert row["published_is"] == "neither"


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        (("a", "a", "a", "b"), "the unfiltered log"),
        (("a", "a", "half", "b"), "the log as read, incomplete rows included"),
        (("b", "a", "a", "b"), "the prepared log"),
        (("a", "a", "a", "a"), "both"),
        (("c", "a", "a", "b"), "neither"),
    ],
)
def test_the_published_size_is_matched_to_a_stage(counts, verdict):
    assert records._which(*counts) == verdict


def test_red_findings_are_listed_with_value_and_threshold(kept):
    findings = kept[0].findings
    reds = findings[findings["light"] == "red"]
    table = alarms(kept)
    assert len(reds) and list(table["check"]) == list(reds["title"])
    assert list(table["value"]) == list(reds["value"])


def test_a_diagnosis_is_that_of_the_record(kept):
    (row,) = diagnoses(kept).to_dict("records")
    table = kept[0].intensity.set_index("measure")["value"]
    assert row["exact"] == table["raw, exact bits"]
    assert row["bits minmax"] == table["minmax, bits"]
    assert row["spread minmax"] == table["minmax, within history"]


OWN = "name: own\npath: log.csv\nfilters: {k_core: 1}\n"
OWN += "columns: {user: user, item: item, timestamp: timestamp}\n"


def own(folder, shift: int = 0, text: str = OWN):
    """A log of one's own in a folder, and its description."""
    folder.mkdir(exist_ok=True)
    rows = [f"u{u},i{i},{100 * i + u + shift}" for u in range(3) for i in range(4)]
    (folder / "log.csv").write_text("\n".join(["user,item,timestamp", *rows]) + "\n")
    (folder / "own.yaml").write_text(text)
    return describe(str(folder / "own.yaml"))


def test_an_edited_log_is_recorded_again_and_another_of_its_name_is_refused(tmp_path):
    out = tmp_path / "out"
    own(tmp_path / "a").write(out)
    own(tmp_path / "a", shift=1).write(out)  # the file changed
    mine = own(tmp_path / "a", text=OWN + "ties: item-id\n")  # the description changed
    paths = mine.write(out)
    kept = [path.read_bytes() for path in paths]
    assert json.loads(kept[0])["fingerprint"] == mine.dataset["fingerprint"]
    other = own(tmp_path / "b", shift=7)
    with pytest.raises(SeqattnError, match=r"a/own\.yaml; give .* another name .* -o") as error:
        other.write(out)
    assert "\n" not in str(error.value)
    assert [path.read_bytes() for path in paths] == kept
    other.write(tmp_path / "elsewhere")


def test_a_log_that_moved_unchanged_is_the_same_one(tmp_path):
    own(tmp_path / "a").write(tmp_path / "out")
    own(tmp_path / "b").write(tmp_path / "out")
    own(tmp_path / "b", shift=1).write(tmp_path / "out")


def test_a_renamed_log_of_the_same_yaml_is_recorded(tmp_path):
    own(tmp_path / "a").write(tmp_path / "out")
    own(tmp_path / "a", shift=1, text=OWN.replace("own", "mine")).write(tmp_path / "out")


def test_a_file_where_a_folder_is_meant_is_called_one(tmp_path):
    mine = own(tmp_path / "a")
    log = tmp_path / "a" / "log.csv"
    before = log.read_bytes()
    for out in (log, log / "below"):
        with pytest.raises(SeqattnError, match=r"log\.csv is a file; name a folder with -o$"):
            mine.write(out)
    assert log.read_bytes() == before


def test_a_dataset_of_the_book_is_not_written_over_another(tmp_path):
    own(tmp_path / "a").write(tmp_path / "out")
    with pytest.raises(SeqattnError, match=r"record of another log.*; give another folder with -o"):
        describe("synthetic").write(tmp_path / "out")


class Killed(BaseException):
    """What no handler of errors catches, as a signal that cannot be caught."""


@pytest.mark.parametrize("written", range(4))
def test_a_record_that_was_stopped_is_none_and_no_part_of_an_older_one_stays(
    tmp_path, monkeypatch, written
):
    out, replaced = tmp_path / "out", []
    own(tmp_path / "a").write(out)

    def replace_or_die(source, target):
        if len(replaced) == written:
            raise Killed
        replaced.append(usual(source, target))

    usual = os.replace
    monkeypatch.setattr(os, "replace", replace_or_die)
    mine = own(tmp_path / "a", shift=1)
    n_parts = 3  # it has no intensity
    if written < n_parts:
        with pytest.raises(Killed):
            mine.write(out)
        assert not (out / "dataset.json").exists()  # so that nobody reads the rest
        monkeypatch.undo()
    mine.write(out)
    prints = {json.loads((out / f"{n}.json").read_text())["fingerprint"] for n in NO_INTENSITY}
    assert prints == {mine.dataset["fingerprint"]}


def test_what_a_log_no_longer_has_is_not_kept(tmp_path):
    out = tmp_path / "out"
    own(tmp_path / "a").write(out)
    (out / "intensity.json").write_text(
        '[{"part": 1}]'
    )  # of the same log, when it had an intensity
    own(tmp_path / "a").write(out)
    assert sorted(path.stem for path in out.glob("*.json")) == sorted(NO_INTENSITY)


@pytest.mark.parametrize("held", ["", "{", '{"dataset": "own"}'])
def test_records_that_are_damaged_or_of_before_the_yaml_was_kept_are_written_anew(tmp_path, held):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dataset.json").write_text(held)
    found = own(tmp_path / "a")
    assert json.loads(found.write(tmp_path / "out")[0].read_text())["yaml"].endswith("a/own.yaml")


@pytest.mark.parametrize("name", ["dataset", "audit", "intensity", "ties"])
@pytest.mark.parametrize("held", [b"[]", b'{"rows": 3}', b"a note", b"\xff"])
def test_a_file_of_another_program_is_refused_and_stays(tmp_path, name, held):
    out, found = tmp_path / "out", own(tmp_path / "a")
    out.mkdir()
    (out / f"{name}.json").write_bytes(held)
    with pytest.raises(SeqattnError, match=rf"{name}\.json is there and was not written.* with -o"):
        found.write(out)
    assert [path.read_bytes() for path in out.iterdir()] == [held]


def test_two_logs_without_a_chronology_are_not_the_same(tmp_path):
    held = json.dumps({"dataset": "steam-200k", "fingerprint": None})
    (tmp_path / "dataset.json").write_text(held)
    mine = own(tmp_path / "a")
    other = replace(mine, dataset={**mine.dataset, "fingerprint": None})
    with pytest.raises(SeqattnError, match="record of another log, of dataset 'steam-200k'"):
        other.write(tmp_path)
    assert (tmp_path / "dataset.json").read_text() == held
