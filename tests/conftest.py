"""Settings every test shares."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings

from seqattn.data import Dataset, load_dataset

# A busy machine must not fail a property test for being slow.
settings.register_profile("seqattn", deadline=None)
settings.load_profile("seqattn")
# Test models are tiny: threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def synthetic() -> Dataset:
    """A small prepared dataset that needs no file."""
    return load_dataset("synthetic")
