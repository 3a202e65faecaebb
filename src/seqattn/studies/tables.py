"""A study's tables, from its runs: tidy frames, a row for something that was run.

What was not run is absent; nothing is filled in. `TABLES` names them, as a study's YAML does.

Shapes: S seeds, U users.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, product

import numpy as np
import pandas as pd

from seqattn.analysis import lambdas as analysis
from seqattn.audit.records import RECORDS, read_tied_tests
from seqattn.config import BASELINE, DESIGNS, NORMALISATIONS, SEEDS, VARIANTS
from seqattn.errors import SeqattnError
from seqattn.files import ROOT
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.plots.style import name_of
from seqattn.presets import get_preset
from seqattn.runs.results import value_matrix, values
from seqattn.runs.store import Run, Store
from seqattn.search.record import Search, SearchConfig, chosen, read_search
from seqattn.stats import (
    DualCriterion,
    bootstrap_means,
    dual_criterion_table,
    percentile_interval,
)
from seqattn.stats.metrics import KINDS, METRICS
from seqattn.stats.unpaired import ratio_interval
from seqattn.studies import (
    ae_ar,
    beyond_lambda,
    calibration,
    gains,
    learning,
    maps,
    noise,
    patience,
    placebo,
    positive_control,
    search_luck,
    targets,
    travel,
)
from seqattn.studies.ia import published
from seqattn.studies.judge import change, corrected, judge, stacked
from seqattn.studies.plan import Group
from seqattn.studies.study import VARIANT_BACKBONE, Study

PUBLISHED_TRIALS = 25
CONFIGURATION = (
    *("n_layers", "n_heads", "hidden_size", "inner_size"),
    *("hidden_dropout", "attention_dropout", "normalisation"),
)
BASELINES = ROOT / "results" / "baselines"
WITHOUT_CHANCE = ("pop", "itemknn")  # baselines that no seed changes


def _by_arm(groups: Sequence[Group]) -> Iterator[tuple[dict[str, object], list[Group]]]:
    """Yield the groups of each (dataset, arm) that have runs, with the columns that name them."""
    for _, part in groupby(groups, lambda group: (group.dataset, group.arm)):
        mine = [group for group in part if group.runs]
        if mine:
            yield mine[0].key, mine


def runs(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return a row a run: dataset, arm, part, model, seed, key, and what it took.

    ``base_of`` names the variant whose backbone SASRec's run has, to be compared with it, and is
    empty elsewhere; best_epoch counts from 1, epochs are those run of at most `limit`, hours are
    those of the fit (seeds fitted together on a GPU each hold the time of all: ``together`` is
    their number).
    """
    rows = []
    for key, mine in _by_arm(groups):
        for group in mine:
            sides = [(group.model, "", group.runs)]
            if study.arm(group.arm).settings.like == VARIANT_BACKBONE:
                sides.append((BASELINE, group.model, group.base))
            for model, base_of, kept in sides:
                rows += [key | {"model": model, "base_of": base_of} | _run(run) for run in kept]
    return pd.DataFrame(rows)


def _run(run: Run) -> dict[str, object]:
    spec, facts = run.spec, run.facts
    train = getattr(spec, "train_config", None)  # RecBole's models have none
    return {
        "seed": run.seed,
        "key": spec.key,
        "best_epoch": facts["best_epoch"],
        "epochs": len(facts["history"]),
        "limit": train.epochs if train else np.nan,
        "patience": train.patience if train else np.nan,
        "hours": float(facts.get("seconds", 0.0)) / 3600,
        "together": len(facts.get("stacked_seeds", [run.seed])),
        "device": facts.get("environment", {}).get("device", "unknown"),
        "commit": facts.get("environment", {}).get("commit", "unknown")[:7],
    }


