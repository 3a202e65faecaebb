"""Plans of several seeds padded to one rectangle, so that one kernel serves all seeds.

Shapes: S seeds, B rows, T positions, N scored positions, each of the largest plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqattn.training.batches import Plan


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
        largest = map(max, self[:3], other[:3])
        return Shape(*largest, min(self.read_from, other.read_from))


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
