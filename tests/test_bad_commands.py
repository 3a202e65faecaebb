"""What no other command can use is one line, exit code 2, and changes no file."""

from __future__ import annotations

import pytest
from bad_commands import CASES, GOOD_COMMANDS, copied, prepared

from seqattn.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The good log and two small runs."""
    folder = tmp_path_factory.mktemp("good")
    prepared(folder)
    return folder


def _files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_command_that_cannot_be_carried_out_is_one_line_and_changes_nothing(
    case, folder, tmp_path, capsys
):
    here = copied(folder, tmp_path / "here")
    arguments = case.arguments(here)
    before = _files(here)
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert error.count("\n") == 1 and error.startswith("seqattn: ") and len(error) < 1000
    assert all(part in error for part in case.says), error
    assert not out
    assert _files(here) == before


def test_titles_are_of_one_case_each():
    assert len({(case.command, case.title) for case in CASES}) == len(CASES) >= 50


def test_without_its_fault_each_command_is_carried_out(folder, tmp_path, capsys):
    """So that no case fails for another reason than its title says."""
    for case in GOOD_COMMANDS:
        here = copied(folder, tmp_path / case.title)
        assert main(case.arguments(here)) == 0, capsys.readouterr().err
