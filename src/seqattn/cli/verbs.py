"""What each verb of the ``seqattn`` command does; a mistake of the user's is a `SeqattnError`."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from seqattn.cli.arguments import KIND, METRIC
from seqattn.config import AE_VS_AR, BASELINE, NORMALISATIONS, SEEDS, VARIANTS, get_preset
from seqattn.data import CATALOGUE, Dataset, Sequences, load_dataset
from seqattn.data.sources import how_to_get, status
from seqattn.errors import SeqattnError
from seqattn.files import results_folder, write_text
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.runs.store import Run
from seqattn.search.collect import collect
from seqattn.search.record import SearchConfig

if TYPE_CHECKING:
    import numpy as np

    from seqattn.runs.compare import PerUser
    from seqattn.runs.recommender import Recommender


def _datasets(options: argparse.Namespace) -> None:
    entries = [
        {**asdict(entry), "status": place, "how_to_get": how_to_get(entry)}
        for place, entry in map(status, CATALOGUE.values())
    ]
    if options.json:
        print(json.dumps(entries, indent=1))
        return
    print(f"{'NAME':<15} {'TITLE':<31} {'STATUS':<17} INTENSITY")
    for entry in entries:
        about = f"{entry['intensity']} ({entry['unit']})" if entry["intensity"] else "none"
        print(f"{entry['name']:<15} {entry['title']:<31} {entry['status']:<17} {about}")
    for entry in entries:
        if entry["status"] == "missing":
            print(f"\n{entry['name']}: {entry['how_to_get']}")


def _prepare(options: argparse.Namespace) -> None:
    from seqattn.audit import value_text
    from seqattn.audit.records import describe
    from seqattn.files import ROOT

    found = describe(options.dataset)
    folder = options.output or ROOT / ".seqattn" / "datasets" / found.dataset["dataset"]
    paths = found.write(folder)
    if options.split:
        from seqattn.runs.external import split_table

        table = split_table(load_dataset(options.dataset))
        paths.append(write_text(options.split, table.to_csv(index=False)))
    if options.json:
        print(json.dumps(found.dataset, indent=1))
        return
    print(found.steps.to_string(index=False))
    for light in ("red", "amber"):
        for finding in found.audit.findings.query("light == @light").itertuples():
            print(f"{light:<5}  {finding.title}: {value_text(finding.value)}. {finding.advice}")
    print(f"fingerprint {found.dataset['fingerprint'] or 'none: no chronology, not prepared'}")
    print(*paths, sep="\n")


def _runs(options: argparse.Namespace) -> list[Run]:
    """Return the runs a command names, fitting missing ones."""
    from seqattn.runs.fitting import fit_runs
    from seqattn.runs.store import Store
    from seqattn.search.record import wanted_specs

    _require_different(options.seed)
    results, dataset = results_folder(options.results_dir), load_dataset(options.dataset)
    pairs, backbone = product(options.model, options.seed), getattr(options, "backbone_of", None)
    specs = wanted_specs(results, dataset, pairs, options.preset, backbone_of=backbone)
    progress = sys.stderr.isatty()
    return fit_runs(Store(results), dataset, specs, device=options.device, progress=progress)


def _require_different(seeds: list[int]) -> None:
    twice = [seed for n, seed in enumerate(seeds) if seed in seeds[:n]]
    if twice:
        raise SeqattnError(f"seed {twice[0]} is given twice; a copy is no second observation")


def _tune(options: argparse.Namespace) -> None:
    from seqattn.search.tune import tune

    dataset, results = load_dataset(options.dataset), results_folder(options.results_dir)
    pruning = (options.prune, options.prune_from, options.prune_keep)
    budget = SearchConfig(options.trials, options.epochs, options.search_seed, *pruning)
    trials = len(NORMALISATIONS) if options.design == "shared_backbone" else budget.trials
    for model in options.model:
        with tqdm(total=trials, desc=model, unit="trial", disable=None) as bar:

            def show(done: int, best: float, bar: tqdm = bar) -> None:
                bar.update(done - bar.n)
                bar.set_postfix_str(f"best validation NDCG@10 {best:.4f}")

            found = tune(
                *(results, dataset, model, budget, get_preset(options.base)),
                design=options.design,
                storage=options.storage,
                device=options.device,
                on_trial=show,
            )
        if options.json:
            print(json.dumps(asdict(found)))
            continue
        # A pruned trial has a value as well: that of the epoch at which it was stopped.
        whole = (t for t in found.trials if t["state"] == "COMPLETE")
        best = max(whole, key=lambda t: t["value"])
        print(
            f"{model}: best of {found.n_complete} trials, validation NDCG@10 {found.value:.4f}: "
            + ", ".join(
                f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
                for k, v in best["params"].items()
            )
        )


def _collect(options: argparse.Namespace) -> None:
    from seqattn.studies.plan import wanted_in

    tell = partial(print, "seqattn:", file=sys.stderr)
    kept = partial(collect, target=options.output, studied=wanted_in(options.output), tell=tell)
    new = [path for source in options.source for path in kept(source)]
    print(*new, sep="\n")
    print(f"{len(new)} new in {options.output}", file=sys.stderr)


def _fit(options: argparse.Namespace) -> None:
    runs = _runs(options)
    if options.json:
        print(json.dumps([{"folder": str(c.folder), **c.facts} for c in runs], indent=1))
        return
    for run in runs:
        ndcg = run.facts["metrics"]["test_unfiltered"]["NDCG@10"]
        print(f"{run.model} seed {run.seed}: test NDCG@10 {ndcg:.4f}  {run.folder}")


def _recommend(options: argparse.Namespace) -> None:
    model = _loaded(options)
    histories, user_ids = _histories(model, options)
    frame = model.recommend_all(
        histories, options.k, exclude_seen=options.exclude_seen, user_ids=user_ids
    )
    if options.history:
        frame = frame.drop(columns="user")
    if options.json:
        print(frame.to_json(orient="records", indent=1))
        return
    print(frame.to_string(index=False, float_format="%.4f"))


def _attention(options: argparse.Namespace) -> None:
    options.user, options.file = None if options.user is None else [options.user], None
    model = _loaded(options)
    weights = model.attention(_histories(model, options)[0])
    if options.output and options.csv:
        raise SeqattnError("--csv prints and -o draws; give one of them")
    if options.output:
        from seqattn.plots import save, use_style
        from seqattn.plots.attention import one_history

        use_style()
        print(save(one_history(weights), options.output))
    elif options.csv:
        print(weights.to_csv(index=False), end="")
    else:
        last = weights[weights["query"] == weights["query"].max()]
        table = last.pivot(index=["key", "key_item"], columns=["layer", "head"], values="weight")
        print("weights of the last interaction, which predicts the next; a column per layer, head")
        print(table.to_string(float_format="%.3f"))


def _loaded(options: argparse.Namespace) -> Recommender:
    """Return the model that a command names: a model's run, fitted if missing, or a folder."""
    from seqattn.runs.export import load

    source: Run | Path = Path(options.model)
    if options.model in MODELS:
        if not options.dataset:
            raise SeqattnError("name the dataset, by -d, or a model's folder, by -m")
        options.model, options.seed = [options.model], [options.seed]
        (source,) = _runs(options)
    return load(source, options.dataset)


