"""Fit one model on one dataset with one seed.

Adam and a cross-entropy over the whole catalogue are RecBole's defaults and this project's choice:
[IA] names no optimiser, speaks of a cross-entropy in sections 6.1, 7.2 and 8 alone, and does not
say over which items.

References
----------
[IA] section 4.2: early stopping on validation NDCG@10, the best-on-validation weights tested once.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial

import numpy as np
import torch
from torch import Tensor

from seqattn.config import ModelConfig, TrainConfig, replace, require_seed
from seqattn.data import Dataset
from seqattn.data.intensities import with_intensities
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.models.backbone import Backbone
from seqattn.training.batches import (
    Batch,
    Gatherer,
    Plan,
    bucket_overhead,
    last_item_windows,
    masked_item_plan,
    next_item_plan,
    packed_windows,
    prefix_windows,
    random_batches,
)
from seqattn.training.course import Course, Epoch, Fit, Keeper, State, captured, diverging, restore
from seqattn.training.loss import tied_cross_entropy
from seqattn.training.negatives import SampledLoss
from seqattn.training.optimiser import adam, start_lambda
from seqattn.training.pretraining import take_over, twin_of
from seqattn.training.probe import require_reached, require_sound, require_sound_trained
from seqattn.training.ranking import Ranker
from seqattn.training.targets import (
    ContrastedCrossEntropy,
    WeightedCrossEntropy,
    scored_targets,
)
from seqattn.training.whole import WholeBatch, whole_batch, whole_windows

TRIM_EVERY = 32  # optimiser steps
# Of hidden states (N, D), output embeddings (V, D), targets (N,) and their places (N,).
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Parts = Sequence[Batch | WholeBatch]  # of one step, computed one after another


def cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, places_N: Tensor
) -> Tensor:
    """Return the mean cross-entropy over all items, wherever the targets stand."""
    return tied_cross_entropy(hidden_ND, weight_VD, targets_N)


def batch_loss(model: Backbone, batch: Batch | WholeBatch, loss: Loss = cross_entropy) -> Tensor:
    """Return the mean loss over the batch's scored targets."""
    return loss(batch.hidden(model), model.scorers(), batch.targets, batch.places)


def backward(model: Backbone, parts: Parts, loss: Loss = cross_entropy) -> tuple[Tensor, int]:
    """Add the gradient of the mean loss over all parts of a step; return their sum and number.

    Each part is weighed by its share of the targets, so the gradient does not depend on how a
    batch was split.
    """
    n_targets = sum(len(part.targets) for part in parts)
    losses = []
    for part in parts:
        total = batch_loss(model, part, loss) * len(part.targets)
        (total / n_targets).backward()
        losses.append(total.detach())  # stays on the device
    return torch.stack(losses).sum(), n_targets


def training_batches(
    model: Backbone, dataset: Dataset, config: TrainConfig, device: torch.device | str
) -> Callable[[np.random.Generator], Iterator[Parts]]:
    """Return a function that yields one epoch's batches, each in parts of similar length.

    Raises
    ------
    SeqattnError
        If the stride exceeds the window, the model's normalisation scope would leak the future
        into packed windows, the model cannot read whole histories, or targets are to count by
        their intensity and are masked items, or have none.
    """
    train = dataset.split.train
    gatherer = Gatherer(train, device, np.arange(train.n_users) if model.needs_user else None)
    if config.windows == "whole":
        return _whole_batches(model, dataset, config, gatherer)
    plans = training_plans(model, dataset, config, device)
    mask_code = model.mask_code if model.objective == "masked_item" else None

    def epoch(rng: np.random.Generator) -> Iterator[Parts]:
        for parts in plans(rng):
            yield [gatherer.batch(plan, mask_code) for plan in parts]

    return epoch


def _whole_batches(
    model: Backbone, dataset: Dataset, config: TrainConfig, gatherer: Gatherer
) -> Callable[[np.random.Generator], Iterator[Parts]]:
    _check(model, dataset, config)
    windows = whole_windows(dataset.split.train.offsets)

    def epoch(rng: np.random.Generator) -> Iterator[Parts]:
        for chosen in random_batches(windows, config.batch_targets, rng):
            yield [whole_batch(gatherer, windows, chosen, model.config.sliding_window)]

    return epoch


