"""Five seeds on one GPU: in turn, stacked, and side by side in processes of their own.

Beside these, in turn under a sliding window over whole histories, which cannot be stacked.

Throughput in interleaved rounds, how busy the GPU is and with what, and the wall time of a whole
stacked fit with its accuracy. Where the dataset is not at hand, a random log of ML-1M's size stands
in, and the result says so.

    python -m benchmarks.gpu [--dataset ml-1m] [--epochs 50]
    python -m benchmarks.gpu --device cpu --dataset synthetic --epochs 1    # checks that it runs
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
import torch

from benchmarks.common import finish, interleave, ratios
from benchmarks.steps import endless
from benchmarks.synthetic import random_dataset
from seqattn.config import ModelConfig, TrainConfig, replace
from seqattn.data import Dataset, find_entry, load_dataset
from seqattn.data.own import is_yaml
from seqattn.data.sources import status
from seqattn.stats.metrics import metric
from seqattn.training.batches import Gatherer, Plan
from seqattn.training.fit import launch_epoch, seeded_model, training_batches, training_plans
from seqattn.training.stacked import Stack, fit_stacked

SEEDS = [2020, 2021, 2022, 2023, 2024]
MODEL, TRAIN = ModelConfig(), TrainConfig()
SLIDING = replace(MODEL, positions="relative", sliding_window=MODEL.max_length)
SLIDING = replace(SLIDING, max_length=SLIDING.reach)
WHOLE = replace(TRAIN, windows="whole")
SLIDING_WAY = "in turn, sliding window"
MPS = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
# Dense peaks in TFLOP/s from NVIDIA's data sheets, by what the device's name contains, in order.
PEAKS = {
    "H200": {"float32": 67, "bfloat16": 989},
    "H100 PCIe": {"float32": 51, "bfloat16": 756},
    "H100": {"float32": 67, "bfloat16": 989},
    "A100": {"float32": 19.5, "bfloat16": 312},
}


def dataset_for(name: str) -> Dataset:
    """Return the dataset asked for, or a random one of ML-1M's size where it is not at hand."""
    if is_yaml(name) or status(find_entry(name))[0] != "missing":  # nothing is downloaded
        return load_dataset(name)
    print(f"{name} is not at hand: a random log of ML-1M's size stands in")
    return random_dataset(n_users=6040, mean_length=165, n_items=3416)


def in_turn(
    dataset: Dataset,
    steps: int,
    device: str,
    seeds: Sequence[int],
    config: ModelConfig = MODEL,
    train: TrainConfig = TRAIN,
) -> Callable[[], float]:
    """Return a function that does some steps of each seed, one seed after another."""
    fits = []
    for seed in seeds:
        model = seeded_model(dataset, "sasrec", seed, config, device)
        optimiser = torch.optim.Adam(model.parameters(), lr=train.learning_rate, fused=True)
        fits.append((model, endless(training_batches(model, dataset, train, device)), optimiser))

    def work() -> float:
        sums = [launch_epoch(m, islice(batches, steps), o) for m, batches, o in fits]
        wait(device)
        return sum(n for _, n in sums)

    return work


def side_by_side(name: str, steps: int, device: str) -> Callable[[], float]:
    """Return a function that does some steps of each seed, all at once in processes."""
    context = get_context("spawn")
    ends = []
    for seed in SEEDS:
        ours, theirs = context.Pipe()
        arguments = (theirs, name, steps, device, seed)
        context.Process(target=_one_seed, args=arguments, daemon=True).start()
        theirs.close()  # else a child that dies is waited for without end
        ends.append(ours)
    for end in ends:
        end.recv()  # has its data and model

    def work() -> float:
        for end in ends:
            end.send("go")
        return sum(end.recv() for end in ends)

    return work


def _one_seed(end: Connection, name: str, steps: int, device: str, seed: int) -> None:
    """Do some steps of one seed whenever asked to, and say how many targets they had."""
    torch.set_num_threads(1)
    work = in_turn(dataset_for(name), steps, device, [seed])
    end.send("ready")
    while end.recv():
        end.send(work())


def stacked(dataset: Dataset, steps: int, device: str) -> Callable[[], float]:
    """Return a function that does some steps of all seeds at once."""
    models = [seeded_model(dataset, "sasrec", seed, MODEL, device) for seed in SEEDS]
    gatherer = Gatherer(dataset.split.train, device)
    stack = Stack(models, gatherer, TRAIN.learning_rate)
    plans = training_plans(models[0], dataset, TRAIN, device)
    batches = zip(*(endless(plans) for _ in SEEDS), strict=True)

    def work() -> float:
        _, n_targets_S = stack.launch(islice(batches, steps))
        wait(device)
        return float(n_targets_S.sum())

    return work


def wait(device: str) -> None:
    """Let the device finish."""
    if device != "cpu":
        torch.cuda.synchronize()


