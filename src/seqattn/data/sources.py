"""Where raw files are: a local mirror, the cache, RecBole's wheel, else the web.

A log of `GENERATED` has none.

:func:`opened` gives them; :func:`download` fetches and :func:`extract` unpacks what is not there.
"""

from __future__ import annotations

import hashlib
import http.client
import lzma
import os
import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from filelock import FileLock
from tqdm import tqdm

from seqattn.data.entry import CATALOGUE, Entry
from seqattn.data.held import held_log
from seqattn.data.interactions import Interactions
from seqattn.data.synthetic import synthetic_log
from seqattn.errors import SeqattnError
from seqattn.files import write_text

GENERATED: Mapping[str, Callable[[], Interactions]] = {
    "synthetic": synthetic_log,
    "synthetic-held": held_log,
}
_OF_RECBOLE = "dataset_example/ml-100k/ml-100k.inter"
_ATTEMPTS = 4
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 20  # bytes
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP errors worth another attempt
_DAMAGED = (
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,  # encrypted, or of an unknown method
)
_LOST = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


def download(url: str, target: Path, *, sha256: str | None = None) -> Path:
    """Fetch a file, unless it is there already.

    Bytes go to ``<target>.part``, which a later attempt or process continues. The complete file
    is checked against `sha256`, in hex, and renamed. Without a published checksum the one of the
    first download is kept in ``<target>.sha256``, and a later download must agree with it.

    Raises
    ------
    SeqattnError
        The server cannot be reached or refuses, the file has another checksum, or the disk is
        full. The message names the address, the folder, and how to do without the network.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not target.is_file():
                part = target.with_name(f"{target.name}.part")
                _fetch_with_retries(url, part, target)
                try:
                    _check(part, target, sha256, f"{url} as downloaded")
                except SeqattnError:
                    part.unlink()
                    raise
                os.replace(part, target)
    except OSError as error:
        raise SeqattnError(
            f"cannot write {target}: {error.strerror or error}; make room or set SEQATTN_CACHE to "
            "a folder on another disk"
        ) from error
    return target


def _check(path: Path, target: Path, published: str | None, what: str) -> None:
    """Compare with the published or recorded checksum; record the first one met."""
    record = target.with_name(f"{target.name}.sha256")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    recorded = record.read_text().split() if record.is_file() else []  # empty: a write was cut off
    expected = published or (recorded[0] if recorded else None)
    if expected is None:
        # `sha256sum -c` reads this line.
        write_text(record, f"{found}  {target.name}\n")
    elif found != expected:
        advice = "" if published else f"; if it was published anew, delete {record} as well"
        raise SeqattnError(
            f"{what}: SHA-256 {found} where {expected} is expected; the file is damaged or "
            f"altered: delete it and get it again{advice}"
        )


def _fetch_with_retries(url: str, part: Path, target: Path) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            return _fetch(url, part)
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code} {error.reason}"
            if error.code not in _PASSING:
                break
        except _LOST as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        if attempt + 1 < _ATTEMPTS:
            time.sleep(2.0**attempt)
    raise SeqattnError(
        f"cannot download {url} ({problem}). Without a network: get that file on another machine "
        f"and put it into {target.parent}, or into the folder that SEQATTN_DATA names"
    )


def _fetch(url: str, part: Path) -> None:
    """Append what is missing of a file; raise ConnectionError if the transfer ends early."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "seqattn"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        part.unlink()  # nothing comes after what we have: it is of another file, or complete
        raise ConnectionError("the part kept from before does not fit the file") from error
    with response:
        # A server that ignores the range sends everything.
        place = response.headers.get("Content-Range", "")
        resumed = response.status == 206 and place.startswith(f"bytes {have}-")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm.wrapattr(file, "write", total, desc=part.stem, initial=have, disable=None) as out,
        ):
            shutil.copyfileobj(response, out, _CHUNK)
        if total is not None and part.stat().st_size != total:
            raise ConnectionError(
                f"the transfer ended after {part.stat().st_size} of {total} bytes"
            )


