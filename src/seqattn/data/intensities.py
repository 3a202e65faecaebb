"""Which intensities a fit reads: real ones, a placebo's, or planted ones."""

from __future__ import annotations

from seqattn.config import TrainConfig
from seqattn.data.dataset import Dataset
from seqattn.data.placebo import with_placebo
from seqattn.data.planted import with_planted


def with_intensities(dataset: Dataset, config: TrainConfig, seed: int) -> Dataset:
    """Return the dataset with the intensities that a training's settings ask for.

    Raises
    ------
    SeqattnError
        They ask for a placebo, and the dataset has no intensity.
    """
    if config.intensity == "planted":
        dials = config.planted_p, config.planted_tail, config.planted_popularity
        return with_planted(dataset, *dials, seed, next_only=config.planted_next)
    return with_placebo(dataset, config.intensity, seed, kept=config.kept_intensity)
