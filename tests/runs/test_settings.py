"""What models were given alike, and whether a fit was finished."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from seqattn.config import ModelConfig, TrainConfig
from seqattn.runs.results import differing, outcomes, unfinished
from seqattn.runs.store import Run, RunSpec


def spec(model, train, **sizes):
    return RunSpec("synthetic", "0", model, 1, ModelConfig(**sizes), train)


def test_only_the_settings_that_differ_are_listed():
    found = differing(
        {
            "sasrec": spec("sasrec", TrainConfig(epochs=8)),
            "bert4rec": spec("bert4rec", TrainConfig(epochs=28, stride=50), n_layers=1),
        }
    )
    assert found.to_dict("index") == {
        "n_layers": {"sasrec": 2, "bert4rec": 1},
        "epochs": {"sasrec": 8, "bert4rec": 28},
        "stride": {"sasrec": 10, "bert4rec": 50},
    }
    assert all(isinstance(value, int) for value in found.to_numpy().ravel())


def test_equal_settings_leave_nothing():
    same = {name: spec(name, TrainConfig()) for name in ("sasrec", "bert4rec")}
    assert differing(same).empty


@pytest.mark.parametrize(("best_epoch", "expected"), [(8, True), (4, True), (3, False)])
def test_a_fit_is_unfinished_unless_its_patience_ended_it(best_epoch, expected):
    made = asdict(spec("sasrec", TrainConfig(epochs=8, patience=5)))
    facts = {"spec": made, "history": [{}] * 8, "best_epoch": best_epoch}
    assert unfinished(Run(Path(), facts)) is expected


class Fit(Run):
    """A fit of four users, whose ranks need no file."""

    def ranks(self, stage="test", kind="unfiltered"):
        return {"unfiltered": np.array([1, 3, 11, 50]), "filtered": np.array([1, 1, 1, 12])}[kind]

    def owners(self, stage="test"):
        return None


def test_outcomes_hold_metrics_and_how_a_fit_ended():
    made = asdict(spec("bert4rec", TrainConfig(epochs=8, patience=5)))
    facts = {"spec": made, "history": [{}] * 8, "best_epoch": 6}
    assert outcomes([Fit(Path(), facts)]).loc["bert4rec"].to_dict() == pytest.approx(
        {
            "NDCG@10, unfiltered": (1 + 1 / 2) / 4,  # 1 / log2(1 + rank) of ranks 1 and 3
            "NDCG@10, filtered": 3 / 4,
            "Recall@10, unfiltered": 2 / 4,
            "epochs run": 8,
            "best epoch": 6,
            "unfinished": True,
        }
    )
