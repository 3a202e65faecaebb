"""One file from the web: resumed, retried, checked, and in place only when whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from seqattn.errors import SeqattnError

__all__ = ["download", "sha256_of", "verify"]

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
