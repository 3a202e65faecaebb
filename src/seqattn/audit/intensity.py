"""What an intensity can tell a model: its information, its range, what it is confounded with.

[IA] section 6.2 leaves the "Steam paradox" open: the richest intensity hurts most. It names two
explanations: normalisation squeezes a heavy tail into a narrow band, or intensity repeats
popularity, which item embeddings hold already. This module measures both, on training only.

Two ways to count bits. The entropy of *exact* values says what the log holds; after a
normalisation it says nothing, since dividing each history by its own maximum makes more values
distinct. Attention receives a magnitude, and values that nearly agree act alike: the entropy of
32 equal-width bins on a stated range (at most 5 bits) compares modes and datasets. Pooled over
users it also counts what tells users apart, which attention never sees: ``32 bins, in a history``
and ``within history`` measure inside histories.

References
----------
[IA] Shyrallyiev and Pyshnograiev (2026), sections 3.4 and 6.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import entropy, rankdata, spearmanr

from seqattn.audit.statistics import share
from seqattn.config import NORMALISATIONS
from seqattn.data import Dataset, Interactions, encode
from seqattn.errors import SeqattnError
from seqattn.models.intensity import normalise
from seqattn.stats.bootstrap import bootstrap_means

MAX_LENGTH = 50  # interactions a model sees at once (L), [IA] and RecBole
BINS = 32
# Of the modes whose range does not depend on the data; z-scores beyond 4 count in the end bins.
RANGES = {"log1p_minmax": (0.0, 1.0), "minmax": (0.0, 1.0), "zscore": (-4.0, 4.0)}
_CHUNK = 1 << 22  # padded entries normalised at once


class Histories(NamedTuple):
    """Training histories, flat: raw intensity (n,), item code from 0 (n,), offsets (U + 1,)."""

    intensity: np.ndarray
    item: np.ndarray
    offsets: np.ndarray
    n_items: int
    ordered: bool

    @property
    def user(self) -> np.ndarray:
        """User code of each interaction, (n,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def histories(data: Dataset | Interactions) -> Histories:
    """Return the training histories of a dataset, or all interactions of a bare log by user.

    A bare log counts as one without chronology: its order within users is not used.

    Raises
    ------
    SeqattnError
        There is no intensity.
    """
    name = data.name if isinstance(data, Dataset) else data.source
    if not data.has_intensity:
        raise SeqattnError(f"{name}: no intensity to diagnose; choose a dataset that has one")
    if isinstance(data, Dataset):
        train = data.split.train
        strength = np.asarray(train.intensity, dtype=np.float64)
        return Histories(strength, train.items - 1, train.offsets, train.n_items, True)
    users, user_ids = encode(data.frame["user"])
    items, item_ids = encode(data.frame["item"])
    rows = np.argsort(users, kind="stable")
    offsets = np.append(0, np.cumsum(np.bincount(users, minlength=len(user_ids))))
    strength = data.frame["intensity"].to_numpy()[rows]
    return Histories(strength, items[rows], offsets, len(item_ids), False)


def windows(past: Histories, max_length: int = MAX_LENGTH) -> Histories:
    """Return the last `max_length` interactions of each history; all, where there is no order."""
    if not past.ordered:
        return past
    lengths = np.diff(past.offsets)
    keep = np.arange(len(past.item)) >= np.repeat(past.offsets[1:] - max_length, lengths)
    offsets = np.append(0, np.cumsum(np.minimum(lengths, max_length)))
    return past._replace(intensity=past.intensity[keep], item=past.item[keep], offsets=offsets)


def normalised(past: Histories, mode: str) -> np.ndarray:
    """Return each intensity as the last query of its history sees it, (n,) float64.

    There the causal and the prefix scope agree.
    """
    lengths = np.diff(past.offsets)
    values = np.empty(len(past.item))
    by_length = np.argsort(lengths, kind="stable")  # long histories do not pad short ones
    users = by_length[lengths[by_length] > 0]
    while len(users):
        longest = np.maximum.accumulate(lengths[users]) * np.arange(1, len(users) + 1)
        part = users[: max(int(np.searchsorted(longest, _CHUNK, side="right")), 1)]
        users = users[len(part) :]
        column = np.arange(lengths[part].max())
        real = column < lengths[part][:, None]
        rows = (past.offsets[part][:, None] + column)[real]
        raw = np.zeros(real.shape)
        raw[real] = past.intensity[rows]
        signal = normalise(torch.from_numpy(raw), torch.from_numpy(real), mode, scope="prefix")
        values[rows] = (signal.a_BT * signal.w_BT + signal.b_BT).numpy()[real]
    return values


def views(data: Dataset | Interactions) -> dict[str, np.ndarray]:
    """Return intensities before and after each normalisation, by name, each (n,) float64.

    ``raw`` and ``log1p`` are as logged; the others what the last query of each training history
    sees of its last 50 interactions.
    """
    past = windows(histories(data))
    logged = {"raw": past.intensity, "log1p": np.log1p(past.intensity)}
    return logged | {mode: normalised(past, mode) for mode in NORMALISATIONS}


def information(data: Dataset | Interactions) -> pd.DataFrame:
    """Return information and spread before and after each normalisation, a row a view.

    Returns
    -------
    DataFrame
        Columns ``distinct`` (values, to 9 decimals), ``exact bits`` (their entropy), ``bits``
        (entropy of 32 equal-width bins between ``from`` and ``to``, at most 5), ``outside``
        (share beyond the range, in the end bins), quantiles, ``narrowest 80 %`` (share of the
        range that the densest 80 % of the values take: near 0 where mass has collapsed) and
        ``within history`` (mean standard deviation inside a history, all that attention can
        contrast).
    """
    past = windows(histories(data))
    rows = {}
    for name, values in views(data).items():
        values = np.round(values, 9)  # without the noise of the last digits
        low, high = _range(name, values)
        counts = np.unique(values, return_counts=True)[1]
        rows[name] = {
            "distinct": len(counts),
            "exact bits": entropy(counts, base=2),
            "bits": entropy(np.bincount(places(values, low, high)), base=2),
            "from": low,
            "to": high,
            "outside": float(((values < low) | (values > high)).mean()),
            **{f"{q:.0%}": float(np.quantile(values, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)},
            "narrowest 80 %": narrowest(values, 0.8) / ((high - low) or 1.0),
            "within history": float(_spread(values, past.offsets).mean()),
        }
    return pd.DataFrame(rows).T


def bits_table(data: Dataset | Interactions) -> pd.DataFrame:
    """Return how much information each view holds, for reading: a row a view.

    Returns
    -------
    DataFrame
        Columns ``distinct values``, ``bits`` (their entropy) and ``bits if equally frequent`` (the
        most it could be), ``32 bins, pooled`` (entropy of binned values, see `information`) and
        ``32 bins, in a history`` (mean of their entropy inside each), and ``narrowest 80 %``.
    """
    told, offsets = information(data), windows(histories(data)).offsets
    inside = {
        name: history_bits(values, offsets, *_range(name, values)).mean()
        for name, values in views(data).items()
    }
    return pd.DataFrame(
        {
            "distinct values": told["distinct"],
            "bits": told["exact bits"],
            "bits if equally frequent": np.log2(told["distinct"]),
            "32 bins, pooled": told["bits"],
            "32 bins, in a history": pd.Series(inside),
            "narrowest 80 %": told["narrowest 80 %"],
        }
    )


def ranges(data: Dataset | Interactions) -> pd.DataFrame:
    """Return how far intensity varies inside a history: one row, ``value`` by measure.

    A history of one interaction is constant; max/min leaves out histories with a zero.
    """
    past = windows(histories(data))
    starts = past.offsets[:-1][np.diff(past.offsets) > 0]
    high = np.maximum.reduceat(past.intensity, starts)
    low = np.minimum.reduceat(past.intensity, starts)
    ratio = high[low > 0] / low[low > 0]
    measures = {
        "histories": len(starts),
        "constant histories": float((high == low).mean()),
        "histories with a zero": float((low == 0).mean()),
    }
    for name, values in (("max - min", high - low), ("max / min", ratio)):
        for q in (0.25, 0.5, 0.75, 0.95):
            quantile = float(np.quantile(values, q)) if len(values) else np.nan
            measures[f"{name}, {q:.0%} of histories"] = quantile
    return pd.DataFrame({"value": measures})


def constant_share(data: Dataset | Interactions) -> float:
    """Return the share of interactions in histories whose intensity does not vary.

    Of histories of two interactions or more: `ranges` counts those of one, too, which are short and
    say nothing of the intensity. NaN where all are.
    """
    past = windows(histories(data))
    lengths = np.diff(past.offsets)
    starts, lengths = past.offsets[:-1][lengths > 0], lengths[lengths > 0]
    high, low = (f.reduceat(past.intensity, starts) for f in (np.maximum, np.minimum))
    return share(np.repeat(high == low, lengths)[np.repeat(lengths > 1, lengths)])


def correlations(data: Dataset | Interactions, n_resamples: int = 1_000) -> pd.DataFrame:
    """Return Spearman correlations of intensity with popularity and recency, 95 % intervals.

    Over whole training histories. Popularity is an item's training count; recency grows to the end.

    Returns
    -------
    DataFrame
        Columns ``value``, ``low``, ``high``, ``n``, and rows "popularity", "popularity, item
        means" (mean intensity of each item), "popularity, within history" (mean over users of the
        correlation inside a history, which is all that attention sees), "recency" and "recency,
        within history"; NaN where the log has no order or nothing varies. Intervals are percentile
        bootstraps that resample users (items, for item means) with their whole histories, ranks
        held as in the full sample.
    """
    past = histories(data)
    count = np.bincount(past.item, minlength=past.n_items)
    popularity = count[past.item].astype(np.float64)
    sums = np.bincount(past.item, weights=past.intensity, minlength=past.n_items)
    seen = count > 0
    means = sums[seen] / count[seen]
    # Minus the number of later interactions.
    recency = np.arange(len(past.item)) - np.repeat(past.offsets[1:] - 1, np.diff(past.offsets))
    recency = recency.astype(np.float64) if past.ordered else np.full(len(past.item), np.nan)
    user, strength, items = past.user, past.intensity, np.arange(len(means))
    rows = {
        "popularity": _pooled(user, strength, popularity, n_resamples),
        "popularity, item means": _pooled(items, means, count[seen], n_resamples),
        "popularity, within history": _within(user, strength, popularity, n_resamples),
        "recency": _pooled(user, strength, recency, n_resamples),
        "recency, within history": _within(user, strength, recency, n_resamples),
    }
    return pd.DataFrame(rows, index=["value", "low", "high", "n"]).T


def diagnose(data: Dataset | Interactions) -> pd.DataFrame:
    """Return the whole diagnosis of a dataset's intensity as one long table.

    Columns part, measure, value, low, high; parts are `information`, `ranges`, `correlations`.

    Raises
    ------
    SeqattnError
        There is no intensity.
    """
    told = information(data).stack()
    told.index = [f"{view}, {measure}" for view, measure in told.index]
    parts = {
        "information": told.to_frame("value"),
        "range": ranges(data),
        "correlation": correlations(data)[["value", "low", "high"]],
    }
    table = pd.concat(parts, names=["part", "measure"]).reset_index()
    return table[["part", "measure", "value", "low", "high"]]


def _range(name: str, values: np.ndarray) -> tuple[float, float]:
    return RANGES.get(name, (0.0, float(values.max())))


def _spread(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the population standard deviation of each history that is not empty."""
    lengths = np.diff(offsets)
    lengths, starts = lengths[lengths > 0], offsets[:-1][lengths > 0]
    mean = np.add.reduceat(values, starts) / lengths
    return np.sqrt(np.add.reduceat((values - np.repeat(mean, lengths)) ** 2, starts) / lengths)


def _pooled(
    cluster: np.ndarray, x: np.ndarray, y: np.ndarray, n_resamples: int
) -> tuple[float, float, float, int]:
    """Spearman over all entries, and its interval from resampled clusters."""
    if np.isnan(y).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, np.nan, len(x)
    rho = float(spearmanr(x, y).statistic)
    x, y = (rankdata(v) / len(v) - (len(v) + 1) / (2 * len(v)) for v in (x, y))
    sums = [np.bincount(cluster, weights=w) for w in (np.ones(len(x)), x, y, x * x, y * y, x * y)]
    n, sx, sy, sxx, syy, sxy = bootstrap_means(sums, n_resamples)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may hold one value only
        drawn = (sxy - sx * sy / n) / np.sqrt((sxx - sx * sx / n) * (syy - sy * sy / n))
    return rho, *_interval(drawn), len(x)


def _within(
    user: np.ndarray, x: np.ndarray, y: np.ndarray, n_resamples: int
) -> tuple[float, float, float, int]:
    """Mean over users of the Spearman correlation inside a history; both must vary there."""
    nothing = np.nan, np.nan, np.nan, 0
    if np.isnan(y).any():
        return nothing
    ranks = pd.DataFrame({"x": x, "y": y}).groupby(user).rank()
    centred = ranks - ranks.groupby(user).transform("mean")
    x, y = centred["x"].to_numpy(), centred["y"].to_numpy()
    sxx, syy, sxy = (np.bincount(user, weights=w) for w in (x * x, y * y, x * y))
    varies = (sxx > 0) & (syy > 0)
    rho = sxy[varies] / np.sqrt(sxx[varies] * syy[varies])
    if not len(rho):
        return nothing
    return float(rho.mean()), *_interval(bootstrap_means(rho, n_resamples)), len(rho)


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def places(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the bin of each value, of 32 on [low, high]; those outside count in the end bins."""
    width = (high - low) / BINS or 1.0  # all values 0: one bin
    # Rounded, so that a value on an edge falls on the same side on every machine.
    place = np.floor(np.round((values - low) / width, 6)).astype(np.int64)
    return np.clip(place, 0, BINS - 1)


def history_bits(values: np.ndarray, offsets: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the binned entropy of each history that is not empty, in bits.

    A history of n interactions has at most log2 n.
    """
    lengths = np.diff(offsets)
    lengths = lengths[lengths > 0]
    user = np.repeat(np.arange(len(lengths)), lengths)
    flat = np.bincount(user * BINS + places(values, low, high), minlength=len(lengths) * BINS)
    return entropy(flat.reshape(-1, BINS), base=2, axis=1)


def narrowest(values: np.ndarray, mass: float) -> float:
    """Return the length of the shortest interval that holds `mass` of the values."""
    ordered = np.sort(values)
    inside = int(np.ceil(mass * len(ordered)))
    return float((ordered[inside - 1 :] - ordered[: len(ordered) - inside + 1]).min())
