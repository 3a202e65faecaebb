"""Extraction of archives, hostile ones among them."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile

import pytest

from seqattn.data.sources import extract
from seqattn.errors import SeqattnError


@pytest.fixture
def archive(tmp_path):
    """An archive in a folder of its own, with one good member and those asked for."""

    def make(*names: str, mode: int = 0o644):
        path = tmp_path / "in" / "log.zip"
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("log/u.data", "1\t2\t3\t4\n" * 1_000)
            for name in names:
                info = zipfile.ZipInfo(name)
                info.external_attr = (mode | stat.S_IFREG if mode == 0o644 else mode) << 16
                opened.writestr(info, "/etc/passwd")
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
def test_a_member_that_leads_out_of_the_folder_is_refused(archive, tmp_path, name):
    path = archive(name)
    with pytest.raises(SeqattnError, match="leads out of the archive's folder"):
        extract(path, ["log/u.data"], tmp_path / "out")
    assert everything_in(tmp_path) == ["in", "in/log.zip"]


def test_a_link_is_refused(archive, tmp_path):
    path = archive("log/link", mode=stat.S_IFLNK | 0o777)
    with pytest.raises(SeqattnError, match="'log/link' is a link"):
        extract(path, ["log/u.data"], tmp_path / "out")
    assert everything_in(tmp_path) == ["in", "in/log.zip"]


def test_an_archive_without_the_member_is_refused(archive, tmp_path):
    with pytest.raises(SeqattnError, match=r"holds no 'ratings\.dat'"):
        extract(archive(), ["log/u.data", "ratings.dat"], tmp_path / "out")
    assert everything_in(tmp_path) == ["in", "in/log.zip"]


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
    assert everything_in(tmp_path) == ["in", "in/log.zip"]


def test_a_full_disk_leaves_nothing(archive, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    path = archive()
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(SeqattnError, match="No space left on device; make room"):
        extract(path, ["log/u.data"], tmp_path / "out")
    assert everything_in(tmp_path) == ["in", "in/log.zip"]


def test_what_a_killed_process_left_of_unpacking_is_removed_once_it_is_old(archive, tmp_path):
    path, out = archive(), tmp_path / "out"
    old, young, other = (tmp_path / name for name in (".out-abandoned", ".out-in_use", ".outer-x"))
    for folder in (old, young, other):
        (folder / "log").mkdir(parents=True)
    for folder in (old, other):
        os.utime(folder, (0, 0))
    extract(path, ["log/u.data"], out)
    assert not old.exists() and young.exists() and other.exists()
