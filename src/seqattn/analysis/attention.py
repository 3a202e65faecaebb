"""Attention maps of many users at one length, so that models can be compared with n held fixed.

Shapes: U users, L layers, H heads, n positions.
"""

from __future__ import annotations

import numpy as np
import torch

from seqattn.data import Dataset
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.models.backbone import Backbone
from seqattn.store import Cell
from seqattn.training.batches import Gatherer


def load_model(cell: Cell, dataset: Dataset, device: str = "cpu") -> Backbone:
    """Rebuild a cell's model with its best weights, in evaluation mode."""
    spec = cell.facts["spec"]
    model = build_model(spec["model"], dataset.n_items, **spec["model_config"])
    model.load_state_dict(cell.weights())
    return model.to(device).eval()


def map_sizes(dataset: Dataset, max_length: int, n_users: int = 50) -> list[int]:
    """Return the numbers of interactions at which to compare maps: n // 5, n // 2 and n.

    n is the largest that `n_users` training histories reach (all of them, where there are fewer),
    at least 2, at most 50 and `max_length`: over fewer users a mean would be an anecdote.

    Raises
    ------
    SeqattnError
        If no history has two interactions: the map of a single one is the number one.
    """
    longest_first = np.sort(dataset.split.train.lengths)[::-1]
    if longest_first[0] < 2:
        raise SeqattnError(
            f"histories of {dataset.name!r} are too short for attention maps: no user has two "
            "training interactions"
        )
    n = min(50, max_length, max(2, int(longest_first[:n_users][-1])))
    return sorted({max(2, n // 5), max(2, n // 2), n})


@torch.inference_mode()
def attention_maps(
    model: Backbone, dataset: Dataset, n: int, max_users: int = 200, device: str = "cpu"
) -> np.ndarray:
    """Return maps over the last `n` training interactions of users who have at least `n`.

    Evaluation mode, so dropout is off; all positions are real, so nothing needs cropping. The
    masked-item models see the history itself, without an appended [MASK]: n is then the same set
    of interactions for every model.

    Parameters
    ----------
    model : Backbone
        A trained model.
    dataset : Dataset
        The data it was trained on.
    n : int
        Number of interactions, at most the model's ``max_length``.
    max_users : int
        The first so many users with a long enough history.
    device : str
        Where the model lives.

    Returns
    -------
    ndarray, shape (U, L, H, n, n)
        Rows are queries and sum to 1.

    Raises
    ------
    SeqattnError
        If no user has `n` training interactions.
    """
    train = dataset.split.train
    users = np.flatnonzero(train.lengths >= n)[:max_users]
    if len(users) == 0:
        raise SeqattnError(f"no user of {dataset.name!r} has {n} training interactions; lower n")
    start = train.offsets[users + 1] - n
    items, intensity, _ = Gatherer(train, device).rows(start, np.full(len(users), n))
    maps_LUHnn = model.eval().attention_maps(items, intensity)
    return maps_LUHnn.transpose(0, 1).float().cpu().numpy()


@torch.inference_mode()
def uniform_maps(model: Backbone, n: int) -> np.ndarray:
    """Return what a model would attend to had it learned nothing but its mask.

    Each row is spread evenly over the keys that the head may see.

    Parameters
    ----------
    model : Backbone
        Only its mask is read.
    n : int
        Number of interactions.

    Returns
    -------
    ndarray, shape (H, n, n)
        Rows are queries and sum to 1.
    """
    mask = model.attention_mask(torch.ones(1, n, dtype=torch.long))
    if mask is None:  # causal
        mask = torch.ones(n, n, dtype=torch.bool).tril()[None, None]
    visible_Hnn = mask.expand(1, model.config.n_heads, n, n)[0].double()
    return (visible_Hnn / visible_Hnn.sum(dim=-1, keepdim=True)).numpy()
