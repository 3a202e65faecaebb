"""Fit several seeds of one configuration at once, as one model with stacked parameters.

The models of the book are too small to fill a GPU: a training step is a few hundred kernels, each
done sooner than the next is launched. Here one launch does the work of all seeds. Each seed keeps
what `seqattn.training.fit.fit` gives it: its initial weights, batches, early stopping and best
weights. Only its dropout masks are others, since all seeds draw from one generator.

A step's batches differ in shape from seed to seed; they are padded to a common rectangle, and
padding weighs nothing in the loss.

Shapes: S seeds, B rows of the longest batch, T positions, D hidden width, N scored positions.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from seqattn.config import ModelConfig, TrainConfig
from seqattn.data import Dataset
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone
from seqattn.training.batches import Gatherer, Plan
from seqattn.training.course import Course, Epoch, Fit, diverging
from seqattn.training.fit import forked_rng, loss_of, seeded_model, training_plans
from seqattn.training.loss import stacked_cross_entropy
from seqattn.training.probe import require_sound_trained
from seqattn.training.ranking import Ranker
from seqattn.training.targets import WeightedCrossEntropy


class Shape(NamedTuple):
    """Size of a stacked batch, rounded so that few different ones occur."""

    rows: int
    longest: int
    scored: int
    read_from: int

    @classmethod
    def of(cls, plans: Sequence[Plan | None], max_length: int) -> Shape:
        """Return the least rounded shape that holds every seed's plan."""
        given = [plan for plan in plans if plan is not None]
        return cls(
            _round_up(max(len(plan.start) for plan in given), 16),
            min(_round_up(max(int(plan.length.max()) for plan in given), 8), max_length),
            _round_up(max(len(plan.targets) for plan in given), 64),
            min(plan.read_from for plan in given) // 8 * 8,
        )

    def joined(self, other: Shape) -> Shape:
        """Return the least shape that holds both."""
        (a, b, c), (d, e, f) = self[:3], other[:3]
        return Shape(max(a, d), max(b, e), max(c, f), min(self.read_from, other.read_from))


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def rectangles(plans: Sequence[Plan | None], shape: Shape) -> list[np.ndarray]:
    """Pad the plans of all seeds to rectangles.

    A padded row reads one item, so that no softmax is over nothing; a padded position repeats a
    scored one.

    Returns
    -------
    list of ndarray
        Starts and lengths of rows, (S, B); scored cells, counted along rows of ``T - read_from``
        columns, and flat indices of their targets, (S, N); number scored, (S, 1).
    """
    s = len(plans)
    start, length = np.zeros((s, shape.rows), np.int64), np.ones((s, shape.rows), np.int64)
    cells, targets = np.zeros((2, s, shape.scored), np.int64)
    n_scored = np.zeros((s, 1), np.int64)
    for i, plan in enumerate(plans):
        if plan is None:
            continue
        b, n = len(plan.start), len(plan.targets)
        start[i, :b], length[i, :b], n_scored[i] = plan.start, plan.length, n
        columns = plan.columns - shape.read_from
        cells[i, :n] = plan.rows * (shape.longest - shape.read_from) + columns
        targets[i, :n] = plan.targets
        cells[i, n:], targets[i, n:] = cells[i, 0], targets[i, 0]
    return [start, length, cells, targets, n_scored]


