"""Finding and reading raw files."""

from __future__ import annotations

import gzip

import pytest

from seqattn.data import readers
from seqattn.data.readers import read_delimited, read_ml_100k
from seqattn.errors import SeqattnError

COLUMNS = {"user": "user", "item": "item", "intensity": "intensity", "timestamp": "timestamp"}
HEADER = "user,item,intensity,timestamp\n"


def written(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def refusal(path, columns=COLUMNS):
    with pytest.raises(SeqattnError) as caught:
        read_delimited(path, ",", columns)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def without_recbole(monkeypatch):
    monkeypatch.setattr(readers, "find_spec", lambda name: None)


def test_empty_file_is_refused_by_name(tmp_path):
    assert "the file is empty" in refusal(written(tmp_path / "log.csv", ""))


def test_file_with_a_header_only_is_refused(tmp_path):
    assert "no rows" in refusal(written(tmp_path / "log.csv", HEADER))


def test_absent_file_column_is_named(tmp_path):
    path = written(tmp_path / "log.csv", "user,item,timestamp\n1,2,3\n")
    assert "column 'intensity' is missing (columns present: user, item, timestamp)" in refusal(path)


def test_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "1,2,3,4\n" * 5_000).encode())[:60])
    assert "cannot be read" in refusal(path)


def test_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xff\xfe\x00\x81" * 20)
    assert "cannot be read" in refusal(path)


def test_message_names_the_line_of_the_file(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "1,2,3,4\n1,3,-3,4\n")
    assert "column 'intensity', line 3: -3" in refusal(path)


def test_line_is_right_after_rows_were_dropped(tmp_path):
    path = written(tmp_path / "log.csv", HEADER + "1,2,,4\n1,3,3,4\n1,4,-1,4\n")
    assert "line 4: -1.0" in refusal(path)


def test_rows_with_an_empty_cell_are_dropped_and_counted(tmp_path):
    log = read_delimited(written(tmp_path / "log.csv", HEADER + ",2,3,4\n1,3,3,4\n"), ",", COLUMNS)
    assert [step.interactions for step in log.steps] == [2, 1]
    assert log.frame["user"].tolist() == [1]


@pytest.mark.parametrize("place", ["u.data", "ml-100k/u.data"])
def test_ml_100k_is_read_from_the_official_layout(tmp_path, monkeypatch, without_recbole, place):
    written(tmp_path / place, "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path))
    assert read_ml_100k().frame.iloc[0].tolist() == [196, 242, 3, 881250949]


def test_ml_100k_is_read_from_a_mirrors_csv(tmp_path, monkeypatch, without_recbole):
    (tmp_path / "ml-100k.csv.gz").write_bytes(gzip.compress((HEADER + "196,242,3,8\n").encode()))
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path))
    assert read_ml_100k().frame.iloc[0].tolist() == [196, 242, 3, 8]


def test_mirror_comes_before_recboles_copy(tmp_path, monkeypatch):
    written(tmp_path / "u.data", "1\t2\t3\t4\n")
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path))
    assert len(read_ml_100k()) == 1


def test_without_mirror_and_recbole_the_error_says_how_to_get_the_data(
    monkeypatch, without_recbole
):
    monkeypatch.delenv("SEQATTN_DATA", raising=False)
    with pytest.raises(SeqattnError, match=r"https://.*ml-100k\.zip.*SEQATTN_DATA.*pip install"):
        read_ml_100k()


def test_data_folder_that_does_not_exist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path / "typo"))
    with pytest.raises(SeqattnError, match="is not a folder"):
        read_ml_100k()
