"""Write the appendix's list of refused inputs: every case that the tests try, and its message.

python tools/bad_input_page.py
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "book" / "appendix" / "generated" / "bad_input.md"
sys.path.insert(0, str(ROOT / "tests"))

from bad_input import SECTIONS, Case  # noqa: E402

from seqattn.book.reports import plain  # noqa: E402
from seqattn.cli import main  # noqa: E402
from seqattn.files import write_text  # noqa: E402


def message(case: Case) -> str:
    """Return what `seqattn prepare` says of a case; folders are left out."""
    with tempfile.TemporaryDirectory() as folder:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = main([*case.write(Path(folder)), "--output", f"{folder}/out"])
        if code != 2:
            raise SystemExit(f"{case.title}: exit code {code} where 2 is expected")
        return said.getvalue().replace(f"{folder}/", "").removeprefix("seqattn: ").strip()


def as_code(text: str) -> str:
    """Return a message as code of a table's cell, quotes and all as they are."""
    return "``` " + text.replace("|", "\\|") + " ```"


def page() -> str:
    """Return the tables, one a section."""
    lines = []
    for title, cases in SECTIONS.items():
        lines += [f"## {title}", "", "| What is wrong | What is said |", "|---|---|"]
        lines += [f"| {plain(case.title)} | {as_code(message(case))} |" for case in cases]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    write_text(OUTPUT, page())
