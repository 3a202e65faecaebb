"""Where things lie, text files that appear whole or not at all, and records that expose edits."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqattn.errors import SeqattnError


def write_text(path: str | Path, text: str) -> Path:
    """Write text as `write_bytes` does."""
    return write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write beside the target and rename, so that no reader ever sees half a file.

    A link stays, and the file it leads to is replaced; what is no file, such as a pipe, and what
    is open already, such as ``/dev/stdout``, is written to.

    Raises
    ------
    SeqattnError
        The folder cannot be made or written.
    """
    path, partial = Path(path), None
    try:
        if (number := _open_file(path)) is not None:
            _write_open(number, data)
            return path
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(data)
            return path
        path = path.resolve() if path.is_symlink() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(partial, 0o644)  # mkstemp's files are private
        os.replace(partial, path)
    except OSError as error:
        raise SeqattnError(
            f"cannot write {path}: {error.strerror}; make room or choose another folder"
        ) from error
    finally:  # also where a reader's Ctrl-C stops the writing
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
    return path


def _open_file(path: Path) -> int | None:
    """Return the number of the file of this process that a path such as ``/dev/stdout`` names.

    The shell may have led it to a file on disk, which is not to be replaced while it is open.
    """
    if not path.exists():  # nor is a link that leads to itself
        return None
    own = {Path("/dev/fd").resolve(), Path("/proc/self/fd").resolve()}
    while True:
        folder = path.parent.resolve()
        if folder in own and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = folder / path.readlink()


def _write_open(number: int, data: bytes) -> None:
    """Write to an open file where it stands: at the end, or behind what was printed before."""
    if sys.stdout is not None:
        sys.stdout.flush()
    with os.fdopen(os.dup(number), "wb") as file:
        file.write(data)


ABANDONED = 3600.0  # seconds after which nobody is writing a part any more


def _remove_leftovers(path: Path) -> None:
    """Remove what a killed process left of the same file."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with contextlib.suppress(FileNotFoundError):  # another process's, renamed since
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def require_file(path: Path, fix: str = "check the path", *, pipes: bool = False) -> None:
    """Refuse what cannot be opened as a file.

    Parameters
    ----------
    fix : str, optional
        What mends a path at which there is nothing.
    pipes : bool, optional
        Whether a pipe will do, which can be read once only.

    Raises
    ------
    SeqattnError
        There is nothing, a folder or, unless allowed, a pipe; or it may not be read.
    """
    try:
        mode = path.stat().st_mode
    except PermissionError:
        raise _forbidden(path) from None  # a folder above it
    except (OSError, ValueError):  # the latter of a path that holds NUL
        raise SeqattnError(f"{path}: no such file; {fix}") from None
    if stat.S_ISDIR(mode):
        raise SeqattnError(f"{path}: is a folder; name a file")
    if not (pipes or stat.S_ISREG(mode)):
        raise SeqattnError(f"{path}: is no file but a pipe or a device; save it as a file")
    if not os.access(path, os.R_OK):
        raise _forbidden(path)


def _forbidden(path: Path) -> SeqattnError:
    return SeqattnError(f"{path}: may not be read; ask its owner for the permission, or copy it")


def checksum(facts: Mapping[str, Any]) -> str:
    """Hash all entries but ``checksum``, whatever their order."""
    rest = {key: value for key, value in facts.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def write_record(folder: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Write facts as ``<folder>/<name>``, with checksums of them and of the files beside it."""
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    facts = {**facts, "files": files}
    facts["checksum"] = checksum(facts)
    (folder / name).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """Return what `write_record` wrote, or None if it or a file beside it is missing or edited.

    Raises
    ------
    SeqattnError
        A file is there and may not be read: what it holds is not known, and no run is missing.
    """
    try:
        facts = json.loads((folder / name).read_text(encoding="utf-8"))
        intact = facts["checksum"] == checksum(facts) and all(
            _sha256(folder / file) == digest for file, digest in facts["files"].items()
        )
    except PermissionError as error:
        raise SeqattnError(
            f"cannot read {error.filename}: {error.strerror}; ask its owner, or choose another "
            "folder"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return facts if intact else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


ROOT = Path(__file__).resolve().parents[2]


def results_folder(name: str) -> Path:
    """Return the store's folder; an empty name means ``.seqattn/results`` in the checkout.

    The variable ``SEQATTN_RESULTS``, where it is set and not empty, names another default.
    """
    name = name or os.environ.get("SEQATTN_RESULTS", "")
    return Path(name).expanduser() if name else ROOT / ".seqattn" / "results"


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises
    ------
    SeqattnError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeqattnError(
            f"cannot make the folder {path}: {error.strerror}; choose another"
        ) from error


def as_markdown(text: str) -> str:
    """Return Markdown that shows a text of a user's, in one line, and does nothing else.

    CommonMark shows punctuation behind a backslash as it is, so that no role, directive, formula,
    link, HTML or substitution begins. Angle brackets become single quotation marks that look like
    them: a heading also is the page's title, which themes and search put into HTML as it is.
    """
    text = text.translate({ord("<"): "\u2039", ord(">"): "\u203a"})
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
