"""Recompute a referee's claims about this book, into ``results/referee/claims.csv``.

The claims are data, ``results/published/referee_claims.csv``; our numbers are those of
`recomputed` and `recomputed_fits`, from the study "replication" and the tables of others.

    python tools/referee_claims.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import recomputed
import recomputed_fits
from recomputed import Facts, Number

from seqattn.files import ROOT, write_text
from seqattn.studies.plan import Group, read, wanted
from seqattn.studies.referee import NO, NOT_RUN, YES
from seqattn.studies.study import read_study

OURS = recomputed.OURS | recomputed_fits.OURS
CLAIMS = ROOT / "results" / "published" / "referee_claims.csv"
_PARTS = ("value", "low", "high")


def claims(groups: Sequence[Group]) -> pd.DataFrame:
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


def main() -> None:
    """Write the table."""
    replication = read_study("replication")
    found = claims(read(wanted(replication), *replication.stores))
    write_text(read_study("referee").path("claims"), found.to_csv(index=False))


if __name__ == "__main__":
    main()
