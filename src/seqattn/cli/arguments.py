"""What each verb of the ``seqattn`` command may be told."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqattn.config import AE_VS_AR, BASELINE, DESIGNS, MARGIN_PERCENT, SEEDS
from seqattn.errors import SeqattnError
from seqattn.files import ROOT
from seqattn.models import MODELS, RECBOLE_MODELS
from seqattn.presets import PRESETS, require_settings
from seqattn.stats.metrics import KINDS
from seqattn.studies.study import names

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction["_Verb"]


EXAMPLES = """examples:
  seqattn prepare my.yaml
  seqattn tune -d ml-100k -m sasrec ia-add
  seqattn fit -d ml-100k -m sasrec ia-add -s 2020 2021 --preset own_search
  seqattn fit -d ml-100k -m sasrec -s 2020 2021 --preset own_search --backbone-of ia-val
  seqattn compare sasrec ia-add -d ml-100k --metric Recall@20
  seqattn evaluate -d ml-100k --lists top100.csv --name implicit-als
  seqattn recommend -d ml-100k -m ia-add --user 7 -k 5
  seqattn export .seqattn/results/ml-100k/sasrec/seed-2020-... --per-user out.csv --model out
  seqattn study positions -d ml-100k -a rope -s 2020 2021
"""

METRIC, KIND, PRESET = "NDCG@10", "unfiltered", "quick"
OWN_SETTINGS = "or the YAML file of your own"
DATASET = "a name that `seqattn datasets` lists, or the YAML file of your own log"


class _Help(argparse.HelpFormatter):
    """Help whose lines never break inside a name such as ``ia-add-per-head``."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class _Verb(argparse.ArgumentParser):
    def __init__(self, **more: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **more})


def parser() -> argparse.ArgumentParser:
    """Return the command's parser; ``verb`` of what it parses names the verb."""
    command = argparse.ArgumentParser(
        prog="seqattn",
        description="Intensity in the attention of sequential recommenders.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = command.add_subparsers(required=True, metavar="VERB", dest="verb", parser_class=_Verb)
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
        _add_metrics,
        _add_significance,
        _add_compare,
        _add_report,
        _add_study,
        _add_pages,
        _add_check,
    ):
        add(verbs)
    return command


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.strip().lstrip("+-").isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return int(text)

    return number


def _positive(text: str) -> float:
    try:
        if (value := float(text)) > 0:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no positive number")


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
    told = "CSV to write: every interaction with its part (train, valid, test), for other libraries"
    verb.add_argument("--split", type=_path, metavar="FILE", help=told)
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
    told = "with --prune: epochs before the first look at a trial; default: Optuna's choice"
    verb.add_argument("--prune-from", type=int, default=0, help=told)
    told = "with --prune: of how many trials one goes on at each look; default: 4"
    verb.add_argument("--prune-keep", type=int, default=4, help=told)
    told = f"settings that are not searched: {', '.join(PRESETS)}, {OWN_SETTINGS}; default: paper"
    verb.add_argument("--base", type=_settings, default="paper", help=told)
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
    verb = verbs.add_parser("fit", help=told)
    verb.add_argument("-d", "--dataset", required=True, help=DATASET)
    told = f"the last {len(RECBOLE_MODELS)} are RecBole's, with a small grid each, no preset"
    _add_models(verb, required=True, choices=[*MODELS, *RECBOLE_MODELS], help=told)
    told = "training seeds, one run per seed; the protocol has 2020 to 2024"
    verb.add_argument("-s", "--seed", nargs="+", type=int, required=True, help=told)
    told = "fit with the settings of this model, as a control; default: each model's own"
    verb.add_argument("--backbone-of", metavar="MODEL", choices=list(MODELS), help=told)
    _add_common(verb)
    _add_json(verb)


def _add_recommend(verbs: Verbs) -> None:
    told = "recommend next items: for users of the log, or for a history of your own"
    verb = verbs.add_parser("recommend", help=told)
    whom = _add_whom(verb)
    whom.add_argument("--user", nargs="+", metavar="ID", help="users of the dataset")
    told = "CSV with a header and columns user, item[, intensity], each user's oldest row first"
    whom.add_argument("--file", type=_path, help=told)
    verb.add_argument("-k", type=_at_least(1), default=10, help="how many items; default: 10")
    told = "leave out items of the history"
    verb.add_argument("--exclude-seen", action="store_true", help=told)
    _add_json(verb)


