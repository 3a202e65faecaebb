"""Where raw files are: a local mirror, the cache, RecBole's wheel, else the web."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from seqattn.data.archives import extract
from seqattn.data.download import download, verify
from seqattn.data.entry import Entry
from seqattn.errors import SeqattnError

__all__ = ["Source", "cache_folder", "data_folder", "find", "how_to_get", "locate", "status"]


@dataclass(frozen=True)
class Source:
    """Files found for a dataset.

    Attributes
    ----------
    kind : str
        ``"official"``, or ``"mirror"`` for a ``<name>.csv.gz``, or ``"inter"`` for the
        copy in RecBole's wheel.
    place : str
        ``"mirror"``, ``"cache"`` or ``"recbole"``.
    paths : tuple of Path
        The files, or the one archive that holds them.
    """

    kind: str
    place: str
    paths: tuple[Path, ...]


def find(entry: Entry) -> Source | None:
    """Return a dataset's files if they are on this machine, else None.

    The mirror ``$SEQATTN_DATA`` comes first, with official file names or ``<name>.csv.gz``, then
    the cache, then RecBole's wheel, which brings ML-100K and is located, never imported.

    Raises
    ------
    SeqattnError
        ``$SEQATTN_DATA`` is not a folder.
    """
    mirror = data_folder()
    if mirror is not None:
        if found := _official(entry, mirror):
            return Source("official", "mirror", found)
        if (path := mirror / f"{entry.name}.csv.gz").is_file():
            return Source("mirror", "mirror", (path,))
    if found := _official(entry, cache_folder()):
        return Source("official", "cache", found)
    if entry.name == "ml-100k" and (path := _recbole_file("dataset_example/ml-100k/ml-100k.inter")):
        return Source("inter", "recbole", (path,))
    return None


def status(entry: Entry) -> tuple[str, Entry]:
    """Return where a dataset is, and its entry as it applies to the files there.

    The place is "generated", "missing", "cached", "present (mirror)" or "present (recbole)".

    Raises
    ------
    SeqattnError
        ``$SEQATTN_DATA`` is not a folder.
    """
    if entry.name == "synthetic":
        return "generated", entry
    source = find(entry)
    if source is None:
        return "missing", entry
    place = "cached" if source.place == "cache" else f"present ({source.place})"
    return place, entry.mirrored() if source.kind == "mirror" else entry


def locate(entry: Entry) -> Source:
    """Return a dataset's files, downloaded into the cache if need be; archives are unpacked.

    Raises
    ------
    SeqattnError
        There is no direct link, the download fails, or a file does not have its checksum.
    """
    source = find(entry)
    if source is None:
        if entry.url is None:
            raise SeqattnError(f"{entry.name}: not on this machine, and {how_to_get(entry)}")
        path = download(entry.url, cache_folder() / _basename(entry), sha256=entry.sha256)
        source = Source("official", "cache", (path,))
    elif source.place == "cache" and source.paths[0].name == _basename(entry):
        verify(source.paths[0], entry.sha256)
    if source.kind == "official" and _is_archive(source.paths[0]):
        paths = extract(source.paths[0], entry.files, cache_folder() / _stem(entry))
        source = Source(source.kind, source.place, paths)
    return source


def how_to_get(entry: Entry) -> str:
    """Return what a user must do for a dataset's files, as the end of a sentence."""
    if entry.name == "synthetic":
        return "it is generated"
    if entry.url is not None:
        return f"`seqattn prepare {entry.name}` downloads {entry.url} into {cache_folder()}"
    where = f" from {entry.homepage}" if entry.homepage else ""
    return (
        f"there is no direct link: get the data{where} and put {entry.name}.csv.gz, with the "
        "columns user, item, intensity and timestamp, into the folder that SEQATTN_DATA names"
    )


def cache_folder() -> Path:
    """Return ``$SEQATTN_CACHE``, else ``~/.cache/seqattn``; it may not exist yet."""
    return Path(os.environ.get("SEQATTN_CACHE") or "~/.cache/seqattn").expanduser()


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


def _official(entry: Entry, folder: Path) -> tuple[Path, ...]:
    """Return an entry's files in a folder, at the places an unpacked archive may have, or it."""
    bare = [PurePosixPath(name).name for name in entry.files]
    roots = [folder] if entry.url is None else [folder, folder / _stem(entry)]
    for root in roots:
        for names in (entry.files, bare):
            paths = tuple(root / name for name in names)
            if paths and all(path.is_file() for path in paths):
                return paths
    if entry.url is not None and (path := folder / _basename(entry)).is_file():
        return (path,)
    return ()


def _basename(entry: Entry) -> str:
    return PurePosixPath(entry.url or "").name


def _is_archive(path: Path) -> bool:
    return path.suffix == ".zip"


def _stem(entry: Entry) -> str:
    return PurePosixPath(_basename(entry)).stem


def _recbole_file(relative: str) -> Path | None:
    """Return a file of RecBole's wheel; finding a top-level package does not import it."""
    spec = find_spec("recbole")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(location) / relative).is_file():
            return path
    return None
