"""Positive controls: what variants make of intensities that are known to tell what comes.

References
----------
`seqattn.data.planted` and `seqattn.data.held` for the stories behind the intensities; the studies'
YAML for the rule.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from seqattn.config import BASELINE, MARGIN_PERCENT, PLANTED, VARIANTS, TrainConfig, replace
from seqattn.data import Dataset, load_dataset
from seqattn.data.held import chances, held_last, knowing_items
from seqattn.data.planted import comes_later, neighbours
from seqattn.plots.style import name_of
from seqattn.runs.results import value_matrix
from seqattn.stats.metrics import metric
from seqattn.studies.ia import published
from seqattn.studies.judge import change, is_gain, ndcg_at_10
from seqattn.studies.learning import of_logs
from seqattn.studies.placebo import over_arms
from seqattn.studies.plan import Group
from seqattn.studies.study import Study

_KEY = ["dataset", "part", "model"]


def doses(study: Study) -> dict[str, float]:
    """Return p of each arm of variants: what its intensities tell, from 0 to 1.

    Without the arms that turn another dial (`dials`).
    """
    return {name: _dose(train) for name, train in _arms(study) if not _other_dials(train)}


def dials(study: Study) -> dict[str, str]:
    """Return the arms with another tail or popularity, and of each the arm with its p alone."""
    p_of = doses(study)
    return {
        name: next(usual for usual, p in p_of.items() if p == _dose(train))
        for name, train in _arms(study)
        if _other_dials(train) and not train.planted_next
    }


def next_alone(study: Study) -> dict[str, float]:
    """Return p of each arm whose marks tell of the very next item alone, by the arm's name.

    Where they tell nothing, at p = 0, such intensities are those of the usual arm.
    """
    return {name: _dose(train) for name, train in _arms(study) if train.planted_next}


def _arms(study: Study) -> list[tuple[str, TrainConfig]]:
    arms = [arm for arm in study.arms if set(arm.models) != {BASELINE}]
    return [(arm.name, replace(TrainConfig(), **arm.settings.train)) for arm in arms]


def _other_dials(train: TrainConfig) -> bool:
    return any(getattr(train, key) != PLANTED[key] for key in PLANTED if key != "planted_p")


def _dose(train: TrainConfig) -> float:
    dials = {"planted": train.planted_p, "across": train.kept_intensity, "real": 1.0}
    return dials[train.intensity]


def over_nothing(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge each dose, and each arm of `next_alone`, against the same variant at p = 0.

    A row a (dataset, arm, part, model, metric, k); columns of `seqattn.studies.judge.judge`, with
    the runs at p = 0 as the baseline.
    """
    p_of = doses(study)
    nothing = next(name for name, p in p_of.items() if p == 0)
    told = [name for name, p in (p_of | next_alone(study)).items() if p > 0]
    return over_arms(dict.fromkeys(told, nothing), groups)


