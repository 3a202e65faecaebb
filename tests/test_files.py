"""Text files appear whole or not at all."""

import pytest

from seqattn.errors import SeqattnError
from seqattn.files import write_text


def test_text_is_written_into_a_new_folder(tmp_path):
    path = write_text(tmp_path / "new" / "a.md", "text\n")
    assert path.read_text() == "text\n"
    assert [p.name for p in path.parent.iterdir()] == ["a.md"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.md"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqattn.files.os.replace", full)
    with pytest.raises(SeqattnError, match=r"a\.md: No space left on device; make room"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.md"]


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(SeqattnError, match="taken"):
        write_text(tmp_path / "taken" / "a.md", "text")
