r"""Losses that score a target beside a few other items, its negatives, and not beside all items.

The cross-entropy over all V items costs V scores a target; these cost K, the number of negatives.
A score :math:`s` is the product of a hidden state with an item's embedding, as in
`seqattn.training.loss`; :math:`s_+` is the target's, :math:`s_1, \dots, s_K` are the negatives'. A
negative that a target may not have, itself above all, scores :math:`-\infty`, which adds nothing to
any of the losses. So every item j that it may have counts as its negative :math:`K q_j` times on
average, whatever is left out.

Shapes: N targets, D hidden width, V scores a target (items and padding), K negatives of a target,
G groups of S targets each that share their negatives.

References
----------
BPR: Rendle et al. (2009). The correction of sampled softmax, as importance sampling: Jean et al.
(2015). gBCE: Petrov and Macdonald (2023). The prior of a binary loss: Lin et al. (2017).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqattn.config import TrainConfig
from seqattn.data import Sequences

POPULARITY_POWER = 0.75


def sampled_softmax(positive_N: Tensor, negative_NK: Tensor, log_expected_NK: Tensor) -> Tensor:
    r"""Return the mean cross-entropy over all items, estimated from K of them, in nats.

    .. math:: -s_+ + \log\Bigl(e^{s_+} + \sum_{k=1}^K e^{s_k - \log(K q_k)}\Bigr)

    ``log_expected_NK`` is :math:`\log(K q_k)`, with q an item's chance in one draw: the sum is then
    right on average, and the loss tends to the full one as K grows.
    """
    scores = torch.cat([positive_N[:, None], negative_NK - log_expected_NK], dim=1)
    return F.cross_entropy(scores, torch.zeros_like(positive_N, dtype=torch.long))


def bce(positive_N: Tensor, negative_NK: Tensor, positive_weight: float = 1.0) -> Tensor:
    r"""Return the mean binary cross-entropy of telling the target from its negatives, in nats.

    .. math:: -\frac1{K + 1} \Bigl[\beta \log\sigma(s_+)
        + \sum_{k=1}^K \log(1 - \sigma(s_k))\Bigr]

    ``positive_weight`` is :math:`\beta`.
    """
    own_N, others_N = F.softplus(-positive_N), F.softplus(negative_NK).sum(dim=1)
    return (positive_weight * own_N + others_N).mean() / (negative_NK.shape[1] + 1)


def gbce(positive_N: Tensor, negative_NK: Tensor, calibration: float, n_items: int) -> Tensor:
    r"""Return the mean generalised binary cross-entropy: `bce` with a calibrated weight.

    .. math:: \beta = 1 - t (1 - \alpha), \qquad \alpha = K / (V - 1)

    Few negatives make plain `bce` (:math:`t = 0`) too sure of itself: an item that is the target
    with probability P is given odds :math:`1 / \alpha` times too large. With ``calibration``
    :math:`t = 1` it is given P.
    """
    alpha = negative_NK.shape[1] / max(n_items - 1, 1)
    return bce(positive_N, negative_NK, 1 - calibration * (1 - alpha))


def prior_log_odds(n_negatives: int, n_items: int, calibration: float = 0.0) -> float:
    r"""Return what a binary loss wants every item to score before anything is known, in nats.

    The best answer to an item that is the target with probability P has the odds
    :math:`\beta P / (\alpha (1 - P))`, with `gbce`'s :math:`\alpha` and :math:`\beta`. Where all
    items are as likely, :math:`P = 1 / V`, the logarithm is

    .. math:: \log \frac{\beta}{\alpha (V - 1)} = \log \frac{\beta}{K} .

    Scores of a new model are near 0. With many negatives that is far from here, and a model can
    take all items there at once, by a direction that every embedding shares. Added to all scores,
    this number spares it the way. It changes no order of items. The start of a binary classifier at
    its prior is Lin et al. (2017), "Focal loss", section 4.1.
    """
    alpha = n_negatives / max(n_items - 1, 1)
    return math.log((1 - calibration * (1 - alpha)) / n_negatives)


def bpr(positive_N: Tensor, negative_NK: Tensor) -> Tensor:
    r"""Return the mean pairwise loss, which reads differences of scores alone, in nats.

    .. math:: -\frac1K \sum_{k=1}^K \log\sigma(s_+ - s_k)
    """
    return F.softplus(negative_NK - positive_N[:, None]).mean()


class SampledLoss:
    """The loss of a training, with the draw of its negatives; called with a batch's states.

    Groups of up to K neighbouring targets share K negatives, so about as many are drawn as there
    are targets. The scores are then products of matrices, and with K = 1 each target has a negative
    of its own. Draws are with replacement, from PyTorch's generator on the device, and nothing
    waits for them.

    Parameters
    ----------
    train : Sequences
        The training histories: the counts that ``popularity`` and ``batch`` read, and what
        ``history`` leaves out. An item without a training interaction has no chance under them.
    config : TrainConfig
        Its ``loss`` is any but ``ce``.
    """

    def __init__(
        self, train: Sequences, config: TrainConfig, device: torch.device | str = "cpu"
    ) -> None:
        self.config, self.n_items = config, train.n_items
        weight_V: np.ndarray = np.ones(train.n_items)
        if config.negatives != "uniform":
            count_V = np.bincount(train.items, minlength=train.n_items + 1)[1:]
            # A target of the same step is any training interaction, each as often as the others.
            # That a user's first is no model's next item is left out; the longer histories are, the
            # less it weighs.
            weight_V = count_V ** (1.0 if config.negatives == "batch" else POPULARITY_POWER)
        weight = torch.tensor(weight_V, device=device)
        self.upto = weight.cumsum(dim=0)
        expected = config.n_negatives * weight / weight.sum()
        self.log_expected = expected.log().float()
        self.offset = 0.0
        if config.score_offset == "prior":
            calibration = config.calibration if config.loss == "gbce" else 0.0
            self.offset = prior_log_odds(config.n_negatives, train.n_items, calibration)
        if config.exclude == "history":
            pairs = train.user_of_row * (train.n_items + 1) + train.items  # one number each
            self.seen = torch.tensor(np.unique(pairs), device=device)
            self.offsets = torch.tensor(train.offsets, device=device)

    def __call__(
        self, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, places_N: Tensor
    ) -> Tensor:
        """Return the mean loss, a scalar, of targets given by code and by place in the histories.

        Item embeddings, (V, D), are rows by code.
        """
        n, n_groups = len(targets_N), -(-len(targets_N) // self.config.n_negatives)
        codes_GK = self.draw(n_groups, targets_N)
        # Looked up at once, so that the gradient of all items is written once.
        vectors = F.embedding(torch.cat([targets_N, codes_GK.flatten()]), weight_VD)
        positive_N = (hidden_ND * vectors[:n]).sum(dim=1)
        negative_GSK = grouped(hidden_ND, n_groups) @ vectors[n:].view(*codes_GK.shape, -1).mT
        if self.offset:
            positive_N, negative_GSK = positive_N + self.offset, negative_GSK + self.offset
        excluded_GSK = self.excluded(codes_GK, grouped(targets_N, n_groups), places_N)
        negative_NK = negative_GSK.masked_fill(excluded_GSK, -math.inf).flatten(0, 1)[:n]
        if self.config.loss == "sampled-softmax":
            log_expected_GSK = self.log_expected[codes_GK - 1][:, None].expand_as(negative_GSK)
            return sampled_softmax(positive_N, negative_NK, log_expected_GSK.flatten(0, 1)[:n])
        if self.config.loss == "gbce":
            return gbce(positive_N, negative_NK, self.config.calibration, self.n_items)
        return {"bce": bce, "bpr": bpr}[self.config.loss](positive_N, negative_NK)

    def draw(self, n_groups: int, targets_N: Tensor) -> Tensor:
        """Return codes of items, (G, K), for a step with these targets."""
        shape, device = (n_groups, self.config.n_negatives), self.upto.device
        if self.config.negatives == "batch":
            return targets_N[torch.randint(len(targets_N), shape, device=device)]
        point_GK = torch.rand(shape, dtype=torch.float64, device=device) * self.upto[-1]
        return torch.searchsorted(self.upto, point_GK, right=True).clamp(max=self.n_items - 1) + 1

    def excluded(self, codes_GK: Tensor, targets_GS: Tensor, places_N: Tensor) -> Tensor:
        """Return which negatives each target may not have, (G, S, K)."""
        if self.config.exclude == "target":
            return codes_GK[:, None] == targets_GS[..., None]
        user_N = torch.searchsorted(self.offsets, places_N, right=True) - 1
        user_GS = grouped(user_N, len(codes_GK))
        pair_GSK = user_GS[..., None] * (self.n_items + 1) + codes_GK[:, None]
        at_GSK = torch.searchsorted(self.seen, pair_GSK).clamp(max=len(self.seen) - 1)
        return self.seen[at_GSK] == pair_GSK


def grouped(values: Tensor, n_groups: int) -> Tensor:
    """Return values, (N, ...), in groups of one size, (G, S, ...), the last filled up with 0."""
    size = -(-len(values) // n_groups)
    lacking = n_groups * size - len(values)
    padding = [0, 0] * (values.dim() - 1) + [0, lacking]
    return F.pad(values, padding).view(n_groups, size, *values.shape[1:])
