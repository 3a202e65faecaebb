"""The campaign's pages: what is run stands there, what is not reads "not run"."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fabricated import fabricate, keep, made_up_search
from seqattn.studies.backbones import sasrec_on_backbones

from seqattn.config import SEEDS
from seqattn.data import CATALOGUE
from seqattn.files import write_text
from seqattn.pages import campaign
from seqattn.runs.results import rank_matrix
from seqattn.runs.store import Store
from seqattn.search.record import read_search
from seqattn.stats.metrics import metric
from seqattn.studies.ia import published
from seqattn.studies.tables import finished_runs, read

ROOT = campaign.ROOT


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of a campaign in which little was run."""
    results, folder = tmp_path_factory.mktemp("campaign"), tmp_path_factory.mktemp("pages")
    fabricate(results, "ml-100k", slower={"ia-mul": 3})
    fabricate(results, "ml-1m", seeds=SEEDS[:3], trials=13)
    users = CATALOGUE["amazon-music"].mirror.core.users
    fabricate(results, "amazon-music", models=("sasrec", "ia-add"), seeds=SEEDS[:2], n_users=users)
    fabricate(results, "steam-au", slower={"ia-val": 0.3})
    campaign.write_pages(results, folder)
    return folder


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    """Pages of no campaign at all."""
    folder = tmp_path_factory.mktemp("nothing")
    campaign.write_pages(folder / "none", folder)
    return folder


def rows(folder, name):
    lines = [x for x in (folder / f"{name}.md").read_text().splitlines() if x.startswith("| ")]
    head, *body = ([cell.strip() for cell in line[1:-1].split(" | ")] for line in lines)
    return [dict(zip(head, cells, strict=True)) for cells in body]


def test_every_include_of_the_prose_is_generated(pages, nothing):
    for page in ("campaign", "replication", "lambda", "verdicts"):
        text = (ROOT / "book" / "results" / f"{page}.md").read_text()
        names = re.findall(r"generated/([\w.]+)", text)
        assert names
        for folder in (pages, nothing):
            assert all((folder / name).read_text().strip() for name in names)


def test_a_dataset_that_was_not_run_reads_so_with_its_command(pages, nothing):
    for folder in (pages, nothing):
        table = {(r["dataset"], r["design"]): r for r in rows(folder, "campaign_runs")}
        assert table["Steam-3k", "as published"]["trials"] == "not run"
        assert "seqattn tune -d steam-3k" in (folder / "campaign_commands.md").read_text()
    commands = (pages / "campaign_commands.md").read_text()
    assert "tune -d ml-100k -m sasrec" not in commands
    assert "tune -d ml-1m -m sasrec" in commands  # run in part


def test_a_search_cut_short_shows_its_trials(pages):
    table = {(r["dataset"], r["design"]): r for r in rows(pages, "campaign_runs")}
    assert "**Add 13 of 25**" in table["ML-1M", "as published"]["trials"]
    assert "**Val 3 of 5**" in table["ML-1M", "as published"]["seeds"]
    assert table["ML-100K", "as published"]["trials"] == "25 of 25 each"
    variants = {(r["dataset"], r["variant"]) for r in rows(pages, "replication_table3_published")}
    assert ("ML-1M", "Add‡") in variants and ("ML-100K", "Add") in variants


def test_a_part_of_a_dataset_never_stands_under_the_papers_name_alone(pages):
    names = {r["dataset"] for r in rows(pages, "campaign_absolute")}
    assert "Amazon-Music (timestamped half)" in names and "Amazon-Music" not in names
    agreement = {r["design"]: r for r in rows(pages, "replication_agreement")}
    assert agreement["as published"]["whole cells run"] == "9 of 63"
    # 9 of ML-1M, with three seeds and short searches, and 3 of a part of Amazon-Music.
    assert agreement["as published"]["run in part, not counted"] == "12"


