"""The generated parts of the page "Calibration", from records of `seqattn.stats.calibration`.

A record is ``Calibration.to_dict()`` with five more keys: ``dataset`` (a title), ``variant`` (a
model's name), ``design``, ``metric`` (such as ``NDCG@10``) and ``cells`` (their keys).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqattn.calibration_reading import (
    at,
    cells_frame,
    conclusions,
    correlation,
    each_cell,
    names,
    needs_table,
    rates_frame,
    sizes,
    theory,
)
from seqattn.config import DESIGNS
from seqattn.files import write_text
from seqattn.pages.writing import DESIGN_NAMES, markdown, save, span
from seqattn.plots.calibration import (
    NAMES,
    correlations,
    false_positives,
    pooling_dial,
    power_curves,
)
from seqattn.plots.style import name_of, use_style

_NOT_RUN = "Not run."
_HEADS = {criterion: name.replace("\n", " ") for criterion, name in NAMES.items()}
_ALL_FOUND = 0.9995  # shown as 100.0 %


def write_calibration(
    records: Sequence[Mapping[str, Any]],
    folder: Path,
    pooling: Sequence[Mapping[str, float]] = (),
) -> None:
    """Write every generated part of the page, ``calibration_*`` in `folder`.

    Parameters
    ----------
    records
        One a real cell, in the order to show; without any, the parts say "Not run."
    folder
        Created when missing.
    pooling
        Rows of `seqattn.stats.variance.pooling_levels`, for the figure of the pooled bootstrap.

    Raises
    ------
    SeqattnError
        If the folder can't be written.
    """
    use_style()
    cells, rates = cells_frame(records), rates_frame(records)
    texts = {
        "settings": _settings(records),
        "correlation": correlation(cells),
        "rho": markdown([_rho_row(cell) for cell in cells.itertuples()]),
        "needs": markdown(needs_table(rates)),
        "reading": conclusions(rates),
        "sizes": sizes(rates),
        "theory": theory(rates),
        "cells": markdown([_cell_row(cell) for cell in cells.itertuples()]),
        "levels": markdown(_level_rows(rates)),
        "worlds": markdown(_world_rows(rates)),
        "power": markdown(_power_rows(rates)),
    }
    for name, text in texts.items():
        write_text(folder / f"calibration_{name}.md", (text or _NOT_RUN) + "\n")
    first = records[0] if records else {"alpha": 0.05, "n_seeds": 5}
    alpha, n_seeds = first["alpha"], first["n_seeds"]
    figures = {
        "rho": correlations(cells),
        "levels": false_positives(rates, alpha),
        "pooling": pooling_dial(cells, pooling, n_seeds=n_seeds, alpha=alpha),
        **{f"power_{design}": power_curves(_of(rates, design), alpha) for design in DESIGNS},
    }
    for name, figure in figures.items():
        save(figure, folder / f"calibration_{name}.svg")


def _of(rates: pd.DataFrame, design: str) -> pd.DataFrame:
    return rates if rates.empty else rates[rates["design"] == design]


def _settings(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return ""
    kinds = {(r["replicates"], r["n_resamples"], r["alpha"]) for r in records}
    told = "; ".join(
        f"{replicates:,} studies a world, {resamples:,} resamples each, level {alpha:g}"
        for replicates, resamples, alpha in sorted(kinds)
    )
    counts = {design: sum(r["design"] == design for r in records) for design in DESIGNS}
    designs = " and ".join(f"{n} *{DESIGN_NAMES[design]}*" for design, n in counts.items())
    metrics = ", ".join(sorted({r["metric"] for r in records}))
    return f"On trial: {designs} comparisons, {metrics}. Simulated: {told}.{_same(records)}"


def _same(records: Sequence[Mapping[str, Any]]) -> str:
    """Say whose rows are equal because both designs came to the same cells."""
    seen = Counter((r["dataset"], r["variant"], *r["cells"]) for r in records)
    return "".join(
        f" Both designs came to the same configuration for {name_of(variant)} on {dataset}, so "
        "that its two rows are one."
        for (dataset, variant, *_), count in seen.items()
        if count > 1
    )


def _rho_row(cell: Any) -> dict[str, str]:
    return names(cell) | {
        "ρ": f"{cell.rho:.3f}",
        "95 % interval": span(cell.low, cell.high, 3, ""),
        "width, pooled = 1": f"{cell.width_ratio:.2f}",
    }


def _cell_row(cell: Any) -> dict[str, str]:
    percent = 100 / cell.base_mean
    user = (
        f"{np.sqrt(cell.user_variance) * percent:.0f} %"
        if cell.user_variance >= 0
        else "none (ρ < 0)"
    )
    return names(cell) | {
        "seeds × users": f"{cell.n_seeds} × {cell.n_users:,}",
        "baseline": f"{cell.base_mean:.4f}",
        "seed effect, sd": f"{cell.seed_sd * percent:.1f} %",
        "its 95 % upper limit": f"{cell.seed_sd_upper * percent:.1f} %",
        "user effect, sd": user,
        "rest, sd": f"{cell.residual_sd * percent:.0f} %",
        "half width of one seed's interval": f"{cell.seed_half_width_percent:.1f} %",
    }


def _level_rows(rates: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for cell, part in each_cell(rates):
        null = at(part, "estimated", 0)
        rows.append(
            cell
            | {
                head: f"{null[name].rate:.1%} ({null[name].low:.1%} to {null[name].high:.1%})"
                for name, head in _HEADS.items()
            }
        )
    return rows


def _world_rows(rates: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for cell, part in each_cell(rates):
        for world in part["world"].unique():
            null = at(part, world, 0)
            row = cell | {"world": world}
            for name, head in _HEADS.items():
                expected = null[name].expected
                row[head] = f"{null[name].rate:.1%}"
                row[head] += "" if np.isnan(expected) else f" / {expected:.1%}"
            rows.append(row)
    return rows


def _power_rows(rates: pd.DataFrame) -> list[dict[str, str]]:
    """Return rows: every criterion's rate by cell and effect, up to an effect that all find."""
    rows = []
    for cell, part in each_cell(rates):
        for effect in sorted(part["effect_percent"].unique()):
            found, upper = at(part, "estimated", effect), at(part, "upper", effect)
            told = {head: found[name].rate for name, head in _HEADS.items()}
            told["clustered rule, upper"] = upper["robust_clustered"].rate
            rows.append(
                cell | {"effect": f"{effect:g} %"} | {h: f"{r:.1%}" for h, r in told.items()}
            )
            if min(told.values()) >= _ALL_FOUND:
                break
    return rows
