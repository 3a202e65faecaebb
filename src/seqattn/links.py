"""Links between notebooks, where some of them were left out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

_LINK = re.compile(r"(?m)(^Next: )?\[([^\]]+)\]\((\w+)\.ipynb\)")


def relink(text: str, notebooks: Sequence[str], present: Sequence[str], folder: Path) -> str:
    """Return Markdown whose links to notebooks lead to those `present`; a dead one stops a build.

    A line that starts with "Next:" leads to the next one there is; other links keep their words.

    Parameters
    ----------
    text : str
        Markdown of a notebook.
    notebooks, present : sequence of str
        Names of all notebooks, in order, and of those that were run.
    folder : Path
        Where the templates are, for their titles.
    """

    def replaced(link: re.Match[str]) -> str:
        following, words, name = link.groups()
        if name not in notebooks or name in present:
            return link[0]
        if not following:
            return words
        later = [n for n in notebooks[notebooks.index(name) :] if n in present]
        if not later:
            return "Next: the [start](../../index.md)"
        return f"Next: [{_title(folder / f'{later[0]}.ipynb')}]({later[0]}.ipynb)"

    return _LINK.sub(replaced, text)


def _title(notebook: Path) -> str:
    first = "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"])
    return first.splitlines()[0].lstrip("# ")
