"""The generated parts of the page "Calibration", from records of `seqattn.stats.calibration`.

A record is ``Calibration.to_dict()`` with three more keys: ``dataset`` (a title), ``variant`` (a
model's name) and ``metric`` (such as ``NDCG@10``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.files import write_text
from seqattn.plots.calibration import false_positives, power_curves
from seqattn.plots.style import name_of, use_style
from seqattn.stats.calibration import detectable_percent
from seqattn.stats.studies import CRITERIA

_NOT_RUN = "Not run."
_HEADS = dict(
    zip(
        CRITERIA,
        ("t-test", "pooled", "clustered", "stability", "published rule", "clustered rule"),
        strict=True,
    )
)
_PART_NAMES = {
    "t": "the t-test over seeds",
    "clustered": "the clustered bootstrap",
    "stability": "the stability check",
}


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
        Rows of `seqattn.stats.variance.pooling_levels`, for the figure of false positives.

    Raises
    ------
    SeqattnError
        If the folder can't be written.
    """
    use_style()
    frames = {_title(record): pd.DataFrame(record["rates"]).astype(_TYPES) for record in records}
    for name, text in {
        "settings": _settings(records),
        "reading": "\n".join(map(_reading, records, frames.values())),
        "cells": _table([_cell_row(record) for record in records]),
        "levels": _table([_level_row(*item) for item in frames.items()]),
        "worlds": _table([row for item in frames.items() for row in _world_rows(*item)]),
        "power": _table([row for item in frames.items() for row in _power_rows(*item)]),
    }.items():
        write_text(folder / f"calibration_{name}.md", (text or _NOT_RUN) + "\n")
    alpha = records[0]["alpha"] if records else 0.05
    rhos = {_title(record): record["components"]["rho"] for record in records}
    n_seeds = records[0]["n_seeds"] if records else 5
    levels = false_positives(frames, rhos, pooling, n_seeds=n_seeds, alpha=alpha)
    _save(levels, folder / "calibration_levels.svg")
    _save(power_curves(frames, alpha), folder / "calibration_power.svg")


# JSON has no NaN: a column without any number is read as objects.
_TYPES = {"wrong_rate": float, "expected": float}


def _title(record: Mapping[str, Any]) -> str:
    return f"{record['dataset']}, {name_of(record['variant'])}, {record['metric']}"


def _settings(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return ""
    kinds = {(r["replicates"], r["n_resamples"], r["alpha"]) for r in records}
    told = "; ".join(
        f"{replicates:,} studies a world, {resamples:,} resamples each, level {alpha:g}"
        for replicates, resamples, alpha in sorted(kinds)
    )
    return f"Simulated: {told}."


def _reading(record: Mapping[str, Any], frame: pd.DataFrame) -> str:
    """Return one bullet: what a reader may conclude from a verdict on this cell."""
    null = _world(frame, "estimated", 0.0)
    needs = {name: detectable_percent(frame, name) for name in _PART_NAMES}
    hardest = max(needs, key=lambda name: np.nan_to_num(needs[name], nan=np.inf))
    # Above every effect simulated, a part is told by that largest effect.
    largest = frame["effect_percent"].max()
    reach = {name: _percent(detectable_percent(frame, name), largest) for name in CRITERIA}
    unlucky = _percent(detectable_percent(frame, "robust_clustered", "upper"), largest)
    return (
        f"- **{_title(record)}.** Without an effect, the published rule claims one in "
        f"{null['robust'].rate:.1%} of studies (95 % limits {_limits(null['robust'])}) and the "
        f"clustered rule in {null['robust_clustered'].rate:.1%} "
        f"({_limits(null['robust_clustered'])}); the pooled bootstrap alone in "
        f"{null['pooled'].rate:.1%}, the clustered one alone in {null['clustered'].rate:.1%}. "
        f"Four studies in five find effects of {reach['robust']} (published) and "
        f"{reach['robust_clustered']} (clustered); {unlucky} if seeds vary as much as the data "
        f"allow. Most is asked by {_PART_NAMES[hardest]}, which alone needs {reach[hardest]}. "
        f"{_wrong(frame)}"
    )


def _percent(value: float, largest: float) -> str:
    return f"more than {largest:g} %" if np.isnan(value) else f"{value:.1f} %"


def _limits(rate: pd.Series) -> str:
    return f"{rate.low:.1%} to {rate.high:.1%}"


def _wrong(frame: pd.DataFrame) -> str:
    """Say how often the published rule calls an effect by the wrong sign, at its worst."""
    rules = frame[(frame["world"] == "estimated") & (frame["criterion"] == "robust")]
    worst = rules.loc[rules["wrong_rate"].idxmax()] if rules["wrong_rate"].notna().any() else None
    if worst is None:
        return ""
    if worst.wrong_rate == 0:
        return "No study called an effect by the wrong sign under the published rule."
    return (
        f"The published rule called an effect by the wrong sign in at most {worst.wrong_rate:.1%} "
        f"of studies (at {worst.effect_percent:g} %)."
    )


def _cell_row(record: Mapping[str, Any]) -> dict[str, str]:
    parts, percent = record["components"], 100 / record["base_mean"]
    return {
        "cell": _title(record),
        "seeds × users": f"{record['n_seeds']} × {record['n_users']:,}",
        "baseline": f"{record['base_mean']:.4f}",
        "seed effect, sd": f"{parts['seed_sd'] * percent:.1f} %",
        "its 95 % upper limit": f"{parts['seed_sd_upper'] * percent:.1f} %",
        "user effect, sd": f"{parts['user_sd'] * percent:.0f} %",
        "rest, sd": f"{parts['residual_sd'] * percent:.0f} %",
        "ρ": f"{parts['rho']:.3f}",
        "half width of one seed's interval": f"{record['seed_half_width_percent']:.1f} %",
    }


def _level_row(title: str, frame: pd.DataFrame) -> dict[str, str]:
    null = _world(frame, "estimated", 0.0)
    return {"cell": title} | {
        head: f"{null[name].rate:.1%} ({_limits(null[name])})" for name, head in _HEADS.items()
    }


def _world_rows(title: str, frame: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for world in frame["world"].unique():
        null = _world(frame, world, 0.0)
        row = {"cell": title, "world": world}
        for name, head in _HEADS.items():
            expected = null[name].expected
            row[head] = f"{null[name].rate:.1%}"
            row[head] += "" if np.isnan(expected) else f" / {expected:.1%}"
        rows.append(row)
    return rows


def _power_rows(title: str, frame: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for effect in sorted(frame["effect_percent"].unique()):
        found, upper = _world(frame, "estimated", effect), _world(frame, "upper", effect)
        rows.append(
            {"cell": title, "effect": f"{effect:g} %"}
            | {head: f"{found[name].rate:.1%}" for name, head in _HEADS.items()}
            | {"clustered rule, upper": f"{upper['robust_clustered'].rate:.1%}"}
        )
    return rows


def _world(frame: pd.DataFrame, world: str, effect: float) -> dict[str, pd.Series]:
    """Return the rates of one world at one effect, by criterion."""
    part = frame[(frame["world"] == world) & (frame["effect_percent"] == effect)]
    return {row["criterion"]: row for _, row in part.iterrows()}


def _table(rows: list[dict[str, str]]) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(rows[0]) + " |", "|---" * len(rows[0]) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row.values()) + " |" for row in rows])


def _save(figure: Figure, path: Path) -> None:
    # No date in the file, so that a re-run gives the same bytes.
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
