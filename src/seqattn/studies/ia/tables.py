"""The replication's tables as its pages show them: ours beside the paper's, text in each cell.

Every function takes the study's table ``comparisons`` (`cells`), and ``lambdas`` where λ is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from seqattn.analysis.lambdas import spearman
from seqattn.config import DESIGNS, MARGIN_PERCENT, SEEDS
from seqattn.plots.style import name_of
from seqattn.stats.metrics import METRICS
from seqattn.studies import travel
from seqattn.studies.ia import published
from seqattn.studies.ia.agreement import FALLS, OPEN, STANDS, agreement, cell_outcome
from seqattn.studies.ia.conclusions import CONCLUSIONS, LEAST_DATASETS, Evidence, evidence
from seqattn.studies.judge import grid, ndcg_at_10, not_judgeable, widened, with_columns
from seqattn.studies.levels import HALF, PART, WHOLE
from seqattn.studies.texts import ARMS, NOT_RUN, change, is_true, pair, percent, share, span

_CUT = "‡"  # a search that was cut short
_P_VALUES = {"**": 0.005, "*": 0.03, "": 0.5}  # one of those that the stars allow


def coverage(cells: pd.DataFrame) -> pd.DataFrame:
    """Return how far each dataset was run: one row per dataset, one column per design.

    `WHOLE` (each variant may decide something), `HALF` (all that the file at hand allows), `PART`
    or "not run". Datasets of the paper come first, then the others; ``paper`` says which are its
    own.
    """
    datasets = [*published.DATASETS]
    parts: set[str] = set()
    if len(cells):
        datasets = list(dict.fromkeys([*datasets, *cells["dataset"]]))
        parts = set(cells.loc[cells["part"].eq(True), "dataset"])
    rows = [
        {"dataset": published.title(dataset, part=dataset in parts)}
        | {"paper": dataset in published.DATASETS}
        | {name: _extent(cells, dataset, arm) for arm, name in ARMS.items()}
        for dataset in datasets
    ]
    return pd.DataFrame(rows).set_index("dataset")


def _extent(cells: pd.DataFrame, dataset: str, arm: str) -> str:
    if cells.empty:
        return NOT_RUN
    mine = cells[(cells["dataset"] == dataset) & (cells["k"] == 10) & (cells["arm"] == arm)]
    wanted = len(published.VARIANTS) * len(METRICS)
    if mine.empty:
        return NOT_RUN
    as_whole = mine.assign(part=False)
    if len(mine) < wanted or any(map(not_judgeable, as_whole.itertuples())):
        return PART
    return HALF if mine["part"].any() else WHOLE


def n_judged(cells: pd.DataFrame, arm: str) -> int:
    """Return how many of Table 3's cells were run whole in one design."""
    return int(agreement(cells, arm)["whole"].sum())


