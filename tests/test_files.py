"""Text files appear whole or not at all."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seqattn.errors import SeqattnError
from seqattn.files import ROOT, read_record, results_folder, write_record, write_text


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


def test_what_a_killed_writer_left_is_removed_once_it_is_old(tmp_path):
    for name in (".out.csv.abcdefgh", ".out.csv.ijklmnop", ".other.csv.abcdefgh"):
        (tmp_path / name).write_text("half")
    os.utime(tmp_path / ".out.csv.abcdefgh", (0, 0))
    os.utime(tmp_path / ".other.csv.abcdefgh", (0, 0))
    write_text(tmp_path / "out.csv", "whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"out.csv", ".out.csv.ijklmnop", ".other.csv.abcdefgh"}


@pytest.mark.parametrize(
    ("name", "variable", "expected"),
    [
        ("", "", ROOT / ".seqattn" / "results"),
        ("", "~/store", Path.home() / "store"),
        ("~/mine", "/other", Path.home() / "mine"),
    ],
)
def test_an_empty_results_folder_is_the_default_and_a_tilde_is_home(
    monkeypatch, name, variable, expected
):
    monkeypatch.setenv("SEQATTN_RESULTS", variable)
    assert results_folder(name) == expected


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    assert write_text(tmp_path / "link.csv", "new") == tmp_path / "real.csv"
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").read_text() == "new"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(pipe.read_text)
        write_text(pipe, "told")
        assert heard.result(timeout=10) == "told"
    assert pipe.is_fifo() and [*tmp_path.iterdir()] == [pipe]


def test_an_open_file_is_written_to_where_it_stands_and_never_replaced(tmp_path, monkeypatch):
    """As `--split /dev/stdout` where the shell's ``>`` or ``>>`` leads it to a file."""
    path, link = tmp_path / "o.txt", tmp_path / "link"
    for more in (os.O_APPEND, 0):
        path.write_text("old\n" if more else "")
        handle = os.open(path, os.O_WRONLY | more)
        link.unlink(missing_ok=True)
        link.symlink_to(f"/dev/fd/{handle}")
        for name in (f"/dev/fd/{handle}", f"/proc/self/fd/{handle}", link):
            if Path(name).exists():  # there is no /proc on macOS
                write_text(name, "new\n")
        os.write(handle, b"end\n")
        told = path.read_text().splitlines()
        assert told == ["old"] * bool(more) + ["new"] * (len(told) - 1 - bool(more)) + ["end"]
        assert os.path.samestat(os.fstat(handle), path.stat()) and "new" in told
        os.close(handle)
    assert {one.name for one in tmp_path.iterdir()} == {"o.txt", "link"}


def test_standard_output_led_to_a_file_holds_all_in_order(tmp_path, warm):
    program = (
        "from seqattn.files import write_text\n"
        "print('first')\nwrite_text('/dev/stdout', 'second\\n')\nprint('third')"
    )
    path = tmp_path / "o.txt"
    for mode, before in (("ab", "old\n"), ("wb", "")):
        path.write_text("old\n")
        with path.open(mode) as file:
            warm.run(program, stdout=file.fileno()).check_returncode()
        assert path.read_text() == before + "first\nsecond\nthird\n"


def test_a_record_that_may_not_be_read_is_not_taken_for_a_missing_one(tmp_path, monkeypatch):
    (tmp_path / "ranks").write_text("1")
    write_record(tmp_path, "cell.json", {"a": 1})
    assert read_record(tmp_path, "cell.json")["a"] == 1

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)  # root may read whatever the mode says
    with pytest.raises(SeqattnError, match=r"cannot read .*ranks: Permission denied; ask its own"):
        read_record(tmp_path, "cell.json")


def test_a_part_that_another_writer_renames_meanwhile_is_no_error(tmp_path, monkeypatch):
    gone = tmp_path / ".out.csv.abcdefgh"
    monkeypatch.setattr(Path, "glob", lambda *_: [gone])
    assert write_text(tmp_path / "out.csv", "whole").read_text() == "whole"