def _add_attention(verbs: Verbs) -> None:
    told = "show what a model looks at in one history, as numbers and as a picture"
    verb = verbs.add_parser("attention", help=told)
    _add_whom(verb).add_argument("--user", metavar="ID", help="a user of the dataset")
    told = "picture of all maps to write (.svg, .png or .pdf)"
    how = verb.add_mutually_exclusive_group()
    how.add_argument("-o", "--output", type=_path, help=told)
    how.add_argument("--csv", action="store_true", help="print every weight as CSV")


def _add_whom(verb: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Add a model and a history; return the group in which more may name whose history it is."""
    told = f"{DATASET}; not needed with a folder that `export` wrote"
    verb.add_argument("-d", "--dataset", help=told)
    told = "a model's name, the folder of a run, or one that `export` wrote"
    verb.add_argument("-m", "--model", required=True, help=told)
    verb.add_argument("-s", "--seed", type=int, help=f"of a model's name; default: {SEEDS[0]}")
    whom = verb.add_mutually_exclusive_group(required=True)
    whom.add_argument("--history", metavar="ID,ID,...", help="items, oldest first")
    told = "one number for each item of --history, for models that read intensity"
    verb.add_argument("--intensity", metavar="X,X,...", help=told)
    _add_common(verb)
    # With a folder, which is one run, they would say nothing, and are refused.
    verb.set_defaults(seed=None, preset=None, device=None, results_dir=None)
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
    told = (
        "npz with users (U,), items (V,) and scores (U, V), from histories up to the target; where "
        "a user has several, also targets (U,), see `prepare --split`"
    )
    what.add_argument("--scores", type=_path, metavar="FILE", help=told)
    told = (
        "CSV or Parquet with columns user, item and rank (1, 2, 3, ...) or score; where a user has "
        "several targets, also target"
    )
    what.add_argument("--lists", type=_path, metavar="FILE", help=told)
    told = "of lists: whether they leave out what a user already has; default: unfiltered"
    verb.add_argument("--kind", choices=KINDS, help=told)
    told = "what to call the model; another than seqattn's"
    verb.add_argument("--name", required=True, help=told)
    verb.add_argument("-s", "--seed", type=int, default=0, help="its training seed; default: 0")
    verb.add_argument("--results-dir", default="", help="results folder; default: .seqattn/results")
    _add_json(verb)


def _add_metrics(verbs: Verbs) -> None:
    told = "a metric by kind of target, with ties reversed, and coverage, Gini and novelty"
    verb = verbs.add_parser("metrics", help=told)
    verb.add_argument("-d", "--dataset", required=True, help=DATASET)
    told = f"{', '.join([*MODELS, *RECBOLE_MODELS])}; or a name given to `evaluate`"
    verb.add_argument("-m", "--model", nargs="+", metavar="MODEL", required=True, help=told)
    told = (
        f"default: {SEEDS[0]} to {SEEDS[-1]}, of names given to `evaluate` all that are there; the "
        "means over them are shown"
    )
    verb.add_argument("-s", "--seed", nargs="+", type=int, help=told)
    told = "NDCG@10 (default), Recall@20, MRR@50, ...; lists are as long as its cut-off"
    verb.add_argument("--metric", default=METRIC, help=told)
    _add_kind(verb)
    _add_common(verb)
    _add_json(verb)


def _add_significance(verbs: Verbs) -> None:
    told = "test variants against SASRec by the dual criterion; fits missing runs first"
    verb = verbs.add_parser("significance", help=told)
    verb.add_argument("dataset", help=DATASET)
    told = f"default: {BASELINE} and its variants, or {', '.join(AE_VS_AR)} without intensity"
    _add_models(verb, help=told)
    told = "at least two; default: 2020 to 2024"
    verb.add_argument("-s", "--seed", nargs="+", type=int, default=list(SEEDS), help=told)
    _add_kind(verb)
    _add_common(verb)
    _add_json(verb)


def _add_compare(verbs: Verbs) -> None:
    told = (
        "compare two systems user by user: models, whose missing runs are fitted, runs, or files "
        "of any library"
    )
    verb = verbs.add_parser("compare", help=told)
    told = (
        "a CSV or Parquet file with columns user, a value and, if several, seed; a run's folder; "
        "or, with -d, a model, MODEL:PRESET (ia-add:own_search), or a name given to `evaluate`"
    )
    verb.add_argument("base", help=told)
    verb.add_argument("variant", help="the same; the change is from base to variant")
    verb.add_argument("-d", "--dataset", help=f"for models, and runs of your own log: {DATASET}")
    told = f"default: {SEEDS[0]} to {SEEDS[-1]} of models, else all that are there"
    verb.add_argument("-s", "--seed", nargs="+", type=int, help=told)
    verb.add_argument("--metric", help="not of files: NDCG@10 (default), Recall@20, MRR@50, ...")
    _add_kind(verb, default=None)
    verb.add_argument("--column", help="of files: the column of values, if there are several")
    told = "of files: the column of users, by whose ids values are paired; default: user"
    verb.add_argument("--by", metavar="COLUMN", help=told)
    told = f"margin of equivalence, percent, chosen before you look; default: {MARGIN_PERCENT:g}"
    verb.add_argument("--margin", type=_positive, default=MARGIN_PERCENT, help=told)
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
    told = "fit nothing: write the tables and the page from the runs that are there"
    verb.add_argument("--tables", action="store_true", help=told)
    told = "only fit the study's runs of these, and write no table"
    part = verb.add_argument_group("a part of it", told)
    part.add_argument("-d", "--dataset", nargs="+", metavar="NAME")
    part.add_argument("-a", "--arm", nargs="+", metavar="NAME")
    part.add_argument("-m", "--model", nargs="+", metavar="NAME")
    part.add_argument("-s", "--seed", nargs="+", type=int)
    verb.add_argument("--device", default="cpu", help="cpu or cuda")
    told = "fits side by side; default: one a core, and on a GPU all seeds of a model as one"
    verb.add_argument("--workers", type=int, help=told)


def _add_pages(verbs: Verbs) -> None:
    told = "run the studies' notebooks from their tables, and write the book's table of contents"
    verbs.add_parser("pages", help=told)


def _add_check(verbs: Verbs) -> None:
    told = "check that a results folder is complete and unaltered; fit a sample of it again"
    verb = verbs.add_parser("check", help=told)
    verb.add_argument("results", type=_path, help="results folder, such as results/campaign")
    told = "folder of the datasets' records; default: results/datasets"
    verb.add_argument("--datasets", type=_path, default=ROOT / "results" / "datasets", help=told)
    for name in ("baselines", "calibration"):
        told = f"folder of a {name} to check with it; default: of results/campaign its own"
        verb.add_argument(f"--{name}", type=_path, help=told)
    told = "fit this run of ours again, by its folder, in the place of a sample; may be repeated"
    verb.add_argument("--run", type=_path, action="append", metavar="FOLDER", help=told)
    told = "runs to fit again; default: 4"
    verb.add_argument("--sample", type=_at_least(0), default=4, help=told)
    told = "epochs to fit of each; default: 2"
    verb.add_argument("--epochs", type=_at_least(1), default=2, help=told)
    told = "seed of the sample; default: another one each time"
    verb.add_argument("--sample-seed", type=int, help=told)


def _add_models(verb: argparse.ArgumentParser, **more: Any) -> None:
    choices, told = more.pop("choices", list(MODELS)), more.pop("help", "")
    told = "; ".join([", ".join(choices), *filter(None, [told])])
    verb.add_argument(
        "-m", "--model", nargs="+", metavar="MODEL", choices=choices, help=told, **more
    )


def _add_kind(verb: argparse.ArgumentParser, default: str | None = KIND) -> None:
    told = "models rank all items, or only those the user does not have yet; default: unfiltered"
    verb.add_argument("--kind", choices=KINDS, default=default, help=told)


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON")


def _add_common(verb: argparse.ArgumentParser) -> None:
    known = ", ".join([*PRESETS, *DESIGNS])
    told = f"{known}; the last {len(DESIGNS)} are designs, searched with `tune`; {OWN_SETTINGS}"
    told += f"; default: {PRESET}"
    verb.add_argument("--preset", type=_settings, default=PRESET, help=told)
    _add_where(verb)


def _settings(name: str) -> str:
    try:
        require_settings(name)
    except SeqattnError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def _add_where(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    verb.add_argument("--results-dir", default="", help="results folder; default: .seqattn/results")
