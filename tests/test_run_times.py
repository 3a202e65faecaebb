"""The book says how long its notebooks took by what they and the runs recorded."""

from __future__ import annotations

import json
from itertools import product

import pytest
from wanted import fit_wanted

from benchmarks import forecast, run_times
from seqattn.book import AE_VS_AR, NOTEBOOKS
from seqattn.data import load_dataset


@pytest.fixture
def runs(tmp_path):
    """Six notebooks that ran half a minute each, and the parameters they name."""
    parameters = {
        "dataset": "synthetic",
        "preset": "smoke",
        "seeds": [1, 2],
        "models": ["sasrec", "ia-add"],
        "results_dir": str(tmp_path / "store"),
        "device": "cpu",
    }
    for name in NOTEBOOKS:
        record = {"duration": 30.0, "parameters": parameters}
        notebook = {"runs": [], "metadata": {"papermill": record}}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(notebook))
    return tmp_path, parameters


def test_minutes_are_those_of_the_notebooks_and_the_runs(runs):
    folder, parameters = runs
    assert "| 6 fits | not in the store |" in run_times.table(folder)
    wanted = {*product(parameters["models"], [1, 2]), *product(AE_VS_AR, [1])}
    runs = fit_wanted(
        *(parameters["results_dir"], load_dataset("synthetic"), sorted(wanted), "smoke"),
        workers=1,
        progress=False,
    )
    minutes = sum(run.facts["seconds"] for run in runs) / 60
    text = run_times.table(folder)
    assert f"| 6 fits | {minutes:.1f} |" in text
    assert "| `03_training` | 0.5 |" in text and "| all notebooks | 3.0 |" in text


def test_notebooks_from_elsewhere_do_not_need_their_data(runs):
    _, parameters = runs
    assert run_times.fits({**parameters, "dataset": "absent"}) == ("6 fits", "not in the store")


def test_without_all_six_notebooks_there_is_nothing_to_tell(runs):
    folder, _ = runs
    (folder / "05_lambda.ipynb").unlink()
    assert run_times.table(folder) == "Not run: `make book`.\n"


REFERENCE = {
    "step_seconds": 0.02,
    "presets": {"smoke": {"fits": 30.0, "notebooks": 2.0, "pages": 3.0}},
}


def test_a_machine_half_as_fast_takes_twice_as_long(runs):
    _, parameters = runs
    told = forecast.lines(parameters, REFERENCE, step=0.04, cores=2)
    assert told == [
        "1. train 6 small models on ML-100K, 2 at a time (0 are there already): about 30 min",
        "2. run the six notebooks: about 4 min",
        "3. run the studies' notebooks and build all pages: about 6 min",
    ]


def test_what_is_trained_already_is_not_counted(runs):
    _, parameters = runs
    wanted = [("sasrec", 1), ("ia-add", 1), ("sasrec", 2)]
    data = load_dataset("synthetic")
    fit_wanted(parameters["results_dir"], data, wanted, "smoke", workers=1, progress=False)
    first = forecast.lines(parameters, REFERENCE, step=0.02, cores=1)[0]
    assert "train 3 small models" in first and "(3 are there already): about 15 min" in first


def test_a_preset_without_a_measurement_gets_no_minutes(runs):
    _, parameters = runs
    told = forecast.lines(parameters, {**REFERENCE, "presets": {}}, step=0.02, cores=1)
    assert all(line.endswith("time not measured for this preset") for line in told)


def test_the_step_that_machines_are_compared_by_takes_time():
    assert forecast.step_seconds() > 0
