"""What trained models were given alike, and what not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import pandas as pd

from seqattn.store import Cell, CellSpec


def differing(specs: Mapping[str, CellSpec]) -> pd.DataFrame:
    """Return the settings in which models differ, a row a setting and a column a model.

    Settings of the model and of training; dataset, seed and model name are not among them. Empty
    where all are equal.
    """
    settings = pd.DataFrame(
        {
            name: {**asdict(spec.model_config), **asdict(spec.train_config)}
            for name, spec in specs.items()
        },
        dtype=object,  # counts stay whole numbers beside rates
    )
    return settings[settings.nunique(axis=1) > 1].rename_axis("setting")


def unfinished(cell: Cell) -> bool:
    """Return whether a fit ran out of epochs before its patience did: more might have helped."""
    waited = len(cell.facts["history"]) - cell.facts["best_epoch"]
    return waited < cell.spec.train_config.patience
