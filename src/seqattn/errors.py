"""The one error users of seqattn meet."""

from __future__ import annotations


class SeqattnError(ValueError):
    """An input or a setting that cannot be used; the message names it and the fix."""


class DivergedError(SeqattnError):
    """Training gave numbers that are not finite; other settings may not."""
