"""The workflow asks for the right jobs, and again when what they rest on has changed.

The command line is stood in for by a script that writes the files the real one does, so that what
is tested is the order and the choice of the jobs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqattn.config import SEARCHED
from seqattn.search.record import ON_DISK, search_path

ROOT = Path(__file__).parents[1]
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
SNAKEMAKE = shutil.which("snakemake", path=PATH)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SNAKEMAKE is None, reason="Snakemake is missing: make test-slow adds it"),
]
STAND_IN = """#!{python}
import pathlib, sys, time
words = sys.argv[1:]
value = lambda name: words[words.index(name) + 1]
log = pathlib.Path("{log}")
def note(text):
    with log.open("a") as file:
        file.write(text + "\\n")
note("> " + " ".join(words))
if pathlib.Path("{log}.fail").exists() and words[0] == "tune":
    sys.exit(2)
if words[0] == "prepare":
    path = pathlib.Path(value("-o"), "dataset.json")
elif words[0] == "tune":
    dataset, design = pathlib.Path(value("-d")).stem, {designs}[value("--design")]
    folder = pathlib.Path(value("--results-dir"), "searches", dataset, design)
    path = folder / (value("-m") + ".json")
elif words[0] == "report":
    path = pathlib.Path(value("-o"), "06_ae_vs_ar.ipynb")
else:
    path = None
if path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(words))
if "cuda" in words:
    time.sleep(0.3)
note("< " + words[0])
"""


@pytest.fixture
def campaign(tmp_path):
    """Run Snakemake in a folder of its own; ``calls`` returns the commands since the last time."""
    log = tmp_path / "log"
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "seqattn"
    script.write_text(STAND_IN.format(python=sys.executable, log=log, designs=ON_DISK))
    script.chmod(0o755)

    class Campaign:
        results = tmp_path / "results"
        failing = tmp_path / "log.fail"

        def run(self, *arguments, check=True, **config):
            config = {"results": self.results, "notebooks": tmp_path / "runs"} | config
            config = {"records": tmp_path / "records"} | config
            config = {"datasets": "toy", "models": "sasrec ia-add", "seeds": "1 2"} | config
            done = subprocess.run(
                [
                    *(SNAKEMAKE, "--cores", "4", *arguments),
                    *("--config", *(f"{key}={value}" for key, value in config.items())),
                ],
                cwd=tmp_path,
                env={**os.environ, "PATH": f"{script.parent}{os.pathsep}{PATH}"},
                capture_output=True,
                text=True,
            )
            assert not check or done.returncode == 0, done.stderr
            return done

        def lines(self):
            text = log.read_text() if log.exists() else ""
            log.unlink(missing_ok=True)
            return text.splitlines()

        def calls(self):
            return [line[2:] for line in self.lines() if line.startswith(">")]

    return Campaign()


def rules(plan):
    """The rules of a dry run's jobs, but for those that only name what is wanted."""
    return set(re.findall(r"^(?:local)?rule (\w+):", plan, re.M)) - {"all", "fits"}


def of(verb, calls):
    return [call for call in calls if call.startswith(verb)]


def test_searches_are_where_the_campaign_looks_for_them(campaign):
    done = campaign.run("-n", "searches", models=" ".join(SEARCHED))
    for model in SEARCHED:
        for design in ("own_search", "shared_backbone"):
            assert f"{search_path(campaign.results, 'toy', model, design)}" in done.stdout


def test_a_campaign_runs_each_job_once_and_a_second_time_none(campaign):
    campaign.run("notebooks")
    calls = campaign.calls()
    assert len(of("prepare", calls)) == 1
    # Three searches, the baseline's for both designs; six fits and the two of the last chapter.
    assert len(of("tune", calls)) == 3
    assert len(of("fit", calls)) == 6 + 2
    assert len(of("report", calls)) == 2
    assert calls.index(next(c for c in calls if "--design shared_backbone" in c)) > calls.index(
        next(c for c in calls if c.startswith("tune -d toy -m sasrec"))
    )
    campaign.run("notebooks")
    assert campaign.calls() == []


