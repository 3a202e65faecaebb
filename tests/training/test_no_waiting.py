"""Within an epoch the host never asks the device for a value: on a GPU each time it would wait."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import seqattn.training.ranking as evaluation
from seqattn.config import EXCLUDED, LOSSES, SHIFT_INVARIANT, replace
from seqattn.models import MODELS, PLUGINS, is_stackable
from seqattn.presets import get_preset
from seqattn.training.batches import Gatherer
from seqattn.training.fit import (
    launch_epoch,
    loss_of,
    seeded_model,
    training_batches,
    training_plans,
)
from seqattn.training.ranking import Ranker
from seqattn.training.stacked import Stack

OURS = [name for name in MODELS if name not in PLUGINS]

SMOKE = get_preset("smoke")
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::item"}
WAITING |= {"aten::_unique2", "aten::equal", "aten::is_nonzero"}
READING = ("item", "tolist", "numpy", "cpu", "__array__", "nonzero")


class Watch(TorchDispatchMode):
    """Counts the operations that make the host wait; shapes that depend on values among them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __enter__(self) -> Watch:
        self.waits.clear()  # of what was built before
        return super().__enter__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        by_mask = name in ("aten::index", "aten::index_put", "aten::index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        unsized = name == "aten::repeat_interleave" and not (kwargs or {}).get("output_size")
        if name in WAITING or by_mask or unsized:
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def watch(monkeypatch):
    """A watch that also sees the tensor methods which copy to the host."""
    watch = Watch()
    for method in READING:
        original = getattr(torch.Tensor, method)

        def seen(self, *args, _original=original, _name=method, **kwargs):
            watch.waits.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, method, seen)
    return watch


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: float(x.sum()),
        lambda x: int(x.max()),
        lambda x: bool((x > 0).any()),
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.nonzero(x > 0, as_tuple=True),
        lambda x: x.cpu(),
        lambda x: x.numpy(),
        lambda x: torch.arange(3).repeat_interleave(x),
    ],
)
def test_the_watch_sees_a_wait(wait, watch):
    with watch:
        wait(torch.tensor([1, 2, 3]))
    assert watch.waits


@pytest.mark.parametrize("windows", [{}, {"stride": 1}])
@pytest.mark.parametrize("name", OURS)
def test_an_epoch_never_waits(name, windows, synthetic, watch):
    config = replace(SMOKE.train, **windows)
    model = seeded_model(synthetic, name, 1, SMOKE.model, "cpu")
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    batches = training_batches(model, synthetic, config, "cpu")
    with watch:
        launch_epoch(model, batches(np.random.default_rng(1)), optimiser)
    assert watch.waits == []


@pytest.mark.parametrize("positions", SHIFT_INVARIANT)
@pytest.mark.parametrize("name", ["sasrec", "ia-mul"])
def test_an_epoch_over_whole_histories_never_waits(name, positions, synthetic, watch):
    config = replace(SMOKE.model, positions=positions, sliding_window=5)
    model = seeded_model(synthetic, name, 1, config, "cpu")
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    batches = training_batches(model, synthetic, replace(SMOKE.train, windows="whole"), "cpu")
    with watch:
        launch_epoch(model, batches(np.random.default_rng(1)), optimiser)
    assert watch.waits == []


@pytest.mark.parametrize(
    "drawn",
    [
        *({"loss": loss, "exclude": exclude} for loss in LOSSES[1:] for exclude in EXCLUDED),
        {"loss": "bpr", "negatives": "batch"},
        {"loss": "gbce", "score_offset": "prior"},
    ],
    ids=lambda drawn: " ".join(drawn.values()),
)
def test_an_epoch_that_draws_negatives_never_waits(drawn, synthetic, watch):
    config = replace(SMOKE.train, **drawn, n_negatives=8)
    model = seeded_model(synthetic, "sasrec", 1, SMOKE.model, "cpu")
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    batches = training_batches(model, synthetic, config, "cpu")
    sampled = loss_of(synthetic, config, "cpu")
    with watch:
        launch_epoch(model, batches(np.random.default_rng(1)), optimiser, sampled)
    assert watch.waits == []


@pytest.mark.parametrize("windows", [{}, {"stride": 1}])
@pytest.mark.parametrize("name", [name for name in OURS if is_stackable(name)])
def test_a_stacked_epoch_never_waits(name, windows, synthetic, watch):
    config = replace(SMOKE.train, **windows)
    models = [seeded_model(synthetic, name, seed, SMOKE.model, "cpu") for seed in (1, 2)]
    stack = Stack(models, Gatherer(synthetic.split.train), 1e-3)
    plans = training_plans(models[0], synthetic, config, "cpu")
    with watch:
        stack.launch(zip(*(plans(np.random.default_rng(seed)) for seed in (1, 2)), strict=True))
    assert watch.waits == []


@pytest.mark.parametrize("name", OURS)
def test_ranking_waits_as_often_for_many_batches_of_users_as_for_one(
    name, synthetic, watch, monkeypatch
):
    model = seeded_model(synthetic, name, 1, SMOKE.model, "cpu")
    ranker = Ranker(synthetic.split, "test")
    waits = []
    for users in (synthetic.n_users, 7):
        monkeypatch.setattr(evaluation, "SCORES_AT_ONCE", users * (synthetic.n_items + 1))
        watch.waits.clear()
        with watch:
            ranker(model)
        waits.append(list(watch.waits))
    assert waits[0] == waits[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", [name for name in OURS if is_stackable(name)])
def test_cuda_itself_sees_no_wait(name, synthetic):
    models = [seeded_model(synthetic, name, seed, SMOKE.model, "cuda") for seed in (1, 2)]
    stack = Stack(models, Gatherer(synthetic.split.train, "cuda"), 1e-3)
    optimiser = torch.optim.Adam(models[0].parameters(), fused=True)
    plans = training_plans(models[0], synthetic, SMOKE.train, "cuda")
    batches = training_batches(models[0], synthetic, SMOKE.train, "cuda")
    for mode in ("default", "error"):  # first uses may wait: libraries load, memory is allocated
        torch.cuda.set_sync_debug_mode(mode)
        try:
            rngs = [np.random.default_rng(seed) for seed in (1, 2)]
            stack.launch(zip(*(plans(rng) for rng in rngs), strict=True))
            launch_epoch(models[0], batches(np.random.default_rng(1)), optimiser)
        finally:
            torch.cuda.set_sync_debug_mode("default")
