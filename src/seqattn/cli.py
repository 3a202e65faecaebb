"""The ``seqattn`` command: its arguments, and what each verb does."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from seqattn.config import BASELINE, DESIGNS, NORMALISATIONS, PRESETS, SEEDS, VARIANTS, get_preset
from seqattn.data import CATALOGUE, Dataset, Sequences, load_dataset
from seqattn.data.sources import how_to_get, status
from seqattn.errors import SeqattnError
from seqattn.files import write_text
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.runs.store import Run
from seqattn.search.collect import collect
from seqattn.search.record import SearchConfig
from seqattn.studies.plan import names

if TYPE_CHECKING:
    from seqattn.runs.compare import PerUser
    from seqattn.runs.recommender import Recommender

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


EXAMPLES = """examples:
  seqattn datasets
  seqattn prepare ml-100k
  seqattn prepare my.yaml
  seqattn fit -d ml-100k -m ia-add -s 2020 --json
  seqattn tune -d ml-100k -m sasrec ia-add
  seqattn tune -d ml-100k -m ia-add --design shared_backbone
  seqattn fit -d ml-100k -m sasrec ia-add -s 2020 2021 --preset own_search
  seqattn fit -d ml-100k -m sasrec -s 2020 2021 --preset own_search --backbone-of ia-val
  seqattn fit -d ml-100k -m pop itemknn bpr gru4rec -s 2020 --results-dir results/baselines
  seqattn recommend -d ml-100k -m ia-add --user 7 -k 5
  seqattn recommend -d ml-100k -m sasrec --history 50,172,181
  seqattn attention -d ml-100k -m ia-add --user 7 -o maps.svg
  seqattn export .seqattn/results/ml-100k/sasrec/seed-2020-... --per-user out.csv --model out
  seqattn significance ml-100k
  seqattn compare sasrec ia-add -d ml-100k --metric Recall@20
  seqattn compare theirs.csv mine.csv --column ndcg
  seqattn evaluate -d ml-100k --lists top100.csv --name implicit-als
  seqattn report ml-100k
  seqattn collect .seqattn/results -o results/campaign
  seqattn check results/campaign
  seqattn study replication --plan
