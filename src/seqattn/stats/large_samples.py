"""What each test says of very many users where nothing is better: Wilcoxon asks another question.

References
----------
Ihemelandu & Ekstrand 2023, Inference at Scale. Book page "Statistics".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from seqattn.errors import SeqattnError
from seqattn.stats.bootstrap import bootstrap_means, bootstrap_p_value
from seqattn.stats.inputs import ALPHA, Floats
from seqattn.stats.significance import paired_t, wilcoxon

SIZES = (100, 1_000, 10_000, 100_000)
_SKEWNESS = 0.5  # of the differences of users who change
_UNCHANGED = 0.7  # share of users who do not


def skewed_differences(n: int, generator: np.random.Generator) -> Floats:
    r"""Draw differences of n users between two models that are equally good on average.

    A user is unchanged with a probability of 0.7, else :math:`d = g - \mathrm{E}\,g` with g from a
    gamma distribution of skewness 0.5: the mean is 0, with many small losses and fewer, larger
    gains. A model that finds some targets from nowhere, and puts many others down by a place, does
    that to NDCG.
    """
    if n < 2:
        raise SeqattnError(f"there are {n} users; give at least 2")
    shape = 4 / _SKEWNESS**2
    gains = generator.gamma(shape, size=n) - shape
    return np.where(generator.random(n) < _UNCHANGED, 0.0, gains)


def null_rejections(
    sizes: Sequence[int] = SIZES,
    *,
    replicates: int = 200,
    n_resamples: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate how often each test rejects although both models have the same mean.

    A test of means should reject in 5 % of studies, however many users there are.
    Wilcoxon's null hypothesis is that differences are symmetric about 0, which these are not: it
    rejects the more often the more users there are.

    Returns
    -------
    DataFrame
        A row a size: users, then the rates of ``Wilcoxon``, ``t`` and ``bootstrap``. The default
        takes some seconds.

    Raises
    ------
    SeqattnError
        If a size is below 2.
    """
    rows = []
    for n in sizes:
        generator = np.random.default_rng([seed, n])
        drawn_Cn = np.stack([skewed_differences(n, generator) for _ in range(replicates)])
        same_n = np.zeros(n)
        p_values = {
            "Wilcoxon": [wilcoxon(same_n, drawn_n).p_value for drawn_n in drawn_Cn],
            "t": [paired_t(same_n, drawn_n).p_value for drawn_n in drawn_Cn],
            "bootstrap": bootstrap_p_value(bootstrap_means(drawn_Cn, n_resamples, seed)),
        }
        rates = {test: float((np.array(p) <= ALPHA).mean()) for test, p in p_values.items()}
        rows.append({"users": n, **rates})
    return pd.DataFrame(rows)
