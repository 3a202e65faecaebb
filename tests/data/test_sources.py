"""Where files are found: mirror, cache, RecBole's wheel, web."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from raw_files import HEADER, amazon_lines, steam_lines, written

from seqattn.data import CATALOGUE, Dataset, Entry, load_log, sources
from seqattn.data import dataset as loading
from seqattn.data.readers import READERS
from seqattn.data.sources import find, how_to_get, locate, status
from seqattn.errors import SeqattnError
from seqattn.studies.ia import published

U_DATA = "196\t242\t3\t881250949\n186\t302\t3\t891717742\n"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """An empty mirror and an empty cache; no RecBole, and no network."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("SEQATTN_DATA", str(folder))
    monkeypatch.setenv("SEQATTN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    monkeypatch.setattr(sources, "download", no_network)
    return folder


def no_network(url, target, *, sha256=None):
    raise SeqattnError(f"cannot download {url}")


def entry_without_counts(name: str) -> Entry:
    return replace(CATALOGUE[name], raw=None, core=None)


def zipped(path, **members: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), text)
    return path


@pytest.mark.parametrize("place", ["u.data", "ml-100k/u.data", "ml-100k/ml-100k/u.data"])
def test_official_files_are_found_wherever_an_archive_was_unpacked(mirror, place):
    written(mirror / place, U_DATA)
    assert load_log("ml-100k").frame.iloc[0].tolist() == [196, 242, 3, 881250949]


def pin(monkeypatch, name: str, path) -> None:
    """Publish the checksum of a file for an entry of the catalogue."""
    entry = replace(CATALOGUE[name], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(loading.CATALOGUE, name, entry)


def test_an_official_archive_in_the_mirror_is_read_and_leaves_nothing(
    mirror, tmp_path, monkeypatch
):
    path = zipped(mirror / "ml-100k.zip", **{"ml-100k__u_DOT_data": U_DATA})
    pin(monkeypatch, "ml-100k", path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    assert len(load_log("ml-100k")) == 2
    assert [path.name for path in mirror.iterdir()] == ["ml-100k.zip"]
    assert not any((tmp_path / "temporary").iterdir())
    assert not (tmp_path / "cache").exists()


def test_a_mirrors_archive_with_other_ratings_is_refused(mirror, tmp_path, monkeypatch):
    path = zipped(mirror / "ml-100k.zip", **{"ml-100k__u_DOT_data": U_DATA})
    pin(monkeypatch, "ml-100k", path)
    zipped(path, **{"ml-100k__u_DOT_data": U_DATA.replace("\t3\t", "\t5\t")})
    with pytest.raises(SeqattnError, match="damaged or altered"):
        load_log("ml-100k")
    path.unlink()
    with pytest.raises(SeqattnError, match="cannot download"):
        load_log("ml-100k")
    assert not (tmp_path / "cache").exists()


def test_a_mirrors_csv_is_read(mirror):
    written(mirror / "ml-100k.csv.gz", HEADER + "196,242,3,8\n")
    assert load_log("ml-100k").frame.iloc[0].tolist() == [196, 242, 3, 8]


def test_official_files_come_before_a_mirrors_csv(mirror):
    written(mirror / "ml-100k.csv.gz", HEADER + "196,242,3,8\n")
    written(mirror / "u.data", U_DATA)
    assert len(load_log("ml-100k")) == 2


def test_the_mirror_comes_before_the_cache(mirror, tmp_path):
    written(tmp_path / "cache" / "u.data", U_DATA)
    assert status(CATALOGUE["ml-100k"])[0] == "cached"
    written(mirror / "ml-100k.csv.gz", HEADER + "196,242,3,8\n")
    assert status(CATALOGUE["ml-100k"])[0] == "present (mirror)"


def test_the_cache_comes_before_recboles_copy(mirror, tmp_path, monkeypatch):
    copy = written(tmp_path / "ml-100k.inter", "user_id:token\titem_id:token\n1\t2\n")
    monkeypatch.setattr(sources, "_recbole_file", lambda: copy)
    assert find(CATALOGUE["ml-100k"]).place == "recbole"
    written(tmp_path / "cache" / "u.data", U_DATA)
    assert find(CATALOGUE["ml-100k"]).place == "cache"


def test_another_form_of_a_dataset_is_where_its_files_are(mirror, tmp_path):
    entry = CATALOGUE["ml-100k-time"]
    assert entry.of == "ml-100k"
    written(tmp_path / "cache" / "u.data", U_DATA)
    assert status(entry) == ("cached", entry)
    assert find(entry) == find(CATALOGUE["ml-100k"])
    written(mirror / "ml-100k.csv.gz", HEADER + "196,242,3,8\n")
    assert status(entry)[0] == "present (mirror)"


def test_another_form_of_generated_data_is_generated():
    entry = replace(CATALOGUE["synthetic"], name="synthetic-time", of="synthetic")
    assert status(entry) == ("generated", entry)
    assert how_to_get(entry) == "it is generated"


def test_the_file_to_get_for_another_form_is_that_of_the_dataset():
    entry = replace(CATALOGUE["steam-200k"], name="steam-later", of="steam-200k")
    assert "put steam-200k.csv.gz, with" in how_to_get(entry)


def test_what_is_nowhere_is_downloaded_and_unpacked(mirror, tmp_path, monkeypatch):
    def fetch(url, target, *, sha256):
        assert (url, sha256) == (CATALOGUE["ml-1m"].url, CATALOGUE["ml-1m"].sha256)
        return zipped(target, **{"ml-1m__ratings_DOT_dat": "1::1193::5::978300760\n"})

    monkeypatch.setattr(sources, "download", fetch)
    assert load_log("ml-1m").frame.iloc[0].tolist() == [1, 1193, 5, 978_300_760]
    monkeypatch.setattr(sources, "download", no_network)
    monkeypatch.setattr(sources, "_check", lambda *_: None)  # the archive is no official one
    assert len(load_log("ml-1m")) == 1


def test_an_archive_comes_before_what_was_unpacked_beside_it(mirror, tmp_path, monkeypatch):
    def fetch(url, target, *, sha256):
        return zipped(target, **{"ml-1m__ratings_DOT_dat": "1::1193::5::978300760\n"})

    monkeypatch.setattr(sources, "download", fetch)
    monkeypatch.setattr(sources, "_check", lambda *_: None)
    load_log("ml-1m")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ml-1m.zip"]
    written(tmp_path / "cache" / "ml-1m" / "ml-1m" / "ratings.dat", "1::1193::1::978300760\n")
    assert load_log("ml-1m").frame.iloc[0].tolist() == [1, 1193, 5, 978_300_760]


def test_a_damaged_archive_from_the_web_leaves_nothing_unpacked(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "download", lambda url, target, sha256: written(target, "no zip"))
    with pytest.raises(SeqattnError, match="damaged archive"):
        load_log("ml-1m")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ml-1m.zip"]


def test_a_file_put_into_the_cache_by_hand_is_pinned_at_first_use(mirror, tmp_path):
    file = "reviews_Office_Products_5.json.gz"
    path = written(tmp_path / "cache" / file, amazon_lines([("A", "B", 5.0, 991_526_400)]))
    assert locate(CATALOGUE["amazon-office"]).paths == (path,)
    written(path, amazon_lines([("A", "B", 4.0, 991_526_400)]))
    with pytest.raises(SeqattnError, match="damaged or altered"):
        locate(CATALOGUE["amazon-office"])


def test_steam_samples_share_one_file(mirror):
    lines = [
        (f"u{user}", f"{item}", 1.0 + item, f"2017-12-{item + 1:02}")
        for user in range(9)
        for item in range(6)
    ]
    written(mirror / "steam_reviews.json.gz", steam_lines(lines))
    log = load_log("steam-3k")
    assert len(log) == len(load_log("steam-15k")) == 54
    entry = CATALOGUE["steam-3k"]
    smaller = replace(entry, preparation=replace(entry.preparation, subsample=5))
    dataset = Dataset.from_interactions(log, smaller)
    assert [step.name for step in dataset.steps][-2:] == ["sample 5 users", "5-core"]
    assert dataset.n_users == 5


def test_without_a_link_the_error_says_where_to_get_the_data(mirror):
    with pytest.raises(
        SeqattnError, match=r"no direct link.*yelp\.com.*yelp\.csv\.gz.*SEQATTN_DATA"
    ):
        load_log("yelp")


def test_data_folder_that_does_not_exist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path / "typo"))
    with pytest.raises(SeqattnError, match="is not a folder"):
        load_log("ml-100k")


