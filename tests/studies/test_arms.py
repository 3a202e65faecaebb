"""One variant on several backbones, without ties, and SASRec against itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from fabricated import fabricate, four, keep, made_up_search, runs_of, tables_of

from seqattn.config import BACKBONES, SEEDS
from seqattn.files import write_text
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Store
from seqattn.search.record import read_search
from seqattn.stats.metrics import metric
from seqattn.studies import arms, what_we_know
from seqattn.studies import tables as of_study

OWN, CONTROL, SHARED = BACKBONES.values()


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Last.FM in both designs, where Val's search found another backbone; Steam-AU in one."""
    folder = tmp_path_factory.mktemp("campaign")
    fabricate(folder, "lastfm-tagged", slower={"ia-val": 3})
    fabricate(folder, "lastfm-tagged", design="shared_backbone")
    fabricate(folder, "steam-au")  # one design alone is not drawn beside nothing
    val = read_search(folder, "lastfm-tagged", "ia-val", "own_search")
    other = replace(val, model_config=replace(val.model_config, n_layers=1))
    other.write(folder)
    for seed in SEEDS:
        rank = np.random.default_rng(seed).integers(1, 30, size=60).astype(np.int32)
        keep(folder, other.spec(seed), rank, [0.4])
        keep(folder, replace(other.spec(seed), model="sasrec"), rank * 3)
    return tables_of(folder, "comparisons")["comparisons"]


def test_all_backbones_stand_beside_each_other(cells):
    both = arms.side_by_side(cells)
    table = arms.changes_table(both)
    assert {dataset for dataset, _ in table.index} == {"Last.FM (tagged)"}
    val = table.loc[("Last.FM (tagged)", "Val")]
    assert [("robust" in val[name]) for name in (OWN, CONTROL, SHARED)] == [False, True, False]
    change, levels = val[CONTROL].split("\n")
    assert change.startswith("+") and levels.count("0.") == 2
    # The others have SASRec's own configuration, so SASRec's runs are their control.
    add = table.loc[("Last.FM (tagged)", "Add")]
    assert add[CONTROL] == add[OWN]
    assert arms.robust_counts(both)["robust"][CONTROL] == "1 of 3"
    assert arms.robust_somewhere(both)["model"].tolist() == ["ia-val"]


def test_a_comparison_of_few_seeds_is_not_shown(cells):
    few = cells["arm"].eq("variant_backbone")
    both = arms.side_by_side(cells.assign(n_seeds=cells["n_seeds"].mask(few, 4)))
    assert arms.changes_table(both)[CONTROL].eq("not run").all()
    few = cells["model"].eq("ia-val") & cells["arm"].eq("own_search")
    both = arms.side_by_side(cells.assign(n_seeds=cells["n_seeds"].mask(few, 4)))
    assert set(both["model"]) == {"ia-add", "ia-mul"}


def test_the_papers_own_datasets_are_left_out_of_the_others(cells):
    both = arms.side_by_side(cells)
    assert len(arms.beside_paper(both)) == 3
    assert arms.beside_paper(both.assign(dataset="ml-100k")).empty


