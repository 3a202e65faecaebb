"""The dual criterion on trial: the tables of a study of its false positives and its power.

Each whole comparison of the study's arms is calibrated, see `seqattn.stats.calibration`. That
takes minutes, so what the kept tables have of these very runs is not simulated again: give
``rates`` before ``cells`` in the study's YAML, for ``cells`` says which runs the rates rest on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from seqattn.config import BACKBONES
from seqattn.plots.style import name_of
from seqattn.runs.results import value_matrix
from seqattn.runs.store import Run
from seqattn.stats import criterion
from seqattn.stats.calibration import Calibration, calibrate, detectable_percent
from seqattn.stats.variance import pooling_levels
from seqattn.studies.ia import published
from seqattn.studies.judge import COMPARISON, stacked
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.studies.targets import pick

METRIC, CUTOFF = "NDCG", 10
REPLICATES = 1000
ALL_FOUND = 0.9995  # a rate that tables show as 100.0 %
RHOS = (-0.15, -0.05, 0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
# The parts of the clustered rule, of which the strictest decides.
PARTS = {part: criterion.PARTS[part] for part in ("t", "clustered", "stability")}
RULES = tuple(criterion.RULES)


def rates(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return one row per (dataset, arm, part, model, world, effect, criterion), see `RATES`."""
    return stacked(
        pair.rates if len(pair.rates) else pair.calibrated().rates.assign(**pair.key)
        for pair in _pairs(study, groups)
    )


