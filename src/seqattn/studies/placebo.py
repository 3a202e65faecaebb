"""Whether a gain is information: real intensities beside placebos of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from seqattn.analysis.lambdas import t_interval
from seqattn.config import BASELINE, BY_ITEM, MARGIN_PERCENT, PLACEBOS
from seqattn.errors import SeqattnError
from seqattn.plots.style import name_of
from seqattn.studies import targets
from seqattn.studies.ia import published
from seqattn.studies.judge import is_gain, judge, leaves_out_0, ndcg_at_10, stacked, with_columns
from seqattn.studies.plan import Group, counterpart
from seqattn.studies.study import Study
from seqattn.studies.texts import NOT_RUN, counted, estimate

REAL = "real"
VERDICTS = ("information", "channel", "nothing", "can't be told")
NO_PLACEBO = "no placebo"
_PAIR = ["dataset", "part", "arm", "model", "against"]


def real_arm(arm: str) -> str | None:
    """Return the arm with real intensities that an arm shuffles; None: it shuffles none.

    ``within`` is a placebo of ``real``, ``doses within`` one of ``doses``. ``items`` is no placebo:
    it is compared with the real ones, and no verdict looks at it.
    """
    stem, _, kind = arm.rpartition(" ")
    return (stem or REAL) if kind in (*PLACEBOS, BY_ITEM) else None


def _kind(arm: str) -> str:
    """Return what an arm's name ends in: of a placebo, how intensities were shuffled."""
    return arm.rpartition(" ")[2]


