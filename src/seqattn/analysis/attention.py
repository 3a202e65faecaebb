"""Attention maps of many users at one length, so that models can be compared with n held fixed.

Shapes: S seeds, U users, L layers, H heads, n positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from seqattn.data import Dataset
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.models.backbone import Backbone
from seqattn.runs.code import require_same_code
from seqattn.runs.store import Run
from seqattn.training.batches import Gatherer
from seqattn.training.device import device_of


def as_maps(maps: ArrayLike) -> NDArray[np.float64]:
    """Return `maps` as float64 of shape (..., n, n).

    Raises
    ------
    SeqattnError
        If the last two axes are not square and non-empty, or a value is not finite.
    """
    array = np.asarray(maps, dtype=np.float64)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or not array.size:
        raise SeqattnError(
            f"attention maps have shape {array.shape}; expected (..., n, n), cropped to the "
            "user's real positions"
        )
    if not np.isfinite(array).all():
        raise SeqattnError("attention maps hold NaN or infinite values; crop padded rows first")
    return array


def load_model(run: Run, dataset: Dataset) -> Backbone:
    """Rebuild a run's model with its best weights, in evaluation mode.

    Raises
    ------
    SeqattnError
        It was kept without weights, or fitted with other code of its model.
    """
    spec, weights = run.facts["spec"], run.weights()
    require_same_code(run)
    model = build_model(spec["model"], dataset.n_items, **spec["model_config"])
    model.load_state_dict(weights)
    return model.eval()


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
def attention_maps(model: Backbone, dataset: Dataset, n: int, max_users: int = 200) -> np.ndarray:
    """Return maps over the last `n` training interactions of users who have at least `n`.

    Evaluation mode, so dropout is off; all positions are real, so nothing needs cropping. The
    masked-item models see the history itself, without an appended [MASK]: n is then the same set
    of interactions for every model.

    Taken are the first `max_users` with a long enough history; `n` is at most the model's
    ``max_length``. Maps have shape (U, L, H, n, n); rows are queries and sum to 1.

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
    gatherer = Gatherer(train, device_of(model), np.arange(train.n_users))
    items, intensity = gatherer.rows(start, np.full(len(users), n))
    whose = (gatherer.users_of(start),) if model.needs_user else ()
    maps_LUHnn = model.eval().attention_maps(items, intensity, *whose)
    return maps_LUHnn.transpose(0, 1).float().cpu().numpy()


def maps_of_seeds(models: Sequence[Backbone], dataset: Dataset, n: int) -> np.ndarray:
    """Return `attention_maps` of several seeds of a model, (U, S * L, H, n, n), a seed's together.

    A mean over layers is then one over seeds as well.
    """
    return np.concatenate([attention_maps(model, dataset, n) for model in models], axis=1)


def uniform_maps(model: Backbone, n: int) -> np.ndarray:
    """Return what a model would attend to had it learned nothing but its mask, (H, n, n).

    Each row is a query, spread evenly over the keys that the head may see.
    """
    visible_Hnn = visible_keys(model, n)
    return visible_Hnn / visible_Hnn.sum(axis=-1, keepdims=True)


