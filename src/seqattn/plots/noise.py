"""Figure of what noise in evaluation leaves, beside printed ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.plots.changes import legend_above
from seqattn.plots.style import OTHERS, or_not_run

_LOOKS = {"AE": ("s", OTHERS[0]), "AR": ("o", OTHERS[1])}


@or_not_run
def ratios(rows: pd.DataFrame, rates: Sequence[float]) -> Figure:
    """Draw ratios of Recall@10, a row each, and lines where noise in the targets alone would end.

    Parameters
    ----------
    rows : DataFrame
        Columns title, attention (``AE``, ``AR``), ratio and ours (whether we measured it).
    rates : sequence of float
        Shares of targets that are drawn anew.
    """
    titles = list(dict.fromkeys(rows["title"]))
    figure, axes = plt.subplots(figsize=(6.4, 0.9 + 0.34 * len(titles)))
    for (attention, ours), part in rows.groupby(["attention", "ours"], sort=False):
        places = [titles.index(title) for title in part["title"]]
        marker, colour = _LOOKS[attention]
        fill, whose = ("full", "measured here") if ours else ("none", "printed")
        look: dict[str, Any] = {"color": colour, "markersize": 6, "fillstyle": fill}
        axes.plot(part["ratio"], places, marker, label=f"{attention}, {whose}", **look)
    for rate in sorted({round(rate, 6) for rate in rates}):
        axes.axvline(1 - rate, color="black", linewidth=0.8, linestyle=":")
        look = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axes.text(1 - rate, 1, f"{1 - rate:.2f}", fontsize=8, **look)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(np.arange(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.5, -0.5)
    axes.set_xlabel("Recall@10, ratio")
    legend_above(figure, axes.get_legend_handles_labels()[0])
    return figure
