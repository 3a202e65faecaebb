"""Turn ``benchmarks/results/*.json`` into the tables of the book's Performance page.

python -m benchmarks.page
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.common import RESULTS

PAGE = Path(__file__).resolve().parents[1] / "book" / "appendix" / "generated" / "performance.md"
# name: (heading, key of the summary, what the reader is told about that number, what was aimed at)
SECTIONS = {
    "training": (
        "Training beside RecBole",
        [
            ("ratio_vs_recbole", "packed targets per second over RecBole's", "100"),
            ("ratio_exact_vs_recbole", "exact targets per second over RecBole's", "5"),
            ("ratio_vs_rectools", "packed targets per second over RecTools'", "3"),
            ("step_over_fp32_floor", "training step over its matrix products alone", "at most 2"),
            ("gflops_float32", "matrix product, float32, GFLOP/s", ""),
            ("gflops_bfloat16", "matrix product, bfloat16, GFLOP/s", ""),
        ],
    ),
    "accuracy_parity": (
        "The same accuracy?",
        [
            ("packed_minus_exact", "test NDCG@10, packed minus exact", ""),
            ("packed_equivalent_to_exact", "equivalent within 5 % (TOST over users)", "True"),
            ("packed_vs_exact_seeds", "seeds compared", "5"),
            ("packed_minus_recbole", "test NDCG@10, packed minus RecBole", ""),
            ("packed_equivalent_to_recbole", "equivalent within 5 % (TOST over users)", "True"),
            ("packed_vs_recbole_seeds", "seeds compared", "5"),
        ],
    ),
    "injection_overhead": (
        "What an injection costs",
        [("max_ratio", "slowest variant's step over SASRec's", "at most 1.25")],
    ),
    "lengths": (
        "Short histories",
        [("short_over_long", "targets per second, mean length 11 over 100", "at least 0.7")],
    ),
    "scaling": (
        "Scale",
        [
            ("time_per_target_growth", "time per target, 10^6 users over 10^3", "about 1"),
            ("peak_gib_largest", "peak memory of the largest size, GiB", "at most 8"),
        ],
    ),
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
            ("ratio_best_vs_in_turn", "its targets per second over the seeds' in turn", "3"),
            ("ratio_stacked_vs_in_turn", "stacked without CUDA graphs over in turn", ""),
            ("targets_per_second", "targets per second, all seeds", ""),
            ("utilisation_float32", "matrix products' FLOP/s over the float32 peak", ""),
            ("utilisation_bfloat16", "matrix products' FLOP/s over the bfloat16 peak", ""),
            ("bound_by", "bound by", ""),
            ("epochs", "epochs of the whole fit", "50"),
            ("seconds_all_seeds", "seconds of the whole fit, five seeds", "at most 120"),
            ("test_ndcg10_mean", "its test NDCG@10, mean over seeds", ""),
        ],
    ),
    "preparation": (
        "Preparation beside RecBole",
        [
            ("seconds", "raw file to split, seconds", "at most 5"),
            ("ratio_vs_recbole", "interactions per second over RecBole's", ""),
        ],
    ),
}


def section(name: str) -> str:
    """Return one benchmark's Markdown; a missing result reads "not run"."""
    heading, numbers = SECTIONS[name]
    path = RESULTS / f"{name}.json"
    command = f"`python -m benchmarks.{name}`"
    if not path.exists():
        return f"### {heading}\n\nNot run: {command}.\n"
    result = json.loads(path.read_text())
    lines = [f"### {heading}", "", "| | measured | aim |", "|---|---:|---:|"]
    lines += [f"| {text} | {_number(result.get(key))} | {aim} |" for key, text, aim in numbers]
    lines += ["", _table(result["rows"]), "", f"{command} on {_machine(result['machine'])}.", ""]
    return "\n".join(lines)


def _table(rows: list[dict[str, object]]) -> str:
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(_number(row.get(c, "")) for c in columns) + " |" for row in rows]
    return "\n".join(lines)


def _number(value: object) -> str:
    if value is None:
        return "not run"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _machine(machine: dict[str, object]) -> str:
    gpu = f"{machine['gpu']}, " if machine.get("gpu") else ""
    return gpu + (
        f"{machine['processor']}, {machine['cores']} cores, {machine['torch_threads']} threads, "
        f"{machine['cpu_capability']}, PyTorch {machine['torch']}"
    )


def main() -> None:
    """Write the page's tables."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(section(name) for name in SECTIONS))


if __name__ == "__main__":
    main()