def training_plans(
    model: Backbone, dataset: Dataset, config: TrainConfig, device: torch.device | str
) -> Callable[[np.random.Generator], Iterator[list[Plan]]]:
    """Return the same as `training_batches`, with plans in the place of batches."""
    length, offsets = model.config.max_length, dataset.split.train.offsets
    _check(model, dataset, config)
    kept_n = scored_targets(dataset.split.train, config)
    overhead = bucket_overhead(device)
    masked = model.objective == "masked_item"

    def epoch(rng: np.random.Generator) -> Iterator[list[Plan]]:
        if one_row_a_prefix(model, config):
            windows = prefix_windows(offsets, length)
        else:
            inputs_end = 0 if masked else 1
            windows = packed_windows(offsets, length, config.stride, rng, inputs_end=inputs_end)
        if masked and config.last_item_samples:
            windows += last_item_windows(offsets, length, config.last_item_samples, rng)
        for chosen in random_batches(windows, config.batch_targets, rng):
            buckets = windows.buckets(chosen, overhead)
            if masked:
                probability = config.mask_probability
                yield [masked_item_plan(windows, bucket, probability, rng) for bucket in buckets]
            else:
                plans = [next_item_plan(windows, bucket) for bucket in buckets]
                if kept_n is not None:
                    plans = [plan.scoring(kept_n) for plan in plans]
                    plans = [plan for plan in plans if len(plan.targets)]
                if plans:
                    yield plans

    return epoch


def one_row_a_prefix(model: Backbone, config: TrainConfig) -> bool:
    """Return whether each next item has a row of its own, the items before it."""
    masked = model.objective == "masked_item"
    return not masked and (config.windows == "prefix" or model.looks_both_ways)


def _check(model: Backbone, dataset: Dataset, config: TrainConfig) -> None:
    """Refuse a training that would leak the future, leave out targets, or has none to learn."""
    name, own, windows = type(model).__name__, model.config, config.windows
    masked, whole = model.objective == "masked_item", windows == "whole"
    about = next(iter(config.changed_targets), "")
    refused = {
        f"{about} is about next items, and {name} is trained on masked ones; leave it out for this "
        "model": masked and about,
        "windows 'whole' trains on next items, and this model fills in masked ones; use windows "
        "'packed'": whole and masked,
        "windows 'prefix' have a row for each next item, and this model fills in masked ones; use "
        "windows 'packed'": windows == "prefix" and masked,
        f"windows 'whole' lays histories of several users in a row, and {name} reads whose a row "
        "is; use windows 'packed'": whole and model.needs_user,
        "windows 'whole' reads a history in one piece, which needs positions that read distances "
        "alone and a sliding_window; set both, or use windows 'packed'": (
            whole and not own.sliding_window
        ),
        f"max_length = {own.max_length} cuts off what training on whole histories reads; raise it "
        f"to {own.reach}, which the layers reach together": whole and own.max_length < own.reach,
        f"stride = {config.stride} exceeds max_length = {own.max_length}: targets between windows "
        "would never be scored; lower stride": (
            windows == "packed" and config.stride > own.max_length
        ),
        "scope 'prefix' normalises a whole row at once, which leaks the future into packed "
        "windows; use windows 'prefix', or scope 'causal'": (
            model.needs_intensity and own.scope == "prefix" and windows != "prefix"
        ),
        f"{dataset.name}: no user has two training interactions under the split "
        f"{dataset.split.parts.name}, so no next item can be learned; use longer histories, or "
        "another split": not dataset.n_targets,
    }
    for told, holds in refused.items():
        if holds:
            raise SeqattnError(told)


