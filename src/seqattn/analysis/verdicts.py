"""Why a comparison is robust or not, in words."""

from __future__ import annotations

from seqattn.stats import DualCriterion


def p_text(p: float) -> str:
    """Return a p-value as prose has it: "p = 0.031", or "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def criteria(record: DualCriterion) -> dict[str, tuple[bool, str]]:
    """Return whether each part of the published rule holds, and the numbers it rests on.

    Keys ``(i)``, ``(ii)`` and ``(iii)``, see `seqattn.stats.dual_criterion`.
    """
    agreeing = record.seeds_positive if record.direction > 0 else record.seeds_negative
    return {
        "(i)": (record.t_p_value < record.alpha, p_text(record.t_p_value)),
        "(ii)": (record.pooled_p_value < record.alpha, p_text(record.pooled_p_value)),
        "(iii)": (
            record.direction != 0 and 2 * agreeing > record.n_seeds,
            f"{agreeing} of {record.n_seeds} seeds exclude zero alone",
        ),
    }


def reasons(record: DualCriterion) -> str:
    """Return a verdict with its reasons, such as "not robust: (i) passes (p = 0.010); ..."."""
    parts = criteria(record)
    told = "; ".join(
        f"{name} {'passes' if passed else 'fails'} ({numbers})"
        for name, (passed, numbers) in parts.items()
    )
    split = all(passed for passed, _ in parts.values()) and not record.robust
    told += "; but not all in one direction" if split else ""
    return f"{'robust' if record.robust else 'not robust'}: {told}"
