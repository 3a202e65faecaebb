"""What a verb of ``seqattn`` does, a function each; a mistake of the user's is a `SeqattnError`."""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from seqattn.cli.arguments import KIND
from seqattn.cli.named import histories_of, loaded, runs_of, runs_of_any, systems
from seqattn.config import AE_VS_AR, BASELINE, NORMALISATIONS, VARIANTS
from seqattn.data import CATALOGUE, load_dataset
from seqattn.data.own import is_yaml, read_yaml
from seqattn.data.sources import how_to_get, status
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, results_folder, write_text
from seqattn.presets import get_preset
from seqattn.search.collect import collect
from seqattn.search.record import SearchConfig


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

    if options.split:
        _refuse_input("--split", options.split, options.dataset)
    found = describe(options.dataset)
    folder = options.output or ROOT / ".seqattn" / "datasets" / found.dataset["dataset"]
    if options.split:
        _refuse_record(options.split, folder)
    paths = found.write(folder)
    if options.split:
        from seqattn.runs.exchange import split_table

        data = found.prepared or load_dataset(options.dataset)  # which says what is missing
        paths.append(write_text(options.split, split_table(data).to_csv(index=False)))
        there, asked = len(data.split.parts.test), len(data.split.rows("test"))
        if there > asked:
            print(
                f"seqattn: {there - asked} of {there} test targets have nothing before them in "
                "their user's history and are not asked",
                file=sys.stderr,
            )
    if options.json:
        print(json.dumps(found.dataset, indent=1))
        return
    print(found.steps.to_string(index=False))
    for light in ("red", "amber"):
        for finding in found.audit.findings.query("light == @light").itertuples():
            print(f"{light:<5}  {finding.title}: {value_text(finding.value)}. {finding.advice}")
    print(f"fingerprint {found.dataset['fingerprint'] or 'none: no chronology, not prepared'}")
    print(*paths, sep="\n")


def _refuse_input(option: str, path: Path, dataset: str) -> None:
    """Refuse to write over the YAML that describes a log, or over a file that it reads."""
    if not is_yaml(dataset):
        return
    read = (Path(dataset), *read_yaml(Path(dataset)).paths.values())
    if path.resolve() in {file.resolve() for file in read}:
        raise SeqattnError(
            f"{option} {path} would replace what the dataset is read from; name another file"
        )


def _refuse_record(path: Path, folder: Path) -> None:
    """Refuse to write a split over a record of its dataset, all of which are JSON."""
    file = path.resolve()
    if file.parent == folder.resolve() and file.suffix.lower() == ".json":
        raise SeqattnError(
            f"--split {path} would replace a record of the dataset in {folder}; name another file"
        )


