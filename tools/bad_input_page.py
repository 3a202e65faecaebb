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

import bad_commands  # noqa: E402
import bad_input  # noqa: E402

from seqattn.cli import main  # noqa: E402
from seqattn.files import as_markdown, write_text  # noqa: E402


def of_log(case: bad_input.Case) -> str:
    """Return what `seqattn prepare` says of a case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return message(case.title, [*case.write(folder), "--output", f"{folder}/out"], folder)


def of_command(good: Path, case: bad_commands.Asked) -> str:
    """Return what a command says of a case, asked in a copy of a folder of `prepared`."""
    with tempfile.TemporaryDirectory() as name:
        folder = bad_commands.copied(good, Path(name) / "here")
        return message(case.title, case.arguments(folder), folder)


def message(title: str, arguments: list[str], folder: Path) -> str:
    """Return what a command says of arguments that it refuses; the folder is left out."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    if code != 2:
        raise SystemExit(f"{title}: exit code {code} where 2 is expected")
    told = said.getvalue().replace(f"{folder}/", "").replace(str(folder), "here")
    return told.removeprefix("seqattn: ").strip()


def as_code(text: str) -> str:
    """Return a message as code of a table's cell, quotes and all as they are."""
    return "``` " + text.replace("|", "\\|") + " ```"


def page() -> str:
    """Return the tables, one a section."""
    lines = []
    with tempfile.TemporaryDirectory() as good:
        bad_commands.prepared(Path(good))
        told = {title: map(of_log, cases) for title, cases in bad_input.SECTIONS.items()}
        for title, cases in bad_commands.SECTIONS.items():
            told[title] = (of_command(Path(good), case) for case in cases)
        for title, cases in (bad_input.SECTIONS | bad_commands.SECTIONS).items():
            lines += [f"## {title}", "", "| What is wrong | What is said |", "|---|---|"]
            rows = zip(cases, told[title], strict=True)
            lines += [f"| {as_markdown(case.title)} | {as_code(said)} |" for case, said in rows]
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    write_text(OUTPUT, page())
