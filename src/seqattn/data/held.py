"""A generated log in which people go on from what last held them, and the best to be made of it.

There are V items, and each is followed by five others: those 1, 31, 73, 111 and 157 places on,
modulo V. A user's story:

1. Each item is left after some three minutes or *holds* them for about an hour, half and half:
   minutes are ``exp(normal(1.1, 0.4))`` or ``exp(normal(4.1, 0.4))``, and what takes over a quarter
   of an hour holds (one in 30,000 of either kind is on the other's side).
2. With probability 0.8 the next item is one of those that follow the item that held them last
   (while none has, their first item), each alike, as far as this user does not have them yet.
3. Else, or if all five are taken, it is any item that they do not have.

So intensity is no mark of the future: it is what the next step depends on. `chances` is
all that can be known by somebody who sees minutes, `knowing_items` by somebody who sees items alone
and must infer from the way so far what held a user.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqattn.data.interactions import Interactions
from seqattn.errors import SeqattnError

FOLLOW = np.array([1, 31, 73, 111, 157])  # places on
HOLDS, GOES_ON = 0.5, 0.8  # probabilities
HELD_MINUTES = 15.0  # between left and held
_N_ITEMS, _LENGTH = 200, 15
_LOG_MINUTES, _SPREAD = (1.1, 4.1), 0.4


def held_log(n_users: int = 2_000, seed: int = 0) -> Interactions:
    """Generate the log: 200 items, 15 interactions of each user, and time is their order.

    Raises
    ------
    SeqattnError
        There is no user.
    """
    if n_users < 1:
        raise SeqattnError(f"held_log: n_users = {n_users} is too small; use >= 1")
    rng, rows = np.random.default_rng(seed), []
    for user in range(n_users):
        held = rng.random(_LENGTH) < HOLDS
        minutes = np.exp(
            np.where(held, *_LOG_MINUTES[::-1]) + _SPREAD * rng.standard_normal(_LENGTH)
        )
        items = [int(rng.integers(_N_ITEMS))]
        for step in range(1, _LENGTH):
            source = held_last(items, minutes[:step])
            follow = [int(item) for item in (source + FOLLOW) % _N_ITEMS if item not in items]
            if not follow or rng.random() >= GOES_ON:
                follow = [item for item in range(_N_ITEMS) if item not in items]
            items.append(follow[rng.integers(len(follow))])
        rows += [(user, i, w, t) for t, (i, w) in enumerate(zip(items, minutes, strict=True))]
    frame = pd.DataFrame(rows, columns=["user", "item", "intensity", "timestamp"])
    return Interactions.from_frame(frame, source="a log of what holds people")


def held_last(items: list[int] | np.ndarray, minutes: np.ndarray) -> int:
    """Return which of the items held a user last; the first if none has."""
    held = np.flatnonzero(minutes > HELD_MINUTES)
    return int(items[held[-1] if len(held) else 0])


def chances(source: int, taken: list[int] | np.ndarray, n_items: int) -> np.ndarray:
    """Return each item's probability to come next, (V,), if `source` is what held the user last.

    Parameters
    ----------
    source : int
        Place of an item, from 0 to ``n_items - 1``.
    taken : ints
        Places of the items that the user has.
    """
    free_V = np.ones(n_items)
    free_V[taken] = 0
    follows_V = np.zeros(n_items)
    follows_V[(source + FOLLOW) % n_items] = 1
    follows_V *= free_V
    any_V = free_V / free_V.sum()
    if not follows_V.any():
        return any_V
    return GOES_ON * follows_V / follows_V.sum() + (1 - GOES_ON) * any_V


def knowing_items(items: np.ndarray, n_items: int) -> np.ndarray:
    """Return each item's probability to come next, (V,), for somebody who sees items alone.

    What held a user last is a hidden state: each new interaction becomes it with probability 1/2,
    and each item that came speaks for those it may have followed (a forward filter, exact).

    Parameters
    ----------
    items : array of int, shape (T,)
        A history, places from 0 to ``n_items - 1``.
    """
    belief_T = np.ones(1)  # the first item, held or not
    for step in range(1, len(items) + 1):
        before = items[:step]
        each_TV = np.stack([chances(int(item), before, n_items) for item in before])
        if step == len(items):
            break
        belief_T = belief_T * each_TV[:, items[step]]
        belief_T = np.append(belief_T / belief_T.sum() * (1 - HOLDS), HOLDS)
    return belief_T @ each_TV