def fit_stacked(
    dataset: Dataset,
    model_name: str,
    seeds: Sequence[int],
    model_config: ModelConfig,
    train_config: TrainConfig,
    *,
    device: torch.device | str,
    on_epoch: Callable[[int, Epoch], None] | None = None,
    on_fit: Callable[[int, Fit], None] | None = None,
) -> dict[int, Fit]:
    """Fit one model with several seeds at once.

    Without dropout the fits are those of `seqattn.training.fit.fit`, seed for seed, up to rounding.
    A seed that has stopped early leaves the stack and is not touched again. Fits come in the order
    of `seeds`; their seconds count from the start of all.

    Parameters
    ----------
    device : torch.device or str
        ``cuda``; on a CPU it works, and pays only where models are tiny.
    on_epoch : callable, optional
        Called with a seed and its finished `Epoch`, whose seconds are those of the whole stack.
    on_fit : callable, optional
        Called with a seed and its fit as soon as it is there, while others may go on.

    Raises
    ------
    SeqattnError
        If a seed is given twice, the model cannot be stacked or needs an intensity the dataset
        lacks, it is to be pre-trained, reads other intensities than the real ones or trains lambda
        in a way of its own, a batch may be smaller than one window, hold whole histories or score
        no target, the loss draws negatives, or a seed diverges, which ends all.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise SeqattnError(f"seeds {list(seeds)} must be different ones, and at least one")
    if reason := why_one_by_one(model_config, train_config):
        raise SeqattnError(f"{reason}; fit the seeds one by one")
    started = time.perf_counter()
    fits: dict[int, Fit] = {}
    with forked_rng(device):
        models = [seeded_model(dataset, model_name, seed, model_config, device) for seed in seeds]
        if not models[0].stackable:
            raise SeqattnError(f"{model_name!r} cannot be stacked; fit the seeds one by one")
        plans = training_plans(models[0], dataset, train_config, device)
        rngs = {seed: np.random.default_rng(seed) for seed in seeds}
        patience, owners = train_config.patience, dataset.split.owners().get("valid")
        courses = {s: Course(m, patience, owners) for s, m in zip(seeds, models, strict=True)}
        gatherer = Gatherer(dataset.split.train, device)
        weighted = loss_of(dataset, train_config, device)
        weight_n = weighted.weight_n if isinstance(weighted, WeightedCrossEntropy) else None
        stack = Stack(models, gatherer, train_config.learning_rate, weight_n)
        ranker = Ranker(dataset.split, "valid", device)
        torch.manual_seed(seeds[0])  # drives the dropout of all
        for number in range(1, train_config.epochs + 1):
            began = time.perf_counter()
            steps = zip(*(plans(rngs[seed]) for seed in courses), strict=True)
            total_S, n_targets_S = stack.launch(steps)
            losses = (total_S.cpu().numpy() / n_targets_S).tolist()
            ranks = []
            for seed, course in courses.items():
                with diverging(dataset.name, model_name, seed, number):
                    ranks.append(ranker(course.model, filtered=False)["unfiltered"])
            seconds = time.perf_counter() - began
            leaving = []
            for (seed, course), loss, ranks_U in zip(courses.items(), losses, ranks, strict=True):
                if course.add(loss, ranks_U, seconds) or number == train_config.epochs:
                    leaving.append(seed)
                if on_epoch:
                    on_epoch(seed, course.history[-1])
            if leaving:
                stack.keep([i for i, seed in enumerate(courses) if seed not in leaving])
                for seed in leaving:
                    course = courses.pop(seed)
                    with diverging(dataset.name, model_name, seed, course.best_epoch):
                        fits[seed] = course.finish(dataset, device, started)
                    require_sound_trained(fits[seed].model, model_name)
                    if on_fit:
                        on_fit(seed, fits[seed])
            if not courses:
                break
    return {seed: fits[seed] for seed in seeds}


def why_one_by_one(model_config: ModelConfig, train_config: TrainConfig) -> str:
    """Return why seeds of a configuration cannot be fitted as one model; "" if they can."""
    train, longest = train_config, model_config.max_length
    batch, whole = train.batch_targets, train.windows == "whole"
    reasons = {
        "pre-training goes seed by seed": train.pretrain_epochs,
        "each seed has intensities of its own": train.intensity != "real",
        "a stack trains all parameters alike": train.changed_lambda,
        "batches of whole histories differ in shape from seed to seed": whole,
        f"loss {train.loss!r} draws negatives seed by seed": train.loss != "ce",
        "a batch may hold no target of enough intensity, and seeds could not step together": (
            train.least_target or train.least_quantile
        ),
        "each seed draws how many last items it hides, and seeds could not step together": (
            0 < train.last_item_samples < 1
        ),
        # A window of more targets than a batch would take the place of several batches, and seeds
        # would differ in their number of steps.
        f"batch_targets = {batch} is below max_length = {longest}, and seeds could not step "
        "together": batch < longest,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


class StackedBatch(NamedTuple):
    """Rows of all seeds, right-padded, on the device; ``cells_SN`` as of `rectangles`.

    ``share_SN`` is each scored position's weight in its seed's mean loss, 0 for padding.
    """

    items_SBT: Tensor
    intensity_SBT: Tensor | None
    cells_SN: Tensor
    targets_SN: Tensor
    share_SN: Tensor
    read_from: int


class Stack:
    """Models of one architecture whose parameters are slices of stacked tensors, (S, ...).

    So a step on the stacked tensors is a step of every model. Adam is elementwise: one optimiser
    over the stack is one a seed.
    """

    def __init__(
        self,
        models: list[Backbone],
        gatherer: Gatherer,
        learning_rate: float,
        weight_n: Tensor | None = None,
    ) -> None:
        self.models = models
        self.weight_n = weight_n  # of each interaction as a target; None: 1
        self.template = copy.deepcopy(models[0])  # runs with the parameters it is given
        self.gatherer = gatherer
        self.parameters = {
            name: torch.stack([m.get_parameter(name).detach() for m in models]).requires_grad_()
            for name, _ in self.template.named_parameters()
        }
        self._share_memory()
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=learning_rate, fused=True)
        self.shapes: dict[int, Shape] = {}

    def _share_memory(self) -> None:
        for name, stacked in self.parameters.items():
            for model, value in zip(self.models, stacked.detach(), strict=True):
                model.get_parameter(name).data = value

    def keep(self, members: list[int]) -> None:
        """Let all but some members go; those who go own their parameters from then on."""
        for i, model in enumerate(self.models):
            if i not in members:
                for parameter in model.parameters():
                    parameter.data = parameter.data.clone()
        self.models = [self.models[i] for i in members]
        for stacked in self.parameters.values():
            state = self.optimiser.state[stacked]
            for moment in ("exp_avg", "exp_avg_sq"):
                state[moment] = state[moment][members]
            stacked.grad, stacked.data = None, stacked.data[members]
        self._share_memory()
        self.shapes = {}

    def launch(self, steps: Iterator[tuple[list[Plan], ...]]) -> tuple[Tensor, np.ndarray]:
        """Do one pass over every seed's batches, without waiting for the device.

        Return each seed's summed loss and number of targets, (S,).
        """
        self.template.train()
        total_S = torch.zeros((), device=self.gatherer.device)
        n_targets_S = np.zeros(len(self.models), dtype=np.int64)
        for plans in steps:
            n_S = np.array([sum(len(plan.targets) for plan in parts) for parts in plans])
            batches = [
                self.batch(number, parts, n_S) for number, parts in enumerate(zip_longest(*plans))
            ]
            (weight_S,) = self.gatherer.send(n_S)
            total_S = total_S + self.step(batches) * weight_S
            n_targets_S = n_targets_S + n_S
        return total_S, n_targets_S

    def step(self, batches: list[StackedBatch]) -> Tensor:
        """Do one optimiser step of every seed; return their mean losses, (S,)."""
        loss_S = torch.stack([self.loss(batch) for batch in batches]).sum(dim=0)
        # The gradient of the sum: no seed's loss depends on another's parameters.
        gradients = torch.autograd.grad(loss_S.sum(), list(self.parameters.values()))
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            # Fused Adam walks memory, so a transposed gradient would reach the wrong weights.
            parameter.grad = gradient.contiguous()
        self.optimiser.step()
        return loss_S.detach()

    def loss(self, batch: StackedBatch) -> Tensor:
        """Return each seed's share of its mean loss, (S,)."""

        def hidden(parameters: dict[str, Tensor], items: Tensor, *intensity: Tensor) -> Tensor:
            arguments = (items, *(intensity or (None,)), batch.read_from)
            return functional_call(self.template, parameters, arguments)

        inputs = [x for x in (batch.items_SBT, batch.intensity_SBT) if x is not None]
        # The fused attention kernels have no rule for masks under vmap (PyTorch issue 161310).
        with sdpa_kernel(SDPBackend.MATH):
            hidden_SBTD = vmap(hidden, randomness="different")(self.parameters, *inputs)
        index_SND = batch.cells_SN[..., None].expand(-1, -1, hidden_SBTD.shape[-1])
        hidden_SND = hidden_SBTD.flatten(1, 2).gather(1, index_SND)
        weight_SVD = self.template.scorers(self.parameters)
        return stacked_cross_entropy(hidden_SND, weight_SVD, batch.targets_SN, batch.share_SN)

    def batch(
        self, number: int, plans: Sequence[Plan | None], n_targets_S: np.ndarray
    ) -> StackedBatch:
        """Carry out a plan a seed at once; None where a seed's batch has fewer parts.

        The shape of part `number` of a step never shrinks, so that few shapes ever occur.
        """
        shape = Shape.of(plans, self.template.config.max_length)
        shape = self.shapes[number] = shape.joined(self.shapes.get(number, shape))
        start, length, cells, targets, n_scored, n_total = self.gatherer.send(
            *rectangles(plans, shape), n_targets_S[:, None]
        )
        items, intensity = self.gatherer.cells(start.flatten(), length.flatten(), shape.longest)
        items_SBT = items.view(len(plans), shape.rows, shape.longest)
        intensity_SBT = None if intensity is None else intensity.view_as(items_SBT)
        if self.template.objective == "masked_item":
            items_SBT.flatten(1).scatter_(1, cells, self.template.mask_code)
            intensity_SBT = None
        scored_SN = torch.arange(cells.shape[1], device=cells.device) < n_scored
        targets_SN, share_SN = self.gatherer.items[targets], scored_SN / n_total
        if self.weight_n is not None:
            share_SN = share_SN * self.weight_n[targets]
        return StackedBatch(items_SBT, intensity_SBT, cells, targets_SN, share_SN, shape.read_from)
