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
from seqattn.config import BACKBONES, MARGIN_PERCENT, PLACEBOS, SEEDS, VARIANTS
from seqattn.files import ROOT, write_text
from seqattn.plots import changes, name_of
from seqattn.studies import (
    ae_ar,
    arms,
    beyond,
    calibration,
    control,
    identified,
    judge,
    known,
    placebo,
    targets,
    texts,
    travel,
)
from seqattn.studies.ia import published, tables
from seqattn.studies.plan import Study, read_study

README = ROOT / "README.md"
PICTURE = ROOT / "book" / "_static" / "findings.svg"
_VERBS = {"reads": "read it", "does not read": "did not read it"}
PLACE = re.compile(r"(<!-- findings -->\n).*(<!-- end of findings -->)", re.DOTALL)
TEXT = """\
- **Injecting intensity.** Does it help? {answer}. Of the paper's {n_paper} datasets \
{whole} were run whole with searches. On SASRec's configuration, where fits were long \
enough to count, NDCG@10 changes on average by {trained} % on test and by {on_valid} % on \
validation ({n_trained} comparisons on {n_datasets} datasets); on one that no search chose, by \
{neutral[test]} on test and {neutral[valid]} on validation, and by {units} % on test in the mean \
of its {n_units} datasets. The paper's \
test over seeds and users calls a change robust in {own} comparisons where each model has a search \
of its own, in {variant} on the variant's configuration and in {shared} on SASRec's.
- **Is it the intensity?** That is shown for {informed} combinations of dataset and variant that \
have all their runs. Each variant beside the same variant with shuffled intensities, in a \
configuration that no search chose: {placebo}. The same on the sliding window: {sliding_placebo}. \
Over the same variant with shuffled intensities the change on test leaves out 0 in {over_placebo}, \
uncorrected. On ML-1M NDCG@10 changes, where all seeds were run, \
by {fixed} with the real ones ({robust}; *robust* also asks that more than half of the seeds show \
the change alone; epochs kept: {epochs}), and with ones shuffled {shuffled}. In \
configurations that searches chose, with a constant as a \
third placebo: {searched}.
- **Is one λ too little?** {n_designs} freer designs, such as any function of a key's intensity, \
and {n_rivals} ways to put intensity into the loss, each beside its placebos: {beyond}. Trained on \
strong targets alone, NDCG@10 changes by {liked}.
- **Could an injection use an intensity that tells more?** In brackets, the change over the same \
variant with intensities that tell nothing. Real sequences, and intensities that \
mark what a user takes later: {planted}. A generated log in which people act on intensity: {held}.
- **What such a study can see.** The smallest change that it would find in four of five \
repetitions, in settings that a search chose, is {least:.1f} % at best and {most:.1f} % at worst, \
where fits were long enough to count.
- **Is a learned λ trust in intensity?** λ was started at 0, 0.5, 1 and 2 for {starts_run} of \
{starts_cells} combinations of dataset and variant ({starts_on}): {starts_told}. Training left \
{left} of the spread; to meet would have taken {needed} of the travel that steps and learning rate \
allow. Ten times as fast, λ ends from 1 at {fast}. With λ held at 0.5, 1, 2 or 4 and all else \
trained, NDCG@10 lies {held_from:+.1f} to {held_to:+.1f} % from SASRec's; whether it matters: \
{value_told}.
- **Why AR differs.** Does SASRec win over BERT4Rec because it looks one way (*mask*), because \
it is asked for the next item and not for a hidden one (*objective*), or because its training \
rows are like what it is tested on (*samples*; BERT4Rec's are, where they hide the last item \
alone)? Crossed on {factorials}, in percent of SASRec's NDCG@10: {causes}. By a rule \
written before all runs but SASRec's, and mended before a dataset had all of them, the gap is \
explained by {explained}. The objective's part holds what comes with it, other windows and fewer \
items asked for in each epoch of patience; samples were of {samples:.0%} of the histories.
- **Positions.** Learned distances under a sliding window, against absolute positions: NDCG@10 \
{sliding} (intervals over users and seeds). Each dataset is ranked with items already seen \
(*unfiltered*) and without (*filtered*); on the validation target as well as on test an interval \
leaves out 0, on one side, in {sliding_both}. Pooled over the datasets, unfiltered: {pooled}. In a \
second of a CPU {slowest:.1f} to {fastest:.1f} \
times as many training targets, by dataset.
"""


