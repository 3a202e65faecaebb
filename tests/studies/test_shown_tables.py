"""The tables of the results pages: what was run stands there, what was not is told apart."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from fabricated import fabricate, tables_of

from seqattn.config import DESIGNS, MARGIN_PERCENT, SEEDS
from seqattn.data import CATALOGUE
from seqattn.search.record import read_search
from seqattn.studies import rules, travel
from seqattn.studies.ia import tables
from seqattn.studies.ia.agreement import agreement
from seqattn.studies.study import read_study
from seqattn.studies.texts import ARMS, NOT_RUN

NAMES = ("comparisons", "lambdas", "searches")
NOTHING = SimpleNamespace(**dict.fromkeys(NAMES, pd.DataFrame()))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Little was run: ML-100K whole, ML-1M and Amazon-Music in part, and a substitute."""
    folder = tmp_path_factory.mktemp("campaign")
    fabricate(folder, "ml-100k", slower={"ia-mul": 3})
    fabricate(folder, "ml-1m", seeds=SEEDS[:3], trials=13)
    users = CATALOGUE["amazon-music"].mirror.core.users
    fabricate(folder, "amazon-music", models=("sasrec", "ia-add"), seeds=SEEDS[:2], n_users=users)
    fabricate(folder, "steam-au", slower={"ia-val": 0.3})
    return SimpleNamespace(**tables_of(folder, *NAMES))


def test_a_part_is_neither_whole_nor_not_run(found):
    told = tables.coverage(found.comparisons)["own search"]
    assert told["ML-100K"] == tables.WHOLE and told["ML-1M"] == tables.PART
    assert told["Amazon-Music (timestamped half)"] == tables.PART and "Amazon-Music" not in told
    assert told["Steam-3k"] == NOT_RUN and told["Steam-AU"] == tables.WHOLE
    assert tables.coverage(found.comparisons)["SASRec's backbone"].eq(NOT_RUN).all()


def test_what_was_run_in_part_is_not_counted(found):
    told = tables.agreement_table(found.comparisons)["own search"]
    assert told["whole comparisons run"] == "9 of 63"
    # 9 of ML-1M, with three seeds and short searches, and 3 of a part of Amazon-Music.
    assert told["run in part, not counted"] == 12
    counts = rules.counts_table(found.comparisons)
    # With Steam-AU, which is not the paper's and is corrected for all the same.
    for column, whole, part in (("@10", 18, 12), ("all cut-offs", 72, 48)):
        mine = counts[f"own search, {column}"]
        assert (mine["comparisons run"], mine["run in part, not counted"]) == (whole, part)
    assert counts.loc["comparisons run", "SASRec's backbone, @10"] == 0
    told = rules.equivalence_table(found.comparisons)
    assert {d for d, *_ in told.index} == {"ML-100K", "Steam-AU"}
    passes = told["smallest margin, %"].astype(float) < MARGIN_PERCENT
    assert (told["equivalent"].eq("yes") | ~passes).all()  # users alone pass more easily


def test_what_stands_is_told_apart_by_what_is_behind_it(found):
    told = tables.standing(found.comparisons, "own_search")
    assert sum(told.values()) == 63
    table = tables.agreement_table(found.comparisons)["own search"]
    assert told["weak"] + told["small"] + told["robust"] == table["published cell stands"]
    assert (told["falls"], told["open"]) == (
        table["published cell falls"],
        table["published cell can't be told"],
    )
    rows = agreement(found.comparisons, "own_search")
    weak = rows["reason"].str.startswith("not robust here either; a change of")
    assert told["weak"] == weak.sum() > 0
    nothing = tables.standing(NOTHING.comparisons, "own_search")
    assert nothing == {"weak": 0, "small": 0, "robust": 0, "falls": 0, "open": 63}


def test_a_robust_loss_is_counted_as_one_by_every_rule(found):
    whole = rules.whole(found.comparisons, "own_search", 10)
    counts = rules.counts(whole[whole["dataset"] == "ml-100k"])
    assert counts["losses"].ge(2).all() and counts["gains"].eq(0).all()
    assert list(counts["rule"]) == list(rules.RULES.values())


def test_rules_that_agree_are_not_listed(found):
    told = rules.disagreements(found.comparisons)
    verdicts = told[list(rules.RULES.values())]
    assert (verdicts.nunique(axis=1) == 2).all()


