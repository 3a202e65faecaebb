"""Per-user metrics from ranks, the only thing that is ever stored of a model's recommendations.

References
----------
[IA] section 4.3; Krichene and Rendle (2020) on why the whole catalogue is ranked. Book page
"Evaluation".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqattn.errors import SeqattnError

METRICS = ("NDCG", "Recall", "MRR")
CUTOFFS = (10, 20, 50, 100)
KINDS = ("unfiltered", "filtered")  # of ranks: among all items, or without those a user has
# Other names of the same number, with one relevant item a user.
SYNONYMS = {"HR": "Recall", "Hit": "Recall"}


def metric(ranks: np.ndarray, name: str, k: int, users: np.ndarray | None = None) -> np.ndarray:
    """Return a metric's value for every rank, or for every user.

    With one relevant item a user, ``Recall@k = 1[rank <= k]`` (also called HR or Hit),
    ``NDCG@k = 1[rank <= k] / log2(1 + rank)``, ``MRR@k = 1[rank <= k] / rank`` and
    ``Precision@k = 1[rank <= k] / k``.

    `ranks` are of any shape, 1 is best, and k is the cut-off. Where a split asks for several
    targets of a user, `users` says, for the last axis, whose each one is, neighbours together; the
    values of a user's targets are then averaged, so that users stay what inference is about.

    Raises
    ------
    SeqattnError
        If the name is unknown, or a rank or the cut-off is below 1.

    Examples
    --------
    Found first, found third, and not found among the ten:

    >>> metric(np.array([1, 3, 11]), "NDCG", 10).tolist()
    [1.0, 0.5, 0.0]
    >>> metric(np.array([1, 3, 11]), "Recall", 10).tolist()
    [1.0, 1.0, 0.0]

    The last two belong to one user:

    >>> metric(np.array([1, 3, 11]), "Recall", 10, users=np.array([0, 1, 1])).tolist()
    [1.0, 0.5]
    """
    ranks = np.asarray(ranks)
    if k < 1 or (ranks.size and ranks.min() < 1):
        raise SeqattnError("ranks and the cut-off k start at 1")
    values = _values(ranks, name, k)
    if users is None:
        return values
    first = np.flatnonzero(np.diff(users, prepend=-1))
    return np.add.reduceat(values, first, axis=-1) / np.diff(np.append(first, len(users)))


def _values(ranks: np.ndarray, name: str, k: int) -> np.ndarray:
    hit = ranks <= k
    name = SYNONYMS.get(name, name)
    if name == "Recall":
        return hit.astype(float)
    if name == "NDCG":
        return hit / np.log2(1.0 + ranks)
    if name == "MRR":
        return hit / ranks.astype(float)
    if name == "Precision":
        return hit / k
    known = ", ".join([*METRICS, "Precision", *SYNONYMS])
    raise SeqattnError(f"unknown metric {name!r}; choose one of {known}")


def parse_metric(text: str) -> tuple[str, int]:
    """Return name and cut-off of a metric written like ``NDCG@10``.

    Raises
    ------
    SeqattnError
        It is written otherwise, or unknown.
    """
    name, _, k = text.partition("@")
    if not k.isdecimal():
        raise SeqattnError(f"metric {text!r} is not like NDCG@10: a name, @ and a cut-off")
    metric(np.array([1]), name, int(k))
    return name, int(k)


def averages_by_kind(
    ranks: Mapping[str, np.ndarray], owners: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Return `averages` of ranks named ``{stage}_{kind}``; `owners` has `users` by stage."""
    return {kind: averages(found, owners.get(kind.split("_")[0])) for kind, found in ranks.items()}


def averages(ranks: np.ndarray, users: np.ndarray | None = None) -> dict[str, float]:
    """Return every metric at every cut-off, averaged over users: ``{"NDCG@10": 0.05, ...}``.

    `ranks` are of shape (U,), or (N,) with `users` as in `metric`.
    """
    return {
        f"{name}@{k}": float(metric(ranks, name, k, users).mean())
        for name in METRICS
        for k in CUTOFFS
    }
