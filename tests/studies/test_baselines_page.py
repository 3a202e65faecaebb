"""SASRec among baselines: what is recorded is shown, what is not says how to run it."""

import numpy as np
import pytest

from seqattn.pages.baselines import texts
from seqattn.runs.store import RecBoleSpec, Result, Store


def table(*arguments, **options):
    return texts(*arguments, **options)["campaign_baselines"]


def keep(folder, model, seed, ranks, fingerprint="f" * 16, settings=None, filtered=None):
    of_kind = {"unfiltered": ranks, "filtered": ranks if filtered is None else filtered}
    kept = {f"{s}_{kind}": of_kind[kind] for s in ("valid", "test") for kind in of_kind}
    spec = RecBoleSpec("ml-100k", fingerprint, model, seed, settings or {})
    Store(folder).compute(spec, lambda: Result({"history": []}, kept))


def test_recorded_baselines_are_averaged_over_seeds(tmp_path):
    keep(tmp_path, "bpr", 1, np.full(4, 1))
    keep(tmp_path, "bpr", 2, np.full(4, 50))
    rows = table(["ml-100k"], {}, folder=tmp_path).splitlines()
    (bpr,) = [row for row in rows if "BPR" in row]
    assert "| 2 | 0.5000 [0.5000, 0.5000] |" in bpr


def test_what_was_not_run_says_so(tmp_path):
    keep(tmp_path, "pop", 1, np.full(4, 1))
    text = table(["ml-100k", "steam-3k"], {}, folder=tmp_path)
    assert "| ML-100K | GRU4Rec | not run |" in text
    assert "| ML-100K | **SASRec** | not run |" in text
    assert "| Steam-3k | all | not run |" in text


@pytest.fixture
def sasrec(tmp_path):
    """SASRec's cells: records of any model read alike. NDCG@10 1, 0.5, 0.5, 0; filtered 1."""
    keep(tmp_path / "ours", "sasrec", 1, np.array([1, 3, 3, 50]), filtered=np.full(4, 1))
    return {"ml-100k": list(Store(tmp_path / "ours").runs("ml-100k"))}


def test_a_baseline_above_sasrec_is_named_first_with_its_paired_change(tmp_path, sasrec):
    keep(tmp_path, "pop", 1, np.full(4, 50))
    keep(tmp_path, "itemknn", 1, np.array([1, 1, 1, 50]))
    first = texts(["ml-100k"], sasrec, folder=tmp_path)["known_baselines"]
    text = table(["ml-100k"], sasrec, folder=tmp_path)
    assert text.startswith(f"{first}\n\n|")
    # 0.75 to 0.5; resampled, from 1 to 1 (the first user alone) to 1 to 0.5 (the second).
    assert "- ML-100K, unfiltered, SASRec 0.5000: ItemKNN 0.7500, +50.0 % [+0.0, +100.0]\n" in first
    assert "ML-100K, filtered" not in first and "Pop" not in first
    (pop,) = [row for row in text.splitlines() if "Pop" in row]
    assert "<br>-100.0 % [-100.0, -100.0]" in pop
    (own,) = [row for row in text.splitlines() if "SASRec** |" in row]
    assert "%" not in own


def test_no_baseline_above_sasrec_is_said_and_what_was_not_run(tmp_path, sasrec):
    keep(tmp_path, "itemknn", 1, np.array([1, 3, 3, 50]))
    text = table(["ml-100k"], sasrec, folder=tmp_path)
    assert text.startswith("On ML-100K SASRec and baselines were run, and no baseline's NDCG@10")
    assert "GRU4Rec, the sequential one, was not run on ML-100K." in text


def test_records_of_other_data_or_another_grid_are_left_out(tmp_path):
    keep(tmp_path, "bpr", 1, np.full(4, 1))
    keep(tmp_path, "bpr", 2, np.full(4, 1))
    keep(tmp_path, "bpr", 3, np.full(4, 50), settings={"grid": "another"})
    keep(tmp_path, "pop", 1, np.full(9, 1), fingerprint="e" * 16)
    text = table(["ml-100k"], {}, {"ml-100k": "f" * 16}, tmp_path)
    assert "| ML-100K | BPR | 2 | 1.0000" in text
    assert "| ML-100K | Pop | not run |" in text
    assert "| ML-100K | Pop | 1 |" in table(["ml-100k"], {}, {"ml-100k": "e" * 16}, tmp_path)
