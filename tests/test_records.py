"""What is kept of a dataset."""

import json

import pandas as pd

from seqattn.analysis.intensity import diagnose
from seqattn.records import describe


def test_the_records_of_a_dataset_are_its_counts_audit_and_diagnosis(synthetic, tmp_path):
    paths = describe("synthetic").write(tmp_path)
    assert [path.name for path in paths] == ["dataset.json", "audit.json", "intensity.json"]
    dataset, audit, intensity = (json.loads(path.read_text()) for path in paths)
    assert dataset["fingerprint"] == audit["fingerprint"] == synthetic.fingerprint
    assert dataset["steps"][-1]["interactions"] == len(synthetic.sequences)
    told = pd.DataFrame(intensity)["value"].astype(float)
    pd.testing.assert_series_equal(told, diagnose(synthetic)["value"], rtol=1e-8)


def test_equal_data_gives_equal_bytes(tmp_path):
    first, second = (describe("synthetic").write(tmp_path / name) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_a_log_without_chronology_is_diagnosed_and_not_prepared(tmp_path, monkeypatch):
    rows = "".join(f"u{i % 4},i{i % 7},{1 + i % 3},\n" for i in range(28))
    (tmp_path / "steam-200k.csv").write_text("user,item,intensity,timestamp\n" + rows)
    frame = pd.read_csv(tmp_path / "steam-200k.csv")
    frame.to_csv(tmp_path / "steam-200k.csv.gz", index=False)
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path))
    found = describe("steam-200k")
    assert found.dataset["fingerprint"] is None
    assert [step["name"] for step in found.dataset["steps"]] == ["read", "drop missing"]
    recency = found.intensity.query("measure == 'recency'")["value"]
    assert recency.isna().all()


def test_a_dataset_without_intensity_has_no_diagnosis(tmp_path, monkeypatch):
    rows = "".join(f"{u},{i},,{1_600_000_000 + 7 * i + u}\n" for u in range(6) for i in range(6))
    frame_path = tmp_path / "yelp.csv"
    frame_path.write_text("user,item,intensity,timestamp\n" + rows)
    text = "name: plain\npath: yelp.csv\ncolumns: {user: user, item: item, timestamp: timestamp}\n"
    (tmp_path / "plain.yaml").write_text(text)
    found = describe(str(tmp_path / "plain.yaml"))
    assert found.intensity is None
    assert [path.name for path in found.write(tmp_path / "out")] == ["dataset.json", "audit.json"]
