"""What the records of calibrations say, as frames, sentences and the table of what each part needs.

Frames have a row a cell, or more, with the columns title (a dataset's), design and model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqattn.pages.writing import DESIGN_NAMES, markdown
from seqattn.plots.style import name_of
from seqattn.stats.calibration import detectable_percent

_CELL = ["title", "design", "model"]
# What decides the clustered rule, and what helps there.
_PARTS = {
    "t": ("t-test", "more seeds help"),
    "clustered": ("clustered bootstrap", "more users help"),
    "stability": ("stability check", "only more users help"),
}


def cells_frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row a record: sizes, components, rho with its interval, pooled false positives."""
    rows = []
    for record in records:
        sizes = ("n_seeds", "n_users", "base_mean", "seed_half_width_percent")
        null = at(pd.DataFrame(record["rates"]), "estimated", 0)
        rows.append(
            _identity(record)
            | {name: record[name] for name in sizes}
            | record["components"]
            | record["correlation"]
            | {"pooled_rate": null["pooled"].rate}
        )
    return pd.DataFrame(rows)


def rates_frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return every rate of every record, a row each, with the fields of `Rate`."""
    rates = pd.DataFrame(_identity(record) | rate for record in records for rate in record["rates"])
    # JSON has no NaN: a column without any number is read as objects.
    return rates.astype({"wrong_rate": float, "expected": float}) if len(rates) else rates


def _identity(record: Mapping[str, Any]) -> dict[str, str]:
    return {
        "title": record["dataset"],
        "design": record["design"],
        "model": record["variant"],
    }


def at(frame: pd.DataFrame, world: str, effect: float) -> dict[str, Any]:
    """Return one cell's rates in a world at an effect, by criterion."""
    part = frame[(frame["world"] == world) & (frame["effect_percent"] == effect)]
    return {row.criterion: row for row in part.itertuples()}


