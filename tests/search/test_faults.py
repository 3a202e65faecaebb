"""A campaign that is killed, or whose disk is full or read-only, loses nothing finished."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.runs.store import Result, RunSpec, Store
from seqattn.search.record import SearchConfig, read_search, searches
from seqattn.search.tune import tune

SMOKE = get_preset("smoke")
SPEC = RunSpec("toy", "f" * 64, "sasrec", 1, SMOKE.model, SMOKE.train)
OTHER = RunSpec("toy", "f" * 64, "sasrec", 2, SMOKE.model, SMOKE.train)
RESULT = Result({"lambdas": []}, {"test_unfiltered": np.array([1, 2, 3])}, {"w": torch.ones(2)})
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([f"{ROOT}/src", f"{ROOT}/tests"])}


def never():
    raise AssertionError("a finished run was computed again")


def big():
    """A result that does not fit on a small disk, compressed or not."""
    ranks = np.random.default_rng(0).integers(1, 2**31, 100_000)
    return Result({"lambdas": []}, {"test_unfiltered": ranks}, {"w": torch.ones(2)})


WRITES = {
    "ranks": "pathlib.Path.write_bytes",
    "weights": "seqattn.runs.store.packed",
    "facts": "pathlib.Path.write_text",
    "rename": "seqattn.runs.store.os.replace",
}
FAULTS = [errno.ENOSPC, errno.EROFS, errno.EACCES]


@pytest.mark.parametrize("fault", FAULTS, ids=os.strerror)
@pytest.mark.parametrize("write", WRITES)
def test_a_cell_that_cannot_be_written_is_one_error_and_loses_no_other(
    tmp_path, monkeypatch, write, fault
):
    store = Store(tmp_path)
    store.compute(SPEC, lambda: RESULT)

    def fail(*args, **kwargs):
        raise OSError(fault, os.strerror(fault))

    with monkeypatch.context() as patched:
        patched.setattr(WRITES[write], fail)
        with pytest.raises(SeqattnError, match=f"{os.strerror(fault)}.*Finished runs are kept"):
            store.compute(OTHER, lambda: RESULT)
        assert store.compute(SPEC, never).ranks().tolist() == [1, 2, 3]
    assert store.get(OTHER) is None
    assert not list(tmp_path.rglob("*.partial"))
    assert store.compute(OTHER, lambda: RESULT).seed == 2


@pytest.mark.parametrize("write", ["seqattn.files.os.fdopen", "seqattn.files.os.replace"])
def test_a_search_that_cannot_be_written_leaves_the_one_there_was(
    tmp_path, synthetic, monkeypatch, write
):
    before = tune(tmp_path, synthetic, "sasrec", SearchConfig(1, 1), SMOKE)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(write, full)
        with pytest.raises(SeqattnError, match=r"cannot write .*sasrec\.json: No space left"):
            before.write(tmp_path)
    assert read_search(tmp_path, "synthetic", "sasrec", "own_search") == before
    assert len(list((tmp_path / "searches").rglob("*.json*"))) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A real disk of 64 KiB; ``lock`` makes it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options: str) -> int:
        return subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode

    try:
        refused = mount("-t", "tmpfs", "-o", "size=64k", "none")
    except FileNotFoundError:
        refused = True
    if refused:
        pytest.skip("this machine lets nobody here mount a disk")
    try:
        yield folder, lambda: mount("-o", "remount,ro")
    finally:
        # At once for everybody else; here when the database's file is closed.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_keeps_what_was_finished(small_disk, synthetic):
    folder, _ = small_disk
    store = Store(folder)
    store.compute(SPEC, lambda: RESULT)
    with pytest.raises(SeqattnError, match="No space left on device; make room"):
        store.compute(OTHER, big)
    assert store.compute(SPEC, never).ranks().tolist() == [1, 2, 3]
    assert not list(folder.rglob("*.partial"))
    with pytest.raises(SeqattnError, match=r"studies\.sqlite3: .*disk is full"):
        tune(folder, synthetic, "sasrec", SearchConfig(1, 1), SMOKE)


def test_a_read_only_store_serves_what_was_finished(small_disk, synthetic):
    folder, lock = small_disk
    Store(folder).compute(SPEC, lambda: RESULT)
    assert lock() == 0
    store = Store(folder)
    assert store.compute(SPEC, never).ranks().tolist() == [1, 2, 3]
    with pytest.raises(SeqattnError, match="Read-only file system"):
        store.compute(OTHER, never)
    with pytest.raises(SeqattnError, match=r"studies\.sqlite3: Read-only file system"):
        tune(folder, synthetic, "sasrec", SearchConfig(1, 1), SMOKE)


# One process imports everything once and forks a child an attempt, so that ten kills take seconds.
HOST = """
import os, random, signal, sys, time
from pathlib import Path
import optuna, torch
torch.set_num_threads(1)
import seqattn.runs.store, seqattn.search.tune
from seqattn.cli import main