def test_what_was_run_in_part_decides_nothing_on_any_page(pages):
    counts = {r["rule"]: r for r in rows(pages, "verdicts_counts")}
    for column, whole, part in (("@10", 9, 12), ("all cut-offs", 36, 48)):
        head = f"as published, {column}"
        assert counts["comparisons run"][head] == str(whole)
        assert counts["run in part, not counted"][head] == str(part)
    assert counts["comparisons run"]["matched, @10"] == "not run"
    assert counts["paired t-test alone"]["matched, @10"] == ""
    assert {r["dataset"] for r in rows(pages, "verdicts_equivalence")} == {"ML-100K"}
    (ours,) = (r for r in rows(pages, "lambda_correlation") if r["points"] == "ours, as published")
    assert ours["n"] == "3" and ours["Spearman"] == "–"


def test_a_search_of_a_part_is_named_as_such_before_its_first_fit(tmp_path):
    search = made_up_search("amazon-music", "sasrec")
    search.write(tmp_path / "c")
    users = CATALOGUE["amazon-music"].mirror.core.users
    record = {"fingerprint": search.fingerprint, "steps": [{"name": "5-core", "users": users}]}
    path = tmp_path / "datasets" / "amazon-music" / "dataset.json"
    write_text(path, json.dumps(record))
    campaign.write_pages(tmp_path / "c", tmp_path, tmp_path / "datasets")
    for name in ("campaign_runs", "campaign_found"):
        named = {r["dataset"] for r in rows(tmp_path, name) if "Music" in r["dataset"]}
        assert "Amazon-Music (timestamped half)" in named, name


def test_trials_of_fewer_epochs_are_a_short_search(tmp_path):
    fabricate(tmp_path / "c", "ml-100k")
    for model in ("sasrec", "ia-add"):
        found = read_search(tmp_path / "c", "ml-100k", model, "own_search")
        replace(found, budget=replace(found.budget, epochs=1)).write(tmp_path / "c")
    campaign.write_pages(tmp_path / "c", tmp_path)
    table = {(r["dataset"], r["design"]): r for r in rows(tmp_path, "campaign_runs")}
    assert "**Add 1 of 10 epochs a trial**" in table["ML-100K", "as published"]["trials"]
    marked = {r["variant"] for r in rows(tmp_path, "replication_table3_published")}
    assert {"Add‡", "Mul‡", "Val‡"} <= marked  # SASRec's search is behind all
    agreement = {r["design"]: r for r in rows(tmp_path, "replication_agreement")}
    assert agreement["as published"]["whole cells run"] == "0 of 63"


def test_fits_that_the_limit_of_epochs_ended_are_counted(tmp_path):
    fabricate(tmp_path, "ml-100k", models=["ia-val"])
    search = made_up_search("ml-100k", "sasrec")
    search.write(tmp_path)
    for seed, best in zip(SEEDS, (3, 9, 5, 7, 46), strict=True):
        epochs = min(best + search.train_config.patience, search.train_config.epochs)
        keep(tmp_path, search.spec(seed), np.ones(60, dtype=np.int32), (), epochs, best)
    (row,) = campaign.trained_table(read(tmp_path).runs).splitlines()[2:]
    assert row == "| ML-100K | as published | 7 [3, 46] | 1 [1, 1] | 1 of 10 fits |"


def test_substitutes_stay_out_of_the_papers_tables(pages):
    for name in ("campaign_runs", "campaign_absolute", "lambda_table4", "replication_outcomes"):
        assert "Steam-AU" not in (pages / f"{name}.md").read_text()
    assert "Steam-AU" in (pages / "replication_extras.md").read_text()
    assert "Steam-AU" not in (pages / "cells.html").read_text()


def test_table3_shows_ours_beside_the_published_change(pages):
    table = {(r["dataset"], r["variant"]): r for r in rows(pages, "replication_table3_published")}
    mul = table["ML-100K", "Mul"]
    assert mul["NDCG@10"].startswith("**-") and mul["NDCG@10"].endswith("<br>published -3.2")
    assert table["Steam-3k", "Mul"]["NDCG@10"] == r"not run<br>published **-9.5\***"
    assert table["Amazon-Office", "Val"]["NDCG@10"].endswith("(bold?)")