def dirichlet_maps(model: Backbone, n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return random attention under a model's mask, (draws, H, n, n).

    Each row is drawn from the flat Dirichlet distribution over the keys that the head may see:
    every division of the weight among them is as likely as any other.
    """
    visible_Hnn = visible_keys(model, n)
    weights = rng.exponential(size=(draws, *visible_Hnn.shape)) * visible_Hnn
    return weights / weights.sum(axis=-1, keepdims=True)


@torch.inference_mode()
def visible_keys(model: Backbone, n: int) -> np.ndarray:
    """Return 1 where a query may see a key and 0 elsewhere, (H, n, n), of a full history."""
    mask = model.visible(torch.ones(1, n, dtype=torch.long))
    if mask is None:  # causal
        mask = torch.ones(n, n, dtype=torch.bool).tril()[None, None]
    return mask.expand(1, model.config.n_heads, n, n)[0].double().numpy()


def near_share(maps: ArrayLike, reach: int = 2) -> NDArray[np.float64]:
    """Return how much of its weight a map gives to keys at most `reach` from the query, (...).

    The mean over rows; maps are (..., n, n), and rows sum to 1. `reach` is by default that of
    Local-AE's window.

    Raises
    ------
    SeqattnError
        If the maps are not square or hold NaN.
    """
    maps = as_maps(maps)
    at = np.arange(maps.shape[-1])
    near_nn = np.abs(at[:, None] - at) <= reach
    return (maps * near_nn).sum(axis=(-2, -1)) / maps.shape[-1]


Axis = Literal["row"] | None


def l1_l2(maps: ArrayLike, axis: Axis = None) -> NDArray[np.float64]:
    r"""Evenness of attention: smaller is sparser.

    .. math:: S(x) = \frac{L_1(x) / N}{L_2(x)}, \qquad N \text{ the number of entries of } x

    Maps, (..., n, n), are cropped to real positions; rows are queries. With axis None each whole
    map is measured (N = n * n), which gives shape (...), with "row" each row (N = n): (..., n).

    Raises
    ------
    SeqattnError
        If the maps are not square, hold NaN, or a measured part is all zeros.

    Notes
    -----
    The values [AE] prints for ML-1M (0.030 to 0.038) exceed 1/200, the greatest value of a whole
    map padded to its length 200, by rows of attention or of zeros; single rows reach them, see
    `bounds`. No one crop fits all of its table as whole maps: 0.038 asks for n <= 26, and the 0.007
    of Sports for n >= 27.

    References
    ----------
    [AE] SAR-Check, eq. (5), with p = 2.

    Examples
    --------
    >>> float(l1_l2([[0.5, 0.5], [0.5, 0.5]])), float(l1_l2([[1, 0], [0, 1]]).round(4))
    (0.5, 0.3536)
    """
    axes = _axes(axis)
    maps = as_maps(maps)
    l2 = np.sqrt(np.square(maps).sum(axis=axes))
    if not l2.all():
        raise SeqattnError(
            "a map (or row) is all zeros, so its L1/L2 is undefined; crop padded rows first"
        )
    return np.abs(maps).mean(axis=axes) / l2


def bounds(n: int, axis: Axis = None) -> tuple[float, float]:
    """Return the least and greatest `l1_l2` of an n x n map whose rows sum to one.

    Whole map: ``[n**-1.5, 1/n]``; row: ``[1/n, n**-0.5]``. The least value is reached where each
    row has one non-zero entry for a whole map, and the greatest where all entries are equal. For
    a row, one-hot gives 1/n and uniform n**-0.5.

    Raises
    ------
    SeqattnError
        If `n` is below 1.

    References
    ----------
    From eq. (5) of [AE]: L1 is fixed by the row sums, L2 lies between the two extremes.
    """
    _axes(axis)
    if n < 1:
        raise SeqattnError(f"n is {n}; a map has at least one position")
    return (n**-1.5, 1 / n) if axis is None else (1 / n, n**-0.5)


def turning_point(others: ArrayLike) -> float:
    r"""Return the size from which one more entry of a vector makes it sparser as it grows.

    .. math:: x^* = \frac{\sum_j x_j^2}{\sum_j x_j}, \qquad
       \operatorname{sign} \frac{\partial S}{\partial x} = \operatorname{sign}(x^* - x)

    The sums are over `others`, the vector's other entries, (n - 1,): not negative, not all zero.
    Property 2 of [AE] asks for a beta beyond which an entry makes the vector sparser by growing:
    ``S(x_i + beta + alpha) < S(x_i + beta)`` for every alpha above 0. Beta is added to the entry,
    so the least one is ``max(0, x* - x_i)``, and not what is returned here.

    Raises
    ------
    SeqattnError
        If an entry is negative, or all are zero.

    References
    ----------
    [AE] section 3.1, properties 1 and 2; from the derivative of eq. (5).

    Examples
    --------
    >>> turning_point([0.2, 0.2, 0.2])
    0.2
    """
    values = np.asarray(others, dtype=np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
        raise SeqattnError("give finite entries of at least 0, and one above 0")
    return float(np.square(values).sum() / values.sum())


def _axes(axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return (-2, -1)
    if axis == "row":
        return (-1,)
    raise SeqattnError(f'axis is {axis!r}; give None for whole maps or "row"')