TUNE = ["tune", "-d", "synthetic", "--base", "smoke", "--trials", "3", "--epochs", "1"]
CAMPAIGN = [
    [*TUNE, "-m", "sasrec", "ia-add"],
    [*TUNE, "-m", "ia-add", "--design", "shared_backbone"],
    *(
        ["fit", "-d", "synthetic", "-m", model, "-s", seed, "--preset", design]
        for design in ("own_search", "shared_backbone")
        for model in ("sasrec", "ia-add")
        for seed in ("1", "2")
    ),
]

def run(results):
    sys.stdout = open(os.devnull, "w")
    for words in CAMPAIGN:
        if main([*words, "--results-dir", results]):
            os._exit(1)
    os._exit(0)

def die_in_write(countdown):
    def dying(real, path_at):
        def write(*args, **kwargs):
            countdown[0] -= 1
            if countdown[0]:
                return real(*args, **kwargs)
            if path_at is not None:  # half of it gets written
                real(*args, **kwargs)
                os.truncate(args[path_at], os.path.getsize(args[path_at]) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return write
    Path.write_bytes = dying(Path.write_bytes, 0)
    Path.write_text = dying(Path.write_text, 0)
    os.replace = dying(os.replace, None)

def child(results, countdown=None):
    pid = os.fork()
    if not pid:
        if countdown:
            die_in_write([countdown])
        run(results)
    return pid

calm, killed = sys.argv[1:]
start = time.monotonic()
assert os.waitpid(child(calm), 0)[1] == 0
span = time.monotonic() - start
rng, kills = random.Random(0), 0
while kills < 10:
    pid = child(killed, rng.randint(1, 3) if kills % 2 else None)
    if kills % 2 == 0:
        time.sleep(rng.uniform(0, span / 8))
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    kills += 1
assert os.waitpid(child(killed), 0)[1] == 0
"""


def outcome(folder):
    """Everything a campaign found, but for when and on what machine."""
    found = {}
    for search in searches(folder):
        trials = [(t["state"], t["value"], t["params"]) for t in search.trials]
        found[search.model, search.design] = (search.preset, search.value, trials)
    for run in Store(folder).runs():
        facts = json.loads(json.dumps(dict(run.facts)))
        for key in ("environment", "seconds", "files", "checksum"):
            del facts[key]
        for epoch in facts["history"]:
            del epoch["seconds"]
        with np.load(run.folder / "ranks.npz") as ranks:
            arrays = {name: ranks[name].tolist() for name in ranks}
        weights = {name: value.tolist() for name, value in run.weights().items()}
        found[run.folder.name] = (facts, arrays, weights)
    return found


@pytest.mark.slow
def test_a_campaign_killed_ten_times_ends_in_the_same_artifacts(tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    subprocess.run([sys.executable, "-c", HOST, calm, killed], env=ENVIRONMENT, check=True)
    found = outcome(killed)
    assert found == outcome(calm)
    # Three searches; two seeds of the baseline, and of the variant in each design.
    assert len(found) == 3 + 2 + 4
    assert not list(killed.rglob("*.partial"))
    assert len(list(killed.glob("synthetic/*/seed-*"))) == 6  # each of them intact


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    code = (
        "from seqattn.data import load_dataset\n"
        "from wanted import fit_wanted\n"
        "if __name__ == '__main__':\n"
        f"    fit_wanted({str(tmp_path)!r}, load_dataset('synthetic'),\n"
        "        [('bert4rec', s) for s in range(400)], 'quick', workers=2, progress=False)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], env=ENVIRONMENT)
    deadline = time.monotonic() + 900
    while not list(tmp_path.rglob(".*.lock")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert len(children) >= 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.1)