def test_the_searchable_table_holds_all_cells_and_asks_no_other_host(pages, nothing):
    for folder in (pages, nothing):
        text = (folder / "cells.html").read_text()
        assert text.count("<tr>") == 1 + 2 * 252
        assert not re.search(r"https?:|//\w|src=|import", text)
    assert nothing.joinpath("cells.html").read_text().count("<td>not run</td>") == 2 * 252
    run = (pages / "cells.html").read_text().count("<td>not run</td>")
    assert run == 2 * 252 - (36 + 36 + 12)


def test_the_csv_marks_what_is_not_the_papers(pages):
    frame = pd.read_csv(pages / "cells.csv")
    assert frame["set"].value_counts().to_dict() == {"paper": 504, "extra": 36}
    assert set(frame.loc[frame["set"] == "extra", "dataset"]) == {"steam-au"}
    missing = frame[frame["status"] == "not run"]
    assert missing["relative_change_percent"].isna().all() and missing["robust"].isna().all()


def test_without_a_campaign_figures_and_tables_say_so(nothing):
    for name in ("campaign_levels", "replication_forest", "verdicts_counts"):
        assert "not run" in (nothing / f"{name}.svg").read_text()
    for name in ("verdicts_changed", "verdicts_equivalence", "campaign_found"):
        assert (nothing / f"{name}.md").read_text() == "Not run.\n"
    assert {r["trials"] for r in rows(nothing, "campaign_runs")} == {"not run"}


