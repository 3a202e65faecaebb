"""SASRec among baselines: what is recorded is shown, what is not says how to run it."""

import numpy as np
import pandas as pd

from seqattn.baselines import BaselineSpec, compute_baseline
from seqattn.pages.baselines import texts


def table(*arguments, **options):
    return texts(*arguments, **options)["campaign_baselines"]


def keep(folder, model, seed, ranks, fingerprint="f" * 16, settings=None):
    kinds = [f"{s}_{k}" for s in ("valid", "test") for k in ("unfiltered", "filtered")]
    spec = BaselineSpec("ml-100k", fingerprint, model, seed, settings or {})
    compute_baseline(folder, spec, lambda: ({"history": []}, dict.fromkeys(kinds, ranks)))


def test_recorded_baselines_are_averaged_over_seeds(tmp_path):
    keep(tmp_path, "bpr", 1, np.full(4, 1))
    keep(tmp_path, "bpr", 2, np.full(4, 50))
    rows = table(["ml-100k"], pd.DataFrame(), folder=tmp_path).splitlines()
    (bpr,) = [row for row in rows if "BPR" in row]
    assert "| 2 | 0.5000 [0.5000, 0.5000] |" in bpr


def test_what_was_not_run_says_so(tmp_path):
    keep(tmp_path, "pop", 1, np.full(4, 1))
    text = table(["ml-100k", "steam-3k"], pd.DataFrame(), folder=tmp_path)
    assert "| ML-100K | GRU4Rec | not run |" in text
    assert "| ML-100K | **SASRec** | not run |" in text
    assert "| Steam-3k | all | not run |" in text


def test_a_baseline_above_sasrec_is_named_first(tmp_path):
    keep(tmp_path, "pop", 1, np.full(4, 50))
    keep(tmp_path, "itemknn", 1, np.full(4, 1))
    sasrec = pd.DataFrame(
        [
            ("ml-100k", "published", "sasrec", kind, metric, value, value, value, 5, 4)
            for kind, value in (("unfiltered", 0.4), ("filtered", 1.0))
            for metric in ("NDCG", "Recall", "MRR")
        ],
        columns=[
            *("dataset", "design", "model", "kind", "metric", "mean", "low", "high"),
            *("n_seeds", "n_users"),
        ],
    )
    first = texts(["ml-100k"], sasrec, folder=tmp_path)["known_baselines"]
    assert table(["ml-100k"], sasrec, folder=tmp_path).startswith(f"{first}\n\n|")
    assert "ML-100K: ItemKNN 1.0000 (SASRec 0.4000, unfiltered)." in first
    assert "filtered)" not in first.replace("unfiltered)", "") and "Pop" not in first
    stronger = sasrec.assign(mean=1.0)
    text = table(["ml-100k"], stronger, folder=tmp_path)
    assert text.startswith("On ML-100K SASRec and baselines were run, and no baseline's NDCG@10")
    assert "GRU4Rec, the sequential one, was not run on ML-100K." in text


def test_records_of_other_data_or_another_grid_are_left_out(tmp_path):
    keep(tmp_path, "bpr", 1, np.full(4, 1))
    keep(tmp_path, "bpr", 2, np.full(4, 1))
    keep(tmp_path, "bpr", 3, np.full(4, 50), settings={"grid": "another"})
    keep(tmp_path, "pop", 1, np.full(9, 1), fingerprint="e" * 16)
    text = table(["ml-100k"], pd.DataFrame(), {"ml-100k": "f" * 16}, tmp_path)
    assert "| ML-100K | BPR | 2 | 1.0000" in text
    assert "| ML-100K | Pop | not run |" in text
    assert "| ML-100K | Pop | 1 |" in table(
        ["ml-100k"], pd.DataFrame(), {"ml-100k": "e" * 16}, tmp_path
    )
