"""The ``seqattn`` command: its arguments, and what each verb does."""

from __future__ import annotations

import argparse
import json
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
from seqattn.data import CATALOGUE, load_dataset
from seqattn.data.sources import how_to_get, status
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.runs.store import Run
from seqattn.search.collect import collect
from seqattn.search.record import SearchConfig
from seqattn.studies.plan import names

if TYPE_CHECKING:
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
  seqattn significance ml-100k
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
        _add_significance,
        _add_report,
        _add_study,
        _add_pages,
        _add_check,
    ):
        add(verbs)
    return command


def _add_datasets(verbs: Verbs) -> None:
    verb = verbs.add_parser("datasets", help="list the known datasets and where they are")
    _add_json(verb)


def _add_prepare(verbs: Verbs) -> None:
    told = "get, read, filter, split and audit a dataset; print counts and alarms"
    verb = verbs.add_parser("prepare", help=told)
    verb.add_argument("dataset", help=DATASET)
    told = "folder for the records (dataset, audit, intensity, ties: .json)"
    verb.add_argument("-o", "--output", type=Path, help=told)
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
    verb.add_argument("source", nargs="+", type=Path, help="results folders")
    told = "folder to copy into; default: results/campaign"
    verb.add_argument("-o", "--output", type=Path, default=Path("results/campaign"), help=told)


def _add_fit(verbs: Verbs) -> None:
    verb = verbs.add_parser("fit", help="fit the runs that are not in the results folder yet")
    verb.add_argument("-d", "--dataset", required=True, help=DATASET)
    told = f"{', '.join(RECBOLE_MODELS)} are RecBole's, with a small grid each instead of a preset"
    _add_models(verb, required=True, choices=[*MODELS, *RECBOLE_MODELS], help=told)
    told = "training seeds, one run per seed; the protocol has 2020 to 2024"
    verb.add_argument("-s", "--seed", nargs="+", type=int, required=True, help=told)
    told = "fit with the settings of this model, as a control; default: each model's own"
    verb.add_argument("--backbone-of", choices=list(MODELS), help=told)
    _add_common(verb)
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


def _add_report(verbs: Verbs) -> None:
    verb = verbs.add_parser("report", help="run every notebook on a dataset, into book/runs")
    verb.add_argument("dataset", help=DATASET)
    _add_models(verb, help="default: SASRec and its variants")
    verb.add_argument("-s", "--seed", nargs="+", type=int, help="default: 2020 to 2024")
    verb.add_argument("-o", "--output", type=Path, help="folder for the executed notebooks")
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
    verb.add_argument("results", type=Path, help="results folder, such as results/campaign")
    for name in ("datasets", "baselines", "calibration"):
        told, default = f"folder of the {name} records", Path("results", name)
        verb.add_argument(
            f"--{name}", type=Path, default=default, help=f"{told}; default: {default}"
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
        return RUN[options.verb](options) or 0
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

    results, dataset = results_folder(options.results_dir), load_dataset(options.dataset)
    pairs, backbone = product(options.model, options.seed), getattr(options, "backbone_of", None)
    specs = wanted_specs(results, dataset, pairs, options.preset, backbone_of=backbone)
    progress = sys.stderr.isatty()
    return fit_runs(Store(results), dataset, specs, device=options.device, progress=progress)


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


def _report(options: argparse.Namespace) -> None:
    from seqattn.book import NOTEBOOKS
    from seqattn.book.reports import report

    parameters = {
        "preset": options.preset,
        "device": options.device,
        "results_dir": str(Path(options.results_dir).resolve()) if options.results_dir else "",
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
    "significance": _significance,
    "report": _report,
    "study": _study,
    "pages": _pages,
    "check": _check,
}


if __name__ == "__main__":
    sys.exit(main())