def _histories(
    model: Recommender, options: argparse.Namespace
) -> tuple[Sequences, np.ndarray | None]:
    """Return the histories that a command names, in the model's codes.

    And the ids of all users of the training log, if the histories are theirs.
    """
    from seqattn.data.readers.delimited import header_of, read_delimited

    if options.intensity and not options.history:
        raise SeqattnError("--intensity goes with --history; a file has a column for it")
    if options.user is not None:
        name = options.dataset or model.about["dataset"]
        if not options.dataset and name not in CATALOGUE:
            raise SeqattnError(f"the model was fitted on your own log {name!r}; name it, by -d")
        dataset = load_dataset(name)
        if dataset.fingerprint != model.about["fingerprint"]:
            raise SeqattnError(f"the model was not fitted on {dataset.name}; name its data, by -d")
        return dataset.sequences.of_users(options.user), dataset.sequences.user_ids
    if options.file:
        table = read_delimited(options.file, ",", {n: n for n in header_of(options.file, ",")})
        return model.histories(table.frame, str(options.file)), None
    items, intensity = (
        text and [part.strip() for part in text.split(",")]
        for text in (options.history, options.intensity)
    )
    return model.history(items, intensity), None


def _export(options: argparse.Namespace) -> None:
    from seqattn.runs.export import export_model, per_user
    from seqattn.runs.store import read_run

    if not (options.per_user or options.model):
        raise SeqattnError("say what to write: --per-user FILE, --model FOLDER, or both")
    run = read_run(options.run)
    if options.per_user:
        table = per_user(run, options.dataset)
        print(write_text(options.per_user, table.to_csv(index=False)))
    if options.model:
        print(export_model(run, options.model, options.dataset))