def findings() -> str:
    """Return the lines, in Markdown."""
    replication, placebos = read_study("replication"), read_study("placebo")
    counts = arms.robust_counts(arms.side_by_side(replication.table("comparisons")))["robust"]
    lengths = travel.by_cell(replication.table("travel"))
    changes = replication.table("changes")
    changes = changes[travel.counted(changes, lengths)]
    neutral = known.of_fixed(placebos)
    neutral = neutral[neutral["counted"]]
    in_both = pd.concat([changes, neutral])
    unsearched = targets.pick(neutral, target="test", kind="unfiltered")
    units = targets.by_dataset(unsearched)
    mine = targets.pick(changes, arm="shared_backbone", kind="unfiltered")
    trained, on_valid = (
        targets.pool(targets.pick(mine, target=target)) for target in ("test", "valid")
    )
    needs = calibration.needs(read_study("calibration").table("rates"))
    needs = needs.loc[travel.counted(needs, lengths), "robust_clustered"].fillna(math.inf)
    cells = _cells("positions")
    whole = cells["n_seeds"] == len(SEEDS)
    at_ten = (cells["metric"] == "NDCG") & (cells["k"] == 10) & (cells["arm"] == "sliding")
    told = [
        f"{row.relative_change_percent:+.1f} % [{row.low:+.1f}, {row.high:+.1f}] on {row.title}"
        for row in published.with_titles(cells[whole & at_ten]).itertuples()
    ]
    pooled = targets.pooled_told(read_study("positions").table("changes"), "sliding")
    both = targets.pick(read_study("positions").table("changes"), arm="sliding")
    speed = json.loads((ROOT / "benchmarks" / "results" / "backbones.json").read_text())
    rates = [row["ratio"] for row in speed["rows"]]
    in_fixed = _cells("placebo")
    told_of = {
        kind: known.told_changes(in_fixed, kind, "ml-1m") for kind in (placebo.REAL, *PLACEBOS)
    }
    return TEXT.format(
        trained=f"{trained.estimate:+.1f} {texts.span(*trained.ci)}",
        n_trained=trained.n,
        on_valid=f"{on_valid.estimate:+.1f} {texts.span(*on_valid.ci)}",
        n_datasets=mine["dataset"].nunique(),
        answer=known.answer(targets.pools(in_both)).capitalize(),
        neutral=targets.pooled_told(neutral, "fixed"),
        units=f"{units.estimate:+.1f} {texts.span(*units.ci)}",
        n_paper=len(published.DATASETS),
        whole=_whole(),
        over_placebo=placebo.told_over(placebos.table("changes_over_placebo")),
        epochs=known.told_epochs(placebos.table("runs"), placebo.REAL, "ml-1m"),
        n_units=unsearched["dataset"].nunique(),
        **{arm.split("_")[0]: counts[name] for arm, name in BACKBONES.items()},
        informed=_informed("placebo", "placebo_sliding", "placebo_searched"),
        placebo=_verdicts("placebo"),
        sliding_placebo=_verdicts("placebo_sliding"),
        fixed=told_of[placebo.REAL],
        robust=_rule(in_fixed, placebo.REAL, "ml-1m"),
        shuffled=" and ".join(
            f"{kind} users by {told_of[kind]}"
            for kind in PLACEBOS
            if told_of[kind] != texts.NOT_RUN
        )
        or texts.NOT_RUN,
        searched=_verdicts("placebo_searched", lengths),
        **_beyond(),
        liked=_liked("positives"),
        planted=_controlled("positive_control"),
        held=_controlled("held"),
        **identified.told(read_study("lambda_starts")),
        **_why_ar(),
        least=needs.min(),
        most=needs.max(),
        pooled=f"{pooled['test']} on test and {pooled['valid']} on validation",
        sliding_both=known.told_on_both(both),
        sliding=", ".join(told) or "not run",
        slowest=min(rates),
        fastest=max(rates),
    )


def _cells(study: str, table: str = "comparisons") -> pd.DataFrame:
    return judge.over_both(read_study(study).table(table))


def _verdicts(name: str, lengths: pd.DataFrame | None = None) -> str:
    """Say how many of a study of placebos have all their runs, and what those came to.

    With `lengths`, of `travel.by_cell`, also how many of them come from fits that count.
    """
    verdicts = placebo.of_study(read_study(name))
    return _runs_told(verdicts, lengths)


def _beyond() -> dict[str, object]:
    """Say the same of designs beyond one lambda and of rivals in the loss, without Add."""
    study = read_study("beyond_lambda")
    verdicts = beyond.of_study(study)
    verdicts = verdicts[~verdicts["model"].isin(VARIANTS)]
    n_rivals = len(beyond.rivals(study))
    n_designs = verdicts["model"].nunique() - n_rivals
    return {"n_designs": n_designs, "n_rivals": n_rivals, "beyond": _runs_told(verdicts)}


