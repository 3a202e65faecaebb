"""Where raw files are: a local mirror, the cache, RecBole's wheel, else the web.

:func:`locate` finds them; :func:`download` fetches and :func:`extract` unpacks what is not there.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import ssl
import stat
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath, PureWindowsPath

from filelock import FileLock
from tqdm import tqdm

from seqattn.data.entry import Entry
from seqattn.errors import SeqattnError

_ATTEMPTS = 4
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 20  # bytes
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP errors worth another attempt
_LOST = (
    *(urllib.error.URLError, http.client.HTTPException),
    *(ConnectionError, TimeoutError, ssl.SSLError),
)


def download(url: str, target: Path, *, sha256: str | None = None, pause: float = 1.0) -> Path:
    """Fetch a file, unless it is there already.

    Bytes go to ``<target>.part``, which a later attempt or process continues. The complete file
    is checked against `sha256` and renamed. Without a published checksum the one of the first
    download is kept in ``<target>.sha256``, and a later download must agree with it.

    Parameters
    ----------
    url : str
        Address of the file.
    target : Path
        Where it goes; its folder is made.
    sha256 : str, optional
        Published checksum, in hex.
    pause : float
        Seconds before the second attempt, doubled before each later one.

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
                _fetch_with_retries(url, part, target, pause)
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


def verify(path: Path, sha256: str | None = None) -> None:
    """Refuse a cached file whose checksum is not the published or the first recorded one.

    Raises
    ------
    SeqattnError
        The file was altered or damaged since its download.
    """
    _check(path, path, sha256, str(path))


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _check(path: Path, target: Path, published: str | None, what: str) -> None:
    """Compare with the published or recorded checksum; record the first one met."""
    record = target.with_name(f"{target.name}.sha256")
    found = sha256_of(path)
    expected = published or (record.read_text().split()[0] if record.is_file() else None)
    if expected is None:
        # `sha256sum -c` reads this line.
        record.write_text(f"{found}  {target.name}\n")
    elif found != expected:
        advice = "" if published else f"; if it was published anew, delete {record} as well"
        raise SeqattnError(
            f"{what}: SHA-256 {found} where {expected} is expected; the file is damaged or "
            f"altered: delete it and get it again{advice}"
        )


def _fetch_with_retries(url: str, part: Path, target: Path, pause: float) -> None:
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
            time.sleep(pause * 2**attempt)
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
        # Nothing after what we have: complete, or a remainder of another file.
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        part.unlink()
        raise ConnectionError("the part kept from before does not fit the file") from error
    with response:
        # A server that ignores the range sends everything.
        resumed = response.status == 206 and _starts_at(response, have)
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        bar = tqdm(
            total=total,
            initial=have,
            unit="B",
            unit_scale=True,
            desc=part.stem,
            disable=not sys.stderr.isatty(),
        )
        with bar, part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        if total is not None and part.stat().st_size != total:
            raise ConnectionError(
                f"the transfer ended after {part.stat().st_size} of {total} bytes"
            )


def _starts_at(response: http.client.HTTPResponse, first: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {first}-")


def extract(archive: Path, members: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Extract some members of a ZIP archive into a folder, all of them or none.

    Parameters
    ----------
    archive : Path
        The archive.
    members : sequence of str
        Names inside the archive.
    folder : Path
        Made when missing; members keep their path below it.

    Returns
    -------
    tuple of Path
        The extracted files, in the order of `members`.

    Raises
    ------
    SeqattnError
        The archive is damaged, lacks a member, or holds *any* member that is a link or whose
        path leads out of the folder; or the disk is full. Nothing is written then.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        with zipfile.ZipFile(archive) as opened:
            _refuse_escapes(archive, opened)
            _refuse_absent(archive, opened, members)
            for member in members:
                _copy(opened, member, partial / member)
        for member in members:
            (folder / member).parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial / member, folder / member)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise SeqattnError(f"{archive}: damaged archive ({error}); get it again") from error
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return tuple(folder / member for member in members)


def _copy(opened: zipfile.ZipFile, member: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)


def _refuse_escapes(archive: Path, opened: zipfile.ZipFile) -> None:
    for info in opened.infolist():
        name = info.filename
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        leads_out = posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts)
        if leads_out or stat.S_ISLNK(info.external_attr >> 16):
            raise SeqattnError(
                f"{archive}: member {name!r} is a link or leads out of the archive's folder; this "
                "is not the official archive: delete it and get it again"
            )


def _refuse_absent(archive: Path, opened: zipfile.ZipFile, members: Sequence[str]) -> None:
    present = set(opened.namelist())
    for member in members:
        if member not in present:
            raise SeqattnError(
                f"{archive}: holds no {member!r}; this is not the official archive: delete it and "
                "get it again"
            )


def _cannot_write(folder: Path, error: OSError) -> SeqattnError:
    return SeqattnError(
        f"cannot extract into {folder}: {error.strerror or error}; make room or set SEQATTN_CACHE "
        "to a folder on another disk"
    )


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
