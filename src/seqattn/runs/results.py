"""From finished runs to arrays and tables.

Shapes: S seeds, U users. Every table is a pandas frame whose rows can be traced to runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import TypeVar

import numpy as np
import pandas as pd

from seqattn.config import BASELINE
from seqattn.errors import SeqattnError
from seqattn.runs.store import Run, RunSpec
from seqattn.stats import DualCriterion, dual_criterion_table
from seqattn.stats.criterion import RULES
from seqattn.stats.inputs import copies
from seqattn.stats.metrics import CUTOFFS, KINDS, METRICS, metric

K = TypeVar("K")


@dataclass(frozen=True)
class Verdicts:
    """Records of the dual criterion, by (model, metric, cut-off)."""

    records: dict[tuple[str, str, int], DualCriterion]

    def frame(self) -> pd.DataFrame:
        """Return one row a cell: model, metric, k, then the record's fields."""
        return pd.DataFrame(
            {"model": m, "metric": name, "k": k, **asdict(record)}
            for (m, name, k), record in self.records.items()
        )

    def counts(self) -> pd.DataFrame:
        """Return how many comparisons each rule calls robust improvements and degradations.

        A row per rule: with the published, pooled bootstrap, and with the clustered one.
        """
        records = self.records.values()
        return pd.DataFrame.from_dict(
            {
                rule: {
                    name: sum(getattr(r, field) and r.direction == sign for r in records)
                    for name, sign in (("improvements", 1), ("degradations", -1))
                }
                for field, rule in RULES.items()
            },
            orient="index",
        )

    def width_ratios(self) -> pd.Series:
        """Return each clustered interval's width over the pooled one's, by (model, metric, k).

        NaN where no user differs, so that neither interval has a width.
        """
        widths = {
            key: np.diff([record.clustered_ci, record.pooled_ci])[:, 0]
            for key, record in self.records.items()
        }
        ratios = {key: c / p if p > 0 else np.nan for key, (c, p) in widths.items()}
        return pd.Series(ratios, dtype=float).rename_axis(["model", "metric", "k"])