def forest_rows(cells: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return NDCG@10 of one arm on the paper's datasets beside the published, for a forest plot."""
    rows = agreement(cells, arm)
    return published.with_titles(rows[rows["run"] & (rows["metric"] == "NDCG")])


def beside_rows(cells: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return NDCG@10 of one arm on datasets that the paper does not have, for a forest plot."""
    if cells.empty:
        return cells
    mine = (cells["arm"] == arm) & ~published.of_paper(cells)
    rows = ndcg_at_10(cells[mine])
    return published.with_titles(rows)


def agreement_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return how many of Table 3's published cells agree with ours, one column per design."""
    columns = {}
    for arm, name in ARMS.items():
        table = agreement(cells, arm)
        whole, outcomes = table[table["whole"]], Counter(table["outcome"])
        columns[name] = {
            "whole comparisons run": f"{len(whole)} of {len(table)}",
            "run in part, not counted": int(table["run"].sum()) - len(whole),
            "sign equal": share(whole["sign_equal"]),
            "robustness verdict equal": share(whole["verdict_equal"]),
            "published change inside our interval": share(whole["inside"]),
            **{f"published cell {verdict}": outcomes[verdict] for verdict in (STANDS, FALLS)},
            "published cell can't be told": outcomes[OPEN],
        }
    return pd.DataFrame(columns)


def standing(cells: pd.DataFrame, arm: str) -> dict[str, int]:
    """Return how many of the 63 published cells stand, by what is behind it, fall, or are open.

    ``weak`` stand because neither side is robust, ``small`` because ours is also shown to be
    within the margin of equivalence, ``robust`` because both sides are robust losses; ``falls``;
    ``open`` can't be told.
    """
    table = agreement(cells, arm)
    stands = table["outcome"] == STANDS
    plain = stands & (table["published_robust"] == "no")
    small = plain & table["equivalent"].eq(True)
    told = {"weak": plain & ~small, "small": small, "robust": stands & ~plain}
    told |= {name: table["outcome"] == v for name, v in (("falls", FALLS), ("open", OPEN))}
    return {name: int(rows.sum()) for name, rows in told.items()}


def table3(cells: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return Table 3 in one design: our change and interval, the published change below it.

    One row per dataset and variant that was run. ‡ marks a search, the variant's or SASRec's, that
    was cut short.
    """
    rows = agreement(cells, arm)
    rows = rows[rows["run"]]
    told = [f"{change(c, c['stars'])}\npublished {_printed(c)}" for c in rows.to_dict("records")]
    return _by_metric(rows, told, ["dataset", "variant"])


def _by_metric(rows: pd.DataFrame, told: list[str], keys: list[str]) -> pd.DataFrame:
    """Return the texts of comparisons at 10, one column per metric, and how many seeds these have.

    The name of a variant is marked if a search behind it is short.
    """
    pairs = zip(rows["model"], rows["cut_short"], strict=True)
    cut = [name_of(m) + _CUT * (isinstance(short, str) and short != "") for m, short in pairs]
    shown = published.with_titles(rows.assign(told=told, variant=cut))
    shown["dataset"], shown["column"] = shown["title"], shown["metric"].map("{}@10".format)
    shown["seeds"] = shown["n_seeds"].map("{:.0f}".format)
    wide = widened(shown, [*keys, "seeds"], "column", "told").rename_axis(columns=None)
    return wide.reindex(columns=[f"{name}@10" for name in METRICS]).reset_index("seeds")


def _printed(cell: dict[str, Any]) -> str:
    """Return a published change with stars and whether it is robust, as far as that is known."""
    known = {"yes": " robust", "no": "", "unknown": " (robust?)"}[cell["published_robust"]]
    return percent(cell["published_change"], cell["published_stars"]) + known


def not_run(cells: pd.DataFrame) -> pd.DataFrame:
    """Return Table 3's published changes on what was run in no design."""
    run = pd.concat([agreement(cells, arm)["run"] for arm in DESIGNS], axis=1).any(axis=1)
    rows = agreement(cells, DESIGNS[0])[~run]
    told = [f"published {_printed(cell)}" for cell in rows.to_dict("records")]
    return _by_metric(rows, told, ["dataset", "variant"]).drop(columns="seeds")


def outcomes_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return each published cell that was run in some design, with its outcome and the reason."""
    tables, rows = {arm: agreement(cells, arm) for arm in DESIGNS}, []
    for told in zip(*(table.to_dict("records") for table in tables.values()), strict=True):
        first = told[0]
        if not any(cell["run"] for cell in told):
            continue
        title = published.title(first["dataset"], part=any(bool(cell["part"]) for cell in told))
        name = f"{name_of(first['model'])} {first['metric']}@{first['k']}"
        row = {"dataset": title, "cell": name, "published": _printed(first)}
        for arm, cell in zip(tables, told, strict=True):
            row[ARMS[arm]] = f"{cell['outcome']}: {cell['reason']}"
        rows.append(row)
    keys = ["dataset", "cell"]
    columns = [*keys, "published", *ARMS.values()]
    return pd.DataFrame(rows, columns=columns).set_index(keys)


def conclusions(cells: pd.DataFrame, lambdas: pd.DataFrame, lengths: pd.DataFrame) -> pd.DataFrame:
    """Return each conclusion of the paper with its rule and what each design says of it.

    Rules about λ read only cells that are counted in `lengths`, which is
    `seqattn.studies.travel.by_cell` of the runs: elsewhere λ had no way to go.

    Columns conclusion, rule, and by design ``<design>`` (the verdict) and ``<design>, why``.
    """
    facts = {arm: evidence(cells, lambdas, arm) for arm in ARMS}
    points = travel.only_counted({arm: found.lambdas for arm, found in facts.items()}, lengths)
    return _judged({name: replace(facts[arm], lambdas=points[arm]) for arm, name in ARMS.items()})


def _judged(facts: Mapping[str, Evidence]) -> pd.DataFrame:
    """Return each conclusion with its rule and, by what evidence is called, verdict and why."""
    rows = []
    for conclusion in CONCLUSIONS:
        claim = f"{conclusion.claim} (section {conclusion.section})"
        row = {"conclusion": claim, "rule": conclusion.rule}
        for name, found in facts.items():
            outcome = conclusion.judge(found)
            row |= {name: outcome.verdict, f"{name}, why": outcome.reason}
        rows.append(row)
    return pd.DataFrame(rows).set_index("conclusion")


def conclusion_counts(told: pd.DataFrame) -> pd.DataFrame:
    """Return how many conclusions stand, fall or can't be told: one column per design."""
    verdicts = [STANDS, FALLS, OPEN]
    columns = {name: [int((told[name] == v).sum()) for v in verdicts] for name in ARMS.values()}
    return pd.DataFrame(columns, index=pd.Index(verdicts, name="conclusions"))


def beside_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the changes at 10 on datasets that the paper does not have, in both designs."""
    columns = ["dataset", "part", "arm", "model", "metric", "k", "n_seeds", "cut_short"]
    cells = with_columns(cells, columns)
    chosen = (cells["k"] == 10) & cells["arm"].isin(list(ARMS)) & ~published.of_paper(cells)
    rows = cells[chosen].assign(design=cells["arm"].map(ARMS))
    told = [change(cell) for cell in rows.to_dict("records")]
    return _by_metric(rows, told, ["dataset", "design", "variant"])


def lambda_points(cells: pd.DataFrame, lambdas: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return Table 4 beside ours, by arm: 21 rows of `seqattn.studies.ia.conclusions.Evidence`."""
    return {arm: evidence(cells, lambdas, arm).lambdas for arm in DESIGNS}


def correlations(points: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return Spearman's correlation of λ with the change, ours and published: rho, low, high, n.

    Of whole comparisons: a part of a dataset, a short search and missing seeds do not count.
    Points of one dataset share its baseline, so fewer than `LEAST_DATASETS` datasets have no
    interval.
    """
    found: dict[str, dict[str, float]] = {}

    def look(name: str, rows: pd.DataFrame, x: str, y: str) -> None:
        found[name] = vars(spearman(rows[x], rows[y])) | {"datasets": rows["dataset"].nunique()}

    for arm, frame in points.items():
        run = frame[frame["whole"].eq(True)]
        look(f"ours, {ARMS[arm]}", run, "mean", "change")
        look(f"published, what was run {ARMS[arm]}", run, "lambda_mean", "published_change")
    look("published, all", next(iter(points.values())), "lambda_mean", "published_change")
    told = pd.DataFrame(found.values(), index=pd.Index(found, name="points"))
    told.loc[told["datasets"] < LEAST_DATASETS, ["low", "high"]] = float("nan")
    return told


def correlations_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return `correlations` as text; "too few datasets" where there is no interval."""
    told = found["low"].notna()
    rows = {
        "n": found["n"],
        "datasets": found["datasets"],
        "Spearman": found["rho"].map("{:+z.2f}".format).where(told, "–"),
        "95 % interval": [
            span(low, high, "+z.2f") or "too few datasets"
            for low, high in zip(found["low"], found["high"], strict=True)
        ],
    }
    return pd.DataFrame(rows, index=found.index)


def table4(points: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return λ, mean ± standard deviation over layers and seeds, ours and published.

    One row per dataset and variant of the paper; ``run`` says whether a design has it.
    """
    rows = []
    for told in zip(*(frame.itertuples() for frame in points.values()), strict=True):
        first = told[0]
        part = any(is_true(cell.part) for cell in told)
        row: dict[str, Any] = {"dataset": published.title(first.dataset, part=part)}
        row |= {"variant": name_of(first.model), "run": False}
        for arm, cell in zip(points, told, strict=True):
            row["run"] |= pd.notna(cell.mean)
            row[f"{ARMS[arm]}, ours"] = pair(cell.mean, cell.std)
            row[f"seeds, {ARMS[arm]}"] = "" if pd.isna(cell.mean) else f"{cell.n_seeds:.0f}"
        row["published"] = pair(first.lambda_mean, first.lambda_std)
        rows.append(row)
    return pd.DataFrame(rows).set_index(["dataset", "variant"])


def lambdas_beside(lambdas: pd.DataFrame) -> pd.DataFrame:
    """Return λ on datasets that the paper does not have, in both designs."""
    columns = ["dataset", "backbone", "variant", "λ", "seeds"]
    rows = []
    for row in lambdas.itertuples():
        if row.arm in ARMS and row.dataset not in published.DATASETS:
            names = (published.title(row.dataset), ARMS[row.arm], name_of(row.model))
            lam = pair(row.lambda_mean, row.lambda_std)
            rows.append((*names, lam, f"{row.n_seeds:.0f}"))
    return pd.DataFrame(rows, columns=columns).set_index(columns[:3])


def best_case() -> Evidence:
    """Return the paper's Tables 3 and 4 as if they were our runs, each interval its point.

    A change within the margin is equivalent, and a cell robust if the text at hand says so.
    Cut-offs beyond 10 are not printed: not run.
    """
    cells = published.table3().rename(columns={"robust": "published_robust"})
    cells["low"] = cells["high"] = cells["published_change"] = cells["change"]
    cells["direction"] = np.sign(cells["change"])
    cells["t_p_value"] = cells["stars"].map(_P_VALUES)
    cells["robust"] = cells["published_robust"] == "yes"
    cells["equivalent"] = cells["change"].abs() < MARGIN_PERCENT
    cells = cells.assign(run=True, part=False, whole=True, n_seeds=len(SEEDS), cut_short="")
    cells["outcome"] = [cell_outcome(row).verdict for row in cells.itertuples()]
    ndcg = cells.loc[cells["metric"] == "NDCG", ["dataset", "model", "change", "low", "high"]]
    lambdas = published.table4().merge(ndcg, on=["dataset", "model"]).assign(whole=True)
    for name in ("mean", "seed_low", "seed_high"):
        lambdas[name] = lambdas["lambda_mean"]
    return Evidence(cells, grid(pd.DataFrame(), ""), lambdas)


def self_test_table() -> pd.DataFrame:
    """Return what each rule says of the paper's own tables, and why: one row per conclusion.

    A rule that the paper's numbers cannot pass says nothing about ours. The paper prints no
    interval, so this is the best case, see `best_case`.
    """
    name = "the paper's own tables"
    told = _judged({name: best_case()}).drop(columns="rule")
    return told.rename(columns={f"{name}, why": "why"})
