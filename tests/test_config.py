from __future__ import annotations

import math

import numpy as np
import pytest

from seqattn.config import ModelConfig, TrainConfig, record, replace, require_seed, strict
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, BERT4Rec, Model, is_masked
from seqattn.presets import get_preset


def test_whole_numbers_are_accepted_as_floats_and_not_the_other_way_round():
    assert strict(TrainConfig, {"learning_rate": 1}).learning_rate == 1.0
    with pytest.raises(SeqattnError, match="'epochs' must be int, not float"):
        strict(TrainConfig, {"epochs": 3.0})
    with pytest.raises(SeqattnError, match="'epochs' must be int, not bool"):
        strict(TrainConfig, {"epochs": True})


def test_yaml_text_that_looks_like_a_number_gets_a_hint():
    with pytest.raises(SeqattnError, match=r"write 1\.0e-3"):
        strict(TrainConfig, {"learning_rate": "1e-3"})


@pytest.mark.parametrize("value", ["8", " 8 ", "-1"])
def test_a_number_in_quotes_gets_a_hint(value):
    with pytest.raises(SeqattnError, match=f"; write it without quotes, as {value.strip()}$"):
        strict(TrainConfig, {"epochs": value})
    with pytest.raises(SeqattnError, match=f"; write it without quotes, as {value.strip()}$"):
        strict(TrainConfig, {"learning_rate": value})


def test_a_key_with_a_slip_is_answered_with_the_one_meant():
    for slip in ("Learning_Rate", "learning rate", "leaning_rate"):
        told = rf"unknown TrainConfig key '{slip}' \(did you mean 'learning_rate'\?\); known keys"
        with pytest.raises(SeqattnError, match=told):
            strict(TrainConfig, {slip: 1.0})
    with pytest.raises(SeqattnError, match="unknown TrainConfig key 7; known keys"):
        strict(TrainConfig, {7: 1.0})


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (TrainConfig(), {"learning_rate": 0.0}, "'learning_rate' must be positive"),
        (TrainConfig(), {"patience": 0}, "'patience' must be at least 1"),
        (TrainConfig(), {"windows": "jagged"}, "'windows' must be one of packed, prefix"),
        (TrainConfig(), {"mask_probability": 1.0}, "'mask_probability' must be in"),
        (ModelConfig(), {"hidden_dropout": 1.0}, r"'hidden_dropout' must be in \[0, 1\)"),
        (ModelConfig(), {"scope": "future"}, "'scope' must be one of causal, prefix"),
        (ModelConfig(), {"user_share": 0.995}, "'user_share' must be less, so that items have"),
        (TrainConfig(), {"learning_rate": math.inf}, "'learning_rate' must be a finite number"),
        (TrainConfig(), {"confidence": math.inf}, "'confidence' must be a finite number"),
        (TrainConfig(), {"confidence": math.nan}, "'confidence' must be a finite number, not nan"),
        (ModelConfig(), {"typo": 1}, "unknown ModelConfig key 'typo'"),
        (TrainConfig(), {"loss": "hinge"}, "'loss' must be one of ce, sampled-softmax, gbce"),
        (TrainConfig(loss="bpr"), {"n_negatives": 0}, "'n_negatives' must be at least 1"),
        (TrainConfig(loss="bpr"), {"negatives": "hard"}, "'negatives' must be one of uniform"),
        (TrainConfig(loss="bpr"), {"exclude": "nothing"}, "'exclude' must be one of target"),
        (TrainConfig(loss="gbce"), {"calibration": 1.5}, r"'calibration' must be in \[0, 1\]"),
    ],
)
def test_impossible_values_are_refused_by_key(config, change, message):
    with pytest.raises(SeqattnError, match=message):
        replace(config, **change)


@pytest.mark.parametrize(
    ("loss", "change"),
    [
        ("ce", {"n_negatives": 1}),
        ("ce", {"negatives": "popularity"}),
        ("ce", {"exclude": "history"}),
        ("ce", {"calibration": 0.0}),
        ("bce", {"calibration": 0.0}),
        ("bpr", {"calibration": 0.0}),
        ("sampled-softmax", {"calibration": 0.0}),
        ("sampled-softmax", {"score_offset": "prior"}),
        ("bpr", {"score_offset": "prior"}),
        ("ce", {"score_offset": "prior"}),
    ],
)
def test_what_a_loss_does_not_read_is_refused_by_name(loss, change):
    (key,) = change
    with pytest.raises(SeqattnError, match=f"'{key}' must be left out with loss '{loss}'"):
        TrainConfig(loss=loss, **change)


def test_the_calibration_of_gbce_takes_uniform_negatives_alone():
    with pytest.raises(SeqattnError, match="'negatives' must be uniform with loss 'gbce'"):
        TrainConfig(loss="gbce", negatives="popularity")


def test_a_loss_is_recorded_only_where_it_is_not_the_usual_one():
    usual = record(TrainConfig())
    assert "loss" not in usual and "n_negatives" not in usual and "calibration" not in usual
    changed = record(TrainConfig(loss="bpr", n_negatives=1))
    assert changed == usual | {"loss": "bpr", "n_negatives": 1}
    assert strict(TrainConfig, changed) == TrainConfig(loss="bpr", n_negatives=1)


def test_a_constructor_refuses_what_a_file_may_not_say():
    with pytest.raises(SeqattnError, match="'learning_rate' must be float, not str '1e-3'"):
        TrainConfig(learning_rate="1e-3")
    with pytest.raises(SeqattnError, match="'n_layers' must be int, not float"):
        ModelConfig(n_layers=2.0)


def test_masked_item_models_have_their_own_training_settings():
    quick = get_preset("quick")
    assert quick.train_for(masked=is_masked("bert4rec")) is quick.train_ae
    assert quick.train_for(masked=is_masked("ia-add")) is quick.train


def test_a_new_masked_item_model_is_trained_as_one(monkeypatch):
    class Wider(BERT4Rec):
        """Of the same objective."""

    monkeypatch.setitem(MODELS, "wider", Model(Wider, "Wider", "#000000"))
    quick = get_preset("quick")
    assert quick.train_for(masked=is_masked("wider")) is quick.train_ae


def test_the_fixed_design_takes_small_batches_on_small_logs_and_nothing_else_changes():
    fixed = get_preset("fixed")
    small = fixed.for_log(99_999)
    assert fixed.for_log(100_000) == fixed
    assert (small.train.batch_targets, small.train_ae.batch_targets) == (256, 256)
    assert replace(small.train, batch_targets=2048) == fixed.train
    assert get_preset("paper").for_log(1) == get_preset("paper")


@pytest.mark.parametrize("seed", ["2020", 1.5, True, None])
def test_a_seed_of_another_type_is_named(seed):
    with pytest.raises(SeqattnError, match=f"a seed must be a whole number, not {seed!r}"):
        require_seed(seed)
    require_seed(np.int64(2020))
