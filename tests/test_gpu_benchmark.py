"""The GPU benchmark, as far as a CPU can tell."""

from __future__ import annotations

import json

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import common, gpu
from seqattn.data import CATALOGUE, Dataset, Sequences, leave_one_out
from seqattn.models import build_model
from seqattn.training.batches import Gatherer
from seqattn.training.fit import training_plans
from seqattn.training.stacked import Stack


def test_the_gpu_benchmark_runs_on_a_cpu_and_keeps_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(gpu, "SEEDS", [1, 2])
    options = ["--device", "cpu", "--dataset", "synthetic", "--epochs", "1"]
    gpu.main([*options, "--steps", "1", "--rounds", "1"])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["ratio_stacked_vs_in_turn"] > 0
    assert summary["ratio_side_by_side_vs_in_turn"] > 0
    assert summary["ratio_sliding_vs_in_turn"] > 0
    assert summary["seconds_all_seeds"] > 0
    assert summary["utilisation_float32"] is None
    assert not list(tmp_path.iterdir())


def test_without_a_gpu_the_gpu_benchmark_says_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    gpu.main([])
    assert capsys.readouterr().out == "not run: no CUDA device\n"
    assert not list(tmp_path.iterdir())


def test_matrix_products_are_counted_as_pytorch_counts_them():
    """Sizes that need no padding; PyTorch counts all T x T attention, we the causal half."""
    users, t = 16, 8
    sequences = Sequences(
        items=np.arange(users * (t + 3)) % 20 + 1,
        intensity=None,
        timestamp=np.arange(users * (t + 3)),
        offsets=np.arange(users + 1) * (t + 3),
        user_ids=np.arange(users),
        item_ids=np.arange(20),
    )
    split = leave_one_out(sequences)
    dataset = Dataset("equal lengths", CATALOGUE["synthetic"], sequences, split, (), "")
    stack = Stack([build_model("sasrec", 20, **vars(gpu.MODEL))], Gatherer(split.train), 1e-3)
    plans = training_plans(stack.template, dataset, gpu.TRAIN, "cpu")(np.random.default_rng(0))
    with FlopCounterMode(display=False) as counter:
        stack.launch(zip(plans, strict=True))
    future = 3 * gpu.MODEL.n_layers * users * gpu.MODEL.hidden_size * (4 * t**2 - 2 * t * (t + 1))
    assert gpu.flops_per_target(dataset) * users * t == counter.get_total_flops() - future