def levels(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return each model's test metrics at 10, with 95 % intervals over users.

    A row a (dataset, arm, model, kind, metric): mean over users and seeds, low, high, std over
    seeds, n_seeds, n_users. A user's values are averaged over seeds and users are resampled, so
    the interval says what other users of this kind would give with these trained models; `std`
    says what other seeds would.
    """
    return stacked(
        absolute({g.model: g.runs for g in mine}).assign(**key) for key, mine in _by_arm(groups)
    )


def absolute(groups: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Return the levels of models by name, see `levels`."""
    cells = [(name, 10) for name in METRICS]
    found = {
        (model, kind, name): values_SU
        for model, kind in product(groups, KINDS)
        for (name, _), values_SU in values(groups[model], cells, "test", kind).items()
    }
    rows = []
    if found:  # one bootstrap for all, which then share its resamples
        means = bootstrap_means(np.stack([values_SU.mean(axis=0) for values_SU in found.values()]))
        intervals = percentile_interval(means)
        for (key, values_SU), (low, high) in zip(found.items(), intervals, strict=True):
            means_S = values_SU.mean(axis=1)
            std = means_S.std(ddof=1) if len(means_S) > 1 else np.nan
            rows.append((*key, means_S.mean(), low, high, std, *values_SU.shape))
    columns = ["model", "kind", "metric", "mean", "low", "high", "std", "n_seeds", "n_users"]
    return pd.DataFrame(rows, columns=columns)


def comparisons(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return a row a (dataset, arm, model, metric, k): the verdict on one cell.

    The columns are those of `seqattn.studies.judge.judge` and `corrected`, with cut_short, what
    the searches behind a cell lack of the published protocol.
    """
    frames = []
    for key, mine in _by_arm(groups):
        of_data = [group for group in mine if _same_data(group)]
        if study.arm(str(key["arm"])).settings.like == VARIANT_BACKBONE:
            told = stacked([judge(group.base, {group.model: group.runs}) for group in of_data])
        else:
            base = next((group.base for group in of_data if group.base), ())
            told = judge(base, {g.model: g.runs for g in of_data if g.base})
        if len(told):
            told["cut_short"] = [_cut_short(study, key, model) for model in told["model"]]
            frames.append(told.assign(**key))
    return corrected(stacked(frames), len(study.seeds))


def _same_data(group: Group) -> bool:
    """Whether a model and its baseline were fitted on one version of the data."""
    return len({run.spec.fingerprint for run in (*group.runs, *group.base)}) <= 1


def _cut_short(study: Study, key: Mapping[str, object], model: str) -> str:
    """Say which of the two searches behind a comparison is shorter than the protocol's, if any."""
    arm = study.arm(str(key["arm"]))
    if arm.settings.like not in DESIGNS:
        return ""
    found = {
        name: read_search(study.searches(arm), str(key["dataset"]), name, arm.settings.like)
        for name in (BASELINE, model)
    }
    return "; ".join(
        f"{name_of(name)}'s search had {lacks}"
        for name, search in found.items()
        if search and (lacks := shortfall(search))
    )


def lambdas(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return [IA] Table 4: a row a (dataset, arm, part, model) that has lambdas.

    lambda_mean and lambda_std, over layers and seeds, n_values and n_seeds. ``seed_low`` and
    ``seed_high`` are the 95 % t interval of the mean over seeds (layers averaged within a seed);
    NaN for one seed.
    """
    rows = []
    for key, mine in _by_arm(groups):
        for group in (group for group in mine if group.model in MODELS):
            values = analysis.learned(group.runs)
            if values.empty:
                continue
            by_seed = values.groupby("seed")["lam"].mean().to_numpy()
            told = analysis.table(group.runs).loc[group.model]
            low, high = analysis.t_interval(by_seed)
            row = {"lambda_mean": told["mean"], "lambda_std": told["std"]}
            row |= {"n_values": told["values"], "n_seeds": len(by_seed)}
            row |= {"seed_low": low, "seed_high": high}
            rows.append(key | {"model": group.model} | row)
    return stacked([pd.DataFrame(rows)])


def searches(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return a row a (dataset, arm, model) of a design: what its search found, what that took.

    The configuration and its validation NDCG@10 (value), trials, trials_asked, shortfall, seeds,
    search_hours, device and commit of the search. SASRec's own serves both designs.
    """
    rows = []
    for group in groups:
        arm = study.arm(group.arm)
        if arm.settings.like not in DESIGNS:
            continue
        try:
            where = study.searches(arm), group.dataset.name, group.model
            found = chosen(*where, arm.settings.like)
        except SeqattnError:
            continue
        rows.append(group.key | _search(found) | {"seeds": len(group.runs)})
    return pd.DataFrame(rows)


def _search(found: Search) -> dict[str, object]:
    return {
        "model": found.model,
        **{key: getattr(found.model_config, key) for key in CONFIGURATION},
        "learning_rate": found.train_config.learning_rate,
        "value": found.value,
        "trials": found.n_complete,
        "trials_asked": trials_asked(found.model, found.design),
        "shortfall": shortfall(found),
        "search_hours": sum(trial.get("seconds") or 0.0 for trial in found.trials) / 3600,
        "device": found.environment.get("device", "unknown"),
        "commit": found.environment.get("commit", "unknown")[:7],
    }


def trials_asked(model: str, design: str) -> int:
    """Return the length of a whole search: 25, or one trial a normalisation if that is all."""
    normalisation_alone = design == "shared_backbone" and model != BASELINE
    return len(NORMALISATIONS) if normalisation_alone else PUBLISHED_TRIALS


def shortfall(search: Search) -> str:
    """Return what a search, or the fits it asks for, lack of the published protocol, if anything.

    Fewer trials, trials of fewer epochs, or fits that stop sooner than the published ones.
    """
    asked, protocol = trials_asked(search.model, search.design), get_preset("paper").train
    lacks = []
    if search.n_complete < asked:
        lacks.append(f"{search.n_complete} of {asked} trials")
    for what, has, wanted in (
        ("epochs a trial", search.budget.epochs, SearchConfig().epochs),
        ("epochs a fit", search.train_config.epochs, protocol.epochs),
        ("epochs of patience", search.train_config.patience, protocol.patience),
    ):
        if has < wanted:
            lacks.append(f"{has} of {wanted} {what}")
    return ", ".join(lacks)


def luck(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return SASRec's NDCG@10 with the configuration that each model's own search found.

    No injection is in it: between its rows nothing differs but which search chose the
    configuration. A row a (dataset, model whose search it was): part, same (whether it found what
    SASRec's own did), valid and test (means), change (percent of the test value with SASRec's own
    configuration), low, high (over users and seeds) and robust. Only whole sets of seeds count.
    """
    frames = []
    for dataset, part in groupby(groups, lambda group: group.dataset):
        mine = list(part)
        own = next((g.runs for g in mine if (g.arm, g.model) == (DESIGNS[0], BASELINE)), ())
        found = {g.model: g.base for g in mine if g.arm == VARIANT_BACKBONE}
        whole = {m: r for m, r in {BASELINE: own, **found}.items() if len(r) == len(SEEDS)}
        if BASELINE in whole:
            frames.append(_luck(whole).assign(dataset=dataset.name))
    return stacked(frames)


def _luck(found: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    own = found[BASELINE]
    test = {model: _ndcg(kept) for model, kept in found.items()}
    base_SU = test[BASELINE]
    records = dual_criterion_table({m: (base_SU, test_SU) for m, test_SU in test.items()})
    return pd.DataFrame(
        {
            "part": published.is_part(own[0].spec.dataset, base_SU.shape[1]),
            "model": model,
            "same": kept[0].spec.key == own[0].spec.key,
            "valid": _ndcg(kept, "valid").mean(),
            "test": test[model].mean(),
            **_judged(record, base_SU, test[model]),
        }
        for (model, kept), record in zip(found.items(), records, strict=True)
    )


def _judged(
    record: DualCriterion, base_SU: np.ndarray, other_SU: np.ndarray
) -> dict[str, float | bool]:
    """Return change, low and high of `seqattn.studies.judge.change`, and robust."""
    told = change(base_SU, other_SU)
    return {name: told[name] for name in ("change", "low", "high")} | {"robust": record.robust}


def _ndcg(kept: Sequence[Run], stage: str = "test") -> np.ndarray:
    return value_matrix(kept, "NDCG", 10, stage)


def ties(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Judge variants by NDCG@10 on the users whose test target no tie decides.

    Where the last two interactions of a user share a moment, which of them is the target is the
    file's order. A verdict that needs those users rests on a convention. A row a comparison with
    all seeds: dataset, arm, model, share (of the users, without a tie), change, low, high (percent
    of SASRec on these users, over users and seeds), robust. A dataset without ties has no row.
    """
    rows = []
    for dataset, part in groupby(groups, lambda group: group.dataset):
        pairs, share = _untied([g for g in part if g.model in VARIANTS])
        for (arm, model), record in zip(pairs, dual_criterion_table(pairs), strict=True):
            told = _judged(record, *pairs[arm, model])
            rows.append(
                {"dataset": dataset.name, "arm": arm, "model": model, "share": share} | told
            )
    return pd.DataFrame(rows)


def _untied(
    groups: Sequence[Group],
) -> tuple[dict[tuple[str, str], tuple[np.ndarray, np.ndarray]], float]:
    """Return NDCG@10 of whole pairs on users without a tie, (S, U) each, and these users' share."""
    values, share = {}, np.nan
    for group in groups:
        if not group.whole() or not _same_data(group):
            continue
        tied_U = read_tied_tests(RECORDS, group.dataset.name, group.runs[0].spec.fingerprint)
        if tied_U is not None and tied_U.any() and (~tied_U).sum() >= 2:
            base, other = (
                value_matrix(kept, "NDCG", 10)[:, ~tied_U] for kept in (group.base, group.runs)
            )
            values[group.arm, group.model] = base, other
            share = float(1 - tied_U.mean())
    return values, share


def baselines(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return the levels of RecBole's baselines, and of SASRec, on exactly the same splits.

    The columns of `levels`, with change, change_low and change_high: NDCG@10 against SASRec's in
    percent, see `_changes`; NaN for other metrics and for SASRec itself. The arms say which runs
    are SASRec's; `BASELINES` holds RecBole's.
    """
    frames = []
    for group in groups:
        own = group.runs[0].fingerprint if group.runs else group.dataset.fingerprint
        kept = comparable(Store(BASELINES).runs(group.dataset.name), own)
        models = {name: kept[name] for name in RECBOLE_MODELS if name in kept}
        if group.runs:
            models[group.model] = list(group.runs)
        table = absolute(models)
        if len(table):
            changes = _changes(models, group.model)
            table = table.merge(changes, on=["model", "kind", "metric"], how="left")
            frames.append(table.assign(**group.key))
    return stacked(frames)


def comparable(runs: Iterable[Run], fingerprint: str) -> dict[str, list[Run]]:
    """Return runs of one version of the data by model; of several grids, the one of most runs."""
    kinds: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        if run.fingerprint == fingerprint:
            kind = json.dumps(run.facts["spec"]["settings"], sort_keys=True)
            kinds.setdefault(run.model, {}).setdefault(kind, []).append(run)
    return {model: max(found.values(), key=len) for model, found in kinds.items()}


def _changes(models: Mapping[str, Sequence[Run]], base: str) -> pd.DataFrame:
    """Return each model's NDCG@10 against the base's in percent: change, change_low, change_high.

    The 95 % interval is that of the ratio of both means, over other users and other seeds of both,
    see `seqattn.stats.unpaired.ratio_interval`. A model in `WITHOUT_CHANCE` is the same with each
    seed; another of a single seed has no interval, nor has a base of one.
    """
    columns = ["model", "kind", "metric", "change", "change_low", "change_high"]
    others = [model for model in models if model != base]
    rows = []
    for kind in KINDS if base in models and others else ():
        base_SU = value_matrix(models[base], "NDCG", 10, kind=kind)
        for model in others if base_SU.any() else ():
            other_TU = value_matrix(models[model], "NDCG", 10, kind=kind)
            told = ratio_interval(base_SU, other_TU)
            by_chance = model not in WITHOUT_CHANCE
            known = len(base_SU) > 1 and (len(other_TU) > 1 or not by_chance)
            ends = told.ci if known else (np.nan, np.nan)
            change = (100 * ratio - 100 for ratio in (told.ratio, *ends))
            rows.append((model, kind, "NDCG", *change))
    return pd.DataFrame(rows, columns=columns)


_MAKERS: tuple[Callable[[Study, Sequence[Group]], pd.DataFrame], ...] = (
    runs,
    levels,
    comparisons,
    lambdas,
    searches,
    luck,
    search_luck.by_model,
    search_luck.by_pair,
    search_luck.worth,
    ties,
    baselines,
    calibration.rates,
    calibration.cells,
    calibration.pooling,
    learning.curves,
    learning.reach,
    learning.by_distance,
    learning.by_tie,
    learning.item_cosines,
    maps.filters,
    maps.maps_by_head,
    maps.near,
    maps.ranks_by_head,
    maps.spectra_by_head,
    maps.mean_maps,
    placebo.over_placebo,
    placebo.changes_over_placebo,
    placebo.lambdas_at_one_epoch,
    positive_control.over_nothing,
    positive_control.over_usual,
    positive_control.ceiling,
    positive_control.best_possible,
    positive_control.over_items,
    patience.patience,
    patience.epochs,
    targets.changes,
    travel.travel,
    noise.noise,
    ae_ar.pairs,
    ae_ar.factorial,
    ae_ar.dial,
    gains.locality,
    gains.six,
    ae_ar.between,
    beyond_lambda.gates,
    beyond_lambda.head_lambdas,
    beyond_lambda.by_liking,
)
TABLES = {make.__name__: make for make in _MAKERS}
