"""Figures are tested in matplotlib's own look, whatever a test before them has set."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def own_look() -> Iterator[None]:
    """Start each test from matplotlib's defaults, and close what it drew."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.use("agg")
        yield
    plt.close("all")