def extract(archive: Path, members: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Extract some members of a ZIP archive into a folder, by their names inside it.

    Only these are touched, and `zipfile` leads none of them out of the folder.

    Raises
    ------
    SeqattnError
        The archive is damaged or lacks a member, or the disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return tuple(Path(opened.extract(member, folder)) for member in members)
    except KeyError as error:
        raise SeqattnError(
            f"{archive}: {error.args[0]}; this is not the official archive: delete it and get it "
            "again"
        ) from None
    except _DAMAGED as error:
        raise SeqattnError(f"{archive}: damaged archive ({error}); get it again") from error
    except OSError as error:
        raise SeqattnError(
            f"cannot extract into {folder}: {error.strerror or error}; make room or set TMPDIR to "
            "a folder on another disk"
        ) from error


@dataclass(frozen=True)
class Source:
    """Files found for a dataset.

    Attributes
    ----------
    kind : str
        ``"official"``, ``"mirror"`` (a ``<name>.csv.gz``) or ``"inter"`` (RecBole's copy).
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
    the cache, then RecBole's wheel, which brings ML-100K and is located, never imported. Another
    form of a dataset has the files of that one.

    Raises
    ------
    SeqattnError
        ``$SEQATTN_DATA`` is not a folder.
    """
    entry = with_files(entry)
    mirror = data_folder()
    if mirror is not None:
        if found := _official(entry, mirror):
            return Source("official", "mirror", found)
        if (path := mirror / f"{entry.name}.csv.gz").is_file():
            return Source("mirror", "mirror", (path,))
    if found := _official(entry, cache_folder()):
        return Source("official", "cache", found)
    copy = None
    if entry.name == "ml-100k":
        copy = _recbole_file()
    return Source("inter", "recbole", (copy,)) if copy else None


def with_files(entry: Entry) -> Entry:
    """Return the entry whose files a dataset takes: its own, or the one that it is a form of."""
    return CATALOGUE[entry.of] if entry.of else entry


def status(entry: Entry) -> tuple[str, Entry]:
    """Return where a dataset is, and its entry as it applies to the files there.

    The place is "generated", "missing", "cached", "present (mirror)" or "present (recbole)".

    Raises
    ------
    SeqattnError
        ``$SEQATTN_DATA`` is not a folder.
    """
    if with_files(entry).name in GENERATED:
        return "generated", entry
    source = find(entry)
    if source is None:
        return "missing", entry
    place = "cached" if source.place == "cache" else f"present ({source.place})"
    return place, entry.mirrored() if source.kind == "mirror" else entry


@contextmanager
def opened(entry: Entry) -> Iterator[Source]:
    """Give a dataset's files, see `locate`; an archive is unpacked for the moment only.

    Raises
    ------
    SeqattnError
        As for `locate`, or an archive is damaged.
    """
    source = locate(entry)
    if source.kind != "official" or source.paths[0].suffix != ".zip":
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="seqattn-") as folder:
        yield replace(source, paths=extract(source.paths[0], entry.files, Path(folder)))


def locate(entry: Entry) -> Source:
    """Return a dataset's files or the archive of them, downloaded into the cache if need be.

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
    elif source.paths[0].name == _basename(entry) and (source.place == "cache" or entry.sha256):
        path = source.paths[0]
        _check(path, path, entry.sha256, str(path))  # without a published one, the cache's first
    return source


def how_to_get(entry: Entry) -> str:
    """Return what a user must do for a dataset's files, as the end of a sentence."""
    files = with_files(entry)
    if files.name in GENERATED:
        return "it is generated"
    if files.url is not None:
        return f"`seqattn prepare {entry.name}` downloads {files.url} into {cache_folder()}"
    where = f" from {files.homepage}" if files.homepage else ""
    return (
        f"there is no direct link: get the data{where} and put {files.name}.csv.gz, with the "
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
    """Return what was downloaded, in a folder, else its files at the places it may have them."""
    archive = folder / _basename(entry) if entry.url else None
    if archive and archive.is_file():
        return (archive,)
    bare = [PurePosixPath(name).name for name in entry.files]
    for root in (folder, archive.with_suffix("")) if archive else (folder,):
        for names in (entry.files, bare):
            paths = tuple(root / name for name in names)
            if paths and all(path.is_file() for path in paths):
                return paths
    return ()


def _basename(entry: Entry) -> str:
    return PurePosixPath(entry.url or "").name


def _recbole_file() -> Path | None:
    """Return ML-100K of RecBole's wheel; finding a top-level package does not import it."""
    spec = find_spec("recbole")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    paths = (Path(folder) / _OF_RECBOLE for folder in folders)
    return next(filter(Path.is_file, paths), None)
