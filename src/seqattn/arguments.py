"""The arguments of the ``seqattn`` command: a function a verb."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seqattn.campaign import BASELINE, DESIGNS, SEEDS, VARIANTS
from seqattn.config import PRESETS
from seqattn.models import MODELS

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

EXAMPLES = """examples:
  seqattn datasets
  seqattn prepare ml-100k
  seqattn prepare my.yaml
  seqattn fit -d ml-100k -m ia-add -s 2020 --json
  seqattn tune -d ml-100k -m sasrec ia-add
  seqattn tune -d ml-100k -m ia-add --design matched
  seqattn fit -d ml-100k -m sasrec ia-add -s 2020 2021 --preset published
  seqattn fit -d ml-100k -m sasrec -s 2020 2021 --preset published --backbone-of ia-val
  seqattn significance ml-100k
  seqattn report ml-100k
  seqattn collect .seqattn/results -o results/campaign
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
    for add in (_datasets, _prepare, _tune, _collect, _fit, _significance, _report):
        add(verbs)
    return command


def _datasets(verbs: Verbs) -> None:
    verb = verbs.add_parser("datasets", help="list the known datasets and where they are")
    _add_json(verb)


def _prepare(verbs: Verbs) -> None:
    told = "get, read, filter, split and audit a dataset; print counts and alarms"
    verb = verbs.add_parser("prepare", help=told)
    verb.add_argument("dataset", help=DATASET)
    told = "folder for the records (dataset, audit, intensity, ties: .json)"
    verb.add_argument("-o", "--output", type=Path, help=told)
    _add_json(verb)


def _tune(verbs: Verbs) -> None:
    told = "search hyperparameters; a search that was stopped goes on where it stood"
    verb = verbs.add_parser("tune", help=told)
    verb.add_argument("-d", "--dataset", required=True, help=DATASET)
    _add_models(verb, required=True)
    told = "matched: a variant's normalisation alone, on what SASRec's search found"
    verb.add_argument("--design", choices=DESIGNS, default=DESIGNS[0], help=told)
    verb.add_argument("--trials", type=int, default=25, help="default: 25, as published")
    verb.add_argument("--epochs", type=int, default=10, help="of a trial; default: 10")
    verb.add_argument("--search-seed", type=int, default=2020, help="of sampler and fits")
    verb.add_argument("--prune", action="store_true", help="stop poor trials early")
    told = "preset that gives what is not searched; default: paper"
    verb.add_argument("--base", choices=list(PRESETS), default="paper", help=told)
    told = "database URL, for several machines; default: SQLite in the results folder"
    verb.add_argument("--storage", help=told)
    _add_where(verb)
    _add_json(verb)


def _collect(verbs: Verbs) -> None:
    told = "copy finished searches and cells into another results folder"
    verb = verbs.add_parser("collect", help=told)
    verb.add_argument("source", nargs="+", type=Path, help="results folders")
    told = "folder to copy into; default: results/campaign"
    verb.add_argument("-o", "--output", type=Path, default=Path("results/campaign"), help=told)


def _fit(verbs: Verbs) -> None:
    verb = verbs.add_parser("fit", help="fit cells the store lacks")
    verb.add_argument("-d", "--dataset", required=True, help=DATASET)
    _add_models(verb, required=True)
    told = "training seeds, a cell each; 2020 to 2024 are the protocol's"
    verb.add_argument("-s", "--seed", nargs="+", type=int, required=True, help=told)
    told = "fit with this model's settings, as a control; default: each model with its own"
    verb.add_argument("--backbone-of", choices=list(MODELS), help=told)
    _add_common(verb)
    _add_json(verb)


def _significance(verbs: Verbs) -> None:
    told = "the dual criterion, against SASRec; fits the cells the store lacks first"
    verb = verbs.add_parser("significance", help=told)
    verb.add_argument("dataset", help=DATASET)
    _add_models(verb, default=[BASELINE, *VARIANTS])
    told = "at least two; default: 2020 to 2024"
    verb.add_argument("-s", "--seed", nargs="+", type=int, default=list(SEEDS), help=told)
    told = "rank all items, or all but those the user already has; default: unfiltered"
    verb.add_argument("--kind", choices=("unfiltered", "filtered"), default="unfiltered", help=told)
    _add_common(verb)
    _add_json(verb)


def _report(verbs: Verbs) -> None:
    verb = verbs.add_parser("report", help="run every notebook on a dataset, into book/runs")
    verb.add_argument("dataset", help=DATASET)
    _add_models(verb, help="default: SASRec and its variants")
    verb.add_argument("-s", "--seed", nargs="+", type=int, help="default: 2020 to 2024")
    verb.add_argument("-o", "--output", type=Path, help="folder for the executed notebooks")
    _add_common(verb)


def _add_models(verb: argparse.ArgumentParser, **more: object) -> None:
    verb.add_argument("-m", "--model", nargs="+", choices=list(MODELS), **more)


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON")


def _add_common(verb: argparse.ArgumentParser) -> None:
    told = "a named configuration, or the design whose search (`tune`) found one; default: quick"
    verb.add_argument("--preset", default="quick", choices=[*PRESETS, *DESIGNS], help=told)
    _add_where(verb)


def _add_where(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--device", default="cpu", help="cpu or cuda")
    verb.add_argument("--results-dir", default="", help="store (default: .seqattn/results)")