def _evaluate(options: argparse.Namespace) -> None:
    from seqattn.runs import external
    from seqattn.runs.store import Store

    external.require_name(options.name)
    dataset, path = load_dataset(options.dataset), options.scores or options.lists
    ranked = (
        external.ranks_of_scores(path, dataset)
        if options.scores
        else external.ranks_of_lists(path, dataset, options.kind)
    )
    store = Store(results_folder(options.results_dir))
    run = external.keep(store, dataset, options.name, path, ranked, options.seed)
    if options.json:
        print(json.dumps({"folder": str(run.folder), **run.facts}, indent=1))
        return
    for kind, metrics in run.facts["metrics"].items():
        told = ", ".join(f"{name} {metrics[name]:.4f}" for name in ("NDCG@10", "Recall@10"))
        print(f"{options.name}, {kind}: {told}  {run.folder}")
    notes = []
    if options.scores and "test_unfiltered" not in ranked.ranks:
        notes.append("the scores hide what users already have, so there are filtered ranks only")
    if ranked.looks_filtered and options.lists:
        notes.append("no list holds what its user already has; if that is so, say --kind filtered")
    if ranked.depth < dataset.n_items:
        notes.append(
            f"the shortest list holds {ranked.depth} items: metrics beyond it are lower bounds"
        )
    for note in notes:
        print(f"seqattn: {note}", file=sys.stderr)


def _metrics(options: argparse.Namespace) -> None:
    from seqattn.runs.evaluation import evaluation
    from seqattn.stats.metrics import parse_metric

    name, k = parse_metric(options.metric)
    runs, dataset = _runs(options), load_dataset(options.dataset)
    frame = evaluation(runs, dataset, name=name, k=k, kind=options.kind)
    if options.json:
        print(json.dumps(json.loads(frame.to_json(orient="index")), indent=1))
        return
    print(frame.T.rename_axis(index=options.metric).to_string(na_rep="-", float_format="%.4f"))


def _significance(options: argparse.Namespace) -> None:
    from seqattn.runs.results import verdicts

    if options.model is None:
        told = load_dataset(options.dataset).has_intensity
        options.model = [BASELINE, *VARIANTS] if told else list(AE_VS_AR)
    if len(options.seed) < 2:  # before minutes of fits
        raise SeqattnError("one seed is no test over seeds; give at least two, by -s")
    runs = _runs(options)
    frame = verdicts(runs, kind=options.kind).frame()
    if options.json:
        print(json.dumps(json.loads(frame.to_json(orient="records")), indent=1))
        return
    columns = [
        *("model", "metric", "k", "relative_change_percent", "t_p_value"),
        *("pooled_p_value", "clustered_p_value", "robust", "robust_clustered"),
    ]
    print(frame[columns].to_string(index=False, float_format=lambda x: f"{x:.4g}"))


