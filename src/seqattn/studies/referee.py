"""A referee's claims about this book, each recomputed: theirs, ours, and whether both agree.

The claims are data, ``results/published/referee_claims.csv``; our numbers are those of
`seqattn.studies.recomputed` and `seqattn.studies.recomputed_fits`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from seqattn.files import ROOT
from seqattn.studies import recomputed, recomputed_fits
from seqattn.studies.plan import Group, Study
from seqattn.studies.recomputed import Facts, Number

OURS = recomputed.OURS | recomputed_fits.OURS
CLAIMS = ROOT / "results" / "published" / "referee_claims.csv"
YES, NO, NOT_RUN = "yes", "no", "not run"
_PARTS = ("value", "low", "high")


def claims(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return one row per claim, with our number beside it.

    id, section, statement, theirs, theirs_low, theirs_high, tolerance, ours, ours_low, ours_high,
    agrees (``yes``, ``no``, ``not run``) and reason: why a number was not run, or may differ.
    """
    facts = Facts(groups)
    rows = []
    for claim in read_claims().to_dict("records"):
        ours = OURS[claim["id"]](facts) if claim["id"] in OURS else None
        rows.append(judged(claim, ours))
    return pd.DataFrame(rows)


def read_claims() -> pd.DataFrame:
    """Return the claims as they are kept; texts are empty where there is none."""
    frame = pd.read_csv(CLAIMS, dtype={"section": str})
    return frame.fillna({"not_run": "", "reason": ""})


def judged(claim: Mapping[str, object], ours: Number | None) -> dict[str, object]:
    """Return a row of `claims`: a claim agrees if each of its numbers is within the tolerance."""
    row = {name: claim[name] for name in ("id", "section", "statement")}
    theirs = {part: float(str(claim[part])) for part in _PARTS}
    row |= dict(zip(("theirs", "theirs_low", "theirs_high"), theirs.values(), strict=True))
    row["tolerance"] = claim["tolerance"]
    mine = [np.nan] * 3 if ours is None else [getattr(ours, part) for part in _PARTS]
    row |= dict(zip(("ours", "ours_low", "ours_high"), mine, strict=True))
    if ours is None:
        return row | {"agrees": NOT_RUN, "reason": claim["not_run"]}
    told = [(a, b) for a, b in zip(theirs.values(), mine, strict=True) if not np.isnan(a)]
    near = all(abs(a - b) <= float(str(claim["tolerance"])) + 1e-9 for a, b in told)
    return row | {"agrees": YES if near else NO, "reason": "" if near else claim["reason"]}


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
