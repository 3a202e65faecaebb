"""The one error users of seqattn meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST = 1500


class SeqattnError(ValueError):
    """An input or a setting that cannot be used; the message names it and the fix."""

    def __str__(self) -> str:
        """Return the message; of a very long one its beginning, and its end with the fix."""
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-300:]}"


class DivergedError(SeqattnError):
    """Training gave numbers that are not finite; other settings may not."""


@contextmanager
def about(where: object) -> Iterator[None]:
    """Say which file an error inside is about: its message begins with the file's name."""
    try:
        yield
    except SeqattnError as error:
        raise SeqattnError(f"{where}: {error}") from None
