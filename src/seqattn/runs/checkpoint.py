"""A fit that is stopped goes on where it stood, to the same bits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seqattn.files import write_bytes
from seqattn.training.course import State


def packed(tensors: Mapping[str, Tensor], facts: dict[str, str] | None = None) -> bytes:
    """Return a safetensors file of tensors, each whole, also where two share their memory."""
    each = {name: value.contiguous().clone() for name, value in tensors.items()}
    return safetensors.torch.save(each, facts)


class Checkpoint:
    """The state of one fit in a file, written at most once in a while.

    Parameters
    ----------
    path : Path
        The file, in a folder that is there.
    about : mapping
        What the state was computed with; a file that says something else is not read, since the
        rest of the fit would not be what a whole one gives.
    every : float
        Seconds between two writes.
    """

    def __init__(self, path: Path, about: Mapping[str, str], every: float = 60.0) -> None:
        self.path, self.about, self.every = path, dict(about), every
        self._last = time.monotonic()

    def load(self) -> State | None:
        """Return the state that was kept; None if there is none, or it is damaged or another's."""
        try:
            with safe_open(self.path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        return State(tensors, facts) if facts.pop("about", None) == self.about else None

    def save(self, capture: Callable[[], State]) -> None:
        """Write what `capture` returns, whole or not at all, unless the last write is recent.

        Raises
        ------
        SeqattnError
            It cannot be written.
        """
        if time.monotonic() - self._last < self.every:
            return
        state = capture()
        facts = json.dumps({**state.facts, "about": self.about})
        write_bytes(self.path, packed(state.tensors, {"facts": facts}))
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
