"""Turn ``benchmarks/results/*.json`` into the book's Performance page: a file a benchmark.

Beside them, how long the book's own notebooks took, for the page "How to reproduce".

python -m benchmarks.page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import figures, run_times
from benchmarks.common import RESULTS

FOLDER = Path(__file__).resolve().parents[1] / "book" / "appendix" / "generated"
PARITY = "accuracy_parity"
POSITIONS = Path(__file__).resolve().parents[1] / "results" / "positions"
EARLY, LATE = "test NDCG@10 after few epochs", "test NDCG@10 of longer fits"
# A contestant's name in the fits of `benchmarks.accuracy_parity`, and its arm of *Positions*.
FITTED_AS = {
    "RecBole": "recbole",
    "ours, sliding window": "sliding",
    "ours, sliding window, L = 200": "sliding-200",
    "ours, stride 200, L = 200": "L = 200, stride 200",
    "RecTools, L = 200": "rectools-native",
    "RecTools fast, L = 200": "rectools-fast",
}
ARMS = {
    "ours, stride 10": "absolute",
    "ours, stride 1": "absolute exact",
    "ours, sliding window": "sliding",
}
# name: (heading, key of the summary, what the reader is told about that number, what was aimed at)
SECTIONS = {
    "where_time_goes": (
        "A training step",
        [
            ("step_ms", "one step, milliseconds", ""),
            ("matrix_products_share", "share of its matrix products", ""),
            ("sliding_step_ms", "one step under a sliding window, milliseconds", ""),
            ("sliding_matrix_products_share", "share of its matrix products", ""),
        ],
    ),
    "training": (
        "Training beside RecBole and RecTools",
        [
            (
                "ratio_vs_recbole",
                "stride 10 (the default): targets per second over RecBole's",
                "100",
            ),
            ("bound_vs_recbole", "the same, were a step its matrix products alone", ""),
            (
                "ratio_sliding_vs_recbole",
                "sliding window: targets per second over RecBole's",
                "100",
            ),
            ("ratio_sliding_vs_dense", "sliding window over stride 10", ""),
            ("sliding_over_fp32_floor", "its step over its matrix products", "at most 2"),
            ("ratio_packed_vs_recbole", "stride 50: targets per second over RecBole's", ""),
            ("ratio_exact_vs_recbole", "stride 1: targets per second over RecBole's", "5"),
            ("ratio_vs_rectools", "stride 200, L = 200: targets per second over RecTools'", "3"),
            (
                "ratio_vs_rectools_fast",
                "stride 200, L = 200, wider: targets per second over RecTools' fast module's",
                "3",
            ),
            (
                "ratio_sliding_vs_rectools_fast",
                "sliding window, L = 200: targets per second over RecTools' fast module's",
                "3",
            ),
            ("step_over_fp32_floor", "training step over its matrix products alone", "at most 2"),
            ("gflops_float32", "matrix product, float32, GFLOP/s", ""),
            ("gflops_bfloat16", "matrix product, bfloat16, GFLOP/s", ""),
        ],
    ),
    "padding": ("Positions computed, and how many are padding", []),
    "ladder": (
        "One change undone at a time",
        [("targets_per_second", "targets per second with all that is on by default", "")],
    ),
    "compiled": (
        "torch.compile",
        [
            ("effect", "compiled speed over eager", ""),
            ("warm_up_seconds", "seconds of compiling before the first steps are done", ""),
        ],
    ),
    PARITY: ("The same accuracy?", []),
    "tuned_modes": ("Each mode tuned for itself", []),
    "injection_overhead": (
        "What an injection costs",
        [("max_ratio", "slowest variant's step over SASRec's", "at most 1.25")],
    ),
    "lengths": (
        "Short histories",
        [
            ("short_over_long", "targets per second, mean length 11 over 100", "at least 0.7"),
            ("buckets_over_rectangle", "mean length 11: similar lengths together or not", ""),
        ],
    ),
    "scaling": (
        "Scale",
        [
            ("time_per_target_growth", "time per target, 10^6 users over 10^3", "about 1"),
            ("peak_gib_largest", "peak memory of the largest size, GiB", "at most 8"),
        ],
    ),
    "catalogue": (
        "Losses and large catalogues",
        [
            (
                "ratio_vs_full_largest",
                "sampled softmax over the full cross-entropy, 100,000 items, times as fast",
                "",
            ),
            ("ratio_vs_full_smallest", "the same, 1,349 items", ""),
            ("growth_full", "full cross-entropy: a step's time, 100,000 items over 1,349", ""),
            ("growth_sampled", "sampled softmax: the same", ""),
            ("optimiser_share_largest", "the optimiser's share of its step, 100,000 items", ""),
        ],
    ),
    "large_catalogue": ("The same accuracy among 100,000 items?", []),
    "statistics": (
        "The dual criterion beside scipy",
        [
            ("ratio_vs_scipy", "scipy's time over ours", "at least 50"),
            ("peak_mib", "peak memory of the process, MiB", "at most 1,024"),
        ],
    ),
    "gpu": (
        "Five seeds on one GPU",
        [
            ("best", "fastest way", ""),
            ("ratio_stacked_vs_in_turn", "stacked over in turn, targets per second", "3"),
            ("ratio_side_by_side_vs_in_turn", "side by side over in turn, the same", ""),
            ("ratio_sliding_vs_in_turn", "in turn, sliding window over windows, the same", ""),
            ("multi_process_service", "with NVIDIA's Multi-Process Service", ""),
            ("targets_per_second", "targets per second, all seeds", ""),
            ("utilisation_float32", "matrix products' FLOP/s over the float32 peak", ""),
            ("utilisation_bfloat16", "matrix products' FLOP/s over the bfloat16 peak", ""),
            ("bound_by", "bound by", ""),
            ("epochs", "epochs of the whole fit", "50"),
            ("seconds_all_seeds", "seconds of the whole fit, five seeds", "at most 120"),
            ("test_ndcg10_mean", "its test NDCG@10, mean over seeds", ""),
        ],
    ),
    "backbones": (
        "Windows and the sliding window, dataset by dataset",
        [("smallest_ratio", "least ratio of targets per second, sliding over windows", "1")],
    ),
    "pages": (
        "Pages of the built book",
        [
            ("pages_with_playgrounds", "pages with a playground", ""),
            ("playground_kb", "most that playgrounds of one page weigh, kB", "at most 300"),
            ("heaviest_kb", "heaviest page with all it reads, kB", ""),
            ("slowest_seconds", "longest until a page's playgrounds answer, seconds", ""),
        ],
    ),
    "playground_ways": (
        "One playground, three ways",
        [
            ("lightest", "least to load", ""),
            ("heaviest_over_lightest", "most to load over least", ""),
        ],
    ),
    "preparation": (
        "Preparation beside RecBole",
        [
            ("seconds", "raw file to split, seconds", "at most 5"),
            ("ratio_vs_recbole", "interactions per second over RecBole's", ""),
            ("seconds_ml_1m", "ML-1M, file to split, seconds", "at most 5"),
            ("seconds_large", "ten million rows, file to split, seconds", "at most 60"),
            ("peak_gib_large", "peak memory for them, GiB", "at most 4"),
            ("steam_mb_per_second", "Steam reader, MB of text per second", ""),
        ],
    ),
}


def section(name: str) -> str:
    """Return one benchmark's Markdown and draw its picture; a missing result reads "not run"."""
    heading, numbers = SECTIONS[name]
    path = RESULTS / f"{name}.json"
    command = f"`python -m benchmarks.{name}`"
    if not path.exists():
        return f"### {heading}\n\nNot run: {command}.\n"
    result = json.loads(path.read_text())
    lines = [f"### {heading}", "", *_parity(result)]
    alt = figures.draw(name, result, FOLDER)
    if alt:
        lines += [f"![{alt}](generated/{name}.svg)", ""]
    if numbers:
        lines += ["| | measured | aim |", "|---|---:|---:|"]
    for key, text, aim in numbers:
        lines.append(f"| {text} | {_number(result.get(key))} | {aim}{_missed(result, key, aim)} |")
    if name == "training":
        result["rows"] = beside_accuracy(result["rows"])
        lines += _behind(result["rows"])
    if name == "backbones":
        result["rows"] = beside_levels(result["rows"])
    if name == "padding":
        result["rows"] = by_way(result["rows"])
    for rows in (result["rows"], result.get("comparisons")):
        if rows:
            lines += ["", _table([_accuracy(row) for row in rows] if name == PARITY else rows)]
    lines += ["", f"{command} on {_machine(result['machine'])}.", ""]
    return "\n".join(lines)