def each_cell(rates: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Yield what names a cell in a table, and the cell's rates."""
    if rates.empty:
        return
    for _, part in rates.groupby(_CELL, sort=False):
        yield names(next(part.itertuples())), part


def names(cell: Any) -> dict[str, str]:
    """Return the columns that name a cell in a table."""
    return {
        "dataset": cell.title,
        "design": DESIGN_NAMES[cell.design],
        "variant": name_of(cell.model),
    }


def _told(cell: Mapping[str, str]) -> str:
    return f"{cell['dataset']} {cell['variant']}, {cell['design']}"


def correlation(cells: pd.DataFrame) -> str:
    """Return sentences: where rho lies in each design, and what clustering does to the width."""
    if cells.empty:
        return ""
    told = []
    for design, part in cells.groupby("design", sort=False):
        low, high = part.loc[part["width_ratio"].idxmin()], part.loc[part["width_ratio"].idxmax()]
        above, below = int((part["low"] > 0).sum()), int((part["high"] < 0).sum())
        wider = int((part["width_ratio"] > 1).sum())
        told.append(
            f"Of {len(part)} comparisons *{DESIGN_NAMES[design]}*, ρ lies between "
            f"{part['rho'].min():.2f} and {part['rho'].max():.2f}; its interval is all above zero "
            f"in {above} and all below in {below}. Clustering makes the interval wider in {wider} "
            f"and narrower in {len(part) - wider}: it is {low['width_ratio']:.2f} times "
            f"({low['title']}, {name_of(low['model'])}) to {high['width_ratio']:.2f} times "
            f"({high['title']}, {name_of(high['model'])}) as wide."
        )
    return "\n\n".join(told)


def theory(rates: pd.DataFrame) -> str:
    """Return in how many rates simulation and normal theory disagree, and a table of them."""
    if rates.empty:
        return ""
    judged = rates[rates["expected"].notna() & (rates["world"] != "independent")]
    off = judged[~judged["expected"].between(judged["low"], judged["high"])]
    chance = 0.05 * len(judged)
    text = (
        f"The expected rate lies outside the simulation's 95 % limits in {len(off)} of "
        f"{len(judged)} rates (three tests and two spreads of seeds in each comparison); chance "
        f"alone would put about {chance:.0f} there."
    )
    if off.empty:
        return text
    rows = [
        names(row)
        | {
            "test": _criterion(row.criterion),
            "spread of seeds": row.world,
            "simulated": f"{row.rate:.1%} ({row.low:.1%} to {row.high:.1%})",
            "expected": f"{row.expected:.1%}",
        }
        for row in off.itertuples()
    ]
    return f"{text}\n\n{markdown(rows)}"


def _criterion(name: str) -> str:
    return _PARTS[name][0] if name in _PARTS else f"{name} bootstrap"


def needs_table(rates: pd.DataFrame) -> list[dict[str, str]]:
    """Return rows: each cell's false positives, the effect found in 4 of 5 studies, and by what."""
    rows = []
    for cell, part in each_cell(rates):
        null, need = at(part, "estimated", 0), _needs(part)
        largest, strictest = part["effect_percent"].max(), _strictest(need)
        effects = [_percent(need[rule], largest) for rule in ("robust", "robust_clustered")]
        unlucky = detectable_percent(part, "robust_clustered", "upper")
        rows.append(
            cell
            | {
                "false positives, published / clustered rule": (
                    f"{null['robust'].rate:.1%} / {null['robust_clustered'].rate:.1%}"
                ),
                "effect found in 4 of 5 studies": " / ".join(effects),
                "the same at the upper seed spread, clustered": _percent(unlucky, largest),
                "strictest part": _PARTS[strictest][0],
                "it alone needs": _percent(need[strictest], largest),
            }
        )
    return rows


def _needs(rates: pd.DataFrame) -> dict[str, float]:
    """Return the effect that each part and each rule finds in 4 of 5 studies; NaN beyond all."""
    wanted = (*_PARTS, "robust", "robust_clustered")
    return {name: detectable_percent(rates, name) for name in wanted}


def _strictest(need: Mapping[str, float]) -> str:
    return max(_PARTS, key=lambda name: np.nan_to_num(need[name], nan=np.inf))


def _percent(value: float, largest: float) -> str:
    return f"> {largest:g} %" if np.isnan(value) else f"{value:.1f} %"


def conclusions(rates: pd.DataFrame) -> str:
    """Return a paragraph that a reader can act on."""
    found = [(cell, part, _needs(part)) for cell, part in each_cell(rates)]
    if not found:
        return ""
    return " ".join([_false_claims(found), _sizes(found), _deciding(found), _choice(found)])


def sizes(rates: pd.DataFrame) -> str:
    """Return the sentence on how large an effect must be, or nothing if nothing was calibrated."""
    found = [(cell, part, _needs(part)) for cell, part in each_cell(rates)]
    return _sizes(found) if found else ""


_Found = list[tuple[dict[str, str], pd.DataFrame, dict[str, float]]]


def _false_claims(found: _Found) -> str:
    worst = []
    for rule in ("robust", "robust_clustered"):
        cell, part, _ = max(found, key=lambda f: at(f[1], "estimated", 0)[rule].rate)
        worst.append(f"{at(part, 'estimated', 0)[rule].rate:.1%} ({_told(cell)})")
    rates = pd.concat([part for _, part, _ in found])
    told = (rates["world"] == "estimated") & (rates["criterion"] == "robust")
    wrong = rates.loc[told, "wrong_rate"].max()
    return (
        f"Without an effect, the published rule claims one in at most {worst[0]} of studies and "
        f"the clustered rule in at most {worst[1]}. An effect's sign is wrong in at most "
        f"{wrong:.1%} of the published rule's studies."
    )


def _sizes(found: _Found) -> str:
    def size(entry: tuple[dict[str, str], pd.DataFrame, dict[str, float]]) -> float:
        return float(np.nan_to_num(entry[2]["robust_clustered"], nan=np.inf))

    least, most = min(found, key=size), max(found, key=size)
    ends = [
        f"{_percent(need['robust_clustered'], part['effect_percent'].max())} ({_told(cell)})"
        for cell, part, need in (least, most)
    ]
    return (
        f"What the clustered rule finds in four studies of five starts at {ends[0]} and ends at "
        f"{ends[1]}: of a smaller change, *not robust* says little."
    )


def _deciding(found: _Found) -> str:
    strictest = [_strictest(need) for *_, need in found]
    parts = [
        f"the {name} in {strictest.count(part)} (there {help_})"
        for part, (name, help_) in _PARTS.items()
        if part in strictest
    ]
    return f"Of {len(found)} comparisons, the strictest part is {' and '.join(parts)}."


def _choice(found: _Found) -> str:
    rules, at_rules = _gap(found, ("robust", "robust_clustered"))
    alone, at_alone = _gap(found, ("pooled", "clustered"))
    if rules < alone / 2:
        so = "what the other parts ask hides which was used"
    else:
        so = "so it matters which was used"
    return (
        "The rates of published and clustered rule differ by at most "
        f"{100 * rules:.1f} points at any effect simulated ({at_rules}), their bootstraps alone by "
        f"up to {100 * alone:.1f} ({at_alone}): {so}."
    )


def _gap(found: _Found, pair: tuple[str, str]) -> tuple[float, str]:
    """Return how far two criteria's rates lie apart at most, and in which cell."""
    gaps = []
    for cell, part, _ in found:
        mine = part[part["world"] == "estimated"]
        wide = mine.pivot(index="effect_percent", columns="criterion", values="rate")
        gaps.append((float((wide[pair[0]] - wide[pair[1]]).abs().max()), _told(cell)))
    return max(gaps)
