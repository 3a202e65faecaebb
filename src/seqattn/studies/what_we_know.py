"""What several studies say together, for the page "What we know": short tables of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from seqattn.config import BASELINE, DESIGNS, MARGIN_PERCENT, SEEDS
from seqattn.plots.style import name_of
from seqattn.studies import placebo, targets, travel
from seqattn.studies.ia import published
from seqattn.studies.ia.agreement import OPEN
from seqattn.studies.judge import ALPHA, leaves_out_0, ndcg_at_10, with_columns
from seqattn.studies.rules import whole
from seqattn.studies.study import Study
from seqattn.studies.texts import ARMS, NOT_RUN, change, estimate, percent, share, span

NEUTRAL = ("shared_backbone", "fixed")  # backbones that no search of the variant chose


def answer(pools: pd.DataFrame, arms: Sequence[str] = NEUTRAL) -> str:
    """Return whether the pools of arms show one effect on both targets and under both rankings.

    `pools` is of `seqattn.studies.targets.pools`. One pool that leaves out 0 is no answer: test and
    validation, filtered and not, are four looks at one question. Where they do not agree, it says
    how many intervals leave out 0, and how many lie within the margin of equivalence.
    """
    mine = pools[pools["arm"].isin(list(arms))]
    if len(mine) < len(arms) * len(targets.TARGETS) * len(targets.KINDS):
        return "can't be told"
    if (mine["low"] > 0).all():
        return "yes"
    if (mine["high"] < 0).all():
        return "it harms"
    off = leaves_out_0(mine).sum()
    small = (mine[["low", "high"]].abs() < MARGIN_PERCENT).all(axis=1).sum()
    return (
        f"not shown: of the 95 % intervals of {len(mine)} average changes, {off} leave out 0 and "
        f"{small} lie within ±{MARGIN_PERCENT:g} %"
    )


def of_fixed(study: Study) -> pd.DataFrame:
    """Return the changes with real intensities of the study of placebos in `fixed`.

    Rows of `seqattn.studies.targets.changes`, their arm called ``fixed``, with ``counted``.
    """
    real = targets.pick(study.table("changes"), arm=placebo.REAL)
    counted = travel.counted(real, travel.by_cell(study.table("travel")))
    return real.assign(counted=counted, arm="fixed")


def of_best(levels: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return SASRec's unfiltered NDCG@10 by dataset in an arm, and the best of its other models.

    Columns ``sasrec`` and ``best``, of what has all seeds of the protocol and no part of the users;
    `levels` is a table of that name.
    """
    columns = ["dataset", "arm", "part", "model", "kind", "metric", "mean", "n_seeds"]
    rows = levels.reindex(columns=columns)
    rows = rows[rows["n_seeds"] >= len(SEEDS)]
    rows = targets.pick(rows, arm=arm, part=False, kind="unfiltered", metric="NDCG")
    wide = rows.pivot(index="dataset", columns="model", values="mean")
    others = wide.drop(columns=BASELINE, errors="ignore").max(axis=1)
    return pd.DataFrame({BASELINE: wide.get(BASELINE), "best": others})


def judged(cells: pd.DataFrame) -> pd.DataFrame:
    """Return what each design says of the paper's datasets: one column per design.

    Comparisons at 10, robust gains and losses among them, equivalent NDCG@10 changes and the
    largest NDCG@10 change. `cells` is a study's table ``comparisons``.
    """
    if len(cells):
        cells = cells[published.of_paper(cells)]
    return pd.DataFrame({ARMS[arm]: _judged(whole(cells, arm, 10)) for arm in DESIGNS})


def _judged(cells: pd.DataFrame) -> dict[str, object]:
    if cells.empty:
        return {"comparisons at 10": 0}
    ndcg = published.with_titles(cells[cells["metric"] == "NDCG"])
    largest = ndcg.loc[ndcg["change"].abs().idxmax()]
    interval = span(largest["low"], largest["high"])
    directions = cells.loc[cells["robust"], "direction"]
    return {
        "comparisons at 10": len(cells),
        "on": ", ".join(dict.fromkeys(ndcg["title"])),
        "robust gains": int((directions > 0).sum()),
        "robust losses": int((directions < 0).sum()),
        "NDCG@10 changes shown to be equivalent": share(ndcg["equivalent"].eq(True)),
        "largest NDCG@10 change, %": f"{percent(largest['change'])} {interval}",
        "which is": f"{name_of(largest['model'])} on {largest['title']}",
    }


