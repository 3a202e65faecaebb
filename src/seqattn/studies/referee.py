"""A referee's claims about this book as a page shows them: theirs, ours, and whether both agree.

`tools/referee_claims.py` recomputes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

YES, NO, NOT_RUN = "yes", "no", "not run"
PARTS = {
    "0": "The five findings and the pools",
    "1": "What was verified",
    "1.1": "Intervals with seeds",
    "1.3": "Rules and chance",
    "1.4": "Six points",
    "1.5": "Sparsity",
    "1.6": "One seed of SASRec",
    "1.7": "A broken import",
    "1.8": "The luck of a search",
    "1.10": "Normalisations",
    "5": "What would make this the reference",
}


def by_part(found: pd.DataFrame) -> pd.DataFrame:
    """Return how many claims agree, do not, or were not run: one row per part of the review.

    A claim in two parts counts in its first.
    """
    first = found["section"].str.split(" ").str[0]
    part = first.where(~first.str.startswith("0."), "0").map(PARTS)
    counts = pd.crosstab(part, found["agrees"])
    order = [name for name in PARTS.values() if name in counts.index]
    return counts.reindex(index=order, columns=[YES, NO, NOT_RUN], fill_value=0)


def claims_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return claims as text, theirs beside ours, both with the digits that theirs has."""
    rows = []
    for row in found.to_dict("records"):
        theirs = [row["theirs"], row["theirs_low"], row["theirs_high"]]
        ours = [row["ours"], row["ours_low"], row["ours_high"]]
        ours = [b if pd.notna(a) else np.nan for a, b in zip(theirs, ours, strict=True)]
        digits = max((_digits(part) for part in theirs if pd.notna(part)), default=0)
        rows.append(
            {
                "section": row["section"],
                "claim": row["statement"],
                "theirs": _text(theirs, digits),
                "ours": NOT_RUN if row["agrees"] == NOT_RUN else _text(ours, digits),
                "agrees": row["agrees"],
                "reason": row["reason"] if isinstance(row["reason"], str) else "",
            }
        )
    return pd.DataFrame(rows)


def _digits(number: float) -> int:
    return len(f"{number:.10f}".rstrip("0").split(".")[1])


def _text(parts: Sequence[float], digits: int) -> str:
    value, low, high = ("" if pd.isna(part) else f"{part:,.{digits}f}" for part in parts)
    if low and value:
        return f"{value} [{low}, {high}]"
    return value or (f"{low} to {high}" if low else "")
