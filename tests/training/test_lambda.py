"""How lambda is trained: where it starts, how fast it learns, what holds it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqattn.config import LAMBDA, TrainConfig, record, replace
from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.runs.checkpoint import Checkpoint
from seqattn.training.fit import fit, seeded_model
from seqattn.training.optimiser import adam, start_lambda
from seqattn.training.stacked import fit_stacked

SMOKE = get_preset("smoke")
PLAIN = replace(SMOKE.model, hidden_dropout=0.0, attention_dropout=0.0)
ONE_STEP = replace(SMOKE.train, batch_targets=10**6, epochs=1)
VARIANTS = ("ia-add", "ia-mul", "ia-val")


def after_one_step(synthetic, model, **changes):
    """Return the model after one optimiser step of the whole data."""
    return fit(synthetic, model, 1, PLAIN, replace(ONE_STEP, **changes)).model


@pytest.mark.parametrize("model", VARIANTS)
@pytest.mark.parametrize("start", [-0.5, 0.0, 2.0])
def test_a_held_lambda_stays_where_it_starts_while_the_rest_is_trained(synthetic, model, start):
    config = replace(SMOKE.train, lambda_start=start, lambda_rate=0.0)
    fitted = fit(synthetic, model, 1, PLAIN, config)
    assert fitted.model.lambdas == [start] * PLAIN.n_layers
    torch.manual_seed(1)
    begun = seeded_model(synthetic, model, 1, PLAIN, "cpu").state_dict()
    moved = {name for name, value in fitted.model.state_dict().items() if name in begun
             and not torch.equal(value, begun[name])}  # fmt: skip
    assert any("query" in name or "qkv" in name or "key" in name for name in moved)


@pytest.mark.parametrize("model", VARIANTS)
def test_held_at_zero_a_variant_is_sasrec(synthetic, model):
    config = replace(SMOKE.train, lambda_start=0.0, lambda_rate=0.0)
    held, plain = (
        fit(synthetic, *arguments)
        for arguments in ((model, 1, PLAIN, config), ("sasrec", 1, PLAIN, SMOKE.train))
    )
    losses = [[epoch.loss for epoch in fitted.history] for fitted in (held, plain)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize("rate", [10.0, 0.5])
def test_a_step_moves_lambda_by_its_own_rate_and_the_rest_by_theirs(synthetic, rate):
    usual = after_one_step(synthetic, "ia-add", learning_rate=1e-2)
    other = after_one_step(synthetic, "ia-add", learning_rate=1e-2, lambda_rate=rate)
    moved, usually = (np.array(model.lambdas) - 1 for model in (other, usual))
    assert moved == pytest.approx(rate * usually, rel=1e-3) and np.abs(usually).min() > 1e-3
    for (name, mine), theirs in zip(other.named_parameters(), usual.parameters(), strict=True):
        if not name.endswith("lam"):
            assert torch.allclose(mine, theirs, atol=1e-7), name


def test_decay_takes_lambda_towards_zero_by_its_share_and_nothing_else(synthetic):
    rates = {"learning_rate": 1e-2, "lambda_start": 2.0}
    usual = after_one_step(synthetic, "ia-add", **rates)
    decayed = after_one_step(synthetic, "ia-add", **rates, lambda_decay=5.0)
    # The step of Adam is the same; before it, lambda is multiplied by 1 - 0.01 x 5.
    assert np.array(usual.lambdas) - decayed.lambdas == pytest.approx(2.0 * 1e-2 * 5.0, rel=1e-4)
    for (name, mine), theirs in zip(decayed.named_parameters(), usual.parameters(), strict=True):
        if not name.endswith("lam"):
            assert torch.allclose(mine, theirs, atol=1e-7), name


def test_as_published_the_optimiser_is_one_group(synthetic):
    model = seeded_model(synthetic, "ia-add", 1, PLAIN, "cpu")
    assert len(adam(model, SMOKE.train).param_groups) == 1
    before = model.lambdas
    start_lambda(model, SMOKE.train)
    assert model.lambdas == before == [1.0] * PLAIN.n_layers


def test_a_fit_with_groups_goes_on_to_the_same_bits(synthetic, tmp_path):
    config = replace(SMOKE.train, epochs=3, lambda_rate=10.0, lambda_decay=1.0)
    arguments = (synthetic, "ia-val", 1, SMOKE.model, config)
    whole = fit(*arguments)

    def stop(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    keeper = Checkpoint(tmp_path / "state", {}, every=0)
    with pytest.raises(KeyboardInterrupt):
        fit(*arguments, keeper=keeper, on_epoch=stop)
    went_on = fit(*arguments, keeper=keeper)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, went_on.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "changes", [{"lambda_start": 0.0}, {"lambda_rate": 10.0}, {"lambda_decay": 0.1}]
)
def test_what_cannot_be_done_is_refused_by_key(synthetic, changes):
    config = replace(SMOKE.train, **changes)
    (key,) = changes
    with pytest.raises(SeqattnError, match=key):
        fit(synthetic, "sasrec", 1, SMOKE.model, config)
    with pytest.raises(SeqattnError, match="one by one"):
        fit_stacked(synthetic, "ia-add", [1, 2], SMOKE.model, config, device="cpu")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("lambda_start", v) for v in (101.0, float("nan"), float("inf"))),
        *((k, v) for k in ("lambda_rate", "lambda_decay") for v in (-1.0, float("nan"), 1e7)),
    ],
)
def test_a_value_that_is_none_is_refused(key, value):
    with pytest.raises(SeqattnError, match=key):
        replace(TrainConfig(), **{key: value})


def test_records_of_runs_kept_before_are_the_same():
    assert not set(LAMBDA) & set(record(TrainConfig()))
    assert record(replace(TrainConfig(), lambda_rate=2.0))["lambda_rate"] == 2.0