def test_a_longer_search_is_asked_for_and_its_outcome_fitted(campaign):
    campaign.run("fits", trials=2)
    campaign.calls()
    campaign.run("fits", trials=3)
    calls = campaign.calls()
    assert len(of("tune", calls)) == 3
    # SASRec on the variant's backbone, and the masked-item models on SASRec's, too.
    assert len(of("fit", calls)) == 6 + 2 + 2
    assert not of("prepare", calls)


def test_controls_rest_on_the_searches_as_published(campaign):
    campaign.run("fits")
    calls = campaign.calls()
    control = [call for call in of("fit", calls) if "--backbone-of" in call]
    assert len(control) == 2
    assert all(
        "-m sasrec --backbone-of ia-add" in c and "--preset own_search" in c for c in control
    )
    searched = next(c for c in of("tune", calls) if "ia-add --design own_search" in c)
    assert calls.index(searched) < min(map(calls.index, control))
    campaign.run("fits", designs="shared_backbone")
    assert not [call for call in campaign.calls() if "--backbone-of" in call]


def test_a_search_that_changed_elsewhere_is_fitted_again(campaign):
    campaign.run("fits")
    campaign.calls()
    path = search_path(campaign.results, "toy", "ia-add", "shared_backbone")
    path.write_text("collected from another machine")
    campaign.run("fits")
    calls = campaign.calls()
    assert len(of("fit", calls)) == 2
    assert all("-m ia-add" in call and "--preset shared_backbone" in call for call in calls)


def test_a_search_that_fails_keeps_the_record_there_was(campaign):
    campaign.run("searches", trials=2)
    path = search_path(campaign.results, "toy", "sasrec", "own_search")
    before = path.read_text()
    campaign.failing.touch()
    assert campaign.run("searches", trials=3, check=False).returncode != 0
    assert path.read_text() == before
    campaign.failing.unlink()
    campaign.run("searches", trials=3)
    assert "--trials 3" in path.read_text()


@pytest.mark.parametrize("slots", [1, 2])
def test_gpu_jobs_take_turns_and_fit_a_models_seeds_together(campaign, slots):
    campaign.run("fits", device="cuda", gpu_slots=slots, designs="own_search")
    lines = campaign.lines()
    fits = [line for line in lines if line.startswith("> fit") and "sasrec" in line]
    assert any("-s 1 2" in line for line in fits)
    running = peak = 0
    for line in lines:
        if "prepare" not in line:
            running += 1 if line.startswith(">") else -1
            peak = max(peak, running)
    assert peak == slots


