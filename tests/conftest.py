"""Settings every test shares."""

from __future__ import annotations

import os

# Test models are tiny, and tests run side by side: threads would only wait for each other. What a
# test starts inherits this: two notebooks of two threads each took ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest
import torch
from hypothesis import settings
from warm import Warm

from seqattn.data import CATALOGUE, Dataset, Interactions, load_dataset
from seqattn.data.splits import Splitting

# A busy machine must not fail a property test for being slow.
settings.register_profile("seqattn", deadline=None)
settings.load_profile("seqattn")
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest file, so that no core waits at the end while another runs it."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands fit in this process: one of their own would import PyTorch first, for 5 s."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)


@pytest.fixture(scope="session")
def synthetic() -> Dataset:
    """A small prepared dataset that needs no file."""
    return load_dataset("synthetic")


@pytest.fixture(scope="session")
def several() -> Dataset:
    """A log cut in time of which all later interactions are asked for: several of each user."""
    lengths = [12 + 3 * (user % 3) for user in range(8)]  # in the same time
    rows = [
        (user, (3 * user + n) % 19, 1_600_000_000 + 1e6 * n / length)
        for user, length in enumerate(lengths)
        for n in range(length)
    ]
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    entry = CATALOGUE["synthetic"]
    preparation = replace(entry.preparation, core=1)
    splitting = Splitting(time="quantile 0.7", target="all", validation="time")
    entry = replace(
        entry, raw=None, core=None, preparation=preparation, splitting=splitting, intensity=None
    )
    return Dataset.from_interactions(Interactions.from_frame(frame), entry)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """A Python for programs of their own, which has imported PyTorch already."""
    host = Warm()
    yield host
    host.close()