def test_status_tells_what_a_mirrors_file_lacks(mirror):
    written(mirror / "beauty.csv.gz", "user,item,intensity,timestamp\n1,2,,3\n")
    place, entry = status(CATALOGUE["beauty"])
    assert (place, entry.intensity) == ("present (mirror)", None)
    assert status(CATALOGUE["sports"]) == ("missing", CATALOGUE["sports"])


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_every_entry_can_be_had_and_read(entry):
    assert how_to_get(entry)
    assert (entry.format is None) == (not entry.files)
    assert all(isinstance(name, str) for name in entry.files)
    assert entry.format is None or entry.format in READERS
    assert entry.url is None or entry.format is not None


def test_a_dataset_has_one_title_that_of_the_paper_where_it_has_one():
    assert {name: CATALOGUE[name].title for name in published.DATASETS} == published.DATASETS
    for path in Path(published.FOLDER.parent, "datasets").glob("*/dataset.json"):
        record = json.loads(path.read_text())
        entry = CATALOGUE[record["dataset"]]
        assert record["title"] in (entry.title, entry.mirrored().title), path


def test_the_reader_is_the_entrys(mirror, monkeypatch):
    written(mirror / "user_artists.dat", "userID\tartistID\tweight\n2\t51\t13883\n")
    monkeypatch.setitem(loading.CATALOGUE, "lastfm-listens", entry_without_counts("lastfm-listens"))
    log = load_log("lastfm-listens")
    assert log.when is None
    assert log.frame["intensity"].tolist() == [13_883]
