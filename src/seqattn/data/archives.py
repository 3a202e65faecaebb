"""Files out of a ZIP archive, which never writes outside its folder."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from seqattn.errors import SeqattnError

__all__ = ["extract"]


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
        shutil.copyfileobj(source, file, 1 << 20)


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