def fit(
    dataset: Dataset,
    model_name: str,
    seed: int,
    model_config: ModelConfig,
    train_config: TrainConfig,
    *,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
    on_pretraining: Callable[[dict[str, float]], None] | None = None,
    keeper: Keeper | None = None,
) -> Fit:
    """Train with early stopping, then rank validation and test with the best weights.

    Initial weights, batch order and dropout all follow from `seed`, and lambda draws no random
    number, so models fitted with one seed are paired (common random numbers). On one machine with
    one number of threads, the same call gives the same bits.

    Parameters
    ----------
    model_name : str
        A name `seqattn.build_model` knows.
    device : torch.device or str
        ``cpu`` or ``cuda``.
    on_epoch : callable, optional
        Called with each finished `Epoch`, for progress bars.
    on_pretraining : callable, optional
        Called with each finished epoch before the first: its number, loss and seconds.
    keeper : Keeper, optional
        Keeps the state between epochs; a fit that finds one goes on from it, to the same bits.

    Raises
    ------
    SeqattnError
        If the seed is none, the model needs an intensity the dataset lacks, cannot be pre-trained
        as it is asked to, is not sound (`seqattn.training.probe`), or training diverges.

    Examples
    --------
    >>> from seqattn import load_dataset
    >>> from seqattn.presets import get_preset
    >>> smoke = get_preset("smoke")
    >>> fitted = fit(load_dataset("synthetic"), "ia-add", 2020, smoke.model, smoke.train)
    >>> fitted.ranks["test_unfiltered"].shape
    (60,)
    """
    started = time.perf_counter()
    course = train(
        *(dataset, model_name, seed, model_config, train_config),
        device=device,
        on_epoch=on_epoch,
        on_pretraining=on_pretraining,
        keeper=keeper,
    )
    told = with_intensities(dataset, train_config, seed)
    with diverging(dataset.name, model_name, seed, course.best_epoch):
        fitted = course.finish(told, device, started)
    require_sound_trained(fitted.model, model_name)
    return fitted


def train(
    dataset: Dataset,
    model_name: str,
    seed: int,
    model_config: ModelConfig,
    train_config: TrainConfig,
    *,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
    on_pretraining: Callable[[dict[str, float]], None] | None = None,
    keeper: Keeper | None = None,
) -> Course:
    """Do the training of `fit`, and look at validation only: a search must not see test.

    Parameters and errors are those of `fit`.
    """
    require_seed(seed)
    dataset = with_intensities(dataset, train_config, seed)
    with forked_rng(device):
        model = seeded_model(dataset, model_name, seed, model_config, device)
        state = keeper.load() if keeper else None
        begun = state is not None and "history" in state.facts
        seconds = state.seconds if state else 0.0
        pretraining: list[dict[str, float]] = []
        if train_config.pretrain_epochs and not begun:
            pretraining = _pretrain(
                *(model, dataset, seed, train_config, device, on_pretraining, keeper, state)
            )
        torch.manual_seed(seed)  # dropout starts alike for models that drew extra weights
        rng = np.random.default_rng(seed)
        batches = training_batches(model, dataset, train_config, device)
        loss = loss_of(dataset, train_config, device)
        start_lambda(model, train_config)
        optimiser = adam(model, train_config)
        ranker = Ranker(dataset.split, "valid", device)
        owners = dataset.split.owners().get("valid")
        course = Course(model, train_config.patience, owners, pretraining, seconds_before=seconds)
        if state and begun:
            course.restore(state, optimiser, rng)
        while len(course.history) < train_config.epochs and not course.stopped:
            started = time.perf_counter()
            total, n_targets = launch_epoch(model, batches(rng), optimiser, loss)
            if not course.history:
                require_reached(model, optimiser, model_name)
            with diverging(dataset.name, model_name, seed, len(course.history) + 1):
                ranks = ranker(model, filtered=False)["unfiltered"]
            course.add(float(total) / n_targets, ranks, time.perf_counter() - started)
            if on_epoch:
                on_epoch(course.history[-1])
            if keeper:
                keeper.save(partial(course.capture, optimiser, rng))
        return course