def flops_per_target(dataset: Dataset) -> float:
    """Return the FLOPs of a training step's matrix products, forward and backward, per target.

    Real positions only, and of attention only what causality lets through: padding counts as
    overhead. A product's backward is two products of its size.
    """
    model = seeded_model(dataset, "sasrec", 0, MODEL, "cpu")
    epoch = training_plans(model, dataset, TRAIN, "cuda")(np.random.default_rng(0))
    plans: list[Plan] = [plan for parts in epoch for plan in parts]
    length = np.concatenate([plan.length for plan in plans]).astype(float)
    n_targets = sum(len(plan.targets) for plan in plans)
    d, inner = MODEL.hidden_size, MODEL.inner_size
    layer = 2 * length.sum() * (4 * d * d + 2 * d * inner) + 2 * (length * (length + 1)).sum() * d
    forward = MODEL.n_layers * layer + 2 * n_targets * d * (dataset.n_items + 1)
    return 3 * forward / n_targets


def kernels(work: Callable[[], float], steps: int) -> dict[str, float]:
    """Return kernels a step, GPU seconds a step, and the share of them in matrix products."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        work()
    on_gpu = [
        event
        for event in profile.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
        and not getattr(event, "is_user_annotation", False)  # spans of kernels, not kernels
    ]
    microseconds = {"all": 0.0, "products": 0.0}
    for event in on_gpu:
        microseconds["all"] += event.time_range.elapsed_us()
        if any(word in event.name.lower() for word in ("gemm", "cutlass", "xmma", "nvjet")):
            microseconds["products"] += event.time_range.elapsed_us()
    return {
        "kernels": len(on_gpu) / steps,
        "seconds": microseconds["all"] / steps / 1e6,
        "products": microseconds["products"] / max(microseconds["all"], 1e-9),
    }


def bound(busy: float, products: float) -> str:
    """Name what holds a contestant back."""
    if busy < 0.8:
        return "launches (the GPU waits for the host)"
    return "compute" if products > 0.5 else "memory (elementwise kernels)"


def peak(kind: str, device: str) -> float | None:
    """Return the device's peak in FLOP/s, None if it is not in the table."""
    name = torch.cuda.get_device_name() if device != "cpu" else ""
    return next((1e12 * peaks[kind] for part, peaks in PEAKS.items() if part in name), None)


def describe(
    name: str, rates: list[float], work: Callable[[], float], steps: int, device: str
) -> dict[str, object]:
    """Return a contestant's row of the table."""
    row: dict[str, object] = {"contestant": name, "targets/s": median(rates)}
    if device == "cpu" or name == "side by side":  # other processes cannot be looked into
        return row
    # One seed's step at a time in turn, all seeds' at once in a stack: count all seeds' steps.
    measured = kernels(work, steps)
    busy = measured["seconds"] * steps / (TRAIN.batch_targets * len(SEEDS) * steps / median(rates))
    return row | {
        "kernels a step of all seeds": measured["kernels"],
        "GPU busy": busy,
        "of it matrix products": measured["products"],
        "bound by": bound(busy, measured["products"]),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=100, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args(arguments)
    device = options.device
    if device != "cpu" and not torch.cuda.is_available():
        print("not run: no CUDA device")
        return
    dataset = dataset_for(options.dataset)
    contestants = {
        "in turn": in_turn(dataset, options.steps, device, SEEDS),
        "stacked": stacked(dataset, options.steps, device),
        "side by side": side_by_side(options.dataset, options.steps, device),
        SLIDING_WAY: in_turn(dataset, options.steps, device, SEEDS, SLIDING, WHOLE),
    }
    rates = interleave(contestants, options.rounds)
    rows = [
        describe(name, rates[name], work, options.steps, device)
        for name, work in contestants.items()
    ]
    alike = [name for name in rates if name != SLIDING_WAY]  # the others train one model
    best = max(alike, key=lambda name: median(rates[name]))
    started = time.perf_counter()
    fits = fit_stacked(
        *(dataset, "sasrec", SEEDS, MODEL),
        replace(TRAIN, epochs=options.epochs, patience=options.epochs),
        device=device,
    )
    seconds = time.perf_counter() - started
    ndcg = [float(metric(f.ranks["test_unfiltered"], "NDCG", 10).mean()) for f in fits.values()]
    flops = flops_per_target(dataset) * median(rates[best])
    peaks = {kind: peak(kind, device) for kind in ("float32", "bfloat16")}
    finish(
        "gpu",
        rows,
        {
            "dataset": dataset.name,
            "best": best,
            "ratio_stacked_vs_in_turn": ratios(rates, "stacked", "in turn")["median"],
            "ratio_side_by_side_vs_in_turn": ratios(rates, "side by side", "in turn")["median"],
            "ratio_sliding_vs_in_turn": ratios(rates, SLIDING_WAY, "in turn")["median"],
            "targets_per_second": median(rates[best]),
            "model_tflops": flops / 1e12,
            **{f"utilisation_{kind}": value and flops / value for kind, value in peaks.items()},
            "multi_process_service": (MPS / "control").exists(),
            "bound_by": next(r.get("bound by", "unknown") for r in rows if r["contestant"] == best),
            "epochs": options.epochs,
            "seconds_all_seeds": seconds,
            "test_ndcg10_mean": mean(ndcg),
            "test_ndcg10_sd_over_seeds": stdev(ndcg),
        },
        keep=device != "cpu",
    )


if __name__ == "__main__":
    main()