def test_a_second_run_gives_the_same_bytes(nothing, tmp_path):
    campaign.write_pages(nothing / "none", tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (nothing / path.name).read_bytes(), path.name


def test_the_papers_datasets_stand_in_its_order(pages):
    names = list(dict.fromkeys(r["dataset"] for r in rows(pages, "campaign_runs")))
    ours = [published.title(d) for d in published.DATASETS]
    assert [n.replace(" (timestamped half)", "") for n in names] == [
        "ML-100K", "ML-1M", "Amazon-Music", "Amazon-Music", *ours[3:]
    ]  # fmt: skip


def test_both_designs_stand_beside_each_other(tmp_path):
    fabricate(tmp_path / "c", "lastfm-tagged", slower={"ia-val": 3})
    fabricate(tmp_path / "c", "lastfm-tagged", design="shared_backbone")
    fabricate(tmp_path / "c", "steam-au")  # one design alone is not drawn beside nothing
    val = read_search(tmp_path / "c", "lastfm-tagged", "ia-val", "own_search")
    other = replace(val, model_config=replace(val.model_config, n_layers=1))
    other.write(tmp_path / "c")
    for seed in SEEDS:
        rank = np.random.default_rng(seed).integers(1, 30, size=60).astype(np.int32)
        keep(tmp_path / "c", other.spec(seed), rank, [0.4])
        keep(tmp_path / "c", replace(other.spec(seed), model="sasrec"), rank * 3)
    campaign.write_pages(tmp_path / "c", tmp_path)
    table = {(r["dataset"], r["variant"]): r for r in rows(tmp_path, "replication_designs")}
    assert {dataset for dataset, _ in table} == {"Last.FM (tagged)"}
    val = table["Last.FM (tagged)", "Val"]
    assert not val["NDCG@10 %, each its own backbone"].startswith("**")
    assert val["NDCG@10 %, both the variant's"].startswith("**+")
    assert re.search(r"\]<br>0\.\d{4} → 0\.\d{4}$", val["NDCG@10 %, both the variant's"])
    assert not val["NDCG@10 %, both SASRec's"].startswith("**")
    # The others have SASRec's own configuration, so SASRec's cells are their control.
    add = table["Last.FM (tagged)", "Add"]
    assert add["NDCG@10 %, both the variant's"] == add["NDCG@10 %, each its own backbone"]
    text = (tmp_path / "replication_designs.md").read_text()
    assert "1 of 3 (both the variant's)" in text


def test_without_both_designs_nothing_is_compared(pages, nothing):
    for folder in (pages, nothing):
        assert "not run" in (folder / "replication_designs.md").read_text()
        assert "not run" in (folder / "replication_designs.svg").read_text()


def test_verdicts_are_repeated_on_users_without_a_tie(tmp_path):
    fabricate(tmp_path / "c", "steam-au", slower={"ia-val": 3}, n_users=600)
    fabricate(tmp_path / "c", "steam-au", design="shared_backbone", n_users=600)
    tied = np.arange(600) >= 450
    worse = np.where(tied, 9, 1)  # Mul loses on users with a tie alone
    found = read_search(tmp_path / "c", "steam-au", "ia-mul", "own_search")
    for seed in SEEDS:
        (folder,) = (tmp_path / "c" / "steam-au" / "ia-mul").glob(
            f"seed-{seed}-{found.spec(seed).key}"
        )
        ranks = rank_matrix([Store(tmp_path / "c").get(found.spec(seed))])[0]
        shutil.rmtree(folder)
        keep(tmp_path / "c", found.spec(seed), (ranks * worse).astype(np.int32), [0.4])
    bits = np.packbits(tied).tobytes().hex()
    record = {"fingerprint": found.fingerprint, "users": 600, "tied_tests": bits}
    write_text(tmp_path / "data" / "steam-au" / "ties.json", json.dumps(record))
    campaign.write_pages(tmp_path / "c", tmp_path, tmp_path / "data")
    text = (tmp_path / "replication_ties.md").read_text()
    assert text.startswith("9 comparisons on datasets with ties")
    told = rows(tmp_path, "replication_ties")
    table = {r["variant"]: r for r in told if r["backbone"] == "each its own backbone"}
    assert {r["variant"] for r in told} == set(table) == {"Val", "Mul"}
    assert table["Val"]["all users"].startswith("**-") and table["Val"]["of all"] == "75%"
    assert table["Val"]["without a tie"].startswith("**-")
    assert not table["Mul"]["without a tie"].startswith("**")
    cells = [
        finished_runs(tmp_path / "c", "steam-au", "own_search")[m] for m in ("sasrec", "ia-val")
    ]
    # By hand, on the users without one.
    base, variant = (metric(rank_matrix(group), "NDCG", 10)[:, :450].mean() for group in cells)
    assert table["Val"]["without a tie"].startswith(f"**{100 * (variant / base - 1):+.1f}**")


def test_sasrec_is_compared_with_itself_on_the_backbones_of_other_searches(tmp_path):
    fabricate(tmp_path / "c", "steam-au", n_users=300)
    search = made_up_search("steam-au", "ia-val", hidden_dropout=0.37)
    search.write(tmp_path / "c")
    own = finished_runs(tmp_path / "c", "steam-au", "own_search", ["sasrec"])["sasrec"]
    ranks = np.maximum(1, rank_matrix(own) // 2)
    for seed, ranks_U in zip(SEEDS, ranks, strict=True):
        spec = replace(search.spec(seed), model="sasrec")
        keep(tmp_path / "c", spec, ranks_U.astype(np.int32))
    found = sasrec_on_backbones(tmp_path / "c", ["steam-au"]).set_index("model")
    # Add's and Mul's made-up searches found SASRec's own configuration.
    assert found.loc[["sasrec", "ia-add", "ia-mul"], "change"].tolist() == [0, 0, 0]
    before, after = (metric(r, "NDCG", 10).mean() for r in (rank_matrix(own), ranks))
    assert found.loc["ia-val", ["valid", "test"]].tolist() == pytest.approx([after, after])
    assert found.loc["ia-val", "change"] == pytest.approx(100 * (after / before - 1))
    assert found["robust"].tolist() == [False, False, False, True]

    campaign.write_pages(tmp_path / "c", tmp_path, tmp_path / "none")
    told = (tmp_path / "known_luck.md").read_text()
    assert "calls 1 of 1 of these changes robust" in told
    assert f"{100 * (after / before - 1):+.1f} % with what Val's search found on Steam-AU" in told
    assert "On 1 of 1 datasets it is another model's search" in told
    (row,) = rows(tmp_path, "replication_luck")
    assert row["Add's search"].endswith("<br>the same")
    assert row["Val's search"].startswith(f"{after:.4f} / {after:.4f}<br>**+")


def test_without_controls_the_luck_of_a_search_was_not_run(nothing):
    for name in ("known_luck", "replication_luck"):
        assert (nothing / f"{name}.md").read_text() == "Not run.\n"