def over_placebo(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge real intensities against each placebo of the same model.

    A row a (dataset, arm, part, model, metric, k), `arm` being the placebo's; columns of
    `seqattn.studies.judge.judge`, with the placebo's runs as the baseline.
    """
    return same_model(_against_placebos(groups))


def changes_over_placebo(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return `seqattn.studies.targets.changes` of real intensities against each placebo.

    Rows have the placebo's arm, and `base` is the placebo's NDCG@10.
    """
    return targets.changes(study, _against_placebos(groups))


def pairs(changes: pd.DataFrame, over: pd.DataFrame) -> pd.DataFrame:
    """Return each change that a verdict is made of, by design.

    Parameters
    ----------
    changes, over : DataFrame
        The tables ``changes`` and ``changes_over_placebo``.

    Returns
    -------
    DataFrame
        Their rows with `arm` the one of real intensities, `what` is changed (``real`` or a placebo)
        and what it is compared with, `against` (SASRec or a placebo).
    """
    over_sasrec = _told(changes).assign(against=BASELINE)
    over_placebo = _told(over).rename(columns={"what": "against"}).assign(what=REAL)
    return with_columns(stacked([over_sasrec, over_placebo]), over_sasrec.columns)


def _told(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with `arm` that of real intensities, and `what`: real, or which placebo."""
    arms = table.get("arm", pd.Series(dtype=str))
    reals = arms.map(lambda arm: real_arm(arm) or arm)
    kinds = arms.str.split().str[-1]
    return table.assign(arm=reals, what=kinds.where(arms != reals, REAL))


def _against_placebos(groups: Sequence[Group]) -> list[Group]:
    """Return the groups of placebos, each as what real intensities are compared with."""
    return [
        replace(group, base=group.runs, runs=counterpart(groups, group, real).runs)
        for group in groups
        if (real := real_arm(group.arm))
    ]


def same_model(groups: Iterable[Group]) -> pd.DataFrame:
    """Judge groups whose base is of their own model, as rows of these groups."""
    return stacked(judge(g.base, {g.model: g.runs}).assign(**g.key) for g in groups)


def over_arms(base_of: Mapping[str, str], groups: Sequence[Group]) -> pd.DataFrame:
    """Judge some arms' models against the same models in other arms, by the arms' names."""
    return same_model(
        replace(g, base=counterpart(groups, g, base_of[g.arm]).runs)
        for g in groups
        if g.arm in base_of and g.model != BASELINE
    )


def verdicts(study: Study, cells: pd.DataFrame, over: pd.DataFrame) -> pd.DataFrame:
    """Return what the study's rule says of each dataset, arm of real intensities and variant.

    Parameters
    ----------
    cells : DataFrame
        The table ``comparisons``: real intensities and placebos, each against SASRec.
    over : DataFrame
        The table ``over_placebo``.

    Returns
    -------
    DataFrame
        Columns dataset, arm, model, part, seeds (the least of the comparisons with SASRec) and
        verdict: information, channel, nothing, can't be told, or not run, which it is without all
        seeds of SASRec, of real intensities and of each of the model's placebos. It is "no placebo"
        where the study has none of the model.

    Raises
    ------
    SeqattnError
        An arm that shuffles intensities does not say so by its name, or is a placebo of none.
    """
    placebos = placebos_of(study)
    columns = ["dataset", "part", "arm", "model", "n_seeds"]
    columns += ["robust_clustered", "direction", "equivalent"]
    above, better = (ndcg_at_10(table, *columns) for table in (cells, over))
    rows = []
    for dataset, (real, arms) in product(study.datasets, placebos.items()):
        for model in (name for name in study.arm(real).models if name != BASELINE):
            own = [arm for arm in arms if model in study.arm(arm).models]
            mine, theirs = (
                table[(table["dataset"] == dataset) & (table["model"] == model)].set_index("arm")
                for table in (above, better)
            )
            seeds = int(mine["n_seeds"].reindex([real, *own]).fillna(0).min())
            whole = seeds == len(study.seeds) and set(own) <= set(theirs.index)
            told = _verdict(mine, theirs, real, own) if own and whole else NO_PLACEBO
            verdict = told if whole else NOT_RUN
            rows.append((dataset, real, model, mine["part"].eq(True).any(), seeds, verdict))
    return pd.DataFrame(rows, columns=["dataset", "arm", "model", "part", "seeds", "verdict"])


def placebos_of(study: Study) -> dict[str, list[str]]:
    """Return the placebos of each arm with real intensities, which are told by their names.

    Raises
    ------
    SeqattnError
        An arm's name says another placebo than its settings, or of an arm that there is not; or a
        placebo has a model that its arm with real intensities lacks.
    """
    found: dict[str, list[str]] = {arm.name: [] for arm in study.arms if not real_arm(arm.name)}
    for arm in study.arms:
        kind, real = arm.settings.train.get("intensity", REAL), real_arm(arm.name)
        said = arm.name.split()[-1]
        if {kind, said} & {*PLACEBOS} and (said != kind or real not in found):
            raise SeqattnError(
                f"study {study.name}: arm {arm.name!r} has intensity {kind!r}; an arm called "
                "'within' or 'across' has that intensity and is a placebo of an arm 'real', and "
                "'NAME within' is one of an arm NAME: give it the name, the intensity or the arm"
            )
        if real in found:
            lacking = [model for model in arm.models if model not in study.arm(real).models]
            if lacking:
                raise SeqattnError(
                    f"study {study.name}: arm {arm.name!r} has {', '.join(lacking)}, and arm "
                    f"{real!r}, which it is compared with, has not: give both the same models"
                )
        if real and kind in PLACEBOS:
            found[real].append(arm.name)
    return found


def of_study(study: Study) -> pd.DataFrame:
    """Return `verdicts` of a study from its kept tables, over users and seeds.

    Where the study has changes on both targets, *information* must be there on validation as well.
    """
    cells, over = map(study.table, ("comparisons", "over_placebo"))
    told = verdicts(study, cells, over)
    if "changes_over_placebo" not in study.tables:
        return told
    return on_validation(told, pairs(*map(study.table, ("changes", "changes_over_placebo"))))


def lambdas(runs: pd.DataFrame) -> pd.DataFrame:
    """Return where lambda ends with real intensities and with each placebo of them, by seeds.

    Real and placebo runs of one seed start from the same weights and see the same batches, and the
    raw intensities are the same numbers: what tells their lambdas apart is what they belong to.
    Divided by the largest of a history, those under ``across`` are other numbers all the same.

    Parameters
    ----------
    runs : DataFrame
        The table ``travel``.

    Returns
    -------
    DataFrame
        Columns dataset, part, arm (of real intensities), model, against (the placebo), seeds (that
        both have); real and placebo, lambda's mean over layers and these seeds; gap, real minus
        placebo, with low and high, its 95 % t interval over seeds (NaN for one seed); and steps and
        placebo_steps, optimiser steps until the epoch that was kept.
    """
    keys = ["dataset", "part", "arm", "model", "seed"]
    runs = runs.reindex(columns=[*keys, "lam", "steps"])
    shams = runs.assign(real=runs["arm"].map(real_arm)).dropna(subset=["real"])
    shams = shams.rename(columns={"arm": "against", "real": "arm", "lam": "placebo"})
    shams = shams.rename(columns={"steps": "placebo_steps"})
    both = runs.rename(columns={"lam": "real"}).merge(shams, on=keys)
    return over_seeds(both)


def lambdas_at_one_epoch(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return lambda with real and with shuffled intensities after the same epoch, a row per pair.

    Runs keep different epochs, and lambda moves with every step: this is after the earlier of the
    two that a pair of runs with one seed kept.

    Returns
    -------
    DataFrame
        Columns dataset, part, arm, model, against, seed, epoch; real and placebo, lambda's mean
        over layers; steps and placebo_steps, the optimiser steps until then, which are the same.
    """
    rows = []
    for group in _against_placebos(groups):
        key = group.key | {"arm": real_arm(group.arm), "model": group.model, "against": group.arm}
        shams = {run.seed: run for run in group.base}
        for run in (run for run in group.runs if run.seed in shams and run.facts["lambdas"]):
            pair = run, shams[run.seed]
            epoch = min(each.facts["best_epoch"] for each in pair)
            real, sham = (np.mean(each.facts["history"][epoch - 1]["lambdas"]) for each in pair)
            steps = epoch * -(-group.dataset.n_targets // run.spec.train_config.batch_targets)
            told = {"seed": run.seed, "epoch": epoch, "real": real, "placebo": sham}
            rows.append({**key, **told, "steps": steps, "placebo_steps": steps})
    columns = [*_PAIR, "seed", "epoch", "real", "placebo", "steps", "placebo_steps"]
    return with_columns(pd.DataFrame(rows), columns)


def over_seeds(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the means and the interval of `lambdas` from pairs of runs.

    These are as of `lambdas_at_one_epoch`.
    """
    rows = []
    for key, own in with_columns(pairs, [*_PAIR, "real"]).groupby(_PAIR, sort=False):
        gaps = (own["real"] - own["placebo"]).to_numpy()
        low, high = t_interval(gaps)
        means = own[["real", "placebo"]].mean()
        steps = own[["steps", "placebo_steps"]].mean()
        rows.append((*key, len(own), *means, gaps.mean(), low, high, *steps))
    told = ["seeds", "real", "placebo", "gap", "low", "high", "steps", "placebo_steps"]
    return pd.DataFrame(rows, columns=[*_PAIR, *told])


def compared(lambdas: pd.DataFrame, n_seeds: int) -> pd.DataFrame:
    """Return the rows of `lambdas` with all seeds against a placebo; an item's mean is none."""
    return lambdas[(lambdas["seeds"] == n_seeds) & lambdas["against"].map(_kind).isin(PLACEBOS)]


def told_apart(lambdas: pd.DataFrame, n_seeds: int) -> pd.DataFrame:
    """Return the rows of `compared` whose interval leaves out 0, with words for them.

    Columns `name` and `words`, see `words`, beside those of `lambdas`.
    """
    rows = compared(lambdas, n_seeds)
    rows = published.with_titles(rows[leaves_out_0(rows)])
    names = [f"{name_of(row.model)} on {row.title}" for row in rows.itertuples()]
    return rows.assign(name=names, words=[words(row) for row in rows.to_dict("records")])


def in_words(verdicts: pd.DataFrame) -> str:
    """Return how many combinations came to each verdict, as ``3 within ±5 % of SASRec``.

    In words that need no rule: *nothing* is called what it is. "No verdict yet" if none was run.
    """
    run = ~verdicts["verdict"].isin([NOT_RUN, NO_PLACEBO])
    counts = verdicts.loc[run, "verdict"].value_counts()
    within = f"within ±{MARGIN_PERCENT:g} % of SASRec"
    return counted(counts.rename({"nothing": within})) or "no verdict yet"


def twice(runs: pd.DataFrame) -> str:
    """Return which variants have the same runs in two arms of real intensities, in words.

    As ``Val on Steam-AU``, or "none"; `runs` is the table of that name. A search of the variant and
    one of SASRec may have found one configuration; its verdicts are then one look, and not two.
    """
    runs = with_columns(runs, ["dataset", "arm", "model", "base_of", "key"])
    of_variants = runs["model"].ne(BASELINE) & runs["base_of"].isna()
    real = runs[of_variants & runs["arm"].map(real_arm).isna()]
    shared = real.groupby(["dataset", "model", "key"], sort=False)["arm"].nunique() > 1
    names = shared[shared].index.droplevel("key").unique()
    told = [f"{name_of(model)} on {published.title(dataset)}" for dataset, model in names]
    return ", ".join(told) or "none"


def told_over(changes: pd.DataFrame) -> str:
    """Return in how many comparisons real intensities are off the same model's placebo.

    As ``1 of 9 comparisons``: NDCG@10 on test, unfiltered, of a table ``changes_over_placebo``; an
    interval over users and seeds leaves out 0. Two arms with the same runs are one comparison.
    """
    keys = ["dataset", "part", "model", "against", "change", "low", "high"]
    changes = with_columns(changes, ["arm", "target", "kind", *keys])
    rows = targets.pick(changes, target="test", kind="unfiltered")
    rows = rows.assign(against=rows["arm"].map(_kind))
    rows = targets.pick(rows, against=PLACEBOS).drop_duplicates(keys)
    return f"{leaves_out_0(rows).sum()} of {len(rows)} comparisons"


def words(row: Mapping[str, Any]) -> str:
    """Return a row of `lambdas` with its title in a sentence's words.

    ``Add on ML-1M: 0.38, under 'across' 0.00, difference +0.38 [+0.35, +0.40]``.
    """
    ends = [round(row[name], 2) + 0.0 for name in ("real", "placebo")]  # no -0.00
    gap = estimate(row["gap"], row["low"], row["high"], "+z.2f")
    name = f"{name_of(row['model'])} on {row['title']}"
    other = row["against"]
    return f"{name}: {ends[0]:.2f}, under '{other}' {ends[1]:.2f}, difference {gap}"


def on_validation(verdicts: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Take back *information* that the validation target does not show, too.

    There the change over SASRec and over each placebo has to be above 0.

    Parameters
    ----------
    verdicts : DataFrame
        Of `verdicts`.
    pairs : DataFrame
        Of `pairs`.
    """
    keys = ["dataset", "arm", "model"]
    names = [*keys, "what", "against", "kind", "target", "change"]
    pairs = pairs.reindex(columns=names)  # of none where nothing has all seeds
    rows = pairs[pairs["against"].isin([BASELINE, *PLACEBOS])].query(
        "what == 'real' and kind == 'unfiltered'"
    )
    rows = rows[rows["target"] == "valid"]
    same = rows.assign(same=rows["change"] > 0).groupby(keys)["same"].all()
    kept = [bool(same.get(key, False)) for key in verdicts[keys].itertuples(index=False, name=None)]
    lost = verdicts["verdict"].eq("information") & ~np.array(kept, dtype=bool)
    return verdicts.assign(verdict=verdicts["verdict"].mask(lost, "can't be told"))


def _verdict(by_arm: pd.DataFrame, over_arm: pd.DataFrame, real: str, arms: list[str]) -> str:
    gains, wins = is_gain(by_arm), is_gain(over_arm)
    if gains[real] and wins[arms].all():
        return "information"
    if any(gains[arm] and not wins[arm] for arm in arms):
        return "channel"
    return "nothing" if by_arm.loc[real, "equivalent"] else "can't be told"