def _tune(options: argparse.Namespace) -> None:
    from seqattn.search.tune import tune

    dataset, results = load_dataset(options.dataset), results_folder(options.results_dir)
    pruning = (options.prune, options.prune_from, options.prune_keep)
    budget = SearchConfig(options.trials, options.epochs, options.search_seed, *pruning)
    base = get_preset(options.base).for_log(dataset.n_targets)
    trials = len(NORMALISATIONS) if options.design == "shared_backbone" else budget.trials
    for model in options.model:
        with tqdm(total=trials, desc=model, unit="trial", disable=None) as bar:

            def show(done: int, best: float, bar: tqdm = bar) -> None:
                bar.update(done - bar.n)
                bar.set_postfix_str(f"best validation NDCG@10 {best:.4f}")

            found = tune(
                *(results, dataset, model, budget, base),
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
    runs = runs_of(options)
    if options.json:
        print(json.dumps([{"folder": str(c.folder), **c.facts} for c in runs], indent=1))
        return
    for run in runs:
        ndcg = run.facts["metrics"]["test_unfiltered"]["NDCG@10"]
        print(f"{run.model} seed {run.seed}: test NDCG@10 {ndcg:.4f}  {run.folder}")


def _recommend(options: argparse.Namespace) -> None:
    model = loaded(options)
    histories, user_ids = histories_of(model, options)
    frame = model.recommend_all(
        histories, options.k, exclude_seen=options.exclude_seen, user_ids=user_ids
    )
    if options.history:
        frame = frame.drop(columns="user")
    if options.json:
        _print_json(frame)
    elif frame.empty:
        print("seqattn: nothing is left to recommend: every item is seen", file=sys.stderr)
    else:
        print(frame.to_string(index=False, float_format="%.4f"))


def _attention(options: argparse.Namespace) -> None:
    options.user, options.file = None if options.user is None else [options.user], None
    model = loaded(options)
    history, user_ids = histories_of(model, options)
    weights = model.attention(history, user_ids=user_ids)
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


def _export(options: argparse.Namespace) -> None:
    from seqattn.runs.export import export_model, per_user
    from seqattn.runs.store import read_run

    if not (options.per_user or options.model):
        raise SeqattnError("say what to write: --per-user FILE, --model FOLDER, or both")
    run = read_run(options.run)
    if options.per_user:
        if options.dataset:
            _refuse_input("--per-user", options.per_user, options.dataset)
        if options.per_user.resolve().is_relative_to(run.folder):
            raise SeqattnError(
                f"--per-user {options.per_user} lies in the run's own folder; name a file elsewhere"
            )
        table = per_user(run, options.dataset)
        print(write_text(options.per_user, table.to_csv(index=False)))
    if options.model:
        print(export_model(run, options.model, options.dataset))


def _evaluate(options: argparse.Namespace) -> None:
    from seqattn.runs import external
    from seqattn.runs.store import Store

    external.require_name(options.name)
    if options.scores and options.kind:
        raise SeqattnError(
            "--kind goes with --lists; scores of all items give ranks of both kinds, leave it out"
        )
    dataset, path = load_dataset(options.dataset), options.scores or options.lists
    ranked = (
        external.ranks_of_scores(path, dataset)
        if options.scores
        else external.ranks_of_lists(path, dataset, options.kind or KIND)
    )
    store = Store(results_folder(options.results_dir))
    run = external.keep(store, dataset, options.name, path, ranked, options.seed)
    if options.json:
        print(json.dumps({"folder": str(run.folder), **run.facts}, indent=1))
    else:
        for kind, metrics in run.facts["metrics"].items():
            told = ", ".join(f"{name} {metrics[name]:.4f}" for name in ("NDCG@10", "Recall@10"))
            print(f"{options.name}, {kind}: {told}  {run.folder}")
    twins = [
        other.folder
        for other in store.runs(dataset.name, run.model)
        if (other.seed, other.fingerprint) == (run.seed, run.fingerprint)
        and other.facts["metrics"].keys() & run.facts["metrics"].keys()
        and other.folder != run.folder
    ]
    notes = [
        f"another file was evaluated as {run.model} with seed {run.seed}, and `compare` can't tell "
        f"which is meant: remove {folder}, or this one"
        for folder in twins
    ]
    if options.scores and "test_unfiltered" not in ranked.ranks:
        notes.append("the scores hide what users already have, so there are filtered ranks only")
    if ranked.looks_filtered and options.lists:
        notes.append("no list holds what its user already has; if that is so, say --kind filtered")
    if ranked.items_missing:
        asked = len(dataset.split.rows("test"))
        notes.append(
            f"{ranked.items_missing} of {dataset.n_items} items have no scores and come last, and "
            f"{ranked.targets_missing} of {asked} test targets are among them"
        )
    if ranked.depth < dataset.n_items:
        notes.append(
            f"the shortest list holds {ranked.depth} items: metrics beyond it are lower bounds"
        )
    if "test" in dataset.split.owners() and not ranked.by_target:
        notes.append(
            "a user has several test targets here, all ranked by one list; our models read the "
            "earlier ones before they are asked for the next, so the two are not compared alike; "
            "give each target its own, in a column or an array of targets, or ask for one by the "
            "split's `target: first`, last or random"
        )
    for note in notes:
        print(f"seqattn: {note}", file=sys.stderr)


def _metrics(options: argparse.Namespace) -> None:
    from seqattn.runs.evaluation import evaluation
    from seqattn.stats.metrics import parse_metric

    name, k = parse_metric(options.metric)
    dataset = load_dataset(options.dataset)
    runs = runs_of_any(options, dataset)
    frame = evaluation(runs, dataset, name=name, k=k, kind=options.kind)
    if options.json:
        _print_json(frame, "index")
        return
    print(frame.T.rename_axis(index=options.metric).to_string(na_rep="-", float_format="%.4f"))


def _significance(options: argparse.Namespace) -> None:
    from seqattn.runs.results import require_comparable, verdicts

    if options.model is None:
        has_intensity = load_dataset(options.dataset).has_intensity
        options.model = [BASELINE, *VARIANTS] if has_intensity else list(AE_VS_AR)
    if len(options.seed) < 2:  # before minutes of fits
        raise SeqattnError("one seed is no test over seeds; give at least two, by -s")
    require_comparable(options.model)
    runs = runs_of(options)
    frame = verdicts(runs, kind=options.kind).frame()
    if np.isinf(frame["t_statistic"]).any():
        told = (
            "each seed differs by the same amount somewhere, so that p = 0 of the t-test is a limit"
        )
        print(f"seqattn: {told}; look at the runs, or fit more seeds", file=sys.stderr)
    if options.json:
        _print_json(frame)
        return
    columns = [
        *("model", "metric", "k", "relative_change_percent", "t_p_value"),
        *("pooled_p_value", "clustered_p_value", "robust", "robust_clustered"),
    ]
    print(frame[columns].to_string(index=False, float_format=lambda x: f"{x:.4g}"))


def _compare(options: argparse.Namespace) -> None:
    from seqattn.runs.compare import compare

    result = compare(*systems(options), margin_percent=options.margin)
    for name, only in ((options.base, result.only_base), (options.variant, result.only_variant)):
        if only:
            some = ", ".join(only[:3]) + (", ..." if len(only) > 3 else "")
            print(
                f"seqattn: left out {len(only)} users that only {name} has: {some}", file=sys.stderr
            )
    if options.json:
        _print_json(result.table)
    elif options.csv:
        print(result.table.to_csv(index=False), end="")
    elif options.latex:
        told = result.table.to_latex(index=False, na_rep="", float_format=_number, escape=True)
        print(told, end="")
    else:
        print(result.table.to_string(index=False, na_rep="", float_format=_number))


def _print_json(frame: pd.DataFrame, orient: Literal["records", "index"] = "records") -> None:
    """Print a table with all digits of its numbers, what is none or infinite as null."""
    finite = frame.replace([np.inf, -np.inf], np.nan).astype(object)
    print(json.dumps(finite.where(finite.notna(), None).to_dict(orient), indent=1))


def _number(value: float) -> str:
    """Return a number with four digits, or a count with all of its own."""
    return f"{value:.0f}" if value == round(value) and abs(value) >= 1000 else f"{value:.4g}"


def _report(options: argparse.Namespace) -> None:
    from seqattn.book import NOTEBOOKS
    from seqattn.book.reports import report

    preset = options.preset
    parameters = {
        "preset": str(Path(preset).resolve()) if is_yaml(preset) else preset,
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
        told = f"seqattn: left out, with nothing to show here: {', '.join(left_out)}"
        print(told, file=sys.stderr)


def _study(options: argparse.Namespace) -> None:
    from seqattn.book.pages import make_study, require_makeable
    from seqattn.studies import hours, plan
    from seqattn.studies.study import read_study

    part = {
        "datasets": options.dataset,
        "arms": options.arm,
        "models": options.model,
        "seeds": options.seed,
    }
    if options.tables and any(part.values()):
        raise SeqattnError("--tables writes those of the whole study; leave out -d, -a, -m and -s")
    fit = {"device": options.device, "workers": options.workers}
    for study in map(read_study, options.study):
        wanted = plan.part(plan.wanted(study), **part) if any(part.values()) else plan.wanted(study)
        if not (options.plan or options.tables):
            for told in dict.fromkeys(group.lacking for group in wanted if group.lacking):
                print(f"seqattn: left out: {told}", file=sys.stderr)
        if options.plan:
            require_makeable(study)
            print(f"{study.name}: {study.question}")
            progress = hours.progress(study, plan.read(wanted, *study.stores), options.device)
            print(progress.to_string(index=False, float_format="%.1f", na_rep="unknown"))
        elif any(part.values()):
            runs = plan.fit_missing(study, plan.read(wanted, *study.stores), **fit)
            print(f"{study.name}: {len(runs)} runs fitted, kept in {study.stores[-1].path}")
        else:
            print(*make_study(study, missing=not options.tables, **fit), sep="\n")


def _pages(options: argparse.Namespace) -> None:
    from seqattn.book.contents import write_toc
    from seqattn.book.pages import study_pages

    print(*study_pages(), sep="\n")
    print(write_toc())


def _check(options: argparse.Namespace) -> int:
    from seqattn.runs.store import RunSpec, read_run
    from seqattn.studies import check

    seed = options.sample_seed
    seed = random.SystemRandom().randrange(10_000) if seed is None else seed
    chosen = [read_run(folder) for folder in options.run or ()]
    for run in (run for run in chosen if run.engine != RunSpec.engine):
        raise SeqattnError(f"{run.folder} is of another library, which fits it: leave it out")
    problems = check.check_records(options.results, options.datasets, tell=print)
    beside = ROOT / "results"  # what belongs to the campaign, and to no other folder
    own = options.results.resolve() == beside / "campaign"
    baselines = options.baselines or (beside / "baselines" if own else None)
    calibration = options.calibration or (beside / "calibration" if own else None)
    if baselines and (options.baselines or baselines.is_dir()):
        problems += check.check_records(baselines, options.datasets, tell=print)
    if calibration:
        problems += check.check_calibrations(calibration, options.results)
    if chosen:
        problems += check.check_runs(chosen, epochs=options.epochs)
    else:
        problems += check.check_sample(
            options.results, sample=options.sample, epochs=options.epochs, seed=seed
        )
    print(*problems, sep="\n")
    print(f"{len(problems)} problems")
    return 1 if problems else 0