def leads_table(leads: pd.DataFrame) -> pd.DataFrame:
    """Return where a baseline's NDCG@10 is above SASRec's, of `seqattn.studies.levels.leads`."""
    rows = []
    leads = leads.sort_values("kind", ascending=False, kind="stable")  # unfiltered first
    for row in published.with_titles(leads).itertuples():
        lead = f"{percent(row.change)} {span(row.change_low, row.change_high)}"
        names = (row.title, row.kind, name_of(row.model))
        rows.append((*names, f"{row.base:.4f}", f"{row.mean:.4f}", lead))
    columns = ["dataset", "ranking", "baseline", "SASRec's NDCG@10", "the baseline's", "change, %"]
    return pd.DataFrame(rows, columns=columns).set_index(columns[:3])


def patience_table(patience: pd.DataFrame) -> pd.DataFrame:
    """Return SASRec's test NDCG@10 as published, and with more patience on each backbone.

    `patience` is the table of that study. A backbone that was not run is missing.
    """
    mine = published.with_titles(patience)
    rows: dict[str, dict[str, float]] = {}
    for row in mine.itertuples():
        told = rows.setdefault(row.title, {})
        if row.model == BASELINE and row.against == "usual":
            told["as published"] = row.base
            told["more patience, its own search"] = row.level
        elif row.against == "patient_control":
            told[f"more patience, {name_of(row.model)}'s search"] = row.base
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("dataset")


