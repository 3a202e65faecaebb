"""What stands at a path, told before anybody calls a file damaged that was never opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from seqattn.errors import SeqattnError


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
