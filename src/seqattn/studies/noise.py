"""What noise in evaluation costs SSE-PT, beside the gap to plain models that [AE] prints.

References
----------
[AE] "The Lonely Neighborhood" (2025), table 5, and its released code; see `seqattn.analysis.noise`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd

from seqattn.analysis.attention import load_model
from seqattn.analysis.noise import PUBLISHED, Noise, noisy_ranks
from seqattn.models import MODELS, is_masked
from seqattn.runs.store import Run
from seqattn.stats.metrics import metric
from seqattn.studies.learning import data_of, of_weights
from seqattn.studies.maps import printed
from seqattn.studies.plan import Group
from seqattn.studies.study import Study

DRAWS = 5  # evaluations that are averaged
USERS = (min(PUBLISHED), max(PUBLISHED))  # probabilities of another user
WITH_USERS = tuple(name for name in MODELS if name.startswith("sse-pt"))


def noise(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what SSE-PT reaches where its evaluation is noise, too.

    A row a run, metric at 10 and kind of noise: dataset, arm, model, seed, key, metric, item and
    user (probabilities, see `seqattn.analysis.noise.Noise`), clean, targets (what noise in the
    targets alone would leave) and noisy, the mean over `DRAWS` evaluations. Runs without weights as
    `seqattn.studies.learning.of_weights` says.
    """
    mine = [group for group in groups if group.model in WITH_USERS]
    return of_weights("noise", study, mine, _noise)


def _noise(run: Run, log: str) -> pd.DataFrame:
    dataset, owners = data_of(run, log), run.owners()
    model = load_model(run, dataset)
    any_rank = np.arange(1, dataset.n_items + 1)
    rows = []
    for item, user in product(PUBLISHED, USERS):
        kind, rng = Noise(item, user), np.random.default_rng(run.seed)
        ranks = [noisy_ranks(model, dataset.split, kind, rng) for _ in range(DRAWS)]
        for name in ("Recall", "NDCG"):
            clean = metric(run.ranks("test"), name, 10, owners).mean()
            by_chance = metric(any_rank, name, 10).mean()  # all that a random target gives
            told = {"metric": name, "item": item, "user": user, "clean": clean}
            told["targets"] = (1 - kind.rate) * clean + kind.rate * by_chance
            told["noisy"] = np.mean([metric(r, name, 10, owners).mean() for r in ranks])
            rows.append(told)
    return pd.DataFrame(rows)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return what is left of Recall@10, by dataset, model and kind of noise.

    Parameters
    ----------
    table : DataFrame
        As of `noise`.

    Returns
    -------
    DataFrame
        attention (``AE``, ``AR``), dataset, model, item, user, rate (of targets that are drawn
        anew), ceiling (what noise in the targets alone leaves), left (what is left of the recall
        without noise) and n_seeds.
    """
    keys = ["dataset", "model", "item", "user"]
    table = table.reindex(columns=[*keys, "metric", "clean", "targets", "noisy"])
    groups = table[table["metric"] == "Recall"].groupby(keys, sort=False)
    means, seeds = groups[["clean", "targets", "noisy"]].mean(), groups.size()
    found = means.assign(
        ceiling=means["targets"] / means["clean"],
        left=means["noisy"] / means["clean"],
        n_seeds=seeds,
    ).reset_index()
    found["rate"] = [Noise(p).rate for p in found["item"]]
    found["attention"] = _sides(found["model"])
    return found[["attention", *keys, "rate", "ceiling", "left", "n_seeds"]]


def printed_ratios(design: str = "sse-pt") -> pd.DataFrame:
    """Return Recall@10 of a design over that of the model with cross-entropy, as [AE] prints both.

    A row a (dataset, side): dataset, attention (``AE``, ``AR``), plain, other and ratio. `design`
    is one of Table 5: SSE-PT, or ``bpr``, the plain model with another loss.
    """
    told = printed(5)
    told = told[told["design"].isin(["ce", design])]
    told = told.pivot(index=["dataset", "attention"], columns="design", values="R@10")
    told = told.rename(columns={"ce": "plain", design: "other"}).rename_axis(columns=None)
    return told.assign(ratio=told["other"] / told["plain"]).reset_index()


def beside_plain(levels: pd.DataFrame) -> pd.Series:
    """Return Recall@10 of SSE-PT, evaluated without noise, over that of the plain model.

    Means over the seeds that each has, without an interval.

    Parameters
    ----------
    levels : DataFrame
        The table of that name of the study `ae_or_ar`.

    Returns
    -------
    Series
        By (dataset, attention), ``AE`` or ``AR``, where both were run.
    """
    columns = ["dataset", "arm", "model", "kind", "metric", "mean"]
    levels = levels.reindex(columns=columns)
    mine = levels[(levels["kind"] == "unfiltered") & (levels["metric"] == "Recall")]
    keys = ["dataset", "attention"]
    arms = mine.assign(attention=_sides(mine["model"])).set_index(["arm", *keys])["mean"]
    arms = arms.unstack("arm").reindex(columns=["sse-pt", "vanilla"])
    return (arms["sse-pt"] / arms["vanilla"]).dropna()


def _sides(models: Iterable[str]) -> list[str]:
    return ["AE" if is_masked(model) else "AR" for model in models]
