"""Extraction of archives, hostile ones among them."""

from __future__ import annotations

import shutil
import zipfile

import pytest

from seqattn.data.sources import extract
from seqattn.errors import SeqattnError


@pytest.fixture
def archive(tmp_path):
    """An archive in a folder of its own, with one good member and those asked for."""

    def make(*names: str):
        path = tmp_path / "in" / "log.zip"
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("log/u.data", "1\t2\t3\t4\n" * 1_000)
            for name in names:
                opened.writestr(zipfile.ZipInfo(name), "/etc/passwd")
        return path

    return make


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_only_the_members_asked_for_are_extracted(archive, tmp_path):
    (path,) = extract(archive("log/README"), ["log/u.data"], tmp_path / "out")
    assert path.read_text().startswith("1\t2")
    assert everything_in(tmp_path / "out") == ["log", "log/u.data"]


@pytest.mark.parametrize(
    "name", ["../evil", "log/../../evil", "/evil", "C:\\evil", "\\evil", "log\\..\\..\\evil"]
)
def test_a_member_that_leads_out_of_the_folder_is_left_where_it_is(archive, tmp_path, name):
    extract(archive(name), ["log/u.data"], tmp_path / "out")
    assert everything_in(tmp_path) == ["in", "in/log.zip", "out", "out/log", "out/log/u.data"]


def test_an_archive_without_the_member_is_refused(archive, tmp_path):
    with pytest.raises(SeqattnError, match=r"no item named 'ratings\.dat'"):
        extract(archive(), ["log/u.data", "ratings.dat"], tmp_path / "out")


@pytest.mark.parametrize("cut", [10, 60, 150])
def test_a_damaged_archive_is_refused(archive, tmp_path, cut):
    path = archive()
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(SeqattnError, match="damaged archive"):
        extract(path, ["log/u.data"], tmp_path / "out")
    assert everything_in(tmp_path) == ["in", "in/log.zip"]


def test_a_member_with_flipped_bits_is_refused(archive, tmp_path):
    path = archive()
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SeqattnError, match="damaged archive"):
        extract(path, ["log/u.data"], tmp_path / "out")


def test_an_encrypted_archive_is_refused(archive, tmp_path):
    path = archive()
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag of the member, in its two headers
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(SeqattnError, match=r"damaged archive .*encrypted"):
        extract(path, ["log/u.data"], tmp_path / "out")


def test_a_full_disk_is_told(archive, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    path = archive()
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(SeqattnError, match="No space left on device; make room"):
        extract(path, ["log/u.data"], tmp_path / "out")
