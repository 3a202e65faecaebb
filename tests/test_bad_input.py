"""Every bad input gives one line that names what is wrong, exit code 2, and writes nothing."""

from __future__ import annotations

import pytest
from bad_input import CASES, GOOD, TEXT, Case

from seqattn.cli import main


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_bad_input_is_one_line_and_nothing_is_written(case, tmp_path, capsys):
    if "parquet" in str(case.changes.get("path")):
        pytest.importorskip("pyarrow", exc_type=ImportError)
    arguments = case.write(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
    out, error = capsys.readouterr()
    assert error.count("\n") == 1 and error.startswith("seqattn: ") and len(error) < 1000
    assert all(part in error for part in (str(tmp_path), *case.says)), error
    assert not out
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_titles_are_of_one_case_each():
    assert len({case.title for case in CASES}) == len(CASES) >= 60


def test_without_its_fault_the_log_is_prepared(tmp_path, capsys):
    arguments = Case("nothing wrong", (), TEXT, dict(GOOD)).write(tmp_path)
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "dataset.json").exists()


def test_a_row_of_the_page_has_the_case_and_what_is_said(monkeypatch):
    from tools import bad_input_page

    monkeypatch.setattr(bad_input_page.bad_input, "SECTIONS", {"Logs": CASES[:1]})
    monkeypatch.setattr(bad_input_page.bad_commands, "SECTIONS", {})
    monkeypatch.setattr(bad_input_page.bad_commands, "prepared", lambda folder: None)
    *_, row, _ = bad_input_page.page().split("\n")
    assert row.startswith("| ") and "| ``` " in row and row.endswith(" ``` |")
