"""The study "Several queries": its controls are what they are said to be."""

from dataclasses import asdict

import pytest

from seqattn.config import ModelConfig, replace
from seqattn.models import build_model
from seqattn.studies.study import read_study


def n_parameters(config: ModelConfig) -> int:
    return sum(p.numel() for p in build_model("sasrec", 10, **asdict(config)).parameters())


@pytest.fixture(scope="module")
def configs():
    study = read_study("several_queries")
    return {arm.name: replace(ModelConfig(), **arm.settings.model) for arm in study.arms}


def test_no_inner_width_comes_nearer_to_the_parameters_of_five_queries(configs):
    wanted, control = n_parameters(configs["m 5"]), configs["parameters"]
    off = {
        more: abs(n_parameters(replace(control, inner_size=control.inner_size + more)) - wanted)
        for more in (-1, 0, 1)
    }
    assert min(off, key=off.__getitem__) == 0
    assert off[0] < 0.002 * wanted


def test_every_arm_is_compared_with_one_query_of_its_own_host(configs):
    study = read_study("several_queries")
    against = {arm.name: arm.against for arm in study.arms}
    assert against.pop("pretrained m 5") == "pretrained"
    assert set(against.values()) == {"one query"}
    assert [c.n_queries for n, c in configs.items() if n[:2] == "m "] == [2, 3, 5, 10, 5, 5, 5]
    assert configs["pretrained m 5"] == configs["m 5"]
    assert configs["pretrained"] == configs["one query"]
    assert all(c.hidden_dropout == c.attention_dropout == 0.5 for c in configs.values())


def test_the_hosts_differ_in_pretraining_alone():
    study = read_study("several_queries")
    trains = {arm.name: arm.settings.train for arm in study.arms}
    long = {name: train for name, train in trains.items() if "pretrain_epochs" in train}
    assert set(long) == {"pretrained", "pretrained m 5"}
    for train in long.values():
        assert train == trains["one query"] | {"pretrain_epochs": 150}