def _compare(options: argparse.Namespace) -> None:
    from seqattn.runs.compare import compare

    result = compare(*_systems(options), margin_percent=options.margin)
    for name, only in ((options.base, result.only_base), (options.variant, result.only_variant)):
        if only:
            some = ", ".join(only[:3]) + (", ..." if len(only) > 3 else "")
            print(
                f"seqattn: left out {len(only)} users that only {name} has: {some}", file=sys.stderr
            )
    if options.json:
        print(json.dumps(json.loads(result.table.to_json(orient="records")), indent=1))
    elif options.csv:
        print(result.table.to_csv(index=False), end="")
    elif options.latex:
        print(
            result.table.to_latex(index=False, na_rep="", float_format="%.4g", escape=True), end=""
        )
    else:
        print(result.table.to_string(index=False, na_rep="", float_format="%.4g"))


def _systems(options: argparse.Namespace) -> list[PerUser]:
    """Return the two systems that a command compares, each from wherever it is."""
    asked = [options.base, options.variant]
    of_files = {name for name in asked if Path(name).expanduser().is_file()}
    for value, name, files in (
        (options.metric, "--metric", False),
        (options.kind, "--kind", False),
        (options.column, "--column", True),
        (options.by, "--by", True),
    ):
        if value and not (of_files if files else {*asked} - of_files):
            whose = "a file" if files else "a model or a run"
            raise SeqattnError(f"{name} goes with {whose}, and none is compared; leave it out")
    # What needs no fit comes first: minutes of fits are lost on a typing error.
    first = sorted(dict.fromkeys(asked), key=lambda name: _model_of(name) is not None)
    found = {name: _system(name, options) for name in first}
    return [found[name] for name in asked]


def _model_of(name: str) -> tuple[str, str | None] | None:
    """Return the model and, if it is named, the preset of ``MODEL`` or ``MODEL:PRESET``."""
    model, _, preset = name.partition(":")
    return (model, preset or None) if model in MODELS or model in RECBOLE_MODELS else None


def _system(name: str, options: argparse.Namespace) -> PerUser:
    """Return what one argument of `compare` names: a file, a run, a model, or another library's."""
    from seqattn.runs.compare import of_file, of_runs
    from seqattn.runs.export import dataset_of
    from seqattn.runs.store import read_run
    from seqattn.stats.metrics import parse_metric

    path, model = Path(name).expanduser(), _model_of(name)
    if path.is_file():
        system = of_file(path, options.column, options.by or "user")
        return system.of_seeds(options.seed) if options.seed else system
    metric_name, k = parse_metric(options.metric or METRIC)
    if path.is_dir() and model is None:
        runs = [read_run(path)]
        dataset = dataset_of(runs[0], options.dataset)
    elif not options.dataset:
        raise SeqattnError(f"{name}: no such file; for the runs of a model, name its dataset by -d")
    else:
        dataset = load_dataset(options.dataset)
        own = model and {
            "model": [model[0]],
            "preset": model[1] or options.preset,
            "seed": options.seed or list(SEEDS),
        }
        runs = (
            _runs(argparse.Namespace(**{**vars(options), **own}))
            if own
            else _elsewhere(name, dataset, options)
        )
    return of_runs(name, runs, dataset, metric_name, k, options.kind or KIND)


