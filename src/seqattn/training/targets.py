"""Intensity in the loss: what a next item counts for as a target, whatever the model reads.

Three rivals of an injection. A *confidence* weighs each target's cross-entropy by
``c = 1 + alpha r``, with r its raw intensity, as Hu, Koren and Volinsky weigh a matrix's cells;
here it is divided by its mean over all training targets, so that alpha does not change the size of
a step. And *positive targets only*: a target of less than some intensity is not scored, after
SASRec_p, what PNFRec is compared with. Beside it a *contrast*, one of PNFRec's terms: such a target
must also score above the weaker items of its user. All leave the input and every held-out target as
they are.

Shapes: n interactions, N targets, P earlier interactions, D hidden width, V items and padding.

References
----------
Hu, Koren and Volinsky (2008), section 4. PNFRec: Ivanova et al. (2025); there, histories lose the
weak interactions as well, and a second stack of layers reads and predicts these.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqattn.config import TrainConfig
from seqattn.data import Sequences
from seqattn.errors import SeqattnError
from seqattn.training.loss import stacked_cross_entropy


def target_weights(train: Sequences, config: TrainConfig) -> np.ndarray:
    """Return what each interaction counts for as a target, (n,); its mean over scored ones is 1.

    Raises
    ------
    SeqattnError
        The log has no intensity, or no target is scored.
    """
    weight_n = 1 + config.confidence * _intensity(train, "confidence")
    scored_n = scored_targets(train, config)
    counted_n = _is_target(train) if scored_n is None else _is_target(train) & scored_n
    return weight_n / weight_n[counted_n].mean()


def scored_targets(train: Sequences, config: TrainConfig) -> np.ndarray | None:
    """Return which interactions are scored as targets, (n,); None is all.

    Raises
    ------
    SeqattnError
        The log has no intensity, or no target is scored.
    """
    least, quantile = config.least_target, config.least_quantile
    if not least and not quantile:
        return None
    intensity_n = _intensity(train, "least_target" if least else "least_quantile")
    if quantile:  # a value that occurs: on a scale of stars, quantiles in between are none
        least = float(np.quantile(intensity_n, quantile, method="inverted_cdf"))
    kept_n = intensity_n >= least
    if not kept_n[_is_target(train)].any():
        raise SeqattnError(
            f"no training target has an intensity of {least:g} or more; lower least_target"
        )
    return kept_n


def _is_target(train: Sequences) -> np.ndarray:
    """Return which interactions follow another of their user's, (n,)."""
    follows_n = np.ones(len(train), dtype=bool)
    follows_n[train.offsets[:-1][train.lengths > 0]] = False
    return follows_n


def _intensity(train: Sequences, name: str) -> np.ndarray:
    if train.intensity is None:
        raise SeqattnError(f"{name} reads intensities and the data has none; leave it out")
    return train.intensity.astype(np.float64)


class WeightedCrossEntropy:
    """The cross-entropy over all items with a weight for each target, called like `SampledLoss`."""

    def __init__(
        self, train: Sequences, config: TrainConfig, device: torch.device | str = "cpu"
    ) -> None:
        weight_n = target_weights(train, config)
        self.weight_n = torch.tensor(weight_n, dtype=torch.float32, device=device)

    def __call__(
        self, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, places_N: Tensor
    ) -> Tensor:
        """Return the mean of weighted losses, a scalar, of targets given by code and by place."""
        share_N = self.weight_n[places_N].to(hidden_ND.dtype) / len(targets_N)
        one_seed = (x[None] for x in (hidden_ND, weight_VD, targets_N, share_N))
        return stacked_cross_entropy(*one_seed)[0]


class ContrastedCrossEntropy:
    """The cross-entropy over all items, and `contrast` times that over fewer: PNFRec's contrast.

    ``log(exp(h.e) + sum_k exp(h.e_k)) - h.e``, with e the target's embedding and k the items that
    its user rated below ``least_target``: a cross-entropy over these and the target. Called like
    `SampledLoss`. Only items before the target count; published, later ones do, too.

    Raises
    ------
    SeqattnError
        The log has no intensity, or no target is scored.
    """

    def __init__(
        self, train: Sequences, config: TrainConfig, device: torch.device | str = "cpu"
    ) -> None:
        strong_n = scored_targets(train, config)
        assert strong_n is not None  # the config asks for a threshold beside a contrast
        self.contrast, self.longest = config.contrast, int(train.lengths.max())
        start_n = np.repeat(train.offsets[:-1], train.lengths)
        columns = (np.where(strong_n, 0, train.items), start_n)
        self.weak_n, self.start_n = (torch.tensor(x, device=device).long() for x in columns)

    def __call__(
        self, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, places_N: Tensor
    ) -> Tensor:
        """Return the mean of both losses, a scalar, of targets given by code and by place."""
        rivals_NV = self.rivals(places_N, len(weight_VD)).scatter_(
            1, targets_N[:, None], value=True
        )
        logits_NV = hidden_ND @ weight_VD.T
        among_NV = logits_NV.masked_fill(~rivals_NV, -torch.inf)
        contrast = F.cross_entropy(among_NV, targets_N)
        return F.cross_entropy(logits_NV, targets_N) + self.contrast * contrast

    def rivals(self, places_N: Tensor, n_scores: int) -> Tensor:
        """Return which items were weak before each target in its history, (N, V)."""
        back_P = torch.arange(1, self.longest, device=places_N.device)
        before_NP = places_N[:, None] - back_P
        known_NP = before_NP >= self.start_n[places_N][:, None]
        weak_NP = self.weak_n[before_NP.clamp(min=0)].masked_fill(~known_NP, 0)
        rivals_NV = known_NP.new_zeros(len(places_N), n_scores)
        rivals_NV.scatter_(1, weak_NP, value=True)
        rivals_NV[:, 0] = False  # padding, where strong items and those of others were put
        return rivals_NV