def by_model(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Group runs by model, each group in order of seed."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.model, []).append(run)
    return {model: sorted(group, key=lambda c: c.seed) for model, group in groups.items()}


def on_common_seeds(groups: Mapping[K, Iterable[Run]]) -> dict[K, list[Run]]:
    """Return the runs of the seeds that all groups have, each group in order of seed."""
    by_seed = {key: {run.seed: run for run in runs} for key, runs in groups.items()}
    common = sorted(set.intersection(*map(set, by_seed.values())))
    return {key: [runs[seed] for seed in common] for key, runs in by_seed.items()}


def rank_matrix(runs: Sequence[Run], stage: str = "test", kind: str = "unfiltered") -> np.ndarray:
    """Return one model's ranks, (S, N), seeds in the order of `runs`.

    Raises
    ------
    SeqattnError
        Two runs have the same ranks.
    """
    ranks_SN = np.stack([run.ranks(stage, kind) for run in runs])
    if found := copies(ranks_SN):
        one, other = (runs[place].folder for place in found)
        raise SeqattnError(
            f"{one} and {other} rank every target alike: one is a copy of the other, or the seed "
            "had no effect"
        )
    return ranks_SN


def values(
    runs: Sequence[Run],
    cells: Iterable[tuple[str, int]],
    stage: str = "test",
    kind: str = "unfiltered",
) -> dict[tuple[str, int], np.ndarray]:
    """Return one model's metrics by (name, cut-off), each (S, U), seeds in the order of `runs`.

    The values of a user's targets are averaged, where a split asks for several.

    Raises
    ------
    SeqattnError
        Two runs have the same ranks, or a metric is unknown.
    """
    ranks_SN, owners = rank_matrix(runs, stage, kind), runs[0].owners(stage)
    return {(name, k): metric(ranks_SN, name, k, owners) for name, k in cells}


def refuse_short_lists(runs: Iterable[Run], n_items: int, name: str, k: int) -> None:
    """Refuse runs of another library whose lists are shorter than k.

    Raises
    ------
    SeqattnError
        One is: what stands behind the end of its lists is not known.
    """
    for run in runs:
        depth = run.facts.get("depth", k)
        if depth < min(k, n_items):
            raise SeqattnError(
                f"{run.model}: the shortest list of its {run.facts['file']} holds {depth} items, "
                f"so {name}@{k} is not known; take k = {depth} or less, by --metric, or longer "
                "lists"
            )


def value_matrix(
    runs: Sequence[Run], name: str, k: int, stage: str = "test", kind: str = "unfiltered"
) -> np.ndarray:
    """Return one metric of `values`, (S, U)."""
    return values(runs, [(name, k)], stage, kind)[name, k]


def summary(runs: Iterable[Run]) -> pd.DataFrame:
    """Return test metrics at 10 for each model: mean and standard deviation over seeds.

    Returns
    -------
    DataFrame
        Columns model, kind (unfiltered, filtered), metric, mean, std (NaN for one seed), seeds.
    """
    rows = []
    for model, group in by_model(runs).items():
        for kind in KINDS:
            found = values(group, [(name, 10) for name in METRICS], "test", kind)
            for (name, _), values_SU in found.items():
                means_S = values_SU.mean(axis=1)
                std = means_S.std(ddof=1) if len(means_S) > 1 else np.nan
                rows.append((model, kind, f"{name}@10", means_S.mean(), std, len(means_S)))
    return pd.DataFrame(rows, columns=["model", "kind", "metric", "mean", "std", "seeds"])


def summary_table(runs: Iterable[Run]) -> pd.DataFrame:
    """Return `summary` for reading: a row a model, a column a (kind, metric), "mean ± std".

    A model with one seed has no deviation; the index holds each model's number of seeds.
    """
    table = summary(runs)
    table["value"] = [
        f"{mean:.4f}" if np.isnan(std) else f"{mean:.4f} ± {std:.4f}"
        for mean, std in zip(table["mean"], table["std"], strict=True)
    ]
    wide = table.pivot(index=["model", "seeds"], columns=["kind", "metric"], values="value")
    return wide.loc[table["model"].unique()]


def histories(runs: Iterable[Run]) -> pd.DataFrame:
    """Return every epoch of every run: model, seed, epoch, loss, valid_ndcg, seconds."""
    return pd.DataFrame(
        {
            "model": run.model,
            "seed": run.seed,
            **{key: e[key] for key in ("epoch", "loss", "valid_ndcg", "seconds")},
        }
        for run in runs
        for e in run.facts["history"]
    )


def require_comparable(models: Iterable[str]) -> None:
    """Refuse models that `verdicts` cannot judge: without SASRec, or SASRec alone."""
    if BASELINE not in (different := {*models}):
        raise SeqattnError(f"no {BASELINE!r} runs: nothing to compare with; name {BASELINE!r}, too")
    if len(different) < 2:
        raise SeqattnError(f"only {BASELINE!r} runs: nothing to compare; name a variant, too")


def verdicts(runs: Iterable[Run], *, kind: str = "unfiltered") -> Verdicts:
    """Judge every model against SASRec by the dual criterion, paired by seed and by user.

    Raises
    ------
    SeqattnError
        If SASRec or a variant is missing, or a model was run with other seeds.
    """
    groups = by_model(runs)
    require_comparable(groups)
    cells = list(product(METRICS, CUTOFFS))
    found = {model: values(group, cells, "test", kind) for model, group in groups.items()}
    seeds = {model: [run.seed for run in group] for model, group in groups.items()}
    pairs = {}
    for model in groups:
        if seeds[model] != seeds[BASELINE]:
            raise SeqattnError(
                f"{model!r} has seeds {seeds[model]} and {BASELINE!r} {seeds[BASELINE]}; "
                "a paired comparison needs the same seeds"
            )
        if model != BASELINE:
            for cell in cells:
                pairs[model, *cell] = found[BASELINE][cell], found[model][cell]
    records = dual_criterion_table(pairs)
    return Verdicts(dict(zip(pairs, records, strict=True)))


def differing(specs: Mapping[str, RunSpec]) -> pd.DataFrame:
    """Return the settings in which models differ, a row a setting and a column a model.

    Settings of the model and of training; dataset, seed and model name are not among them. Empty
    where all are equal.
    """
    settings = pd.DataFrame(
        {
            name: {**asdict(spec.model_config), **asdict(spec.train_config)}
            for name, spec in specs.items()
        },
        dtype=object,  # counts stay whole numbers beside rates
    )
    return settings[settings.nunique(axis=1) > 1].rename_axis("setting")


def unfinished(run: Run) -> bool:
    """Return whether a fit ran out of epochs before its patience did: more might have helped."""
    waited = len(run.facts["history"]) - run.facts["best_epoch"]
    return waited < run.spec.train_config.patience


def outcomes(runs: Iterable[Run]) -> pd.DataFrame:
    """Return what each of several fits reached and how it ended, a row per fit, named by model.

    Columns are test metrics at 10, means over users; the epochs run; the epoch whose weights were
    kept; and whether the fit is `unfinished`.
    """
    measures = (("NDCG", "unfiltered"), ("NDCG", "filtered"), ("Recall", "unfiltered"))
    rows: dict[str, dict[str, object]] = {}
    for run in runs:
        rows[run.model] = {
            f"{name}@10, {kind}": run.values(name, 10, kind=kind).mean() for name, kind in measures
        }
        rows[run.model] |= {
            "epochs run": len(run.facts["history"]),
            "best epoch": run.facts["best_epoch"],
            "unfinished": unfinished(run),
        }
    return pd.DataFrame.from_dict(rows, orient="index")
