"""Figure of what noise in evaluation leaves, beside printed ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqattn.plots.audit import not_run
from seqattn.plots.changes import legend_above
from seqattn.plots.style import OTHERS

MARKERS = {"AE": "s", "AR": "o"}


def ratios(rows: pd.DataFrame, rates: Sequence[float]) -> Figure:
    """Draw ratios of Recall@10, a row each, and lines where noise in the targets alone would end.

    Parameters
    ----------
    rows : DataFrame
        Columns title, attention (``AE``, ``AR``), ratio and ours (whether we measured it).
    rates : sequence of float
        Shares of targets that are drawn anew.
    """
    if rows.empty:
        return not_run()
    titles = list(dict.fromkeys(rows["title"]))
    figure, axes = plt.subplots(figsize=(6.4, 0.9 + 0.34 * len(titles)))
    for (attention, ours), part in rows.groupby(["attention", "ours"], sort=False):
        places = [titles.index(title) for title in part["title"]]
        colour = OTHERS[list(MARKERS).index(attention)]
        look: dict[str, Any] = {
            "color": colour,
            "markersize": 6,
            "fillstyle": "full" if ours else "none",
        }
        label = f"{attention}, {'measured here' if ours else 'printed'}"
        axes.plot(part["ratio"], places, MARKERS[attention], linestyle="", label=label, **look)
    for rate in sorted({round(rate, 6) for rate in rates}):
        axes.axvline(1 - rate, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{1 - rate:.2f}",
            (1 - rate, 1),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(np.arange(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.5, -0.5)
    axes.set_xlabel("Recall@10, ratio")
    handles, _ = axes.get_legend_handles_labels()
    legend_above(figure, handles)
    return figure
