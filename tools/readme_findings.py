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
from seqattn.config import BACKBONES, SEEDS, VARIANTS
from seqattn.files import ROOT, write_text
from seqattn.plots import name_of
from seqattn.plots.pools import pooled_forest
from seqattn.studies import (
    ae_ar,
    arms,
    beyond_lambda,
    calibration,
    judge,
    lambda_starts,
    placebo,
    positive_control,
    targets,
    texts,
    travel,
    what_we_know,
)
from seqattn.studies.ia import published, tables
from seqattn.studies.study import Study, read_study

README = ROOT / "README.md"
PICTURE = ROOT / "book" / "_static" / "findings.svg"
_KNOWING = ("sees_items", "sees_minutes")
_VERBS = {"reads": "read it", "does not read": "did not read it"}
PLACE = re.compile(r"(<!-- findings -->\n).*(<!-- end of findings -->)", re.DOTALL)
_PLACEBOS = ("placebo", "placebo_sliding", "placebo_searched")
TEXT = """\
- **Does injecting intensity help?** {answer}. NDCG@10 changes on average by {trained} % on test \
and {on_valid} % on validation with SASRec's configuration ({n_trained} comparisons on \
{n_datasets} datasets), by {neutral[test]} and {neutral[valid]} with one that no search chose. On \
ML-1M, the log with the most interactions: {fixed} on test; robust by the paper's rule: {robust}. \
See *What we know*.
- **Does the paper replicate?** The paper finds no robust improvement. Of its {n_paper} datasets \
{whole} were run whole with searches. On these its test calls {paper_own} changes of NDCG@10 \
robust where each model has a search of its own, and {paper_shared} where both have SASRec's \
configuration. On all logs that were run it is {own} ({own_are}) and {shared}. See *Replication*.
- **Is it the intensity?** It is where a variant is robustly above SASRec and above itself on \
every placebo, on validation as well. That is shown for {verdicts}; {n_searched} of the {n_run} \
are in settings that searches chose, {n_long} of them from fits long enough to count (with the \
same runs on two backbones, and so counted twice: {twice}). Over a placebo the change on test \
leaves out 0 in {over_placebo}, uncorrected. See *Placebo*, *Placebo on the sliding window* and \
*Placebo in searched settings*.
- **Is one λ too little?** {n_designs} freer designs, such as any function of a key's intensity, \
and {n_rivals} ways to put intensity into the loss, each beside its placebos: \
information in {beyond}. See *Beyond λ*.
- **Could an injection use an intensity that tells more?** In a log generated so that people act \
on intensity: {held}. In real sequences whose intensities mark what a user takes later: \
{planted}. In brackets, the change over the same variant with intensities that tell nothing. See \
*A log that intensity drives* and *Positive control*.
- **What would such a study miss?** To be found in four of five repetitions a change must be \
{least:.1f} % in the best case and {most:.1f} % in the worst, in settings that a search chose. \
See *Calibration*.
- **Is a learned λ trust in intensity?** λ was started at 0, 0.5, 1 and 2 for {starts_run} of \
{starts_cells} combinations of dataset and variant ({starts_on}): {starts_told}. With λ held at \
0.5, 1, 2 or 4 and all else trained, NDCG@10 lies {held_from:+z.1f} to {held_to:+z.1f} % from \
SASRec's; whether it matters: {value_told}. See *Is lambda identified?*
- **Why does AR differ from AE?** SASRec (autoregressive, AR) differs from BERT4Rec \
(auto-encoding, AE) by its *mask* (one way or both), its *objective* (the next item or a hidden \
one) and the training *samples* (a hidden last item or any). Crossed on {factorials}, in percent \
of SASRec's NDCG@10: {causes}. With five times the patience for BERT4Rec the gap is {patient}. \
See *Why AR differs*.
- **What do positions change?** A sliding window with learned distances, instead of absolute \
positions, changes NDCG@10 by {pooled} (pooled over {n_positions} datasets), and takes \
{slowest:.1f} to {fastest:.1f} times as many training targets a second on a CPU. Distances in \
random order change NDCG@10 over learned ones by {shuffled}. See *Positions*.

Changes are in percent of SASRec's NDCG@10 unless a line names another base. Square brackets are \
95 % intervals: of a change, over users and seeds; of an average, over comparisons, with datasets \
as its units. Averages and what a study would miss leave out fits too short to move λ.
"""


