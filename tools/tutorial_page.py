"""Run the tutorial as it stands: its files are written, its commands run, their outputs kept.

The page's ``yaml`` blocks begin with a comment that names the file; its ``bash`` blocks hold
commands. Their outputs are what the page includes, ``generated/tutorial/1.md`` and so on.

python tools/tutorial_page.py
python tools/tutorial_page.py plays.csv  # the log alone, to type along
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.data import synthetic_log
from seqattn.files import write_text

APPENDIX = Path(__file__).resolve().parents[1] / "book" / "appendix"
BLOCK = re.compile(r"```(yaml|bash)\n(.*?)```", re.DOTALL)
WIDTH = 76  # characters of a line of output that fit on the page


def write_log(path: Path) -> None:
    """Write a log as programs export them: sessions, decimal commas, microseconds, blanks."""
    log = synthetic_log().frame
    rng = np.random.default_rng(0)
    # Two sessions of one title: the first took a third of the time, an hour earlier.
    twice = log[rng.random(len(log)) < 0.2]
    early = twice.assign(intensity=twice["intensity"] / 3, timestamp=twice["timestamp"] - 3600)
    rows = pd.concat([log, early]).sort_values("timestamp", kind="stable")
    hours = (rows["intensity"] / 60).map("{:.2f}".format).str.replace(".", ",")
    lost = rng.random(len(rows)) < 0.01
    table = pd.DataFrame(
        {
            "when": (rows["timestamp"] * 1_000_000).astype("int64"),
            "player": rows["user"].map("P{:04d}".format),
            "title": rows["item"].map("{:03d}".format),
            "hours": hours.where(~lost, "NULL"),
        }
    )
    path.write_text("\ufeff" + table.to_csv(index=False, sep=";"), encoding="utf-8")


def run(command: str, folder: Path) -> str:
    """Return what a command prints, the folder left out and its sentences wrapped."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SEQATTN_RESULTS": str(folder / "results"),
    }
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    lines = done.stdout.replace(f"{folder}/", "").splitlines()
    return "\n".join(
        textwrap.fill(line, WIDTH, subsequent_indent=" " * 7)
        if line.startswith(("red", "amber"))
        else line
        for line in lines
    )


def main() -> None:
    """Run the page and write the outputs of its commands; with a path, write the log there."""
    if sys.argv[1:]:
        write_log(Path(sys.argv[1]))
        return
    page = (APPENDIX / "tutorial.md").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder, number = Path(name).resolve(), 0
        write_log(folder / "plays.csv")
        for kind, text in BLOCK.findall(page):
            if kind == "yaml":
                file = re.match(r"# (\S+)\n", text)[1]
                (folder / file).write_text(text, encoding="utf-8")
                continue
            number += 1
            output = run(text, folder)
            write_text(APPENDIX / f"generated/tutorial/{number}.md", f"```text\n{output}\n```\n")


if __name__ == "__main__":
    main()
