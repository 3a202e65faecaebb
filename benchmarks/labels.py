"""What the Performance page calls the training modes: a mode is a stride, and is named by it.

The records keep the names that the benchmarks gave, some of them before strides were compared.
"""

from __future__ import annotations

import re
from typing import Any

# Phrases first, then words; all at L = 50 but where another length is said.
_SHOWN = (
    (r"packed, L = 200", "stride 200, L = 200"),
    (r"not by 1, exact", "not by 1"),
    (r"by L \(packed\)", "by 50"),
    (r"in exact mode", "with stride 1"),
    (r"\bpacked\b", "stride 50"),
    (r"\bdense\b", "stride 10"),
    (r"\bexact\b", "stride 1"),
    (r"^long\b", "L = 200, stride 200"),  # a contestant, not the length of anything
)


def shown(value: Any) -> Any:
    """Return a record, or a part of one, with every mode named by its stride, in keys too."""
    if isinstance(value, dict):
        return {shown(key): shown(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shown(part) for part in value]
    if isinstance(value, str):
        for pattern, label in _SHOWN:
            value = re.sub(pattern, label, value)
    return value
