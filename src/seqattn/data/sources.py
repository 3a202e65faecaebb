"""Where raw files are: a local mirror, the cache, RecBole's wheel."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from seqattn.data.entry import Entry
from seqattn.errors import SeqattnError

__all__ = ["Source", "data_folder", "find"]


@dataclass(frozen=True)
class Source:
    """Files found for a dataset.

    Attributes
    ----------
    kind : str
        ``"mirror"``, the project's ``<name>.csv.gz``; ``"official"``; or ``"recbole"``.
    paths : tuple of Path
        The files.
    """

    kind: str
    paths: tuple[Path, ...]


def find(entry: Entry) -> Source | None:
    """Return a dataset's files if they are on this machine, else None.

    Raises
    ------
    SeqattnError
        ``$SEQATTN_DATA`` is not a folder.
    """
    folder = data_folder()
    if folder is not None:
        found = official_files(entry, folder)
        if found:
            return Source("official", found)
        if (path := folder / f"{entry.name}.csv.gz").is_file():
            return Source("mirror", (path,))
    if entry.name == "ml-100k" and (path := _recbole_file("dataset_example/ml-100k/ml-100k.inter")):
        return Source("recbole", (path,))
    return None


def official_files(entry: Entry, folder: Path) -> tuple[Path, ...]:
    """Return an entry's official files in a folder, with or without the archive's own folder."""
    for strip in (False, True):
        paths = tuple(folder / (Path(name).name if strip else name) for name in entry.files)
        if paths and all(path.is_file() for path in paths):
            return paths
    return ()


def data_folder() -> Path | None:
    """Return the local mirror named by ``$SEQATTN_DATA``, if any.

    Raises
    ------
    SeqattnError
        It is not a folder.
    """
    value = os.environ.get("SEQATTN_DATA")
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise SeqattnError(
            f"SEQATTN_DATA={value} is not a folder; set it to the folder with your data files, or "
            "unset it"
        )
    return folder


def _recbole_file(relative: str) -> Path | None:
    """Return a file of RecBole's wheel; finding a top-level package does not import it."""
    spec = find_spec("recbole")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(location) / relative).is_file():
            return path
    return None
