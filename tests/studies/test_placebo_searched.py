"""The study *Placebo in searched settings*: one rule in two designs."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from seqattn.config import PLACEBOS
from seqattn.studies import placebo
from seqattn.studies.plan import Group, wanted
from seqattn.studies.study import read_study

STUDY = read_study("placebo_searched")
DESIGNS = ("shared_backbone", "variant_backbone")


def cell(arm, robust, equivalent=False):
    return {
        "dataset": "d", "part": False, "arm": arm, "model": "ia-val", "metric": "NDCG", "k": 10,
        "n_seeds": 5, "robust_clustered": robust, "direction": 1, "equivalent": equivalent,
    }  # fmt: skip


def test_each_design_is_judged_by_its_own_placebos():
    cells = [cell(arm, True) for arm in DESIGNS]
    cells += [cell(f"shared_backbone {kind}", False) for kind in PLACEBOS]
    cells += [cell(f"variant_backbone {kind}", kind == "constant") for kind in PLACEBOS]
    over = [cell(f"shared_backbone {kind}", True) for kind in PLACEBOS]
    over += [cell(f"variant_backbone {kind}", kind == "within") for kind in PLACEBOS]
    study = dataclasses.replace(STUDY, datasets=("d",))
    told = placebo.verdicts(study, pd.DataFrame(cells), pd.DataFrame(over))
    found = told.set_index(["arm", "model"])["verdict"]
    assert found["shared_backbone", "ia-val"] == "information"
    assert found["variant_backbone", "ia-val"] == "channel"
    assert set(found.drop("ia-val", level="model")) == {"not run"}


@pytest.fixture(scope="module")
def groups() -> dict[tuple[str, str], Group]:
    study = dataclasses.replace(STUDY, datasets=("ml-100k",))
    return {(group.arm, group.model): group for group in wanted(study)}


@pytest.mark.parametrize("model", ["ia-add", "ia-mul", "ia-val"])
@pytest.mark.parametrize("design", DESIGNS)
def test_a_placebo_differs_from_the_real_fit_in_its_intensity_alone(groups, design, model):
    real = groups[design, model]
    assert not real.lacking and len(real.specs) == 5
    for kind in PLACEBOS:
        fake = groups[f"{design} {kind}", model]
        assert fake.base_specs == real.base_specs
        for mine, theirs in zip(fake.specs, real.specs, strict=True):
            train = dataclasses.replace(mine.train_config, intensity="real")
            assert mine.train_config.intensity == kind
            assert dataclasses.replace(mine, train_config=train) == theirs


def test_pairs_name_what_is_changed_and_against_what():
    changes = pd.DataFrame(
        {"arm": ["variant_backbone", "variant_backbone within"], "change": [3, 1]}
    )
    over = pd.DataFrame({"arm": ["variant_backbone within"], "change": [2]})
    told = placebo.pairs(changes, over)
    assert set(told["arm"]) == {"variant_backbone"}
    assert told[["what", "against", "change"]].to_numpy().tolist() == [
        ["real", "sasrec", 3],
        ["within", "sasrec", 1],
        ["real", "within", 2],
    ]
    assert placebo.pairs(pd.DataFrame(), pd.DataFrame()).empty