def _elsewhere(name: str, dataset: Dataset, options: argparse.Namespace) -> list[Run]:
    """Return the runs of a model made elsewhere, one for each seed."""
    from seqattn.runs.store import Store

    store, kind = Store(results_folder(options.results_dir)), options.kind or KIND
    found = [r for r in store.runs(dataset.name, name) if r.fingerprint == dataset.fingerprint]
    if not found:
        raise SeqattnError(
            f"{name!r} is no file, no model of seqattn ({', '.join(MODELS)}), and {store.path} has "
            f"no run of that name on {dataset.name}; `seqattn evaluate` makes one"
        )
    # Lists of one kind tell nothing of the other, and may stand beside lists of the other.
    alike = [r for r in found if f"test_{kind}" in r.facts["metrics"]]
    if not alike:
        other = "filtered" if kind == "unfiltered" else "unfiltered"
        raise SeqattnError(f"{name} has {other} ranks only; compare those, by --kind {other}")
    by_seed: dict[int, Run] = {}
    for run in alike:
        if options.seed and run.seed not in options.seed:
            continue
        if run.seed in by_seed:
            raise SeqattnError(
                f"two files were evaluated as {name} with seed {run.seed}: remove "
                f"{by_seed[run.seed].folder} or {run.folder}"
            )
        by_seed[run.seed] = run
    lacking = sorted({*(options.seed or ())} - {*by_seed})
    if lacking:
        raise SeqattnError(
            f"{name} was not evaluated with seed {lacking[0]}; see `evaluate --seed`"
        )
    return list(by_seed.values())


def _report(options: argparse.Namespace) -> None:
    from seqattn.book import NOTEBOOKS
    from seqattn.book.reports import report

    parameters = {
        "preset": options.preset,
        "device": options.device,
        # Notebooks run in another folder.
        "results_dir": options.results_dir and str(results_folder(options.results_dir).resolve()),
    }
    chosen = {"models": options.model, "seeds": options.seed}
    parameters |= {name: values for name, values in chosen.items() if values}
    paths = report(options.dataset, parameters, options.output)
    print(*paths, sep="\n")
    left_out = [name for name in NOTEBOOKS if name not in {path.stem for path in paths}]
    if left_out:
        print(f"seqattn: no intensity, so left out: {', '.join(left_out)}", file=sys.stderr)


def _study(options: argparse.Namespace) -> None:
    from seqattn.book.reports import make_study
    from seqattn.studies import plan

    part = {
        "datasets": options.dataset,
        "arms": options.arm,
        "models": options.model,
        "seeds": options.seed,
    }
    if options.tables and any(part.values()):
        raise SeqattnError("--tables writes those of the whole study; leave out -d, -a, -m and -s")
    fit = {"device": options.device, "workers": options.workers}
    for study in map(plan.read_study, options.study):
        wanted = plan.part(plan.wanted(study), **part) if any(part.values()) else plan.wanted(study)
        if options.plan:
            print(f"{study.name}: {study.question}")
            progress = plan.progress(study, plan.read(wanted, *study.stores), options.device)
            print(progress.to_string(index=False, float_format="%.1f"))
        elif any(part.values()):
            runs = plan.fit_missing(study, plan.read(wanted, *study.stores), **fit)
            print(f"{study.name}: {len(runs)} runs fitted, kept in {study.stores[-1].path}")
        else:
            print(*make_study(study, missing=not options.tables, **fit), sep="\n")


def _pages(options: argparse.Namespace) -> None:
    from seqattn.book.contents import write_toc
    from seqattn.book.reports import study_pages

    print(*study_pages(), sep="\n")
    print(write_toc())


def _check(options: argparse.Namespace) -> int:
    from seqattn.studies import check

    seed = options.sample_seed
    seed = random.SystemRandom().randrange(10_000) if seed is None else seed
    problems = check.check_records(options.results, options.datasets, tell=print)
    if options.baselines.is_dir():
        problems += check.check_records(options.baselines, options.datasets, tell=print)
    problems += check.check_calibrations(options.calibration, options.results)
    print(f"a sample of {options.sample} runs, fitted again (--sample-seed {seed}):")
    problems += check.check_sample(
        options.results, sample=options.sample, epochs=options.epochs, seed=seed
    )
    print(*problems, sep="\n")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


RUN: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "datasets": _datasets,
    "prepare": _prepare,
    "tune": _tune,
    "collect": _collect,
    "fit": _fit,
    "train": _fit,
    "recommend": _recommend,
    "attention": _attention,
    "export": _export,
    "evaluate": _evaluate,
    "metrics": _metrics,
    "significance": _significance,
    "compare": _compare,
    "report": _report,
    "study": _study,
    "pages": _pages,
    "check": _check,
}
