"""Write what the book found into the README: a picture and some lines, from committed tables.

A test says when they are out of date.

    python tools/readme_findings.py
"""

from __future__ import annotations

import json
import math
import re

import matplotlib.pyplot as plt
import pandas as pd

from seqattn import plots
from seqattn.config import BACKBONES, SEEDS
from seqattn.files import ROOT, write_text
from seqattn.plots import changes, name_of
from seqattn.studies import arms, calibration, control, judge, known, placebo, texts
from seqattn.studies.ia import published
from seqattn.studies.plan import read_study

README = ROOT / "README.md"
PICTURE = ROOT / "book" / "_static" / "findings.svg"
PLACE = re.compile(r"(<!-- findings -->\n).*(<!-- end of findings -->)", re.DOTALL)
TEXT = """\
- **Injecting intensity.** Where each model has a search of its own, {own} changes of NDCG@10 \
against SASRec are robust; where both share SASRec's configuration, {shared}.
- **Is it the intensity?** Each variant beside the same variant with shuffled intensities, in a \
configuration that no search chose: {placebo}. With the real ones on ML-1M, NDCG@10 \
changes by {fixed}. In configurations that searches chose, with a constant as a third \
placebo: {searched}.
- **Could an injection use an intensity that tells more?** Real sequences, and intensities drawn \
so that high ones tell, in doses up to all, whose usual successor is still to come: {planted}.
- **What such a study can see.** The smallest change that it would find in four of five \
repetitions is {least:.1f} % at best and {most:.1f} % at worst, by dataset and model.
- **Positions.** Learned distances under a sliding window, against absolute positions: NDCG@10 \
{sliding} (intervals over users and seeds); {rate:.1f} times as many training targets a second.
"""


def findings() -> str:
    """Return the lines, in Markdown."""
    counts = arms.robust_counts(arms.side_by_side(read_study("replication").table("comparisons")))
    needs = calibration.needs(read_study("calibration").table("rates"))["robust_clustered"]
    needs = needs.fillna(math.inf)
    cells = _cells("positions")
    whole = cells["n_seeds"] == len(SEEDS)
    at_ten = (cells["metric"] == "NDCG") & (cells["k"] == 10) & (cells["arm"] == "sliding")
    told = [
        f"{row.relative_change_percent:+.1f} % [{row.low:+.1f}, {row.high:+.1f}] on {row.title}"
        for row in published.with_titles(cells[whole & at_ten]).itertuples()
    ]
    speed = json.loads((ROOT / "benchmarks" / "results" / "training.json").read_text())
    return TEXT.format(
        own=counts["robust"][BACKBONES["own_search"]],
        shared=counts["robust"][BACKBONES["shared_backbone"]],
        placebo=_verdicts("placebo"),
        fixed=known.told_changes(_cells("placebo"), placebo.REAL, "ml-1m"),
        searched=_verdicts("placebo_searched"),
        planted=_planted(),
        least=needs.min(),
        most=needs.max(),
        sliding=", ".join(told) or "not run",
        rate=speed["ratio_sliding_vs_dense"],
    )


def _cells(study: str, table: str = "comparisons") -> pd.DataFrame:
    return judge.over_both(read_study(study).table(table))


def _verdicts(study: str) -> str:
    """Say how many of a study of placebos have all their runs, and what those came to."""
    cells, over = _cells(study), _cells(study, "over_placebo")
    verdicts = placebo.verdicts(read_study(study), cells, over)["verdict"]
    counts = verdicts[verdicts != "not run"].value_counts()
    told = texts.counted(counts) or "none yet"
    return f"of {len(verdicts)} combinations, {counts.sum()} have all their runs ({told})"


def _planted() -> str:
    """Say what the variants of *Positive control* that have a verdict came to, by dataset."""
    study = read_study("positive_control")
    cells = _cells("positive_control")
    verdicts = control.verdicts(study, cells, _cells("positive_control", "over_nothing"))
    ceilings = study.table("ceiling").set_index("dataset")["ceiling"]
    wanted = (cells["metric"] == "NDCG") & (cells["k"] == 10)
    full = cells["arm"].map(control.doses(study)) == 1
    changes = cells[wanted & full].merge(verdicts[verdicts["verdict"] != "not run"])
    told = []
    for (dataset, title), rows in published.with_titles(changes).groupby(["dataset", "title"]):
        verdict = "; ".join(
            f"{verdict}: {', '.join(part['model'].map(name_of))} "
            f"({part['relative_change_percent'].min():+.1f} to "
            f"{part['relative_change_percent'].max():+.1f} %)"
            for verdict, part in rows.groupby("verdict", sort=False)
        )
        told.append(
            f"on {title}, with those successors ranked first SASRec would gain "
            f"{ceilings[dataset]:.0f} % of NDCG@10 ({rows['n_seeds'].min()} seeds). At the full "
            f"dose, verdicts and changes: {verdict}"
        )
    return ". ".join(told) or "not run"


def filled(readme: str) -> str:
    """Return the README with today's findings in their place."""
    return PLACE.sub(lambda place: place[1] + findings() + place[2], readme)


def main() -> None:
    """Write the lines and the picture."""
    plots.use_style()
    both = arms.side_by_side(_cells("replication"))
    figure = changes.design_shift(both, BACKBONES)
    plots.save(figure, PICTURE)
    plt.close(figure)
    write_text(README, filled(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
