"""Intensities that tell what comes, in the place of real ones: a control that must be positive.

Histories, items and order stay. The story of each interaction s of a user, with item ``i_s``:

1. The *neighbour* N(i) of an item is the item that most often comes right after it in training, at
   least twice; of several, the first code. Many items have none.
2. Its neighbour *comes*, ``z_s = 1``, if ``N(i_s)`` is among the later items of the same user; in
   the stricter story, if it is the very next one.
3. It is *marked*: ``b_s = z_s`` with probability p, else ``b_s ~ Bernoulli(q)``, where q is the
   mean of z over the log. So marks are about as many at every p, and only p says what they tell.
4. Its *rank* follows ``(b_s, e_s)``, marks first: the k marked interactions get the k highest
   ranks. Among equals decides ``e_s = c f_s + sqrt(1 - c^2) n_s``, where f is the item's log
   popularity in training, standardised, and n normal noise.
5. Its *intensity* is the value of that rank among n draws of ``exp(tail * normal)``.

Item 2 looks at the future, the test target included: that is the signal. Nothing else does, but for
the one number q.

- At p = 0, given the items, intensities are independent of what comes.
- At p = 1, under leave-one-out, a mark before the test target is *open* if its neighbour was not
  seen yet; the only item left is then that neighbour. `promised` is this rule. (Before the
  validation target, the test item may be meant as well.) Where no mark is open, the target is no
  neighbour of anything in the history. So intensity suffices wherever it applies. It is needed
  there, too, as far as a history has several unseen neighbours: without marks, any may come.

In the stricter story the last item alone asks: at p = 1 the target is its neighbour where it is
marked, and is not where it is not. At p = 0 both stories are one, as marks tell
nothing and every order of intensities is as likely as any other.

The tail and the confound c change no mark: p alone is what intensity tells. The dataset
``synthetic`` with planted intensities is a log whose whole story is known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqattn.data.dataset import Dataset
from seqattn.data.sequences import Sequences

_LEAST = 2  # times: a pair that was seen once may be chance, and fits training alone


def with_planted(
    dataset: Dataset, p: float, tail: float, confound: float, seed: int, next_only: bool = False
) -> Dataset:
    """Return the dataset with planted intensities; real ones are not read.

    Parameters
    ----------
    p : float
        What marks tell: 0 nothing, 1 everything.
    tail : float
        Standard deviation of log intensity: the larger, the heavier the tail.
    confound : float
        The c above, from -1 to 1: how intensity follows popularity among equally marked.
    seed : int
        The training seed: each has draws of its own, the same for every p.
    next_only : bool
        Whether a neighbour comes only as the very next item.
    """
    histories, train = dataset.sequences, dataset.split.train
    rng = np.random.default_rng([seed, 1])  # batches are drawn from the seed alone
    n = len(histories)
    comes_n = (comes_next if next_only else comes_later)(histories, neighbours(train))
    tells_n, chance_n = rng.random(n) < p, rng.random(n) < comes_n.mean()
    marked_n = np.where(tells_n, comes_n, chance_n)
    noise_n = np.sqrt(1 - confound**2) * rng.standard_normal(n)
    noise_n += confound * _popularity(histories, train)
    values_n = np.sort(np.exp(tail * rng.standard_normal(n)))
    intensity_n = np.empty(n)
    intensity_n[np.lexsort((noise_n, marked_n))] = values_n
    return dataset.with_histories(replace(histories, intensity=intensity_n))


def neighbours(train: Sequences) -> np.ndarray:
    """Return each item code's neighbour, (V + 1,) int64; 0 where it has none.

    Parameters
    ----------
    train : Sequences
        Training histories: what is asked for must not choose the neighbours.
    """
    size = train.n_items + 1
    items, user = train.items.astype(np.int64), train.user_of_row
    follows = user[1:] == user[:-1]
    pairs, counts = np.unique((items[:-1] * size + items[1:])[follows], return_counts=True)
    pairs, counts = pairs[counts >= _LEAST], counts[counts >= _LEAST]
    item, following = np.divmod(pairs, size)
    order = np.lexsort((-following, counts, item))  # an item's last is its most frequent
    found = np.zeros(size, dtype=np.int64)
    found[item[order]] = following[order]
    return found


def comes_later(histories: Sequences, neighbour_V: np.ndarray) -> np.ndarray:
    """Return whether each interaction's neighbour is among its user's later items, (n,) bool."""
    size = len(neighbour_V)
    base = histories.user_of_row * size
    keys, reversed_rows = np.unique((base + histories.items)[::-1], return_index=True)
    last_rows = len(base) - 1 - reversed_rows
    wanted_n = base + neighbour_V[histories.items]  # code 0, none, is no item
    place_n = np.minimum(np.searchsorted(keys, wanted_n), len(keys) - 1)
    return (keys[place_n] == wanted_n) & (last_rows[place_n] > np.arange(len(base)))


def comes_next(histories: Sequences, neighbour_V: np.ndarray) -> np.ndarray:
    """Return whether each interaction's neighbour is its user's very next item, (n,) bool."""
    items, user = histories.items, histories.user_of_row
    comes_n = np.zeros(len(items), dtype=bool)
    comes_n[:-1] = (user[1:] == user[:-1]) & (neighbour_V[items[:-1]] == items[1:])
    return comes_n


def promised(history: np.ndarray, marked: np.ndarray, neighbour_V: np.ndarray) -> int:
    """Return the neighbour of the last marked item whose own was not seen; 0 if none is open.

    Parameters
    ----------
    history : array of int, shape (T,)
        Item codes before the target.
    marked : array of bool, shape (T,)
        Which are marked.
    """
    promises = neighbour_V[history[marked]]
    open_ = promises[(promises > 0) & ~np.isin(promises, history)]
    return int(open_[-1]) if len(open_) else 0


def _popularity(histories: Sequences, train: Sequences) -> np.ndarray:
    """Return each interaction's item's log count in training, standardised over the log, (n,)."""
    log_n = np.log1p(np.bincount(train.items, minlength=train.n_items + 1))[histories.items]
    spread = log_n.std()
    return (log_n - log_n.mean()) / spread if spread else np.zeros(len(log_n))