def told_conclusions(conclusions: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts of those of the paper's conclusions that stand or fall in some design.

    `conclusions` is of `seqattn.studies.ia.tables.conclusions`.
    """
    verdicts = conclusions[list(ARMS.values())]
    return verdicts[verdicts.ne(OPEN).any(axis=1)]


def robust_luck(others: pd.DataFrame) -> pd.DataFrame:
    """Return the robust ones of `seqattn.studies.arms.other_searches`, with whose search it was."""
    rows = [
        (row["title"], f"{name_of(row['model'])}'s", change(row))
        for row in others[others["robust"].astype(bool)].to_dict("records")
    ]
    columns = ["dataset", "whose search", "SASRec's NDCG@10 change, %"]
    return pd.DataFrame(rows, columns=columns).set_index(columns[:2])


def detectable(needs: pd.DataFrame, largest: float) -> pd.DataFrame:
    """Return the comparisons whose effect is found most and least easily, by the clustered rule.

    Parameters
    ----------
    needs : DataFrame
        dataset, arm, part, model and robust_clustered: the effect, in percent, that the rule finds
        in four studies of five; NaN if none that was simulated.
    largest : float
        The largest effect simulated.
    """
    effect = needs["robust_clustered"].fillna(np.inf)
    rows = []
    for place in (effect.idxmin(), effect.idxmax()):
        row, size = needs.loc[place], effect[place]
        title = published.title(row["dataset"], part=bool(row["part"]))
        told = f"> {largest:g}" if np.isinf(size) else f"{size:.1f}"
        rows.append((title, name_of(row["model"]), ARMS[row["arm"]], told))
    columns = ["dataset", "variant", "design", "effect found in four studies of five, %"]
    frame = pd.DataFrame(rows, columns=columns).set_index(columns[:3])
    return frame.assign(among=["the smallest", "the largest"])


def whole_changes(cells: pd.DataFrame, arm: str, dataset: str) -> pd.DataFrame:
    """Return the NDCG@10 rows of a table ``comparisons`` of one arm and dataset with all seeds."""
    rows = ndcg_at_10(cells, "arm", "dataset", "model", "n_seeds", "low", "high")
    return targets.pick(rows, arm=arm, dataset=dataset, n_seeds=len(SEEDS))


def told_epochs(runs: pd.DataFrame, arm: str, dataset: str) -> str:
    """Return the mean epoch that was kept of each model, as ``SASRec 44, Add 60``."""
    runs = with_columns(runs, ["arm", "dataset", "model", "best_epoch"])
    rows = targets.pick(runs, arm=arm, dataset=dataset)
    means = rows.groupby("model", sort=False)["best_epoch"].mean()
    return ", ".join(f"{name_of(model)} {epoch:.0f}" for model, epoch in means.items())


def told_ways(runs: pd.DataFrame) -> str:
    """Return on what the runs of each model were fitted, as ``SASRec 1 on CPU, 4 on A100``.

    `runs` is some rows of the table of that name; stacked fits are named.
    """
    runs = with_columns(runs, ["model", "device", "together"])
    on = runs["device"].astype(str).str.split(",").str[0].map("on {}".format)
    stacked = runs["together"].map(lambda n: f" ({n:.0f} at once)" if n > 1 else "")
    told = []
    for model, ways in (on + stacked).groupby(runs["model"], sort=False):
        counts = ways.value_counts(sort=False).items()
        told.append(f"{name_of(str(model))} {', '.join(f'{n} {way}' for way, n in counts)}")
    return "; ".join(told) or NOT_RUN


def told_failed(cells: pd.DataFrame, arm: str, dataset: str) -> str:
    """Return why changes of NDCG@10 are not robust by the paper's rule, in a sentence's words.

    As ``Add: 1 of 5 seeds show it alone; Val: t-test p = 0.17, 0 of 5 seeds show it alone``, of
    those that `told_changes` has; "not run" if there are none.
    """
    rows = whole_changes(cells, arm, dataset)
    if rows.empty:
        return NOT_RUN
    told = []
    for row in rows[~rows["robust"].eq(True)].itertuples():
        alone = row.seeds_positive if row.direction > 0 else row.seeds_negative
        p_values = {"t-test": row.t_p_value, "bootstrap": row.pooled_p_value}
        parts = [f"{test} p = {p:.2g}" for test, p in p_values.items() if p >= ALPHA]
        if 2 * alone <= row.n_seeds:
            parts.append(f"{alone} of {row.n_seeds} seeds show it alone")
        told.append(f"{name_of(row.model)}: {', '.join(parts)}")
    return "; ".join(told) or "none is not"


def beyond_zero(changes: pd.DataFrame) -> dict[str, str]:
    """Return which changes leave out 0 on test, unfiltered, in words, by three intervals.

    ``crossed`` is over users and seeds; ``alone`` are those of them whose seeds' own part of the
    variance is estimated as none, so that users alone stand behind them; ``owen`` is the pigeonhole
    bootstrap, which estimates no part and is wider on average. `changes` is a table of that name.
    """
    rows = published.with_titles(targets.pick(changes, target="test", kind="unfiltered"))
    off = rows[leaves_out_0(rows)]
    wide = rows[leaves_out_0(rows, "owen_")]
    alone = off[off["error"] <= off["users_error"] * (1 + 1e-9)]
    return {
        name: f"{len(mine)} of {len(rows)}"
        + (f" ({', '.join(name_of(row.model) for row in mine.itertuples())})" if len(mine) else "")
        for name, mine in {"crossed": off, "alone": alone, "owen": wide}.items()
    }


def told_changes(cells: pd.DataFrame, arm: str, dataset: str) -> str:
    """Return the NDCG@10 changes of one arm on one dataset in a sentence's words.

    Each as ``+2.4 % [+1.1, +3.8] (Add)``, of those that have all seeds of the protocol; "not run"
    if there are none. `cells` is a study's table ``comparisons``.
    """
    told = [
        f"{percent(row.change)} % {span(row.low, row.high)} ({name_of(row.model)})"
        for row in whole_changes(cells, arm, dataset).itertuples()
    ]
    return ", ".join(told) or NOT_RUN


def families(verdicts: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """Return what the rule of placebos came to in each family of comparisons, and their pools.

    Parameters
    ----------
    verdicts : DataFrame
        Rows of `seqattn.studies.placebo.verdicts` with `family` and `counted`, whether their fits
        were long enough to count (`seqattn.studies.travel.counted`).
    changes : DataFrame
        Rows of `seqattn.studies.targets.changes` of real intensities, with the same two columns.
        Those that count are pooled, unfiltered.

    Returns
    -------
    DataFrame
        By family: `combinations`, how many came to each verdict or were not run, how many verdicts
        rest on fits long enough to count, and the pooled change of NDCG@10 on test and on
        validation, as text, with how many changes on how many datasets that is.
    """
    rows = {}
    counted = targets.pick(changes, counted=True, kind="unfiltered")
    for name, mine in verdicts.groupby("family", sort=False):
        numbers = mine["verdict"].value_counts()
        row: dict[str, object] = {"combinations": len(mine)}
        row |= {verdict: int(numbers.get(verdict, 0)) for verdict in (*placebo.VERDICTS, NOT_RUN)}
        row["of long fits"] = int((mine["counted"] & mine["verdict"].isin(placebo.VERDICTS)).sum())
        for target, title in zip(targets.TARGETS, ("test", "validation"), strict=True):
            row[f"{title}, %"] = _pooled(targets.pick(counted, family=name, target=target))
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("family")


def _pooled(changes: pd.DataFrame) -> str:
    logs = changes["dataset"].nunique()
    if not targets.can_be_pooled(changes):
        return f"{len(changes)} on {logs}, no average" if len(changes) else "none"
    pool = targets.pool(changes)
    return f"{estimate(pool.estimate, *pool.ci)}, {len(changes)} on {logs}"
