"""The ``seqattn`` command: the verbs the Makefile and the notebooks' users need."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path

from tqdm import tqdm

from seqattn.arguments import parser
from seqattn.campaign import SearchConfig
from seqattn.collection import collect
from seqattn.config import NORMALISATIONS, get_preset
from seqattn.data import CATALOGUE, load_dataset
from seqattn.data.sources import how_to_get, status
from seqattn.errors import SeqattnError
from seqattn.store import Cell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 2 after a user's error, 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        RUN[options.verb](options)
    except SeqattnError as error:
        print(f"seqattn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("seqattn: interrupted; finished cells and trials are kept", file=sys.stderr)
        return 130
    return 0


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
    from seqattn.book import ROOT
    from seqattn.records import describe

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


def _cells(options: argparse.Namespace) -> list[Cell]:
    """Return the cells a command names, fitting missing ones."""
    from seqattn.book import results_folder
    from seqattn.training.cells import fit_cells

    return fit_cells(
        results_folder(options.results_dir),
        load_dataset(options.dataset),
        list(product(options.model, options.seed)),
        options.preset,
        backbone_of=getattr(options, "backbone_of", None),
        device=options.device,
        progress=sys.stderr.isatty(),
    )


def _tune(options: argparse.Namespace) -> None:
    from seqattn.book import results_folder
    from seqattn.training.tune import tune

    dataset, results = load_dataset(options.dataset), results_folder(options.results_dir)
    budget = SearchConfig(options.trials, options.epochs, options.search_seed, options.prune)
    trials = len(NORMALISATIONS) if options.design == "matched" else budget.trials
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
        # A pruned trial has a value, too: that of the epoch it was stopped at.
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
    cells = _cells(options)
    if options.json:
        print(json.dumps([{"folder": str(c.folder), **c.facts} for c in cells], indent=1))
        return
    for cell in cells:
        ndcg = cell.facts["metrics"]["test_unfiltered"]["NDCG@10"]
        print(f"{cell.model} seed {cell.seed}: test NDCG@10 {ndcg:.4f}  {cell.folder}")


def _significance(options: argparse.Namespace) -> None:
    from seqattn.results import verdicts

    cells = _cells(options)
    frame = verdicts(cells, kind=options.kind).frame()
    if options.json:
        print(json.dumps(json.loads(frame.to_json(orient="records")), indent=1))
        return
    columns = [
        *("model", "metric", "k", "relative_change_percent", "t_p_value"),
        *("pooled_p_value", "clustered_p_value", "robust", "robust_clustered"),
    ]
    print(frame[columns].to_string(index=False, float_format=lambda x: f"{x:.4g}"))


def _report(options: argparse.Namespace) -> None:
    from seqattn.book import NOTEBOOKS, report

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


RUN = {
    "datasets": _datasets,
    "prepare": _prepare,
    "tune": _tune,
    "collect": _collect,
    "fit": _fit,
    "significance": _significance,
    "report": _report,
}


if __name__ == "__main__":
    sys.exit(main())