def test_pages_that_are_there_already_do_not_stand_for_a_campaign(campaign, tmp_path):
    for name in ("_build/html/index.html", "runs/toy/06_ae_vs_ar.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    planned = campaign.run("-n").stdout
    for rule in ("tune", "fit", "fit_shared", "control", "report", "collect", "book"):
        assert f"rule {rule}:" in planned


def test_an_unknown_key_is_refused_by_name(campaign):
    done = campaign.run("-n", check=False, dataset="ml-100k")
    assert done.returncode != 0
    assert "'dataset' was unexpected" in done.stderr + done.stdout


def test_a_model_whose_name_does_not_tell_what_it_is_is_refused(campaign):
    done = campaign.run("-n", check=False, models="sasrec mine")
    assert done.returncode != 0
    assert "'sasrec mine' does not match" in done.stderr + done.stdout


@pytest.mark.parametrize("profile", ["slurm", "kubernetes"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_profile_plans_the_campaign(campaign, profile, device):
    done = campaign.run("-n", "--profile", ROOT / "profiles" / profile, device=device)
    fit = next(part for part in done.stdout.split("\n\n") if "rule fit:" in part)
    assert "mem_mb=8000" in fit
    # Kubernetes takes a GPU of 0 for a GPU.
    assert ("gpu=1" in fit) == (device == "cuda")
    assert f"output: {campaign.results}/done/own_search" in done.stdout


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_run_on_kubernetes_writes_to_the_volume_only(campaign, device):
    text = (ROOT / "book" / "appendix" / "reproduce.md").read_text()
    (target,) = re.findall(r"snakemake (\w+) --profile profiles/kubernetes", text)
    done = campaign.run("-n", target, "--profile", ROOT / "profiles" / "kubernetes", device=device)
    searches_and_fits = {"tune", "tune_shared", "fit", "fit_shared", "fit_masked", "control"}
    assert rules(done.stdout) == {"prepare", *searches_and_fits}
    outputs = re.findall(r"^ +output: (.*)$", done.stdout, re.M)
    written = [path for paths in outputs for path in paths.split(", ")]
    outside = [path for path in written if not path.startswith(f"{campaign.results}/")]
    assert len(written) >= 8 and outside == []


def test_after_the_fits_only_notebooks_and_book_are_left(campaign):
    campaign.run("fits")
    assert rules(campaign.run("-n").stdout) == {"report", "report_shared", "collect", "book"}


def test_a_url_of_the_studies_may_name_the_search(campaign):
    url = "sqlite:////shared/{dataset}-{design}-{model}.sqlite3"
    campaign.run("searches", storage=url)
    calls = campaign.calls()
    assert len(calls) == 4 and all(f"--storage={url} " in call for call in of("tune", calls))


@pytest.mark.parametrize(
    ("designs", "pages"),
    [
        (
            "own_search shared_backbone",
            {"toy": "own_search", "toy-shared_backbone": "shared_backbone"},
        ),
        ("shared_backbone own_search", {"toy": "shared_backbone", "toy-own_search": "own_search"}),
        ("shared_backbone", {"toy": "shared_backbone"}),
    ],
)
def test_the_first_designs_pages_have_the_datasets_name(campaign, tmp_path, designs, pages):
    campaign.run("notebooks", designs=designs)
    reports = of("report", campaign.calls())
    assert len(reports) == len(pages)
    assert all("-m sasrec ia-add -s 1 2" in report for report in reports)
    for folder, design in pages.items():
        (report,) = (call for call in reports if call.endswith(f"-o {tmp_path}/runs/{folder}"))
        assert f"--preset {design} " in report


def test_a_masked_item_model_takes_the_backbone_of_sasrecs_search(campaign):
    campaign.run("fits", models="sasrec bert4rec", designs="own_search")
    calls = campaign.calls()
    assert [call.split(" -m ")[1].split()[0] for call in of("tune", calls)] == ["sasrec"]
    # Two seeds of each model, and the first of the last chapter's other one.
    assert len(of("fit", calls)) == 5


def test_ones_own_log_is_called_by_the_name_in_its_yaml(campaign, tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine")
    campaign.run("searches", datasets=tmp_path / "mine.yaml", models="sasrec")
    assert of("tune", campaign.calls())[0].startswith(f"tune -d {tmp_path}/mine.yaml -m sasrec")
    assert (campaign.results / "done" / "searches" / "mine" / "published" / "sasrec").exists()


def test_a_results_folder_may_have_a_space_in_its_name(campaign, tmp_path):
    campaign.run("fits", results=tmp_path / "my results", models="sasrec", designs="own_search")
    assert search_path(tmp_path / "my results", "toy", "sasrec", "own_search").exists()


def test_two_logs_of_one_name_and_one_without_are_refused(campaign, tmp_path):
    for number, text in (("1", "name: own"), ("2", "name: own"), ("3", "path: x.csv")):
        (tmp_path / f"{number}.yaml").write_text(text)
    for asked, told in (("1.yaml 2.yaml", "have one name"), ("3.yaml", "key 'name' is missing")):
        done = campaign.run("-n", "fits", check=False, datasets=asked)
        assert done.returncode and told in done.stderr + done.stdout
