"""How much was run, how long it took and where it stopped, from a study's tables.

Frames in, frames out; see `seqattn.studies.tables` for their columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from seqattn.audit.records import RECORDS, dataset_record
from seqattn.config import BASELINE, SEEDS
from seqattn.errors import SeqattnError
from seqattn.plots.style import name_of
from seqattn.stats.metrics import metric
from seqattn.studies.study import Study
from seqattn.studies.texts import span

_ARM = ["dataset", "arm", "part"]
# How far something was run. Of a log of which only a half has time stamps, all runs may be there.
WHOLE, HALF, PART = "whole", "half of the log, fully run", "in part"
# How a lead is said to be ranked.
RANKINGS = {"unfiltered": "over all items", "filtered": "without the items already seen"}


def at_random(dataset: str) -> float:
    """Return the NDCG@10 of a random order of all items, from the dataset's kept record.

    Raises
    ------
    SeqattnError
        There is no record of the dataset.
    """
    record = dataset_record(dataset)
    if record is None:
        folder = RECORDS / dataset
        raise SeqattnError(
            f"there is no {folder / 'dataset.json'}; run `seqattn prepare {dataset} -o {folder}`"
        )
    n_items = record["steps"][-1]["items"]
    return float(metric(np.arange(1, 11), "NDCG", 10).sum() / n_items)


def effort(study: Study, searches: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each arm's searches and fits took: one row per (dataset, arm).

    SASRec's search and fits serve both designs and are counted in its own search's. Seeds fitted
    together on a GPU are counted once. A model of an arm that has no search there is named.

    Returns
    -------
    DataFrame
        dataset, arm, part, run (`WHOLE`, `HALF` or `PART`), trials and seeds ("25 of 25 each", or
        each model's that falls short), search_hours, fit_hours, device and commit.
    """
    fits = _own(runs)
    # Seeds that were fitted together each hold the time of all.
    fits = fits.assign(hours=fits["hours"] / fits["together"])
    rows = []
    for key, mine in searches.groupby(_ARM, sort=False):
        dataset, arm, _ = key
        here = fits[(fits["dataset"] == dataset) & (fits["arm"] == arm)]
        borrowed = arm == "shared_backbone"
        own = mine[mine["model"] != BASELINE] if borrowed else mine
        fitted = here[here["model"] != BASELINE] if borrowed else here
        wanted = pd.Series(len(SEEDS), mine.index)
        absent = [m for m in study.arm(arm).models if m not in set(mine["model"])]
        lacks = _short(own, "trials", own["trials_asked"], own["shortfall"]).any()
        lacks |= _short(mine, "seeds", wanted).any() or bool(absent)
        rows.append(
            dict(zip(_ARM, key, strict=True))
            | {
                "run": PART if lacks else HALF if key[2] else WHOLE,
                "trials": _each(own, "trials", absent, own["trials_asked"], own["shortfall"]),
                "seeds": _each(mine, "seeds", absent, wanted),
                "search_hours": own["search_hours"].sum(),
                "fit_hours": fitted["hours"].sum(),
                "device": "; ".join(sorted({*mine["device"], *here["device"]})),
                "commit": ", ".join(sorted({*mine["commit"], *here["commit"]})),
            }
        )
    return pd.DataFrame(rows)


def _each(
    mine: pd.DataFrame,
    what: str,
    absent: Sequence[str],
    asked: pd.Series,
    lacking: pd.Series | None = None,
) -> str:
    """Return "5 of 5 each", or what falls short, model by model; `absent` ones have none."""
    short = _short(mine, what, asked, lacking)
    if not short.any() and not absent:
        return f"{asked.max()} of {asked.max()} each"
    told = "" if lacking is None else lacking.fillna("")
    names = mine["model"].map(name_of)
    counts = mine[what].astype(str) + " of " + asked.astype(str)
    lines = (names + " " + counts + (" (" + told + ")" if len(told) else ""))[short]
    return "; ".join([*lines, *(f"{name_of(model)} none" for model in absent)])


def _short(
    mine: pd.DataFrame, what: str, asked: pd.Series, lacking: pd.Series | None = None
) -> pd.Series:
    """Return which models have less than was asked for, or a search that was cut short."""
    short = mine[what] < asked
    return short if lacking is None else short | lacking.fillna("").ne("")


def _own(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that are no baseline of a variant's backbone."""
    return runs[runs["base_of"].isna() | runs["base_of"].eq("")]


def cut_by_limit(runs: pd.DataFrame) -> pd.Series:
    """Return which rows of a table ``runs`` the limit of epochs ended, before patience ran out."""
    waited = runs["epochs"] - runs["best_epoch"]
    return (runs["epochs"] == runs["limit"]) & (waited < runs["patience"])


def best_epochs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return where each model's fits were best: one row per (dataset, arm, model).

    Returns
    -------
    DataFrame
        dataset, arm, part, model, median, least, most (best epoch over seeds, the first is 1),
        fits, and at_the_limit, how many fits `cut_by_limit`.
    """
    fits = _own(runs)
    ended = fits.assign(ended=cut_by_limit(fits))
    grouped = ended.groupby([*_ARM, "model"], sort=False)
    return grouped.agg(
        median=("best_epoch", "median"),
        least=("best_epoch", "min"),
        most=("best_epoch", "max"),
        fits=("seed", "size"),
        at_the_limit=("ended", "sum"),
    ).reset_index()


def leads(baselines: pd.DataFrame) -> pd.DataFrame:
    """Return where another model's NDCG@10 is above SASRec's, with SASRec's level.

    `baselines` is the table of that name; so are the columns, with ``base``, SASRec's mean.
    """
    ndcg = baselines[baselines["metric"] == "NDCG"]
    level = ndcg[ndcg["model"] == BASELINE].set_index(["dataset", "kind"])["mean"].rename("base")
    return ndcg[ndcg["change"] > 0].join(level, on=["dataset", "kind"])


def largest_lead(told: pd.DataFrame) -> dict[str, object]:
    """Return the largest of `leads` for a sentence: best, where, lead (percent), ends, ranking.

    `told` has a column title. Without any lead, words say so and the number is NaN.
    """
    if told.empty:
        return {"best": "none", "where": "any", "lead": np.nan, "ends": "", "ranking": "so far"}
    row = told.loc[told["change"].idxmax()]
    return {
        "best": name_of(row["model"]),
        "where": row["title"],
        "lead": row["change"],
        "ends": span(row["change_low"], row["change_high"]),
        "ranking": RANKINGS[row["kind"]],
    }