def _liked(arm: str) -> str:
    """Say what a rival changes on liked targets and on the others, by dataset."""
    rows = read_study("beyond_lambda").table("by_liking")
    told = [
        f"{row.change_liked:+.1f} % {texts.span(row.low_liked, row.high_liked)} on targets that "
        f"were liked and by {row.change_others:+.1f} % "
        f"{texts.span(row.low_others, row.high_others)} on the others ({row.title})"
        for row in published.with_titles(rows[rows["arm"] == arm]).itertuples()
    ]
    return "; by ".join(told) or texts.NOT_RUN


def _runs_told(verdicts: pd.DataFrame, lengths: pd.DataFrame | None = None) -> str:
    run = verdicts[verdicts["verdict"] != "not run"]
    named = run["verdict"].replace("nothing", f"within ±{MARGIN_PERCENT:g} % of SASRec")
    told = texts.counted(named.value_counts()) or "none yet"
    if lengths is not None:
        told += f"; {travel.counted(run, lengths).sum()} of these from fits long enough to count"
    return f"of {len(verdicts)} combinations, {len(run)} have all their runs ({told})"


def _informed(*names: str) -> str:
    """Say how many combinations of some studies of placebos are information, of how many judged."""
    found = pd.concat([placebo.of_study(read_study(name))["verdict"] for name in names])
    return f"{found.eq('information').sum()} of {found.ne('not run').sum()}"


def _whole() -> str:
    """Say how many of the paper's datasets were run whole in a searched design, and which."""
    covered = tables.coverage(_cells("replication"))
    of_paper = covered[covered["paper"]]
    run = of_paper.drop(columns="paper").eq(tables.WHOLE).any(axis=1)
    return f"{run.sum()} ({', '.join(of_paper.index[run])})"


def _rule(cells: pd.DataFrame, arm: str, dataset: str) -> str:
    """Say how many NDCG@10 changes of an arm are robust by the paper's rule, and how many small."""
    rows = known.whole_changes(cells, arm, dataset)
    small = rows["equivalent"].eq(True).sum()
    return f"{rows['robust'].sum()} of {len(rows)} robust, {small} within ±{MARGIN_PERCENT:g} %"


def _controlled(name: str) -> str:
    """Say what the variants of a positive control that have a verdict came to, by dataset.

    Changes over the same variants where intensities tell nothing: what a verdict is about.
    """
    study = read_study(name)
    verdicts = control.of_study(study)
    rows = control.at_full(control.by_dose(study, _cells(name, "over_nothing")), verdicts)
    rows = rows.merge(verdicts[verdicts["verdict"] != "not run"])
    ceilings = control.ceilings(study)
    told = []
    for (dataset, title), mine in rows.groupby(["dataset", "title"]):
        verdict = "; ".join(
            f"{', '.join(part['model'].map(name_of))} {_VERBS.get(verdict, verdict)} "
            f"({part['change'].min():+.1f} to {part['change'].max():+.1f} %)"
            for verdict, part in mine.groupby("verdict", sort=False)
        )
        told.append(
            f"on *{title}*, {verdict}; over SASRec a perfect reader would gain "
            f"{ceilings[dataset]:+.0f} %{_by_items(study)}{_open_marks(study, dataset)} "
            f"({mine['n_seeds'].min()} seeds)"
        )
    return ". ".join(told) or "not run"


def _why_ar() -> dict[str, object]:
    """Say what mask, objective and samples do to the gap of SASRec and BERT4Rec."""
    study = read_study("why_ar")
    effects, n_seeds = study.table("factorial"), len(study.seeds)
    causes = ae_ar.causes(effects, n_seeds)
    rows = ae_ar.explained(effects, n_seeds)
    found = rows.loc[rows["explains"], "effect"].value_counts()
    return {
        "samples": study.arm("last").settings.train["last_item_samples"],
        "factorials": f"{len(causes)} of {len(study.datasets)} datasets, with {n_seeds} seeds",
        "causes": "; ".join(f"on {name} {words}" for name, words in causes.items())
        or texts.NOT_RUN,
        "explained": ", ".join(f"the {name} on {n} of them" for name, n in found.items())
        or "none of them",
    }


def _by_items(study: Study) -> str:
    """Say what of a perfect reader's gain needs no intensity, where a log's story tells that."""
    if "best_possible" not in study.tables:
        return ""
    best = study.table("best_possible").iloc[0]
    alone = 100 * (best["sees_items"] / best["base"] - 1)
    return f", and {alone:+.0f} % from the items alone, both without items already seen"


def _open_marks(study: Study, dataset: str) -> str:
    """Say how few of a study's marks still tell something, and of how many users."""
    if "ceiling" not in study.tables:
        return ""
    row = study.table("ceiling").set_index("dataset").loc[dataset]
    return (
        f", by the {row['still_open']:.1%} of the marks that are still open, for the "
        f"{row['applies']:.1%} of users to whom they apply"
    )


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
