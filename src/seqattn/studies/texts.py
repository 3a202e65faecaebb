"""Numbers as the text of a table's cell: a change with its interval, a level, a count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from seqattn.config import BACKBONES, DESIGNS
from seqattn.plots.style import name_of

NOT_RUN = "not run"
ARMS = {arm: BACKBONES[arm] for arm in DESIGNS}


def percent(value: float, stars: str = "") -> str:
    """Return a signed percentage with stars of significance; "not run" for NaN."""
    return NOT_RUN if pd.isna(value) else f"{value:+z.1f}{stars}"


def span(low: float, high: float, form: str = "+z.1f") -> str:
    """Return an interval; empty for NaN."""
    return "" if pd.isna(low) else f"[{low:{form}}, {high:{form}}]"


def estimate(value: float, low: float, high: float, form: str = "+z.1f", unit: str = "") -> str:
    """Return a value with its interval: ``+1.2 % [+0.3, +2.1]`` where the unit is `` %``."""
    return f"{value:{form}}{unit} {span(low, high, form)}"


def change(row: Mapping[str, Any], stars: str = "") -> str:
    """Return ``change [low, high]`` in percent, with "robust" behind it where it is.

    `row` has change, low, high and robust.
    """
    parts = [percent(row["change"], stars), span(row["low"], row["high"])]
    return " ".join([part for part in parts if part] + ["robust"] * is_true(row["robust"]))


def pair(mean: float, std: float) -> str:
    """Return ``mean ± std``; the mean alone where one value has no deviation; "not run" for NaN."""
    if pd.isna(mean):
        return NOT_RUN
    return f"{mean:.2f}" if pd.isna(std) else f"{mean:.2f} ± {std:.2f}"


def share(values: Iterable[object]) -> str:
    """Return how many of the values that are told are true, as ``3 of 18``."""
    told = [bool(value) for value in values if not pd.isna(value)]
    return f"{sum(told)} of {len(told)}"


def yes_no(value: object) -> str:
    """Return yes or no; empty where there is nothing to tell."""
    return "" if pd.isna(value) else "yes" if value else "no"


def cell_name(row: Any) -> str:
    """Return a comparison's name inside its dataset, such as ``Add NDCG@10``."""
    return f"{name_of(row.model)} {row.metric}@{row.k}"


def is_true(value: object) -> bool:
    """Whether a value is true; NaN, what a row that was not run has, is not."""
    return not pd.isna(value) and bool(value)


def by_title(values: pd.Series, form: str) -> str:
    """Return numbers by the title of their dataset: ``0.12 on ML-100K, 0.03 on ML-1M``."""
    told = ", ".join(f"{value:{form}} on {title}" for title, value in values.items())
    return told or NOT_RUN


def counted(counts: Mapping[Any, int]) -> str:
    """Return what was counted in words: ``2 nothing, 1 channel``; empty for none."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
