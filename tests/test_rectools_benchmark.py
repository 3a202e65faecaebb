"""RecTools takes part through a process that answers line by line; without it, nothing fails."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import rectools

# Stands in for RecTools: says how many targets N steps of whole users would hold.
FAKE = """
import json, sys
import numpy as np
log, config = np.load(sys.argv[1]), json.loads(sys.argv[2])
assert (np.diff(log["order"]) == 1).all() and len(log["user"]) == len(log["item"])
lengths = np.bincount(log["user"])[: config["batch_users"]]
targets = int(np.minimum(lengths - 1, config["max_length"]).sum())
print("ready", flush=True)
for line in sys.stdin:
    go, steps = line.split()
    print(int(steps) * targets, flush=True)
"""


def fake(tmp_path, source: str) -> tuple[str, ...]:
    script = tmp_path / "worker.py"
    script.write_text(source)
    return sys.executable, "-I", str(script)


def test_each_call_asks_for_steps_and_returns_their_targets(tmp_path, synthetic):
    train = synthetic.split.train
    work = rectools.rectools(train, steps=3, command=fake(tmp_path, FAKE))
    first_users = np.minimum(train.lengths[: rectools.BATCH_USERS] - 1, 200)
    assert [work(), work()] == [3 * first_users.sum()] * 2


def test_without_its_environment_it_is_not_run_and_says_how_to_make_it(synthetic, capsys):
    missing = ("/no/such/python", "worker.py")
    assert rectools.rectools(synthetic.split.train, steps=1, command=missing) is None
    assert "make bench-rectools" in capsys.readouterr().out


def test_a_worker_that_dies_is_an_error_that_names_the_fix(tmp_path, synthetic):
    command = fake(tmp_path, "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match=r"exit code 3.*make bench-rectools"):
        rectools.rectools(synthetic.split.train, steps=1, command=command)


FITTED = """
import json, sys
import numpy as np
log, config = np.load(sys.argv[1]), json.loads(sys.argv[2])
n = len(np.unique(log["user"]))
assert log["valid"].shape == log["test"].shape == (n,) and config["learning_rate"] == 0.003
assert config["module"] == "native"
for epoch, rank in enumerate([5, 1, 3][: config["epochs"]]):
    record = {"valid": [rank] * n, "test": [epoch] * n, "seconds": 2.0, "cpu_seconds": 1.5}
    print(json.dumps(record), flush=True)
"""


def test_a_fit_keeps_the_test_ranks_of_its_best_epoch_on_validation(tmp_path, synthetic):
    record = rectools.fit(synthetic, "native", 7, 3, 3e-3, command=fake(tmp_path, FITTED))
    assert record["valid"] == pytest.approx([1 / np.log2(6), 1.0, 1 / np.log2(4)])
    assert set(record["test_ranks"]) == {1}
    assert record["seconds"] == [2.0] * 3 and record["cpu_seconds"] == [1.5] * 3
    with pytest.raises(RuntimeError, match=r"exit code 0"):
        rectools.fit(synthetic, "native", 7, 4, 3e-3, command=fake(tmp_path, FITTED))


@pytest.mark.skipif(
    not Path(rectools.COMMAND[0]).exists(), reason="no RecTools: `make bench-rectools` makes it"
)
@pytest.mark.parametrize("module", ["native", "fast"])
def test_rectools_own_network_learns_the_synthetic_log(synthetic, module):
    record = rectools.fit(synthetic, module, 1, 3, 1e-2)
    assert len(record["test_ranks"]) == len(synthetic.split.users("test"))
    # Above chance, and not as if every target were first, which scores of NaN would look like.
    chance = (1 / np.log2(np.arange(2, 12))).sum() / synthetic.n_items
    assert chance < record["valid"][-1] < 0.7


def test_our_batches_hold_as_many_targets_as_rectools_do(synthetic):
    train = synthetic.split.train
    trained = np.minimum(train.lengths - 1, rectools.MODEL.max_length)
    expected = trained.sum() / len(train.lengths) * rectools.BATCH_USERS
    assert rectools.train_config(train).batch_targets == round(expected)
