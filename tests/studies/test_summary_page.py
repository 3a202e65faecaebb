"""What stands on top of the results pages says what was run, and no more."""

from dataclasses import replace

import pytest
from fabricated import fabricate

from seqattn.config import SEEDS
from seqattn.pages.summary import texts
from seqattn.studies.tables import read

EXTRAS = ("steam-au",)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """ML-100K whole in both designs, ML-1M in part, and a substitute with one harmful variant."""
    folder = tmp_path_factory.mktemp("campaign")
    for design in ("own_search", "shared_backbone"):
        fabricate(folder, "ml-100k", design=design, trials=25 if design == "own_search" else 4)
        slower = {"ia-val": 3}
        fabricate(
            folder, "steam-au", design=design, slower=slower if design == "own_search" else {}
        )
    fabricate(folder, "ml-1m", seeds=SEEDS[:3])
    return read(folder, n_resamples=500)


def test_what_was_run_in_part_is_not_counted_as_run(found):
    told = texts(found, EXTRAS)
    assert told["run_so_far"].startswith(
        "**Run so far:** 1 of the paper's 7 datasets: ML-100K (as published and matched); beside "
        "them Steam-AU; in part, and counted nowhere, ML-1M. Of Table 3's 63 cells, 9 can be "
        "judged as published and 9 can be judged"
    )
    assert "- ML-1M: as published and matched" in told["known_missing"]
    assert "ML-100K" not in told["known_missing"]


def test_robust_changes_beside_the_papers_datasets_are_named_with_their_backbones(found):
    (line,) = (x for x in texts(found, EXTRAS)["known_beside"].splitlines() if x.startswith("-"))
    assert line.startswith("- Val on Steam-AU: -") and "own backbone, robust" in line
    assert "SASRec's, robust" not in line
    few = found.controls.assign(n_seeds=2)
    for controls in (found.controls.head(0), few):
        without = texts(replace(found, controls=controls), EXTRAS)["known_beside"]
        assert "own backbone, robust); not run (both the variant's); " in without


def test_a_change_of_few_seeds_is_not_named(found):
    few = found.cells["model"].eq("ia-val") & found.cells["design"].eq("own_search")
    cells = found.cells.assign(n_seeds=found.cells["n_seeds"].mask(few, 4))
    told = texts(replace(found, cells=cells), EXTRAS)["known_beside"]
    assert told == "Beside the paper's datasets (Steam-AU) no NDCG@10 change is robust."


def test_counts_are_those_of_the_verdicts(found):
    published, matched = texts(found, EXTRAS)["known_paper"].splitlines()
    cells = found.cells
    mine = cells[(cells["dataset"] == "ml-100k") & (cells["k"] == 10)]
    for line, design in ((published, "own_search"), (matched, "shared_backbone")):
        robust = mine[(mine["design"] == design) & mine["robust"]]
        gains, losses = (robust["direction"] > 0).sum(), (robust["direction"] < 0).sum()
        assert f"of 9 comparisons at 10 (ML-100K), {gains} gains and {losses} losses" in line


def test_nothing_run_says_so(tmp_path):
    told = texts(read(tmp_path / "none"), EXTRAS)
    assert told["run_so_far"].startswith("**Run so far:** 0 of the paper's 7 datasets. Of")
    assert "Matched: not run." in told["known_paper"]
    assert told["known_beside"] == "Beside the paper's datasets: not run."