def beside_accuracy(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the speeds with what each contestant reached on ML-100K, early and trained longer.

    Early: few epochs, as many for all, of `benchmarks.accuracy_parity`. Longer: its setting
    ``ml-100k-200`` for those of L = 200, the fits in `fixed` of *Positions* for ours of L = 50.
    Test NDCG@10, a mean over seeds; blank where no such fit was made.
    """
    path = RESULTS / f"{PARITY}.json"
    records = json.loads(path.read_text())["rows"] if path.exists() else []
    fits = {(row["setting"], row["contestant"]): row for row in records}
    levels = _levels()
    told = []
    for row in rows:
        contestant = row["contestant"]
        name = FITTED_AS.get(contestant, contestant.removeprefix("ours, "))
        early, late = fits.get(("ml-100k", name)), fits.get(("ml-100k-200", name))
        fixed = levels.get(("ml-100k", ARMS.get(contestant, "")))
        told.append(
            row
            | {EARLY: _reached(early and (early["test NDCG@10"], early["seeds"]))}
            | {LATE: _reached((late and (late["test NDCG@10"], late["seeds"])) or fixed)}
        )
    return told


def beside_levels(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the backbones' speeds with the test NDCG@10 of both, of the very same settings."""
    levels = _levels()
    arms = {"windows, NDCG@10": "absolute", "sliding window, NDCG@10": "sliding"}
    return [
        row | {name: _reached(levels.get((row["dataset"], arm))) for name, arm in arms.items()}
        for row in rows
    ]


def by_way(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a dataset: the positions each way computes for a target, and their padding."""
    told: dict[str, dict[str, Any]] = {}
    for row in rows:
        text = f"{row['positions per target']:.2f} ({row['padding, %']:.0f} %)"
        told.setdefault(row["dataset"], {"dataset": row["dataset"]})[row["way"]] = text
    return list(told.values())


def _levels() -> dict[tuple[str, str], tuple[float, int]]:
    """Return test NDCG@10 and seeds by dataset and arm of *Positions*, of arms with all seeds."""
    path = POSITIONS / "levels.csv"
    if not path.exists():
        return {}
    table = pd.read_csv(path).query("kind == 'unfiltered' and metric == 'NDCG' and not part")
    seeds = table.groupby("dataset")["n_seeds"].transform("max")
    whole = table[table["n_seeds"] == seeds]
    return {(r.dataset, r.arm): (r.mean, r.n_seeds) for r in whole.itertuples(index=False)}


def _reached(found: tuple[float, int] | None) -> str:
    return f"{found[0]:.4f}, {found[1]} seeds" if found else ""


def _behind(rows: list[dict[str, Any]]) -> list[str]:
    """Return a line for each contestant that reached less than half of the best's accuracy."""
    told = [(row["contestant"], row[LATE] or row[EARLY]) for row in rows]
    reached = {name: float(text.partition(",")[0]) for name, text in told if text}
    best = max(reached.values(), default=0)
    return [
        f"\n{name} reached {value:.4f} in these epochs, less than half of the best. It had learned "
        "little yet, so its ratio compares steps and no equal results."
        for name, value in reached.items()
        if value < best / 2
    ]


def _accuracy(row: dict[str, object]) -> dict[str, object]:
    """Return a row without the clock's seconds: these runs shared the processor with other work."""
    aim = "to stride 1's best"
    kept = {key: value for key, value in row.items() if key != "s/epoch"}
    return kept | ({aim: str(row[aim]).partition(",")[0]} if aim in row else {})


def _parity(result: dict[str, object]) -> list[str]:
    """Return the default mode beside RecBole and beside exact windows, a line a dataset."""
    lines = [
        f"- {row['setting']}, {row['comparison']}: **{row['reads']}**, "
        f"{row['NDCG@10']:+.4f} {_number(row['90 % interval'])} with a margin of "
        f"{row['margin']:.4f}, {row['users']:,} users, {row['seeds']} seed{'s'[: row['seeds'] > 1]}"
        for row in result.get("comparisons", [])
        if row.get("comparison") in ("stride 10 minus recbole", "stride 10 minus stride 1")
    ]
    return ["Test NDCG@10 of the default mode, stride 10:", "", *lines, ""] if lines else []


def _missed(result: dict[str, object], key: str, aim: str) -> str:
    """Return the mark of a number that misses its aim: "at most" a number, or at least one."""
    value, number = result.get(key), aim.split(" ")[-1].replace(",", "")
    if not isinstance(value, (int, float)) or not aim or aim.startswith("about"):
        return ""
    met = value <= float(number) if aim.startswith("at most") else value >= float(number)
    return "" if met else ", **missed**"


def _table(rows: list[dict[str, object]]) -> str:
    """Return the rows as a table: single values and intervals; longer lists are drawn elsewhere."""
    columns = dict.fromkeys(key for row in rows for key, v in row.items() if _tabular(v))
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(_number(row.get(c, "")) for c in columns) + " |" for row in rows]
    return "\n".join(lines)


def _tabular(value: object) -> bool:
    return not isinstance(value, dict) and (not isinstance(value, list) or len(value) == 2)


def _number(value: object) -> str:
    if isinstance(value, list):
        return f"[{value[0]:+.4f}, {value[1]:+.4f}]"
    if value is None:
        return "not run"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _machine(machine: dict[str, object]) -> str:
    gpu = f"{machine['gpu']}, " if machine.get("gpu") else ""
    return (
        f"{gpu}{machine['processor']}, {machine['cores']} cores, "
        f"{machine['torch_threads']} threads, {machine['cpu_capability']}, "
        f"PyTorch {machine['torch']}"
    )


def main() -> None:
    """Write the page's tables and pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in SECTIONS:
        (FOLDER / f"{name}.md").write_text(section(name))
    (FOLDER / "run_times.md").write_text(run_times.table())


if __name__ == "__main__":
    main()
