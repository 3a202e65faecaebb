"""What every statistical record can do: become plain values."""

from __future__ import annotations

import dataclasses
import math
from typing import Any


class Record:
    """Base of the frozen result dataclasses."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain Python values, ready for JSON.

        Tuples become lists. NaN and infinities become None, because JSON has neither.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: _plain(getattr(self, field.name)) for field in fields}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