def _pretrain(
    model: Backbone,
    dataset: Dataset,
    seed: int,
    train_config: TrainConfig,
    device: torch.device | str,
    on_epoch: Callable[[dict[str, float]], None] | None,
    keeper: Keeper | None,
    state: State | None,
) -> list[dict[str, float]]:
    """Train a model's twin and take over its weights; return its epochs, losses and seconds.

    Goes on from `state`, if there is one.
    """
    twin = twin_of(model, seed)
    # Its windows need not overlap, since a masked item may stand anywhere in one.
    config = replace(train_config, windows="packed", stride=model.config.max_length)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    batches = training_batches(twin, dataset, config, device)
    loss = loss_of(dataset, config, device)
    optimiser = torch.optim.Adam(twin.parameters(), lr=config.learning_rate, fused=True)
    epochs: list[dict[str, float]] = []
    if state:
        restore(state, twin, optimiser, rng)
        epochs = state.facts["pretraining"]

    def capture() -> State:
        whole = captured(twin, optimiser, rng)
        return State(whole.tensors, {**whole.facts, "pretraining": epochs})

    while len(epochs) < config.pretrain_epochs:
        started = time.perf_counter()
        total, n_targets = launch_epoch(twin, batches(rng), optimiser, loss)
        told = {"epoch": len(epochs) + 1, "loss": float(total) / n_targets}
        epochs.append(told | {"seconds": time.perf_counter() - started})
        if on_epoch:
            on_epoch(epochs[-1])
        if keeper:
            keeper.save(capture)
    take_over(model, twin)
    return epochs


def loss_of(dataset: Dataset, config: TrainConfig, device: torch.device | str) -> Loss:
    """Return the loss of a configuration, some of which read intensities or draw negatives."""
    train = dataset.split.train
    if config.confidence:
        return WeightedCrossEntropy(train, config, device)
    if config.contrast:
        return ContrastedCrossEntropy(train, config, device)
    return cross_entropy if config.loss == "ce" else SampledLoss(train, config, device)


def forked_rng(device: torch.device | str) -> AbstractContextManager[None]:
    """Leave the caller's random numbers as they are, on the device too."""
    where = torch.device(device)
    return torch.random.fork_rng([where] if where.type == "cuda" else [])


def seeded_model(
    dataset: Dataset,
    model_name: str,
    seed: int,
    model_config: ModelConfig,
    device: torch.device | str,
) -> Backbone:
    """Return the model that a seed starts from.

    Raises
    ------
    SeqattnError
        If the model needs an intensity the dataset lacks, or is not sound, see `require_sound`.
    """
    torch.manual_seed(seed)
    model = build_model(model_name, dataset.n_items, **asdict(model_config))
    model.add_users(dataset.split.train.n_users)
    model = model.to(device)
    if model.needs_intensity:
        if not dataset.has_intensity:
            raise SeqattnError(
                f"model {model_name!r} reads intensities and dataset {dataset.name!r} has none; "
                "fit sasrec, bert4rec or local-ae"
            )
        model.tell(torch.tensor(dataset.split.train.intensity, device=device))
    require_sound(model, model_name)
    return model


def require_trainable(
    dataset: Dataset,
    model_name: str,
    model_config: ModelConfig,
    train_config: TrainConfig,
) -> None:
    """Refuse a model that is not sound, and windows or data that it cannot be trained with.

    Without a step, and on the CPU. What a loss or a lambda's settings ask for is not looked at.

    Raises
    ------
    SeqattnError
        See `seeded_model` and `training_batches`.
    """
    dataset = with_intensities(dataset, train_config, 0)
    with forked_rng("cpu"):
        model = seeded_model(dataset, model_name, 0, model_config, "cpu")
    _check(model, dataset, train_config)


def _give_memory_back() -> None:
    """Return freed memory to the system, where the C library is glibc."""
    # Batches differ in shape, so its heap fragments and would grow for as long as training lasts,
    # to many times what is in use.
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: None)(0)


def launch_epoch(
    model: Backbone,
    batches: Iterator[Parts],
    optimiser: torch.optim.Optimizer,
    loss: Loss = cross_entropy,
) -> tuple[Tensor, int]:
    """Do one pass over the data without ever waiting for the device; return summed loss, count."""
    model.train()
    total, n_targets = model.item_embedding.weight.new_zeros(()), 0
    for number, parts in enumerate(batches):
        optimiser.zero_grad(set_to_none=True)
        of_step, n = backward(model, parts, loss)
        optimiser.step()
        total, n_targets = total + of_step, n_targets + n
        if number % TRIM_EVERY == 0:
            _give_memory_back()
    return total, n_targets
