from __future__ import annotations

import json

import pytest

from seqattn.cli import main

FIT = ["--preset", "smoke", "--results-dir"]


def _json(capsys) -> object:
    return json.loads(capsys.readouterr().out)


def test_datasets_lists_names_licences_and_intensities(capsys):
    assert main(["datasets", "--json"]) == 0
    entries = {entry["name"]: entry for entry in _json(capsys)}
    assert entries["ml-100k"]["unit"] == "stars, 1 to 5"
    assert main(["datasets"]) == 0
    assert "ml-100k" in capsys.readouterr().out


def test_datasets_tells_what_is_here_and_how_to_get_the_rest(capsys, tmp_path, monkeypatch):
    (tmp_path / "yelp.csv.gz").touch()
    monkeypatch.setenv("SEQATTN_DATA", str(tmp_path))
    monkeypatch.setenv("SEQATTN_CACHE", str(tmp_path / "cache"))
    assert main(["datasets", "--json"]) == 0
    entries = {entry["name"]: entry for entry in _json(capsys)}
    assert entries["yelp"]["status"] == "present (mirror)"
    assert entries["synthetic"]["status"] == "generated"
    assert entries["ml-1m"]["status"] == "missing"
    assert main(["datasets"]) == 0
    assert f"ml-1m: `seqattn prepare ml-1m` downloads {entries['ml-1m']['url']}" in (
        capsys.readouterr().out
    )


def test_prepare_reports_every_step(capsys, synthetic, tmp_path):
    assert main(["prepare", "synthetic", "--json", "-o", str(tmp_path)]) == 0
    record = _json(capsys)
    assert record["fingerprint"] == synthetic.fingerprint
    assert record["steps"][0]["name"] == "read"


def test_fit_then_significance(capsys, tmp_path):
    models, seeds = ["sasrec", "ia-val"], ["1", "2"]
    assert (
        main(["fit", "-d", "synthetic", "-m", *models, "-s", *seeds, "--json", *FIT, str(tmp_path)])
        == 0
    )
    cells = _json(capsys)
    assert [c["spec"]["model"] for c in cells] == ["sasrec", "sasrec", "ia-val", "ia-val"]
    arguments = ["significance", "synthetic", "-m", *models, "-s", *seeds, *FIT, str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    records = _json(capsys)
    assert {r["metric"] for r in records} == {"NDCG", "Recall", "MRR"}
    assert all(isinstance(r["robust"], bool) for r in records)
    assert main(arguments) == 0
    assert "clustered_p_value" in capsys.readouterr().out


def test_a_users_error_is_one_line_and_exit_code_2(capsys):
    assert main(["prepare", "nonsense"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("seqattn: ")
    assert "nonsense" in error
    assert error.count("\n") == 1


def test_an_unknown_model_is_refused_before_anything_runs(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "-d", "synthetic", "-m", "sasrek", "-s", "1"])
    assert stop.value.code == 2
    assert "sasrek" in capsys.readouterr().err


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "seqattn fit -d ml-100k" in capsys.readouterr().out