"""

DATASET = "a name that `seqattn datasets` lists, or the YAML file of your own log"


def parser() -> argparse.ArgumentParser:
    """Return the command's parser; ``verb`` of what it parses names the verb."""
    command = argparse.ArgumentParser(
        prog="seqattn",
        description="Intensity in the attention of sequential recommenders.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = command.add_subparsers(required=True, metavar="VERB", dest="verb")
    for add in (
        _add_datasets,
        _add_prepare,
        _add_tune,
        _add_collect,
        _add_fit,
        _add_recommend,
        _add_attention,
        _add_export,
        _add_evaluate,
        _add_significance,
        _add_compare,
        _add_report,
        _add_study,
        _add_pages,
        _add_check,
    ):
        add(verbs)
    return command


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty path; name a file or folder")
    return Path(text).expanduser()


def _add_datasets(verbs: Verbs) -> None:
    verb = verbs.add_parser("datasets", help="list the known datasets and where they are")
    _add_json(verb)


def _add_prepare(verbs: Verbs) -> None:
    told = "get, read, filter, split and audit a dataset; print counts and alarms"
    verb = verbs.add_parser("prepare", help=told)
    verb.add_argument("dataset", help=DATASET)
    told = "folder for the records (dataset, audit, intensity, ties: .json)"
    verb.add_argument("-o", "--output", type=_path, help=told)
    _add_json(verb)


def _add_tune(verbs: Verbs) -> None:
    told = "search hyperparameters; a search that was stopped goes on where it stood"
    verb = verbs.add_parser("tune", help=told)
    verb.add_argument("-d", "--dataset", required=True, help=DATASET)
    _add_models(verb, required=True)
    told = "shared_backbone: search a variant's normalisation alone, on SASRec's best settings"
    verb.add_argument("--design", choices=DESIGNS, default=DESIGNS[0], help=told)
    verb.add_argument("--trials", type=int, default=25, help="default: 25, as published")
    verb.add_argument("--epochs", type=int, default=10, help="epochs of a trial; default: 10")
    told = "seed of the sampler and of the fits; default: 2020"
    verb.add_argument("--search-seed", type=int, default=2020, help=told)
    verb.add_argument(
        "--prune", action="store_true", help="stop poor trials early (successive halving)"
    )
    told = "preset for the settings that are not searched; default: paper"
    verb.add_argument("--base", choices=list(PRESETS), default="paper", help=told)
    told = (
        "URL of a database that several machines reach; may hold {dataset}, {design} and {model}; "
        "default: SQLite in the results folder"
    )
    verb.add_argument("--storage", help=told)
    _add_where(verb)
    _add_json(verb)


def _add_collect(verbs: Verbs) -> None:
    told = "copy finished searches and runs into another results folder"
    verb = verbs.add_parser("collect", help=told)
    verb.add_argument("source", nargs="+", type=_path, help="results folders")
    told = "folder to copy into; default: results/campaign"
    verb.add_argument("-o", "--output", type=_path, default=Path("results/campaign"), help=told)


def _add_fit(verbs: Verbs) -> None:
    told = "fit the runs that are not in the results folder yet"
    verb = verbs.add_parser("fit", aliases=["train"], help=told)
    verb.add_argument("-d", "--dataset", required=True, help=DATASET)
    told = f"{', '.join(RECBOLE_MODELS)} are RecBole's, with a small grid each instead of a preset"
    _add_models(verb, required=True, choices=[*MODELS, *RECBOLE_MODELS], help=told)
    told = "training seeds, one run per seed; the protocol has 2020 to 2024"
    verb.add_argument("-s", "--seed", nargs="+", type=int, required=True, help=told)
    told = "fit with the settings of this model, as a control; default: each model's own"
    verb.add_argument("--backbone-of", choices=list(MODELS), help=told)
    _add_common(verb)
    _add_json(verb)


def _add_recommend(verbs: Verbs) -> None:
    told = "recommend next items: for users of the log, or for a history of your own"
    verb = verbs.add_parser("recommend", help=told)
    whom = _add_whom(verb)
    whom.add_argument("--user", nargs="+", metavar="ID", help="users of the dataset")
    told = "CSV with a header and columns user, item[, intensity], each user's oldest row first"
    whom.add_argument("--file", type=_path, help=told)
    verb.add_argument("-k", type=int, default=10, help="how many items; default: 10")
    told = "leave out items of the history"
    verb.add_argument("--exclude-seen", action="store_true", help=told)
    _add_json(verb)


def _add_attention(verbs: Verbs) -> None:
    told = "show what a model looks at in one history, as numbers and as a picture"
    verb = verbs.add_parser("attention", help=told)
    _add_whom(verb).add_argument("--user", metavar="ID", help="a user of the dataset")
    told = "picture of all maps to write (.svg, .png or .pdf)"
    verb.add_argument("-o", "--output", type=_path, help=told)
    verb.add_argument("--csv", action="store_true", help="print every weight as CSV")


def _add_whom(verb: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Add a model and a history; return the group in which more may name whose history it is."""
    told = f"{DATASET}; not needed with a folder that `export` wrote"
    verb.add_argument("-d", "--dataset", help=told)
    told = "a model's name, the folder of a run, or one that `export` wrote"
    verb.add_argument("-m", "--model", required=True, help=told)
    verb.add_argument("-s", "--seed", type=int, default=SEEDS[0], help=f"default: {SEEDS[0]}")
    whom = verb.add_mutually_exclusive_group(required=True)
    whom.add_argument("--history", metavar="ID,ID,...", help="items, oldest first")
    told = "one number for each item of --history, for models that read intensity"
    verb.add_argument("--intensity", metavar="X,X,...", help=told)
    _add_common(verb)
    return whom


def _add_export(verbs: Verbs) -> None:
    told = "write a run's ranks per user as CSV, or its model into a folder of its own"
    verb = verbs.add_parser("export", help=told)
    verb.add_argument("run", type=_path, help="folder of a run, as `fit` prints it")
    verb.add_argument("-d", "--dataset", help="the YAML file, if the run is of your own log")
    told = "CSV to write: user, target, ranks and metrics at 10"
    verb.add_argument("--per-user", type=_path, metavar="FILE", help=told)
    told = "folder to write: weights, configuration, items, model card"
    verb.add_argument("--model", type=_path, metavar="FOLDER", help=told)


def _add_evaluate(verbs: Verbs) -> None:
    told = "rank the test targets by another library's output, and keep that as a run"
    verb = verbs.add_parser("evaluate", help=told)
    verb.add_argument("-d", "--dataset", required=True, help=DATASET)
    what = verb.add_mutually_exclusive_group(required=True)
    told = "npz with users (U,), items (V,) and scores (U, V), from histories up to the target"
    what.add_argument("--scores", type=_path, metavar="FILE", help=told)
    told = "CSV or Parquet with columns user, item and rank or score: each user's recommendations"
    what.add_argument("--lists", type=_path, metavar="FILE", help=told)
    told = "of lists: whether they leave out what a user already has; default: unfiltered"
    verb.add_argument("--kind", choices=("unfiltered", "filtered"), default="unfiltered", help=told)
    told = "what to call the model; another than seqattn's"
    verb.add_argument("--name", required=True, help=told)
    verb.add_argument("-s", "--seed", type=int, default=0, help="its training seed; default: 0")
    verb.add_argument("--results-dir", default="", help="results folder; default: .seqattn/results")
    _add_json(verb)


def _add_significance(verbs: Verbs) -> None:
    told = "test variants against SASRec by the dual criterion; fits missing runs first"
    verb = verbs.add_parser("significance", help=told)
    verb.add_argument("dataset", help=DATASET)
    _add_models(verb, default=[BASELINE, *VARIANTS])
    told = "at least two; default: 2020 to 2024"
    verb.add_argument("-s", "--seed", nargs="+", type=int, default=list(SEEDS), help=told)
    told = "rank all items, or only those the user does not have yet; default: unfiltered"
    verb.add_argument("--kind", choices=("unfiltered", "filtered"), default="unfiltered", help=told)
    _add_common(verb)
    _add_json(verb)


def _add_compare(verbs: Verbs) -> None:
    told = "compare two systems user by user: models of a dataset, or CSV files of any library"
    verb = verbs.add_parser("compare", help=told)
    told = "a CSV file with columns user, a value and, if several, seed; or a model's name, with -d"
    verb.add_argument("base", help=told)
    verb.add_argument("variant", help="the same; the change is from base to variant")
    verb.add_argument("-d", "--dataset", help=f"for models: {DATASET}")
    told = f"for models; default: {SEEDS[0]} to {SEEDS[-1]}"
    verb.add_argument("-s", "--seed", nargs="+", type=int, default=list(SEEDS), help=told)
    told = "of models: NDCG@10 (default), Recall@20, MRR@50, ..."
    verb.add_argument("--metric", default="NDCG@10", help=told)
    told = "of models: rank all items, or only those the user does not have yet"
    verb.add_argument("--kind", choices=("unfiltered", "filtered"), default="unfiltered", help=told)
    verb.add_argument("--column", help="of files: the column of values, if there are several")
    told = "margin of equivalence, in percent of the base; default: 5. Choose it before you look"
    verb.add_argument("--margin", type=float, default=5.0, help=told)
    _add_common(verb)
    shown = verb.add_mutually_exclusive_group()
    for name in ("json", "csv", "latex"):
        shown.add_argument(f"--{name}", action="store_true", help=f"print {name.upper()}")


def _add_report(verbs: Verbs) -> None:
    verb = verbs.add_parser("report", help="run every notebook on a dataset, into book/runs")
    verb.add_argument("dataset", help=DATASET)
    _add_models(verb, help="default: SASRec and its variants")
    verb.add_argument("-s", "--seed", nargs="+", type=int, help="default: 2020 to 2024")
    verb.add_argument("-o", "--output", type=_path, help="folder for the executed notebooks")
    _add_common(verb)


def _add_study(verbs: Verbs) -> None:
    told = "fit what studies lack, write their tables, run their notebooks into book/studies"
    verb = verbs.add_parser("study", help=told)
    told = "names of files in notebooks/studies"
    verb.add_argument("study", nargs="+", choices=names(), metavar="NAME", help=told)
    told = "only list runs done and missing, with an estimate of the time; nothing is fitted"
    verb.add_argument("--plan", action="store_true", help=told)
    verb.add_argument("--device", default="cpu", help="cpu or cuda")
    verb.add_argument("--workers", type=int, help="processes on the CPU; default: one a core")


def _add_pages(verbs: Verbs) -> None:
    told = "run the studies' notebooks from their tables, and write the book's table of contents"
    verbs.add_parser("pages", help=told)


def _add_check(verbs: Verbs) -> None:
    told = "check that a results folder is complete and unaltered; fit a sample of it again"
    verb = verbs.add_parser("check", help=told)
    verb.add_argument("results", type=_path, help="results folder, such as results/campaign")
    for name in ("datasets", "baselines", "calibration"):
        told, default = f"folder of the {name} records", Path("results", name)
        verb.add_argument(
            f"--{name}", type=_path, default=default, help=f"{told}; default: {default}"
        )
    verb.add_argument("--sample", type=int, default=4, help="runs to fit again; default: 4")
    verb.add_argument("--epochs", type=int, default=2, help="epochs to fit of each; default: 2")
    told = "seed of the sample; default: another one each time"
    verb.add_argument("--sample-seed", type=int, help=told)


def _add_models(verb: argparse.ArgumentParser, **more: Any) -> None:
    verb.add_argument("-m", "--model", nargs="+", **{"choices": list(MODELS), **more})


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON")


def _add_common(verb: argparse.ArgumentParser) -> None:
    told = "settings by name: a preset, or a design that was searched with `tune`; default: quick"
    verb.add_argument("--preset", default="quick", choices=[*PRESETS, *DESIGNS], help=told)
    _add_where(verb)


def _add_where(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    verb.add_argument("--results-dir", default="", help="results folder; default: .seqattn/results")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 if `check` found problems, 2 after an error, 130 on Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        code = RUN[options.verb](options) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read our output, such as `head`, has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SeqattnError as error:
        print(f"seqattn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("seqattn: interrupted; finished runs and trials are kept", file=sys.stderr)
        return 130


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
    from seqattn.audit.records import describe
    from seqattn.files import ROOT

    found = describe(options.dataset)
    folder = options.output or ROOT / ".seqattn" / "datasets" / found.dataset["dataset"]
    paths = found.write(folder)
    if options.json:
        print(json.dumps(found.dataset, indent=1))
        return
    print(found.steps.to_string(index=False))
    for light in ("red", "amber"):
        for finding in found.audit.findings.query("light == @light").itertuples():
            print(f"{light:<5}  {finding.title}: {finding.value:.3g}. {finding.advice}")
    print(f"fingerprint {found.dataset['fingerprint'] or 'none: no chronology, not prepared'}")
    print(*paths, sep="\n")


def _runs(options: argparse.Namespace) -> list[Run]:
    """Return the runs a command names, fitting missing ones."""
    from seqattn.files import results_folder
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
    from seqattn.files import results_folder
    from seqattn.search.tune import tune

    dataset, results = load_dataset(options.dataset), results_folder(options.results_dir)
    budget = SearchConfig(options.trials, options.epochs, options.search_seed, options.prune)
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
    tell = partial(print, "seqattn:", file=sys.stderr)
    new = [p for source in options.source for p in collect(source, options.output, tell=tell)]
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
    histories = _histories(model, options)
    frame = model.recommend_all(histories, options.k, exclude_seen=options.exclude_seen)
    if options.history:
        frame = frame.drop(columns="user")
    if options.json:
        print(frame.to_json(orient="records", indent=1))
        return
    print(frame.to_string(index=False, float_format="%.4f"))


def _attention(options: argparse.Namespace) -> None:
    options.user, options.file = options.user and [options.user], None
    model = _loaded(options)
    weights = model.attention(_histories(model, options))
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


def _histories(model: Recommender, options: argparse.Namespace) -> Sequences:
    """Return the histories that a command names, in the model's codes."""
    from seqattn.data.readers.delimited import header_of, read_delimited

    if options.intensity and not options.history:
        raise SeqattnError("--intensity goes with --history; a file has a column for it")
    if options.user:
        dataset = load_dataset(options.dataset or model.about["dataset"])
        if dataset.fingerprint != model.about["fingerprint"]:
            raise SeqattnError(f"the model was not fitted on {dataset.name}; name its data, by -d")
        return dataset.sequences.of_users(options.user)
    if options.file:
        table = read_delimited(options.file, ",", {n: n for n in header_of(options.file, ",")})
        return model.histories(table.frame)
    intensity = options.intensity.split(",") if options.intensity else None
    return model.history(options.history.split(","), intensity)


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
    from seqattn.files import results_folder
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
    if ranked.depth < dataset.n_items:
        told = f"the shortest list holds {ranked.depth} items: metrics beyond it are lower bounds"
        print(f"seqattn: {told}", file=sys.stderr)


def _significance(options: argparse.Namespace) -> None:
    from seqattn.runs.results import verdicts

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
    """Return what a command compares: both from files, or both models of a dataset."""
    from seqattn.runs.compare import of_file, of_runs
    from seqattn.stats.metrics import parse_metric

    asked = [options.base, options.variant]
    if all(Path(name).is_file() for name in asked):
        return [of_file(Path(name), options.column) for name in asked]
    if not options.dataset:
        first = next(name for name in asked if not Path(name).is_file())
        raise SeqattnError(
            f"{first}: no such file; for the runs of a model, name its dataset by -d"
        )
    name, k = parse_metric(options.metric)
    dataset = load_dataset(options.dataset)
    ours = [model for model in dict.fromkeys(asked) if model in MODELS]
    runs: dict[str, list[Run]] = {model: [] for model in asked}
    if ours:
        options.model = ours
        for run in _runs(options):
            runs[run.model].append(run)
    for model in set(asked) - set(ours):
        runs[model] = _elsewhere(model, dataset, options.results_dir)
    return [of_runs(model, runs[model], dataset, name, k, options.kind) for model in asked]


def _elsewhere(name: str, dataset: Dataset, results_dir: str) -> list[Run]:
    """Return the runs of a model made elsewhere, one for each seed."""
    from seqattn.files import results_folder
    from seqattn.runs.store import Store

    store = Store(results_folder(results_dir))
    found = {
        r.seed: r for r in store.runs(dataset.name, name) if r.fingerprint == dataset.fingerprint
    }
    if not found:
        raise SeqattnError(
            f"{name!r} is no file, no model of seqattn ({', '.join(MODELS)}), and {store.path} has "
            f"no run of that name on {dataset.name}; `seqattn evaluate` makes one"
        )
    return list(found.values())


def _report(options: argparse.Namespace) -> None:
    from seqattn.book import NOTEBOOKS
    from seqattn.book.reports import report

    parameters = {
        "preset": options.preset,
        "device": options.device,
        "results_dir": str(_path(options.results_dir).resolve()) if options.results_dir else "",
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

    for study in map(plan.read_study, options.study):
        if options.plan:
            groups = plan.read(plan.wanted(study), *study.stores)
            print(f"{study.name}: {study.question}")
            print(plan.progress(study, groups).to_string(index=False, float_format="%.1f"))
            continue
        print(*make_study(study, device=options.device, workers=options.workers), sep="\n")


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
    "significance": _significance,
    "compare": _compare,
    "report": _report,
    "study": _study,
    "pages": _pages,
    "check": _check,
}


if __name__ == "__main__":
    sys.exit(main())