def over_usual(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge each arm of `dials` against the same variant with the usual tail and popularity.

    A row a (dataset, arm, part, model, metric, k); columns of `seqattn.studies.judge.judge`.
    """
    return over_arms(dials(study), groups)


def ceiling(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what SASRec would gain at p = 1 from the rule that reads marks.

    Of SASRec on test, under leave-one-out; the rule is `seqattn.data.planted.promised`. A row a
    dataset: marked (share of interactions whose neighbour comes), applies (share of users whose
    target is a neighbour of something in their history), open (how many unseen neighbours these
    histories have: what items alone leave to choose from), still_open (share of the marks in all
    histories before a test target whose neighbour was not seen yet), at_last (share of those that
    are on the last item), base and there (NDCG@10 of all users and of those to whom it applies),
    n_seeds, and ceiling: the change, percent, if those targets were ranked first. next_applies,
    next_there and next_ceiling are the same for marks of the very next item alone: of users whose
    target is the neighbour of their last item. A dataset that is not at hand keeps its row.
    """
    runs = {g.dataset.name: g.runs for g in groups if g.model == BASELINE and g.runs}

    def row(name: str, data: Dataset) -> pd.DataFrame:
        ranks_SU = np.stack([run.ranks() for run in runs[name]])
        return pd.DataFrame([{"dataset": name, **_ceiling(data, ranks_SU)}])

    return of_logs("ceiling", study, runs, load_dataset, row)


def _ceiling(data: Dataset, ranks_SU: np.ndarray) -> dict[str, float]:
    neighbour_V, items = neighbours(data.split.train), data.sequences.items
    asked = data.split.rows("test")
    starts = data.sequences.offsets[data.sequences.user_of_row[asked]]
    before = [items[start:row] for start, row in zip(starts, asked, strict=True)]
    open_ = [set(neighbour_V[h].tolist()) - {0} - set(h.tolist()) for h in before]
    applies_U = np.array([items[row] in left for row, left in zip(asked, open_, strict=True)])
    next_U = neighbour_V[items[asked - 1]] == items[asked]
    marked_n = comes_later(data.sequences, neighbour_V)
    marks = [marked_n[start:row] for start, row in zip(starts, asked, strict=True)]
    opens = [m & ~np.isin(neighbour_V[h], h) for m, h in zip(marks, before, strict=True)]
    n_open = sum(map(np.sum, opens))
    own, best, best_next = (
        metric(np.where(told_U, 1, ranks_SU), "NDCG", 10)
        for told_U in (np.zeros_like(applies_U), applies_U, next_U)
    )
    return {
        "marked": marked_n.mean(),
        "applies": applies_U.mean(),
        "open": np.array([len(left) for left in open_])[applies_U].mean(),
        "still_open": n_open / sum(map(np.sum, marks)),
        "at_last": sum(one[-1] for one in opens) / n_open,
        "base": own.mean(),
        "there": own[:, applies_U].mean(),
        "n_seeds": len(ranks_SU),
        "ceiling": 100 * (best.mean() / own.mean() - 1),
        "next_applies": next_U.mean(),
        "next_there": own[:, next_U].mean(),
        "next_ceiling": 100 * (best_next.mean() / own.mean() - 1),
    }


def best_possible(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return NDCG@10 on test of what can be known about the log of `seqattn.data.held`.

    A row a dataset: sees_minutes and sees_items, the expected values of ranking by the story's own
    probabilities, equal ones in any order, and SASRec's means over its `n_seeds` runs: `base`, of
    filtered ranks, as the others are, since in the story nobody takes an item twice, and
    `unfiltered`.
    """
    rows = []
    for group in groups:
        if group.model == BASELINE and group.runs:
            known = _known(group.dataset.reference)
            told = {name: values_U.mean() for name, values_U in known.items()}
            base, unfiltered = (
                value_matrix(group.runs, "NDCG", 10, "test", kind).mean()
                for kind in ("filtered", "unfiltered")
            )
            row = {"dataset": group.dataset.name, **told, "base": base, "unfiltered": unfiltered}
            rows.append(row | {"n_seeds": len(group.runs)})
    return pd.DataFrame(rows)


def over_items(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what models reach at p = 1 beside the best inference from items alone.

    A row a (dataset, model) of those with all seeds: mean (NDCG@10 on test, of filtered ranks, as
    in `best_possible`), and change, low, high: percent of what items alone allow, over users and
    seeds.
    """
    rows, p_of = [], doses(study)
    for group in groups:
        if p_of.get(group.arm) == 1 and len(group.runs) == len(study.seeds):
            own_SU = value_matrix(group.runs, "NDCG", 10, "test", "filtered")
            items_U = _known(group.dataset.reference)["sees_items"]
            row = {"dataset": group.dataset.name, "model": group.model, "mean": own_SU.mean()}
            rows.append(row | change(np.broadcast_to(items_U, own_SU.shape), own_SU))
    return pd.DataFrame(rows, columns=["dataset", "model", "mean", "change", "low", "high"])


@lru_cache(1)
def _known(reference: str) -> dict[str, np.ndarray]:
    """Return the expected NDCG@10 of each test target by who sees minutes, or items alone."""
    return _by_target(load_dataset(reference))


def _by_target(data: Dataset) -> dict[str, np.ndarray]:
    histories, n_items = data.sequences, data.sequences.n_items
    places, minutes = np.asarray(histories.item_ids).astype(int), np.asarray(histories.intensity)
    values = []
    for row in data.split.rows("test"):
        rows = slice(histories.offsets[histories.user_of_row[row]], row)
        items, target = places[histories.items[rows] - 1], places[histories.items[row] - 1]
        seen = chances(held_last(items, minutes[rows]), items, n_items)
        values.append([_expected(p, target) for p in (seen, knowing_items(items, n_items))])
    return dict(zip(("sees_minutes", "sees_items"), np.transpose(values), strict=True))


def _expected(chance_V: np.ndarray, target: int) -> float:
    """Return the NDCG@10 of a target ranked by chance, the mean over all orders of equal ones."""
    better = int((chance_V > chance_V[target] + 1e-12).sum())
    equal = int((np.abs(chance_V - chance_V[target]) <= 1e-12).sum())
    return float(metric(1 + better + np.arange(equal), "NDCG", 10).mean())


def verdicts(study: Study, cells: pd.DataFrame, over: pd.DataFrame) -> pd.DataFrame:
    """Return what the study's rule says of each (dataset, variant).

    Parameters
    ----------
    cells, over : DataFrame
        The tables ``comparisons`` and ``over_nothing``.

    Returns
    -------
    DataFrame
        Columns dataset, part, model; seen_from, the smallest p from which on all are read (NaN:
        none, or not all doses were run); alarm, whether p = 0 is a robust gain over SASRec; and
        verdict, which takes the doses 0 and 1: reads, does not read, can't be told or not run.
    """
    p_of = doses(study)
    rows = (by_dose(study, table) for table in (cells, over))
    against, beyond = (told[told["n_seeds"] == len(study.seeds)] for told in rows)
    models = dict.fromkeys(m for arm in study.arms for m in arm.models if m != BASELINE)
    found = []
    for dataset in study.datasets:
        for model in models:
            mine, own = (
                t[(t["dataset"] == dataset) & (t["model"] == model)].set_index("p")
                for t in (against, beyond)
            )
            part = bool(mine["part"].any())
            there = {0.0, *own.index} & {*mine.index}
            seen = _seen_from(mine, own) if {*p_of.values()} <= there else np.nan
            told = _verdict(mine, own) if {0.0, 1.0} <= there else (False, "not run")
            found.append((dataset, part, model, seen, *told))
    return pd.DataFrame(found, columns=[*_KEY, "seen_from", "alarm", "verdict"])


def of_study(study: Study) -> pd.DataFrame:
    """Return `verdicts` of a study from its kept tables, over users and seeds."""
    return verdicts(study, study.table("comparisons"), study.table("over_nothing"))


def _seen_from(mine: pd.DataFrame, own: pd.DataFrame) -> float:
    """Return the smallest p from which on every dose is read; NaN where p = 1 is not."""
    read = is_gain(mine).reindex(own.index) & is_gain(own)
    seen_from = np.nan
    for p in sorted(own.index, reverse=True):
        if not read[p]:
            break
        seen_from = p
    return seen_from


def _verdict(mine: pd.DataFrame, own: pd.DataFrame) -> tuple[bool, str]:
    """Return whether p = 0 is an alarm, and what the rule says of p = 1."""
    gains = is_gain(mine)
    if gains[1.0] and is_gain(own)[1.0]:
        told = "reads"
    elif own.loc[1.0, "margin"] <= MARGIN_PERCENT:
        told = "does not read"
    else:
        told = "can't be told"
    return bool(gains[0.0]), told


def by_dose(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of NDCG@10 of a table of comparisons, with their p and title.

    Columns dataset, part, title, arm, model, p, change, low, high (percent), n_seeds, and those
    that the rule looks at.
    """
    p_of, rows = doses(study), _changes(table)
    rows = rows[rows["arm"].isin(p_of)]
    return published.with_titles(rows).assign(p=rows["arm"].map(p_of))


def _changes(table: pd.DataFrame) -> pd.DataFrame:
    columns = [*_KEY, "arm", "metric", "k", "change", "low", "high", "n_seeds"]
    columns += ["robust_clustered", "direction", "margin"]
    return ndcg_at_10(table, *columns)[columns]


def by_dial(study: Study, table: pd.DataFrame, arms: Collection[str]) -> pd.DataFrame:
    """Return the changes of NDCG@10 of arms as `dials` has them; those not run are there, empty.

    The index is title, dial, variant; columns change, low, high (percent) and n_seeds. `table` is
    one of comparisons, as ``comparisons`` or ``over_usual``.
    """
    rows = _changes(table).drop(columns=["part", "metric", "k"])
    wanted = [
        {"dataset": dataset, "arm": arm, "model": model}
        for dataset in study.datasets
        for arm in arms
        for model in study.arm(arm).models
    ]
    found = pd.DataFrame(wanted, columns=["dataset", "arm", "model"]).merge(rows, how="left")
    found = published.with_titles(found)
    found = found.assign(variant=found["model"].map(name_of)).rename(columns={"arm": "dial"})
    return found.set_index(["title", "dial", "variant"])[["change", "low", "high", "n_seeds"]]


def at_full(rows: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `by_dose` at p = 1, by dataset and in the order of the verdicts."""
    order = list(dict.fromkeys(verdicts["model"]))
    rows = rows[(rows["p"] == 1) & rows["model"].isin(order)]
    rows = rows.assign(place=rows["model"].map(order.index))
    return rows.sort_values(["dataset", "place"], kind="stable")


def all_doses(study: Study, verdicts: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows that have a p for each dataset, variant and p; those not run are there, empty.

    The index is title, variant, p.
    """
    wanted = published.with_titles(verdicts).merge(
        pd.DataFrame({"p": sorted(doses(study).values())}), how="cross"
    )
    wanted = wanted[["dataset", "title", "model", "p"]]
    told = wanted.merge(rows.drop(columns="title", errors="ignore"), how="left")
    told = told.assign(variant=told["model"].map(name_of))
    return told.set_index(["title", "variant", "p"])


def ceilings(study: Study) -> dict[str, float]:
    """Return what SASRec could gain at p = 1 by each dataset, in percent of its NDCG@10.

    Of unfiltered ranks, which changes have. Who knows the story of `seqattn.data.held` ranks what a
    user has last, so that its level is the same under both.
    """
    if "ceiling" in study.tables:
        told = study.table("ceiling").reindex(columns=["dataset", "ceiling"])
    else:
        told = study.table("best_possible").reindex(
            columns=["dataset", "sees_minutes", "unfiltered"]
        )
        told = told.assign(ceiling=100 * (told["sees_minutes"] / told["unfiltered"] - 1))
    return dict(zip(told["dataset"], told["ceiling"], strict=True))


def travelled(study: Study, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return how long lambda of Add, Mul and Val was trained by dose, and how far it could go.

    The index is that of `all_doses`; steps, λ, possible travel and share used are means over seeds.
    """
    names = {"lam": "λ", "possible": "possible travel", "used": "share used"}
    values = ["steps", *names]
    rows = study.table("travel").reindex(columns=["dataset", "arm", "model", *values])
    rows = rows.assign(p=rows["arm"].map(doses(study)))
    means = rows.groupby(["dataset", "model", "p"], as_index=False)[values].mean()
    told = all_doses(study, verdicts[verdicts["model"].isin(VARIANTS)], means)
    return told[values].rename(columns=names)


def lambdas_by_dose(study: Study) -> pd.DataFrame:
    """Return lambda of Add, Mul and Val by dose: the mean over layers and seeds, with its interval.

    Columns of the table ``lambdas``, with title, p, mean, low and high.
    """
    told = {"lambda_mean": "mean", "seed_low": "low", "seed_high": "high"}
    table = study.table("lambdas").reindex(columns=[*_KEY, "arm", *told])
    table = published.with_titles(table.rename(columns=told))
    p_of = doses(study)
    table = table.assign(p=table["arm"].map(p_of))
    return table[table["model"].isin(VARIANTS) & table["arm"].isin(p_of)]
