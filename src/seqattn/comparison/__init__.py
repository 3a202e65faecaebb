"""A campaign as tables, beside what [IA] printed, and what that says of its conclusions."""

from seqattn.comparison.agreement import FALLS, OPEN, STANDS, Outcome, agreement
from seqattn.comparison.backbones import sasrec_on_backbones
from seqattn.comparison.cells import ALPHA, MARGIN_PERCENT, N_RESAMPLES, corrected, grid, judged
from seqattn.comparison.conclusions import CONCLUSIONS, Conclusion, Evidence, evidence
from seqattn.comparison.tables import Campaign, absolute, command, learned, read, trials_asked
from seqattn.comparison.ties import untied

__all__ = [
    "ALPHA",
    "CONCLUSIONS",
    "FALLS",
    "MARGIN_PERCENT",
    "N_RESAMPLES",
    "OPEN",
    "STANDS",
    "Campaign",
    "Conclusion",
    "Evidence",
    "Outcome",
    "absolute",
    "agreement",
    "command",
    "corrected",
    "evidence",
    "grid",
    "judged",
    "learned",
    "read",
    "sasrec_on_backbones",
    "trials_asked",
    "untied",
]
