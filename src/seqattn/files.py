"""Text files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from seqattn.errors import SeqattnError

__all__ = ["write_text"]


def write_text(path: str | Path, text: str) -> Path:
    """Write beside the target and rename, so that no reader ever sees half a file.

    Raises
    ------
    SeqattnError
        The folder cannot be made or written.
    """
    path, partial = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(partial, 0o644)  # mkstemp's files are private
        os.replace(partial, path)
    except OSError as error:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
        raise SeqattnError(
            f"cannot write {path}: {error.strerror}; make room or choose another folder"
        ) from error
    return path
