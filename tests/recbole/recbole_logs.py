"""RecBole set up without its side effects, and logs written the way it reads them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from recbole.config import Config
from recbole.utils import FeatureType

import seqattn.recbole  # noqa: F401  # RecBole's Config under NumPy 2
from seqattn.data import Sequences

# Importing RecBole's models turns anomaly detection on for the whole process (sine.py).
with torch.autograd.set_detect_anomaly(False):
    from recbole.model.sequential_recommender import SASRec as RecBoleSASRec

# `Config` reads the process's command line and sets CUDA_VISIBLE_DEVICES.
QUIET = {"gpu_id": "", "show_progress": False, "train_neg_sample_args": None}


def recbole_config(model: type, dataset: str = "none", **options: object) -> Config:
    with patch.object(sys, "argv", sys.argv[:1]), patch.dict(os.environ):
        return Config(model=model, dataset=dataset, config_dict={**QUIET, **options})


def stub_dataset(n_items: int) -> SimpleNamespace:
    """What a model reads off RecBole's dataset."""
    return SimpleNamespace(
        num=lambda field: n_items + 1,
        field2type={"rating": FeatureType.FLOAT, "user_id": FeatureType.TOKEN},
        inter_feat={"rating": torch.tensor([1.0, 5.0])},
    )


def recbole_sasrec(n_items: int, seed: int = 0, **options: object) -> RecBoleSASRec:
    """RecBole's SASRec with weights large enough that every part of it matters, dropout off."""
    options = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, **options}
    torch.manual_seed(seed)
    model = RecBoleSASRec(recbole_config(RecBoleSASRec, **options), stub_dataset(n_items))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.detach().mean()), std=0.2)
    return model


def padded_batch(n_items: int, lengths: list[int], width: int, seed: int = 0):
    """Items, lengths and intensities of a right-padded batch."""
    generator = torch.Generator().manual_seed(seed)
    length = torch.tensor(lengths)
    padding = torch.arange(width) >= length[:, None]
    items = torch.randint(1, n_items + 1, padding.shape, generator=generator)
    intensity = torch.empty(padding.shape).exponential_(0.2, generator=generator)
    return items.masked_fill(padding, 0), length, intensity.masked_fill(padding, 0.0)


def histories(rows) -> Sequences:
    """Put RecBole's augmented rows back together, with RecBole's own item ids and order."""
    user = rows["user_id"].numpy()
    target, first = rows["item_id"].numpy(), rows["item_id_list"][:, 0].numpy()
    by_user = np.argsort(user, kind="stable")
    users, start = np.unique(user[by_user], return_index=True)
    items = np.insert(target[by_user], start, first[by_user][start])
    n_items = int(items.max())
    return Sequences(
        items=items,
        intensity=None,
        timestamp=np.zeros(len(items)),
        offsets=np.append(start, len(user)) + np.arange(len(users) + 1),
        user_ids=users,
        item_ids=np.arange(1, n_items + 1),
    )


def write_log(folder: Path, name: str, frame: pd.DataFrame) -> None:
    """Write a log with columns user, item, intensity, timestamp as RecBole's atomic file."""
    columns = {
        "user": "user_id:token",
        "item": "item_id:token",
        "intensity": "hours:float",
        "timestamp": "timestamp:float",
    }
    (folder / name).mkdir(parents=True)
    frame.rename(columns=columns).to_csv(folder / name / f"{name}.inter", sep="\t", index=False)