def findings() -> str:
    """Return the lines, in Markdown."""
    replication, placebos = read_study("replication"), read_study("placebo")
    lengths = travel.by_cell(replication.table("travel"))
    changes = replication.table("changes")
    changes = changes[travel.counted(changes, lengths)]
    neutral = what_we_know.of_fixed(placebos)
    neutral = neutral[neutral["counted"]]
    in_both = pd.concat([changes, neutral])
    mine = targets.pick(changes, arm="shared_backbone", kind="unfiltered")
    trained, on_valid = (
        targets.pool(targets.pick(mine, target=target)) for target in ("test", "valid")
    )
    needs = calibration.needs(read_study("calibration").table("rates"))
    needs = needs.loc[travel.counted(needs, lengths), "robust_clustered"].fillna(math.inf)
    sides = arms.side_by_side(replication.table("comparisons"))
    counts = arms.robust_counts(sides)["robust"]
    of_paper = arms.robust_counts(sides[published.of_paper(sides) & ~sides["part"]])["robust"]
    learned = read_study("positions").table("changes")
    pooled = targets.pooled_told(learned, "sliding")
    speed = json.loads((ROOT / "benchmarks" / "results" / "backbones.json").read_text())
    rates = [row["ratio"] for row in speed["rows"]]
    in_fixed = _cells("placebo")
    ml_1m = what_we_know.whole_changes(in_fixed, placebo.REAL, "ml-1m")
    all_verdicts = pd.concat(placebo.of_study(read_study(name)) for name in _PLACEBOS)
    searched = _run(placebo.of_study(read_study("placebo_searched")))
    return TEXT.format(
        trained=texts.estimate(trained.estimate, *trained.ci),
        n_trained=len(targets.pick(mine, target="test")),
        on_valid=texts.estimate(on_valid.estimate, *on_valid.ci),
        n_datasets=mine["dataset"].nunique(),
        answer=what_we_know.answer(targets.pools(in_both)).capitalize(),
        neutral=targets.pooled_told(neutral, "fixed"),
        own_are=_directions(replication.table("comparisons"), "own_search"),
        **{arm.split("_")[0]: counts[name] for arm, name in BACKBONES.items()},
        **{f"paper_{arm.split('_')[0]}": of_paper[name] for arm, name in BACKBONES.items()},
        n_paper=len(published.DATASETS),
        whole=_whole(),
        verdicts=_told(all_verdicts),
        n_run=len(_run(all_verdicts)),
        n_searched=len(searched),
        twice=placebo.twice(read_study("placebo_searched").table("runs")),
        n_long=travel.counted(searched, lengths).sum(),
        over_placebo=placebo.told_over(
            pd.concat(_cells(name, "changes_over_placebo") for name in _PLACEBOS)
        ),
        fixed=what_we_know.told_changes(in_fixed, placebo.REAL, "ml-1m"),
        robust=f"{ml_1m['robust'].sum()} of {len(ml_1m)}",
        **_beyond(),
        planted=_controlled("positive_control"),
        held=_controlled("held"),
        **lambda_starts.told(read_study("lambda_starts")),
        **_why_ar(),
        least=needs.min(),
        most=needs.max(),
        pooled=f"{pooled['test']} on test and {pooled['valid']} on validation",
        n_positions=targets.pick(learned, arm="sliding")["dataset"].nunique(),
        shuffled=_shuffled(),
        slowest=min(rates),
        fastest=max(rates),
    )


def _cells(study: str, table: str = "comparisons") -> pd.DataFrame:
    return read_study(study).table(table)


def _directions(cells: pd.DataFrame, arm: str) -> str:
    """Say how many robust changes of NDCG@10 in an arm are gains, and how many losses."""
    rows = judge.ndcg_at_10(cells[cells["n_seeds"] >= len(SEEDS)])
    ways = rows.loc[rows["arm"].eq(arm) & rows["robust"].eq(True), "direction"]
    return texts.counted({"gains": (ways > 0).sum(), "losses": (ways < 0).sum()}) or "none"


def _run(verdicts: pd.DataFrame) -> pd.DataFrame:
    return verdicts[~verdicts["verdict"].isin([texts.NOT_RUN, placebo.NO_PLACEBO])]


def _beyond() -> dict[str, object]:
    """Say the same of designs beyond one lambda and of rivals in the loss, without Add."""
    study = read_study("beyond_lambda")
    verdicts = beyond_lambda.of_study(study)
    verdicts = verdicts[~verdicts["model"].isin(VARIANTS)]
    n_rivals = len(beyond_lambda.rivals(study))
    n_designs = verdicts["model"].nunique() - n_rivals
    return {"n_designs": n_designs, "n_rivals": n_rivals, "beyond": _told(verdicts)}


def _told(verdicts: pd.DataFrame) -> str:
    """Say how many combinations with all their runs are information, and what the others are."""
    run = _run(verdicts)
    found = run["verdict"].eq("information")
    others = "" if found.all() else f"; {placebo.in_words(run[~found])}"
    return (
        f"{found.sum()} of {len(run)} combinations of dataset and variant that have all their runs "
        f"(of {len(verdicts)} wanted{others})"
    )


