"""The file that lists the datasets of the book, and the recipe to add one."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
import yaml
from raw_files import written

from seqattn.data import CATALOGUE, Counts, Preparation, entry, load_log
from seqattn.data.entry import Mirror, read_catalogue
from seqattn.data.own import read_yaml
from seqattn.data.readers import READERS, delimited
from seqattn.errors import SeqattnError

FILE = Path(entry.__file__).with_name("catalogue.yaml")
ROOT = Path(__file__).parents[2]
RECIPE = (
    (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a dataset\n")[2].partition("\n## ")[0]
)
GOOD = {"name": "mine", "licence": "none", "intensity": {"meaning": "plays", "unit": "times"}}
SIZE = {"interactions": 9, "users": 2, "items": 3}


@pytest.fixture
def catalogue(tmp_path):
    """Read a catalogue of the entries given."""

    def read(*entries: object):
        return read_catalogue(written(tmp_path / "list.yaml", yaml.safe_dump(list(entries))))

    return read


def test_an_entry_says_all_that_is_known_of_a_dataset(catalogue):
    given = GOOD | {
        "time_unit": "ms",
        "filters": {"k_core": 3, "users": 7},
        "files": ["a/b.csv", "c.csv"],
        "raw": SIZE,
        "mirror": {"core": SIZE, "intensity": False},
        "chronological": False,
    }
    found = catalogue(given)["mine"]
    assert (found.title, found.intensity, found.unit) == ("mine", "plays", "times")
    assert (found.raw, found.core, found.url) == (Counts(9, 2, 3), None, None)
    assert found.preparation == Preparation(core=3, subsample=7)
    assert found.files == ("a/b.csv", "c.csv")
    assert found.mirror == Mirror(core=Counts(9, 2, 3), intensity=False)
    assert (found.time_unit, found.chronological) == ("ms", False)


def test_the_keys_of_ones_own_yaml_mean_the_same_in_the_catalogue(catalogue, tmp_path):
    shared = {
        "name": "mine",
        "title": "Mine",
        "intensity": GOOD["intensity"],
        "filters": {"k_core": 2, "iterative": False, "users": 4, "history": 3},
        "time_unit": "ms",
    }
    columns = {"user": "u", "item": "i", "timestamp": "t", "intensity": "w"}
    own = {**shared, "path": "log.csv", "columns": columns}
    path = written(tmp_path / "my.yaml", yaml.safe_dump(own))
    assert read_yaml(path).entry == catalogue({**shared, "licence": "your own data"})["mine"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"licens": "none"},
            "the entry: unknown key 'licens' .*'licence'.*; known keys: chr",
        ),
        ({"path": "log.csv"}, "the entry: unknown key 'path'"),
        ({"licence": 4}, "the entry: key 'licence' must be str, not int 4"),
        ({"files": "a.csv"}, "the entry: key 'files' must be list, not str 'a.csv'"),
        ({"intensity": {"meaning": "plays"}}, "intensity: key 'unit' is missing; add it"),
        ({"raw": {"interactions": 9, "users": 2}}, "raw: key 'items' is missing"),
        ({"core": SIZE | {"users": "2"}}, "core: key 'users' must be int, not str '2'"),
        ({"mirror": {"note": "half"}}, "mirror: unknown key 'note'"),
        ({"mirror": {"raw": {"item": 9}}}, "mirror: raw: unknown key 'item'"),
        ({"filters": {"k_core": 0}}, "filters: k_core must be at least 1"),
        ({"time_unit": "h"}, "time_unit 'h' is unknown; use s, ms, us or ns"),
    ],
)
def test_an_unusable_entry_is_refused_by_file_entry_and_key(catalogue, changes, message):
    with pytest.raises(SeqattnError, match=rf"list\.yaml: entry mine: {message}"):
        catalogue(GOOD | changes)


def test_a_name_serves_for_one_entry(catalogue):
    with pytest.raises(SeqattnError, match=r"list\.yaml: entry mine: name 'mine' is one of"):
        catalogue(GOOD, GOOD)


def test_an_entry_without_its_name_is_told_by_its_number(catalogue):
    with pytest.raises(SeqattnError, match="entry 2: the entry: key 'name' is missing"):
        catalogue(GOOD, {"licence": "none"})
    with pytest.raises(SeqattnError, match="entry 1: the entry must be a mapping"):
        catalogue("mine")


def test_a_key_given_twice_is_refused_by_name(tmp_path):
    path = written(tmp_path / "list.yaml", "- name: mine\n  licence: a\n  licence: b\n")
    with pytest.raises(SeqattnError, match=r"list\.yaml.*key 'licence' is given twice"):
        read_catalogue(path)


def test_a_catalogue_that_is_no_list_is_refused(tmp_path):
    with pytest.raises(SeqattnError, match=r"list\.yaml: the file must be a list of entries"):
        read_catalogue(written(tmp_path / "list.yaml", yaml.safe_dump(GOOD)))


def test_the_head_of_the_file_explains_every_key():
    head = FILE.read_text().partition("\n\n")[0]
    explained = set(re.findall(r"^# ([a-z]\w*(?:, \w+)*)  ", head, flags=re.MULTILINE))
    keys = {name for names in explained for name in names.split(", ")}
    kinds = (entry.CatalogueYaml, entry.OtherYaml)
    assert keys == {name for kind in kinds for name in kind.__dataclass_fields__}


def test_citations_are_in_the_bibliography():
    known = re.findall(r"^@\w+\{(.+?),", (ROOT / "book" / "references.bib").read_text(), re.M)
    assert {e.citation for e in CATALOGUE.values() if e.citation} <= set(known)


def test_the_file_is_installed_with_the_package():
    (line,) = re.findall(r"^seqattn = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert FILE in [FILE.parents[1] / name for name in re.findall(r'"(.+?)"', line)]


@pytest.fixture
def plays(tmp_path, monkeypatch):
    """The recipe's dataset, added as the recipe says; return the folder for its files."""
    (block,) = re.findall(r"```yaml\n(.*?)```", RECIPE, flags=re.DOTALL)
    longer = written(tmp_path / "catalogue.yaml", FILE.read_text() + "\n" + block)
    added = read_catalogue(longer)
    assert [*added] == [*CATALOGUE, "plays"]
    monkeypatch.setitem(CATALOGUE, "plays", added["plays"])
    line = re.findall(r"```python\n(.*?)```", RECIPE, flags=re.DOTALL)[0]
    readers = eval("{" + line + "}", {"delimited": delimited})
    for name, reader in readers.items():
        monkeypatch.setitem(READERS, name, reader)
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path))
    monkeypatch.setenv("SEQATTN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_recipes_dataset_is_read_from_its_official_archive(plays):
    with zipfile.ZipFile(plays / "plays.zip", "w") as archive:
        archive.writestr("plays/log.tsv", "when\twho\twhat\tcount\n1600000000\tu\ti\t3\n")
    row = load_log("plays").frame[["user", "item", "intensity", "timestamp"]].iloc[0]
    assert row.tolist() == ["u", "i", 3, 1_600_000_000]


def test_the_recipes_dataset_is_read_from_a_file_of_its_name(plays):
    written(plays / "plays.csv.gz", "user,item,intensity,timestamp\nu,i,3,1600000000\n")
    assert load_log("plays").frame["intensity"].tolist() == [3]