def test_verdicts_are_repeated_on_users_without_a_tie(tmp_path):
    folder, n_users = tmp_path / "c", 600
    fabricate(folder, "steam-au", slower={"ia-val": 3}, n_users=n_users)
    fabricate(folder, "steam-au", design="shared_backbone", n_users=n_users)
    tied = np.arange(n_users) >= 450
    worse = np.where(tied, 9, 1)  # Mul loses on users with a tie alone
    found = read_search(folder, "steam-au", "ia-mul", "own_search")
    for seed in SEEDS:
        spec = found.spec(seed)
        run = Store(folder).get(spec)
        ranks = rank_matrix([run])[0]
        shutil.rmtree(run.folder)
        keep(folder, spec, (ranks * worse).astype(np.int32), [0.4])
    bits = np.packbits(tied).tobytes().hex()
    record = {"fingerprint": found.fingerprint, "users": n_users, "tied_tests": bits}
    write_text(tmp_path / "data" / "steam-au" / "ties.json", json.dumps(record))
    with patch.object(of_study, "RECORDS", tmp_path / "data"):
        made = tables_of(folder, "comparisons", "ties")
    assert len(made["ties"]) == 9
    told = arms.ties_table(arms.side_by_side(made["comparisons"]), made["ties"])
    table = told.xs(OWN, level="backbone").droplevel("dataset")
    assert set(table.index) == {"Val", "Mul"}
    assert table.loc["Val", "all users"].endswith("robust") and table.loc["Val", "of all"] == "75%"
    assert table.loc["Val", "without a tie"].endswith("robust")
    assert not table.loc["Mul", "without a tie"].endswith("robust")
    # By hand, on the users without one.
    groups = runs_of(folder, "steam-au", "own_search")
    base, variant = (
        metric(rank_matrix(groups[m]), "NDCG", 10)[:, :450].mean() for m in ("sasrec", "ia-val")
    )
    assert table.loc["Val", "without a tie"].startswith(f"{100 * (variant / base - 1):+.1f} ")


def test_sasrec_is_compared_with_itself_on_the_backbones_of_other_searches(tmp_path):
    fabricate(tmp_path, "steam-au", n_users=300)
    search = made_up_search("steam-au", "ia-val", hidden_dropout=0.37)
    search.write(tmp_path)
    own = runs_of(tmp_path, "steam-au", "own_search")["sasrec"]
    ranks = np.maximum(1, rank_matrix(own) // 2)
    for seed, ranks_U in zip(SEEDS, ranks, strict=True):
        spec = replace(search.spec(seed), model="sasrec")
        keep(tmp_path, spec, ranks_U.astype(np.int32))
    luck = tables_of(tmp_path, "luck")["luck"]
    found = luck.set_index("model")
    # Add's and Mul's made-up searches found SASRec's own configuration.
    assert found.loc[["sasrec", "ia-add", "ia-mul"], "change"].tolist() == [0, 0, 0]
    before, after = (metric(r, "NDCG", 10).mean() for r in (rank_matrix(own), ranks))
    on_valid = [metric(four(r)["valid_unfiltered"], "NDCG", 10).mean() for r in ranks]
    expected = pytest.approx([np.mean(on_valid), after])
    assert found.loc["ia-val", ["valid", "test"]].tolist() == expected
    assert found.loc["ia-val", "change"] == pytest.approx(100 * (after / before - 1))
    assert found["robust"].tolist() == [False, False, False, True]

    others = arms.other_searches(luck)
    assert others["model"].tolist() == ["ia-val"] and arms.best_by_another(luck)["steam-au"]
    (told,) = what_we_know.robust_luck(others)["SASRec's NDCG@10 change, %"]
    assert told.startswith(f"{100 * (after / before - 1):+.1f} [")
    row = arms.luck_table(luck).loc["Steam-AU"]
    assert row["Add's search"].endswith("\nthe same")
    assert row["Val's search"].startswith(f"{np.mean(on_valid):.4f} / {after:.4f}\n+")


def test_without_runs_the_tables_are_empty():
    nothing = pd.DataFrame()
    both = arms.side_by_side(nothing)
    assert arms.changes_table(both).empty and arms.ties_table(both, nothing).empty
    assert arms.robust_counts(both)["robust"].eq("0 of 0").all()
    assert arms.other_searches(nothing).empty


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_only_whole_sets_of_seeds_are_judged_without_ties(tmp_path, n_seeds):
    fabricate(tmp_path / "c", "steam-au", seeds=SEEDS[:n_seeds])
    bits = np.packbits(np.arange(60) >= 45).tobytes().hex()
    record = {"fingerprint": "f" * 16, "users": 60, "tied_tests": bits}
    write_text(tmp_path / "data" / "steam-au" / "ties.json", json.dumps(record))
    with patch.object(of_study, "RECORDS", tmp_path / "data"):
        assert tables_of(tmp_path / "c", "ties")["ties"].empty == (n_seeds < 5)