def _whole() -> str:
    """Say how many of the paper's datasets were run whole in a searched design, and which."""
    covered = tables.coverage(_cells("replication"))
    of_paper = covered[covered["paper"]]
    run = of_paper.drop(columns="paper").eq(tables.WHOLE).any(axis=1)
    return f"{run.sum()} ({', '.join(of_paper.index[run])})"


def _controlled(name: str) -> str:
    """Say what the variants of a positive control that have a verdict came to, by dataset.

    Changes over the same variants where intensities tell nothing: what a verdict is about.
    """
    study = read_study(name)
    verdicts = positive_control.of_study(study)
    rows = positive_control.at_full(
        positive_control.by_dose(study, _cells(name, "over_nothing")), verdicts
    )
    rows = rows.merge(verdicts[verdicts["verdict"] != "not run"])
    told = []
    for (dataset, title), mine in rows.groupby(["dataset", "title"]):
        verdict = "; ".join(
            f"{', '.join(part['model'].map(name_of))} {_VERBS.get(verdict, verdict)} "
            f"({part['change'].min():+z.1f} to {part['change'].max():+z.1f} %)"
            for verdict, part in mine.groupby("verdict", sort=False)
        )
        told.append(f"{verdict}; {_scope(study, dataset)} ({title}, {mine['n_seeds'].min()} seeds)")
    return ". ".join(told) or "not run"


def _why_ar() -> dict[str, object]:
    """Say what mask, objective and samples do to the gap of SASRec and BERT4Rec."""
    study = read_study("why_ar")
    effects, n_seeds = study.table("factorial"), len(study.seeds)
    causes = ae_ar.causes(effects, n_seeds)
    return {
        "factorials": f"{len(causes)} of {len(study.datasets)} datasets, with {n_seeds} seeds",
        "patient": ae_ar.in_words(effects, "gap, patient", n_seeds),
        "causes": "; ".join(f"on {name} {words}" for name, words in causes.items())
        or texts.NOT_RUN,
    }


def _shuffled() -> str:
    """Say what distances in random order change where learned ones stood, by dataset."""
    study = read_study("positions")
    rows = judge.ndcg_by_arm(study.table("comparisons")).query("arm == 'shuffled'")
    told = [
        f"{texts.estimate(row.change, row.low, row.high, unit=' %')} on {row.title}"
        for row in rows[rows["n_seeds"] >= len(study.seeds)].itertuples()
    ]
    return "; ".join(told) or texts.NOT_RUN


def _scope(study: Study, dataset: str) -> str:
    """Say what a perfect reader would gain over SASRec, and what of it needs no intensity."""
    if "ceiling" in study.tables:
        row = study.table("ceiling").set_index("dataset").loc[dataset]
        return f"over SASRec a perfect reader would gain {row['ceiling']:+.0f} %"
    best = study.table("best_possible").set_index("dataset").loc[dataset]
    items, minutes = (100 * (best[name] / best["base"] - 1) for name in _KNOWING)
    rows = targets.pick(study.table("over_items"), dataset=dataset, model=tuple(VARIANTS))
    own = 100 * (rows["mean"] / best["base"] - 1)
    beyond = ", ".join(rows.loc[rows["low"] > 0, "model"].map(name_of)) or "none"
    return (
        f"over SASRec, without items already seen, they gain {own.min():+.0f} to "
        f"{own.max():+.0f} %, a perfect reader {minutes:+.0f} % and one of the items alone "
        f"{items:+.0f} %; shown to be above the latter: {beyond}"
    )


def filled(readme: str) -> str:
    """Return the README with today's findings in their place."""
    return PLACE.sub(lambda place: place[1] + findings() + place[2], readme)


def on_test() -> pd.DataFrame:
    """Return changes on test, unfiltered, where no search of the variant chose the settings."""
    changes = read_study("replication").table("changes")
    lengths = travel.by_cell(read_study("replication").table("travel"))
    changes = changes.assign(counted=travel.counted(changes, lengths))
    rows = pd.concat([changes, what_we_know.of_fixed(read_study("placebo"))])
    rows = targets.pick(rows, arm=what_we_know.NEUTRAL, target="test", kind="unfiltered")
    return rows.replace({"arm": {"fixed": "settings that no search chose"}})


def main() -> None:
    """Write the lines and the picture."""
    plots.use_style()
    rows = published.with_titles(on_test())
    counted = rows[rows["counted"]]
    pooled = {arm: targets.pool(part) for arm, part in counted.groupby("arm", sort=False)}
    figure = pooled_forest(rows, pooled, xlabel="NDCG@10 change (%)")
    plots.save(figure, PICTURE)
    plt.close(figure)
    write_text(README, filled(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
