"""AR's gain over AE: as [AE] prints it beside ours, and over how local a dataset is.

References
----------
[AE] Tables 4 to 6, single runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from seqattn.analysis.locality import locality as of_split
from seqattn.data import Dataset, load_dataset
from seqattn.runs.results import on_common_seeds, value_matrix
from seqattn.studies.ae_ar import both_sides
from seqattn.studies.judge import change
from seqattn.studies.learning import of_logs
from seqattn.studies.maps import printed
from seqattn.studies.plan import Group
from seqattn.studies.study import Study
from seqattn.studies.texts import NOT_RUN, estimate

RELEASED = "as released"  # the arm of Table 4
# Arms that [AE]'s Tables 5 and 6 call otherwise: its AE has no samples of the last item alone.
_ARMS = {"ce": "vanilla, no last"}
_METRICS = {"R": "Recall", "N": "NDCG"}
SIX = [(metric, k) for metric in _METRICS.values() for k in (5, 10, 20)]


def printed_gains() -> pd.DataFrame:
    """Return what [AE] prints of AE and AR in its Tables 4 to 6, by our names.

    A row a (arm, dataset, metric, k): ae, ar and gain, AR's in percent of AE.
    """
    tables = [printed(4).assign(design=RELEASED), printed(5), printed(6)]
    told = pd.concat(tables).rename(columns={"design": "arm"}).replace({"arm": _ARMS})
    told = told.melt(["arm", "dataset", "attention"], var_name="printed")
    told = told.pivot(index=["arm", "dataset", "printed"], columns="attention", values="value")
    told = told.rename_axis(columns=None).reset_index().rename(columns=str.lower)
    told["metric"], told["k"] = told["printed"].str[0].map(_METRICS), told["printed"].str[2:]
    told = told.astype({"k": int})
    told["gain"] = 100 * (told["ar"] / told["ae"] - 1)
    return told[["arm", "dataset", "metric", "k", "ae", "ar", "gain"]]


def plain(dataset: str) -> str:
    """Return a dataset's name without the filter it went through, as [AE]'s tables have it."""
    return dataset.removesuffix("-one-pass")


def beside_printed(rows: pd.DataFrame) -> pd.DataFrame:
    """Put AR's change in NDCG@10 beside that of [AE]'s Tables 5 and 6, single runs.

    Parameters
    ----------
    rows : DataFrame
        As of `seqattn.studies.ae_ar.verdicts`.

    Returns
    -------
    DataFrame
        A row a (arm, dataset) that is printed and that the study names: ae, ar and gain (in
        percent) as printed, then change, low, high and n_seeds, NaN where a pair was not run.
    """
    told = printed_gains().query("metric == 'NDCG' and k == 10 and arm != @RELEASED")
    told = told.rename(columns={"dataset": "plain"}).drop(columns=["metric", "k"])
    both = rows.assign(plain=rows["dataset"].map(plain)).merge(told, on=["arm", "plain"])
    return both[["arm", "dataset", "ae", "ar", "gain", "change", "low", "high", "n_seeds"]]


def six(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return AR's change over AE in the six metrics that [AE] prints, from ranks.

    A row a (dataset, arm, metric, k): base, AE's mean; change, with low and high over users and
    seeds, in percent of it; n_seeds, those that both have; at least two, or the row is absent.
    """
    rows = []
    for (dataset, arm), *pair in both_sides(groups):
        ae, ar = on_common_seeds({group.model: group.runs for group in pair}).values()
        for metric, k in SIX if len(ae) > 1 else ():
            row = {"dataset": dataset, "arm": arm, "metric": metric, "k": k, "n_seeds": len(ae)}
            rows.append(row | change(*(value_matrix(runs, metric, k) for runs in (ae, ar))))
    columns = ["dataset", "arm", "metric", "k", "base", "change", "low", "high", "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


def six_beside_printed(ours: pd.DataFrame) -> pd.DataFrame:
    """Put AR's changes in six metrics beside those that [AE] prints.

    Parameters
    ----------
    ours : DataFrame
        The table ``six``.

    Returns
    -------
    DataFrame
        A row a (arm, dataset, metric, k) that is printed or ours, datasets without their filter:
        ae, ar and gain as printed, change, low, high and n_seeds of ours; NaN where one is not.
    """
    keys = ["arm", "dataset", "metric", "k"]
    ours = ours.assign(dataset=ours["dataset"].map(plain))
    columns = [*keys, "change", "low", "high", "n_seeds"]
    return printed_gains().merge(ours[columns], on=keys, how="outer")


def six_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return `six_beside_printed` as text, a column a metric: what is printed above ours."""

    def told(row: dict[str, Any]) -> str:
        lines = [] if pd.isna(row["gain"]) else [f"printed {row['gain']:+.0f}"]
        if pd.notna(row["change"]):
            lines.append(estimate(row["change"], row["low"], row["high"]))
        return "\n".join(lines)

    cells = rows.assign(
        told=[told(row) for row in rows.to_dict("records")],
        column=rows["metric"] + "@" + rows["k"].astype(str),
    )
    names = [f"{metric}@{k}" for metric, k in SIX]
    wide = cells.pivot(index=["arm", "dataset"], columns="column", values="told")
    return wide[names].rename_axis(columns=None)


def said_of_gains(rows: pd.DataFrame, n_seeds: int) -> pd.DataFrame:
    """Return what [AE] says of where AR gains more, in its tables and in whole pairs of ours.

    Three claims: more in NDCG than in Recall (5.1 to 5.3), more on sparse datasets (5.3), least
    with a local head (Figure 5b). A gain is the mean over the cut-offs, or over all six metrics.

    Parameters
    ----------
    rows : DataFrame
        As of `six_beside_printed`.
    n_seeds : int
        Pairs of ours with fewer are left out.

    Returns
    -------
    DataFrame
        A row a claim; printed and ours say how often it holds, or how density and gain agree.
    """
    sides = {"printed": rows.dropna(subset=["gain"])}
    ours = rows[rows["n_seeds"].ge(n_seeds)].drop(columns="gain").rename(columns={"change": "gain"})
    sides["ours"] = ours[ours["arm"].isin(sides["printed"]["arm"])]
    return pd.DataFrame(
        {
            "more in NDCG than in Recall, pairs": {k: _more_in_ndcg(v) for k, v in sides.items()},
            **{
                f"more on sparse datasets, Table {table}": {
                    k: _over_density(v[v["arm"].isin(arms)]) for k, v in sides.items()
                }
                for table, arms in arms_by_table().items()
            },
            "least with a local head, datasets": {k: _least_local(v) for k, v in sides.items()},
        }
    ).T


def arms_by_table() -> dict[int, list[str]]:
    """Return our names of what each of [AE]'s Tables 4 to 6 compares."""
    of = {n: list(printed(n)["design"].replace(_ARMS).unique()) for n in (5, 6)}
    return {4: [RELEASED], **of}


def _more_in_ndcg(rows: pd.DataFrame) -> str:
    """Return in how many pairs the mean gain in NDCG is above that in Recall."""
    gain = rows.pivot_table(index=["arm", "dataset"], columns="metric", values="gain")
    return f"{(gain['NDCG'] > gain['Recall']).sum()} of {len(gain)}" if len(gain) else NOT_RUN


def _over_density(rows: pd.DataFrame) -> str:
    """Return the rank correlation of printed density and mean gain; below 0, sparse gains more."""
    gain = rows.groupby("dataset")["gain"].mean()
    table = printed(1).set_index("dataset")
    density = table["interactions"] / (table["users"] * table["items"])
    gain = gain[gain.index.isin(density.index)]
    rho, p = rank_agreement(density[gain.index], gain)
    told = f"rank correlation {rho:+z.2f} (p = {p:.2f})"
    return "fewer than three of its datasets" if np.isnan(rho) else told


def _least_local(rows: pd.DataFrame) -> str:
    """Return on how many datasets with all of Table 5's designs the local gain is the least."""
    arms = arms_by_table()[5]
    gain = rows[rows["arm"].isin(arms)].pivot_table(index="dataset", columns="arm", values="gain")
    gain = gain.reindex(columns=arms).dropna()
    if gain.empty:
        return NOT_RUN
    on_the_mean = "yes" if gain.mean().idxmin() == "local" else "no"
    alone = (gain.idxmin(axis=1) == "local").sum()
    return f"on their mean: {on_the_mean}; on one alone: {alone} of {len(gain)}"


def locality(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return how local each dataset is: its name and `seqattn.analysis.locality.locality`.

    A dataset that is not at hand keeps the row that was kept of it.
    """

    def row(name: str, data: Dataset) -> pd.DataFrame:
        return pd.DataFrame([{"dataset": name} | of_split(data.split)]).round(8)

    return of_logs("locality", study, study.datasets, load_dataset, row)


def over_locality(rows: pd.DataFrame, local: pd.DataFrame, n_seeds: int) -> pd.DataFrame:
    """Return AR's gains in NDCG@10, printed and ours, beside how local their datasets are.

    Parameters
    ----------
    rows : DataFrame
        As of `seqattn.studies.ae_ar.verdicts`.
    local : DataFrame
        As of `locality`.
    n_seeds : int
        Pairs of ours with fewer are left out.

    Returns
    -------
    DataFrame
        A row a (arm, dataset): printed, gain (percent of AE), low and high (NaN where printed),
        locality.
    """
    told = printed_gains().query("metric == 'NDCG' and k == 10").assign(printed=True)
    named = local.assign(plain=local["dataset"].map(plain))
    of_data = named.set_index("plain")[["dataset", "locality"]]
    told = told.rename(columns={"dataset": "plain"}).join(of_data, on="plain", how="inner")
    ours = rows[rows["n_seeds"] >= n_seeds].rename(columns={"change": "gain"})
    ours = ours.merge(local[["dataset", "locality"]], on="dataset").assign(printed=False)
    columns = ["arm", "dataset", "printed", "gain", "low", "high", "locality"]
    found = [frame.reindex(columns=columns) for frame in (told, ours) if len(frame)]
    return pd.concat(found, ignore_index=True)


def rank_agreement(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return Spearman's correlation of a few points, and its p-value over all their orders.

    NaN for fewer than three points. Up to eight points, all orders are counted; of more, the same
    ones are drawn each time.
    """
    x_N, y_N = (stats.zscore(stats.rankdata(side)) for side in (x, y))
    if len(x_N) < 3:
        return np.nan, np.nan

    def correlation(x_in_orders: np.ndarray, axis: int) -> np.ndarray:
        return (x_in_orders * y_N).mean(axis=axis)

    told = stats.permutation_test(
        (x_N,),
        correlation,
        vectorized=True,
        permutation_type="pairings",
        n_resamples=50_000,
        random_state=np.random.default_rng(0),
    )
    return float(told.statistic), float(told.pvalue)