def test_a_short_search_is_marked(found, tmp_path):
    variants = {variant for _, variant in tables.table3(found.comparisons, "own_search").index}
    assert {"Add", "Add‡"} <= variants  # of ML-100K, and of ML-1M
    fabricate(tmp_path, "ml-100k")
    for model in ("sasrec", "ia-add"):
        search = read_search(tmp_path, "ml-100k", model, "own_search")
        replace(search, budget=replace(search.budget, epochs=1)).write(tmp_path)
    cells = tables_of(tmp_path, "comparisons")["comparisons"]
    marked = {variant for _, variant in tables.table3(cells, "own_search").index}
    assert marked == {"Add‡", "Mul‡", "Val‡"}  # SASRec's search is behind all
    assert tables.n_judged(cells, "own_search") == 0


def test_table3_shows_ours_above_the_published_change(found):
    told = tables.table3(found.comparisons, "own_search")["NDCG@10"]
    ours, printed = told["ML-100K", "Mul"].split("\n")
    assert ours.startswith("-") and ours.endswith("] robust") and printed == "published -3.2"
    rest = tables.not_run(found.comparisons)["NDCG@10"]
    assert rest["Steam-3k", "Mul"] == "published -9.5* robust"
    assert rest["Amazon-Office", "Val"] == "published -2.3* (robust?)"
    assert "ML-100K" not in rest.index.get_level_values("dataset")


def test_substitutes_stay_out_of_the_papers_tables(found):
    lambdas = tables.table4(tables.lambda_points(found.comparisons, found.lambdas))
    for frame in (tables.outcomes_table(found.comparisons), lambdas):
        assert "Steam-AU" not in frame.index.get_level_values("dataset")
    assert {d for d, *_ in tables.beside_table(found.comparisons).index} == {"Steam-AU"}
    beside = tables.lambdas_beside(found.lambdas)
    assert {d for d, *_ in beside.index} == {"Steam-AU"}
    # The page joins the two, row by row.
    replication = read_study("replication")
    lengths = travel.travel_table(travel.by_cell(replication.table("travel")))[["steps"]]
    beside = tables.lambdas_beside(replication.table("lambdas"))
    assert beside.index.names == lengths.index.names and len(beside.join(lengths)) == len(beside)


def test_too_few_points_have_no_correlation(found):
    points = tables.lambda_points(found.comparisons, found.lambdas)
    told = tables.correlations_table(tables.correlations(points))
    assert told.loc["ours, own search", "n"] == 3
    assert told.loc["ours, own search", "95 % interval"] == "too few datasets"
    assert told.loc["published, all", "n"] == 21


def all_counted(found):
    return found.lambdas[["dataset", "arm", "model"]].assign(counted=True)


def test_the_conclusions_are_counted_as_they_stand(found):
    told = tables.conclusions(found.comparisons, found.lambdas, all_counted(found))
    counts = tables.conclusion_counts(told)
    assert counts.sum().tolist() == [len(told)] * len(DESIGNS)
    for name in ARMS.values():
        assert counts.loc["falls", name] == (told[name] == "falls").sum()


def test_rules_about_lambda_read_only_cells_whose_fits_were_long_enough(found):
    lambdas = found.lambdas
    lengths = all_counted(found)
    usual = tables.conclusions(found.comparisons, lambdas, lengths)
    short = tables.conclusions(found.comparisons, lambdas, lengths.assign(counted=False))
    about = short.index.str.startswith("λ")
    assert about.sum() == 3 and short.loc[about, list(ARMS.values())].eq("can't be told").all(None)
    assert short[~about].equals(usual[~about])
    assert not short[about].equals(usual[about])


def test_the_listing_has_every_comparison_that_was_run_with_its_trials(found):
    rows = rules.listing(found.comparisons, found.searches)
    assert len(rows) == 36 + 36 + 12 + 36  # of four datasets; Amazon-Music has one variant
    assert not rows["k"].eq("").any() and not rows["change, %"].eq("").any()
    assert set(rows.loc[rows["dataset"] == "ML-1M", "trials"]) == {"13/25 + 13/25"}
    of_paper = rows["dataset"] != "Steam-AU"
    assert (rows["published, %"].ne("") == (rows["k"].eq("10") & of_paper)).all()


def test_without_runs_every_table_says_so():
    cells, lambdas = NOTHING.comparisons, NOTHING.lambdas
    assert tables.coverage(cells)[list(ARMS.values())].eq(NOT_RUN).all(axis=None)
    assert len(tables.not_run(cells)) == 21
    points = tables.lambda_points(cells, lambdas)
    assert not tables.table4(points)["run"].any()
    assert tables.correlations_table(tables.correlations(points))["n"].tolist() == [0, 0, 0, 0, 21]
    empty = (
        *(tables.table3(cells, "own_search"), tables.outcomes_table(cells)),
        *(tables.beside_table(cells), tables.lambdas_beside(lambdas)),
        *(rules.disagreements(cells), rules.equivalence_table(cells)),
        *(rules.counts(cells), rules.listing(cells, NOTHING.searches)),
    )
    assert all(frame.empty for frame in empty)