def cells(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return one row per comparison: what it rests on, its components and correlation.

    Returns
    -------
    DataFrame
        dataset, arm, part, model, metric, base_runs and runs (keys, apart by blanks), and the
        fields of `Calibration` without its rates; low and high are the interval of rho.
    """
    return stacked(
        pair.cell if len(pair.rates) else pd.DataFrame([pair.key | pair.facts()])
        for pair in _pairs(study, groups)
    )


def pooling(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return the pooled bootstrap's false positives by rho, see `pooling_levels`."""
    kept = study.kept("pooling", ["rho"])
    if list(kept["rho"]) == list(RHOS):
        return kept
    return pd.DataFrame(pooling_levels(RHOS, replicates=2 * REPLICATES))


@dataclass(frozen=True)
class _Pair:
    """A comparison; `rates` and `cell` are what was kept of these very runs, or empty."""

    key: dict[str, object]
    group: Group
    rates: pd.DataFrame
    cell: pd.DataFrame

    def calibrated(self) -> Calibration:
        """Simulate, once in a process."""
        folders = (tuple(run.folder for run in runs) for runs in (self.group.base, self.group.runs))
        return _calibrated(*folders, REPLICATES)

    def facts(self) -> dict[str, object]:
        """Return the calibration's row, without its rates."""
        found = asdict(self.calibrated())
        found.pop("rates")
        parts = found.pop("components") | found.pop("correlation")
        return {"metric": f"{METRIC}@{CUTOFF}"} | _rests(self.group) | found | parts


def _pairs(study: Study, groups: Sequence[Group]) -> Iterator[_Pair]:
    kept_rates = study.kept("rates", COMPARISON)
    kept_cells = study.kept("cells", [*COMPARISON, "base_runs", "runs", "replicates"])
    for group in groups:
        if not group.whole():
            continue
        names = (group.dataset.name, group.arm, group.part, group.model)
        key = dict(zip(COMPARISON, names, strict=True))
        cell = pick(kept_cells, **key, **_rests(group), replicates=REPLICATES)
        mine = pick(kept_rates, **key) if len(cell) else kept_rates.head(0)
        yield _Pair(key, group, mine, cell)


def _rests(group: Group) -> dict[str, str]:
    """Return the keys of the runs that a comparison rests on."""
    sides = {"base_runs": group.base, "runs": group.runs}
    return {name: " ".join(run.spec.key for run in runs) for name, runs in sides.items()}


@cache
def _calibrated(base: tuple[Path, ...], other: tuple[Path, ...], replicates: int) -> Calibration:
    sides = ([Run(folder, {}) for folder in folders] for folders in (base, other))
    return calibrate(*(value_matrix(s, METRIC, CUTOFF) for s in sides), replicates=replicates)


def null(rates: pd.DataFrame) -> pd.DataFrame:
    """Return the rates of the estimated world without an effect: false positives."""
    return rates[(rates["world"] == "estimated") & (rates["effect_percent"] == 0)]


def needs(rates: pd.DataFrame) -> pd.DataFrame:
    """Return the effect, in percent, that each part and rule finds in four studies of five.

    Returns
    -------
    DataFrame
        One row per comparison: a column per part (`PARTS`) and rule (`RULES`), ``upper`` (the
        clustered rule where seeds are as different as the data allow), ``strictest`` (the part
        that alone needs the largest effect) and ``alone`` (what it needs). NaN is beyond the
        largest effect simulated.
    """
    rows = []
    for key, part in rates.groupby(COMPARISON, sort=False):
        found = {name: detectable_percent(part, name) for name in (*PARTS, *RULES)}
        found["upper"] = detectable_percent(part, "robust_clustered", "upper")
        strictest = max(PARTS, key=lambda name: np.nan_to_num(found[name], nan=np.inf))
        last = {"strictest": strictest, "alone": found[strictest]}
        rows.append(dict(zip(COMPARISON, key, strict=True)) | found | last)
    return pd.DataFrame(rows)


def off_theory(rates: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rates whose expected value lies outside their 95 % limits, and how many have one.

    The world ``independent`` is left out: there the expected rate is the nominal one.
    """
    judged = rates[rates["expected"].notna() & (rates["world"] != "independent")]
    return judged[~judged["expected"].between(judged["low"], judged["high"])], len(judged)


def gaps(rates: pd.DataFrame, pair: tuple[str, str]) -> pd.Series:
    """Return how far two criteria's rates lie apart at most at any effect, by comparison."""
    mine = rates[rates["world"] == "estimated"]
    keys = [*COMPARISON, "effect_percent"]
    first, second = (mine[mine["criterion"] == name].set_index(keys)["rate"] for name in pair)
    return (first - second).abs().groupby(level=COMPARISON, sort=False).max()


def power(rates: pd.DataFrame) -> pd.DataFrame:
    """Return every criterion's rate by effect, up to the first effect that all of them find.

    One row per (comparison, effect), one column per criterion, and ``upper``: the clustered rule
    where seeds are as different as the data allow.
    """
    keys = [*COMPARISON, "effect_percent"]

    def wide(world: str) -> pd.DataFrame:
        return rates[rates["world"] == world].pivot(index=keys, columns="criterion", values="rate")

    table = wide("estimated").assign(upper=wide("upper")["robust_clustered"])
    found = table.min(axis=1) >= ALL_FOUND
    before = found.groupby(level=COMPARISON).cumsum() - found
    return table[before == 0]


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows in the paper's order, with title, design and variant as a page names them."""
    frame = published.with_titles(frame)
    return frame.assign(design=frame["arm"].map(BACKBONES), variant=frame["model"].map(name_of))


def correlations_by_arm(cells: pd.DataFrame) -> pd.DataFrame:
    """Return where rho lies in each arm, and what clustering does to the interval's width.

    Returns
    -------
    DataFrame
        One row per arm: comparisons, rho_least, rho_most, above_zero and below_zero (whose
        interval is), wider and narrower, width_least and width_most (pooled is 1) and where.
    """
    width = cells["width_ratio"]
    named = cells.assign(
        name=cells["title"] + " " + cells["model"].map(name_of),
        above=cells["low"] > 0,
        below=cells["high"] < 0,
        wide=width > 1,
        narrow=width <= 1,
    )
    by = named.set_index("name").groupby("arm", sort=False)
    told = by.agg(
        comparisons=("rho", "size"),
        rho_least=("rho", "min"),
        rho_most=("rho", "max"),
        above_zero=("above", "sum"),
        below_zero=("below", "sum"),
        wider=("wide", "sum"),
        narrower=("narrow", "sum"),
        width_least=("width_ratio", "min"),
        where_least=("width_ratio", "idxmin"),
        width_most=("width_ratio", "max"),
        where_most=("width_ratio", "idxmax"),
    )
    return told.rename(index=BACKBONES).rename_axis(index=None)


def in_percent(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the standard deviations of each comparison in percent of the baseline's mean.

    Columns seed, seed_upper, user (NaN where rho is negative), rest and half_width.
    """
    variance = cells["user_variance"].where(cells["user_variance"] >= 0)
    sizes = pd.DataFrame(
        {
            "seed": cells["seed_sd"],
            "seed_upper": cells["seed_sd_upper"],
            "user": np.sqrt(variance),
            "rest": cells["residual_sd"],
        }
    )
    percent = sizes.mul(100 / cells["base_mean"], axis=0)
    return percent.assign(half_width=cells["seed_half_width_percent"])
