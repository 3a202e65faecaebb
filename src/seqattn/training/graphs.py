"""CUDA graphs: a training step recorded once a batch shape, then launched as a whole.

References
----------
PyTorch documentation, "CUDA semantics: CUDA graphs", whole-network capture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Recorded(NamedTuple):
    """A recorded step, the tensors it reads, and the loss it writes."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    loss: Tensor


class GraphedStep:
    """Calls a step, from a shape's second time on as one launch.

    The step must depend on nothing but its batches' tensors and on memory that stays where it is,
    and wait for nothing. A shape's first step runs as it is, on a stream of its own: what is set up
    on first use, the optimiser's state above all, must not be recorded.

    Parameters
    ----------
    step : callable
        Takes a list of named tuples of tensors and numbers, returns a tensor.
    """

    def __init__(self, step: Callable[[Sequence[tuple]], Tensor]) -> None:
        self.step = step
        self.recorded: dict[tuple, Recorded | None] = {}
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream()

    def __call__(self, batches: Sequence[tuple]) -> Tensor:
        """Do the step; the result stays valid."""
        key = tuple(tuple(getattr(x, "shape", x) for x in batch) for batch in batches)
        if key not in self.recorded:
            self.recorded[key] = None
            return self._aside(batches)
        if self.recorded[key] is None:
            self.recorded[key] = self._record(batches)
        graph, inputs, loss = self.recorded[key]
        for static, new in zip(inputs, _tensors(batches), strict=True):
            static.copy_(new)
        graph.replay()
        return loss.clone()

    def _aside(self, batches: Sequence[tuple]) -> Tensor:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            loss = self.step(batches)
        torch.cuda.current_stream().wait_stream(self.stream)
        loss.record_stream(torch.cuda.current_stream())
        return loss

    def _record(self, batches: Sequence[tuple]) -> Recorded:
        static = [
            type(batch)(*(x.clone() if isinstance(x, Tensor) else x for x in batch))
            for batch in batches
        ]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            loss = self.step(static)
        return Recorded(graph, _tensors(static), loss)


def _tensors(batches: Sequence[tuple]) -> list[Tensor]:
    return [x for batch in batches for x in batch if isinstance(x, Tensor)]
