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
